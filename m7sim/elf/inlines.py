"""Inlined calls: which functions the compiler dissolved into the code at an address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from m7sim.elf.debug import DebugInfo, Entry, Unit

Spans = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class InlinedCall:
    """A function that was inlined, and the line that calls it (not the line that runs)."""

    function: str
    file: str
    line: int


Chain = tuple[InlinedCall, ...]


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a function is entered: its own code, or a place that it was inlined into.

    ``name`` is the one the linker would use; ``file`` and ``line`` are those of its definition.
    """

    name: str
    file: str
    line: int
    address: int
    inlined: bool


class InlineTable:
    """Address → chain of inlined calls; a unit is parsed when an address in it is asked for.

    Parameters
    ----------
    debug
        The image's DWARF.
    alive
        Says whether a function is in the image or was thrown away by the linker.
    """

    def __init__(self, debug: DebugInfo, alive: Callable[[Entry], bool]) -> None:
        self._debug, self._alive = debug, alive
        self._units = UnitTable(debug)
        self._tables: dict[int, tuple[list[int], list[Chain]]] = {}

    def at(self, address: int) -> Chain:
        """Return the inlined calls around an address, innermost first."""
        for unit in self._units.at(address):
            starts, chains = self._table(unit)
            place = bisect_right(starts, address) - 1
            if place >= 0 and chains[place]:
                return chains[place]
        return ()

    def entrances(self) -> list[Entrance]:
        """Return all entrances of the functions that are described, inlined ones too."""
        found = []
        for unit in self._debug.units:
            for function in filter(self._alive, unit.functions):
                found += _entrances(function)
        return found

    def _table(self, unit: Unit) -> tuple[list[int], list[Chain]]:
        table = self._tables.get(id(unit))
        if table is None:
            found: list[tuple[int, int, InlinedCall]] = []  # outer before inner
            for function in unit.functions:
                if self._alive(function):
                    _collect(function, found)
            table = self._tables[id(unit)] = _paint(found)
        return table


class UnitTable:
    """Address → the units that claim it (several only where thrown away code ends up)."""

    def __init__(self, debug: DebugInfo) -> None:
        self._debug = debug
        self._spans: list[tuple[int, int, Unit]] | None = None
        self._starts: list[int] = []
        self._reach: list[int] = []

    def at(self, address: int) -> list[Unit]:
        if self._spans is None:
            spans = [(lo, hi, unit) for unit in self._debug.units for lo, hi in unit.ranges]
            spans.sort(key=lambda s: s[:2])
            self._starts = [low for low, _, _ in spans]
            reach = 0
            for _, high, _ in spans:
                reach = max(reach, high)
                self._reach.append(reach)
            self._spans = spans
        found: dict[int, Unit] = {}
        place = bisect_right(self._starts, address) - 1
        while place >= 0 and self._reach[place] > address:
            low, high, unit = self._spans[place]
            if low <= address < high:
                found[id(unit)] = unit
            place -= 1
        return list(found.values())


def _collect(function: Entry, found: list[tuple[int, int, InlinedCall]]) -> None:
    stack = [function]
    while stack:
        entry = stack.pop()
        for child in entry.children():
            if child.tag == "inlined_subroutine":
                files, number = child.unit.files, child.integer("call_file") or 0
                file = files[number] if 0 <= number < len(files) else ""
                call = InlinedCall(child.name or "?", file, child.integer("call_line") or 0)
                found += [(low, high, call) for low, high in child.ranges()]
            elif child.tag != "lexical_block":
                continue
            stack.append(child)


def _entrances(function: Entry) -> list[Entrance]:
    found, stack = [], [function]
    while stack:
        entry = stack.pop()
        stack += [c for c in entry.children() if c.tag in ("inlined_subroutine", "lexical_block")]
        ranges = entry.ranges()
        if entry.tag == "lexical_block" or not ranges:
            continue
        low = ranges[0][0]
        at = entry.integer("entry_pc") or 0  # an address, or counted from the first one
        at = next((a for a in (at, low + at) if any(lo <= a < hi for lo, hi in ranges)), low)
        named = entry.inherited("decl_line")
        files, number = named.unit.files, entry.inherited("decl_file").integer("decl_file") or 0
        found.append(
            Entrance(
                name=entry.inherited("linkage_name").text("linkage_name") or entry.name or "?",
                file=files[number] if 0 <= number < len(files) else "",
                line=named.integer("decl_line") or 0,
                address=at,
                inlined=entry is not function,
            )
        )
    return found


def _paint(found: list[tuple[int, int, InlinedCall]]) -> tuple[list[int], list[Chain]]:
    """Return starts of spans and their chains; ``found`` has outer calls before inner ones."""
    starts = sorted({bound for low, high, _ in found for bound in (low, high)})
    place = {start: index for index, start in enumerate(starts)}
    chains: list[Chain] = [()] * len(starts)
    for low, high, call in found:
        for index in range(place[low], place[high]):
            chains[index] = (call, *chains[index])
    return starts, chains
