"""Cycles lost to memory, by object and cause.

What is lost to a data access is charged to the instruction of that access, and every variant of a
block (`tracing`) has instructions of its own: so the object is known exactly, not shared out. What
is lost while instruction bytes come is charged to the object that holds the instruction. Three
things to know when reading the figures:

* A store that finds the store buffer or queue full is charged, not those that filled it.
* A load that waits for a line that another one asked for is charged its wait.
* Two loads from one bank that do not share a cycle cost no stall but an issue cycle; how often that
  happens is only known for the whole run (``statistics["bank_conflicts"]``).

A block with more than `MOST_VARIANTS` combinations of objects has the rest counted for the most
similar one; `Recording.similar` says how often that happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.memmap.layout import Layout
from m7sim.memmap.moved import Rows
from m7sim.memmap.objects import MemoryObject
from m7sim.memmap.recording import Recording
from m7sim.timing.causes import N_CAUSES, StallCause
from m7sim.timing.result import Timing

I64 = NDArray[np.int64]

FETCH_CAUSES: Final = (
    StallCause.FETCH, StallCause.ICACHE_REFILL, StallCause.FETCH_UNCACHED, StallCause.ART_MISS,
)  # fmt: skip
DATA_CAUSES: Final = (
    StallCause.STORE_TO_LOAD, StallCause.STORE_QUEUE, StallCause.STORE_BUFFER,
    StallCause.DCACHE_FLASH, StallCause.DCACHE_SRAM, StallCause.DCACHE_EXTERNAL,
    StallCause.DATA_UNCACHED, StallCause.PERIPHERAL,
)  # fmt: skip
MEMORY_CAUSES: Final = FETCH_CAUSES + DATA_CAUSES
VENEERS: Final = "veneers"


class Ledger:
    """What is static about the books of a recording: which object each row belongs to."""

    def __init__(self, recording: Recording, rows: Rows, objects: Sequence[MemoryObject]) -> None:
        self.objects = tuple(objects)
        self._recording = recording
        self._holder = recording.spans.owner[rows.row_span].astype(np.int64)
        # what an access goes to; an instruction without one, or whose access never happened,
        # cannot wait for data
        self._reached = self._holder.copy()
        memory = np.flatnonzero(rows.arrays.mem_kind != 0)
        owners = recording.owners
        known = owners >= 0
        self._reached[memory[known]] = owners[known]
        self._row_bytes = rows.arrays.size_bytes.astype(np.int64)

    def stalls(self, timing: Timing) -> I64:
        """Return cycles lost to memory: int64[object + 1, cause]; the last row is the veneers'."""
        n = len(self.objects)
        lost = np.zeros((n + 1, N_CAUSES), np.int64)
        rows = len(timing.row_stalls)
        fetch, data = list(map(int, FETCH_CAUSES)), list(map(int, DATA_CAUSES))
        for columns, owner in ((fetch, self._holder), (data, self._reached)):
            of = np.full(rows, n, np.int64)
            of[: len(owner)] = owner
            part = np.zeros_like(lost)
            np.add.at(part, of, timing.row_stalls)
            lost[:, columns] = part[:, columns]
        return lost

    def fetches(self, timing: Timing) -> I64:
        """Return instructions executed from each object and their bytes: int64[object, 2]."""
        found = np.zeros((len(self.objects), 2), np.int64)
        executions = timing.executions[: len(self._holder)]
        np.add.at(found[:, 0], self._holder, executions)
        np.add.at(found[:, 1], self._holder, executions * self._row_bytes)
        return found

    def fill(self, timing: Timing, layout: Layout) -> tuple[MemoryObject, ...]:
        """Return the objects with their figures under a map, and the veneers if there are any.

        Objects without contents that were never accessed are left out.
        """
        lost, fetched, counts = self.stalls(timing), self.fetches(timing), self._recording.counts
        filled = []
        for k, each in enumerate(self.objects):
            used = bool(fetched[k, 0] or counts[k].any())
            if each.kind == "other" and not used:
                continue
            region = layout.regions.get(each.name, each.region)
            filled.append(
                replace(
                    each, address=layout.addresses.get(each.name, each.address), region=region,
                    fetches=int(fetched[k, 0]), fetched_bytes=int(fetched[k, 1]),
                    loads=int(counts[k, 0]), loaded_bytes=int(counts[k, 1]),
                    stores=int(counts[k, 2]), stored_bytes=int(counts[k, 3]),
                    stalls=_named(lost[k]),
                )
            )  # fmt: skip
        if len(timing.executions) > len(self._holder):
            executed = int(timing.executions[len(self._holder) :].sum())
            filled.append(
                MemoryObject(
                    VENEERS, "code", "", min(layout.veneer_addresses.values()), 0, 8, "",
                    fetches=executed, fetched_bytes=4 * executed, loads=executed,
                    loaded_bytes=4 * executed, stalls=_named(lost[-1]),
                )
            )  # fmt: skip
        return tuple(sorted(filled, key=lambda o: (-o.stall_cycles, -o.accesses, o.address)))


def memory_stalls(timing: Timing) -> dict[str, int]:
    """Return the stalls of a run that are lost to memory, by cause."""
    found = {cause.name.lower(): timing.stalls.get(cause, 0) for cause in MEMORY_CAUSES}
    return {name: cycles for name, cycles in found.items() if cycles}


def _named(lost: NDArray[np.int64]) -> dict[str, int]:
    found = {cause.name.lower(): int(lost[cause]) for cause in MEMORY_CAUSES if lost[cause]}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
