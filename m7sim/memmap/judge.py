"""Timing maps, each once, up to a number of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Protocol

from m7sim.board import Board
from m7sim.errors import InputError
from m7sim.memmap.candidates import Space
from m7sim.memmap.layout import Layout
from m7sim.memmap.whatif import Retimed

Goal = Literal["cycles", "energy"]
Places = dict[str, str]

RETIMINGS: Final = 600


class Retimes(Protocol):
    """What is needed of a `Study`."""

    def retime_many(
        self, maps: Sequence[Mapping[str, str]], /, *, board: Board
    ) -> Sequence[Retimed]: ...

    def check(self, places: Mapping[str, str], /, *, board: Board) -> Layout: ...


class Judge:
    """Times maps, each once.

    Parameters
    ----------
    study, board
        What to time, and on what.
    space
        Objects whose places are chosen; their homes are what is not moved.
    goal
        ``cycles`` or ``energy`` (in pJ, whole).
    fixed
        Places of other things, as a study takes them.
    limit
        How often the trace may be timed.
    on_progress
        Told how often it has been, and the limit.
    """

    def __init__(
        self,
        study: Retimes,
        board: Board,
        space: Space,
        goal: Goal,
        *,
        fixed: Mapping[str, str] | None = None,
        limit: int = RETIMINGS,
        on_progress: Callable[[int, int], None] = lambda done, limit: None,
    ) -> None:
        self._study, self._board, self._space, self.goal = study, board, space, goal
        self._fixed = dict(fixed or {})
        self._known: dict[tuple[str, ...], Retimed | None] = {}
        self._names = [c.name for c in space.candidates]
        self._on_progress = on_progress
        self.limit, self.retimings = limit, 0

    @property
    def left(self) -> int:
        """How often the trace may still be timed."""
        return max(self.limit - self.retimings, 0)

    def costs(self, maps: Sequence[Places]) -> list[int | None]:
        """Return what maps cost; None for those that cannot be laid out or are beyond the limit."""
        new: dict[tuple[str, ...], Places] = {}
        for places in maps:
            key = self._key(places)
            if key not in self._known and key not in new and len(new) < self.left:
                if self._laid_out(places):
                    new[key] = places
                else:
                    self._known[key] = None
        if new:
            self._known.update(zip(new, self._time(list(new.values())), strict=True))
            self.retimings += len(new)
            self._on_progress(self.retimings, self.limit)
        return [self._cost(self._known.get(self._key(places))) for places in maps]

    def cost(self, places: Places) -> int | None:
        """Return what one map costs, or None."""
        return self.costs([places])[0]

    def timed(self, places: Places) -> Retimed | None:
        """Return the timing behind the cost of a map."""
        self.costs([places])
        return self._known.get(self._key(places))

    def _key(self, places: Places) -> tuple[str, ...]:
        return tuple(places[name] for name in self._names)

    def _moves(self, places: Places) -> Places:
        homes = self._space.linked
        moved = {name: region for name, region in places.items() if region != homes[name]}
        return {**self._fixed, **moved}

    def _time(self, maps: list[Places]) -> Sequence[Retimed | None]:
        moves = [self._moves(places) for places in maps]
        try:
            return self._study.retime_many(moves, board=self._board)
        except InputError:  # one of them does not fit: the linker's veneers take room as well
            pass
        found: list[Retimed | None] = []
        for each in moves:
            try:
                found += self._study.retime_many([each], board=self._board)
            except InputError:
                found.append(None)
        return found

    def _laid_out(self, places: Places) -> bool:
        try:
            self._study.check(self._moves(places), board=self._board)
        except InputError:
            return False
        return True

    def _cost(self, timed: Retimed | None) -> int | None:
        if timed is None:
            return None
        if self.goal == "cycles":
            return timed.cycles
        if timed.energy_nj is None:
            raise InputError(
                "no energy without current data for this chip and clock",
                where=self._board.name,
                do="Use --for cycles",
            )
        return round(1000 * timed.energy_nj)
