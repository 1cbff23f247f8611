"""The memo against the walk that defines the model: the same cycles, stalls and counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from micro_programs import Program, default_board, default_core
from random_programs import Run, digest, random_run, slower_board, striding, time_run

from m7sim.board import Board
from m7sim.machine.events import CACHES, MAINTENANCE, MPU, MemoryEvent
from m7sim.timing import Timer
from m7sim.timing.caches import DCCIMVAC
from m7sim.timing.memo import MOST_RECORDED, WINDOW_BLOCKS
from m7sim.timing.memotables import Sizes

pytestmark = pytest.mark.toolchain
PLACES = st.sampled_from([0x100, 0x102, 0x0800_0000, 0x0800_0FFA, 0x2001_0004, 0x0020_0006])
SEEDS = st.integers(0, 2**31)
TINY = Sizes(states=8, paths=16, nodes=256, parts=4096)


BOARDS = (
    default_board(),
    default_board().override(icache=False, dcache=False),
    default_board().override(icache=False, art=False),
    slower_board(line_fill_cycles=40, read_latency_cycles=60),
    Board.load("stm32h743"),
    Board.load("imxrt1062"),
)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, at=PLACES, strides=st.booleans(), board=st.sampled_from(BOARDS))
def test_memo_equals_walk(seed: int, at: int, strides: bool, board: Board) -> None:
    run = random_run(seed, n_blocks=8, n_executed=1500, at=at)
    if strides:
        run = striding(run, seed)
    assert digest(*time_run(run, board=board)) == digest(*time_run(run, board=board, memo=False))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, at=PLACES, data=st.data())
def test_tables_that_overflow_change_nothing(seed: int, at: int, data: st.DataObject) -> None:
    run = striding(random_run(seed, n_blocks=8, n_executed=600, at=at), seed)
    cuts = data.draw(st.lists(st.integers(0, len(run.blocks)), max_size=6))
    whole = digest(*time_run(run, memo=False))
    assert digest(*time_run(run, memo=TINY)) == whole
    assert digest(*time_run(run, memo=TINY, cuts=cuts)) == whole
    assert digest(*time_run(run, cuts=cuts)) == whole


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, at=PLACES)
def test_plain_memo_equals_jitted_walk(seed: int, at: int) -> None:
    run = striding(random_run(seed, at=at, n_executed=200), seed)
    assert digest(*time_run(run, jit=False)) == digest(*time_run(run, memo=False))
    assert digest(*time_run(run, jit=False, memo=TINY)) == digest(*time_run(run))


@pytest.mark.parametrize("change", [
    {"fetch_queue_entries": 1}, {"fetch_queue_entries": 8}, {"predictor_history_bits": 3},
    {"predictor_static_backward": 1}, {"early_flags_distance_cycles": 9},
    {"taken_branch_pairs_target": 0}, {"return_stack_entries": 0}, {"linefill_buffers": 4},
])  # fmt: skip
def test_memo_equals_walk_on_other_cores(change: dict[str, int]) -> None:
    table = default_core().table()
    table = table._replace(parameters=table.parameters._replace(**change))
    for seed in range(12):
        run = striding(random_run(seed, n_executed=600, at=0x0800_0000), seed)
        feeds = []
        for memo in (True, False):
            timer = Timer(table, default_board(), run.code, memo=memo)
            feeds.append(digest(timer.feed(run.blocks, run.address), timer.result()))
        assert feeds[0] == feeds[1]


def counts(run: Run) -> np.void:
    timer = Timer(default_core().table(), default_board(), run.code)
    timer.feed(run.blocks, run.address)
    return timer.memo_counts


def test_a_loop_is_walked_once() -> None:
    program = Program("1: ldr r0, [r1], #4\nadd r2, r0\nsubs r3, #1\nbne 1b")
    blocks = np.zeros(50_000, np.int32)
    address = (0x2000_0000 + 4 * (np.arange(50_000) % 4096)).astype(np.uint32)
    found = counts(Run(program.code, blocks, address))
    assert found["recorded"] < 20
    assert found["walked"] == 0


def test_what_never_repeats_is_walked() -> None:
    """Random bank patterns of many loads: more paths than it pays to record."""
    program = Program("\n".join(["ldr r0, [r1]"] * 24) + "\nb .")
    rng = np.random.default_rng(7)
    blocks = np.zeros(4 * WINDOW_BLOCKS, np.int32)
    address = (0x2000_0000 + 4 * rng.integers(0, 4096, 24 * len(blocks))).astype(np.uint32)
    run = Run(program.code, blocks, address)
    found = counts(run)
    assert found["recorded"] >= MOST_RECORDED
    assert found["walked"] >= 2 * WINDOW_BLOCKS
    assert digest(*time_run(run)) == digest(*time_run(run, memo=False))


def test_tables_stay_within_their_sizes() -> None:
    run = random_run(3, n_blocks=60, n_executed=8000)
    timer = Timer(default_core().table(), default_board(), run.code, memo=TINY)
    timer.feed(run.blocks, run.address)
    found = timer.memo_counts
    assert found["emptied"] > 10
    for name, most in TINY._asdict().items():
        assert found[name] <= most


EVENTS: dict[str, tuple[MemoryEvent, ...]] = {
    "caches off and on": (MemoryEvent(CACHES, (0, 0)), MemoryEvent(CACHES, (1, 1))),
    "clean a line": (MemoryEvent(MAINTENANCE, (DCCIMVAC, 0x2001_0000)),),
    "flash uncached": (MemoryEvent(MPU, (5, 0x0800_0000, 0x0608_0027)),),
}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("at", [0x100, 0x0800_0000])
def test_events_in_mid_run(name: str, at: int) -> None:
    run = striding(random_run(11, n_executed=900, at=at), 5)
    ends = np.concatenate(([0], np.cumsum(_accesses(run))))

    def timed(memo: bool) -> str:
        timer = Timer(default_core().table(), default_board(), run.code, memo=memo)
        cycles = []
        for first in range(0, 900, 100):
            last = first + 100
            cycles.append(timer.feed(run.blocks[first:last], run.address[ends[first] : ends[last]]))
            for event in EVENTS[name]:
                timer.apply(event)
        return digest(np.concatenate(cycles), timer.result())

    assert timed(True) == timed(False)


def _accesses(run: Run) -> np.ndarray:
    from random_programs import access_counts

    return access_counts(run)


@pytest.mark.parametrize("cold", [True, False])
def test_reset_begins_anew(cold: bool) -> None:
    run = striding(random_run(21, n_executed=500, at=0x0800_0000), 5)

    def timed(memo: bool) -> list[str]:
        timer = Timer(default_core().table(), default_board(), run.code, memo=memo)
        found = []
        for _ in range(3):
            found.append(digest(timer.feed(run.blocks, run.address), timer.result()))
            timer.reset(cold=cold)
        return found

    assert timed(True) == timed(False)
    assert len(set(timed(True))) == (1 if cold else 2)
