"""What the walk reads and changes, in a form that jitted and plain Python share.

*Model* (core and board as numbers) and *state* (the pipeline between two instructions) are numpy
records: a kernel gets a pointer to each; what lies beyond the pipeline is in `memory`. Static
instructions and what they cost are arrays of records that grow with the code. Cycles are absolute
and count from 0 at the last reset.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.core import Column, Parameters
from m7sim.isa.classes import CLASSES
from m7sim.isa.instruction import ALWAYS
from m7sim.isa.registers import N_REGISTERS
from m7sim.timing.causes import CAUSE_LIMIT, N_CAUSES, N_LOSSES

I64 = NDArray[np.int64]
Record = np.void  # of dtype MODEL, STATE, MEMORY, LOG, CACHE, ROW, TALLY, BLOCK …
Records = NDArray[np.void]

NEVER: Final = -(1 << 40)  # a cycle so long ago that nothing waits for it

# A wait is one number, the cycle in which it ends above the inverted cause, so that the maximum of
# several is the one that ends last and, of equals, the one with the lowest cause.
CAUSE_MASK: Final = CAUSE_LIMIT - 1
CAUSE_BITS: Final = CAUSE_MASK.bit_length()
NO_WAIT: Final = NEVER << CAUSE_BITS

# Latency rows: one per class, one per class when it ran early, the written-back base.
N_CLASSES: Final = len(CLASSES)
WRITEBACK_ROW: Final = 2 * N_CLASSES
N_LATENCY_ROWS: Final = 2 * N_CLASSES + 1
EARLY_ADD: Final = len(Column)  # an extra column: operand of an ADD, SUB or MOV run early
N_COLUMNS: Final = len(Column) + 1

PAGE_SHIFT: Final = 12  # all regions of supported boards start and end on 4 KiB
N_PAGES: Final = 1 << (32 - PAGE_SHIFT)

# kinds of region; the first one is what lies outside all regions
UNMAPPED: Final = 0
TCM: Final = 1
CACHED: Final = 2
UNCACHED: Final = 3
DEVICE: Final = 4
ACCELERATED: Final = 5  # flash behind ART

# --- bits of a row's flags --------------------------------------------------------------------
IS_LOAD: Final = 1 << 0
IS_STORE: Final = 1 << 1
ALONE: Final = 1 << 2  # issues alone
EARLY: Final = 1 << 3  # may run in the early ALU from the older slot
EARLY_ANY: Final = 1 << 4  # ... from the younger slot too
FP_MAC: Final = 1 << 5  # single-precision multiply-accumulate, fused or chained
FP_CHAINED: Final = 1 << 6  # VMLA, VMLS and kin: rounds in the middle
FP_FUSED: Final = 1 << 7  # VFMA, VFMS and kin
MAC_BARS: Final = 1 << 8  # may not issue in the cycles after a MAC
MAC_BARS_YOUNGER: Final = 1 << 9  # may not be the younger in the cycles after a MAC
MULTIPLE: Final = 1 << 10  # transfers several registers
PREDICATED: Final = 1 << 11

# --- capacities of the records ---------------------------------------------------------------
MAX_QUEUE: Final = 16  # words fetched ahead
MAX_REGIONS: Final = 128  # with those that the MPU makes of them

MAX_OPERANDS: Final = 36  # VLDM of 32 registers, its base, flags
WRITEBACK: Final = 0xFFFF

I8: Final = np.dtype(np.int64)
_U2 = np.dtype(np.uint16)  # unsigned: indexing needs no test for negative


def fields(*names: str) -> list[tuple[str, np.dtype[np.int64]]]:
    return [(name, I8) for name in names]


MODEL: Final = np.dtype(
    [
        ("latency", I8, (N_LATENCY_ROWS, N_COLUMNS)),  # as waits: cycles and cause
        ("longest_latency", I8, N_LATENCY_ROWS),  # of any reader, in cycles
        ("pair", I8, (N_CLASSES, N_CLASSES)),  # [older, younger]: why not in one cycle, or 0
        ("early_blocked", I8, (N_CLASSES, N_CLASSES)),  # [class, partner that takes its shifter]
        ("page_region", np.uint8, N_PAGES),
        ("physical", I8, MAX_REGIONS),  # region of the board, from 1
        ("region_kind", I8, MAX_REGIONS),
        ("fill_cycles", I8, MAX_REGIONS),  # of a cache line, to its critical word
        ("beat_cycles", I8, MAX_REGIONS),  # each further 64 bits
        ("read_cycles", I8, MAX_REGIONS),  # without a cache
        ("write_cycles", I8, MAX_REGIONS),  # of 64 bits
        ("slave", I8, MAX_REGIONS),  # region whose memory it is: aliases share one
        ("slave_cycles", I8, MAX_REGIONS),  # its own part of the time to the first 64 bits
        ("fill_cause", I8, MAX_REGIONS),
        ("read_cause", I8, MAX_REGIONS),
        ("write_back", I8, MAX_REGIONS),
        ("write_allocate", I8, MAX_REGIONS),
        *fields("art_lines", "art_line_shift", "art_prefetch", "art_read_cycles"),
        *fields("merging_entries"),  # of the store buffer, that may wait to be merged with
        *fields("fetch_reach_cycles"),  # supply that waited longer than this waits for nothing
        *fields("store_queue_entries", "subword_store_cycles", "btac_set_mask"),
        *fields(*Parameters._fields),
    ]
)

STATE: Final = np.dtype(
    [
        # issue
        *fields(
            "cycle",  # of the last issue, further cycles of a holding instruction included
            "older_klass",  # of the one that waits alone in the older slot, else -1
            "older_flags",
            "pair_cycle",  # cycle in which it issued
            "pending",  # row that ended the last block, else -1
            "branch_operand",  # cycle in which the flags (or register) of that branch were made
            "instructions",
            "mac_cycle",  # last FP multiply-accumulate
            "mac_before",  # the last one in an earlier cycle than that
            "chained_cycle",  # last chained one
        ),
        ("pair_loss", I8, N_LOSSES),  # times that an instruction stayed alone, by reason
        ("reg_cycle", I8, N_REGISTERS),  # cycle in which the producer issued
        ("reg_row", _U2, N_REGISTERS),  # its latency row
        ("reg_condition", I8, N_REGISTERS),  # condition under which it wrote, 14: always
        # fetch
        *fields(
            "word",  # newest word that arrived or is on its way
            "arrival",  # first cycle in which an instruction ending in it may issue
            "arrival_wait",  # the same as a wait, with its cause
            "line",  # I-cache line looked up last
            "place",  # its place in the queue
            "restart",  # first cycle after the last redirection of the stream
            "restart_cause",
        ),
        ("left", I8, MAX_QUEUE),  # cycle in which a word of the prefetch queue was used up
        # loads and stores
        *fields(
            "load_bank",  # bank of the load in the older slot, -1: none
            "load_unaligned",  # the load in the older slot is unaligned
            "refund",  # cycles that the younger of two loads takes off the older one
        ),
        # the line of instructions that is or was being filled
        *fields(
            "fetch_line",
            "fetch_first_word",  # its word that comes first
            "fetch_first",  # when that arrives
            "fetch_beat",  # from one word to the next
            "fetch_end",  # when the last arrives
        ),
    ]
)


# A static instruction.
ROW: Final = np.dtype(
    [
        *fields(
            "address",
            "size_bytes",
            "last_word",  # aligned 64-bit word that holds its last byte
            "klass",
            "flags",
            "hold",  # further cycles for which it holds the pipeline
            "hold_cause",
            "unit_bytes",  # of one transfer; 0: no memory access
            "access_bytes",  # of all transfers
            "branch",  # instruction.Branch
            "target",  # of a direct branch, else -1
            "condition",
            "latency_row",  # of its results
            "early_row",  # ... when it ran early
            "n_reads",
            "n_writes",
        ),
        ("read_reg", _U2, MAX_OPERANDS),
        ("read_column", _U2, MAX_OPERANDS),
        ("write_reg", _U2, MAX_OPERANDS),
        ("write_behind", _U2, MAX_OPERANDS),  # cycles behind the first, WRITEBACK: the base
    ]
)

# What a static instruction cost.
TALLY: Final = np.dtype(
    [
        ("stalls", I8, N_CAUSES),
        *fields(
            "issued",  # issue cycles: executions that were not the younger of a pair
            "taken",
            "mispredicted",
            "penalty",  # refill cycles after this branch
        ),
    ]
)

BLOCK: Final = np.dtype(fields("first", "count", "accesses", "address"))


def new_state() -> np.void:
    """Make the state after reset: nothing in flight."""
    state: np.void = np.zeros(1, STATE)[0]
    clear_pipeline(state)
    return state


def clear_pipeline(state: np.void) -> None:
    """Empty the pipeline and set the cycle to 0."""
    for name in (
        "instructions", "older_flags", "place", "restart_cause", "reg_row", "load_unaligned",
        "refund",
    ):  # fmt: skip
        state[name] = 0
    for name in ("older_klass", "pending", "word", "line", "load_bank", "fetch_line"):
        state[name] = -1
    for name in (
        "pair_cycle", "branch_operand", "mac_cycle", "mac_before", "chained_cycle", "reg_cycle",
        "restart", "left", "fetch_end",
    ):  # fmt: skip
        state[name] = NEVER
    state["cycle"] = state["arrival"] = -1  # the first instruction may issue in cycle 0
    state["arrival_wait"] = NO_WAIT
    state["reg_condition"] = ALWAYS
