"""Names for lost cycles and for lost pairs.

A cycle in which nothing was issued is charged to the instruction that issues next after it (the
one that waited), or to the instruction that itself holds the pipeline (a transfer of many
registers, a divide, a load that missed). Where several reasons held an instruction back, the one
that ended last gets all of its cycles; of reasons that ended in the same cycle, the one with the
lowest number here. So lost cycles are counted once, and shortening a reason that is not named
gains nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class StallCause(IntEnum):
    """Why no instruction was issued in a cycle; ``meaning`` says it in one sentence."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> StallCause:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    MISPREDICT = 0, "A branch went another way than predicted and the pipeline was refilled."
    BRANCH_TARGET = 1, "A branch was taken for which no target had been predicted."
    TABLE_BRANCH = 2, "A table branch loaded its target and jumped to where none was predicted."
    FETCH = 3, "The instruction bytes had not arrived: supply is one aligned 64-bit word a cycle."
    ICACHE_REFILL = 4, "The instructions were not in the I-cache and a line was being filled."
    FETCH_UNCACHED = 5, "The instructions came from a memory that no cache covers."
    ART_MISS = 6, "The instructions were not in the flash accelerator and the flash was read."
    LOAD_USE = 7, "An operand is a loaded value that had not arrived."
    ALU_RESULT = 8, "An operand is an ALU or shifter result that was not ready early enough."
    ADDRESS = 9, "An address is an ALU or shifter result, which is needed a stage earlier."
    SATURATE_RESULT = 10, "An operand is a saturating or absolute-difference result."
    MULTIPLY_RESULT = 11, "An operand is the result of a multiply or multiply-accumulate."
    WRITEBACK_RESULT = 12, "An operand is an address base that a load or store just updated."
    FP_RESULT = 13, "An operand is the result of a floating-point operation or move."
    FLAGS = 14, "The flags or GE bits that the instruction depends on were not ready."
    FP_MAC_HAZARD = 15, "A floating-point multiply-accumulate bars this operation for a while."
    STORE_TO_LOAD = 16, "A load reads what a store just before it wrote."
    STORE_QUEUE = 17, "The store queue was full."
    STORE_BUFFER = 18, "The store buffer to the memories outside the TCMs was full."
    MULTI_TRANSFER = 19, "A transfer of several registers took its further cycles."
    TRANSFER_ALIGNMENT = 20, "A store of several registers did not start on a multiple of 8."
    UNALIGNED = 21, "An unaligned load took its extra cycles."
    DIVIDE = 22, "An integer divide held the pipeline."
    FP_DIVIDE = 23, "A floating-point divide or square root held the pipeline."
    FP_DOUBLE = 24, "A double-precision operation held the pipeline."
    DCACHE_FLASH = 25, "Data from flash was not in the D-cache or its line still being filled."
    DCACHE_SRAM = 26, "Data from SRAM was not in the D-cache or its line still being filled."
    DCACHE_EXTERNAL = (
        27,
        "Data from external memory was not in the D-cache or still being filled.",
    )
    DATA_UNCACHED = (
        28,
        "Data was read from a memory that no cache covers, or that ART did not hold.",
    )
    PERIPHERAL = 29, "A peripheral or system register was read."
    BARRIER = 30, "A barrier, system or exception instruction held the pipeline."


N_CAUSES: Final = len(StallCause)
CAUSE_LIMIT: Final = 64  # what a wait has room for


class PairLoss(IntEnum):
    """Why an instruction did not join the one before it, beyond what the core table forbids.

    Codes below ``FIRST_WALK_LOSS`` are the reasons of ``CoreTable.pair``, named there.
    """

    meaning: str

    def __new__(cls, value: int, meaning: str) -> PairLoss:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    BANK = 64, "Both load from the same bank of the TCM or cache."
    FP_MAC = 65, "A floating-point multiply-accumulate a few cycles before bars the pair."
    OPERAND = 66, "Its operands were not ready in that cycle."
    FETCH = 67, "Its bytes had not arrived in that cycle."
    HAZARD = 68, "A unit or queue that it needs was occupied in that cycle."


FIRST_WALK_LOSS: Final = 64
N_LOSSES: Final = 80
