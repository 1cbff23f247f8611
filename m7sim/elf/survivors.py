"""Telling code of the image from code that the linker threw away (``--gc-sections``).

The debug information of discarded functions stays in the file, with addresses counted from 0. On
Cortex-M7 that is ITCM and may hold code; then only the symbols can tell which is which.
"""

from __future__ import annotations

from bisect import bisect_left

from m7sim.elf.debug import Entry, Unit
from m7sim.elf.lineprogram import Sequence
from m7sim.elf.symbols import FunctionTable, Symbol

LOW_END = 0x10_0000  # sections that are thrown away are smaller than this
_PADDING_BYTES = 4


class Survivors:
    """What the symbols of an image say about functions and line tables in low memory."""

    def __init__(self, symbols: tuple[Symbol, ...], functions: FunctionTable) -> None:
        self._functions = functions
        self._starts = [f.address for f in functions.functions]
        self._names: dict[int, set[str]] = {}
        for symbol in symbols:
            if symbol.address < LOW_END:
                self._names.setdefault(symbol.address, set()).add(symbol.name)

    def alive(self, function: Entry) -> bool:
        """Tell whether a function of the debug information is in the image.

        Compilers append ``.constprop.0`` and the like to names in the symbol table.
        """
        spans = function.ranges()
        if not spans or spans[0][0] >= LOW_END:
            return bool(spans)
        names = self._names.get(spans[0][0], set())
        known = function.symbol_names
        if any(n in known or n.partition(".")[0] in known for n in names):
            return True
        # C++ functions with internal linkage come without their mangled name
        mangled = [f"{len(name)}{name}" for name in known]
        return any(n.startswith("_Z") and any(m in n for m in mangled) for n in names)

    def fit(self, unit: Unit, piece: Sequence) -> float:
        """Rate how well a piece of a line table fits the functions it claims; 0: not at all.

        Every function symbol inside must be known to the unit and have a row at its start, not
        above its declaration; then the closest line and the closest end are the best.
        """
        first = bisect_left(self._starts, piece.start)
        behind = bisect_left(self._starts, piece.end)
        if first == behind or self._starts[first] != piece.start:
            return 0.0
        lines: dict[int, int] = {}
        for address, _, line in piece.rows:
            lines.setdefault(address, line)
        described = {f.ranges()[0][0]: f for f in unit.functions if self.alive(f)}
        distance_lines = 0
        for start in self._starts[first:behind]:
            if start not in lines or (described and start not in described):
                return 0.0
            if described:
                declared = described[start].inherited("decl_line").integer("decl_line") or 0
                if lines[start] < declared:
                    return 0.0
                distance_lines += lines[start] - declared
        excess_bytes = abs(piece.end - self._functions.end(behind - 1))
        if not described and excess_bytes >= _PADDING_BYTES:
            return 0.0  # an assembler's unit may describe no function: then the end must fit
        return 1 / (1 + distance_lines) + 1 / (1 + excess_bytes)
