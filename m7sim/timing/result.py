"""What the timing of a run amounts to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m7sim.timing.causes import StallCause

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Accesses to one cache; a dual-issued pair makes two, a wide transfer one per line."""

    accesses: int
    misses: int
    write_backs: int

    @property
    def hits(self) -> int:
        return self.accesses - self.misses


@dataclass(frozen=True, slots=True)
class BranchCounts:
    """Branches by static instruction (row of ``Code``); rows that are no branch hold zeros."""

    executed: I64
    taken: I64
    mispredicted: I64  # direction or target
    penalty_cycles: I64  # refill time that followed; charged as stalls to what came after

    @property
    def misprediction_rate(self) -> float:
        executed = int(self.executed.sum())
        return int(self.mispredicted.sum()) / executed if executed else 0.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Cycles of everything fed to a ``Timer`` since it was made or its counts were cleared.

    ``cycles == issue_cycles + sum(stalls.values())``, and the same for every row:
    ``row_cycles == row_issue_cycles + row_stalls.sum(axis=1)``.
    """

    cycles: int
    issue_cycles: int
    instructions: int
    dual_issued: int  # instructions issued as the younger of a pair: they cost no issue cycle
    stalls: dict[StallCause, int]
    pair_losses: dict[str, int]  # reason -> times an older instruction stayed alone for it
    executions: I64  # [row]
    row_issue_cycles: I64  # [row]
    row_stalls: I64  # [row, cause]
    branches: BranchCounts
    icache: CacheCounts
    dcache: CacheCounts
    art: CacheCounts  # lines asked of the flash accelerator; a line read ahead in time is a hit

    @property
    def row_cycles(self) -> I64:
        total: I64 = self.row_issue_cycles + self.row_stalls.sum(axis=1)
        return total

    @property
    def ipc(self) -> float:
        return self.instructions / self.cycles if self.cycles else 0.0
