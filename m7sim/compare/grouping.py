"""Functions of two snapshots that belong together: of one name, renamed, or inlined on one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from m7sim.compare import match
from m7sim.compare.snapshot import NOWHERE, Cost, Detail, FunctionRecord, InstructionRecord, Loop


@dataclass(frozen=True)
class Group:
    """One function before and after, with what was inlined into it on one side only.

    ``before`` contains the functions ``inlined``, ``after`` those ``outlined``. ``hosts`` names
    other functions that they were inlined into as well.
    """

    before: FunctionRecord | None
    after: FunctionRecord | None
    inlined: tuple[str, ...] = ()
    outlined: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def groups(
    before: Sequence[FunctionRecord],
    after: Sequence[FunctionRecord],
    entries: tuple[str, str] = ("", ""),
) -> list[Group]:
    """Return every function of both sides in exactly one group; see `match.functions`."""
    found = [
        Group(None if b is None else before[b], None if a is None else after[a])
        for b, a in match.functions(before, after, entries)
    ]
    pairs = [g for g in found if g.before is not None and g.after is not None]
    guests: dict[int, list[Group]] = {n: [] for n in range(len(pairs))}
    left: list[Group] = []
    for lone in found:
        if lone.before is None or lone.after is None:
            hosts = _hosts(lone, pairs)
            if hosts:
                names = [host.after.name for n in hosts[1:] if (host := pairs[n]).after is not None]
                guests[hosts[0]].append(replace(lone, hosts=tuple(names)))
            else:
                left.append(lone)
    return [_join_all(group, guests[n]) for n, group in enumerate(pairs)] + left


def _hosts(lone: Group, pairs: Sequence[Group]) -> list[int]:
    """Return the functions that a lone one was inlined into on the side where it is missing.

    The one with most cycles of it comes first.
    """
    function = lone.before or lone.after
    assert function is not None
    if function.detail is None:
        return []
    found = []
    for n, group in enumerate(pairs):
        if any(f is None or f.detail is None for f in (group.before, group.after)):
            continue
        inside = group.after if lone.before else group.before
        outside = group.before if lone.before else group.after
        cycles = _inlined_cycles(inside, function.name)
        if cycles is not None and _inlined_cycles(outside, function.name) is None:
            found.append((-cycles, n))
    return [n for _, n in sorted(found)]


def _inlined_cycles(function: FunctionRecord | None, name: str) -> int | None:
    """Return the cycles on lines of an inlined function, or None if there is none of it."""
    if function is None or function.detail is None:
        return None
    lines = {n for n, line in enumerate(function.detail.lines) if line.inlined == name}
    if not lines:
        return None
    return sum(i.cost.cycles for i in function.detail.instructions if i.line in lines)


def _join_all(group: Group, guests: Sequence[Group]) -> Group:
    """Add functions to the one that they are part of on the other side, callers first."""
    waiting = list(guests)
    while waiting:
        called = [g for g in waiting if _is_called(group, g)]
        guest = (called or waiting)[0]
        waiting.remove(guest)
        group = _join(group, guest)
    return group


def _is_called(group: Group, guest: Group) -> bool:
    caller, callee = (group.before, guest.before) if guest.before else (group.after, guest.after)
    return caller is not None and callee is not None and bool(_calls(caller, callee.name))


def _calls(caller: FunctionRecord, name: str) -> list[int]:
    """Return which instructions call a function."""
    assert caller.detail is not None
    return [
        n
        for n, i in enumerate(caller.detail.instructions)
        if i.text.startswith("b") and i.text.endswith(f" {name}")
    ]


def _join(group: Group, guest: Group) -> Group:
    hosts = tuple(dict.fromkeys((*group.hosts, *guest.hosts)))
    if guest.before is not None:
        assert group.before is not None
        return replace(
            group,
            before=_together(group.before, guest.before),
            inlined=(*group.inlined, guest.before.name),
            hosts=hosts,
        )
    assert group.after is not None
    assert guest.after is not None
    return replace(
        group,
        after=_together(group.after, guest.after),
        outlined=(*group.outlined, guest.after.name),
        hosts=hosts,
    )


def _together(one: FunctionRecord, other: FunctionRecord) -> FunctionRecord:
    """Return ``one`` with the code of ``other`` behind its first call of it, if there is one.

    If ``other`` is called from one loop only, it becomes part of that.
    """
    assert one.detail is not None
    assert other.detail is not None
    first, second = one.detail, other.detail
    n_lines, n_loops = len(first.lines), len(first.loops)
    sites = _calls(one, other.name)
    place = sites[0] + 1 if sites else len(first.instructions)
    loops_around = {first.instructions[site].loop for site in sites}
    around = loops_around.pop() if len(loops_around) == 1 else NOWHERE

    def up(index: int, by: int, outside: int = NOWHERE) -> int:
        return index + by if index >= 0 else outside

    loops = [
        Loop(up(x.line, n_lines), up(x.parent, n_loops, around), x.iterations, x.entries)
        for x in second.loops
    ]  # fmt: skip
    code = [
        InstructionRecord(i.offset_bytes + one.size_bytes, i.text, i.executions, i.cost,
                          up(i.line, n_lines), up(i.loop, n_loops, around))
        for i in second.instructions
    ]  # fmt: skip
    causes = dict.fromkeys((*one.cost.stalls, *other.cost.stalls))
    stalls = {c: one.cost.stalls.get(c, 0) + other.cost.stalls.get(c, 0) for c in causes}
    return replace(
        one,
        size_bytes=one.size_bytes + other.size_bytes,
        instructions=one.instructions + other.instructions,
        cost=Cost(one.cost.issue_cycles + other.cost.issue_cycles, stalls),
        detail=Detail(
            (*first.lines, *second.lines),
            (*first.loops, *loops),
            (*first.instructions[:place], *code, *first.instructions[place:]),
        ),
    )
