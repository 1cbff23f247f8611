"""Which memory a page belongs to and how accesses to it behave; the MPU may change the latter.

Attributes are kept by page of 4 KiB: a page has those of its first byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from m7sim.errors import TableError
from m7sim.timing.causes import StallCause
from m7sim.timing.state import (
    ACCELERATED,
    CACHED,
    DEVICE,
    MAX_REGIONS,
    PAGE_SHIFT,
    TCM,
    UNCACHED,
    Record,
)

if TYPE_CHECKING:
    from m7sim.board import Board, Region

_DATA_CAUSES: Final = {  # by kind of region: a load that misses, a load without cache
    "flash": (StallCause.DCACHE_FLASH, StallCause.DATA_UNCACHED),
    "flash_itcm": (StallCause.DCACHE_FLASH, StallCause.DATA_UNCACHED),
    "sram": (StallCause.DCACHE_SRAM, StallCause.DATA_UNCACHED),
    "external": (StallCause.DCACHE_EXTERNAL, StallCause.DATA_UNCACHED),
    "peripheral": (StallCause.PERIPHERAL, StallCause.PERIPHERAL),
    "system": (StallCause.PERIPHERAL, StallCause.PERIPHERAL),
    "core": (StallCause.PERIPHERAL, StallCause.PERIPHERAL),
}
_DEVICE_KINDS: Final = ("peripheral", "system", "core")


class Attributes(NamedTuple):
    """How accesses behave: a kind of ``state``, and what a cached store does."""

    kind: int
    write_back: bool = False
    write_allocate: bool = False


_POLICIES: Final = {
    "none": Attributes(UNCACHED),
    "wt": Attributes(CACHED),
    "wbwa": Attributes(CACHED, True, True),
}
# Inner policy of Normal memory: two bits of the region's C and B, or of its TEX (Armv7-M B3.5).
_NORMAL: Final = (
    Attributes(UNCACHED),
    Attributes(CACHED, True, True),
    Attributes(CACHED),
    Attributes(CACHED, True, False),
)

_MPU_ENABLE: Final = 1
_REGION_ENABLE: Final = 1
_SHAREABLE: Final = 1 << 18


def decode_attributes(rasr: int) -> Attributes:
    """Return what an MPU region's attribute and size register makes of memory.

    Shareable Normal memory is not cached (Cortex-M7 TRM 5.3, unless CACR.SIWT is set).
    """
    tex, c, b = rasr >> 19 & 7, rasr >> 17 & 1, rasr >> 16 & 1
    if tex & 4:
        found = _NORMAL[c << 1 | b]
    elif tex == 0:
        found = (
            (Attributes(DEVICE), Attributes(DEVICE)),
            (Attributes(CACHED), Attributes(CACHED, True, False)),
        )[c][b]
    elif tex == 1:
        found = Attributes(CACHED, True, True) if c and b else Attributes(UNCACHED)
    else:
        found = Attributes(DEVICE)
    if found.kind == CACHED and rasr & _SHAREABLE:
        return Attributes(UNCACHED)
    return found


class MemoryMap:
    """The part of the model that says what lies where; changes it in place.

    Parameters
    ----------
    model
        Record of dtype ``MODEL``.
    board
        Its regions.
    """

    def __init__(self, model: Record, board: Board) -> None:
        self._m, self._board = model, board
        self._places: dict[tuple[int, Attributes], int] = {}
        self._count = 0
        names = {region.name: k for k, region in enumerate(board.regions, 1)}
        for k, region in enumerate(board.regions, 1):
            slave = names[region.alias_of] if region.alias_of else k
            self._add(region, slave, _default(region, board))
        self._pages()
        self._default_pages = model["page_region"].copy()
        self._programmed = False

    def reset(self) -> None:
        """Return to the default memory map."""
        self.program(0, ())

    def program(self, control: int, regions: Sequence[tuple[int, int]]) -> None:
        """Apply what the firmware has written to the MPU.

        Parameters
        ----------
        control
            MPU_CTRL.
        regions
            MPU_RBAR and MPU_RASR of each region, in ascending order of their numbers: of
            overlapping regions the last one counts.
        """
        pages = self._m["page_region"]
        if self._programmed:
            pages[:] = self._default_pages
        self._programmed = bool(control & _MPU_ENABLE)
        if not self._programmed:
            return
        for rbar, rasr in regions:
            if rasr & _REGION_ENABLE:
                attributes = decode_attributes(rasr)
                for first, last in _page_ranges(rbar, rasr):
                    self._repaint(pages[first:last], attributes)

    def _repaint(self, pages: Record, attributes: Attributes) -> None:
        for k in np.unique(pages).tolist():
            physical = int(self._m["physical"][k])
            if physical == 0 or self._m["region_kind"][physical] in (TCM, ACCELERATED):
                continue  # a TCM is Normal memory without cache whatever the MPU says
            region = self._board.regions[physical - 1]
            if region.kind == "core":
                continue
            place = self._places.get((physical, attributes))
            if place is None:
                slave = int(self._m["slave"][physical])
                place = self._add(region, slave, attributes, physical)
            pages[pages == k] = place

    def _pages(self) -> None:
        for k, region in enumerate(self._board.regions, 1):
            first = region.start >> PAGE_SHIFT
            last = (region.start + region.size_bytes - 1) >> PAGE_SHIFT
            self._m["page_region"][first : last + 1] = k

    def _add(
        self, region: Region, slave: int, attributes: Attributes, physical: int | None = None
    ) -> int:
        self._count += 1
        k = self._count
        if k >= MAX_REGIONS:
            raise TableError(f"more than {MAX_REGIONS - 1} kinds of memory", where=self._board.name)
        m = self._m
        m["physical"][k] = physical or k
        m["region_kind"][k] = attributes.kind
        m["write_back"][k] = attributes.write_back
        m["write_allocate"][k] = attributes.write_allocate
        m["slave"][k] = slave
        # memory that is not cached by default has no line fill of its own
        m["fill_cycles"][k] = region.line_fill_cycles or region.read_latency_cycles
        m["beat_cycles"][k] = region.beat_cycles
        m["read_cycles"][k] = region.read_latency_cycles
        m["write_cycles"][k] = region.write_latency_cycles
        m["slave_cycles"][k] = region.beat_cycles
        if region.kind in ("flash", "flash_itcm"):
            m["slave_cycles"][k] = self._board.flash_wait_states + 1
        m["fetch_reach_cycles"] = max(int(m["fetch_reach_cycles"]), self._reach(k))
        causes = _DATA_CAUSES.get(region.kind, _DATA_CAUSES["external"])
        m["fill_cause"][k], m["read_cause"][k] = causes
        self._places[physical or k, attributes] = k
        return k

    def _reach(self, k: int) -> int:
        """Cycles in which misses of a queue full of words from region ``k`` are surely over."""
        m = self._m
        words = self._board.icache.line_bytes // 8
        lead = max(int(m["fill_cycles"][k]), int(m["read_cycles"][k]), int(m["slave_cycles"][k]))
        miss = 2 * lead + words * int(m["beat_cycles"][k]) + 2 * int(m["art_read_cycles"])
        return (int(m["fetch_queue_entries"]) + 2) * (miss + 1)


def _default(region: Region, board: Board) -> Attributes:
    if region.tcm:
        return Attributes(TCM)
    if region.kind in _DEVICE_KINDS:
        return Attributes(DEVICE)
    if region.kind == "flash_itcm" and board.art is not None and board.art.enabled:
        return Attributes(ACCELERATED)
    if not region.cacheable:
        external = region.kind == "external" and region.start >= 0xA000_0000
        return Attributes(DEVICE) if external else Attributes(UNCACHED)
    return _POLICIES[region.write_policy]


def _page_ranges(rbar: int, rasr: int) -> list[tuple[int, int]]:
    """Pages whose first byte lies in an MPU region, without its disabled eighths."""
    size = 2 << (rasr >> 1 & 31)
    base = rbar & ~(size - 1) & 0xFFFF_FFE0
    disabled = rasr >> 8 & 0xFF if size >= 256 else 0
    eighth = size // 8
    ranges = []
    for k in range(8):
        if not disabled >> k & 1:
            start, end = base + k * eighth, base + (k + 1) * eighth
            ranges.append((-(-start >> PAGE_SHIFT), -(-end >> PAGE_SHIFT)))
    return ranges
