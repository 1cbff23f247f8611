"""What is static about the blocks of a run, as far as jumps and registers are concerned."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from m7sim.elf import Image
from m7sim.isa.code import Code
from m7sim.isa.registers import LR, S0, SP

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

# What a function has to preserve (AAPCS 6.1.1 and 6.1.2), and sp and lr: columns of kernels.
PRESERVED: Final = (*range(4, 12), *range(S0 + 16, S0 + 32))
WATCHED: Final = (*PRESERVED, SP, LR)
N_PRESERVED: Final = len(PRESERVED)
SP_COLUMN: Final = N_PRESERVED
LR_COLUMN: Final = N_PRESERVED + 1
_COLUMN: Final = {register: column for column, register in enumerate(WATCHED)}

# Where a block stands: in code, in data between code, outside of all code.
CODE, DATA, OUTSIDE = 0, 1, 2
# What begins where a block begins: nothing, a label, a function.
NOTHING, LABEL, FUNCTION = 0, 1, 2

# Functions that leave others half-way, by design.
_UNWINDERS: Final = re.compile(r"longjmp|restore_core_regs|(set|swap)context")
# Helpers of the compiler that jump into the function that calls them.
_SWITCHES: Final = re.compile(r"__gnu_thumb1_case_|__ARM_common_switch|__ARM_switch")
_ASSEMBLY: Final = (".s", ".S", ".sx", ".asm")


class Facts(NamedTuple):
    """One row per block; functions are indices of ``image.functions``, -1 for none."""

    address: I64
    end: I64  # address after the last instruction
    first_row: I32
    last_row: I32
    values: I32  # words recorded per execution
    kind: U8  # Branch of the last instruction
    may_fall: U8  # 1: the last instruction is predicated
    function: I32  # of the first instruction
    last_function: I32  # of the last one
    begins: U8  # NOTHING, LABEL or FUNCTION
    place: U8  # CODE, DATA or OUTSIDE: of the first instruction that is not in code, if any
    stray_row: I32  # that instruction, -1 for none
    runs_over: I32  # last row of a function that the block leaves by running on, or -1
    library: U8  # 1: no source line is known for the last instruction
    assembly: U8  # 1: written in assembly
    unwinds: U8  # 1: longjmp and the like
    switches: U8  # 1: helper of a switch statement
    write_first: I32  # [blocks + 1]
    write_column: U8  # columns of WATCHED, in program order
    write_row: I32


_kept: WeakKeyDictionary[Code, FactTable] = WeakKeyDictionary()


def fact_table(image: Image, code: Code) -> FactTable:
    """Return the facts about code; kept as long as the code, from call to call."""
    if code not in _kept:
        _kept[code] = FactTable(image)
    return _kept[code]


class FactTable:
    """Facts about all blocks of a run; grows with its code."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._spans = np.array(image.code_ranges(), np.int64).reshape(-1, 2)
        self._functions = np.array([f.address for f in image.functions], np.int64)
        self._typed = {f.address for f in image.functions if f.kind == "function"}
        self._labels = {s.address & ~1 for s in image.symbols if s.kind != "object"}
        names = [f.name for f in image.functions]
        self._unwinders = {i for i, name in enumerate(names) if _UNWINDERS.search(name)}
        self._switches = {i for i, name in enumerate(names) if _SWITCHES.search(name)}
        self._rows: list[tuple[int, ...]] = []
        self._writes: list[tuple[int, int]] = []
        self._write_first = [0]
        self._facts: Facts | None = None

    @property
    def has_functions(self) -> bool:
        return len(self._functions) > 0

    def facts(self, code: Code, values: NDArray[np.int32]) -> Facts:
        """Return facts about all blocks met so far.

        Parameters
        ----------
        values
            Words recorded per execution of each block.
        """
        if self._facts is None or len(self._facts.address) != len(values):
            for block in range(len(self._rows), len(values)):
                self._add(code, *code.blocks[block])
            self._facts = self._columns(values)
        return self._facts

    def landing(self, code: Code, address: int) -> Facts:
        """Return the facts so far, and behind them those of a jump to where no block was seen."""
        known = np.zeros(0, np.int32) if self._facts is None else self._facts.values
        facts = self.facts(code, known)
        kept = len(self._rows)
        self._rows.append(self._row(address, address, -1, -1, address))
        self._write_first.append(self._write_first[-1])
        found = self._columns(np.append(facts.values, np.int32(len(WATCHED))))
        del self._rows[kept:], self._write_first[kept + 1 :]
        return found

    def _add(self, code: Code, first: int, count: int) -> None:
        instructions = code.instructions[first : first + count]
        addresses = np.array([i.address for i in instructions], np.int64)
        stray = np.flatnonzero(self._places(addresses) != CODE)
        functions = self._image.functions_at(addresses)
        leaves = np.flatnonzero(functions != functions[0])
        over = -1
        if len(leaves) and functions[0] >= 0:
            entered = functions[leaves[functions[leaves] >= 0]]
            before = instructions[leaves[0] - 1].address
            if len(entered) and self._is_mishap(before, int(self._functions[entered[0]])):
                over = first + int(leaves[0]) - 1
        last = instructions[-1]
        self._rows.append(
            self._row(
                int(addresses[0]),
                last.address + last.size_bytes,
                first,
                first + count - 1,
                last.address,
                kind=int(last.branch),
                may_fall=int(last.predicated),
                stray=(first + int(stray[0]), int(addresses[stray[0]])) if len(stray) else None,
                over=over,
            )
        )
        for row, instruction in enumerate(instructions, first):
            self._writes += [
                (_COLUMN[register], row)
                for register, _ in instruction.writes
                if register in _COLUMN
            ]
        self._write_first.append(len(self._writes))

    def _row(
        self,
        address: int,
        end: int,
        first_row: int,
        last_row: int,
        last_address: int,
        *,
        kind: int = 0,
        may_fall: int = 0,
        stray: tuple[int, int] | None = None,
        over: int = -1,
    ) -> tuple[int, ...]:
        function, last = self._image.functions_at(np.array([address, last_address])).tolist()
        begins = NOTHING
        if address in self._labels:
            begins = FUNCTION if address in self._typed else LABEL
        line = self._image.line_at(last_address)
        place = int(self._places(np.array([stray[1] if stray else address]))[0])
        return (
            address, end, first_row, last_row, kind, may_fall, function, last, begins, place,
            stray[0] if stray else -1, over, int(line is None),
            int(line is not None and line.file.endswith(_ASSEMBLY)),
            int(last in self._unwinders), int(last in self._switches),
        )  # fmt: skip

    def _places(self, addresses: I64) -> U8:
        spans = self._spans
        if not len(spans):
            return np.full(len(addresses), OUTSIDE, np.uint8)
        at = np.searchsorted(spans[:, 0], addresses, side="right") - 1
        inside = (at >= 0) & (addresses < spans[at, 1])
        if inside.all():
            return np.zeros(len(addresses), np.uint8)
        near = np.zeros(len(addresses), np.bool_)
        for section in self._image.sections:
            if section.executable:
                near |= (addresses >= section.address) & (addresses < section.end)
        return np.where(inside, CODE, np.where(near, DATA, OUTSIDE)).astype(np.uint8)

    def _is_mishap(self, before: int, entered: int) -> bool:
        """Tell whether running from one function on into another can only be a mistake.

        Assembly does so on purpose: libgcc's subtractions run into its additions.
        """
        line, there = self._image.line_at(before), self._image.line_at(entered)
        if line is None:
            return False
        if not line.file.endswith(_ASSEMBLY):
            return True
        return there is None or there.file != line.file

    def _columns(self, values: NDArray[np.int32]) -> Facts:
        table = np.array(self._rows, np.int64).reshape(len(self._rows), 16).T
        i32, u8 = np.int32, np.uint8
        types = (np.int64, np.int64, i32, i32, u8, u8, i32, i32, u8, u8, i32, i32, u8, u8, u8, u8)
        columns = [column.astype(kind) for column, kind in zip(table, types, strict=True)]
        writes = np.array(self._writes, np.int64).reshape(-1, 2)
        return Facts._make(
            (
                *columns[:4], values, *columns[4:],
                np.array(self._write_first, i32), writes[:, 0].astype(u8),
                writes[:, 1].astype(i32),
            )
        )  # fmt: skip
