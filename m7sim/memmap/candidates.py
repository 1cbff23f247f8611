"""What a best placement chooses from: objects, where each may lie, and the room there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from m7sim.board import Board, Region
from m7sim.board.parts import FLASH_KINDS
from m7sim.errors import InputError
from m7sim.memmap.attributes import can_be_pasted
from m7sim.memmap.layout import Layout
from m7sim.memmap.objects import Kind, MemoryObject, movable_to
from m7sim.memmap.places import resolve_places
from m7sim.units import format_count

FEW: Final = 1e-4  # of all accesses: with fewer, a gain is chance (other code shifts, too)
NAMED: Final = 4  # objects that a message names
_STAYS: Final = ("heap", "other")  # kinds without a place of their own to choose
_UNNAMED: Final = ")"  # ends the names of what a section holds besides its symbols


@dataclass(frozen=True)
class Candidate:
    """An object with the regions it may lie in.

    Attributes
    ----------
    size_bytes
        Rounded up to the alignment: laid out by falling alignment, objects leave no gaps then.
    home
        Region as linked.
    choices
        Regions it may lie in, home first if it may stay there.
    accesses
        Fetches, loads and stores; without any it costs the same everywhere. Told as none when they
        are below ``FEW`` of all.
    """

    name: str
    kind: str
    size_bytes: int
    home: str
    choices: tuple[str, ...]
    accesses: int
    initial_bytes: int = 0

    @property
    def density(self) -> float:
        """Accesses a byte."""
        return self.accesses / max(self.size_bytes, 1)


@dataclass(frozen=True)
class Space:
    """All maps that are allowed.

    Attributes
    ----------
    room_bytes
        Of each RAM, for the candidates: what cannot be moved and what is reserved is taken off;
        negative if that is more than there is. Flash is never short: what runs in RAM and has
        initial contents takes its bytes of flash all the same.
    taken_bytes, reserved_bytes
        By region: taken by what cannot be moved, kept free because asked for.
    tcm
        Names of the tightly coupled memories.
    tcm_bytes
        Limit on the candidates in all of them together; None: their rooms.
    """

    candidates: tuple[Candidate, ...]
    room_bytes: dict[str, int]
    taken_bytes: dict[str, int]
    reserved_bytes: dict[str, int]
    tcm: frozenset[str]
    tcm_bytes: int | None = None

    @cached_property
    def by_name(self) -> dict[str, Candidate]:
        return {candidate.name: candidate for candidate in self.candidates}

    def limit(self, tcm_bytes: int | None) -> Space:
        """Return the space with another limit on TCM."""
        return replace(self, tcm_bytes=tcm_bytes)

    def tighter(self, slack_bytes: int) -> Space:
        """Return the space with less room for code in TCM."""
        rooms = {
            name: room - slack_bytes if name in self.code_tcm else room
            for name, room in self.room_bytes.items()
        }
        return replace(self, room_bytes=rooms)

    @property
    def code_tcm(self) -> frozenset[str]:
        """TCMs that code may lie in."""
        return self.tcm & {n for c in self.candidates if c.kind == "code" for n in c.choices}

    def used_bytes(self, places: Mapping[str, str]) -> dict[str, int]:
        """Return what the candidates take in each region."""
        used = dict.fromkeys(self.room_bytes, 0)
        for candidate in self.candidates:
            region = places[candidate.name]
            used[region] = used.get(region, 0) + candidate.size_bytes
        return used

    def tcm_used_bytes(self, places: Mapping[str, str]) -> int:
        """Return what the candidates take of TCM."""
        used = self.used_bytes(places)
        return sum(used.get(region, 0) for region in self.tcm)

    def holds(self, places: Mapping[str, str]) -> bool:
        """Say whether a map is allowed."""
        if any(places[c.name] not in c.choices for c in self.candidates):
            return False
        used = self.used_bytes(places)
        if any(used[region] > room for region, room in self.room_bytes.items()):
            return False
        return self.tcm_bytes is None or self.tcm_used_bytes(places) <= self.tcm_bytes

    @property
    def linked(self) -> dict[str, str]:
        """The map as linked, which need not be allowed."""
        return {candidate.name: candidate.home for candidate in self.candidates}


def find_space(
    objects: tuple[MemoryObject, ...],
    layout: Layout,
    board: Board,
    *,
    pins: Mapping[str, str] | None = None,
    reserve: Mapping[str, int] | None = None,
    stay: Collection[str] = (),
    to_sram: bool = False,
    every: bool = False,
) -> Space:
    """Return the maps to choose from.

    Parameters
    ----------
    objects, layout
        Of a study; the layout is the one as linked.
    board
        Whose regions are meant.
    pins
        Region by object, pattern, section or group, as of `Study.retime`: it lies there, whatever
        else (a buffer that DMA or the MPU's set-up binds to a memory, say).
    reserve
        Bytes to keep free, by region.
    stay
        Names of objects that stay where they are unless pinned.
    to_sram
        Offer SRAM to code and constants in flash as well. What they gain there is mostly that
        other sets of the caches hold them, which the next change of the program undoes.
    every
        Offer all memories; else only the largest of those that are alike. They cost the same but
        for the sets of the cache that addresses fall into, and chance would choose.

    Raises
    ------
    InputError
        If a name is unknown, or a pinned object cannot lie where it is pinned.
    """
    pinned = resolve_places(pins or {}, objects, board)
    reserve = dict(reserve or {})
    capacity = {use.name: use.capacity_bytes for use in layout.use}
    usable = [r for r in board.regions if r.name in capacity and r.mapped and not r.alias_of]
    few = FEW * sum(item.accesses for item in objects)
    candidates = []
    for n, recorded in enumerate(objects):
        item = _on(board, recorded, layout)
        if item.size_bytes <= 0 or item.kind in _STAYS or item.region not in capacity:
            continue
        if n in pinned:
            choices: tuple[str, ...] = (pinned[n],)
        elif item.name.endswith(_UNNAMED) or item.name in stay:
            continue
        else:
            suited = [r for r in usable if _suits(item, r, board, to_sram)]
            choices = _choices(item, suited, every)
        if len(choices) > 1 or n in pinned:
            candidates.append(
                _candidate(item, choices, item.accesses if item.accesses > few else 0)
            )
    kinds = {region.name: region.kind for region in board.regions}
    used = {use.name: use.used_bytes for use in layout.use}
    for name in reserve:
        if name in capacity and kinds[name] in FLASH_KINDS:
            _check_flash(name, used[name], reserve[name], capacity[name])
    for candidate in candidates:
        used[candidate.home] -= candidate.size_bytes
    names = {n for c in candidates for n in c.choices if kinds[n] not in FLASH_KINDS}
    taken = {name: max(used[name], 0) for name in capacity if name in names}
    reserved = {name: reserve.get(name, 0) for name in taken}
    return Space(
        candidates=tuple(candidates),
        room_bytes={name: capacity[name] - taken[name] - reserved[name] for name in taken},
        taken_bytes=taken,
        reserved_bytes=reserved,
        tcm=frozenset(region.name for region in board.regions if region.tcm),
    )


def _on(board: Board, item: MemoryObject, layout: Layout) -> MemoryObject:
    """Return an object as it lies on a board, which may be another than the recorded one."""
    region = layout.regions.get(item.name, item.region)
    if region == item.region:
        return item
    kind: Kind = "const" if item.kind == "array" and item.read_only else item.kind
    return replace(item, region=region, movable=item.movable and movable_to(kind, board))


def _check_flash(name: str, used_bytes: int, reserved_bytes: int, capacity_bytes: int) -> None:
    """Raise InputError if the image leaves less than is to be kept free; no map changes that."""
    over = used_bytes + reserved_bytes - capacity_bytes
    if over > 0:
        raise InputError(
            f"the image takes {format_count(used_bytes)} bytes of {name}, "
            f"{format_count(reserved_bytes)} are reserved: {format_count(over)} bytes too many",
            where=name,
            do="Reserve less; moving objects into RAM frees no flash",
        )


def _candidate(item: MemoryObject, choices: tuple[str, ...], accesses: int) -> Candidate:
    unit = max(item.alignment_bytes, 4)
    return Candidate(
        name=item.name,
        kind=item.kind,
        size_bytes=-(-item.size_bytes // unit) * unit,
        home=item.region,
        choices=choices,
        accesses=accesses,
        initial_bytes=item.initial_bytes,
    )


def _suits(item: MemoryObject, region: Region, board: Board, to_sram: bool) -> bool:
    if region.name == item.region:
        return True
    if region.name not in item.movable or not can_be_pasted(item.kind, region.name, board):
        return False
    home = board.region(item.region)
    return region.tcm or to_sram or home.kind not in FLASH_KINDS


def _choices(item: MemoryObject, usable: list[Region], every: bool) -> tuple[str, ...]:
    """Return where an object may lie: its home first, then one region of each kind of memory."""
    found = [item.region]
    sorts = {_sort(region) for region in usable if region.name == item.region}
    for region in sorted(usable, key=lambda r: (-r.size_bytes, r.name)):
        if region.name in found:
            continue
        if every or _sort(region) not in sorts:
            sorts.add(_sort(region))
            found.append(region.name)
    return tuple(found)


def _sort(region: Region) -> tuple[object, ...]:
    kind = "flash" if region.kind in FLASH_KINDS else region.kind
    return (
        kind, region.cacheable, region.line_fill_cycles, region.read_latency_cycles,
        region.write_latency_cycles, region.beat_cycles,
    )  # fmt: skip
