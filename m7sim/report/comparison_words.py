"""The sentences and rows of a comparison, for text and markdown alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from m7sim.compare import Comparison, Snapshot
from m7sim.compare.comparison import ISSUE, FunctionChange, LineChange, LoopChange
from m7sim.compare.findings import Finding, Part
from m7sim.compare.snapshot import InstructionRecord, SourceLine
from m7sim.timing.causes import StallCause
from m7sim.units import format_count, format_hz, format_joules

NAMED = 4  # instructions or causes named in a sentence

KINDS = {
    "equal": "nothing",
    "placement": "only cycles",
    "executions": "times executed",
    "instructions": "instructions",
    "source": "source",
    "replaced": "another function",
    "added": "only after",
    "removed": "only before",
    "unknown": "not listed",
}


@dataclass(frozen=True)
class Marks:
    """How names and code stand out in a sentence; ``plain`` is all the rest of it."""

    name: Callable[[str], str]
    code: Callable[[str], str]
    plain: Callable[[str], str]


TEXT = Marks(str, "`{}`".format, str)


def signed(value: float) -> str:
    """Return ``+1 234``, ``-1 234`` or ``0``."""
    return f"+{format_count(value)}" if value > 0 else format_count(value)


def percent(before: float, after: float) -> str:
    """Return the difference in percent of ``before``; empty if that is 0."""
    if not before:
        return ""
    share = 100 * (after - before) / before
    return f"{share:+.1f} %" if abs(share) >= 0.05 else f"{share:+.1g} %"


def total(comparison: Comparison) -> str:
    """Return the difference in one line."""
    before, after = comparison.before.totals.cycles, comparison.after.totals.cycles
    if not comparison.timed:
        return "Not timed: only the instructions can be compared"
    if comparison.equal:
        return f"No difference: {format_count(before)} cycles on both sides"
    if before == after:
        return f"{format_count(before)} cycles on both sides; something else differs"
    share = percent(before, after)
    counts = f"{format_count(before)} → {format_count(after)} cycles"
    return f"{counts}: {signed(after - before)}" + (f" ({share})" if share else "")


def subject(side: Snapshot) -> str:
    """Return what was simulated, in short."""
    c = side.configuration
    arguments = f" {c['arguments']!r}" if c.get("arguments") else ""
    start = "warm" if c.get("warm") else "cold"
    clock = format_hz(c.get("clock_hz", 0))
    return f"{c.get('entry')}{arguments} on {c.get('board')} at {clock}, {start} caches"


def configuration(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return what was simulated otherwise: name, before, after."""
    return [
        (name.replace("_", " "), *_differing(before, after))
        for name, before, after in comparison.configuration
    ]


def _differing(before: Any, after: Any) -> tuple[str, str]:
    if isinstance(before, list) and isinstance(after, list):
        return (
            "; ".join(str(x) for x in before if x not in after) or "-",
            "; ".join(str(x) for x in after if x not in before) or "-",
        )
    return str(before), str(after)


def metrics(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the totals: name, before, after, difference."""
    b, a = comparison.before.totals, comparison.after.totals
    rows: list[tuple[str, ...]] = []
    for name, before, after, show in (
        ("cycles", b.cycles, a.cycles, format_count),
        ("instructions", b.instructions, a.instructions, format_count),
        ("issue cycles", b.issue_cycles, a.issue_cycles, format_count),
        ("stall cycles", sum(b.stalls.values()), sum(a.stalls.values()), format_count),
        ("energy", b.energy_nj, a.energy_nj, _energy),
        ("stack bytes", b.stack_bytes, a.stack_bytes, format_count),
        ("code bytes", b.code_bytes, a.code_bytes, format_count),
    ):
        if (before is None and after is None) or not (comparison.timed or name == "instructions"):
            continue
        difference = ""
        if before is not None and after is not None and before != after:
            sign = "+" if after > before else "-"
            share = percent(before, after)
            difference = f"{sign}{show(abs(after - before))}" + (f" ({share})" if share else "")
        rows.append((name, *("-" if x is None else show(x) for x in (before, after)), difference))
    return rows


def _energy(nanojoules: float) -> str:
    return format_joules(nanojoules * 1e-9)


def causes(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return cycles by cause: name, before, after, difference, meaning; greatest change first."""
    b, a = comparison.before.totals, comparison.after.totals
    sides = ({ISSUE: b.issue_cycles, **b.stalls}, {ISSUE: a.issue_cycles, **a.stalls})
    meanings = {cause.name.lower(): cause.meaning for cause in StallCause}
    meanings[ISSUE] = "One or two instructions were issued; counts at the older one."
    names = sorted(
        dict.fromkeys((*sides[0], *sides[1])),
        key=lambda name: (-abs(sides[1].get(name, 0) - sides[0].get(name, 0)), name),
    )
    rows = [
        (name, *_counts(sides[0].get(name, 0), sides[1].get(name, 0)), meanings.get(name, ""))
        for name in names
    ]
    return [*rows, ("total", *_counts(b.cycles, a.cycles), "")]


def _counts(before: int, after: int) -> tuple[str, str, str]:
    return format_count(before), format_count(after), signed(after - before)


def function_row(function: FunctionChange) -> tuple[str, ...]:
    """Return name, cycles before and after, difference, what differs."""
    change = function.change
    return (
        _title(function, TEXT),
        *_counts(change.before.cycles, change.after.cycles),
        KINDS[function.kind],
    )


def place(finding: Finding, part: Part) -> str:
    """Return ``kernel, loop at k.c:41``."""
    return _place(finding, part, TEXT)


def sentence(finding: Finding, marks: Marks = TEXT) -> str:
    """Return the one sentence about a finding: where, how much, of which cause, which code."""
    if not finding.parts:
        return f"{_title(finding.function, marks)}: {signed(finding.delta_cycles)} cycles"
    part = finding.parts[0]
    delta = part.loop.change.delta_cycles
    text = f"{_place(finding, part, marks)}{_iterations(part.loop)}: {signed(delta)} cycles"
    if worst := _worst(part.lines, delta):
        line, cause, cycles = worst
        text += f", of which {signed(cycles)} {marks.plain(cause)}{_at(line, part.loop, marks)}"
    if finding.function.kind in {"placement", "executions"}:
        return f"{text}; the code did not change"
    instructions = _instructions(part, marks)
    return f"{text}; {instructions}" if instructions else text


def outline(finding: Finding, delta: int, marks: Marks = TEXT) -> list[tuple[int, str]]:
    """Return (level, text) of everything to say about a finding; ``delta`` is the whole one."""
    title = f"{_title(finding.function, marks)}: {signed(finding.delta_cycles)} cycles"
    share = finding.delta_cycles / delta if delta else 0.0
    title += f", {100 * share:.0f} % of the difference." if 0 < share <= 1 else "."
    lines = [(0, f"{title} {_reason(finding.function, marks)}".rstrip())]
    for part in finding.parts:
        change = part.loop.change
        where = _where(finding, part, marks)
        text = f"{where}{_iterations(part.loop)}: {signed(change.delta_cycles)} cycles"
        if (loop := part.loop).alike and loop.before is not None and loop.after is not None:
            each = (
                change.before.cycles / max(loop.before.iterations, 1),
                change.after.cycles / max(loop.after.iterations, 1),
            )
            text += f", {each[0]:.2f} → {each[1]:.2f} per iteration"
        lines.append((1, text))
        lines += [(2, _line(line, part.loop, marks)) for line in part.lines]
        if instructions := _instructions(part, marks):
            lines.append((2, instructions))
    return lines


def _title(function: FunctionChange, marks: Marks) -> str:
    text = marks.name(function.name)
    if function.renamed and function.before is not None:
        word = "in place of" if function.kind == "replaced" else "was"
        text += f" ({word} {marks.name(function.before.name)})"
    for names, with_ in ((function.inlined, "now with"), (function.outlined, "before with")):
        if names:
            text += f", {with_} {_list(names, marks.name)} inlined"
    if function.hosts:
        text += f" (as in {_list(function.hosts, marks.name)})"
    return text


def _list(names: Sequence[str], mark: Callable[[str], str]) -> str:
    if len(names) > NAMED:
        return f"{', '.join(map(mark, names[:NAMED]))} and {len(names) - NAMED} more"
    *first, last = map(mark, names)
    return f"{', '.join(first)} and {last}" if first else last


def _reason(function: FunctionChange, marks: Marks) -> str:
    before, after = function.before, function.after
    if function.kind == "placement" and before is not None and after is not None:
        text = "The code did not change: the same instructions executed as often, from "
        if before.address != after.address:
            return f"{text}other addresses: {_addresses(before.address, after.address)}."
        return f"{text}the same addresses; data, memories, caches or what ran before differ."
    if function.kind == "executions":
        return "The code did not change but executed another number of times."
    if function.kind in {"instructions", "source"} and before is not None and after is not None:
        if options := _options(before.compiled, after.compiled, marks):
            return f"Compiled otherwise: {options}."
        if function.kind == "source":
            return "The source changed."
        return "The same source lines gave other instructions (macros, headers, what is inlined)."
    if function.kind == "unknown":
        return "Its instructions are not in the snapshots."
    reasons = {
        "added": "It executes only after.",
        "removed": "It executes only before.",
        "replaced": "Another function took its place.",
    }
    return reasons.get(function.kind, "")


def _addresses(before: int, after: int) -> str:
    """Return both addresses, and where they lie in the 8 bytes that are fetched at once."""
    past = ["", ""]
    if before % 8 != after % 8:
        past = [f" ({a % 8} past a multiple of 8)" if a % 8 else " (a multiple of 8)"
                for a in (before, after)]  # fmt: skip
    return f"0x{before:08x}{past[0]} → 0x{after:08x}{past[1]}"


def _options(before: str, after: str, marks: Marks) -> str:
    b, a = before.split(), after.split()
    gone, come = [w for w in b if w not in a], [w for w in a if w not in b]
    if not gone and not come:
        return ""
    return " → ".join(marks.code(" ".join(side)) if side else "nothing" for side in (gone, come))


def _place(finding: Finding, part: Part, marks: Marks) -> str:
    where = _where(finding, part, marks)
    name = _title(finding.function, marks)
    return name if where == "in it" else f"{name}, {where}"


def _where(finding: Finding, part: Part, marks: Marks) -> str:
    if part.loop.before is None and part.loop.after is None:
        return "outside of its loops" if len(finding.function.loops) > 1 else "in it"
    line = part.loop.line_after or part.loop.line_before
    return f"loop at {marks.plain(str(line))}" if line is not None else "a loop"


def _iterations(loop: LoopChange) -> str:
    if loop.before is None and loop.after is None:
        return ""
    if loop.before is None or loop.after is None:
        one = loop.after or loop.before
        assert one is not None
        when = "after" if loop.before is None else "before"
        return f" ({_times(one.iterations)} only {when})"
    if loop.before.iterations == loop.after.iterations:
        return f" ({_times(loop.after.iterations)})"
    return f" ({format_count(loop.before.iterations)} → {_times(loop.after.iterations)})"


def _times(iterations: int) -> str:
    return f"{format_count(iterations)} iteration{'' if iterations == 1 else 's'}"


def _worst(lines: Sequence[LineChange], delta: int) -> tuple[LineChange, str, int] | None:
    """Return the line and cause that account for most of a difference."""
    sign = -1 if delta < 0 else 1
    cells = [
        (sign * cycles, -n, line, cause)
        for n, line in enumerate(lines)
        for cause, cycles in line.change.causes.items()
    ]
    if not cells:
        return None
    cycles, _, line, cause = max(cells, key=lambda cell: cell[:2])
    return (line, cause, sign * cycles) if cycles > 0 else None


def _line(line: LineChange, loop: LoopChange, marks: Marks) -> str:
    causes = list(line.change.causes.items())
    named = ", ".join(f"{signed(cycles)} {marks.plain(cause)}" for cause, cycles in causes[:NAMED])
    rest = sum(cycles for _, cycles in causes[NAMED:])
    named += f", {signed(rest)} of other causes" if rest else ""
    where = _at(line, loop, marks) or " without a source line"
    return f"{signed(line.change.delta_cycles)}{where}: {named}"


def _at(line: LineChange, loop: LoopChange, marks: Marks) -> str:
    one = line.after or line.before
    if one is None:
        return ""
    text = f" at {marks.plain(str(one))}{_source(one, marks)}"
    both = bool(loop.change.executions_before and loop.change.executions_after)
    if not line.change.executions_after:
        return f"{text} (only before)" if both else text
    if not line.change.executions_before:
        return f"{text} (only after)" if both else text
    if line.before and line.after and line.before.text not in ("", line.after.text):
        return f"{text} (was{_source(line.before, marks)})"
    return text


def _source(line: SourceLine, marks: Marks) -> str:
    return f" {marks.code(line.text)}" if line.text else ""


def _instructions(part: Part, marks: Marks) -> str:
    """Return how many instructions more or less are executed, and which."""
    if part.per_iteration is not None:
        before, after = part.per_iteration
        if abs(after - before) < 0.005:
            return ""
        each = f" per iteration ({before:.4g} → {after:.4g})"
    else:
        before = part.loop.change.executions_before
        after = part.loop.change.executions_after
        each = ""
    if before == after or not before or not after:
        return ""
    more = after > before
    number = f"{abs(after - before):.3g}" if each else format_count(abs(after - before))
    noun = "instruction" if number == "1" else "instructions"
    text = f"{number} {'more' if more else 'fewer'} {noun}{each or ' executed'}"
    which = part.added if more else part.removed
    return f"{text}: {_named(which, marks)}" if which else text


def _named(instructions: Sequence[InstructionRecord], marks: Marks) -> str:
    most = sorted(instructions, key=lambda i: -i.executions)[:NAMED]
    named = ", ".join(marks.code(i.text) for i in instructions if i in most)
    rest = len(instructions) - len(most)
    return f"{named} and {rest} more" if rest > 0 else named
