"""Two snapshots side by side: the difference in cycles, by function, loop, line and cause.

Every level sums to the one above it, and the whole to the difference of the totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m7sim.compare import grouping, match
from m7sim.compare.grouping import Group
from m7sim.compare.normal import Code, Pairs, align, keys
from m7sim.compare.snapshot import (
    NOWHERE,
    Cost,
    Detail,
    FunctionRecord,
    InstructionRecord,
    Loop,
    Snapshot,
    SourceLine,
)

MOST_UNROLLED = 1.5  # ratio of iterations from which one iteration is not the same work

Sides = tuple[Detail, Detail]
Sources = tuple[Mapping[str, str], Mapping[str, str]]

ISSUE = "issue"  # the part of the cycles in which something was issued, among the causes


@dataclass(frozen=True)
class Change:
    """Cost of one thing before and after; ``executions`` counts instructions executed."""

    before: Cost
    after: Cost
    executions_before: int
    executions_after: int

    @property
    def delta_cycles(self) -> int:
        return self.after.cycles - self.before.cycles

    @property
    def causes(self) -> dict[str, int]:
        """Differences by cause, largest first; they sum to ``delta_cycles``."""
        deltas = {ISSUE: self.after.issue_cycles - self.before.issue_cycles}
        for cause in (*self.before.stalls, *self.after.stalls):
            deltas[cause] = self.after.stalls.get(cause, 0) - self.before.stalls.get(cause, 0)
        order = sorted(deltas, key=lambda cause: (-abs(deltas[cause]), cause))
        return {cause: deltas[cause] for cause in order if deltas[cause]}


@dataclass(frozen=True)
class LineChange:
    """A source line; None on a side that has no such line. Both None: no line is known."""

    before: SourceLine | None
    after: SourceLine | None
    change: Change


@dataclass(frozen=True)
class LoopChange:
    """What executed in one loop and in no loop inside it; both None: outside of all loops."""

    before: Loop | None
    after: Loop | None
    change: Change
    lines: tuple[LineChange, ...]
    line_before: SourceLine | None = None
    line_after: SourceLine | None = None

    @property
    def alike(self) -> bool:
        """Whether both iterate about as often: else a compiler unrolled one of them, or the like.

        Only then do costs of one iteration compare.
        """
        if self.before is None or self.after is None:
            return False
        fewer, more = sorted((self.before.iterations, self.after.iterations))
        return fewer * MOST_UNROLLED > more


@dataclass(frozen=True)
class Row:
    """One line of the listing side by side; ``same`` tells nothing but addresses differs."""

    before: InstructionRecord | None
    after: InstructionRecord | None
    same: bool
    loop: int  # index into the function's loops


@dataclass(frozen=True)
class FunctionChange:
    """A function before and after; None on a side where it did not execute.

    A function that was inlined into it on one side only is taken together with it on the other.
    ``kind`` is ``equal``, ``placement`` (the same instructions executed as often, in other cycles),
    ``executions`` (the same instructions, executed another number of times), ``instructions``
    (others, of the same source lines), ``source``, ``replaced`` (another name and other
    instructions), ``added``, ``removed`` or ``unknown`` (a side is not listed).
    """

    before: FunctionRecord | None
    after: FunctionRecord | None
    kind: str
    change: Change
    loops: tuple[LoopChange, ...]
    rows: tuple[Row, ...]
    inlined: tuple[str, ...] = ()  # functions that became part of it; their cost is in ``before``
    outlined: tuple[str, ...] = ()  # that ceased to be part of it; their cost is in ``after``
    hosts: tuple[str, ...] = ()  # other functions that they are, or were, part of

    @property
    def name(self) -> str:
        one = self.after or self.before
        assert one is not None
        return one.name

    @property
    def renamed(self) -> bool:
        return (
            self.before is not None
            and self.after is not None
            and self.before.name != self.after.name
        )


@dataclass(frozen=True)
class Comparison:
    """What differs between two snapshots; functions by the size of their difference."""

    before: Snapshot
    after: Snapshot
    functions: tuple[FunctionChange, ...]
    configuration: tuple[tuple[str, Any, Any], ...]  # what was simulated otherwise

    @property
    def timed(self) -> bool:
        """Whether both sides have cycles."""
        return self.before.timed and self.after.timed

    @property
    def delta_cycles(self) -> int:
        return self.after.totals.cycles - self.before.totals.cycles

    @property
    def equal(self) -> bool:
        """Whether no figure differs."""
        return self.before.totals == self.after.totals and all(
            f.kind == "equal" for f in self.functions
        )


def compare(before: Snapshot, after: Snapshot) -> Comparison:
    """Explain why ``after`` costs more or less than ``before``.

    Returns
    -------
    Comparison
        Its functions' differences sum to that of the totals, and so on down to causes. If a side
        was executed without timing, there are no functions.
    """
    if not (before.timed and after.timed):
        return Comparison(before, after, (), _configuration(before, after))
    entries = (
        str(before.configuration.get("entry", "")),
        str(after.configuration.get("entry", "")),
    )
    groups = grouping.groups(before.functions, after.functions, entries)
    changes = [_function(group, (before.sources, after.sources)) for group in groups]
    changes.sort(key=lambda f: (-abs(f.change.delta_cycles), f.kind == "equal", f.name))
    return Comparison(before, after, tuple(changes), _configuration(before, after))


def _configuration(before: Snapshot, after: Snapshot) -> tuple[tuple[str, Any, Any], ...]:
    b, a = _flat(before.configuration), _flat(after.configuration)
    return tuple(
        (key, b.get(key, ""), a.get(key, ""))
        for key in dict.fromkeys((*b, *a))
        if b.get(key, "") != a.get(key, "")
    )


def _flat(configuration: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            flat |= {f"{key} {name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _function(group: Group, sources: Sources) -> FunctionChange:
    before, after = group.before, group.after
    change = Change(
        before.cost if before else Cost(),
        after.cost if after else Cost(),
        before.instructions if before else 0,
        after.instructions if after else 0,
    )
    details = [f.detail for f in (before, after) if f is not None]
    if any(detail is None for detail in details):
        line = LineChange(None, None, change)
        whole = LoopChange(None, None, change, (line,))
        kind = _one_sided(before, after) or ("equal" if _same_figures(before, after) else "unknown")
        return FunctionChange(before, after, kind, change, (whole,), ())
    empty = Detail((), (), ())
    sides = (
        before.detail or empty if before else empty,
        after.detail or empty if after else empty,
    )
    line_pairs = match.lines(sides[0].lines, sides[1].lines)
    loop_pairs = match.loops(sides[0], sides[1], line_pairs)
    loops, place = _loops(sides, line_pairs, loop_pairs)
    rows = _rows((before, after), sides, line_pairs, loop_pairs, place)
    kind = _one_sided(before, after) or _kind(group, rows, sides, sources)
    return FunctionChange(
        before, after, kind, change, loops, rows, group.inlined, group.outlined, group.hosts
    )


def _one_sided(before: FunctionRecord | None, after: FunctionRecord | None) -> str:
    return "added" if before is None else "removed" if after is None else ""


def _same_figures(before: FunctionRecord | None, after: FunctionRecord | None) -> bool:
    return (
        before is not None
        and after is not None
        and (before.cost, before.instructions) == (after.cost, after.instructions)
    )


def _kind(group: Group, rows: Sequence[Row], sides: Sides, sources: Sources) -> str:
    if all(row.same for row in rows):
        if any(
            row.before.executions != row.after.executions
            for row in rows
            if row.before is not None and row.after is not None
        ):
            return "executions"
        costs = [[i.cost for i in side.instructions] for side in sides]
        return "equal" if costs[0] == costs[1] else "placement"
    assert group.before is not None
    assert group.after is not None
    if group.before.name != group.after.name:
        return "replaced"
    return "instructions" if _same_source(group.after.file, sides, sources) else "source"


def _same_source(file: str, sides: Sides, sources: Sources) -> bool:
    """Tell whether the lines of a function are the same, as far as they executed.

    Which lines of unchanged files execute may differ: it depends on the compiler as well.
    """
    before, after = sources
    known = [name for name in before if before[name] and after.get(name)]
    changed = {name for name in known if before[name] != after[name]}
    if not changed and file in known:
        return True
    texts = [
        {
            line.text or str(line)
            for line in side.lines
            if line.file in changed or line.file not in known
        }
        for side in sides
    ]
    return texts[0] == texts[1]


def _loops(
    sides: Sides, line_pairs: Pairs, loop_pairs: Pairs
) -> tuple[tuple[LoopChange, ...], dict[int, int]]:
    """Return the loops by size of difference, and where each pair of ``loop_pairs`` went (-1)."""
    number, line_number = _numbers(loop_pairs), _numbers(line_pairs)
    cells: dict[int, dict[int, list[list[InstructionRecord]]]] = {}
    for side in (0, 1):
        for i in sides[side].instructions:
            lines = cells.setdefault(number[side][i.loop], {})
            lines.setdefault(line_number[side][i.line], [[], []])[side].append(i)
    found: list[tuple[int, LoopChange]] = []
    for loop, lines in cells.items():
        parts = [
            LineChange(*_pick(sides, line_pairs, line, _line), _change(*both))
            for line, both in lines.items()
        ]
        parts.sort(key=_line_order)
        every = [[i for both in lines.values() for i in both[side]] for side in (0, 1)]
        loop_before, loop_after = _pick(sides, loop_pairs, loop, _loop)
        found.append(
            (
                loop,
                LoopChange(
                    loop_before,
                    loop_after,
                    _change(*every),
                    tuple(parts),
                    _line_of(sides[0], loop_before),
                    _line_of(sides[1], loop_after),
                ),
            )
        )
    found.sort(key=lambda item: (-abs(item[1].change.delta_cycles), item[0]))
    place = {loop: n for n, (loop, _) in enumerate(found)}
    return tuple(change for _, change in found), place


def _line_order(part: LineChange) -> tuple[int, str, int]:
    line = part.after or part.before
    return -abs(part.change.delta_cycles), line.file if line else "", line.line if line else 0


def _numbers(pairs: Pairs) -> tuple[dict[int, int], dict[int, int]]:
    """Return for each index of either side the number of its pair; -1 stays -1."""
    before = {b: n for n, (b, _) in enumerate(pairs) if b is not None}
    after = {a: n for n, (_, a) in enumerate(pairs) if a is not None}
    return {NOWHERE: NOWHERE, **before}, {NOWHERE: NOWHERE, **after}


def _line(detail: Detail, index: int) -> SourceLine:
    return detail.lines[index]


def _loop(detail: Detail, index: int) -> Loop:
    return detail.loops[index]


def _pick(sides: Sides, pairs: Pairs, number: int, get: Any) -> tuple[Any, Any]:
    if number < 0:
        return None, None
    b, a = pairs[number]
    return (
        None if b is None else get(sides[0], b),
        None if a is None else get(sides[1], a),
    )


def _line_of(detail: Detail, loop: Loop | None) -> SourceLine | None:
    return None if loop is None or loop.line < 0 else detail.lines[loop.line]


def _change(before: Iterable[InstructionRecord], after: Iterable[InstructionRecord]) -> Change:
    b, a = list(before), list(after)
    return Change(_sum(b), _sum(a), sum(i.executions for i in b), sum(i.executions for i in a))


def _sum(instructions: Iterable[InstructionRecord]) -> Cost:
    issue = 0
    stalls: dict[str, int] = {}
    for i in instructions:
        issue += i.cost.issue_cycles
        for cause, cycles in i.cost.stalls.items():
            stalls[cause] = stalls.get(cause, 0) + cycles
    return Cost(issue, stalls)


def _rows(
    functions: tuple[FunctionRecord | None, FunctionRecord | None],
    sides: Sides,
    line_pairs: Pairs,
    loop_pairs: Pairs,
    place: dict[int, int],
) -> tuple[Row, ...]:
    loops, lines = _numbers(loop_pairs), _numbers(line_pairs)
    code = [
        Code(
            keys([i.text for i in side.instructions], function.name if function else ""),
            [lines[n][i.line] for i in side.instructions],
            [loops[n][i.loop] for i in side.instructions],
        )
        for n, (function, side) in enumerate(zip(functions, sides, strict=True))
    ]
    rows = []
    for b, a in align(code[0], code[1]):
        pair = code[1].loops[a] if a is not None else code[0].loops[b] if b is not None else NOWHERE
        rows.append(
            Row(
                None if b is None else sides[0].instructions[b],
                None if a is None else sides[1].instructions[a],
                b is not None and a is not None and code[0].keys[b] == code[1].keys[a],
                place[pair],
            )
        )
    return tuple(rows)
