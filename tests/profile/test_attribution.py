"""Every view of a profile sums to the totals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from m7sim.isa.code import Code
from m7sim.isa.instruction import Branch, Instruction
from m7sim.profile import CallTracker, Profile
from m7sim.profile.attribution import CAUSE_NAMES
from m7sim.timing.causes import N_CAUSES


@dataclass(frozen=True)
class Symbol:
    name: str
    address: int


@dataclass(frozen=True)
class Line:
    file: str
    line: int


class Image:
    """Two functions: 'one' at 0x1000 … 0x100f, 'two' from 0x1010; two instructions a line."""

    def function_at(self, address: int) -> Symbol | None:
        if address >= 0x2000:
            return None
        return Symbol("one", 0x1000) if address < 0x1010 else Symbol("two", 0x1010)

    def line_at(self, address: int) -> Line | None:
        return Line("code.c", (address - 0x1000) // 8 + 1) if address < 0x2000 else None

    def source_text(self, file: str, line: int) -> str | None:
        return f"\tline {line};" if line < 3 else None


@dataclass(frozen=True)
class Rows:
    executions: np.ndarray
    row_issue_cycles: np.ndarray
    row_stalls: np.ndarray


def block(address: int, count: int, branch: Branch = Branch.NONE) -> list[Instruction]:
    return [
        Instruction(
            address + 4 * i, 4, f"op{(address + 4 * i):x}", "nop", (), (),
            branch=branch if i == count - 1 else Branch.NONE,
        )
        for i in range(count)
    ]  # fmt: skip


@pytest.fixture
def run() -> tuple[Code, Rows, Profile]:
    code = Code()
    code.add_block(block(0x1000, 6))  # runs from 'one' into 'two'
    code.add_block(block(0x1008, 4, Branch.CALL))  # overlaps it
    code.add_block(block(0x2000, 2, Branch.RETURN))  # no symbol, no line
    code.add_block(block(0x1018, 1, Branch.RETURN))
    code.add_block(block(0x3000, 3))  # decoded, never executed
    rng = np.random.default_rng(7)
    block_runs = np.array([1, 2, 2, 2, 0])
    arrays = code.arrays()
    executions = np.repeat(block_runs, arrays.block_count)
    rows = Rows(
        executions=executions,
        row_issue_cycles=rng.integers(0, 3, len(executions)) * executions,
        row_stalls=rng.integers(0, 5, (len(executions), N_CAUSES)) * executions[:, None],
    )
    costs = rows.row_issue_cycles + rows.row_stalls.sum(axis=1)
    per_run = np.add.reduceat(costs, arrays.block_first) // np.maximum(block_runs, 1)
    blocks = np.array([0, 1, 2, 3, 1, 2, 3], np.int32)
    tracker = CallTracker(code, Image())
    tracker.feed(blocks, per_run[blocks])
    return code, rows, Profile(Image(), code, rows, tracker.result())


def test_sums(run: tuple[Code, Rows, Profile]) -> None:
    _, rows, profile = run
    issue, stalls = rows.row_issue_cycles.sum(), rows.row_stalls.sum(axis=0)
    total = issue + stalls.sum()
    assert profile.instructions.cycles.sum() == total
    assert profile.instructions.executions.sum() == rows.executions.sum()
    assert sum(f.self_cycles for f in profile.functions) == total
    assert sum(line.cycles for line in profile.lines) == total
    for view in (profile.functions, profile.lines):
        assert sum(c.issue_cycles for c in view) == issue
        assert sum(c.instructions for c in view) == rows.executions.sum()
        for name, cycles in zip(CAUSE_NAMES, stalls, strict=True):
            assert sum(c.stalls.get(name, 0) for c in view) == cycles


def test_an_address_in_two_blocks_is_one_instruction(run: tuple[Code, Rows, Profile]) -> None:
    _, rows, profile = run
    where = profile.instructions.address.tolist()
    assert where == sorted(set(where))
    at_100c = where.index(0x100C)
    assert profile.instructions.executions[at_100c] == rows.executions[3] + rows.executions[7]
    assert profile.instructions.text[at_100c] == "op100c"
    assert 0x3000 not in where


def test_functions(run: tuple[Code, Rows, Profile]) -> None:
    _, rows, profile = run
    total = rows.row_issue_cycles.sum() + rows.row_stalls.sum()
    functions = {f.name: f for f in profile.functions}
    assert set(functions) == {"one", "two", "[no symbol]"}
    assert functions["one"].inclusive_cycles == total
    assert functions["one"].file == "code.c"
    assert functions["[no symbol]"].calls == 2
    assert functions["[no symbol]"].self_cycles == functions["[no symbol]"].inclusive_cycles
    assert all(f.self_cycles <= f.inclusive_cycles <= total for f in profile.functions)
    cycles = [f.self_cycles for f in profile.functions]
    assert cycles == sorted(cycles, reverse=True)


def test_lines(run: tuple[Code, Rows, Profile]) -> None:
    _, _, profile = run
    lines = {(line.file, line.line): line for line in profile.lines}
    assert lines["code.c", 1].text == "line 1;"
    assert lines["code.c", 3].text == ""
    assert lines["", 0].function == ""
    assert lines["code.c", 3].function == "two"
