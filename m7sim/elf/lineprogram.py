"""Line programs (DWARF 5, section 6.2.5): bytes in, pieces of contiguous code out.

Written out here because the library's own decoder builds objects for every byte code: a program
with newlib takes it a fifth of a second, and a big one many seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Series
from dataclasses import dataclass

_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE = 1, 2, 3, 4
_CONST_ADD_PC, _FIXED_ADVANCE_PC = 8, 9
_END_SEQUENCE, _SET_ADDRESS = 1, 2


@dataclass(frozen=True, slots=True)
class Sequence:
    """Rows of a line program for one contiguous piece of code.

    ``rows`` holds (address, index into the unit's files, line); ``end`` is the first address
    behind the piece.
    """

    rows: list[tuple[int, int, int]]
    end: int

    @property
    def start(self) -> int:
        return self.rows[0][0]


@dataclass(frozen=True, slots=True)
class Coding:
    """How the header of a line program says that its byte codes are to be read."""

    opcode_base: int
    line_base: int
    line_range: int
    step_bytes: int  # minimum instruction length
    operands: Series[int]  # of standard opcodes 1 … opcode_base - 1


def decode(code: bytes, coding: Coding) -> Iterator[Sequence]:
    """Yield the pieces of a line program.

    Raises
    ------
    IndexError, ZeroDivisionError
        If the program is damaged.
    """
    base, span = coding.opcode_base, coding.line_range
    constant_bytes = (255 - base) // span * coding.step_bytes
    address, file, line = 0, 1, 1
    rows: list[tuple[int, int, int]] = []
    place, end = 0, len(code)
    while place < end:
        opcode = code[place]
        place += 1
        if opcode >= base:
            steps, lines = divmod(opcode - base, span)
            address += steps * coding.step_bytes
            line += coding.line_base + lines
            rows.append((address, file, line))
        elif opcode == 0:
            length, place = uleb128(code, place)
            extended, behind = code[place], place + length
            if extended == _END_SEQUENCE:
                if rows:
                    yield Sequence(rows, address)
                rows = []
                address, file, line = 0, 1, 1
            elif extended == _SET_ADDRESS:
                address = int.from_bytes(code[place + 1 : behind], "little")
            place = behind
        elif opcode == _COPY:
            rows.append((address, file, line))
        elif opcode == _ADVANCE_PC:
            steps, place = uleb128(code, place)
            address += steps * coding.step_bytes
        elif opcode == _ADVANCE_LINE:
            lines, place = sleb128(code, place)
            line += lines
        elif opcode == _SET_FILE:
            file, place = uleb128(code, place)
        elif opcode == _CONST_ADD_PC:
            address += constant_bytes
        elif opcode == _FIXED_ADVANCE_PC:
            address += code[place] | code[place + 1] << 8
            place += 2
        else:  # column, statement, prologue … : no part of a row here
            for _ in range(coding.operands[opcode - 1]):
                _, place = uleb128(code, place)


def uleb128(data: bytes, place: int) -> tuple[int, int]:
    """Return an unsigned LEB128 number and the place behind it."""
    value = data[place]
    place += 1
    if value < 0x80:
        return value, place
    value &= 0x7F
    shift = 7
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def sleb128(data: bytes, place: int) -> tuple[int, int]:
    """Return a signed LEB128 number and the place behind it."""
    value, behind = uleb128(data, place)
    bits = 7 * (behind - place)
    return value - (1 << bits) if value >> (bits - 1) else value, behind
