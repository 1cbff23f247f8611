"""What holds for the memory system whatever the program: monotony, independence, parity."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from micro_programs import Program, default_board, default_core
from numpy.typing import NDArray
from random_programs import Run, access_counts, digest, random_run, time_run

from m7sim.board import Board
from m7sim.timing import Timer

pytestmark = pytest.mark.toolchain
SEEDS = st.integers(0, 2**31)
FLASH_PLACES = st.sampled_from([0x0800_0000, 0x0800_0FFA, 0x0020_0006, 0x0020_0100])


def once_through(seed: int, at: int) -> Run:
    run = random_run(seed, n_blocks=20, at=at)
    straight = run._replace(blocks=np.arange(len(run.code.blocks), dtype=np.int32))
    return straight._replace(address=run.address[: int(access_counts(straight).sum())])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, at=FLASH_PLACES, states=st.lists(st.integers(0, 15), min_size=2, max_size=3))
def test_more_wait_states_are_never_faster_on_straight_code(
    seed: int, at: int, states: list[int]
) -> None:
    run = once_through(seed, at)
    board = default_board()
    cycles = [
        time_run(run, board=board.override(flash_wait_states=n))[1].cycles for n in sorted(states)
    ]
    assert cycles == sorted(cycles)


def with_ways(board: Board, name: str, ways: int) -> Board:
    """The same sets with more ways: a larger cache of the same shape."""
    cache = getattr(board, name)
    size = cache.sets * ways * cache.line_bytes
    return dataclasses.replace(
        board, **{name: dataclasses.replace(cache, ways=ways, size_bytes=size)}
    )


def loads(addresses: NDArray[np.uint32], board: Board) -> int:
    program = Program("ldr.w r0, [r4]")
    timer = Timer(default_core().table(), board, program.code)
    timer.feed(np.zeros(len(addresses), np.int32), addresses)
    return timer.result().dcache.misses


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, span=st.sampled_from([0x800, 0x2000, 0x8000]))
def test_more_ways_never_miss_more(seed: int, span: int) -> None:
    """LRU keeps the most recent lines of each set: with more ways, those and others."""
    rng = np.random.default_rng(seed)
    near = rng.integers(-64, 64, 1500).cumsum() * 4
    far = rng.integers(0, span // 4, 1500) * 4
    where = np.where(rng.random(1500) < 0.5, near, far) % span
    addresses = (0x2001_0000 + where).astype(np.uint32)
    board = default_board()
    misses = [loads(addresses, with_ways(board, "dcache", ways)) for ways in (1, 2, 4, 8)]
    assert misses == sorted(misses, reverse=True)
    assert misses[-1] >= len(np.unique(addresses >> 5))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_more_instruction_ways_never_miss_more(seed: int) -> None:
    run = random_run(seed, n_blocks=60, n_executed=400, at=0x0800_0000)
    board = default_board()
    misses = [
        time_run(run, board=with_ways(board, "icache", ways))[1].icache.misses for ways in (1, 2, 4)
    ]
    assert misses == sorted(misses, reverse=True)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, states=st.integers(0, 15))
def test_tcm_does_not_feel_the_rest(seed: int, states: int) -> None:
    """Code in ITCM and data in DTCM: caches, wait states and memories make no difference."""
    run = random_run(seed)
    run = run._replace(
        address=np.where(
            run.address == 0xFFFF_FFFF, run.address, 0x2000_0000 + (run.address & 0xFFF)
        ).astype(np.uint32)
    )
    board = default_board()
    others = (
        board.override(flash_wait_states=states),
        board.override(icache=False, dcache=False, art=False),
    )
    base = digest(*time_run(run))
    assert [digest(*time_run(run, board=other)) for other in others] == [base, base]


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, at=FLASH_PLACES, data=st.data())
def test_pieces_and_plain_python_agree_without_caches(
    seed: int, at: int, data: st.DataObject
) -> None:
    icache, dcache, art = (data.draw(st.booleans()) for _ in range(3))
    board = default_board().override(icache=icache, dcache=dcache, art=art)
    run = random_run(seed, at=at)
    whole = digest(*time_run(run, board=board))
    cuts = data.draw(st.lists(st.integers(0, len(run.blocks)), max_size=6))
    assert digest(*time_run(run, board=board, cuts=cuts)) == whole
    assert digest(*time_run(run, board=board, jit=False)) == whole


def test_one_trace_under_other_boards_and_caches() -> None:
    """What was executed stays; what it costs differs where memory is touched, and only there."""
    run = random_run(11, n_blocks=40, n_executed=400, at=0x0800_0000)
    board = default_board()
    boards = [
        board,
        Board.load("stm32h743"),
        board.override(icache=False),
        board.override(dcache=False),
        board.override(clock_hz=60_000_000),
    ]
    timings = [time_run(run, board=b)[1] for b in boards]
    assert len({t.cycles for t in timings}) == len(boards)
    assert len({t.instructions for t in timings}) == 1
    for timing in timings[1:]:
        assert (timing.executions == timings[0].executions).all()
