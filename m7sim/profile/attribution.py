"""Costs per static instruction, joined to addresses, source lines and functions.

Blocks may overlap, so one address can be several rows of the timing result; here they become one.
Every view sums to the totals: nothing is counted twice, and what has no line or no symbol is kept
under a name that says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import Code
from m7sim.isa.instruction import Instruction
from m7sim.profile.branches import BranchCost, branch_costs
from m7sim.profile.calls import Calls
from m7sim.profile.functions import FunctionFinder
from m7sim.timing.causes import StallCause
from m7sim.timing.result import BranchCounts

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

CAUSE_NAMES = tuple(cause.name.lower() for cause in StallCause)


class SourceLine(Protocol):
    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...


class Source(FunctionFinder, Protocol):
    """What is needed of an image."""

    def line_at(self, address: int) -> SourceLine | None: ...

    def source_text(self, file: str, line: int) -> str | None: ...


class RowCosts(Protocol):
    """What is needed of a timing result: arrays with one entry per row of `Code`."""

    @property
    def executions(self) -> I64: ...

    @property
    def row_issue_cycles(self) -> I64: ...

    @property
    def row_stalls(self) -> I64: ...

    @property
    def branches(self) -> BranchCounts: ...


@dataclass(frozen=True)
class InstructionCosts:
    """Cost of each executed address, ascending; all arrays have one entry per address.

    ``stalls`` is int64[address, StallCause], ``energy_nj`` float64[address], and
    ``cycles == issue_cycles + stalls.sum(axis=1)``.
    """

    address: NDArray[np.uint32]
    text: tuple[str, ...]
    executions: I64
    issue_cycles: I64
    stalls: I64
    energy_nj: F64 | None = None  # None: no current data for the chip

    @property
    def cycles(self) -> I64:
        total: I64 = self.issue_cycles + self.stalls.sum(axis=1)
        return total


@dataclass(frozen=True)
class FunctionCost:
    """One function; ``inclusive_cycles`` contains its callees, recursion counted once.

    ``energy_nj`` is that of its own instructions, None without current data for the chip.
    """

    name: str
    address: int
    file: str
    self_cycles: int
    inclusive_cycles: int
    instructions: int
    calls: int
    issue_cycles: int
    stalls: dict[str, int]
    energy_nj: float | None = None


@dataclass(frozen=True)
class LineCost:
    """One source line: the innermost one where calls were inlined.

    Code without line information has ``file`` empty and one entry per function.
    """

    file: str
    line: int
    text: str
    function: str
    cycles: int
    instructions: int
    issue_cycles: int
    stalls: dict[str, int]
    energy_nj: float | None = None


class Profile:
    """Where the cycles of a run went.

    The views are worked out when they are first looked at, from copies taken when the profile was
    made. Functions and lines are sorted by self cycles, most expensive first (ties by address, by
    file and line); each view sums to the run's totals.

    Parameters
    ----------
    image
        Symbols and line table.
    code
        The code that the rows of ``timing`` are of; it may have grown since.
    timing
        Executions, issue cycles and stalls per row.
    calls
        Inclusive cycles and call counts (`CallTracker.result`).
    energy_nj
        Energy per row of ``timing``, or None.
    """

    def __init__(
        self,
        image: Source,
        code: Code,
        timing: RowCosts,
        calls: Calls,
        energy_nj: F64 | None = None,
    ) -> None:
        self._image, self._code, self._timing = image, code, timing
        self._energy_nj = energy_nj
        self.calls = calls

    @property
    def image(self) -> Source:
        """The program that ran."""
        return self._image

    @cached_property
    def instructions(self) -> InstructionCosts:
        """Costs by address."""
        return _by_address(self._code, self._timing, self._energy_nj)

    @cached_property
    def decoded(self) -> tuple[Instruction, ...]:
        """What the instructions of `instructions` are, in the same order."""
        rows = np.flatnonzero(self._timing.executions)
        at = {i.address: i for i in (self._code.instructions[row] for row in rows.tolist())}
        return tuple(at[address] for address in self.instructions.address.tolist())

    @cached_property
    def lines(self) -> tuple[LineCost, ...]:
        """Costs by source line."""
        return _lines(self._image, self.instructions)

    @cached_property
    def functions(self) -> tuple[FunctionCost, ...]:
        """Costs by function."""
        return _functions(self._image, self._code, self._timing, self.instructions, self.calls)

    @cached_property
    def branches(self) -> tuple[BranchCost, ...]:
        """Branches, those whose wrong predictions cost most first."""
        return branch_costs(self._image, self._code, self._timing.branches)


def _by_address(code: Code, timing: RowCosts, energy_nj: F64 | None) -> InstructionCosts:
    rows = np.flatnonzero(timing.executions)
    row_address = code.arrays().address[rows]
    address, first, group = np.unique(row_address, return_index=True, return_inverse=True)
    n = len(address)
    return InstructionCosts(
        address=address,
        text=tuple(code.instructions[int(rows[i])].text for i in first),
        executions=_sum(timing.executions[rows], group, n),
        issue_cycles=_sum(timing.row_issue_cycles[rows], group, n),
        stalls=_sum(timing.row_stalls[rows], group, n),
        energy_nj=None if energy_nj is None else _sum_energy(energy_nj[rows], group, n),
    )


def _sum(values: I64, group: NDArray[np.intp], n: int) -> I64:
    """Sum the rows of ``values`` that have the same group number, exactly."""
    total = np.zeros((n, *values.shape[1:]), np.int64)
    np.add.at(total, group, values)
    return total


def _energy(costs: InstructionCosts, group: NDArray[np.intp], n: int) -> list[float] | list[None]:
    """Return the energy of each group; None for each without current data."""
    if costs.energy_nj is None:
        return [None] * n
    return list(map(float, _sum_energy(costs.energy_nj, group, n)))


def _sum_energy(energy_nj: F64, group: NDArray[np.intp], n: int) -> F64:
    total = np.zeros(n)
    np.add.at(total, group, energy_nj)
    return total


def stall_dict(stalls: I64) -> dict[str, int]:
    """Name the causes that cost something, most expensive first."""
    order = np.argsort(-stalls, kind="stable")
    return {CAUSE_NAMES[i]: int(stalls[i]) for i in order if stalls[i]}


def _lines(image: Source, costs: InstructionCosts) -> tuple[LineCost, ...]:
    keys: dict[tuple[str, int, str], int] = {}  # file, line, and the function without a line
    function: list[str] = []
    group = np.zeros(len(costs.address), np.intp)
    for i, address in enumerate(costs.address):
        line = image.line_at(int(address))
        symbol = image.function_at(int(address))
        name = symbol.name if symbol else ""
        key = (line.file, line.line, "") if line else ("", 0, name)
        if key not in keys:
            keys[key] = len(keys)
            function.append(name)
        group[i] = keys[key]
    n = len(keys)
    executions = _sum(costs.executions, group, n)
    issue = _sum(costs.issue_cycles, group, n)
    stalls = _sum(costs.stalls, group, n)
    energy = _energy(costs, group, n)
    lines = [
        LineCost(
            file=file,
            line=line,
            text=(image.source_text(file, line) or "").strip() if file else "",
            function=function[k],
            cycles=int(issue[k] + stalls[k].sum()),
            instructions=int(executions[k]),
            issue_cycles=int(issue[k]),
            stalls=stall_dict(stalls[k]),
            energy_nj=energy[k],
        )
        for (file, line, _), k in keys.items()
    ]
    return tuple(sorted(lines, key=lambda c: (-c.cycles, c.file, c.line, c.function)))


def _functions(
    image: Source, code: Code, timing: RowCosts, costs: InstructionCosts, calls: Calls
) -> tuple[FunctionCost, ...]:
    index = calls.functions
    group = index.of(costs.address).astype(np.intp)
    n = len(index)
    executions = _sum(costs.executions, group, n)
    issue = _sum(costs.issue_cycles, group, n)
    stalls = _sum(costs.stalls, group, n)
    energy = _energy(costs, group, n)
    inclusive = np.zeros(n, np.int64)
    inclusive[: len(calls.inclusive_cycles)] = calls.inclusive_cycles
    inclusive += _fallen_into(code, timing, calls, n)
    called = np.zeros(n, np.int64)
    called[: len(calls.calls)] = calls.calls
    functions = []
    for k in np.flatnonzero((executions > 0) | (called > 0)):
        line = image.line_at(index.addresses[k]) if k else None
        functions.append(
            FunctionCost(
                name=index.names[k],
                address=index.addresses[k],
                file=line.file if line else "",
                self_cycles=int(issue[k] + stalls[k].sum()),
                inclusive_cycles=int(inclusive[k]),
                instructions=int(executions[k]),
                calls=int(called[k]),
                issue_cycles=int(issue[k]),
                stalls=stall_dict(stalls[k]),
                energy_nj=energy[k],
            )
        )
    return tuple(sorted(functions, key=lambda f: (-f.self_cycles, f.address)))


def _fallen_into(code: Code, timing: RowCosts, calls: Calls, n: int) -> I64:
    """Cycles that a block spent in a second function, which it ran into without a branch.

    The tracker sees whole blocks and books them on the function they begin in.
    """
    arrays = code.arrays()
    extra = np.zeros(n, np.int64)
    index = calls.functions
    n_known = int(np.searchsorted(arrays.block_first, len(timing.executions)))
    ran = np.flatnonzero(timing.executions[arrays.block_first[:n_known]] > 0)
    first, count = arrays.block_first[ran], arrays.block_count[ran]
    last_function = index.of(arrays.address[first + count - 1])
    for block in np.flatnonzero(last_function != index.of(arrays.block_address[ran])):
        rows = slice(first[block], first[block] + count[block])
        function = index.of(arrays.address[rows])
        cycles = timing.row_issue_cycles[rows] + timing.row_stalls[rows].sum(axis=1)
        foreign = function != function[0]
        np.add.at(extra, function[foreign], cycles[foreign])
    return extra
