"""Probes: the tables, the measurement by difference, and what the model makes of every fact."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from m7sim import toolchain as tools
from m7sim.board import Board
from m7sim.elf import Image
from m7sim.errors import InputError, TableError
from m7sim.validate import probes, probes_build, probes_run, probes_tables

FACT = """
schema = 1
[[experiment]]
id = "one.add"
meaning = "adds in a chain"
text = "eor.w r0, r0, r5"
expected_cycles = 1
grade = "M"
source = "own"
"""
RULE = """
[representative]
a = { text = "add.w {d}, r5, r6", label = "A" }
[[rule]]
older = ["a"]
younger = ["a"]
pairs = true
grade = "M"
source = "own"
"""


def load(folder: Path, text: str) -> probes.Facts:
    (folder / "facts.toml").write_text(text)
    return probes_tables.load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FACT.replace("grade", "grad"), "unknown key 'grad'"),
        (FACT.replace('source = "own"\n', ""), "missing key 'source'"),
        (FACT.replace('"M"', '"W"'), "grade 'W'"),
        (FACT.replace("expected_cycles = 1", "expected_cycles = -1"), "negative|not a number"),
        (FACT.replace("expected_cycles = 1", 'expected_cycles = "x"'), "not a number of cycles"),
        (FACT.replace("schema = 1", "schema = 2"), "schema 2 is not 1"),
        (FACT + 'template = "fence"\n', "template 'fence'.*Did you mean fenced"),
        (FACT + 'applies = ["ecc"]\n', "unknown feature 'ecc'"),
        (FACT + "copies = 0\n", "at least one copy"),
        (FACT + FACT.replace("schema = 1", ""), "more than one fact has the id 'one.add'"),
        (FACT + '[[exception]]\nid = "one.ad"\nreason = "x"\n', "Did you mean one.add"),
        ("schema = 1\n" + RULE.replace('younger = ["a"]', 'younger = ["b"]'), "representative 'b'"),
        (
            "schema = 1\n" + RULE + RULE.split("[[rule]]")[1].join(["[[rule]]", ""]).replace(
                "true", "false"
            ),
            "contradicts an earlier rule on pair.a.a",
        ),
        ("schema = 1\n[[fact]]\nid = 1\n", "unknown key 'fact'"),
        ("schema = [", "not TOML"),
    ],
)  # fmt: skip
def test_broken_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TableError, match=f"(?s){message}"):
        load(tmp_path, text)


def test_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tables of facts"):
        probes_tables.load(tmp_path)


def test_difference_of_two_lengths() -> None:
    rows = "noise\nid,copies,cycles\na.b,4,110\na.b,8,124\nc,2,9\nc,4,11\nend\nmore noise\n"
    assert probes_run.read_cycles(rows, where="x") == {"a.b": 3.5, "c": 1.0}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,1,2\n", "no line 'id,copies,cycles'"),
        ("id,copies,cycles\na,1\n", "x:2: 'a,1' is not a row"),
        ("id,copies,cycles\na,4,10\n", "a has rows for 4 copies"),
        ("id,copies,cycles\na,4,10\na,4,10\n", "x:3: a comes twice"),
        ("id,copies,cycles\na,4,10\na,9,20\n", "not for n and 2n"),
        ("id,copies,cycles\na,0,10\n", "not for n and 2n"),
    ],
)
def test_damaged_rows_are_refused(rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        probes_run.read_cycles(rows, where="x")


def test_every_fact_has_its_own_probe_and_source() -> None:
    facts = probes_tables.load()
    ids = [probe.id for probe in facts.probes]
    assert len(set(ids)) == len(ids)
    assert [fact.id for fact in facts.facts] == ids[: len(facts.facts)]
    assert all("," not in id_ for id_ in ids), "ids stand in rows of comma-separated values"
    assert all(fact.source and fact.meaning for fact in facts.facts)


def test_selection() -> None:
    facts = probes_tables.load()
    group = [fact.id for fact in probes_run.select(facts, ["latency.mul"])]
    assert "latency.mul.late" in group
    assert all(id_.startswith("latency.mul.") for id_ in group)
    assert len(probes_run.select(facts, ["it.slot", "it.*"])) == len(
        probes_run.select(facts, ["it"])
    )
    with pytest.raises(InputError, match=r"Did you mean it\.slot"):
        probes_run.select(facts, ["it.slots"])


toolchain = pytest.mark.toolchain


@pytest.fixture(scope="module")
def run() -> probes_run.Run:
    return probes_run.run()


def csv_of(cycles: dict[str, float]) -> str:
    rows = [f"{id_},{n},{100 + n * c:.0f}" for id_, c in cycles.items() for n in (20, 40)]
    return "\n".join(["Info : listening", "id,copies,cycles", *rows, "end", ""])


@toolchain
def test_facts_hold_on_the_f746(run: probes_run.Run) -> None:
    assert [o.fact.id for o in run.failed] == []
    held, applicable = run.share("V")
    assert held == applicable >= 10
    held, applicable = run.share("M")
    assert held / applicable >= 0.97
    assert applicable >= 400


@toolchain
def test_facts_without_pairs_hold_as_well(run: probes_run.Run) -> None:
    """The many cells of the pairing matrix must not hide the rest."""
    rest = [
        outcome.verdict
        for outcome in run.outcomes
        if outcome.fact.grade == "M"
        and not outcome.fact.id.startswith("pair.")
        and outcome.verdict != probes_run.Verdict.NOT_APPLICABLE
    ]
    held = rest.count(probes_run.Verdict.HOLDS)
    assert len(rest) > 200
    assert held / len(rest) >= 0.97


@toolchain
def test_verdicts(run: probes_run.Run) -> None:
    verdict = {o.fact.id: o for o in run.outcomes}
    ecc = verdict["store.subword_same_bank"]
    assert ecc.verdict == "not applicable"
    assert ecc.modelled_cycles is None
    assert "ECC" in ecc.reason
    excepted = {o.fact.id for o in run.outcomes if o.verdict == "exception"}
    assert excepted == {
        id_ for id_ in run.tables.exceptions if verdict[id_].verdict != "not applicable"
    }


@toolchain
def test_stale_exceptions_and_wrong_facts_fail(tmp_path: Path) -> None:
    text = FACT + FACT.replace("schema = 1", "").replace("one.add", "one.wrong").replace(
        "expected_cycles = 1", "expected_cycles = 2"
    )
    text += '[[exception]]\nid = "one.add"\nreason = "no reason"\n'
    done = probes_run.run(facts=load(tmp_path, text))
    assert [o.verdict for o in done.outcomes] == ["stale exception", "differs"]
    assert len(done.failed) == 2


@toolchain
def test_other_numbers_of_copies_give_the_same(tmp_path: Path) -> None:
    texts = []
    for copies in (1, 3, 7, 16):
        fact = FACT.replace("one.add", f"mul.{copies}").replace(
            "eor.w r0, r0, r5", "mul r0, r0, r5"
        )
        texts.append(fact.replace("schema = 1", "") + f'copies = {copies}\ntemplate = "fenced"\n')
    done = probes_run.run(facts=load(tmp_path, "schema = 1\n" + "".join(texts)))
    assert set(done.copy_cycles.values()) == {2.0}  # a multiply and the fence behind it


@toolchain
def test_comparison_shows_the_doctored_rows(run: probes_run.Run, tmp_path: Path) -> None:
    chip = tmp_path / "board.csv"
    chip.write_text(csv_of(dict(run.copy_cycles)))
    assert probes_run.compare(run, chip).differences == ()
    doctored = dict(run.copy_cycles)
    doctored["divide.sdiv"] = 4
    doctored["latency.load_word.late"] += 1
    doctored["of.another.version"] = 3
    del doctored["it.slot"]
    chip.write_text(csv_of(doctored))
    found = probes_run.compare(run, chip)
    assert [d.id for d in found.differences] == ["divide.sdiv", "latency.load_word.late"]
    assert found.differences[0].measured_cycles == 4
    assert found.compared == len(run.copy_cycles) - 1
    assert found.unknown == ("of.another.version",)


@toolchain
def test_bodies_fit_a_way_of_the_smallest_instruction_cache(run: probes_run.Run) -> None:
    image = Image.load(run.elf)
    starts = sorted(s.address for s in image.symbols if s.name.endswith("_2n"))
    assert max(b - a for a, b in pairwise(starts)) <= 2048
    hot = [image.symbol(name).address for name in ("measure", "probe_measure", "probe_0_2n")]
    assert max(hot) - min(hot) <= 2048


@toolchain
def test_qemu_runs_the_same_program(run: probes_run.Run) -> None:
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("no qemu-system-arm")
    # with double precision, which nothing else here executes
    chosen = run.tables.of_board(Board.load("stm32f767"))
    script = tools.firmware_dir() / "board" / "mps2-an500.ld"
    elf = probes_build.build(chosen, linker_script=script)
    options = ["-M", "mps2-an500", "-nographic", "-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(
        [qemu, *options, "-kernel", str(elf)], capture_output=True, timeout=60, check=True
    )
    told = probes_run.read_cycles((done.stdout + done.stderr).decode(), where="qemu")
    assert list(told) == [probe.id for probe in chosen]
    assert set(run.copy_cycles) < set(told)


@toolchain
def test_build_for_itm_differs_and_names_unknown_consoles(run: probes_run.Run) -> None:
    some = run.tables.probes[:3]
    by_itm = probes_build.build(some, console="itm")
    assert by_itm != probes_build.build(some)
    with pytest.raises(InputError, match="no console 'uart'"):
        probes_build.build(some, console="uart")
    with pytest.raises(InputError, match="no probe to build"):
        probes_build.build([])
