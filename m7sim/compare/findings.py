"""The culprits: which few parts of a comparison explain most of the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from m7sim.compare.comparison import Comparison, FunctionChange, LineChange, LoopChange, Row
from m7sim.compare.normal import mnemonic
from m7sim.compare.snapshot import InstructionRecord

T = TypeVar("T")

EXPLAINED = 0.95  # share of the difference after which the rest is left to the tables


@dataclass(frozen=True)
class Part:
    """A loop of a function, or what is in none of its loops.

    ``added`` and ``removed`` are the instructions without a counterpart of the same mnemonic in the
    loop; ``per_iteration`` is instructions executed per iteration, before and after, None if
    those of both sides do not compare.
    """

    index: int  # into the function's loops
    loop: LoopChange
    lines: tuple[LineChange, ...]
    rows: tuple[Row, ...]
    added: tuple[InstructionRecord, ...]
    removed: tuple[InstructionRecord, ...]
    per_iteration: tuple[float, float] | None


@dataclass(frozen=True)
class Finding:
    """A function that explains part of the difference."""

    function: FunctionChange
    parts: tuple[Part, ...]

    @property
    def delta_cycles(self) -> int:
        return self.function.change.delta_cycles


def findings(comparison: Comparison, *, top: int = 3) -> tuple[Finding, ...]:
    """Return what explains most of the difference in cycles, the greatest part first.

    Parameters
    ----------
    comparison
        Of two snapshots.
    top
        Upper limit on functions, on loops of each and on lines of each loop.
    """
    functions = _main(comparison.functions, _cycles_of_function, comparison.delta_cycles, top)
    return tuple(Finding(f, _parts(f, top)) for f in functions)


def _parts(function: FunctionChange, top: int) -> tuple[Part, ...]:
    loops = _main(function.loops, _cycles_of_loop, function.change.delta_cycles, top)
    return tuple(_part(function, function.loops.index(loop), top) for loop in loops)


def _part(function: FunctionChange, index: int, top: int) -> Part:
    loop = function.loops[index]
    rows = tuple(row for row in function.rows if row.loop == index)
    added, removed = _unmatched(rows)
    per_iteration = None
    if loop.alike and loop.before is not None and loop.after is not None:
        per_iteration = (
            loop.change.executions_before / max(loop.before.iterations, 1),
            loop.change.executions_after / max(loop.after.iterations, 1),
        )
    return Part(
        index=index,
        loop=loop,
        lines=tuple(_main_lines(loop.lines, loop.change.delta_cycles, top)),
        rows=rows,
        added=added,
        removed=removed,
        per_iteration=per_iteration,
    )


def _unmatched(
    rows: Sequence[Row],
) -> tuple[tuple[InstructionRecord, ...], tuple[InstructionRecord, ...]]:
    """Return what is only after and only before, but for what a compiler just moved."""
    added = [row.after for row in rows if row.before is None and row.after is not None]
    removed = [row.before for row in rows if row.after is None and row.before is not None]
    moved = Counter(mnemonic(i.text) for i in added) & Counter(mnemonic(i.text) for i in removed)
    return _without(added, moved), _without(removed, moved)


def _without(
    side: Sequence[InstructionRecord], moved: Counter[str]
) -> tuple[InstructionRecord, ...]:
    left = Counter(moved)
    kept = []
    for i in side:
        name = mnemonic(i.text)
        if left[name]:
            left[name] -= 1
        else:
            kept.append(i)
    return tuple(kept)


def _cycles_of_function(f: FunctionChange) -> int:
    return f.change.delta_cycles


def _cycles_of_loop(loop: LoopChange) -> int:
    return loop.change.delta_cycles


def _main(items: Sequence[T], cycles: Callable[[T], int], total: int, top: int) -> list[T]:
    """Return the items that explain ``total``: those with its sign first, then the others.

    Ends after ``top`` of them, or when what is left is a small part of what changed.
    """
    sign = -1 if total < 0 else 1
    changed = [item for item in items if cycles(item)]
    weight = sum(abs(cycles(item)) for item in changed)
    found: list[T] = []
    explained = 0
    for item in sorted(changed, key=lambda item: -abs(cycles(item))):
        if len(found) == top or explained >= EXPLAINED * weight:
            break
        found.append(item)
        explained += abs(cycles(item))
    # Whatever goes the same way as the whole is the first to be named.
    culprit = max(changed, key=lambda item: sign * cycles(item), default=None)
    if culprit is not None and culprit not in found:
        found.append(culprit)
    return sorted(found, key=lambda item: -sign * cycles(item) if total else -abs(cycles(item)))


def _main_lines(lines: Sequence[LineChange], total: int, top: int) -> list[LineChange]:
    """Return the lines that matter; also one that only lost to one cause what it won of another."""
    sign = -1 if total < 0 else 1
    weights = [(max(map(abs, line.change.causes.values()), default=0), line) for line in lines]
    whole = sum(weight for weight, _ in weights)
    found: list[LineChange] = []
    explained = 0
    for weight, line in sorted(weights, key=lambda pair: -pair[0]):
        if not weight or len(found) == top or explained >= EXPLAINED * whole:
            break
        found.append(line)
        explained += weight
    return sorted(found, key=lambda line: -sign * line.change.delta_cycles)
