"""Memory objects: what of a program can be put into one memory or another.

Objects are what a linker places: functions and variables by symbol, what a section holds besides
(literal strings, tables without a name), the stack, the heap, and arrays that a call passed. A
literal pool belongs to the function before it and moves with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from m7sim.board import Board, Region
from m7sim.elf import Image, Section, Symbol
from m7sim.memmap.branches import start_up_functions

Kind = Literal["code", "const", "data", "zero", "stack", "heap", "array", "other"]

# In the order in which tables and linker scripts name them.
KINDS: Final[tuple[Kind, ...]] = (
    "code", "const", "data", "zero", "stack", "heap", "array", "other",
)  # fmt: skip


@dataclass(frozen=True)
class MemoryObject:
    """One object, what it was accessed, and the cycles lost to it.

    Attributes
    ----------
    name
        Symbol, ``stack``, ``heap``, the name of an array argument, or ``SECTION (rest)`` for what
        a section holds without a name. Unique within a study: local symbols of one name get
        ``@address``.
    kind
        ``code``, ``const`` (read-only data), ``data`` (initialised), ``zero`` (zeroed at start),
        ``stack``, ``heap``, ``array``, ``other`` (accesses to nothing named: peripherals …).
    section
        Output section of the ELF, or "".
    address, size_bytes, alignment_bytes
        As recorded. The alignment is the one that the linker kept as far as the ELF tells.
    region
        Name of the board's region, or "" outside of all.
    movable
        Regions that it could be put into; none for vectors, and for code that start-up runs before
        RAM holds any.
    initial_bytes
        Bytes that start-up has to copy when the object lies in RAM.
    read_only
        Code, constants, and arrays that the call only reads.
    aliases
        Other names of it.
    fetches, loads, stores
        Instructions executed from it; accesses to it that happened. ``…_bytes``: their bytes.
    stalls
        Cycles lost to it by cause (name of a `StallCause` in lower case).
    """

    name: str
    kind: Kind
    section: str
    address: int
    size_bytes: int
    alignment_bytes: int
    region: str
    movable: tuple[str, ...] = ()
    initial_bytes: int = 0
    read_only: bool = False
    aliases: tuple[str, ...] = ()
    fetches: int = 0
    fetched_bytes: int = 0
    loads: int = 0
    loaded_bytes: int = 0
    stores: int = 0
    stored_bytes: int = 0
    stalls: dict[str, int] = field(default_factory=dict)

    @property
    def stall_cycles(self) -> int:
        """Cycles lost to it, all causes together."""
        return sum(self.stalls.values())

    @property
    def accesses(self) -> int:
        """Fetches, loads and stores."""
        return self.fetches + self.loads + self.stores

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.address + self.size_bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch that moves as a whole, behind the one before it in its section."""

    address: int
    size_bytes: int
    alignment_bytes: int
    owner: int  # index of its object
    section: str

    @property
    def end(self) -> int:
        return self.address + self.size_bytes


class Array(NamedTuple):
    """An array that a call was given."""

    name: str
    address: int
    size_bytes: int
    writable: bool


@dataclass(frozen=True)
class Inventory:
    """All objects of a program on a board, and the stretches they consist of.

    Attributes
    ----------
    objects, pieces
        Of the sections first, in order of address; then stack, heap and arrays.
    sections
        Those that take memory, in order of address.
    stack_top
        Where the stack begins.
    """

    objects: tuple[MemoryObject, ...]
    pieces: tuple[Piece, ...]
    sections: tuple[Section, ...]
    stack_top: int


STACK, HEAP = "stack", "heap"
LOAD_IMAGE: Final = " (load image)"  # what start-up copies from flash into RAM
DEFAULT_STACK_BYTES: Final = 8192  # as `machine.placement` keeps free without a symbol
HEAP_SYMBOLS: Final = ("__HeapBase", "end", "_end", "__end__")
STACK_LIMIT_SYMBOLS: Final = ("__StackLimit", "__stack_limit", "_stack_limit")
STACK_TOP_SYMBOLS: Final = ("__StackTop", "_estack", "__stack")
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECUTE = 1, 2, 4
_WIDEST_PADDING: Final = 64  # the widest alignment that compilers give on their own: newlib's
_FIXED_SECTIONS: Final = (".isr_vector", ".vectors", ".isr_vectors", ".vector_table", ".intvecs")


def take_inventory(image: Image, board: Board, arrays: Sequence[Array] = ()) -> Inventory:
    """Find the objects of a program.

    Parameters
    ----------
    arrays
        What the call that is looked at was given, in order.
    """
    top = _stack_top(image)
    limit = _first_symbol(image, STACK_LIMIT_SYMBOLS)
    if limit is None or not top - (1 << 24) < limit < top:
        limit = top - DEFAULT_STACK_BYTES
    found = _Finder(image, board)
    for section in found.sections:
        if not (section.address < top and section.end > limit):  # a section for the stack alone
            found.section(section)
    last = max((s.end for s in found.sections if _same(board, s.address, top - 1)), default=limit)
    base = _first_symbol(image, HEAP_SYMBOLS)
    base = last if base is None or (base < last and _same(board, base, last)) else base
    found.single(STACK, "stack", limit, top - limit, 8)
    if _same(board, base, top - 1) and base < limit:
        found.single(HEAP, "heap", base, limit - base, 8)
    for array in arrays:
        found.single(array.name, "array", array.address, array.size_bytes, 8, array.writable)
    for segment in image.segments:
        if segment.vma != segment.lma and segment.data:
            inside = (x for x in found.sections if x.address == segment.vma)
            name = f"{next((x.name for x in inside), 'data')}{LOAD_IMAGE}"
            alignment = min(_widest(segment.lma), 8)
            found.single(name, "const", segment.lma, len(segment.data), alignment, section=name)
    return Inventory(_unique(found.objects), tuple(found.pieces), tuple(found.sections), top)


class _Finder:
    def __init__(self, image: Image, board: Board) -> None:
        self.image, self.board = image, board
        self.objects: list[MemoryObject] = []
        self.pieces: list[Piece] = []
        self.sections = sorted(
            (s for s in image.sections if s.flags & _SHF_ALLOC and s.size_bytes),
            key=lambda s: s.address,
        )
        self._stay = start_up_functions(image)
        self._names: dict[int, list[Symbol]] = {}
        for symbol in image.symbols:
            self._names.setdefault(symbol.section, []).append(symbol)

    def section(self, section: Section) -> None:
        """Cut a section into its symbols and what lies between them."""
        rest: list[tuple[int, int]] = []
        place = section.address
        for symbol, size_bytes, names in self._symbols(section):
            padding = symbol.address - place
            widest = _widest(symbol.address)
            if padding >= min(widest, _WIDEST_PADDING) or self._holds_data(place, padding):
                rest.append((place, padding))
                padding = 0
            alignment = max(_above(padding), min(widest, _natural(size_bytes)))
            kind = self._kind(section, symbol)
            self._add(symbol.name, kind, section, symbol.address, size_bytes, alignment, names)
            place = symbol.address + size_bytes
        left = section.end - place
        if left >= 4 or self._holds_data(place, left):
            rest.append((place, left))
        self._rest(section, [self._trimmed(address, size) for address, size in rest])

    def single(
        self, name: str, kind: Kind, address: int, size_bytes: int, alignment: int,
        writable: bool = True, section: str = "",
    ) -> None:  # fmt: skip
        """Add an object of no section, or (given one) what start-up copies there: that stays."""
        region = self.board.region_at(address)
        where = () if section else movable_to("array" if writable else "const", self.board)
        self.pieces.append(Piece(address, size_bytes, alignment, len(self.objects), section))
        self.objects.append(
            MemoryObject(
                name, kind, section, address, size_bytes, alignment,
                region.name if region else "", where, read_only=not writable or bool(section),
            )
        )  # fmt: skip

    def _add(
        self, name: str, kind: Kind, section: Section, address: int, size_bytes: int,
        alignment: int, aliases: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        region = self.board.region_at(address)
        fixed = section.name in _FIXED_SECTIONS or name in self._stay
        self.pieces.append(Piece(address, size_bytes, alignment, len(self.objects), section.name))
        self.objects.append(
            MemoryObject(
                name, kind, section.name, address, size_bytes, alignment,
                region.name if region else "",
                () if fixed else movable_to(kind, self.board),
                0 if kind == "zero" else size_bytes, kind in ("code", "const"), aliases,
            )
        )  # fmt: skip

    def _trimmed(self, address: int, size_bytes: int) -> tuple[int, int, int]:
        """Return address, size and alignment of a nameless stretch without padding before it."""
        data = self.image.read(address, size_bytes) or b""
        zeros = len(data) - len(data.lstrip(b"\x00")) & ~3
        start = address + zeros
        if zeros == size_bytes or zeros >= min(_widest(start), _WIDEST_PADDING):
            return address, size_bytes, min(_widest(address), 8)
        alignment = max(_above(zeros), min(_widest(start), 8 if not zeros else 4))
        return start, size_bytes - zeros, alignment

    def _rest(self, section: Section, spans: list[tuple[int, int, int]]) -> None:
        """Make one object of all that has no name."""
        if not spans:
            return
        first = len(self.objects)
        total = sum(size for _, size, _ in spans)
        address, size, alignment = spans[0]
        self._add(f"{section.name} (rest)", self._kind(section, None), section, address, size,
                  alignment)  # fmt: skip
        self.objects[first] = replace(
            self.objects[first], size_bytes=total,
            initial_bytes=total if self.objects[first].initial_bytes else 0,
        )  # fmt: skip
        self.pieces[-1] = replace(self.pieces[-1], size_bytes=size)
        for address, size, alignment in spans[1:]:
            self.pieces.append(Piece(address, size, alignment, first, section.name))

    def _symbols(self, section: Section) -> Iterator[tuple[Symbol, int, tuple[str, ...]]]:
        """Yield the outermost symbols of a section with their sizes and other names."""
        row = self.image.sections.index(section)
        table = self.image.function_table
        ends = {f.address: table.end(k) for k, f in enumerate(table.functions)}
        inside = [
            s for s in self._names.get(row, ())
            if section.address <= s.address < section.end and s.kind != "notype"
            and (s.size_bytes or s.address in ends)
        ]  # fmt: skip
        inside.sort(key=lambda s: (s.address, s.address not in ends, -s.size_bytes))
        at = 0
        while at < len(inside):
            symbol = inside[at]
            end = ends.get(symbol.address, 0) if not symbol.size_bytes else 0
            end = min(end or symbol.address + symbol.size_bytes, section.end)
            names = [symbol.name]
            at += 1
            while at < len(inside) and inside[at].address < end:
                if symbol.address < inside[at].address < end < _end_of(inside[at]):
                    end = inside[at].address  # sizes in hand-written assembly may be too large
                    break
                names.append(inside[at].name)
                end = min(max(end, _end_of(inside[at])), section.end)
                at += 1
            best = next((f.name for f in table.functions if f.address == symbol.address), "")
            if best and best != symbol.name:
                symbol = next(s for s in inside if s.name == best and s.address == symbol.address)
            others = tuple(name for name in dict.fromkeys(names) if name != symbol.name)
            yield symbol, end - symbol.address, others

    def _kind(self, section: Section, symbol: Symbol | None) -> Kind:
        if section.kind == "SHT_NOBITS":
            return "zero"
        if section.executable and (symbol is None or symbol.kind == "function"):
            return "code"
        region = self.board.region_at(section.address)
        constant = not section.flags & _SHF_WRITE or (region is not None and not region.writable)
        return "const" if constant else "data"

    def _holds_data(self, address: int, size_bytes: int) -> bool:
        """Say whether bytes between objects are more than padding (zeros, or NOPs in code)."""
        data = self.image.read(address, size_bytes) if size_bytes > 0 else b""
        return bool(data) and bool((data or b"").replace(b"\x00", b"").replace(b"\xbf", b""))


def _end_of(symbol: Symbol) -> int:
    return symbol.address + symbol.size_bytes


def movable_to(kind: Kind, board: Board) -> tuple[str, ...]:
    """Return the regions that an object of a kind can be put into."""
    return tuple(region.name for region in board.regions if _suits(kind, region))


def _suits(kind: Kind, region: Region) -> bool:
    if not region.mapped or region.device or region.kind in ("system", "core"):
        return False
    if kind == "code":
        return region.executable
    return kind == "const" or region.writable


def _natural(size_bytes: int) -> int:
    """Alignment that compilers for Arm give to functions and to arrays and structs."""
    return 4 if size_bytes >= 4 else 2 if size_bytes >= 2 else 1


def _widest(address: int) -> int:
    """Return the largest power of two that divides an address."""
    return address & -address or 1 << 32


def _above(padding: int) -> int:
    """Return the smallest power of two above a number of bytes."""
    return 1 << padding.bit_length()


def _stack_top(image: Image) -> int:
    vectors = image.vector_table
    words = image.read(vectors, 4) if vectors is not None else None
    if words is not None:
        return int.from_bytes(words, "little")
    found = _first_symbol(image, STACK_TOP_SYMBOLS)
    return 0x2000_0000 if found is None else found


def _first_symbol(image: Image, names: Sequence[str]) -> int | None:
    return next((image.symbol(name).address for name in names if image.has_symbol(name)), None)


def _same(board: Board, a: int, b: int) -> bool:
    """Say whether two addresses lie in one region."""
    region = board.region_at(a)
    return region is not None and b in region


def _unique(objects: Sequence[MemoryObject]) -> tuple[MemoryObject, ...]:
    """Tell objects of one name apart by their addresses; stack, heap and arrays keep theirs."""
    count: dict[str, int] = {}
    for each in objects:
        count[each.name] = count.get(each.name, 0) + 1
    kept = {each.name: k for k, each in reversed([*enumerate(objects)]) if not each.section}
    return tuple(
        each
        if count[each.name] == 1 or kept.get(each.name) == k
        else replace(
            each, name=f"{each.name}@{each.address:08x}", aliases=(each.name, *each.aliases)
        )
        for k, each in enumerate(objects)
    )
