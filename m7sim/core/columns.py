"""The codes of a compiled core table: read columns, issue rules, early execution, FPU blocking."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from m7sim.isa.instruction import Role


class Column(IntEnum):
    """Where in the pipeline a consumer needs an operand: a column of the latency matrix.

    ``latency[class, column]`` is the number of cycles from the issue of the producer to the
    earliest issue of a consumer that needs the value there; 0 means that both may share the cycle.
    """

    NONE = 0  # not waited for (predicted branches): always 0
    LATE = 1  # operand of the late ALU
    EARLY = 2  # operand of the early ALU, the inline shifter, a bit-field unit
    BESIDE = 3  # unshifted operand of an instruction with an inline shift
    BASE = 4  # address base
    INDEX = 5  # address index
    MULTIPLICAND = 6
    ACCUMULATOR = 7  # of an integer multiply-accumulate
    STORE = 8  # store data
    TO_FP = 9  # core register on its way into the FPU
    FLAGS = 10  # N Z C V, GE, flags in FPSCR
    FP_OPERAND = 11  # of an FP add, compare, conversion, move
    FP_MULTIPLY = 12  # of VMUL, VDIV, VSQRT
    FMA_MULTIPLICAND = 13  # fused multiply-accumulate (VFMA)
    MLA_MULTIPLICAND = 14  # chained multiply-accumulate (VMLA)
    FMA_ACCUMULATOR = 15
    MLA_ACCUMULATOR = 16
    FP_STORE = 17
    FROM_FP = 18  # FPU register on its way to a core register


COLUMNS: Final = {column.name.lower(): column for column in Column}
ROLES: Final = {role.name.lower(): role for role in Role}

# Columns in which each kind of written register can be read: a latency row has to state them all.
COLUMNS_OF_KIND: Final[dict[str, tuple[Column, ...]]] = {
    "core": tuple(Column(n) for n in range(Column.LATE, Column.TO_FP + 1)),
    "flags": (Column.FLAGS,),
    "fp": tuple(Column(n) for n in range(Column.FP_OPERAND, Column.FROM_FP + 1)),
}


class Issue(IntEnum):
    ANY = 0  # either slot
    OLDER = 1  # the older slot only
    ALONE = 2  # nothing else in its cycle


class Early(IntEnum):
    NO = 0
    OLDER_SLOT = 1  # may run in the early ALU when issued as the older (or only) instruction
    ANY_SLOT = 2  # from either slot


class AfterMac(IntEnum):
    """What a class may do while an FP multiply-accumulate is younger than the block time."""

    FREE = 0
    BLOCKED = 1  # may not issue
    NOT_YOUNGER = 2  # may not issue as younger, nor as the partner of a further accumulate


class FpMac(IntEnum):
    NO = 0
    FMA = 1  # fused
    MLA = 2  # chained, with rounding between
