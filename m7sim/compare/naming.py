"""Instructions as text that names what they refer to, instead of addresses."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

from m7sim.elf import Image
from m7sim.elf.reader import SHF_ALLOC
from m7sim.isa.instruction import Branch, Instruction

_PC_RELATIVE = re.compile(r"\[pc(?:, #-?\w+)?\]")


class Namer:
    """Names the targets of branches and the values of literals.

    A snapshot of a program that was only moved then has the same text, whatever the linker did to
    the addresses.

    Parameters
    ----------
    image
        Symbols and contents.
    """

    def __init__(self, image: Image) -> None:
        self._image = image

    def text(self, instruction: Instruction) -> str:
        """Return ``bne kernel+0x10`` for ``bne 0x8000110``, ``ldr r3, =table`` for a literal."""
        memory = instruction.memory
        if memory is not None and memory.literal and memory.load:
            size_bytes = memory.unit_bytes * memory.count
            value = self._value(memory.address.constant, size_bytes)
            return _PC_RELATIVE.sub(f"={value}", instruction.text) if value else instruction.text
        if instruction.branch == Branch.NONE or instruction.target < 0:
            return instruction.text
        name = self._function(instruction.target)
        words = instruction.text.rsplit(None, 1)
        return f"{words[0]} {name}" if name and len(words) == 2 else instruction.text

    def _function(self, address: int) -> str:
        symbol = self._image.function_at(address)
        return "" if symbol is None else _plus(symbol.name, address - (symbol.address & ~1))

    def _value(self, address: int, size_bytes: int) -> str:
        """Return what a literal holds: a name if it is an address in the program."""
        data = self._image.read(address, size_bytes)
        if data is None:
            return ""
        value = int.from_bytes(data, "little")
        return (self._place(value) if size_bytes == 4 else "") or f"0x{value:x}"

    def _place(self, address: int) -> str:
        sections = [s for s in self._image.sections if s.flags & SHF_ALLOC]
        inside = next((s for s in sections if s.address <= address < s.end), None)
        if inside is None:
            return ""
        if inside.executable and (function := self._image.function_at(address)) is not None:
            return _plus(function.name, (address & ~1) - (function.address & ~1))
        starts, names, ends = self._objects
        place = bisect_right(starts, address) - 1
        if place >= 0 and address < ends[place]:
            return _plus(names[place], address - starts[place])
        return _plus(inside.name, address - inside.address)

    @cached_property
    def _objects(self) -> tuple[list[int], list[str], list[int]]:
        objects = {s.address: s for s in reversed(self._image.symbols) if s.kind == "object"}
        found = [objects[address] for address in sorted(objects)]
        return (
            [s.address for s in found],
            [s.name for s in found],
            [s.address + max(s.size_bytes, 1) for s in found],
        )


def _plus(name: str, offset: int) -> str:
    return f"{name}+0x{offset:x}" if offset else name
