"""Symbols, the function table and the code ranges of an image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from m7sim.elf.reader import ElfFile, Section
from m7sim.errors import ElfError

Kind = Literal["function", "object", "notype"]
Binding = Literal["global", "local", "weak"]
I64 = NDArray[np.int64]

_ENTRY = np.dtype(
    [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"),
     ("section", "<u2")]
)  # fmt: skip
_KINDS: dict[int, Kind] = {0: "notype", 1: "object", 2: "function", 10: "function", 13: "function"}
_BINDINGS: dict[int, Binding] = {0: "local", 1: "global", 2: "weak", 10: "global"}
_KIND_RANK = {"function": 0, "object": 1, "notype": 2}
_BINDING_RANK = {"global": 0, "local": 1, "weak": 2}
_MAPPING = re.compile(r"\$([atd])(\..*)?")
_SPECIAL_SECTION = 0xFF00  # from here on no index into the section table: absolute, common …


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named address; bit 0 of Thumb functions is cleared. Size 0 means unknown."""

    name: str
    address: int
    size_bytes: int
    kind: Kind
    binding: Binding
    section: int = _SPECIAL_SECTION  # row of the section table


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping symbol: from ``address`` on, code (``t``, ``a``) or data (``d``)."""

    address: int
    what: str
    section: int


def read_symbols(elf: ElfFile) -> tuple[tuple[Symbol, ...], tuple[Mapping, ...]]:
    """Return the named symbols by (address, rank, name), and the mapping symbols by address.

    Raises
    ------
    ElfError
        If the symbol table points outside of its string table.
    """
    table = next((s for s in elf.sections if s.kind == "SHT_SYMTAB"), None)
    if table is None:
        return (), ()
    if table.link >= len(elf.sections):
        raise ElfError("damaged: symbol table without names", where=elf.path)
    data = elf.section_data(table)
    names = elf.section_data(elf.sections[table.link])
    rows = np.frombuffer(data[: len(data) - len(data) % _ENTRY.itemsize], _ENTRY)
    symbols, mappings = [], []
    for name_offset, value, size, info, _, section in rows.tolist():
        kind = _KINDS.get(info & 15)
        if not name_offset or not section or kind is None:
            continue
        end = names.find(b"\0", name_offset)
        if end < 0:
            raise ElfError("damaged: a symbol's name lies outside of the names", where=elf.path)
        name = names[name_offset:end].decode("utf-8", "replace")
        if name[0:1] == "$" and (found := _MAPPING.fullmatch(name)):
            mappings.append(Mapping(value, found[1], section))
            continue
        # A notype label in Thumb code can carry bit 0 too (.thumb_func without .type).
        thumb = kind == "function" or (kind == "notype" and _executable(elf.sections, section))
        address = value & ~1 if thumb else value
        binding = _BINDINGS.get(info >> 4, "local")
        symbols.append(Symbol(name, address, size, kind, binding, section))
    symbols.sort(key=_rank)
    mappings.sort(key=lambda m: (m.address, m.what))
    return tuple(symbols), tuple(mappings)


def _executable(sections: Sequence[Section], index: int) -> bool:
    return index < len(sections) and sections[index].executable


def _inside(symbol: Symbol, sections: Sequence[Section]) -> bool:
    """Tell whether a symbol lies in the executable section that it names."""
    if not _executable(sections, symbol.section):
        return False
    section = sections[symbol.section]
    return section.address <= symbol.address < section.end


def _rank(symbol: Symbol) -> tuple[int, int, int, bool, int, int, str]:
    """Order of aliases: function; global, local, weak; sized, longest; fewest underscores."""
    return (
        symbol.address,
        _KIND_RANK[symbol.kind],
        _BINDING_RANK[symbol.binding],
        symbol.size_bytes == 0,
        -symbol.size_bytes,
        len(symbol.name) - len(symbol.name.lstrip("_")),
        symbol.name,
    )


class FunctionTable:
    """Which function an address belongs to: disjoint spans, found by bisection.

    A function of unknown size reaches to the next one or to the end of its section. A label
    without type counts as a function where code lies in no function of known size.
    """

    def __init__(
        self,
        symbols: Sequence[Symbol],
        sections: Sequence[Section],
        code: Sequence[tuple[int, int]],
    ) -> None:
        first: dict[int, Symbol] = {}
        for symbol in symbols:  # sorted by rank: the first at an address is the preferred alias
            if symbol.kind == "function" and _inside(symbol, sections):
                first.setdefault(symbol.address, symbol)
        _add_labels(first, symbols, sections, code)
        self.functions: tuple[Symbol, ...] = tuple(first[a] for a in sorted(first))
        self._ends = _ends(self.functions, sections)
        self._starts, self._owners = _flatten([f.address for f in self.functions], self._ends)

    def end(self, index: int) -> int:
        """Return the first address behind function ``index``."""
        return self._ends[index]

    def at(self, address: int) -> Symbol | None:
        index = int(self.indices(np.array([address], np.int64))[0])
        return None if index < 0 else self.functions[index]

    def indices(self, addresses: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return for each address the index into ``functions``, -1 where there is none."""
        if not len(self._starts):
            return np.full(np.shape(addresses), -1, np.int32)
        wanted = np.asarray(addresses, np.int64)
        place = np.searchsorted(self._starts, wanted, side="right") - 1
        return np.where(place < 0, -1, self._owners[place]).astype(np.int32)


def _add_labels(
    first: dict[int, Symbol],
    symbols: Sequence[Symbol],
    sections: Sequence[Section],
    code: Sequence[tuple[int, int]],
) -> None:
    covered = sorted((f.address, f.address + f.size_bytes) for f in first.values())
    starts = np.array([low for low, _ in covered], np.int64)
    reach = np.maximum.accumulate(np.array([high for _, high in covered], np.int64))
    code_starts = np.array([low for low, _ in code], np.int64)
    for symbol in symbols:
        if symbol.kind != "notype" or not _inside(symbol, sections):
            continue
        span = int(np.searchsorted(code_starts, symbol.address, side="right")) - 1
        if span < 0 or symbol.address >= code[span][1]:
            continue
        before = int(np.searchsorted(starts, symbol.address, side="right")) - 1
        if before < 0 or symbol.address >= reach[before]:
            first.setdefault(symbol.address, symbol)


def _ends(functions: Sequence[Symbol], sections: Sequence[Section]) -> list[int]:
    ends = []
    for index, function in enumerate(functions):
        end = sections[function.section].end
        if function.size_bytes:
            end = min(end, function.address + function.size_bytes)
        elif index + 1 < len(functions):
            end = min(end, functions[index + 1].address)
        ends.append(end)
    return ends


def _flatten(starts: Sequence[int], ends: Sequence[int]) -> tuple[I64, I64]:
    """Return span starts and owners (-1: nobody) so that the innermost function owns a span."""
    spans: list[tuple[int, int]] = []
    stack: list[int] = []  # functions open at this point, outermost first

    def close(until: int) -> None:
        while stack and ends[stack[-1]] <= until:
            end = ends[stack.pop()]
            while stack and ends[stack[-1]] <= end:
                stack.pop()
            spans.append((end, stack[-1] if stack else -1))

    for index, start in enumerate(starts):
        close(start)
        spans.append((start, index))
        stack.append(index)
    close(1 << 33)
    return (
        np.array([start for start, _ in spans], np.int64),
        np.array([owner for _, owner in spans], np.int64),
    )


def code_ranges(
    elf: ElfFile, symbols: Sequence[Symbol], mappings: Sequence[Mapping]
) -> list[tuple[int, int]]:
    """Return [start, end) spans of Thumb code by VMA, ascending and merged.

    Mapping symbols decide; what stands before the first one of a section is code if a function
    symbol says so. A section without any is code unless it holds objects and no function. Without
    section headers, all executable segments are code.
    """
    if not any(s.executable for s in elf.sections):
        return _merge([(s.vma, s.vma + len(s.data)) for s in elf.segments if s.executable])
    kinds: dict[int, set[str]] = {}
    first_function: dict[int, int] = {}
    marks: dict[int, list[Mapping]] = {}
    for symbol in symbols:
        kinds.setdefault(symbol.section, set()).add(symbol.kind)
        if symbol.kind == "function":
            first_function.setdefault(symbol.section, symbol.address)
    for mapping in mappings:
        marks.setdefault(mapping.section, []).append(mapping)
    ranges = []
    for index, section in enumerate(elf.sections):
        if not section.executable:
            continue
        own = [m for m in marks.get(index, []) if section.address <= m.address < section.end]
        if not own:
            found = kinds.get(index, set())
            if "function" in found or "object" not in found:
                ranges.append((section.address, section.end))
            continue
        first = max(first_function.get(index, own[0].address), section.address)
        ranges.append((first, own[0].address))
        bounds = [m.address for m in own[1:]] + [section.end]
        ranges += [(m.address, e) for m, e in zip(own, bounds, strict=True) if m.what != "d"]
    return _merge(ranges)


def _merge(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(r for r in ranges if r[0] < r[1]):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
