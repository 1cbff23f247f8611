"""All ways of timing agree on real programs: kernels, newlib, irregular code, on several boards."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from micro_programs import default_core
from random_programs import digest

from m7sim import session, toolchain
from m7sim.board import Board
from m7sim.isa.code import Code
from m7sim.ops.kernels import kernel_includes, kernel_sources
from m7sim.timing import Timer
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.plan import PlanArrays

pytestmark = pytest.mark.toolchain

# workload and how often: some 100 000 instructions each
REPEATS = {
    "conv3x3": 1, "conv1x1": 1, "fc": 4, "depthwise": 1, "max_pool": 1, "float_dot": 10,
    "memcpy": 5, "table_lookup": 1000, "list_chase": 10_000, "qsort": 1, "state_machine": 2000,
    "printf": 20,
}  # fmt: skip
PLAIN_BLOCKS = 400


@cache
def elf() -> Path:
    firmware = toolchain.firmware_dir()
    names = ("board/startup.c", "board/syscalls.c", "bench/workloads.c", "bench/main.c")
    return toolchain.build(
        [*kernel_sources(), *(firmware / name for name in names)],
        include=kernel_includes(),
        link_flags=("-nostartfiles", "-Wl,--gc-sections"),
    )


@cache
def recorded(name: str) -> tuple[Code, list[Chunk], PlanArrays]:
    firmware = session.load(elf(), time=False)
    firmware.read("bench_sink", 4)  # sets the machine up
    live = firmware._live
    assert live is not None
    chunks: list[Chunk] = []
    live.capture.on_chunk = chunks.append
    firmware.call(f"bench_{name}", REPEATS[name])
    return live.capture.code, chunks, live.capture.plan()


def timed(
    name: str, board: Board, *, jit: bool = True, memo: bool = True, blocks: int | None = None
) -> str:
    code, chunks, plan = recorded(name)
    timer = Timer(default_core().table(), board, code, jit=jit, memo=memo)
    cycles = []
    for chunk in chunks:
        addresses = resolve(chunk, plan)
        executed = chunk.blocks[:blocks]
        used = int(np.diff(plan.access_first)[executed].sum())
        cycles.append(timer.feed(executed, addresses[:used]))
        if blocks is not None:
            break
    return digest(np.concatenate(cycles), timer.result())


@pytest.mark.parametrize("name", REPEATS)
def test_memo_equals_walk(name: str) -> None:
    for board in (
        Board.load("stm32f746"),
        Board.load("stm32f746").override(icache=False, dcache=False),
        Board.load("stm32h743"),
    ):
        assert timed(name, board) == timed(name, board, memo=False)


@pytest.mark.parametrize("name", REPEATS)
def test_plain_python_equals_jitted(name: str) -> None:
    board = Board.load("stm32f746")
    expected = timed(name, board, blocks=PLAIN_BLOCKS)
    assert timed(name, board, blocks=PLAIN_BLOCKS, jit=False) == expected
    assert timed(name, board, blocks=PLAIN_BLOCKS, jit=False, memo=False) == expected
