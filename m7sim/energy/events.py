"""What happened in a run that draws charge, counted per instruction of the code.

The timing result has cycles, stalls by cause and cache counts; where it does not say which memory
an access went to, the counts here are derived: what a stalled row waited for is divided by what one
such wait costs, and misses are shared out by the waits they caused. Sums over rows are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board, Region
from m7sim.isa.classes import CLASSES
from m7sim.isa.code import LOAD, STORE, CodeArrays
from m7sim.timing.causes import StallCause
from m7sim.timing.result import Timing

F64 = NDArray[np.float64]

WORD_BYTES: Final = 8  # of instruction supply, TCM and cache accesses
SRAM_BEAT_BYTES: Final = 4
FLASH_LINE_BYTES: Final = 32


class Event(IntEnum):
    """What draws charge; ``meaning`` says it in a few words, tables use the lower-case names.

    ``AWAKE`` is what a stall cycle costs on top of the clock. ``MULTIPLY`` (SIMD ones included),
    ``DSP`` (parallel, packing, extending with addition, saturating) and ``FLOAT`` come on top of
    ``INSTRUCTION``.
    """

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Event:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    CLOCK = 0, "A cycle, also in Sleep: the clock tree."
    AWAKE = 1, "A cycle awake: an idle issue slot."
    INSTRUCTION = 2, "An instruction issued."
    MULTIPLY = 3, "A multiply(-accumulate), on top."
    DSP = 4, "A packed or saturating one, on top."
    FLOAT = 5, "A floating-point one, on top."
    TCM_ACCESS = 6, "Up to 64 bits in a TCM, code or data."
    CACHE_ACCESS = 7, "Up to 64 bits in an L1 cache."
    ART_ACCESS = 8, "64 bits of code from ART."
    BUS_BEAT = 9, "64 bits of flash or 32 of SRAM on AXI."
    FLASH_LINE = 10, "A read of the flash, 256 bits."
    FLASH_STREAM = 11, "A cycle of waiting for it, ART off."

    @property
    def key(self) -> str:
        return self.name.lower()


N_EVENTS: Final = len(Event)

_MULTIPLY: Final = ("mul", "mla", "mul_long", "mla_long", "usad8", "usada8")
_DSP: Final = (
    "extend_add", "pack", "parallel_add", "select", "saturating_add", "saturating_double",
    "saturate", "extend",
)  # fmt: skip


def _extra(klass: str) -> Event | None:
    if klass in _MULTIPLY:
        return Event.MULTIPLY
    if klass in _DSP:
        return Event.DSP
    moves = ("fp_load", "fp_store", "fp_flags", "fp_status")
    return Event.FLOAT if klass.startswith("fp_") and not klass.startswith(moves) else None


_EXTRA: Final = tuple(_extra(klass) for klass in CLASSES)


@dataclass(frozen=True, slots=True)
class Events:
    """Counts per row of ``Code``.

    Attributes
    ----------
    cycles
        int64[row]
    counts
        float64[row, Event]; fractions come from sharing out.
    klass
        int16[row], index into `CLASSES`.
    """

    cycles: NDArray[np.int64]
    counts: F64
    klass: NDArray[np.int16]

    @property
    def total_cycles(self) -> int:
        return int(self.cycles.sum())

    @property
    def totals(self) -> F64:
        """Sums over the rows, float64[Event]."""
        total: F64 = self.counts.sum(axis=0)
        return total

    @property
    def rates(self) -> F64:
        """Events per cycle, float64[Event]."""
        return self.totals / max(self.total_cycles, 1)


def count_events(timing: Timing, code: CodeArrays, board: Board) -> Events:
    """Count what a run did.

    Parameters
    ----------
    timing
        Of the run.
    code
        Columns of the code it executed; it may have grown since.
    board
        The memory map, at the wait states of the run.
    """
    n = len(timing.executions)
    counts = np.zeros((n, N_EVENTS))
    executions = timing.executions.astype(np.float64)
    klass = code.klass[:n]
    cycles = timing.row_cycles
    counts[:, Event.CLOCK] = counts[:, Event.AWAKE] = cycles
    counts[:, Event.INSTRUCTION] = executions
    for k in np.unique(klass).tolist():
        extra = _EXTRA[k]
        if extra is not None:
            rows = klass == k
            counts[rows, extra] += executions[rows]
    places = _places(code.address[:n], board)
    _instruction_supply(counts, timing, code, places, board)
    _data(counts, timing, code, places, board)
    return Events(cycles, counts, klass)


def _places(addresses: NDArray[np.uint32], board: Board) -> list[tuple[Region | None, F64]]:
    """Return each region that holds code, with 1.0 for the rows that lie in it."""
    starts = np.array([region.start for region in board.regions], np.int64)
    at = np.searchsorted(starts, addresses.astype(np.int64), side="right") - 1
    return [
        (board.regions[k] if k >= 0 else None, (at == k).astype(np.float64))
        for k in np.unique(at).tolist()
    ]


def _instruction_supply(
    counts: F64,
    timing: Timing,
    code: CodeArrays,
    places: list[tuple[Region | None, F64]],
    board: Board,
) -> None:
    n = len(counts)
    words = timing.executions * code.size_bytes[:n] / WORD_BYTES
    stalls = timing.row_stalls
    art_on = board.art is not None and board.art.enabled
    cached = np.zeros(n)
    for region, here in places:
        if region is None:
            continue
        waited = stalls[:, StallCause.FETCH_UNCACHED] * here
        # a word holds several instructions, of which one waits: so not capped row by row
        outside = waited / max(region.read_latency_cycles, 1)
        if region.tcm:
            counts[:, Event.TCM_ACCESS] += words * here
        elif region.kind == "flash_itcm" and art_on:
            counts[:, Event.ART_ACCESS] += words * here
            lines = _share(timing.art.misses, stalls[:, StallCause.ART_MISS] * here, words * here)
            counts[:, Event.FLASH_LINE] += lines
        elif region.kind == "flash_itcm":
            counts[:, Event.FLASH_LINE] += outside
            counts[:, Event.FLASH_STREAM] += waited
        else:
            if board.icache.enabled:
                counts[:, Event.CACHE_ACCESS] += np.maximum(words * here - outside, 0.0)
            _outside(counts, region, outside, WORD_BYTES)
            cached += here
    refill = stalls[:, StallCause.ICACHE_REFILL] * cached
    lines = _share(timing.icache.misses, refill, words * cached)
    for region, here in places:
        if region is not None:
            _outside(counts, region, lines * here, board.icache.line_bytes)


def _outside(counts: F64, region: Region, reads: F64, n_bytes: int) -> None:
    """Book reads of ``n_bytes`` each from a memory behind the bus."""
    if region.kind in ("flash", "flash_itcm"):
        counts[:, Event.FLASH_LINE] += reads
        counts[:, Event.BUS_BEAT] += reads * -(-n_bytes // WORD_BYTES)
    else:
        counts[:, Event.BUS_BEAT] += reads * -(-n_bytes // SRAM_BEAT_BYTES)


def _share(total: int, weight: F64, fallback: F64) -> F64:
    """Share ``total`` out by ``weight``, or by ``fallback`` when that is nothing."""
    for by in (weight, fallback):
        if by.sum() > 0:
            shared: F64 = total * by / by.sum()
            return shared
    return np.zeros(len(weight))


def _data(
    counts: F64,
    timing: Timing,
    code: CodeArrays,
    places: list[tuple[Region | None, F64]],
    board: Board,
) -> None:
    n = len(counts)
    stalls = timing.row_stalls
    n_bytes = code.mem_unit_bytes[:n].astype(np.int64) * code.mem_count[:n]
    accesses = timing.executions * -(-n_bytes // WORD_BYTES)
    outside = np.zeros(n)
    literal = code.mem_literal[:n].astype(np.float64)
    for region, here in places:  # constants lie where the code lies
        if region is None or region.tcm or not region.read_latency_cycles:
            continue
        waits = stalls[:, StallCause.DATA_UNCACHED] * literal * here
        reads = np.minimum(accesses, waits / region.read_latency_cycles)
        _outside(counts, region, reads, WORD_BYTES)
        outside += reads
    loads = accesses * (code.mem_kind[:n] == LOAD) * (1 - literal)
    stores = accesses * (code.mem_kind[:n] == STORE)
    for cause, kinds in (
        (StallCause.DATA_UNCACHED, ("sram", "external")),
        (StallCause.PERIPHERAL, ("peripheral", "core")),
    ):
        region = next((r for kind in kinds for r in board.regions if r.kind == kind), None)
        if region is not None:
            waits = stalls[:, cause] * (1 - literal)
            reads = np.minimum(accesses, waits / max(region.read_latency_cycles, 1))
            # stores do not wait: as many of them go to the bus as of the loads
            written = stores * (reads.sum() / loads.sum()) if loads.sum() else 0 * stores
            _outside(counts, region, reads + written, SRAM_BEAT_BYTES)
            outside += reads + written
    near = np.maximum(accesses - outside, 0.0)
    total = near.sum()
    cached = near * min(1.0, timing.dcache.accesses / total) if total else near
    counts[:, Event.CACHE_ACCESS] += cached
    counts[:, Event.TCM_ACCESS] += near - cached
    _data_lines(counts, timing, code, cached, board)


def _data_lines(counts: F64, timing: Timing, code: CodeArrays, cached: F64, board: Board) -> None:
    """Book lines that entered or left the D-cache, by the memory that was waited for."""
    line = board.dcache.line_bytes
    by_memory: list[tuple[Region, F64]] = []
    for cause, kind in (
        (StallCause.DCACHE_FLASH, "flash"),
        (StallCause.DCACHE_SRAM, "sram"),
        (StallCause.DCACHE_EXTERNAL, "external"),
    ):
        region = next((r for r in board.regions if r.kind == kind), None)
        if region is not None:
            waited = timing.row_stalls[:, cause] / max(region.line_fill_cycles, 1)
            by_memory.append((region, waited))
    if not by_memory:
        return
    total = sum(float(waited.sum()) for _, waited in by_memory)
    if total:
        for region, waited in by_memory:
            _outside(counts, region, timing.dcache.misses * waited / total, line)
    else:  # stores bring lines in without waiting
        sram = next((r for r, _ in by_memory if r.kind == "sram"), by_memory[0][0])
        _outside(counts, sram, _share(timing.dcache.misses, cached, cached), line)
    stores = cached * (code.mem_kind[: len(counts)] == STORE)
    written = _share(timing.dcache.write_backs, stores, cached)
    counts[:, Event.BUS_BEAT] += written * (line // SRAM_BEAT_BYTES)
