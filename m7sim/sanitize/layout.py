"""What there is in memory: arrays of a call, variables, sections, stack and heap, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from m7sim.board import Board
from m7sim.elf import Image
from m7sim.elf.reader import SHF_ALLOC, Section
from m7sim.elf.symbols import Symbol
from m7sim.machine.call import Calling
from m7sim.machine.placement import STACK_LIMIT_SYMBOLS, Placement, Span
from m7sim.sanitize.rules import Rules

_SHF_WRITE: Final = 1
_HEAP_SYMBOLS: Final = ("end", "_end", "__end__", "__HeapBase")
_HEAP_LIMIT_SYMBOLS: Final = ("__HeapLimit", "__heap_limit", "_heap_limit")
# Room that is no variable's between two variables of a writable section is padding up to this
# size: the largest alignment in use, that of a cache line.
_MOST_PADDING_BYTES: Final = 32


class Kind(IntEnum):
    """What an object is."""

    NOTHING = 0  # no object: memory that nobody has a name for
    GUARD = 1  # beside an array
    PADDING = 2  # between variables
    ARRAY = 3  # of an argument
    VARIABLE = 4
    SECTION = 5  # of it, what no symbol covers
    STACK = 6
    HEAP = 7
    CODE = 8  # sections with instructions
    BUFFER = 9  # that the host allocated
    LOCAL = 11  # variable on the stack: known when something is told about it
    APRON = 10  # behind an array or a variable: may be read by agreement


NAMED: Final = (Kind.ARRAY, Kind.VARIABLE, Kind.BUFFER)  # what can be overrun


@dataclass(frozen=True)
class Object:
    """A stretch of memory with one owner.

    ``undefined`` tells that nothing has been written to it yet.
    """

    kind: Kind
    name: str
    start: int
    end: int
    readable: bool = True
    writable: bool = True
    undefined: bool = False
    content: str = ""
    position: int = -1  # of an argument
    over_read_bytes: int = 0  # by agreement

    @property
    def size_bytes(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        if self.kind == Kind.ARRAY:
            number = "the result" if self.position < 0 else f"argument {self.position + 1}"
            return f"array '{self.name}' ({number}, {self.content}, {self.size_bytes} bytes)"
        if self.kind in (Kind.VARIABLE, Kind.BUFFER):
            return f"{self.name!r} ({self.size_bytes} bytes)"
        if self.kind == Kind.LOCAL:
            return f"local {self.name!r} ({self.size_bytes} bytes)"
        if self.kind == Kind.NOTHING:
            return "nothing"
        return f"the {self.name}" if self.kind in (Kind.STACK, Kind.HEAP) else f"{self.name}"


@dataclass(frozen=True)
class Layout:
    """Objects in the order in which they cover each other: the last one owns a byte.

    Attributes
    ----------
    objects
        The first one is "nothing".
    stack
        Where the stack may lie.
    stack_limit_known
        Whether a linker symbol says where it ends.
    """

    objects: tuple[Object, ...]
    stack: Span
    stack_limit_known: bool
    named: tuple[Object, ...] = field(default=())

    def nearest(self, address: int, size_bytes: int) -> Object | None:
        """Return the array or variable next to an access, within a few KiB."""
        best: Object | None = None
        least = 4096
        for each in self.named:  # an overlap is a gap below 0
            gap = max(each.start - (address + size_bytes), address - each.end)
            if gap < least:
                best, least = each, gap
        return best


def make_layout(
    image: Image,
    board: Board,
    placement: Placement,
    call: Calling | None,
    rules: Rules,
    *,
    from_reset: bool,
) -> Layout:
    """Find out what there is for a run or a call that is about to begin."""
    objects = [Object(Kind.NOTHING, "nothing", 0, 0, readable=False, writable=False)]
    objects += _sections(image, board, from_reset)
    stack, known = _stack(image, placement, call)
    objects += _heap(image, stack)
    objects.append(Object(Kind.STACK, "stack", stack.start, stack.end))
    for section in _data_sections(image):
        objects += _variables(image, board, section, rules, from_reset)
    objects += _arrays(placement, call, rules)
    named = tuple(each for each in objects if each.kind in NAMED)
    return Layout(tuple(objects), stack, known, named)


def _allocated(image: Image) -> list[Section]:
    return [s for s in image.sections if s.flags & SHF_ALLOC and s.size_bytes]


def _data_sections(image: Image) -> list[Section]:
    return [section for section in _allocated(image) if not section.executable]


def _is_writable(board: Board, section: Section) -> bool:
    """Whether variables of a section can change: the linker calls a mixed one writable, in flash.

    Constants in there are not all symbols: texts have none.
    """
    region = board.region_at(section.address)
    return bool(section.flags & _SHF_WRITE) and (region is None or region.writable)


def _starts_undefined(image: Image, section: Section, from_reset: bool) -> bool:
    """Whether start-up code has yet to fill a section."""
    if not from_reset or "noinit" in section.name:
        return False
    if section.kind == "SHT_NOBITS":
        return True
    return any(
        s.vma <= section.address < s.vma + max(s.memory_bytes, 1) and s.vma != s.lma
        for s in image.segments
    )


def _sections(image: Image, board: Board, from_reset: bool) -> list[Object]:
    """Sections, and behind them the copies of initial data that start-up code reads."""
    found = [
        Object(Kind.SECTION, "initial data", s.lma, s.lma + len(s.data), writable=False)
        for s in image.segments
        if s.lma != s.vma and s.data
    ]
    for section in _allocated(image):
        found.append(
            Object(
                Kind.CODE if section.executable else Kind.SECTION,
                f"section {section.name}",
                section.address,
                section.end,
                writable=_is_writable(board, section) and not section.executable,
                undefined=_starts_undefined(image, section, from_reset),
            )
        )
    return found


def _stack(image: Image, placement: Placement, call: Calling | None) -> tuple[Span, bool]:
    """Return the room of the stack, and whether its end is known and not a guess."""
    span = placement.stack
    known = any(
        image.has_symbol(name) and image.symbol(name).address == span.start
        for name in STACK_LIMIT_SYMBOLS
    )
    if known or call is not None:
        return span, known
    return Span(placement.stack_floor, span.end), False


def _heap(image: Image, stack: Span) -> list[Object]:
    for name in _HEAP_SYMBOLS:
        if not image.has_symbol(name):
            continue
        start = image.symbol(name).address
        limits = [image.symbol(n).address for n in _HEAP_LIMIT_SYMBOLS if image.has_symbol(n)]
        end = next((a for a in limits if a > start), stack.start)
        if end > start:
            return [Object(Kind.HEAP, "heap", start, end)]
    return []


def _variables(
    image: Image, board: Board, section: Section, rules: Rules, from_reset: bool
) -> list[Object]:
    """Sized symbols of a section, aliases as one, and the padding between them."""
    writable = _is_writable(board, section)
    undefined = _starts_undefined(image, section, from_reset)
    inside = [s for s in image.symbols if section.address <= s.address < section.end]
    merged: list[tuple[Symbol, int]] = []
    for symbol in inside:  # by address, the preferred alias first
        if symbol.kind != "object" or not symbol.size_bytes:
            continue
        end = symbol.address + symbol.size_bytes
        if merged and symbol.address < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((symbol, end))
    found: list[Object] = []
    labels = [s.address for s in inside if not (s.kind == "object" and s.size_bytes)]
    place = section.address
    for symbol, end in merged:
        if writable and found:
            found += _padding(place, symbol.address, labels, found[-1].name)
        over = rules.over_read_bytes.get(symbol.name, 0)
        found.append(
            Object(
                Kind.VARIABLE,
                symbol.name,
                symbol.address,
                end,
                writable=writable,
                undefined=undefined,
                over_read_bytes=over,
            )
        )
        place = end
        if over:
            found.append(_apron(symbol.name, end, over))
            place = end + over
    if writable and found:
        found += _padding(place, section.end, labels, found[-1].name)
    return found


def _padding(start: int, end: int, labels: list[int], name: str) -> list[Object]:
    if not 0 < end - start < _MOST_PADDING_BYTES or any(start <= a < end for a in labels):
        return []
    return [Object(Kind.PADDING, f"padding behind {name}", start, end, False, False)]


def _apron(name: str, start: int, size_bytes: int) -> Object:
    what = f"allowed over-read of {name}"
    return Object(Kind.APRON, what, start, start + size_bytes, writable=False)


def _arrays(placement: Placement, call: Calling | None, rules: Rules) -> list[Object]:
    buffers = call.buffers if call is not None else ()
    inside = {(b.address, b.size_bytes) for b in buffers}
    kept = [
        Object(Kind.BUFFER, f"buffer at 0x{span.start:08x}", span.start, span.end)
        for span in placement.taken
        if not any(span.start <= a and a + n <= span.end for a, n in inside)
    ]
    guard = rules.guard_bytes
    spans = [(b.address, b.address + b.size_bytes) for b in buffers]
    spans += [(each.start, each.end) for each in kept]
    found = [
        Object(Kind.GUARD, "guard", place, min(place + guard, limit), False, False)
        for start, end in spans
        for place, limit in ((start - guard, start), (end, 1 << 32))
    ]
    found += kept
    for b in buffers:
        outputs = {str(each) for each in rules.outputs}
        undefined = b.writable and (b.position < 0 or bool({b.name, str(b.position)} & outputs))
        found.append(
            Object(
                Kind.ARRAY,
                b.name,
                b.address,
                b.address + b.size_bytes,
                writable=b.writable,
                undefined=undefined,
                content=b.content,
                position=b.position,
            )
        )
        if over := rules.over_read_bytes.get(b.name, 0):
            found.append(_apron(b.name, b.address + b.size_bytes, over))
    return found
