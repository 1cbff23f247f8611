"""Local variables that lie on the stack, by the address of the code that uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from m7sim.elf.debug import DebugInfo, Entry
from m7sim.elf.inlines import UnitTable

# DWARF 5, table 7.9
_FRAME_OFFSET, _CALL_FRAME_ADDRESS = 0x91, 0x9C


@dataclass(frozen=True, slots=True)
class Local:
    """A variable at a constant distance from the stack pointer that its function was called with.

    ``offset_bytes`` is that distance: negative for what the function puts on the stack itself.
    """

    name: str
    offset_bytes: int
    size_bytes: int


class LocalTable:
    """Finds local variables; ``size_of`` gives the size of a type in bytes, 0 if not known."""

    def __init__(self, debug: DebugInfo, size_of: Callable[[Entry | None], int]) -> None:
        self._units = UnitTable(debug)
        self._size_of = size_of
        self._known: dict[int, tuple[Local, ...]] = {}

    def at(self, address: int) -> tuple[Local, ...]:
        """Return the variables in memory of the function around an address, the inner ones last.

        Those of inlined functions and of all blocks are among them.
        """
        if address not in self._known:
            self._known[address] = tuple(self._find(address))
        return self._known[address]

    def _find(self, address: int) -> Iterator[Local]:
        for unit in self._units.at(address):
            for function in unit.functions:
                if not any(low <= address < high for low, high in function.ranges()):
                    continue
                if function.expression("frame_base") == bytes([_CALL_FRAME_ADDRESS]):
                    yield from self._inside(function)
                return

    def _inside(self, scope: Entry) -> Iterator[Local]:
        for child in scope.children():
            if child.tag in ("lexical_block", "inlined_subroutine"):
                yield from self._inside(child)
            elif child.tag in ("variable", "formal_parameter"):
                offset = _frame_offset(child.expression("location"))
                size = self._size_of(child.inherited("type").refer("type"))
                if offset is not None and size and child.name:
                    yield Local(child.name, offset, size)


def _frame_offset(expression: bytes | None) -> int | None:
    """Read ``DW_OP_fbreg`` and a signed LEB128 number; None for anything else."""
    if expression is None or len(expression) < 2 or expression[0] != _FRAME_OFFSET:
        return None
    value = 0
    for index, byte in enumerate(expression[1:]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if index + 2 != len(expression):
                return None
            return value - (1 << 7 * (index + 1)) if byte & 0x40 else value
    return None
