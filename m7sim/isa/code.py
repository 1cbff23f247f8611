"""Decoded code as plain arrays: static instructions, and the blocks a run entered.

A *block* is what the engine executes without looking up: straight-line instructions from an entry
address to the next branch (or page end). Its instructions are consecutive rows of the instruction
table. Nothing here depends on a core or a board.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.classes import CLASS_INDEX
from m7sim.isa.instruction import Instruction

I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

NO_ACCESS = 0xFFFF_FFFF  # address of a predicated access whose condition failed

LOAD, STORE = 1, 2


class CodeArrays(NamedTuple):
    """Columns for jitted kernels; ``*_first`` has one entry more than rows (prefix sums)."""

    address: NDArray[np.uint32]
    size_bytes: U8
    klass: NDArray[np.int16]
    branch: U8  # instruction.Branch
    condition: U8
    predicated: U8
    target: NDArray[np.int64]  # of direct branches, else -1
    mem_kind: U8  # 0, LOAD or STORE
    mem_unit_bytes: U8
    mem_count: U8
    mem_literal: U8
    read_first: I32
    read_reg: U8
    read_role: U8  # instruction.Role
    write_first: I32
    write_reg: U8
    write_result: U8  # instruction.Result
    block_first: I32  # first instruction row of the block
    block_count: I32  # its number of instructions
    block_address: NDArray[np.uint32]
    block_bytes: I32


class Code:
    """Grows while a run discovers blocks; rows never change once given out."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.blocks: list[tuple[int, int]] = []  # (first row, count)
        self._arrays: CodeArrays | None = None

    def add_block(self, instructions: list[Instruction]) -> int:
        """Append a block and return its id; overlapping blocks share no rows."""
        first = len(self.instructions)
        self.instructions.extend(instructions)
        self.blocks.append((first, len(instructions)))
        self._arrays = None
        return len(self.blocks) - 1

    def arrays(self) -> CodeArrays:
        """Columns of everything decoded so far (rebuilt only after growth)."""
        if self._arrays is None:
            self._arrays = _columns(self.instructions, self.blocks)
        return self._arrays


def _columns(rows: list[Instruction], blocks: list[tuple[int, int]]) -> CodeArrays:
    read_first = np.zeros(len(rows) + 1, np.int32)
    write_first = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(i.reads) for i in rows], out=read_first[1:])
    np.cumsum([len(i.writes) for i in rows], out=write_first[1:])
    reads = [read for i in rows for read in i.reads]
    writes = [write for i in rows for write in i.writes]

    first = np.array([b[0] for b in blocks], np.int32)
    count = np.array([b[1] for b in blocks], np.int32)
    return CodeArrays(
        address=np.array([i.address for i in rows], np.uint32),
        size_bytes=np.array([i.size_bytes for i in rows], np.uint8),
        klass=np.array([CLASS_INDEX[i.klass] for i in rows], np.int16),
        branch=np.array([i.branch for i in rows], np.uint8),
        condition=np.array([i.condition for i in rows], np.uint8),
        predicated=np.array([i.predicated for i in rows], np.uint8),
        target=np.array([i.target for i in rows], np.int64),
        mem_kind=np.array(
            [0 if i.memory is None else LOAD if i.memory.load else STORE for i in rows], np.uint8
        ),
        mem_unit_bytes=np.array([i.memory.unit_bytes if i.memory else 0 for i in rows], np.uint8),
        mem_count=np.array([i.memory.count if i.memory else 0 for i in rows], np.uint8),
        mem_literal=np.array([bool(i.memory and i.memory.literal) for i in rows], np.uint8),
        read_first=read_first,
        read_reg=np.array([r for r, _ in reads], np.uint8),
        read_role=np.array([role for _, role in reads], np.uint8),
        write_first=write_first,
        write_reg=np.array([r for r, _ in writes], np.uint8),
        write_result=np.array([result for _, result in writes], np.uint8),
        block_first=first,
        block_count=count,
        block_address=np.array([rows[b[0]].address for b in blocks], np.uint32),
        block_bytes=np.array(
            [sum(i.size_bytes for i in rows[f : f + n]) for f, n in blocks], np.int32
        ),
    )
