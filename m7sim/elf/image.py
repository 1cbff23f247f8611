"""The one class the rest of m7sim sees of an ELF."""

from __future__ import annotations

import difflib
import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from m7sim.elf.attributes import Attributes, read_attributes
from m7sim.elf.ctype import CStruct, Prototype
from m7sim.elf.inlines import Entrance, InlinedCall, InlineTable, UnitTable
from m7sim.elf.lines import Line, LineTable, SourceText
from m7sim.elf.locals import Local, LocalTable
from m7sim.elf.prototypes import TypeTable
from m7sim.elf.reader import SHF_ALLOC, ElfFile, Section, Segment
from m7sim.elf.survivors import Survivors
from m7sim.elf.symbols import FunctionTable, Symbol, code_ranges, read_symbols
from m7sim.elf.variables import variable_lines
from m7sim.errors import ElfError

VECTOR_SECTIONS = (".isr_vector", ".vectors", ".isr_vectors", ".vector_table", ".intvecs")
VECTOR_SYMBOLS = ("__isr_vector", "__Vectors", "g_pfnVectors", "__vector_table", "_vectors")
# Memory that may hold a stack on Armv7-M: SRAM and external RAM regions of the system map
# (Armv7-M ARM, B3.1); a stack begins at the end, hence "<=" at the top.
_STACK_REGIONS = ((0x2000_0000, 0x4000_0000), (0x6000_0000, 0xA000_0000))


class Image:
    """A linked Cortex-M program: what is where, and what it is called.

    Attributes
    ----------
    path : str
    sha256 : str
        Of the file.
    entry : int
        As in the ELF header; bit 0 set for Thumb.
    segments : tuple[Segment, ...]
    symbols : tuple[Symbol, ...]
        By address; the preferred alias of an address first.
    sections : tuple[Section, ...]
    """

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self.path = elf.path
        self.sha256 = hashlib.sha256(elf.contents).hexdigest()
        self.entry = elf.entry
        self.segments: tuple[Segment, ...] = elf.segments
        self.sections: tuple[Section, ...] = elf.sections
        self.symbols, mappings = read_symbols(elf)
        self._mappings = mappings
        self._code = code_ranges(elf, self.symbols, mappings)
        self._refuse_arm_mode()

    @classmethod
    def load(cls, path: str | Path) -> Image:
        """Read an ELF; debug information is left unparsed until asked for.

        Raises
        ------
        ElfError
            If the file is missing, truncated, or not a linked 32-bit little-endian Thumb program.
        """
        return cls(ElfFile(path))

    @cached_property
    def content_sha256(self) -> str:
        """Hash of what is loaded and what it is called: other debug information changes nothing."""
        parts = [(s.vma, s.lma, s.memory_bytes, s.data) for s in self.segments]
        names = [(s.name, s.address, s.size_bytes, s.kind) for s in self.symbols]
        return hashlib.sha256(repr((self.entry, parts, names)).encode()).hexdigest()

    # Names ---------------------------------------------------------------------------------

    def symbol(self, name: str) -> Symbol:
        """Return the symbol of this name, functions and globals first.

        Raises
        ------
        ElfError
            If there is none (the message has the nearest names) or several local ones.
        """
        found = self._by_name.get(name)
        if found is None:
            raise ElfError(
                f"no symbol {name!r}", where=self.path, do=nearest(name, self._by_name, self.path)
            )
        best = found[0]
        rivals = [s for s in found if (s.kind, s.binding) == (best.kind, best.binding)]
        if best.binding == "local" and len({s.address for s in rivals}) > 1:
            places = ", ".join(f"0x{s.address:08x}" for s in rivals)
            what = f"{len(rivals)} local symbols are called {name!r}, at {places}"
            raise ElfError(what, where=self.path, do="Use the address instead")
        return best

    def has_symbol(self, name: str) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, list[Symbol]]:
        names: dict[str, list[Symbol]] = {}
        for symbol in self.symbols:
            names.setdefault(symbol.name, []).append(symbol)
        kinds = {"function": 0, "object": 1, "notype": 2}
        bindings = {"global": 0, "weak": 1, "local": 2}
        for found in names.values():
            found.sort(key=lambda s: (bindings[s.binding], kinds[s.kind], s.address))
        return names

    @cached_property
    def function_table(self) -> FunctionTable:
        return FunctionTable(self.symbols, self.sections, self._code)

    @property
    def functions(self) -> tuple[Symbol, ...]:
        """Functions by address, one per address; ``functions_at`` gives indices into this."""
        return self.function_table.functions

    def function_at(self, address: int) -> Symbol | None:
        """Return the function that holds an address (bit 0 does not matter), or None."""
        return self.function_table.at(address & ~1)

    def functions_at(self, addresses: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return indices into ``functions``, one per address; -1 where there is none."""
        return self.function_table.indices(addresses)

    # Contents ------------------------------------------------------------------------------

    def code_ranges(self) -> list[tuple[int, int]]:
        """Return the [start, end) spans that hold instructions, by VMA, ascending."""
        return list(self._code)

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Return initial contents by VMA (zeros for .bss), or None if not all of it is in there."""
        if size_bytes < 0:
            return None
        parts: list[bytes] = []
        place, end = address, address + size_bytes
        while True:
            segment = next((s for s in self.segments if 0 <= place - s.vma < s.memory_bytes), None)
            if segment is None:
                return b"".join(parts) if place == end and parts else None
            offset = place - segment.vma
            part = segment.data[offset : offset + end - place]
            zeros = min(end - place, segment.memory_bytes - offset) - len(part)
            parts += [part, bytes(zeros)]
            place += len(part) + zeros
            if place == end:
                return b"".join(parts)

    @property
    def vector_table(self) -> int | None:
        """VMA of the vector table, or None if the image does not seem to have one."""
        return self._vector_table

    @property
    def has_vector_table(self) -> bool:
        return self._vector_table is not None

    @cached_property
    def _vector_table(self) -> int | None:
        for name in VECTOR_SECTIONS:
            section = self._elf.section(name)
            if section is not None and section.flags & SHF_ALLOC and section.size_bytes >= 8:
                return section.address
        for name in VECTOR_SYMBOLS:
            for symbol in self._by_name.get(name, ()):
                if self.read(symbol.address, 8) is not None:
                    return symbol.address
        lowest = min((s for s in self.segments if s.executable), key=lambda s: s.vma)
        return lowest.vma if self._looks_like_vectors(lowest.vma) else None

    def _looks_like_vectors(self, address: int) -> bool:
        words = self.read(address, 8)
        if words is None:
            return False
        stack, reset = (int.from_bytes(words[i : i + 4], "little") for i in (0, 4))
        in_ram = stack % 4 == 0 and any(low < stack <= high for low, high in _STACK_REGIONS)
        return in_ram and reset % 2 == 1 and self._is_executable(reset & ~1)

    def _is_executable(self, address: int) -> bool:
        return any(s.executable and 0 <= address - s.vma < len(s.data) for s in self.segments)

    @cached_property
    def attributes(self) -> Attributes:
        """Compiler and build attributes (CPU, FPU, float ABI)."""
        return read_attributes(self._elf)

    # Debug information ---------------------------------------------------------------------

    @property
    def has_debug(self) -> bool:
        """Whether the image was compiled with ``-g``."""
        return self._elf.debug is not None

    @cached_property
    def line_table(self) -> LineTable | None:
        """All lines as arrays, or None without debug information."""
        if self._elf.debug is None:
            return None
        return LineTable(self._elf.debug, self._code, self._survivors.fit)

    def line_at(self, address: int) -> Line | None:
        """Return the source line of an address, or None if the compiler gave none."""
        return None if self.line_table is None else self.line_table.at(address & ~1)

    @cached_property
    def variable_lines(self) -> dict[str, tuple[str, int]]:
        """File and line of each variable with a place of its own, by name; empty without -g."""
        return {} if self._elf.debug is None else variable_lines(self._elf.debug)

    def source_text(self, file: str, line: int) -> str | None:
        """Return a line of a source file, or None if the file is not on this machine."""
        return self._source.line(file, line)

    def inline_chain(self, address: int) -> tuple[InlinedCall, ...]:
        """Return the functions inlined around an address, innermost first.

        Each entry names an inlined function and the line *that calls it*; the line that runs is
        ``line_at(address)``, the function around all of them ``function_at(address)``.
        """
        return () if self._inlines is None else self._inlines.at(address & ~1)

    def entrances(self) -> list[Entrance]:
        """Return where each function is entered that the debug information describes.

        A function has several entrances if it was inlined, and none if it was dropped.
        """
        return [] if self._inlines is None else self._inlines.entrances()

    def producer_at(self, address: int) -> str:
        """Return the compiler, its version and options of the code at an address; empty: unknown.

        Options that name folders are not recorded by GCC.
        """
        if self._elf.debug is None:
            return ""
        units = self._units.at(address & ~1)
        producers = {unit.top.text("producer") or "" for unit in units}
        return producers.pop() if len(producers) == 1 else ""

    def locals_at(self, address: int) -> tuple[Local, ...]:
        """Return the variables on the stack of the function around an address."""
        return () if self._locals is None else self._locals.at(address)

    def prototype(self, function: str | Symbol | int) -> Prototype | None:
        """Return how to call a function given by name, symbol or address.

        Returns
        -------
        Prototype | None
            None if no debug information describes it.

        Raises
        ------
        ElfError
            If there is no such symbol, or a type in it cannot be passed from Python.
        """
        if isinstance(function, str):
            function = self.symbol(function)
        if isinstance(function, int):
            address, name = function & ~1, f"0x{function:08x}"
            if (found := self.function_at(address)) is not None and found.address == address:
                name = found.name
        else:
            address, name = function.address, function.name
        return None if self._types is None else self._types.prototype(name, address)

    def struct(self, name: str) -> CStruct:
        """Return a struct or union by tag (with or without ``struct``) or by typedef name.

        Raises
        ------
        ElfError
            If there is none (the message has the nearest names), or it has bit-fields.
        """
        if self._types is None:
            do = "Compile with -g"
            raise ElfError("no debug information, so no structs", where=self.path, do=do)
        found = self._types.struct(name)
        if found is None:
            close = difflib.get_close_matches(name, self._types.struct_names, n=3)
            do = f"Did you mean {', '.join(close)}?" if close else "Only types in use are kept"
            raise ElfError(f"no struct {name!r}", where=self.path, do=do)
        _ = found.fields  # refuses bit-fields now, not later
        return found

    @cached_property
    def _units(self) -> UnitTable:
        assert self._elf.debug is not None
        return UnitTable(self._elf.debug)

    @cached_property
    def _source(self) -> SourceText:
        return SourceText()

    @cached_property
    def _inlines(self) -> InlineTable | None:
        if self._elf.debug is None:
            return None
        return InlineTable(self._elf.debug, self._survivors.alive)

    @cached_property
    def _locals(self) -> LocalTable | None:
        if self._elf.debug is None or self._types is None:
            return None
        return LocalTable(self._elf.debug, self._types.size_bytes)

    @cached_property
    def _types(self) -> TypeTable | None:
        if self._elf.debug is None:
            return None
        return TypeTable(self._elf.debug, self.path, self._survivors.alive)

    @cached_property
    def _survivors(self) -> Survivors:
        return Survivors(self.symbols, self.function_table)

    # Checks --------------------------------------------------------------------------------

    def _refuse_arm_mode(self) -> None:
        do = "Compile with -mthumb -mcpu=cortex-m7"
        for mapping in self._mappings:
            executable = (
                mapping.section < len(self.sections) and self.sections[mapping.section].executable
            )
            if mapping.what == "a" and executable:
                function = self.function_at(mapping.address)
                name = f" ({function.name})" if function else ""
                what = (
                    f"Arm-mode code at 0x{mapping.address:08x}{name}; Cortex-M7 executes Thumb only"
                )
                raise ElfError(what, where=self.path, do=do)
        thumb = any(m.what == "t" for m in self._mappings)
        if not self.entry & 1 and not thumb and not self.has_vector_table:
            what = f"the entry 0x{self.entry:08x} is Arm-mode code and no Thumb code is in sight"
            raise ElfError(what, where=self.path, do=do)


def nearest(name: str, names: dict[str, list[Symbol]], path: str) -> str:
    """Return advice naming what a person may have meant."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {', '.join(close)}?"
    if not names:
        return "The file has no symbols; do not strip it"
    return f"List the names with: arm-none-eabi-nm {path}"
