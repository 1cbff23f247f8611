"""Core table and board turned into the numbers that the kernels take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from m7sim.core import Column, CoreTable
from m7sim.errors import TableError
from m7sim.isa.classes import CLASSES
from m7sim.timing.causes import StallCause
from m7sim.timing.memory import (
    DRAIN_RING,
    MAX_ART_LINES,
    MAX_BTAC,
    MAX_COUNTERS,
    MAX_FILLS,
    MAX_LINES,
    MAX_MERGING,
    MAX_RETURNS,
    STORE_RING,
    new_memory,
    set_cache,
)
from m7sim.timing.state import (
    CAUSE_BITS,
    CAUSE_MASK,
    I64,
    MAX_QUEUE,
    MAX_REGIONS,
    MODEL,
    N_CLASSES,
    N_COLUMNS,
    N_LATENCY_ROWS,
    WRITEBACK_ROW,
)

if TYPE_CHECKING:
    from m7sim.board import Board

_CAUSE_OF_PREFIX: Final = (
    ("load_", StallCause.LOAD_USE),
    ("store_exclusive", StallCause.LOAD_USE),
    ("mul", StallCause.MULTIPLY_RESULT),
    ("mla", StallCause.MULTIPLY_RESULT),
    ("divide", StallCause.DIVIDE),
    ("satur", StallCause.SATURATE_RESULT),
    ("usad", StallCause.SATURATE_RESULT),
    ("fp_load", StallCause.LOAD_USE),
    ("fp_", StallCause.FP_RESULT),
)


def result_cause(klass: str) -> StallCause:
    """Cause of the wait for a result of this class."""
    for prefix, cause in _CAUSE_OF_PREFIX:
        if klass.startswith(prefix):
            return cause
    return StallCause.ALU_RESULT


def _latencies(core: CoreTable) -> I64:
    """Build the latency rows: cycles and the cause of waiting for them."""
    latency = np.zeros((N_LATENCY_ROWS, N_COLUMNS), np.int64)
    cause = np.zeros((N_LATENCY_ROWS, N_COLUMNS), np.int64)
    n = len(Column)
    latency[:N_CLASSES, :n] = core.latency
    latency[N_CLASSES:WRITEBACK_ROW, :n] = core.latency_early
    latency[WRITEBACK_ROW, :n] = core.writeback_latency
    latency[:, n] = latency[:, Column.EARLY]
    # an ADD, SUB or MOV cannot take a base written back in the cycle before into its early ALU
    latency[WRITEBACK_ROW, n] += core.parameters.writeback_early_add_cycles
    for k, klass in enumerate(CLASSES):
        cause[[k, N_CLASSES + k]] = result_cause(klass)
    cause[WRITEBACK_ROW] = StallCause.WRITEBACK_RESULT
    address = cause[:, [Column.BASE, Column.INDEX]]
    address[address == StallCause.ALU_RESULT] = StallCause.ADDRESS
    cause[:, [Column.BASE, Column.INDEX]] = address
    cause[:, Column.FLAGS] = StallCause.FLAGS
    # combinations that no instruction forms (an FP column of a core result) wait for nothing
    return (np.maximum(latency, 0) << CAUSE_BITS) + CAUSE_MASK - cause


def _fits(value: int, low: int, high: int, name: str) -> None:
    if not low <= value <= high:
        raise TableError(f"{value} is not between {low} and {high}", where=name)


def _check(core: CoreTable, board: Board) -> None:
    """Refuse what the walk cannot represent."""
    p = core.parameters
    if p.issue_width != 2 or p.fetch_bytes_per_cycle != 8:
        raise TableError(
            "the pipeline walk models two instructions and 8 fetched bytes a cycle",
            where="issue_width, fetch_bytes_per_cycle",
            do="Other values need another walk.",
        )
    _fits(p.unaligned_store_buffer_entries, 2, STORE_RING, "unaligned_store_buffer_entries")
    _fits(p.fetch_queue_entries, 1, MAX_QUEUE, "fetch_queue_entries")
    _fits(p.btac_ways, 1, MAX_BTAC, "btac_ways")
    _fits(p.btac_entries, p.btac_ways, MAX_BTAC, "btac_entries")
    sets = p.btac_entries // p.btac_ways
    if sets & (sets - 1):
        raise TableError(f"{sets} sets are not a power of two", where="btac_entries, btac_ways")
    _fits(p.btac_entries << p.predictor_history_bits, 1, MAX_COUNTERS, "predictor_history_bits")
    _fits(p.return_stack_entries, 0, MAX_RETURNS, "return_stack_entries")
    _fits(p.linefill_buffers, 1, MAX_FILLS, "linefill_buffers")
    _fits(p.store_buffer_entries, 2, min(MAX_MERGING, DRAIN_RING) - 1, "store_buffer_entries")
    if board.art is not None:
        _fits(board.art.lines, 1, MAX_ART_LINES, f"{board.name}: ART lines")
    _fits(len(board.regions), 1, MAX_REGIONS - 1, f"{board.name}: number of regions")
    for name, cache in (("icache", board.icache), ("dcache", board.dcache)):
        _fits(cache.size_bytes // cache.line_bytes, 0, MAX_LINES, f"{board.name}: {name} lines")


def build_model(core: CoreTable, board: Board) -> np.void:
    """Compile a core and a board into a record of dtype ``MODEL``; `MemoryMap` adds the memories.

    Raises
    ------
    TableError
        If a value does not fit what the walk can represent.
    """
    _check(core, board)
    p = core.parameters
    m: np.void = np.zeros(1, MODEL)[0]
    for name, value in p._asdict().items():
        m[name] = value
    m["latency"] = _latencies(core)
    m["longest_latency"] = (m["latency"] >> CAUSE_BITS).max(axis=1)
    m["pair"], m["early_blocked"] = core.pair, core.early_blocked
    # one store is on its way into the memory while the queue holds the others
    m["store_queue_entries"] = p.unaligned_store_buffer_entries - 1
    rmw = p.subword_store_rmw or board.ram_ecc
    m["subword_store_cycles"] = p.subword_store_same_bank_cycles if rmw else 1
    m["btac_set_mask"] = p.btac_entries // p.btac_ways - 1
    m["merging_entries"] = p.store_buffer_waiting_entries
    if board.art is not None:
        m["art_lines"] = board.art.lines
        m["art_line_shift"] = board.art.line_bytes.bit_length() - 1
        m["art_prefetch"] = board.art.prefetch
    m["art_read_cycles"] = board.flash_wait_states + 1
    return m


def build_memory(board: Board) -> np.void:
    """Make what lies beyond the pipeline, cold, on a board: a record of dtype ``MEMORY``."""
    memory = new_memory()
    for name, cache in (("icache", board.icache), ("dcache", board.dcache)):
        set_cache(memory[name], cache.size_bytes, cache.ways, cache.line_bytes, cache.enabled)
    return memory
