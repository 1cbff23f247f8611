"""Firmware that switches caches, cleans them and sets up the MPU, from reset."""

from __future__ import annotations

from pathlib import Path

import pytest

import m7sim
from m7sim import toolchain
from m7sim.board import Board
from m7sim.profile.result import RunResult

pytestmark = pytest.mark.toolchain

PROGRAM = Path(__file__).parent / "programs" / "control.c"
LINES = 256 * 4 // 32


def build(*flags: str) -> Path:
    folder = toolchain.firmware_dir()
    return toolchain.build(
        [folder / "board" / "startup.c", folder / "board" / "syscalls.c", PROGRAM],
        flags=("-O2", "-g", "-DM7_ARGUMENTS=0", *flags),
        include=(folder / "include",),
        link_flags=("-nostartfiles", "-Wl,--gc-sections"),
    )


@pytest.fixture(scope="module")
def run() -> RunResult:
    return m7sim.load(build()).run()


def stalls(result: RunResult, function: str) -> dict[str, int]:
    assert result.profile is not None
    return next(f.stalls for f in result.profile.functions if f.name == function)


def test_each_step_costs_what_it_should(run: RunResult) -> None:
    board = Board.load("stm32f746")
    sram = board.region("SRAM1")
    least = LINES * sram.line_fill_cycles
    # start-up code zeroed the memory, so some of its lines are there already
    assert 0.7 * least <= stalls(run, "read_default")["dcache_sram"] < 1.6 * least
    assert "dcache_sram" not in stalls(run, "read_again")
    assert least <= stalls(run, "read_cleaned")["dcache_sram"] < 1.6 * least
    uncached = stalls(run, "read_uncached")
    assert uncached["data_uncached"] >= 256 * sram.read_latency_cycles
    assert "dcache_sram" not in uncached


def test_caches_left_off() -> None:
    result = m7sim.load(build("-DM7_CACHES=0")).run()
    assert stalls(result, "read_default")["data_uncached"] > 0
    assert stalls(result, "read_again")["fetch_uncached"] > 0
    assert result.statistics["icache_misses"] == result.statistics["dcache_misses"] == 0


def test_what_if_the_caches_were_off(run: RunResult) -> None:
    board = Board.load("stm32f746").override(icache=False, dcache=False)
    result = m7sim.load(build(), board=board).run()
    assert result.instructions == run.instructions
    assert result.statistics["dcache_misses"] == 0
    assert result.cycles > run.cycles


def test_replay_gives_the_same(tmp_path: Path) -> None:
    trace = tmp_path / "run.npz"
    live = m7sim.load(build()).run(trace=trace)
    again = m7sim.replay(trace)
    assert (again.cycles, again.stalls) == (live.cycles, live.stalls)
    assert again.statistics == live.statistics


def test_function_calls_have_the_caches_on() -> None:
    firmware = m7sim.load(build("-DM7_CACHES=0"))
    cold = firmware.call("read_default")
    assert LINES <= cold.statistics["dcache_misses"] <= LINES + 3  # constants beside the data
    firmware.close()
