"""What a sweep writes: figures that agree with a call made by hand, and failures as rows."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from m7sim import toolchain
from m7sim.characterize import plan, table
from m7sim.characterize.measure import measure
from m7sim.characterize.sweep import Outcome
from m7sim.errors import InputError
from m7sim.ops import kernels
from m7sim.report import characterize as report
from m7sim.report.document import to_json

from .conftest import EXAMPLE, FAULTY, request_for  # isort: skip

pytestmark = pytest.mark.toolchain
Sweeper = Callable[..., Outcome]

RELU = 'schema=1\n[[sweep]]\nop="relu"\nsize=4\nch=8\n'
CONV = 'schema=1\n[[sweep]]\nop="conv"\nsize=6\nin_ch=[3,8]\nout_ch=8\n'


def test_row_equals_a_call_by_hand(sweeper: Sweeper) -> None:
    from m7sim.ops import registry
    from m7sim.session import load

    text = 'schema=1\n[[sweep]]\nop="conv"\nsize=6\nin_ch=8\nout_ch=8\n'
    (row,) = sweeper(text, placements=["dtcm"]).table.rows
    shape = registry.get("conv").shape(size=6, in_ch=8, out_ch=8)
    call = registry.get("conv").workload(shape).call("fast")
    firmware = load(registry.elf())
    result = firmware.call(call.function, *call.arguments, place="DTCM")
    assert row["status"] == "ok"
    assert row["instructions"] == result.instructions
    assert row["cycles"] == pytest.approx(result.cycles, rel=0.01)  # buffers in another order
    assert row["stack_bytes"] == result.stack_bytes
    assert row["function"] == call.function
    assert (row["macs"], row["ops"]) == (shape.macs, 2 * shape.macs)
    assert row["weight_bytes"] == call.parameters["weights"].nbytes + 8
    assert row["scratch_bytes"] == call.scratch_bytes
    assert (row["in_bytes"], row["out_bytes"]) == (6 * 6 * 8, 6 * 6 * 8)


def test_columns_agree_with_each_other(sweeper: Sweeper) -> None:
    done = sweeper(CONV + '[[sweep]]\nop="max_pool"\nsize=6\nch=8\n')
    assert len(done.table.ok) == len(done.table.rows) == 3
    for row in done.table.ok:
        assert tuple(row) == table.NAMES
        stalls = sum(row[name] for name in table.STALL_COLUMNS)
        assert row["issue_cycles"] + stalls == row["cycles"] > 0
        seconds = row["cycles"] / row["clock_hz"]
        assert row["ops_per_s"] == pytest.approx(row["ops"] / seconds)
        assert row["time_ms"] == pytest.approx(1e3 * seconds)
        assert row["energy_nj"] == pytest.approx(1e6 * row["mean_power_mw"] * seconds, rel=1e-6)
        assert row["energy_per_op_nj"] == pytest.approx(row["energy_nj"] / row["ops"], rel=1e-6)
        assert 50 < row["mean_power_mw"] < 1000
        fills = row["icache_misses"] + row["dcache_misses"]
        assert row["line_fill_bytes"] == 32 * fills
    conv, _, pool = done.table.ok
    assert conv["cycles_per_mac"] == pytest.approx(conv["cycles"] / conv["macs"])
    assert pool["cycles_per_mac"] is None
    assert pool["macs"] == 0


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_a_file_reads_back_as_it_was_written(sweeper: Sweeper, name: str) -> None:
    done = sweeper(
        CONV + '[[sweep]]\nop="relu"\nsize=4\n', out=name, variants=("fast", "optimised")
    )
    found = table.read(done.path)
    assert found.rows == done.table.rows
    assert found.header == done.table.header
    assert found.header["schema_version"] == table.SCHEMA_VERSION
    assert not done.path.with_name(f"{name}.journal").exists()
    per_mac = found.column("cycles_per_mac")
    assert per_mac.shape == (2,)
    assert math.isnan(per_mac[-1])
    assert found.column("op").tolist() == ["conv", "relu"]
    assert np.all(found.column("verified"))


def test_each_failure_is_a_row_with_its_reason(sweeper: Sweeper) -> None:
    text = RELU + 'variants="all"\n[[sweep]]\nop="relu"\nsize=4\nch=5\nvariants=["huge","right"]\n'
    text += '[[sweep]]\nop="relu"\nsize=512\nch=4\nvariants="right"\n'
    text += '[[sweep]]\nop="softmax"\n'
    done = sweeper(text, kernels=[FAULTY], limit_instructions=100_000)
    found = {
        (r["variant"], r["in_ch"], r["op"]): (r["status"], r["reason"]) for r in done.table.rows
    }
    expected = {
        ("right", 8, "relu"): ("ok", ""),
        ("wrong", 8, "relu"): ("wrong_result", "1 of 128 outputs differ, the first at [2, 0, 0]"),
        ("refuses", 8, "relu"): ("refused", "refuses returned 128, not 0"),
        ("faults", 8, "relu"): ("fault", "0x90000000"),
        ("overflows", 8, "relu"): ("fault", "stack overflow"),
        ("endless", 8, "relu"): ("limit", "more than 100000 instructions"),
        ("huge", 8, "relu"): ("wrong_result", ""),
        ("wide", 8, "relu"): ("bad_input", "int16"),
        ("huge", 5, "relu"): ("unsupported", "needs in_ch != 5"),
        ("right", 5, "relu"): ("ok", ""),
        ("right", 4, "relu"): ("no_fit", "no room for"),
        ("", 10, "softmax"): ("unsupported", "faulty has no kernel for softmax"),
    }
    del expected["huge", 8, "relu"], found["huge", 8, "relu"]  # see the next test
    assert found.keys() == expected.keys()
    for key, (status, reason) in expected.items():
        assert found[key][0] == status, (key, found[key])
        assert reason in found[key][1]
    for row in done.table.rows:
        assert row["verified"] == (row["status"] == "ok")
        assert row["status"] in table.STATUSES
        assert "\n" not in row["reason"]


def test_a_kernel_that_runs_wild_leaves_the_next_one_alone(sweeper: Sweeper) -> None:
    variants = ("faults", "right", "huge", "overflows", "endless")
    done = sweeper(RELU, kernels=[FAULTY], variants=variants, limit_instructions=50_000_000)
    alone = sweeper(RELU, kernels=[FAULTY], variants=("right",), out="alone.csv")
    status = {row["variant"]: row["status"] for row in done.table.rows}
    assert status["huge"] == "fault"  # beyond the end of the memory
    (right,) = (row for row in done.table.rows if row["variant"] == "right")
    assert right == alone.table.rows[0]


def test_options_that_do_not_compile(sweeper: Sweeper) -> None:
    done = sweeper(RELU, kernels=[FAULTY], cflags=["", "-DBROKEN"], variants=("right",))
    good, bad = done.table.rows
    assert (good["status"], good["cflags"]) == ("ok", "")
    assert (bad["status"], bad["cflags"]) == ("compile_error", "-DBROKEN")
    assert "these options do not compile" in bad["reason"]


def test_two_labels_of_one_content_are_measured_once(sweeper: Sweeper) -> None:
    done = sweeper(CONV, cflags=["", "-Wall"], placements=["flash+sram", "weights=flash"])
    assert len(done.table.rows) == 8
    assert done.measured == 2
    by_content: dict[str, set[tuple[int, str]]] = {}
    for row in done.table.rows:
        by_content.setdefault(row["content_hash"], set()).add((row["cycles"], row["shape"]))
    assert [len(found) for found in by_content.values()] == [1, 1]


def test_cold_and_warm(sweeper: Sweeper) -> None:
    cold = sweeper(CONV, out="cold.csv").table.rows
    warm = sweeper(CONV, out="warm.csv", start="warm").table.rows
    for before, after in zip(cold, warm, strict=True):
        assert after["status"] == "ok"
        assert after["cycles"] < before["cycles"]
        assert after["instructions"] == before["instructions"]
        assert after["icache_misses"] < before["icache_misses"]


def test_a_longer_sweep_reuses_the_rows_of_a_shorter(sweeper: Sweeper) -> None:
    first = sweeper(CONV)
    more = CONV.replace("[3,8]", "[3,8,16]")
    second = sweeper(more)
    assert (second.measured, second.known) == (1, 2)
    assert second.table.rows[:2] == first.table.rows
    with pytest.raises(InputError, match=r"holds 1 rows that are not in this sweep.*--replace"):
        sweeper(CONV)
    third = sweeper(CONV, replace=True)
    assert (third.measured, third.known) == (0, 2)
    assert third.table.rows == first.table.rows


def test_another_limit_measures_what_reached_it_again(sweeper: Sweeper) -> None:
    low = sweeper(CONV, limit_instructions=10_000)
    assert {row["status"] for row in low.table.rows} == {"limit"}
    same = sweeper(CONV, limit_instructions=10_000)
    assert same.measured == 0
    high = sweeper(CONV)
    assert high.measured == 2
    assert {row["status"] for row in high.table.rows} == {"ok"}


def test_data_that_no_memory_holds_are_not_even_made(sweeper: Sweeper) -> None:
    text = 'schema=1\n[[sweep]]\nop="fc"\nin_len=65536\nout_len=65536\n'
    (row,) = sweeper(text).table.rows
    assert row["status"] == "no_fit"
    assert "4294967296 bytes; the largest memory, FLASH" in row["reason"]


def test_summary(sweeper: Sweeper) -> None:
    done = sweeper(
        RELU, kernels=["ours", FAULTY], variants=("optimised", "naive", "right", "wrong")
    )
    text = report.render(done)
    assert re.search(r"relu +ours +optimised +1/1 +\d+\.\d", text)
    assert re.search(r"relu +faulty +wrong +0/1", text)
    assert "wrong_result  1 of relu, the first: faulty wrong 4x4x8: 1 of 128 outputs" in text
    assert max(map(len, text.splitlines())) <= 100
    assert not report.succeeded(done.table)
    document = json.loads(to_json(report.document(done)))
    assert [each["failures"] for each in document["summary"]] == [0, 0, 0, 1]
    (failure,) = document["failures"]
    assert failure["status"] == "wrong_result"
    fine = sweeper(RELU, out="fine.csv")
    assert report.succeeded(fine.table)
    assert "Every point was verified" in report.render(fine)


def test_another_version_on_a_worker_is_an_error(tmp_path: Path) -> None:
    rows = plan.plan(request_for(RELU, tmp_path))
    point = rows[0].point
    assert point is not None
    other = replace(point, setup=replace(point.setup, model="other"))
    with pytest.raises(InputError, match="another version of m7sim"):
        measure([other])


@pytest.mark.parametrize("board", ["stm32h743", "imxrt1062"])
def test_other_boards(sweeper: Sweeper, board: str) -> None:
    done = sweeper(CONV, boards=[board])
    assert {row["status"] for row in done.table.rows} == {"ok"}
    assert {row["board"] for row in done.table.rows} == {board}


def test_two_libraries_beside_each_other(sweeper: Sweeper) -> None:
    text = CONV + '[[sweep]]\nop="fc"\nin_len=[7,64]\nout_len=[9,16]\n'
    done = sweeper(text, kernels=["ours", EXAMPLE])
    assert [(r["kernels"], r["status"]) for r in done.table.rows] == [
        ("ours", "ok"),
        ("direct", "ok"),
    ] * 6


def test_what_concerns_the_whole_sweep_is_an_error(sweeper: Sweeper, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no kernel variant 'fats'.*Did you mean fast"):
        sweeper(CONV, variants=("fats",))
    with pytest.raises(InputError, match="two libraries are called 'ours'"):
        sweeper(CONV, kernels=["ours", "ours"])
    with pytest.raises(InputError, match=r"no table format '.xlsx'"):
        sweeper(CONV, out="out.xlsx")
    (tmp_path / "out.csv").write_text("my own notes\n")
    with pytest.raises(InputError, match="not a characterization table"):
        sweeper(CONV)
    assert (tmp_path / "out.csv").read_text() == "my own notes\n"


def test_sources_elsewhere_are_the_same_content(
    sweeper: Sweeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = sweeper(CONV, out="here.csv").table.rows
    copy = tmp_path / "copy"
    shutil.copytree(toolchain.firmware_dir(), copy)
    first = kernels.kernel_elf().read_bytes()
    monkeypatch.setattr(toolchain, "firmware_dir", lambda: copy)
    assert first != kernels.kernel_elf().read_bytes()  # debug information names the sources
    assert sweeper(CONV, out="copied.csv").table.rows == here
