"""Where the cycles of an operation go along one of its dimensions, and the cliffs on the way.

A *cliff* is a step of cycles per unit of work (MAC, or Op where there are none): a rise, a change
of kernel, or a fall that is more than what is paid per call, row or output spread over more. It is
found in the data, and explained by what changed there: another kernel, or the parts of the cost
that made the step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from m7sim.board import Board
from m7sim.characterize.table import OK, Table
from m7sim.ops import registry
from m7sim.ops.shapes import Shape
from m7sim.report.explorer_words import explain, spread_of, typical
from m7sim.report.figures.common import Row, Sheet, caption
from m7sim.timing.causes import StallCause

DEFAULT_THRESHOLD = 0.04
_NAMED = 2  # parts that explain a cliff

ISSUE, BANK, CACHE, OTHER = "issue", "bank conflict", "data cache", "other"

# Parts of the cost, in the order they are stacked. All that is not named here is "other".
_CAUSES: Mapping[str, tuple[StallCause, ...]] = {
    "load-use": (StallCause.LOAD_USE,),
    "other operands": (
        StallCause.ALU_RESULT, StallCause.ADDRESS, StallCause.SATURATE_RESULT,
        StallCause.MULTIPLY_RESULT, StallCause.WRITEBACK_RESULT, StallCause.FP_RESULT,
        StallCause.FLAGS, StallCause.FP_MAC_HAZARD,
    ),
    "unaligned": (StallCause.UNALIGNED,),
    CACHE: (
        StallCause.DCACHE_FLASH, StallCause.DCACHE_SRAM, StallCause.DCACHE_EXTERNAL,
        StallCause.DATA_UNCACHED,
    ),
    "mispredict": (StallCause.MISPREDICT, StallCause.BRANCH_TARGET, StallCause.TABLE_BRANCH),
    "fetch": (
        StallCause.FETCH, StallCause.FETCH_UNCACHED, StallCause.ART_MISS, StallCause.ICACHE_REFILL,
    ),
    "multi-transfer": (StallCause.MULTI_TRANSFER, StallCause.TRANSFER_ALIGNMENT),
    "store": (StallCause.STORE_TO_LOAD, StallCause.STORE_QUEUE, StallCause.STORE_BUFFER),
}  # fmt: skip
# What shrinks with the size of the work, since part of it is paid per call, row or output.
_PER_OUTPUT = frozenset({"issue", "mispredict", "fetch", "multi-transfer", "store"})
PARTS = (ISSUE, BANK, *_CAUSES, OTHER)


def parts_of(row: Row) -> dict[str, int]:
    """Split the cycles of a row; the sum is its cycles.

    A pair of loads that hit one bank issue one after the other: that cycle is an issue cycle to
    the model, and ``bank conflict`` here.
    """
    found = {
        name: sum(row[f"stall_{cause.name.lower()}_cycles"] for cause in causes)
        for name, causes in _CAUSES.items()
    }
    bank = min(row["bank_conflicts"], row["issue_cycles"])
    rest = row["cycles"] - row["issue_cycles"] - sum(found.values())
    return {ISSUE: row["issue_cycles"] - bank, BANK: bank, **found, OTHER: rest}


@dataclass(frozen=True)
class Step:
    """One value of the swept dimension; ``parts`` are cycles per unit of work."""

    value: int
    row: Row
    shape: Shape
    parts: Mapping[str, float]

    @property
    def cost(self) -> float:
        return sum(self.parts.values())


@dataclass(frozen=True)
class Cliff:
    """A step of the cost between two values that the size alone does not explain.

    ``change`` is that of the cost, as a share; if it is that of one part, ``part`` names it.
    """

    before: Step
    after: Step
    change: float
    part: str = ""

    @property
    def kernel_changed(self) -> bool:
        return bool(self.before.row["variant"] != self.after.row["variant"])

    @property
    def main_parts(self) -> tuple[str, ...]:
        """Parts that moved most in the direction of the change, until most of it is explained."""
        if self.part:
            return (self.part,)
        up = self.change > 0
        moved = {p: self.after.parts[p] - self.before.parts[p] for p in PARTS}
        same = sorted((p for p in PARTS if (moved[p] > 0) == up and moved[p]),
                      key=lambda p: -abs(moved[p]))  # fmt: skip
        whole, found, share = sum(abs(moved[p]) for p in same), [], 0.0
        for part in same:
            found.append(part)
            share += abs(moved[part]) / whole
            if share >= 0.75 or len(found) == _NAMED:
                break
        return tuple(found)


@dataclass(frozen=True)
class Group:
    """Cliffs of one kind: same kernels, same direction, same parts."""

    cliffs: tuple[Cliff, ...]
    sentence: str

    @property
    def typical(self) -> Cliff:
        """The one in the middle by height."""
        return typical(self.cliffs)

    @property
    def height(self) -> float:
        """Largest change, as a share."""
        return max(abs(c.change) for c in self.cliffs)


@dataclass(frozen=True)
class Exploration:
    """A sweep along one dimension of an operation.

    ``unit`` is what the costs are per: ``MAC`` or ``Op``.
    """

    op: str
    dimension: str
    table: Table
    board: Board
    steps: tuple[Step, ...]
    failures: tuple[tuple[int, str], ...]
    unit: str
    threshold: float

    @property
    def caption(self) -> str:
        return caption(self.table)

    @cached_property
    def cliffs(self) -> tuple[Group, ...]:
        """Cliffs in groups, the largest first."""
        groups: dict[tuple[object, ...], list[Cliff]] = {}
        for cliff in find_cliffs(self.steps, self.threshold):
            key: tuple[object, ...] = (cliff.change > 0, *cliff.main_parts[:1])
            if cliff.kernel_changed:
                key = (cliff.change > 0, cliff.before.row["variant"], cliff.after.row["variant"])
            groups.setdefault(key, []).append(cliff)
        found = [
            Group(tuple(c), f"{spread_of(self.dimension, c)}: {explain(c, self.board, self.unit)}")
            for c in groups.values()
        ]
        return tuple(sorted(found, key=lambda g: -g.height))

    @property
    def sheet(self) -> Sheet:
        rows = []
        for step in self.steps:
            per = f"_cycles_per_{self.unit.lower()}"
            rows.append(
                {
                    self.dimension: step.value,
                    "shape": step.row["shape"],
                    "variant": step.row["variant"],
                    "cycles": step.row["cycles"],
                    f"cycles_per_{self.unit.lower()}": step.cost,
                    **{_column(p) + per: v for p, v in step.parts.items()},
                    "instructions": step.row["instructions"],
                    "dcache_misses": step.row["dcache_misses"],
                    "weight_bytes": step.row["weight_bytes"],
                    "throughput_mops_per_s": step.row["ops_per_s"] / 1e6,
                }
            )
        return Sheet("", tuple(rows))


def explore(
    op: str,
    dimension: str,
    points: Sequence[tuple[int, Shape]],
    table: Table,
    board: Board,
    *,
    threshold: float = DEFAULT_THRESHOLD,
) -> Exploration:
    """Split the costs of a sweep along a dimension.

    Parameters
    ----------
    points
        Value of the dimension and its shape.
    threshold
        Least change of the cost that is a cliff, as a share.
    """
    steps, failures = [], []
    unit = "MAC" if all(shape.macs for _, shape in points) else "Op"
    rows = {(row["op"], row["shape"]): row for row in table.rows}
    for value, shape in points:
        row = rows.get((registry.name_of(shape), shape.label))
        if row is None or row["status"] != OK:
            failures.append((value, str(row["reason"]) if row else "no kernel of this variant"))
            continue
        work = shape.macs if unit == "MAC" else shape.ops
        parts = {part: cycles / work for part, cycles in parts_of(row).items()}
        steps.append(Step(value, row, shape, parts))
    return Exploration(op, dimension, table, board, tuple(steps), tuple(failures), unit, threshold)


def find_cliffs(steps: Sequence[Step], threshold: float) -> list[Cliff]:
    """Return the cliffs between neighbours, and between neighbours that share a kernel."""
    found: dict[tuple[int, int], Cliff] = {}
    for cliff in _changes_of_kernel(steps, threshold):
        found[cliff.before.value, cliff.after.value] = cliff
    for variant in dict.fromkeys(step.row["variant"] for step in steps):
        chain = [step for step in steps if step.row["variant"] == variant]
        for cliff in (*_outgrown(chain, threshold), *_breaks(chain, threshold)):
            found.setdefault((cliff.before.value, cliff.after.value), cliff)
    return sorted(found.values(), key=lambda c: (c.after.value, c.before.value))


def _changes_of_kernel(steps: Sequence[Step], threshold: float) -> Iterable[Cliff]:
    for before, after in itertools.pairwise(steps):
        change = after.cost / before.cost - 1
        if before.row["variant"] != after.row["variant"] and abs(change) >= threshold:
            yield Cliff(before, after, change)


def _breaks(chain: Sequence[Step], threshold: float) -> Iterable[Cliff]:
    """Find steps off the trend; neighbouring ones in one direction are one cliff."""
    off = [_off_trend(a, b) for a, b in itertools.pairwise(chain)]
    least, start = math.log1p(threshold), 0
    while start < len(off):
        end, total = start + 1, off[start]
        while end < len(off) and off[end] * total > 0 and abs(off[end]) >= least / 4:
            total += off[end]
            end += 1
        cliff = Cliff(chain[start], chain[end], chain[end].cost / chain[start].cost - 1)
        if abs(total) >= least and cliff.main_parts[0] != CACHE:
            yield cliff
        start = end


def _outgrown(chain: Sequence[Step], threshold: float) -> Iterable[Cliff]:
    """Find where the waits for the data cache rise or fall: over several steps, as sets fill."""
    start = 0
    while start < len(chain) - 1:
        small = threshold / 20 * chain[start].cost
        moves = [b.parts[CACHE] - a.parts[CACHE] for a, b in itertools.pairwise(chain[start:])]
        first, count = moves[0], 0
        while count < len(moves) and moves[count] * first > 0 and abs(moves[count]) >= small:
            count += 1
        total = sum(moves[:count]) / chain[start].cost
        if abs(total) >= threshold:
            yield Cliff(chain[start], chain[start + count], total, CACHE)
        start += max(count, 1)


def _off_trend(before: Step, after: Step) -> float:
    """Return the step in logarithms of the cost; 0 for a fall that a growing size explains.

    What is paid once per call, row or output falls with the size, at most as one over it.
    """
    move = math.log(after.cost / before.cost)
    if move < 0:
        main = Cliff(before, after, move).main_parts
        if main[0] in _PER_OUTPUT and -move <= math.log(after.value / before.value):
            return 0.0
    return move


def _column(part: str) -> str:
    return part.replace(" ", "_").replace("-", "_")
