"""DWARF 4 and 5 as typed entries: a thin skin over pyelftools' objects, which come from the reader.

Nothing is parsed before it is asked for, and whatever the library raises on damaged debug
information becomes an ``ElfError``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from m7sim.elf.lineprogram import Coding, Sequence, decode

Guard = Callable[[str], AbstractContextManager[None]]
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class DebugInfo:
    """All compilation units of an image."""

    def __init__(self, info: Any, guard: Guard) -> None:
        self.info, self.guard = info, guard

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        with self.guard("the debug information"):
            return tuple(Unit(self, unit) for unit in self.info.iter_CUs())

    @cached_property
    def _by_offset(self) -> dict[int, Unit]:
        return {unit.offset: unit for unit in self.units}

    def unit_of(self, unit: Any) -> Unit:
        """Return the unit around one of the library's (type units are not listed)."""
        return self._by_offset.get(int(unit.cu_offset)) or Unit(self, unit)


class Unit:
    """One compilation unit: a source file and what it includes."""

    def __init__(self, owner: DebugInfo, unit: Any) -> None:
        self.owner, self._unit = owner, unit
        self.guard = owner.guard

    @property
    def offset(self) -> int:
        return int(self._unit.cu_offset)

    @cached_property
    def top(self) -> Entry:
        with self.guard("a compilation unit"):
            return Entry(self, self._unit.get_top_DIE())

    @cached_property
    def ranges(self) -> list[tuple[int, int]]:
        return self.top.ranges()

    @cached_property
    def directory(self) -> str:
        return self.top.text("comp_dir") or ""

    @cached_property
    def files(self) -> list[str]:
        """Paths by DWARF file number, made absolute with the directory of compilation."""
        with self.guard("a file table"):
            program = self.owner.info.line_program_for_CU(self._unit)
            if program is None:
                return []
            header = program.header
            directories = [_text(d) for d in header["include_directory"]]
            five = int(header["version"]) >= 5
            if not five:  # there, directory 0 is not listed and file numbers begin with 1
                directories.insert(0, "")
            files = [] if five else [""]
            for entry in header["file_entry"]:
                index = int(entry["dir_index"])
                folder = directories[index] if index < len(directories) else ""
                files.append(absolute(self.directory, folder, _text(entry["name"])))
            return files

    def sequences(self) -> list[Sequence]:
        """Return the line program in pieces of contiguous code."""
        with self.guard("a line table"):
            program = self.owner.info.line_program_for_CU(self._unit)
            if program is None:
                return []
            header = program.header
            coding = Coding(
                int(header["opcode_base"]),
                int(header["line_base"]),
                int(header["line_range"]),
                int(header["minimum_instruction_length"]),
                [int(n) for n in header["standard_opcode_lengths"]],
            )
            start, end = program.program_start_offset, program.program_end_offset
            program.stream.seek(start)
            return list(decode(program.stream.read(max(end - start, 0)), coding))

    @cached_property
    def functions(self) -> list[Entry]:
        """All functions, those inside namespaces and classes too."""
        found, stack = [], [self.top]
        while stack:
            for child in stack.pop().children():
                if child.tag == "subprogram":
                    found.append(child)
                elif child.tag in ("namespace", "class_type", "structure_type"):
                    stack.append(child)
        return found

    def range_list(self, offset: int) -> list[tuple[int, int]]:
        lists = self.owner.info.range_lists()
        if lists is None:
            return []
        base = self.top.integer("low_pc") or 0
        found = []
        for entry in lists.get_range_list_at_offset(offset, self._unit):
            if hasattr(entry, "base_address"):
                base = int(entry.base_address)
                continue
            shift = 0 if entry.is_absolute else base
            found.append((int(entry.begin_offset) + shift, int(entry.end_offset) + shift))
        return [(low, high) for low, high in found if low < high]


class Entry:
    """A debugging information entry; names come without ``DW_AT_`` and ``DW_TAG_``."""

    __slots__ = ("_die", "unit")

    def __init__(self, unit: Unit, die: Any) -> None:
        self.unit, self._die = unit, die

    @property
    def tag(self) -> str:
        return str(self._die.tag).removeprefix("DW_TAG_")

    @property
    def offset(self) -> int:
        return int(self._die.offset)

    def has(self, name: str) -> bool:
        return f"DW_AT_{name}" in self._die.attributes

    def text(self, name: str) -> str | None:
        value = self._die.attributes.get(f"DW_AT_{name}")
        return _text(value.value) if value is not None and value.value is not None else None

    def integer(self, name: str) -> int | None:
        """Return a constant or an address; None if missing or computed by an expression."""
        value = self._die.attributes.get(f"DW_AT_{name}")
        return int(value.value) if value is not None and isinstance(value.value, int) else None

    def expression(self, name: str) -> bytes | None:
        """Return a DWARF expression; None if missing or of another form (a list of locations)."""
        value = self._die.attributes.get(f"DW_AT_{name}")
        return bytes(value.value) if value is not None and isinstance(value.value, list) else None

    def refer(self, name: str) -> Entry | None:
        """Return the entry that an attribute such as ``type`` refers to."""
        if not self.has(name):
            return None
        with self.unit.guard("a reference in the debug information"):
            die = self._die.get_DIE_from_attribute(f"DW_AT_{name}")
            same = die.cu is self._die.cu
            return Entry(self.unit if same else self.unit.owner.unit_of(die.cu), die)

    def inherited(self, name: str) -> Entry:
        """Return the entry that holds an attribute: this, its origin or its declaration."""
        entry, seen = self, 0
        while not entry.has(name) and seen < 8:
            origin = entry.refer("abstract_origin") or entry.refer("specification")
            if origin is None:
                break
            entry, seen = origin, seen + 1
        return entry

    @property
    def name(self) -> str | None:
        return self.inherited("name").text("name")

    @property
    def symbol_names(self) -> set[str]:
        """Names that the symbol table may know the entry by."""
        names = {self.name, self.inherited("linkage_name").text("linkage_name")}
        return {name for name in names if name}

    def children(self) -> Iterator[Entry]:
        children: Iterator[Any] = iter(())
        with self.unit.guard("the debug information"):
            children = self._die.iter_children()
        last = self.offset
        while True:
            with self.unit.guard("the debug information"):
                die = next(children, None)
                if die is not None and die.offset <= last:  # a damaged link to the next sibling
                    raise ValueError(f"entry 0x{last:x} has no next one")
            if die is None:
                return
            last = die.offset
            yield Entry(self.unit, die)

    def ranges(self) -> list[tuple[int, int]]:
        """Return the [start, end) spans of code that the entry stands for."""
        with self.unit.guard("an address range"):
            low, high = self.integer("low_pc"), self._die.attributes.get("DW_AT_high_pc")
            if low is not None and high is not None:
                absolute_end = high.form.startswith("DW_FORM_addr")
                end = int(high.value) if absolute_end else low + int(high.value)
                return [(low, end)] if low < end else []
            offset = self.integer("ranges")
            return [] if offset is None else self.unit.range_list(offset)


def absolute(directory: str, folder: str, name: str) -> str:
    """Join the directory of compilation, a folder and a name as the compiler meant it."""
    path = name
    for outer in (folder, directory):
        if not path.startswith("/") and not _DRIVE.match(path) and outer:
            path = f"{outer.rstrip('/')}/{path}"
    return posixpath.normpath(path)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
