"""Where everything lies when objects move: what a linker and start-up code would make of it.

Sections keep their order and close up behind what left them. What moves into a region goes behind
what is there: code and initialised data to the end of the last such section, zeroed data to the
end of the last zeroed one. The heap begins behind all that; the stack at its old distance from the
region's end, or at the end of the one it moved to; arrays of a call below it, downwards. Nothing
moved: every address is the recorded one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.elf import Section
from m7sim.errors import InputError
from m7sim.memmap.objects import LOAD_IMAGE, Inventory, MemoryObject
from m7sim.memmap.room import Needs, RegionUse, check_room

RED_ZONE_BYTES: Final = 1024  # below the stack, as `machine.placement` keeps free
_NULL_BYTES: Final = 32  # nothing at address 0, which C knows as NULL
_LINE_BYTES: Final = 64
_CACHE_LINE_BYTES: Final = 32
_NEW: Final = " (new)"
VENEER_BYTES: Final = 8
_INITIALISED: Final = ("code", "const", "data")


@dataclass(frozen=True)
class Layout:
    """Where everything lies under a map.

    Attributes
    ----------
    addresses, regions
        By object.
    moved
        Objects that are in another region than recorded.
    copied_bytes
        How many bytes more than as linked start-up copies from flash into RAM.
    veneer_addresses
        First free byte behind the code of each region, where the linker puts its veneers.
    """

    addresses: dict[str, int]
    regions: dict[str, str]
    use: tuple[RegionUse, ...]
    moved: tuple[str, ...]
    copied_bytes: int
    veneer_addresses: dict[str, int] = field(repr=False)
    delta: NDArray[np.int64] = field(repr=False)  # by piece: new address - recorded one


@dataclass
class _Block:
    """An output section: where it was, and what lies in it now."""

    name: str
    start: int  # offsets in its memory
    end: int
    code: bool
    zero: bool
    region: str
    pieces: list[int]
    moved_in: list[int] = field(default_factory=list)


class Planner:
    """Lays a program out on a board.

    Parameters
    ----------
    inventory, recorded
        The program, and the board it was recorded on.
    board
        To lay it out on.
    heap_bytes
        What the run used of the heap.
    """

    def __init__(
        self, inventory: Inventory, recorded: Board, board: Board, heap_bytes: int = 0
    ) -> None:
        self.inventory, self.recorded, self.board = inventory, recorded, board
        self.heap_bytes = heap_bytes
        self.homes = tuple(self._home(each) for each in inventory.objects)
        self._pieces_of: dict[int, list[int]] = {}
        for k, piece in enumerate(inventory.pieces):
            self._pieces_of.setdefault(piece.owner, []).append(k)

    def lay_out(
        self, chosen: Mapping[int, str], veneers: Mapping[str, int] | None = None
    ) -> Layout:
        """Return where everything lies.

        Parameters
        ----------
        chosen
            Region by index of object; the others stay where they are.
        veneers
            How many the linker adds behind the code of each region.

        Raises
        ------
        InputError
            If it does not fit: which objects, and by how many bytes.
        """
        regions = [chosen.get(k, home) for k, home in enumerate(self.homes)]
        new: dict[int, int] = {}  # address by piece
        low: dict[str, int] = {}
        behind: dict[str, int] = {}
        for memory, blocks in self._memories(regions).items():
            low[memory] = self._fill(memory, blocks, new, behind, veneers or {})
        copied = self._copied_bytes(regions)
        flash = next((r.name for r in self.board.regions if r.kind == "flash"), "")
        if flash in low:
            low[flash] += copied
        self._heap(regions, new, low)
        high = self._top_down(regions, new)
        memories = [
            self._memory(r) if self.inventory.objects[k].size_bytes else ""
            for k, r in enumerate(regions)
        ]
        needs = Needs(
            memories, [r != h for r, h in zip(regions, self.homes, strict=True)], self.heap_bytes
        )
        use = check_room(self.board, self.inventory.objects, needs, low, high)
        pieces = self.inventory.pieces
        delta = np.array(
            [new.get(k, p.address) - p.address for k, p in enumerate(pieces)], np.int64
        )
        names = [each.name for each in self.inventory.objects]
        return Layout(
            {name: new[self._pieces_of[k][0]] for k, name in enumerate(names)},
            dict(zip(names, regions, strict=True)),
            use,
            tuple(n for n, r, h in zip(names, regions, self.homes, strict=True) if r != h),
            copied,
            behind,
            delta,
        )

    def _home(self, each: MemoryObject) -> str:
        """Return the region of the board that stands for the one an object was recorded in."""
        names = {region.name for region in self.board.regions}
        there = self.board.region_at(each.address)
        was = self.recorded.region_at(each.address)
        if was is None:
            raise InputError(
                f"{each.name} at 0x{each.address:08x} lies in no memory", where=self.recorded.name
            )
        if there is not None and (there.kind == was.kind or was.device):
            return there.name
        if was.name in names and self.board.region(was.name).kind == was.kind:
            return was.name
        same = [r for r in self.board.regions if r.kind == was.kind and r.mapped and not r.alias_of]
        if not same:
            raise InputError(
                f"nothing on {self.board.name} stands for {was.name}, in which {each.name} lies",
                do=f"Place it: {each.name}=REGION",
            )
        return max(same, key=lambda region: region.size_bytes).name

    def _memory(self, region: str) -> str:
        return self.board.region(region).alias_of or region

    def _memories(self, regions: Sequence[str]) -> dict[str, list[_Block]]:
        """Return the sections of each memory in order, with what stays and what comes."""
        found: dict[str, list[_Block]] = {}
        by_section: dict[str, _Block] = {}
        pieces, objects = self.inventory.pieces, self.inventory.objects
        placed: list[Section | _Image] = [*self.inventory.sections, *self._images()]
        for section in placed:
            home = self._home_of_section(section.name, section.address)
            was = self.recorded.region_at(section.address)
            start = section.address - (was.start if was else 0)
            block = _Block(
                section.name, start, start + section.size_bytes, bool(section.executable),
                section.kind == "SHT_NOBITS", home, [],
            )  # fmt: skip
            by_section[section.name] = block
            found.setdefault(self._memory(home), []).append(block)
        for k in sorted(range(len(pieces)), key=lambda k: pieces[k].address):
            piece = pieces[k]
            if piece.section:
                block = by_section[piece.section]
                region = regions[piece.owner]
                if region == block.region:
                    block.pieces.append(k)
                else:
                    kind = objects[piece.owner].kind
                    self._receiver(found, region, kind).moved_in.append(k)
        return found

    def _images(self) -> list[_Image]:
        objects = self.inventory.objects
        return [
            _Image(p.section, p.address, p.size_bytes)
            for p in self.inventory.pieces
            if objects[p.owner].name.endswith(LOAD_IMAGE)
        ]

    def _home_of_section(self, name: str, address: int) -> str:
        for piece in self.inventory.pieces:
            if piece.section == name:
                return self.homes[piece.owner]
        region = self.board.region_at(address)
        return region.name if region else ""

    def _receiver(self, found: dict[str, list[_Block]], region: str, kind: str) -> _Block:
        """Return the section of a region that takes in what moves there."""
        blocks = found.setdefault(self._memory(region), [])
        own = [b for b in blocks if b.region == region and not b.name.endswith(LOAD_IMAGE)]
        zero = kind not in _INITIALISED
        fits = [b for b in own if b.zero == zero]
        code = [b for b in fits if b.code == (kind == "code")]
        if fits:
            return (code or fits)[-1]
        at = max([b.end for b in own], default=_NULL_BYTES if self._starts_at_null(region) else 0)
        if own:  # before what is zeroed or behind it, as start-up code wants them
            at = own[0].start if not zero else own[-1].end
        block = _Block(f"{region}{_NEW}", at, at, kind == "code", zero, region, [])
        places = [k for k, b in enumerate(blocks) if b in own]
        blocks.insert((places[0] if not zero else places[-1] + 1) if places else len(blocks), block)
        return block

    def _starts_at_null(self, region: str) -> bool:
        return self.board.region(region).start == 0

    def _fill(
        self, memory: str, blocks: list[_Block], new: dict[int, int], behind: dict[str, int],
        veneers: Mapping[str, int],
    ) -> int:  # fmt: skip
        """Give the pieces of a memory their addresses; return the offset behind the last."""
        pieces = self.inventory.pieces
        place = previous_end = 0
        for n, block in enumerate(blocks):
            gap = block.start - previous_end
            if block.name.endswith(_NEW):  # as the scripts in firmware/board align them
                cached = self.board.region(block.region).cacheable
                place = _align(max(place, block.start), _CACHE_LINE_BYTES if cached else 8)
            elif n == 0 or not 0 <= gap < _LINE_BYTES or block.start & (_above(gap) - 1):
                place = max(place, block.start)
            else:
                place = _align(place, self._start_alignment(block, previous_end))
            previous_end = block.end
            start = self.board.region(block.region).start
            for k in (*block.pieces, *block.moved_in):
                place = _align(place, pieces[k].alignment_bytes)
                new[k] = start + place
                place += pieces[k].size_bytes
            if block.code:
                behind[block.region] = start + _align(place, VENEER_BYTES)
                if veneers.get(block.region):
                    place = _align(place, VENEER_BYTES) + VENEER_BYTES * veneers[block.region]
        return place

    def _start_alignment(self, block: _Block, previous_end: int) -> int:
        """Return what a section starts on: its strictest piece's alignment, if that explains it."""
        pieces = self.inventory.pieces
        recorded = [p.alignment_bytes for p in pieces if p.section == block.name]
        if _align(previous_end, max(*recorded, 8, 8)) == block.start:
            return max(*(pieces[k].alignment_bytes for k in (*block.pieces, *block.moved_in)), 8, 8)
        return max(_above(block.start - previous_end), min(block.start & -block.start or 8, 8))

    def _copied_bytes(self, regions: Sequence[str]) -> int:
        """Return how many bytes more than recorded flash holds for start-up to copy."""
        more = 0
        for each, home, now in zip(self.inventory.objects, self.homes, regions, strict=True):
            if each.initial_bytes and now != home:
                was, is_ = self.board.region(home).writable, self.board.region(now).writable
                more += each.initial_bytes * (int(is_) - int(was))
        return more

    def _heap(self, regions: Sequence[str], new: dict[int, int], low: dict[str, int]) -> None:
        for k, each in enumerate(self.inventory.objects):
            if each.kind != "heap":
                continue
            (p,) = self._pieces_of[k]
            memory = self._memory(regions[k])
            region = self.board.region(memory)
            place = _align(low.get(memory, 0), 8)
            was = self.recorded.region_at(each.address)
            if regions[k] == self.homes[k] and was is not None:
                recorded_end = max(
                    (s.end for s in self.inventory.sections if s.address in was), default=0
                )
                if not 0 <= each.address - recorded_end < _LINE_BYTES:  # where a symbol says
                    place = max(place, each.address - was.start)
            new[p] = region.start + place
            low[memory] = place + self.heap_bytes

    def _top_down(self, regions: Sequence[str], new: dict[int, int]) -> dict[str, int]:
        """Place the stack and the arrays; return the lowest offset taken from the top."""
        high: dict[str, int] = {}
        objects = self.inventory.objects
        for k, each in enumerate(objects):
            if each.kind == "stack":
                region = self.board.region(regions[k])
                was = self.recorded.region_at(self.inventory.stack_top - 1)
                above = was.end - self.inventory.stack_top if was else 0
                if regions[k] != self.homes[k]:
                    above = 0
                start = region.end - above - each.size_bytes & ~7
                new[self._pieces_of[k][0]] = start
                high[self._memory(regions[k])] = start - region.start
        arrays = [k for k, each in enumerate(objects) if each.kind == "array"]
        step = self._array_alignment(arrays)
        stays = all(regions[k] == self.homes[k] for k in arrays) and not (
            any(regions[k] != self.homes[k] for k, o in enumerate(objects) if o.kind == "stack")
        )
        gaps = {memory: max(place - RED_ZONE_BYTES, 0) for memory, place in high.items()}
        for k in arrays:
            memory = self._memory(regions[k])
            region = self.board.region(regions[k])
            top = gaps.get(memory, region.size_bytes)
            size = objects[k].size_bytes
            place = (top - size) & -(step or 8)
            if (stays or not step) and self._unmoved(k, regions):
                place = objects[k].address - region.start
            new[self._pieces_of[k][0]] = region.start + place
            gaps[memory] = min(top, place)
            high[memory] = min(high.get(memory, region.size_bytes), place)
        return high

    def _unmoved(self, k: int, regions: Sequence[str]) -> bool:
        each = self.inventory.objects[k]
        return regions[k] == each.region and self.board.region_at(each.address) is not None

    def _array_alignment(self, arrays: Sequence[int]) -> int:
        """Return the alignment with which a call's arrays got the recorded addresses, or 0."""
        objects = self.inventory.objects
        stack = next((o for o in objects if o.kind == "stack"), None)
        for step in (8, 16, 32, 64, 4):
            gaps: dict[str, int] = {}
            if stack is not None:
                gaps[stack.region] = stack.address - RED_ZONE_BYTES
            for k in arrays:
                each = objects[k]
                top = gaps.get(each.region)
                if top is None:
                    region = self.recorded.region_at(each.address)
                    top = region.end if region else each.end
                if (top - each.size_bytes) & -step != each.address:
                    break
                gaps[each.region] = each.address
            else:
                return step
        return 0


@dataclass(frozen=True)
class _Image:
    """A load image, seen as a section of the flash."""

    name: str
    address: int
    size_bytes: int
    kind: str = "SHT_PROGBITS"
    executable: bool = False


def _above(padding: int) -> int:
    return 1 << padding.bit_length()


def _align(place: int, alignment: int) -> int:
    return -(-place // alignment) * alignment
