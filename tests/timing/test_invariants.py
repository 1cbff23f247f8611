"""What holds for every program: sums, resumption, plain Python, monotony."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from micro_programs import Program, check_sums, default_board, default_core
from random_programs import digest, random_run, slower_board, time_run

from m7sim.errors import TableError, UnmodelledError
from m7sim.isa.code import Code
from m7sim.isa.instruction import Instruction
from m7sim.timing import StallCause, Timer
from m7sim.timing.causes import CAUSE_LIMIT

pytestmark = pytest.mark.toolchain
PLACES = st.sampled_from([0x100, 0x102, 0x0800_0000, 0x0800_0FFA, 0x2001_0004, 0x0020_0006])
SEEDS = st.integers(0, 2**31)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, at=PLACES)
def test_sums_hold(seed: int, at: int) -> None:
    cycles, timing = time_run(random_run(seed, at=at))
    check_sums(timing)
    assert int(cycles.sum()) == timing.cycles
    assert (cycles >= 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, at=PLACES, data=st.data())
def test_pieces_equal_the_whole(seed: int, at: int, data: st.DataObject) -> None:
    run = random_run(seed, at=at)
    cuts = data.draw(st.lists(st.integers(0, len(run.blocks)), max_size=8))
    assert digest(*time_run(run)) == digest(*time_run(run, cuts=cuts))


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, at=PLACES)
def test_plain_python_equals_jitted(seed: int, at: int) -> None:
    run = random_run(seed, at=at)
    assert digest(*time_run(run, jit=False)) == digest(*time_run(run))


def test_without_numba_the_same() -> None:
    seeds = range(3)
    here = [digest(*time_run(random_run(seed))) for seed in seeds]
    script = (
        "from random_programs import *\n"
        f"for seed in {list(seeds)}: print(digest(*time_run(random_run(seed))))"
    )
    environment = dict(os.environ, NUMBA_DISABLE_JIT="1")
    out = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert out.stdout.split() == here


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, more=st.integers(1, 40))
def test_slower_memory_is_never_faster_on_straight_code(seed: int, more: int) -> None:
    run = random_run(seed, n_blocks=20, at=0x0800_0000)
    straight = run._replace(blocks=np.arange(len(run.code.blocks), dtype=np.int32))
    straight = straight._replace(address=_first_addresses(straight))
    base = time_run(straight)[1].cycles
    for name in ("line_fill_cycles", "read_latency_cycles", "write_latency_cycles"):
        assert time_run(straight, board=slower_board(**{name: more}))[1].cycles >= base


def _first_addresses(run) -> np.ndarray:  # type: ignore[no-untyped-def, type-arg]
    from random_programs import access_counts

    return run.address[: int(access_counts(run).sum())]


def test_tcm_code_does_not_feel_the_flash() -> None:
    program = Program("1: ldr r0, [r1], #4\nadd r2, r0\nsubs r3, #1\nbne 1b")
    addresses = [0x2000_0000 + 4 * k for k in range(50)]
    slow = slower_board(line_fill_cycles=50, read_latency_cycles=50)
    assert (
        program.time([0] * 50, addresses).cycles
        == program.time([0] * 50, addresses, board=slow).cycles
    )


def test_code_may_grow_between_feeds() -> None:
    program = Program("nop.w\nnop.w\nbx lr")
    timer = Timer(default_core().table(), default_board(), program.code)
    none = np.zeros(0, np.uint32)
    timer.feed(np.zeros(1, np.int32), none)
    program.code.add_block(Program("nop.w\nnop.w\nnop.w\nnop.w", at=0x200).code.instructions)
    assert timer.feed(np.ones(1, np.int32), none)[0] >= 2
    timing = timer.result()
    check_sums(timing)
    assert list(timing.executions) == [1] * 7


def test_unmodelled_instructions_are_all_named() -> None:
    code = Code()
    code.add_block(
        [Instruction(0x100 + 4 * k, 4, f"odd.{k} r0", "from_mars", (), ()) for k in range(3)]
    )
    timer = Timer(default_core().table(), default_board(), code)
    with pytest.raises(UnmodelledError, match=r"(?s)3 instructions.*odd\.0.*odd\.1.*odd\.2"):
        timer.feed(np.zeros(1, np.int32), np.zeros(0, np.uint32))


@pytest.mark.parametrize(
    "change", [{"btac_entries": 48}, {"issue_width": 1}, {"fetch_queue_entries": 0}]
)
def test_parameters_the_walk_cannot_represent_are_refused(change: dict[str, int]) -> None:
    table = default_core().table()
    table = table._replace(parameters=table.parameters._replace(**change))
    with pytest.raises(TableError):
        Timer(table, default_board(), Code())


def test_causes_are_numbered_from_zero_and_explained() -> None:
    assert [int(c) for c in StallCause] == list(range(len(StallCause)))
    assert all(c.meaning.endswith(".") for c in StallCause)
    assert len(StallCause) <= CAUSE_LIMIT
