"""The text and the document say the same, open with the configuration, and their sums hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from m7sim.profile import FunctionCost, LineCost
from m7sim.profile.branches import BranchCost
from m7sim.profile.result import CallResult, Configuration, RowUse, RunResult
from m7sim.report import document, text
from m7sim.report.layout import Style

CONFIGURATION = Configuration(
    elf="build/fw.elf",
    elf_sha256="0123456789abcdef" * 4,
    compiler="GCC: (15:12.2.rel1-1) 12.2.1 20221205",
    entry="reset",
    arguments="",
    board="stm32f746",
    clock_hz=216_000_000,
    core="cortex_m7",
    core_revision="r0p1",
    memories=("ITCM 16 KiB", "DTCM 64 KiB", "flash 1 MiB"),
    caches=("I 4 KiB 2-way", "D 4 KiB 4-way"),
    warm=False,
    timed=True,
    not_modelled=("flash prefetch", "interrupts"),
    versions={"m7sim": "0.1.0"},
)


def profile() -> SimpleNamespace:
    lines = tuple(
        LineCost("src/kernel.c", n, f"sum += a[{n}]; /* [b]not markup[/b] */", "kernel", 600 - n,
                 100, 300, {"load_use": 300 - n})
        for n in range(30)
    )  # fmt: skip
    functions = (
        FunctionCost(
            "kernel", 0x0800_0100, "src/kernel.c", 900, 900, 1500, 2, 600, {"load_use": 300}
        ),
        FunctionCost(
            "a_rather_long_name_" * 6, 0x0800_0200, "", 100, 1000, 80, 1, 90, {"fetch": 10}
        ),
    )
    branches = (
        BranchCost(0x0800_0110, "bne.n #0x8000100", "kernel", "src/kernel.c", 7, 30, 28, 2, 10),
        BranchCost(0x0800_0210, "bx lr", "a_rather_long_name_" * 6, "", 0, 10, 10, 0, 0),
    )
    return SimpleNamespace(functions=functions, lines=lines, branches=branches)


def run_result(**changes: Any) -> RunResult:
    values: dict[str, Any] = {
        "configuration": CONFIGURATION,
        "instructions": 1580,
        "cycles": 1000,
        "issue_cycles": 690,
        "dual_issued": 345,
        "stalls": {"load_use": 300, "fetch": 10},
        "profile": profile(),
        "statistics": {"branches": 40, "mispredicted": 2},
        "rows": (
            RowUse("mul", "measured", "JNK", 1000),
            RowUse("usad8", "guess", "nobody says", 79),
        ),
        "stop_reason": "exit",
        "message": "the firmware ended with exit code 0",
        "exit_code": 0,
        "console": b"hello\n",
    }
    return RunResult(**{**values, **changes})


@pytest.mark.parametrize("width", [80, 100])
def test_text_fits_and_opens_with_the_configuration(width: int) -> None:
    report = text.render(run_result(), style=Style(width=width))
    lines = report.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:2] == ["ELF", "build/fw.elf"]
    order = ["stm32f746 at 216 MHz", "not modelled", "instructions", "Cycles by cause",
             "Functions", "Hottest lines", "Branches by cost", "nobody measured"]  # fmt: skip
    places = [report.index(word) for word in order]
    assert places == sorted(places)
    assert "\x1b" not in report
    assert not any(line != line.rstrip() for line in lines)


def test_text_says_the_figures_with_units() -> None:
    report = text.render(run_result())
    for word in ("1 580", "4.63 µs at 216 MHz", "1.580 instructions per cycle", "50.0 % of issue"):
        assert word in report
    assert "[b]not markup[/b]" in report
    assert "usad8" in report
    assert "\nmul " not in report


def test_branches_predicted_wrongly_are_listed() -> None:
    report = text.render(run_result())
    section = report[report.index("Branches by cost of wrong predictions (1)") :]
    row = next(line for line in section.splitlines() if "kernel.c:7" in line)
    assert row.split()[:6] == ["2", "30", "28", "10", "1.0", "kernel"]
    assert "bx lr" not in report
    listed = document.document(run_result())["branches"]
    assert [(b["address"], b["mispredicted"], b["penalty_cycles"]) for b in listed] == [
        (0x0800_0110, 2, 10),
        (0x0800_0210, 0, 0),
    ]


def test_text_stall_table_sums() -> None:
    report = text.render(run_result())
    table = report[report.index("Cycles by cause") :].split("\n\n")[0].splitlines()[2:]
    cells = [re.split(r"\s{2,}", row) for row in table]
    cycles = {row[0]: int(row[1].replace(" ", "")) for row in cells}
    assert cycles == {"issue": 690, "load_use": 300, "fetch": 10, "total": 1000}


def test_colours_only_when_asked() -> None:
    assert "\x1b[" in text.render(run_result(), style=Style(color=True))


def test_function_only_run_says_so() -> None:
    bare = run_result(profile=None, cycles=0, issue_cycles=0, dual_issued=0, stalls={}, rows=())
    timed = Configuration(**{**vars(CONFIGURATION), "timed": False})
    report = text.render(run_result(**{**vars(bare), "configuration": timed}))
    assert "not modelled in this run" in report
    assert "IPC" not in report


def test_nothing_executed_yet() -> None:
    """As after Ctrl-C in the first moment."""
    nothing = SimpleNamespace(functions=(), lines=(), branches=())
    values = {"instructions": 0, "cycles": 0, "issue_cycles": 0, "dual_issued": 0, "stalls": {}}
    result = run_result(**values, profile=nothing, rows=(), exit_code=None)
    assert "instructions  0" in text.render(result)
    assert json.loads(document.to_json(document.document(result)))["ipc"] == 0


def test_document() -> None:
    result = run_result()
    doc = json.loads(document.to_json(document.document(result)))
    assert list(doc)[:4] == ["schema_version", "configuration", "cycles", "instructions"]
    assert doc["configuration"]["clock_hz"] == 216_000_000
    assert doc["issue_cycles"] + sum(doc["stalls"].values()) == doc["cycles"] == 1000
    assert doc["time_ms"] == pytest.approx(1000 / 216e3)
    assert (doc["ipc"], doc["dual_issue_share"]) == (1.58, 0.5)
    assert doc["functions"][0]["stalls"] == {"load_use": 300}
    assert set(doc["functions"][0]) >= {
        "name", "file", "self_cycles", "inclusive_cycles", "instructions", "calls", "stalls",
    }  # fmt: skip
    assert doc["lines"][0]["line"] == 0
    assert (doc["exit_code"], doc["stop_reason"], doc["console"]) == (0, "exit", "hello\n")


def test_document_of_a_call() -> None:
    of_runs = {"stop_reason", "message", "exit_code", "console", "trace_bytes"}
    values = {k: v for k, v in vars(run_result()).items() if k not in of_runs}
    doc = document.document(CallResult(**values, value=7, stack_bytes=64))
    assert doc["stack_bytes"] == 64
    assert "exit_code" not in doc


def test_document_is_the_same_every_time(tmp_path: Path) -> None:
    once, again = (document.to_json(document.document(run_result())) for _ in range(2))
    assert once == again
