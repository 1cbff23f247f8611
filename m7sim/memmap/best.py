"""The best map of a study beside the usual ones, and how it grows with the TCM it may have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from m7sim.board import Board
from m7sim.errors import InputError
from m7sim.memmap.assignment import Excess, least_excess
from m7sim.memmap.candidates import NAMED, Candidate, Space
from m7sim.memmap.judge import RETIMINGS, Goal, Judge, Places, Retimes
from m7sim.memmap.optimise import Search
from m7sim.memmap.whatif import Retimed
from m7sim.units import format_count

LINKED: Final = "as linked"
SLOW: Final = "flash and SRAM, caches"
BY_DENSITY: Final = "greedy, accesses a byte"
BY_COUNT: Final = "greedy, accesses"
BEST: Final = "best found"
CURVE_RETIMINGS: Final = 2 * RETIMINGS


@dataclass(frozen=True)
class NamedMap:
    """A map with its timing; ``places`` has the region of every candidate."""

    name: str
    places: Places
    timed: Retimed
    tcm_used_bytes: int
    allowed: bool  # under the rooms, pins and reserves

    @property
    def cycles(self) -> int:
        return self.timed.cycles


@dataclass(frozen=True)
class Move:
    """An object whose place the best map changes.

    ``gain`` is what the map would lose if this object alone went back, in cycles or pJ; the gains
    do not add up, since objects share caches. None: there is no room for it to go back to.
    """

    candidate: Candidate
    start: str
    end: str
    gain: int | None


@dataclass(frozen=True)
class Best:
    """The best map found, with the maps to compare it with.

    Attributes
    ----------
    maps
        As linked, all in flash and SRAM, the two greedy ones, the best; those that can be timed.
    moves
        From the map as linked to the best, most gain first.
    startup_bytes
        What start-up copies from flash to RAM: as linked, and under the best map.
    retimings
        How often the trace was timed.
    """

    goal: Goal
    board: Board
    space: Space
    maps: tuple[NamedMap, ...]
    moves: tuple[Move, ...]
    startup_bytes: tuple[int, int]
    retimings: int
    exhausted: bool  # no timings were left: more might find a better map

    def map(self, name: str) -> NamedMap | None:
        """Return one of the maps by name."""
        return next((m for m in self.maps if m.name == name), None)

    @property
    def best(self) -> NamedMap:
        return self.maps[-1]

    @property
    def linked(self) -> NamedMap:
        return self.maps[0]


@dataclass(frozen=True)
class CurvePoint:
    """The best and the better greedy map with so many bytes of TCM."""

    tcm_bytes: int
    best: NamedMap
    greedy: NamedMap


@dataclass(frozen=True)
class Curve:
    """Cycles or energy against bytes of TCM, ascending."""

    goal: Goal
    board: Board
    points: tuple[CurvePoint, ...]
    linked: NamedMap
    retimings: int


def check_space(space: Space) -> None:
    """Raise InputError naming objects and bytes if no map of a space fits."""
    excess = least_excess(space)
    if excess:
        raise InputError(
            "no map fits: " + "; ".join(_in_words(each, space) for each in excess),
            do="Reserve or pin less",
        )


def _in_words(excess: Excess, space: Space) -> str:
    """Say what is too much for a region."""
    names = [f"{c.name} ({format_count(c.size_bytes)})" for c in excess.objects[:NAMED]]
    if len(excess.objects) > NAMED:
        rest = excess.objects[NAMED:]
        names.append(f"{len(rest)} more ({format_count(sum(c.size_bytes for c in rest))})")
    region, need = excess.region, sum(c.size_bytes for c in excess.objects)
    why = [f"{format_count(space.taken_bytes[region])} are taken by what cannot be moved"]
    if space.reserved_bytes[region]:
        why.append(f"{format_count(space.reserved_bytes[region])} are reserved")
    return (
        f"{region} has {format_count(max(excess.room_bytes, 0))} bytes ({', '.join(why)}) for "
        f"{format_count(need)} bytes of {', '.join(names) or 'nothing'}: "
        f"{format_count(excess.over_bytes)} bytes too many"
    )


def best_map(
    study: Retimes,
    board: Board,
    space: Space,
    *,
    goal: Goal = "cycles",
    tcm_bytes: int | None = None,
    fixed: Mapping[str, str] | None = None,
    retimings: int = RETIMINGS,
    on_progress: Callable[[int, int], None] = lambda done, limit: None,
) -> Best:
    """Find the best map.

    Parameters
    ----------
    study, board
        What to time, and on what.
    space
        Maps that are allowed, of `find_space`.
    goal
        ``cycles`` or ``energy``.
    tcm_bytes
        Limit on what the candidates take of all TCMs together.
    fixed
        Places of what is no candidate.
    retimings
        How often the trace may be timed.
    on_progress
        Told how often it has been, and the limit.

    Raises
    ------
    InputError
        If no map fits, naming objects and bytes; if there is no energy; if OR-Tools is missing.
    """
    space = space.limit(tcm_bytes)
    check_space(space)
    judge = Judge(study, board, space, goal, fixed=fixed, limit=retimings, on_progress=on_progress)
    linked = space.linked
    judge.cost(linked)
    search = Search(space, judge)
    starts = [linked] if space.holds(linked) else []
    found = search.best(tcm_bytes=tcm_bytes, starts=starts)
    exhausted = not judge.left
    _, (density, count, *_) = search.opening(space)
    maps = []
    for name, places in (
        (LINKED, linked), (SLOW, search.survey.slow), (BY_DENSITY, density), (BY_COUNT, count),
        (BEST, found),
    ):  # fmt: skip
        if (named := _named(space, judge, name, places)) is not None:
            maps.append(named)
    return Best(
        goal=goal, board=board, space=space, maps=tuple(maps), moves=_moves(space, judge, found),
        startup_bytes=(_copied(space, board, linked), _copied(space, board, found)),
        retimings=judge.retimings, exhausted=exhausted,
    )  # fmt: skip


def curve(
    study: Retimes,
    board: Board,
    space: Space,
    *,
    goal: Goal = "cycles",
    budgets: Sequence[int] = (),
    fixed: Mapping[str, str] | None = None,
    retimings: int = CURVE_RETIMINGS,
    on_progress: Callable[[int, int], None] = lambda done, limit: None,
) -> Curve:
    """Find the best map for each of several amounts of TCM, the least first.

    Parameters
    ----------
    budgets
        Bytes of ITCM and DTCM together that the candidates may take; default 0, then from 512
        bytes, doubling and half-way between, up to all that is used by objects or is there.

    Other parameters and errors as of `best_map`.
    """
    check_space(space)
    judge = Judge(study, board, space, goal, fixed=fixed, limit=retimings, on_progress=on_progress)
    linked = _named(space, judge, LINKED, space.linked)
    if linked is None:
        raise InputError("the map as linked cannot be timed")
    search = Search(space, judge)
    least = space.tcm_used_bytes(search.survey.slow)
    points: list[CurvePoint] = []
    for budget in sorted(set(budgets)) or _budgets(space, least):
        if budget < least:
            continue
        starts = [points[-1].best.places] if points else []
        places = search.best(tcm_bytes=budget, starts=starts, rounds=2)
        small = space.limit(budget)
        best = _named(small, judge, BEST, places)
        if best and points and _cost(best, goal) > _cost(points[-1].best, goal):
            best = points[-1].best  # moves worth next to nothing were taken back
        judge.limit = max(judge.limit, judge.retimings + 2)  # the greedy maps are always timed
        _, simple = search.opening(small)
        known = [
            _named(small, judge, name, each)
            for name, each in zip((BY_DENSITY, BY_COUNT), simple, strict=False)
        ]
        greedy = min((m for m in known if m), key=lambda m: _cost(m, goal), default=None)
        if best is None or greedy is None:
            raise InputError(f"no map with {format_count(budget)} bytes of TCM can be timed")
        points.append(CurvePoint(budget, best, greedy))
    if not points:
        raise InputError(
            f"all of these are below the {format_count(least)} bytes of TCM that objects "
            "take that can lie nowhere else",
            do="Give larger ones",
        )
    return Curve(goal, board, tuple(points), linked, judge.retimings)


def _cost(named: NamedMap, goal: Goal) -> float:
    return named.cycles if goal == "cycles" else named.timed.energy_nj or 0.0


def _budgets(space: Space, least: int) -> list[int]:
    most = sum(
        min(
            sum(c.size_bytes for c in space.candidates if region in c.choices and c.accesses),
            space.room_bytes[region],
        )
        for region in sorted(space.tcm & space.room_bytes.keys())
    )
    steps = [size for n in range(9, 24) for size in (1 << n, 3 << (n - 1))]
    return [least, *(size for size in steps if least < size < most), max(most, least)]


def _named(space: Space, judge: Judge, name: str, places: Places) -> NamedMap | None:
    judge.limit = max(judge.limit, judge.retimings + 1)  # maps that are shown are always timed
    timed = judge.timed(places)
    if timed is None:
        return None
    return NamedMap(name, places, timed, space.tcm_used_bytes(places), space.holds(places))


def _moves(space: Space, judge: Judge, best: Places) -> tuple[Move, ...]:
    homes = space.linked
    moved = [c for c in space.candidates if best[c.name] != homes[c.name]]
    backs = [{**best, c.name: homes[c.name]} for c in moved]
    fits = [space.holds(places) for places in backs]
    judge.limit = max(judge.limit, judge.retimings + len(moved))
    costs = judge.costs([places for places, fit in zip(backs, fits, strict=True) if fit])
    known = iter(costs)
    whole = judge.cost(best) or 0
    found = []
    for candidate, fit in zip(moved, fits, strict=True):
        cost = next(known) if fit else None
        gain = None if cost is None else cost - whole
        found.append(Move(candidate, homes[candidate.name], best[candidate.name], gain))
    return tuple(sorted(found, key=lambda m: (m.gain is None, -(m.gain or 0), m.candidate.name)))


def _copied(space: Space, board: Board, places: Places) -> int:
    """Return the bytes of candidates that start-up copies from flash."""
    ram = {region.name for region in board.regions if region.writable}
    return sum(c.initial_bytes for c in space.candidates if places[c.name] in ram)
