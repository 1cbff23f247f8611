"""From chunks of a run to its figures: timing and attribution, live and on replay alike."""

from __future__ import annotations

from typing import Any

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.isa.code import Code
from m7sim.profile.attribution import Profile
from m7sim.profile.calls import CallTracker
from m7sim.profile.certainty import row_uses
from m7sim.timing import Timer
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.plan import PlanArrays


class Accounts:
    """Times chunks of a run and attributes their cycles; the same live and on replay."""

    def __init__(self, image: Image, board: Board, core: Core, code: Code) -> None:
        self._image, self._core, self._code = image, core, code
        self.timer = Timer(core.table(), board, code)
        self.tracker = CallTracker(code, image)
        self._cycles_before = 0

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
        block_cycles = self.timer.feed(chunk.blocks, resolve(chunk, plan))
        self.tracker.feed(chunk.blocks, block_cycles)

    def figures(self) -> dict[str, Any]:
        """Return the fields of a `Result` that come from timing."""
        timing = self.timer.result()
        calls = self.tracker.result()
        return {
            "instructions": timing.instructions,
            "cycles": timing.cycles,
            "issue_cycles": timing.issue_cycles,
            "dual_issued": timing.dual_issued,
            "stalls": {
                cause.name.lower(): cycles
                for cause, cycles in sorted(timing.stalls.items(), key=lambda s: (-s[1], s[0]))
            },
            "profile": Profile(self._image, self._code, timing, calls),
            "statistics": {
                "branches": int(timing.branches.executed.sum()),
                "branches_taken": int(timing.branches.taken.sum()),
                "branches_mispredicted": int(timing.branches.mispredicted.sum()),
                "icache_misses": timing.icache.misses,
                "dcache_misses": timing.dcache.misses,
                "dcache_write_backs": timing.dcache.write_backs,
                "art_misses": timing.art.misses,
            },
            "rows": row_uses(self._core, self._code, timing.executions),
        }
