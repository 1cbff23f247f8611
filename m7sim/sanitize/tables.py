"""What is static about each instruction, as columns for the kernel that follows accesses."""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.elf import Image
from m7sim.isa.code import LOAD, STORE, Code
from m7sim.isa.instruction import Instruction, Result, Role
from m7sim.isa.registers import FLAGS, SP

_REGISTERS = (1 << FLAGS) - 1  # those that can lack a value: not flags


class Action(IntEnum):
    """What an instruction does with operands that have no value."""

    NOTHING = 0  # touches no register we follow, or in a way that does not matter
    USE = 1  # its result depends on them: a finding
    COPY = 2  # moves them
    MERGE = 3  # keeps parts: the result has a value if any operand has
    DEFINE = 4  # gives a result whatever they are (x ^ x)


# How a row knows the stack pointer: from the entry of its block, from that of the next, not at all.
FROM_ENTRY, FROM_NEXT, UNKNOWN = 0, 1, 2

_MERGING = frozenset(
    ("and", "orr", "orn", "eor", "bic", "mvn", "lsl", "lsr", "asr", "ror", "rrx", "ubfx", "sbfx",
     "bfi", "bfc", "sxtb", "sxth", "sxtb16", "uxtb", "uxth", "uxtb16", "pkhbt", "pkhtb", "rev",
     "rev16", "revsh", "rbit", "sel", "movt", "vneg", "vabs", "vseleq", "vselge", "vselgt",
     "vselvs", "vcvt")
)  # fmt: skip
_SILENT_CLASSES = frozenset(
    ("it", "nop", "hint", "barrier", "branch", "branch_conditional", "call", "preload",
     "special_register", "change_state", "supervisor_call", "breakpoint", "undefined",
     "clear_exclusive", "coprocessor")
)  # fmt: skip
_COPYING_CLASSES = frozenset(
    ("mov", "fp_move", "fp_move_d", "fp_from_core", "fp_to_core", "fp_from_core_pair",
     "fp_to_core_pair")
)  # fmt: skip
_MNEMONIC = re.compile(r"[a-z]+\d*")
_CONDITIONS = ("eq", "ne", "hs", "lo", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt",
               "gt", "le")  # fmt: skip


# One record per instruction row of ``Code``. ``reads`` and ``writes`` are registers as bits, of an
# access only those of its address; ``data`` says where in `Static.data` the registers begin that
# are loaded, stored or copied, in the order of transfers.
ROW = np.dtype(
    [
        *((name, np.int64) for name in ("reads", "writes", "sp_before", "sp_after")),
        *((name, np.int32) for name in ("data", "n_data")),
        *(
            (name, np.uint8)
            for name in ("action", "moves_sp", "sp_before_from", "sp_after_from", "memory",
                         "unit_bytes", "units", "predicated")
        ),
    ],
    align=True,
)  # fmt: skip
# One record per block; ``end`` is the address behind it, ``branch`` that of its last instruction,
# ``function`` the address of its function, which ``enters`` says it begins.
BLOCK = np.dtype(
    [
        (name, np.int64)
        for name in ("first", "count", "address", "end", "branch", "function", "enters")
    ]
)


class Static(NamedTuple):
    """What is static about all code known at some time."""

    rows: NDArray[np.void]
    blocks: NDArray[np.void]
    data: NDArray[np.int32]
    copy_to: NDArray[np.int32]  # of a copy: where to


class CodeTable:
    """Grows with the code of a run."""

    def __init__(self, code: Code, image: Image) -> None:
        self._code, self._image = code, image
        self._rows: list[tuple[int, ...]] = []
        self._blocks: list[tuple[int, ...]] = []
        self._data: list[int] = []
        self._copy_to: list[int] = []
        self._static: Static | None = None

    def static(self) -> Static:
        """Return the columns for all code known now; rebuilt only after growth."""
        known = len(self._blocks)
        if self._static is None or known != len(self._code.blocks):
            for first, count in self._code.blocks[known:]:
                self._add_block(first, self._code.instructions[first : first + count])
            self._static = Static(
                np.array(self._rows, ROW), np.array(self._blocks, BLOCK),
                np.array([*self._data, 0], np.int32), np.array([*self._copy_to, 0], np.int32),
            )  # fmt: skip
        return self._static

    def _add_block(self, first: int, instructions: list[Instruction]) -> None:
        last = instructions[-1]
        end = last.address + last.size_bytes
        at = instructions[0].address
        symbol = self._image.function_at(at)
        function = symbol.address if symbol is not None else at
        self._blocks.append(
            (first, len(instructions), at, end, int(last.branch), function, at == function)
        )
        sp = stack_pointers(instructions)
        for instruction, (before, after) in zip(instructions, sp, strict=True):
            data, copy_to = transfers(instruction)
            memory = instruction.memory
            reads = [
                r for r, role in instruction.reads
                if memory is None or role not in (Role.STORE_DATA, Role.FP_STORE_DATA)
            ]  # fmt: skip
            self._rows.append(
                (
                    _bits(reads), _bits([r for r, _ in instruction.writes]), before[1], after[1],
                    len(self._data), len(data), int(action(instruction)),
                    any(r == SP for r, _ in instruction.writes), before[0], after[0],
                    (LOAD if memory.load else STORE) if memory else 0,
                    memory.unit_bytes if memory else 0, memory.count if memory else 0,
                    instruction.predicated,
                )
            )  # fmt: skip
            self._data += data
            self._copy_to += copy_to


def _bits(registers: list[int]) -> int:
    bits = 0
    for register in registers:
        bits |= 1 << register
    return bits & _REGISTERS


def transfers(instruction: Instruction) -> tuple[list[int], list[int]]:
    """Return the registers that data comes from or goes to, and for a copy those it goes to."""
    if instruction.memory is not None:
        if instruction.memory.load:
            data = [r for r, result in instruction.writes if result == Result.TRANSFER]
        else:
            roles = (Role.STORE_DATA, Role.FP_STORE_DATA)
            data = [r for r, role in instruction.reads if role in roles]
        return data, [0] * len(data)
    if action(instruction) != Action.COPY:
        return [], []
    return (
        [r for r, _ in instruction.reads if r < FLAGS],
        [r for r, _ in instruction.writes if r < FLAGS],
    )


def mnemonic(instruction: Instruction) -> str:
    """Return the plain name of an instruction: no condition, no flags, no width, no type."""
    found = _MNEMONIC.match(instruction.text)
    name = found[0] if found else ""
    known = _MERGING
    if instruction.predicated and name[-2:] in _CONDITIONS and name not in known:
        name = name[:-2]
    if name not in known and name.endswith("s") and name[:-1] in {*known, "sub", "mov"}:
        name = name[:-1]
    return name


def action(instruction: Instruction) -> Action:
    """Tell what an instruction that is no access does with operands that have no value."""
    reads = [r for r, _ in instruction.reads if r < FLAGS]
    writes = [r for r, _ in instruction.writes if r < FLAGS]
    if instruction.memory is not None or instruction.klass in _SILENT_CLASSES or not reads:
        return Action.NOTHING
    name = mnemonic(instruction)
    if name in ("eor", "sub") and len(reads) == 2 and reads[0] == reads[1]:
        return Action.DEFINE
    if instruction.klass in _COPYING_CLASSES and len(reads) == len(writes):
        return Action.COPY
    if instruction.klass in _COPYING_CLASSES or name in _MERGING:
        return Action.MERGE
    return Action.USE


Sp = tuple[int, int]


def stack_pointers(instructions: list[Instruction]) -> list[tuple[Sp, Sp]]:
    """Return where the stack pointer is before and after each instruction of a block.

    Counted from the block's entry up to an instruction that sets it to something else, such as
    ``mov sp, r7``; behind the last of these, backwards from the entry of the next block.
    """
    deltas: list[int | None] = []
    for instruction in instructions:
        delta: int | None = 0
        if any(register == SP for register, _ in instruction.writes):
            value = dict(instruction.values).get(SP)
            linear = value is not None and value.terms == ((SP, 1),)
            delta = None
            if value is not None and linear:
                delta = value.constant - (value.constant >> 31 << 32)
        deltas.append(delta)
    states: list[Sp] = [(FROM_ENTRY, 0)]
    for delta in deltas:
        origin, offset = states[-1]
        known = delta is not None and origin == FROM_ENTRY
        states.append((FROM_ENTRY, offset + (delta or 0)) if known else (UNKNOWN, 0))
    offset = 0
    for index in range(len(deltas), 0, -1):
        if states[index][0] != UNKNOWN:
            break
        states[index] = (FROM_NEXT, offset)
        step = deltas[index - 1]
        if step is None:
            break
        offset -= step
    return list(pairwise(states))
