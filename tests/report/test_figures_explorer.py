"""The explorer splits cycles without a rest, finds steps that are there, and says why."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from m7sim import cli
from m7sim.board import Board
from m7sim.characterize import table
from m7sim.commands.explore import fixed_of, sweep_of
from m7sim.errors import InputError
from m7sim.ops import registry
from m7sim.report import explorer, explorer_view
from m7sim.report.explorer import BANK, CACHE, ISSUE, PARTS, Step, find_cliffs, parts_of

BOARD = Board.load("stm32f746")


def step(value: int, variant: str = "fast", **parts: float) -> Step:
    """A convolution whose cost is made of the given parts; underscores stand for blanks."""
    named = {name.replace("_", " "): cycles for name, cycles in parts.items()}
    shape = registry.get("conv").shape(size=8, in_ch=value, out_ch=32)
    row = {"variant": variant, "weight_bytes": shape.weights, "instructions": 2 * shape.macs,
           "dual_issued": shape.macs, "dcache_misses": 0, "branches_mispredicted": 0}  # fmt: skip
    return Step(value, row, shape, dict.fromkeys(PARTS, 0.0) | named)


def test_what_is_paid_per_output_is_no_cliff() -> None:
    chain = [step(k, issue=1.2 + 6 / k, mispredict=2 / k) for k in range(4, 128, 4)]
    assert find_cliffs(chain, 0.02) == []


def test_a_rise_is_a_cliff() -> None:
    chain = [step(k, issue=1.2 + 6 / k, bank_conflict=0.3 * (k >= 40)) for k in range(4, 80, 4)]
    (cliff,) = find_cliffs(chain, 0.04)
    assert (cliff.before.value, cliff.after.value) == (36, 40)
    assert cliff.main_parts == (BANK,)
    assert find_cliffs(chain, 0.5) == []


def test_a_fall_that_size_cannot_explain_is_a_cliff() -> None:
    chain = [step(k, issue=1.2, unaligned=0.5 * (k % 8 == 4)) for k in range(4, 24, 4)]
    found = [(c.before.value, c.after.value, c.change > 0) for c in find_cliffs(chain, 0.04)]
    assert found == [(4, 8, False), (8, 12, True), (12, 16, False), (16, 20, True)]
    steep = [step(10, issue=8.0), step(11, issue=2.0)]
    assert len(find_cliffs(steep, 0.04)) == 1


def test_a_cache_that_overflows_slowly_is_one_cliff() -> None:
    waits = [0.0, 0.0, 0.03, 0.06, 0.09, 0.12, 0.12, 0.12]
    chain = [step(4 * k + 4, issue=1.0, data_cache=wait) for k, wait in enumerate(waits)]
    (cliff,) = find_cliffs(chain, 0.04)
    assert cliff.part == CACHE
    assert (cliff.before.value, cliff.after.value) == (8, 24)
    assert cliff.change == pytest.approx(0.12)


def test_another_kernel_is_a_cliff_and_its_own_trend_goes_on() -> None:
    chain = [step(k, *((("fast"),) if k % 4 == 0 else ("basic",)), issue=1.0 + (k % 4 > 0))
             for k in range(8, 17)]  # fmt: skip
    found = find_cliffs(chain, 0.04)
    assert [(c.before.value, c.after.value) for c in found] == [
        (8, 9),
        (11, 12),
        (12, 13),
        (15, 16),
    ]
    assert all(cliff.kernel_changed for cliff in found)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("in_ch=3..6", [3, 4, 5, 6]),
        ("in_ch = 4..16+4", [4, 8, 12, 16]),
        ("in_ch=4..40*2", [4, 8, 16, 32]),
        ("in_ch=32,3,3,8..9", [3, 8, 9, 32]),
    ],
)
def test_sweeps(text: str, values: list[int]) -> None:
    assert sweep_of(text) == ("in_ch", values)


@pytest.mark.parametrize(
    "text", ["in_ch", "in_ch=", "=3", "in_ch=a", "in_ch=4..2", "in_ch=0..3", "in_ch=1..9*1",
             "in_ch=1..99999", "in_ch=3,", "in_ch=1..5+0"]
)  # fmt: skip
def test_what_is_no_sweep(text: str) -> None:
    with pytest.raises(InputError, match="is no sweep"):
        sweep_of(text)


def test_fixed() -> None:
    assert fixed_of(["out_ch=32, kernel=3", "size=8"]) == {"out_ch": 32, "kernel": 3, "size": 8}
    for wrong in ("a", "a=", "a=b", "a=1,a=2"):
        with pytest.raises(InputError, match="--fixed"):
            fixed_of([wrong])


# The command ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("explore")
    words = ["--sweep", "in_ch=8..24", "--fixed", "out_ch=32,kernel=3,size=6", "--jobs", "1"]
    code = cli.main(
        ["explore", "conv", *words, "--out", str(out), "--json", "-o", str(out / "doc.json")]
    )
    assert code == 0
    return out, json.loads((out / "doc.json").read_text(encoding="utf-8"))


@pytest.mark.toolchain
def test_parts_sum_to_the_cycles(explored: Any) -> None:
    out, _ = explored
    for row in table.read(out / "explore_conv_in_ch_sweep.csv").rows:
        parts = parts_of(row)
        assert sum(parts.values()) == row["cycles"]
        assert min(parts.values()) >= 0
        assert parts[ISSUE] + parts[BANK] == row["issue_cycles"]
    with (out / "explore_conv_in_ch.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["in_ch"]) for row in rows] == list(range(8, 25))
    for row in rows:
        whole = sum(float(v) for k, v in row.items()
                    if k.endswith("_cycles_per_mac") and k != "cycles_per_mac")  # fmt: skip
        assert whole == pytest.approx(float(row["cycles_per_mac"]), rel=1e-6)


@pytest.mark.toolchain
def test_cliffs_are_named_in_words(explored: Any) -> None:
    _, document = explored
    texts = [cliff["text"] for cliff in document["cliffs"]]
    kernel = next(t for t in texts if "kernel basic instead of fast" in t)
    assert "in_ch 8 to 9, 12 to 13" in kernel
    assert "needs in_ch a multiple of 4" in kernel
    assert "unaligned" in kernel
    assert "more than a multiple of 4" in kernel
    # 32 filters of 9 taps: 4 KiB lie between 14 and 15 channels, of the quick kernel 12 and 16
    cache = next(t for t in texts if "no longer fit the D-cache of 4 KiB" in t)
    assert "12 to " in cache
    assert document["unit"] == "MAC"
    assert document["failures"] == []


@pytest.mark.toolchain
def test_picture_and_text_for_ops_without_macs(tmp_path: Path, capsys: Any) -> None:
    words = ["--sweep", "ch=4..12+4", "--fixed", "size=6", "--jobs", "1", "--out", str(tmp_path)]
    assert cli.main(["explore", "max_pool", *words]) == 0
    text = capsys.readouterr().out
    assert "Cycles per Op of max_pool" in text
    assert (tmp_path / "explore_max_pool_ch.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "explore_max_pool_ch.svg").is_file()


@pytest.mark.toolchain
def test_point_that_does_not_fit_is_said_and_the_others_shown(capsys: Any) -> None:
    words = ["--sweep", "in_len=64,65536", "--fixed", "out_len=32", "--jobs", "1"]
    assert cli.main(["explore", "fc", *words]) == 0
    text = capsys.readouterr().out
    assert "no figures for in_len=65536" in text
    assert "an array of 2097152 bytes" in text


@pytest.mark.toolchain
def test_sweep_that_crosses_into_another_operation(capsys: Any) -> None:
    """A 1x1 kernel makes another operation, with kernels of its own."""
    fixed = ["--fixed", "in_ch=8,out_ch=4,size=6", "--jobs", "1"]
    assert cli.main(["explore", "conv", "--sweep", "kernel=1,3", *fixed]) == 0
    assert "kernel fast instead of 1x1" in capsys.readouterr().out
    words = ["--sweep", "kernel=1,3", "--variant", "1x1", *fixed]
    assert cli.main(["explore", "conv", *words]) == 0
    assert "kernel=3: no kernel of this variant" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["convv", "--sweep", "in_ch=1..4"], "Did you mean conv"),
        (["conv", "--sweep", "channels=1..4"], "no parameter 'channels'"),
        (["conv", "--sweep", "in_ch=1..4", "--fixed", "in_ch=3"], "in --sweep and in --fixed"),
        (["conv", "--sweep", "in_ch=1..4", "--threshold", "0"], "threshold"),
    ],
)
def test_what_cannot_be_explored(words: list[str], said: str, capsys: Any) -> None:
    assert cli.main(["explore", *words]) == 2
    assert said in capsys.readouterr().err


def test_nothing_to_say_is_said() -> None:
    swept = table.Table(
        ({"board": "stm32f746", "clock_hz": 1, "core": "c", "kernels": "ours", "cflags": "",
          "placement": "auto", "start": "cold"},), {},
    )  # fmt: skip
    steps = tuple(step(k, issue=1.0) for k in (4, 8))
    for each in steps:
        each.row["ops_per_s"] = 1e6  # type: ignore[index]
    flat = explorer.Exploration("conv", "in_ch", swept, BOARD, steps, (), "MAC", 0.04)
    assert "No cliff" in explorer_view.render(flat)
