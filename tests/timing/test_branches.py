"""Fetch and branches (m7-core section 8)."""

from __future__ import annotations

import numpy as np
import pytest
from micro_programs import (
    DTCM,
    ITCM,
    Program,
    cost,
    default_board,
    default_core,
    loop_cost,
    straight,
)

from m7sim.timing import StallCause, Timer, Timing

pytestmark = pytest.mark.toolchain


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        pytest.param("nop.w\nnop.w", 1, id="wide"),
        pytest.param("nop\nnop\nnop\nnop", 2, id="narrow"),
        pytest.param("nop\nnop.w\nnop\nnop.w", 2, id="mixed"),
    ],
)
def test_a8_supply_of_straight_line_code(text: str, cycles: int) -> None:
    assert cost(text) == cycles


@pytest.mark.parametrize(("at", "cycles"), [(0x100, 1), (0x102, 1), (0x104, 1), (0x106, 2)])
def test_f2_short_loop_by_alignment(at: int, cycles: int) -> None:
    assert loop_cost("1: subs r0, #1\nbne 1b", at) == cycles


def test_f1_forty_wide_instructions_take_twenty_cycles() -> None:
    body = "1:\n" + "nop.w\n" * 36 + "subs.w r9, r9, #1\nnop.w\nnop.w\nbne.w 1b"
    assert loop_cost(body) == 20


def test_f3_taken_branch_pairs_with_its_target() -> None:
    body = "1: nop\nnop\nb 1b"
    assert loop_cost(body) == 1.5
    core = default_core().with_parameters(taken_branch_pairs_target=0)
    assert loop_cost(body, core=core) == 2


def loop_exits(body: str, trips: int, runs: int) -> Timing:
    """Run a loop of ``trips`` iterations ``runs`` times, from a loop around it."""
    program = Program(body + "\n" + "nop.w\n" * 16 + "b 1b")
    inner, outer = 0, 1
    return program.time(([inner] * trips + [outer]) * runs)


@pytest.mark.parametrize(
    ("distance", "penalty"),
    [pytest.param(0, 5, id="flags-next-to-it"), pytest.param(2, 3, id="flags-three-cycles-before")],
)
def test_f5_mispredict(distance: int, penalty: int) -> None:
    body = "1: nop.w\nsubs.w r0, r0, #1\n" + "nop.w\nnop.w\n" * distance + "bne.w 1b"
    few, many = (loop_exits(body, 20, runs).stalls[StallCause.MISPREDICT] for runs in (10, 20))
    assert many - few == 10 * penalty


def test_f5_is_a_step() -> None:
    def lost(distance: int) -> int:
        body = "1: nop.w\nsubs.w r0, r0, #1\n" + "nop.w\nnop.w\n" * distance + "bne.w 1b"
        return loop_exits(body, 20, 10).stalls[StallCause.MISPREDICT]

    assert lost(0) == lost(1) > lost(2) == lost(5)


def test_loop_branch_is_learned_after_one_iteration() -> None:
    timing = loop_exits("1: nop.w\nsubs.w r0, r0, #1\nbne.w 1b", 50, 1)
    branches = timing.branches
    row = int(branches.executed.argmax())
    assert branches.executed[row] == 50
    assert branches.taken[row] == 49
    assert branches.mispredicted[row] == 2  # the first time, and the exit
    assert int(branches.penalty_cycles.sum()) >= 5


def test_alternating_branch_defeats_two_bit_counters() -> None:
    program = Program("beq.w 1f\nnop.w\nnop.w\n1: nop.w\nb 2f\nnop\n2: b.w 3f\nnop\n3:")
    skip, through = [0, 2], [0, 1, 2]
    timing = program.time((skip + through) * 100)
    assert timing.branches.mispredicted[0] > 90


def test_direct_branch_unknown_to_the_btac_costs_the_decode_redirection() -> None:
    program = Program("b 1f\nnop\nnop\nnop\n1: nop.w")
    timing = program.time([0, 2])
    decode = default_core().parameters.decode_redirect_cycles
    assert timing.stalls == {StallCause.BRANCH_TARGET: decode}


def call_program() -> Program:
    """Two calls of one function, in blocks: 0 and 1 end in a call, 2 jumps back, 3 is it."""
    return Program("1: bl 9f\nbl 9f\nb 1b\nnop\n9: nop\nbx lr")


def test_return_stack_predicts_returns_to_changing_callers() -> None:
    program = call_program()
    blocks = [program.code.instructions[first].text for first, _ in program.code.blocks]
    assert blocks[0].startswith("bl")
    path = [0, 4, 1, 4, 2] * 50 if len(blocks) == 5 else [0, 3, 1, 3, 2] * 50
    with_stack = program.time(path)
    core = default_core().with_parameters(return_stack_entries=0)
    without = program.time(path, core=core)
    row = len(program.code.instructions) - 1
    assert with_stack.branches.mispredicted[row] <= 1
    assert without.branches.mispredicted[row] > 90


def test_f13_table_branch() -> None:
    program = Program("1: tbb [r0, r1]\nnop\nnop\n2: b 1b")
    same = program.time([0, 2] * 20 if len(program.code.blocks) > 2 else [0, 1] * 20, [ITCM] * 20)
    assert same.stalls[StallCause.TABLE_BRANCH] >= 20  # its second issue cycle each time


def test_history_learns_what_counters_cannot() -> None:
    body = "1: nop.w\nsubs.w r0, r0, #1\nbne.w 1b"
    plain = loop_exits(body, 3, 200)
    core = default_core().with_parameters(predictor_history_bits=4)
    program = Program(body + "\n" + "nop.w\n" * 16 + "b 1b")
    clever = program.time([0, 0, 0, 1] * 200, core=core)
    assert clever.branches.mispredicted.sum() < plain.branches.mispredicted.sum() / 4


def test_small_btac_forgets() -> None:
    body = "\n".join(f"b {k}f\nnop\n{k}:" for k in range(40)) + "\nnop"
    program = Program(body)
    path = list(range(0, len(program.code.blocks), 2)) * 5
    big = program.time(path)
    core = default_core().with_parameters(btac_entries=4)
    small = program.time(path, core=core)
    assert small.branches.mispredicted.sum() > big.branches.mispredicted.sum()


def test_branch_at_the_end_of_a_feed_is_resolved_in_the_next() -> None:
    program = Program("1: nop.w\nsubs.w r0, r0, #1\nbne.w 1b\nnop.w")
    timer = Timer(default_core().table(), default_board(), program.code)
    none = np.zeros(0, np.uint32)
    timer.feed(np.zeros(30, np.int32), none)
    before = timer.result().branches.mispredicted.sum()
    exit_cycles = timer.feed(np.ones(1, np.int32), none)
    assert timer.result().branches.mispredicted.sum() == before + 1
    assert exit_cycles[0] >= default_core().parameters.fall_through_cycles


def test_stalls_of_straight_code_without_memory() -> None:
    assert straight("nop.w\n" * 100).stalls == {}
    assert straight("ldr.w r0, [r1]\nadd.w r2, r0, r0, lsl #1", [DTCM]).stalls == {
        StallCause.LOAD_USE: 1
    }
