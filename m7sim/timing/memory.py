"""What the walk knows beyond the pipeline: predictors, caches, queues, buses.

All of it depends on the order of branches and accesses, and on absolute cycles; the pipeline learns
of it only what the functions of `ports` answer.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from m7sim.timing.state import I8, MAX_REGIONS, NEVER, fields

# --- capacities of the record -----------------------------------------------------------------
STORE_RING: Final = 16  # stores remembered; a power of two above the queue and hazard depth
MAX_LINES: Final = 4096  # of a cache
MAX_BTAC: Final = 1024
MAX_COUNTERS: Final = 16384
MAX_RETURNS: Final = 64
MAX_FILLS: Final = 8  # line-fill buffers
MAX_MERGING: Final = 8  # store buffer entries that wait to be merged with
DRAIN_RING: Final = 16  # store buffer entries on their way, a power of two
MAX_ART_LINES: Final = 256

# Lines are stored set by set: entry = set * ways + way.
CACHE: Final = np.dtype(
    [
        ("tag", I8, MAX_LINES),  # line number, -1: invalid
        ("used", I8, MAX_LINES),  # when it was touched last, for LRU
        ("dirty", I8, MAX_LINES),
        *fields("clock", "accesses", "misses", "write_backs"),
        *fields("ways", "set_mask", "line_shift", "enabled"),
    ]
)

MEMORY: Final = np.dtype(
    [
        # stores to the TCMs and caches
        *fields(
            "stores",  # issued since reset
            "last_store",  # cycle of the last one
            "drained",  # cycle in which the queue is empty
        ),
        ("store_cycle", I8, STORE_RING),
        ("store_start", I8, STORE_RING),
        ("store_end", I8, STORE_RING),
        ("store_drained", I8, STORE_RING),
        ("bank_free", I8, 3),  # even and odd words of DTCM, ITCM: a store may begin
        # branch prediction; entry = set * ways + way
        ("btac_tag", I8, MAX_BTAC),
        ("btac_target", I8, MAX_BTAC),
        ("btac_used", I8, MAX_BTAC),
        ("counter", I8, MAX_COUNTERS),  # entry << history bits | history
        *fields("btac_clock", "history", "returns_pushed", "returns_valid"),
        ("returns", I8, MAX_RETURNS),
        ("icache", CACHE),
        ("dcache", CACHE),
        # memories and the way to them; cycles
        ("bus_free", I8, MAX_REGIONS),  # by slave: it can begin with the next transfer
        *fields(
            "data_line",  # D-cache line touched last, -1: none
            "fills_end",  # no line fill for data is going on from here
        ),
        ("fill_line", I8, MAX_FILLS),
        ("fill_word", I8, MAX_FILLS),
        ("fill_first", I8, MAX_FILLS),
        ("fill_beat", I8, MAX_FILLS),
        ("fill_end", I8, MAX_FILLS),
        # store buffer: entries that wait to be merged with, then those on their way
        ("merging_word", I8, MAX_MERGING),
        ("merging_mask", I8, MAX_MERGING),  # bytes written
        ("merging_region", I8, MAX_MERGING),
        ("drain_done", I8, DRAIN_RING),
        *fields(
            "merging",
            "drains",
            "store_hold",  # cycles for which the last store held the pipeline
            "written_line",  # line that a store missed last
            "written_bytes",  # ... and how much of it has been written
            "full_lines",  # in a row, before it
        ),
        # ART
        ("art_tag", I8, MAX_ART_LINES),
        ("art_used", I8, MAX_ART_LINES),
        *fields(
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


def new_memory() -> np.void:
    """Make the record after reset: predictors and caches cold and disabled, queues empty."""
    memory: np.void = np.zeros(1, MEMORY)[0]
    forget(memory)
    clear_queues(memory)
    return memory


def set_cache(cache: np.void, size_bytes: int, ways: int, line_bytes: int, enabled: bool) -> None:
    """Give an empty cache its geometry."""
    lines = size_bytes // line_bytes
    cache["ways"] = ways
    cache["set_mask"] = max(lines // ways, 1) - 1
    cache["line_shift"] = line_bytes.bit_length() - 1
    cache["enabled"] = int(enabled and lines > 0)


def clear_queues(memory: np.void) -> None:
    """Empty queues and buffers, as of cycle 0; predictors and caches stay."""
    for name in ("merging", "drains", "written_bytes", "full_lines", "stores"):
        memory[name] = 0
    for name in ("data_line", "fill_line", "written_line", "art_line", "prefetch_line"):
        memory[name] = -1
    for name in (
        "last_store", "drained", "store_cycle", "store_drained", "bank_free", "bus_free",
        "fills_end", "fill_end", "drain_done", "art_ready", "prefetch_ready",
    ):  # fmt: skip
        memory[name] = NEVER


def forget(memory: np.void) -> None:
    """Forget what the caches and predictors learned."""
    for cache in (memory["icache"], memory["dcache"]):
        cache["tag"] = -1
        cache["used"] = cache["dirty"] = cache["clock"] = 0
    memory["art_tag"] = -1
    memory["art_used"] = memory["art_clock"] = 0
    memory["btac_tag"] = -1
    for name in ("btac_target", "btac_used", "counter", "btac_clock", "history"):
        memory[name] = 0
    memory["returns_pushed"] = memory["returns_valid"] = 0
