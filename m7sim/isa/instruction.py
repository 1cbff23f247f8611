"""One decoded instruction: what it does. When it does it is the core table's business."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What an operand is read for; a core table says at which stage each role is needed."""

    OPERAND = 0  # plain integer operand
    SHIFTED = 1  # operand that an inline shift modifies (add r0, r1, r2, lsl #3: r2)
    BESIDE_SHIFTED = 2  # the other operand of such an instruction (r1)
    EXTRACT = 3  # source of a bit-field, extract, reverse, pack or saturate unit
    BASE = 4  # address base
    INDEX = 5  # address index
    MULTIPLICAND = 6
    ACCUMULATOR = 7
    STORE_DATA = 8
    FLAGS = 9  # condition, carry in, GE bits
    TARGET = 10  # address that a branch jumps to
    FP_OPERAND = 11  # of an add, compare, conversion, move
    FP_MULTIPLY = 12  # operand of VMUL, VDIV, VSQRT, VNMUL
    FP_MULTIPLICAND = 13  # multiplicand of a fused or chained multiply-accumulate
    FP_ACCUMULATOR = 14
    FP_STORE_DATA = 15
    TO_FP = 16  # core register moved to the FPU
    FROM_FP = 17  # FPU register moved to a core register


class Result(IntEnum):
    """How a written register comes about."""

    VALUE = 0  # the result proper
    WRITEBACK = 1  # updated base of a pre- or post-indexed access
    FLAGS = 2
    TRANSFER = 3  # a loaded register; the order of writes is the order of the transfers


class Branch(IntEnum):
    NONE = 0
    CONDITIONAL = 1  # direct, may fall through (b<c>, cbz, cbnz, and b in an IT block)
    DIRECT = 2
    CALL = 3
    INDIRECT = 4  # bx, mov pc, ldr pc that is not a return
    INDIRECT_CALL = 5
    RETURN = 6  # bx lr, pop {…, pc}, ldm sp!, {…, pc}, ldr pc, [sp], #4
    TABLE = 7  # tbb, tbh


ALWAYS = 14  # the condition code AL


@dataclass(frozen=True, slots=True)
class Linear:
    """The value ``constant + Σ coefficient × register`` (mod 2**32).

    Registers count as they are before the instruction; the value of pc is in ``constant``.
    """

    constant: int = 0
    terms: tuple[tuple[int, int], ...] = ()  # (register, coefficient)


@dataclass(frozen=True, slots=True)
class Memory:
    """``count`` transfers of ``unit_bytes`` each, consecutive upwards from ``address``."""

    load: bool
    store: bool
    address: Linear
    unit_bytes: int
    count: int
    literal: bool = False  # pc-relative load


@dataclass(frozen=True, slots=True)
class Instruction:
    address: int
    size_bytes: int  # 2 or 4
    text: str  # "ldr.w r3, [r0, #4]"
    klass: str  # instruction class: the row of the core table
    reads: tuple[tuple[int, Role], ...]
    writes: tuple[tuple[int, Result], ...]
    memory: Memory | None = None
    branch: Branch = Branch.NONE
    target: int = -1  # address of a direct branch, else -1
    condition: int = ALWAYS  # of a conditional branch or an instruction in an IT block
    predicated: bool = False  # stands in an IT block
    # core registers whose new value is linear in the old ones (mov, add, lsl #n, adr, write-back)
    values: tuple[tuple[int, Linear], ...] = ()
    ends_block: bool = False  # nothing after it executes without passing a block boundary
    it_conditions: tuple[int, ...] = ()  # of IT: the conditions of the next instructions
    movt: int = -1  # MOVT: the 16 bits it puts above the low half it keeps, else -1
