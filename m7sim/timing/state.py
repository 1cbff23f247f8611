"""What the walk reads and changes, in a form that jitted and plain Python share.

*Model* (core and board as numbers) and *state* (the machine between two instructions) are numpy
records: a kernel gets a pointer to each. Static instructions and what they cost are arrays of
records that grow with the code. Cycles are absolute and count from 0 at the last reset.
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
Record = np.void  # of dtype MODEL, STATE, CACHE, ROW, TALLY or BLOCK
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
STORE_RING: Final = 16  # stores remembered; a power of two above the queue and hazard depth
MAX_LINES: Final = 4096  # of a cache
MAX_BTAC: Final = 1024
MAX_COUNTERS: Final = 16384
MAX_RETURNS: Final = 64
MAX_QUEUE: Final = 16  # words fetched ahead
MAX_REGIONS: Final = 128  # with those that the MPU makes of them
MAX_FILLS: Final = 8  # line-fill buffers
MAX_MERGING: Final = 8  # store buffer entries that wait to be merged with
DRAIN_RING: Final = 16  # store buffer entries on their way, a power of two
MAX_ART_LINES: Final = 256

MAX_OPERANDS: Final = 36  # VLDM of 32 registers, its base, flags
WRITEBACK: Final = 0xFFFF

_I8 = np.dtype(np.int64)
_U2 = np.dtype(np.uint16)  # unsigned: indexing needs no test for negative


def _fields(*names: str) -> list[tuple[str, np.dtype[np.int64]]]:
    return [(name, _I8) for name in names]


# Lines are stored set by set: entry = set * ways + way.
CACHE: Final = np.dtype(
    [
        ("tag", _I8, MAX_LINES),  # line number, -1: invalid
        ("used", _I8, MAX_LINES),  # when it was touched last, for LRU
        ("dirty", _I8, MAX_LINES),
        *_fields("clock", "accesses", "misses", "write_backs"),
        *_fields("ways", "set_mask", "line_shift", "enabled"),
    ]
)

MODEL: Final = np.dtype(
    [
        ("latency", _I8, (N_LATENCY_ROWS, N_COLUMNS)),  # as waits: cycles and cause
        ("pair", _I8, (N_CLASSES, N_CLASSES)),  # [older, younger]: why not in one cycle, or 0
        ("early_blocked", _I8, (N_CLASSES, N_CLASSES)),  # [class, partner that takes its shifter]
        ("page_region", np.uint8, N_PAGES),
        ("physical", _I8, MAX_REGIONS),  # region of the board, from 1
        ("region_kind", _I8, MAX_REGIONS),
        ("fill_cycles", _I8, MAX_REGIONS),  # of a cache line, to its critical word
        ("beat_cycles", _I8, MAX_REGIONS),  # each further 64 bits
        ("read_cycles", _I8, MAX_REGIONS),  # without a cache
        ("write_cycles", _I8, MAX_REGIONS),  # of 64 bits
        ("slave", _I8, MAX_REGIONS),  # region whose memory it is: aliases share one
        ("slave_cycles", _I8, MAX_REGIONS),  # its own part of the time to the first 64 bits
        ("fill_cause", _I8, MAX_REGIONS),
        ("read_cause", _I8, MAX_REGIONS),
        ("write_back", _I8, MAX_REGIONS),
        ("write_allocate", _I8, MAX_REGIONS),
        *_fields("art_lines", "art_line_shift", "art_prefetch", "art_read_cycles"),
        *_fields("merging_entries"),  # of the store buffer, that may wait to be merged with
        *_fields("store_queue_entries", "subword_store_cycles", "btac_set_mask"),
        *_fields(*Parameters._fields),
    ]
)

STATE: Final = np.dtype(
    [
        # issue
        *_fields(
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
        ("pair_loss", _I8, N_LOSSES),  # times that an instruction stayed alone, by reason
        ("reg_cycle", _I8, N_REGISTERS),  # cycle in which the producer issued
        ("reg_row", _U2, N_REGISTERS),  # its latency row
        ("reg_condition", _I8, N_REGISTERS),  # condition under which it wrote, 14: always
        # fetch
        *_fields(
            "word",  # newest word that arrived or is on its way
            "arrival",  # first cycle in which an instruction ending in it may issue
            "arrival_wait",  # the same as a wait, with its cause
            "line",  # I-cache line looked up last
            "place",  # its place in the queue
            "restart",  # first cycle after the last redirection of the stream
            "restart_cause",
        ),
        ("left", _I8, MAX_QUEUE),  # cycle in which a word of the prefetch queue was used up
        # loads and stores
        *_fields(
            "load_bank",  # bank of the load in the older slot, -1: none
            "load_unaligned",  # the load in the older slot is unaligned
            "refund",  # cycles that the younger of two loads takes off the older one
            "stores",  # issued since reset
            "last_store",  # cycle of the last one
            "drained",  # cycle in which the queue is empty
        ),
        ("store_cycle", _I8, STORE_RING),
        ("store_start", _I8, STORE_RING),
        ("store_end", _I8, STORE_RING),
        ("store_drained", _I8, STORE_RING),
        ("bank_free", _I8, 3),  # even and odd words of DTCM, ITCM: a store may begin
        # branch prediction; entry = set * ways + way
        ("btac_tag", _I8, MAX_BTAC),
        ("btac_target", _I8, MAX_BTAC),
        ("btac_used", _I8, MAX_BTAC),
        ("counter", _I8, MAX_COUNTERS),  # entry << history bits | history
        *_fields("btac_clock", "history", "returns_pushed", "returns_valid"),
        ("returns", _I8, MAX_RETURNS),
        ("icache", CACHE),
        ("dcache", CACHE),
        # memories and the way to them; cycles
        ("bus_free", _I8, MAX_REGIONS),  # by slave: it can begin with the next transfer
        *_fields(
            "fetch_line",  # line of instructions that is or was being filled
            "fetch_first_word",  # its word that comes first
            "fetch_first",  # when that arrives
            "fetch_beat",  # from one word to the next
            "fetch_end",  # when the last arrives
            "data_line",  # D-cache line touched last, -1: none
            "fills_end",  # no line fill for data is going on from here
        ),
        ("fill_line", _I8, MAX_FILLS),
        ("fill_word", _I8, MAX_FILLS),
        ("fill_first", _I8, MAX_FILLS),
        ("fill_beat", _I8, MAX_FILLS),
        ("fill_end", _I8, MAX_FILLS),
        # store buffer: entries that wait to be merged with, then those on their way
        ("merging_word", _I8, MAX_MERGING),
        ("merging_mask", _I8, MAX_MERGING),  # bytes written
        ("merging_region", _I8, MAX_MERGING),
        ("drain_done", _I8, DRAIN_RING),
        *_fields(
            "merging",
            "drains",
            "store_hold",  # cycles for which the last store held the pipeline
            "written_line",  # line that a store missed last
            "written_bytes",  # ... and how much of it has been written
            "full_lines",  # in a row, before it
        ),
        # ART
        ("art_tag", _I8, MAX_ART_LINES),
        ("art_used", _I8, MAX_ART_LINES),
        *_fields(
            "art_clock",
            "art_accesses",
            "art_misses",
            "art_line",  # that instructions were read from last
            "art_ready",  # when it was there
            "prefetch_line",
            "prefetch_ready",
        ),
    ]
)


# A static instruction.
ROW: Final = np.dtype(
    [
        *_fields(
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
        ("stalls", _I8, N_CAUSES),
        *_fields(
            "issued",  # issue cycles: executions that were not the younger of a pair
            "taken",
            "mispredicted",
            "penalty",  # refill cycles after this branch
        ),
    ]
)

BLOCK: Final = np.dtype(_fields("first", "count", "accesses", "address"))


def new_state() -> np.void:
    """Make the state after reset: nothing in flight, predictors and caches cold and disabled."""
    state: np.void = np.zeros(1, STATE)[0]
    clear_memory(state)
    clear_pipeline(state)
    return state


def set_cache(cache: np.void, size_bytes: int, ways: int, line_bytes: int, enabled: bool) -> None:
    """Give an empty cache its geometry."""
    lines = size_bytes // line_bytes
    cache["ways"] = ways
    cache["set_mask"] = max(lines // ways, 1) - 1
    cache["line_shift"] = line_bytes.bit_length() - 1
    cache["enabled"] = int(enabled and lines > 0)


def clear_pipeline(state: np.void) -> None:
    """Empty the pipeline and queues and set the cycle to 0; predictors and caches stay."""
    for name in (
        "merging",
        "drains",
        "written_bytes",
        "full_lines",
        "instructions",
        "older_flags",
        "stores",
        "place",
        "restart_cause",
        "reg_row",
    ):
        state[name] = 0
    for name in (
        "older_klass", "pending", "word", "line", "load_bank", "fetch_line", "data_line",
        "fill_line", "written_line", "art_line", "prefetch_line",
    ):  # fmt: skip
        state[name] = -1
    for name in (
        "pair_cycle", "branch_operand", "mac_cycle", "mac_before", "chained_cycle", "reg_cycle",
        "restart", "left", "last_store", "drained", "store_cycle", "store_drained", "bank_free",
        "bus_free", "fetch_end", "fills_end", "fill_end", "drain_done", "art_ready",
        "prefetch_ready",
    ):  # fmt: skip
        state[name] = NEVER
    state["cycle"] = state["arrival"] = -1  # the first instruction may issue in cycle 0
    state["load_unaligned"] = state["refund"] = 0
    state["arrival_wait"] = NO_WAIT
    state["reg_condition"] = ALWAYS


def clear_memory(state: np.void) -> None:
    """Forget what the caches and predictors learned."""
    for cache in (state["icache"], state["dcache"]):
        cache["tag"] = -1
        cache["used"] = cache["dirty"] = cache["clock"] = 0
    state["art_tag"] = -1
    state["art_used"] = state["art_clock"] = 0
    state["btac_tag"] = -1
    for name in ("btac_target", "btac_used", "counter", "btac_clock", "history"):
        state[name] = 0
    state["returns_pushed"] = state["returns_valid"] = 0
