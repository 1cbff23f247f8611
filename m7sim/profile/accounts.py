"""From chunks of a run to its figures: timing and attribution, live and on replay alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.energy import EnergyModel
from m7sim.isa.code import Code
from m7sim.profile.attribution import Profile
from m7sim.profile.calls import CallTracker, Known
from m7sim.profile.certainty import row_uses
from m7sim.timing import Timer
from m7sim.timing.timer import Tables
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.plan import PlanArrays


class Prepared(NamedTuple):
    """What is static about the code of a chunk, and of all chunks before it."""

    plan: PlanArrays
    tables: Tables
    known: Known


class Accounts:
    """Times chunks of a run and attributes their cycles; the same live and on replay."""

    def __init__(
        self, image: Image, board: Board, core: Core, code: Code, energy: EnergyModel | None = None
    ) -> None:
        self._image, self._core, self._code = image, core, code
        self._energy = energy
        self.timer = Timer(core.table(), board, code)
        self.tracker = CallTracker(code, image)
        self._cycles_before = 0
        self._room = np.zeros(0, np.uint32)  # for addresses: a new array costs page faults

    @property
    def total_cycles(self) -> int:
        """Cycles since the machine was made; never falls, as CYCCNT must not."""
        return self._cycles_before + self.timer.cycles

    def begin(self, *, warm: bool, from_reset: bool = False) -> None:
        """Count from 0, with caches and predictors as they are or empty.

        From reset the caches are off until `Timer.apply` is told otherwise.
        """
        self._cycles_before += self.timer.cycles
        if from_reset:
            self.timer.power_on()
        else:
            self.timer.reset(cold=not warm)
        self.tracker.reset()

    def feed(self, chunk: Chunk, plan: PlanArrays) -> None:
        """Account for a chunk, executed after all that was fed before."""
        self.account(chunk, self.prepare(plan))

    def prepare(self, plan: PlanArrays) -> Prepared:
        """Return what `account` needs to know of the code, while that does not grow.

        Raises
        ------
        UnmodelledError
            When the code holds instructions that the core table has no row for.
        """
        return Prepared(plan, self.timer.prepare(), self.tracker.prepare())

    def account(
        self, chunk: Chunk, prepared: Prepared, addresses: NDArray[np.uint32] | None = None
    ) -> None:
        """Account for a chunk; may run in another thread than the one that records.

        It does not look at the code itself, which may be growing. ``addresses`` are those of the
        chunk, if they have been resolved already.
        """
        if addresses is None:
            addresses = resolve(chunk, prepared.plan, self._room)
            if addresses.size > self._room.size:
                self._room = np.empty(addresses.size + addresses.size // 4, np.uint32)
        block_cycles = self.timer.feed(chunk.blocks, addresses, prepared.tables)
        self.tracker.feed(chunk.blocks, block_cycles, prepared.known)

    def figures(self) -> dict[str, Any]:
        """Return the fields of a `Result` that come from timing."""
        timing = self.timer.result()
        calls = self.tracker.result()
        energy = self._energy and self._energy.of(timing, self._code.arrays())
        return {
            "instructions": timing.instructions,
            "cycles": timing.cycles,
            "issue_cycles": timing.issue_cycles,
            "dual_issued": timing.dual_issued,
            "stalls": {
                cause.name.lower(): cycles
                for cause, cycles in sorted(timing.stalls.items(), key=lambda s: (-s[1], s[0]))
            },
            "profile": Profile(
                self._image, self._code, timing, calls, energy.row_nj if energy else None
            ),
            "statistics": {
                "branches": int(timing.branches.executed.sum()),
                "branches_taken": int(timing.branches.taken.sum()),
                "branches_mispredicted": int(timing.branches.mispredicted.sum()),
                "icache_misses": timing.icache.misses,
                "dcache_misses": timing.dcache.misses,
                "dcache_write_backs": timing.dcache.write_backs,
                "art_misses": timing.art.misses,
                # times that two loads from one bank did not share a cycle
                "bank_conflicts": timing.pair_losses.get("bank", 0),
            },
            "rows": row_uses(self._core, self._code, timing.executions),
            "energy": energy,
        }
