"""``m7sim probes`` as a person meets it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from m7sim import cli
from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.isa.classes import CLASS_INDEX
from m7sim.isa.decode import decode_range
from m7sim.report import probes as report
from m7sim.report import probes_figure
from m7sim.validate import probes_run

pytestmark = pytest.mark.toolchain


@pytest.fixture(scope="module")
def run() -> probes_run.Run:
    return probes_run.run()


def test_text_names_every_fact_and_fits(run: probes_run.Run) -> None:
    lines = report.render(run).splitlines()
    text = "\n".join(lines)
    assert all(outcome.fact.id in text for outcome in run.outcomes)
    assert "V, vendor document" in text
    assert all(o.reason[:40] in text for o in run.outcomes if o.verdict == "exception")
    tables = [line for line in lines if line.startswith(("latency.", "pair."))]
    assert max(map(len, tables)) <= 100


def test_document(run: probes_run.Run) -> None:
    doc = json.loads(json.dumps(report.document(run), allow_nan=False))
    assert doc["schema_version"] == 1
    assert doc["configuration"]["board"] == "stm32f746"
    facts = {fact["id"]: fact for fact in doc["facts"]}
    mul = facts["latency.mul.late"]
    assert (mul["grade"], mul["expected_cycles"], mul["modelled_cycles"]) == ("M", 2, 2)
    assert mul["holds"] is True
    assert "JNK" in mul["source"]
    assert facts["pair.mul.store"]["choice"]
    assert facts["double.vdiv"]["holds"] is None
    excepted = facts["multiple.no_slack"]
    assert excepted["holds"] is False
    assert excepted["reason"]
    grades = doc["summary"]["grades"]
    assert grades["V"]["share"] == 1.0
    assert sum(doc["summary"]["verdicts"].values()) == len(doc["facts"])


def test_matrix_agrees_with_the_core_table(run: probes_run.Run) -> None:
    """What runs measure is what the table bars, except for banks, which depend on addresses."""
    rows = list(csv.reader(io.StringIO(probes_figure.table(run))))
    names = rows[0][1:]
    assert [row[0] for row in rows[1:]] == names
    table = Core.load("cortex_m7").table()
    image = Image.load(run.elf)
    klass = {}
    applicable = [probe.id for probe in run.tables.of_board(Board.load("stm32f746"))]
    index = {id_: k for k, id_ in enumerate(applicable)}
    for name in names:
        at = image.symbol(f"probe_{index[f'pair.{name}.{name}']}_2n").address & ~1
        code = image.read(at, 8)
        assert code is not None
        klass[name] = CLASS_INDEX[decode_range(code, at)[0].klass]
    loads = {"load_even", "load_odd", "vldr"}
    for older, *cells in rows[1:]:
        for younger, cell in zip(names, cells, strict=True):
            if {older, younger} <= loads or (older, younger) == ("vfma", "vadd"):
                continue
            assert (cell == "0") == bool(table.pair[klass[older], klass[younger]]), (older, younger)


def test_figures(run: probes_run.Run, tmp_path: Path) -> None:
    for name in ("pairs.svg", "pairs.csv"):
        probes_figure.write(run, tmp_path / name)
    drawn = (tmp_path / "pairs.svg").read_text()
    assert drawn.startswith("<?xml")
    rows = (tmp_path / "pairs.csv").read_text().splitlines()
    shown = probes_figure.kinds(run)
    assert len(rows) == len(shown) + 1
    cell = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    assert cell["older"] == "add"
    assert (cell["add"], cell["extend"], cell["load_double"]) == ("1", "0", "0")


def test_command(run: probes_run.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elf = tmp_path / "probes.elf"
    chip = tmp_path / "board.csv"
    cycles = dict(run.copy_cycles) | {"it.slot": run.copy_cycles["it.slot"] + 1}
    chip.write_text(
        "id,copies,cycles\n"
        + "".join(f"{i},{n},{n * c:.0f}\n" for i, c in cycles.items() for n in (20, 40))
    )
    assert cli.main(["probes", "--only", "it", "--elf", str(elf), "-o", str(tmp_path / "o")]) == 0
    assert Image.load(elf).symbol("probe_measure")
    assert "it.failed_load_multiple" in (tmp_path / "o").read_text()
    assert cli.main(["probes", "--json", "--compare", str(chip), "-o", str(tmp_path / "j")]) == 1
    doc = json.loads((tmp_path / "j").read_text())
    assert [d["id"] for d in doc["comparison"]["differences"]] == ["it.slot"]
    assert cli.main(["probes", "--only", "it.slt"]) == 2
    assert "Did you mean it.slot" in capsys.readouterr().err
    assert cli.main(["probes", "--only", "it", "--compare", str(tmp_path / "none.csv")]) == 2
    assert "none.csv: cannot read" in capsys.readouterr().err
