"""The timer: feeds executed blocks to the walk and adds up what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from m7sim.core import CoreTable
from m7sim.isa.code import Code
from m7sim.isa.instruction import Branch
from m7sim.machine.events import CACHES, MAINTENANCE, MPU, MemoryEvent
from m7sim.timing.caches import maintain
from m7sim.timing.causes import PairLoss, StallCause
from m7sim.timing.memorymap import MemoryMap
from m7sim.timing.model import build_model, build_state
from m7sim.timing.plain import plain_walk
from m7sim.timing.result import BranchCounts, CacheCounts, Timing
from m7sim.timing.rows import build_blocks, build_rows, require_modelled
from m7sim.timing.state import BLOCK, ROW, TALLY, Records, clear_memory, clear_pipeline
from m7sim.timing.walk import walk

if TYPE_CHECKING:
    from m7sim.board import Board


class Timer:
    """Times executed code on one core and board.

    Parameters
    ----------
    core
        Compiled core table.
    board
        Memory map, caches and their latencies.
    code
        Decoded code; it may grow between two feeds.
    jit
        False: run the same kernels as plain Python, for comparison.
    """

    def __init__(self, core: CoreTable, board: Board, code: Code, *, jit: bool = True) -> None:
        self._core = core
        self._code = code
        self._model = build_model(core, board)
        self._map = MemoryMap(self._model, board)
        self._state = build_state(board)
        self._fitted = board.icache.enabled, board.dcache.enabled
        self._rows: Records = np.zeros(0, ROW)
        self._tally: Records = np.zeros(0, TALLY)
        self._blocks: Records = np.zeros(0, BLOCK)
        self._executions: NDArray[np.int64] = np.zeros(0, np.int64)
        self._walk: Any = walk if jit else plain_walk()

    @property
    def cycles(self) -> int:
        """Cycles since the last reset, the one in which the last instruction issued included."""
        return int(self._state["cycle"]) + 1

    def feed(self, blocks: NDArray[np.int32], address: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Time ``blocks``, executed after everything fed before.

        Parameters
        ----------
        blocks
            Ids of executed blocks in order, int32[n].
        address
            Start address of each access, one for every executed instruction that has a memory
            operand, NO_ACCESS where a predicated one did not happen; uint32[m].

        Returns
        -------
        int64[n]: cycles of each block. The refill after a mispredicted branch counts in the block
        that follows it.

        Raises
        ------
        UnmodelledError
            When the code holds instructions that the core table has no row for.
        ValueError
            When a block id is unknown or the number of addresses does not fit the blocks.
        """
        self._refresh()
        blocks = np.ascontiguousarray(blocks, np.int32)
        address = np.ascontiguousarray(address, np.uint32)
        if len(blocks) and not 0 <= blocks.min() <= blocks.max() < len(self._blocks):
            raise ValueError(f"block ids are not all between 0 and {len(self._blocks) - 1}")
        accesses = int(self._blocks["accesses"][blocks].sum())
        if accesses != len(address):
            raise ValueError(f"{len(address)} addresses for the {accesses} accesses of the blocks")
        block_cycles = np.zeros(len(blocks), np.int64)
        self._walk(
            self._model, self._state, self._rows, self._tally, self._blocks, self._executions,
            blocks, address, block_cycles,
        )  # fmt: skip
        return block_cycles

    def reset(self, cold: bool = True) -> None:
        """Start again at cycle 0; counts are cleared, caches and predictors only when ``cold``."""
        clear_pipeline(self._state)
        if cold:
            clear_memory(self._state)
        self._tally = np.zeros(len(self._tally), TALLY)
        self._executions[:] = 0
        self._state["pair_loss"] = 0
        self._state["art_accesses"] = self._state["art_misses"] = 0
        for cache in (self._state["icache"], self._state["dcache"]):
            cache["accesses"] = cache["misses"] = cache["write_backs"] = 0

    def power_on(self) -> None:
        """Begin as the chip does at reset: caches off until they are switched on, no MPU."""
        self.reset(cold=True)
        self._switch_caches(False, False)
        self._map.reset()

    def apply(self, event: MemoryEvent) -> None:
        """Apply what the firmware did to the memory system; it holds for what is fed from here on.

        A cache that the board has switched off stays off.
        """
        if event.kind == CACHES:
            self._switch_caches(bool(event.values[0]), bool(event.values[1]))
        elif event.kind == MPU:
            control, *words = event.values
            self._map.program(control, list(zip(words[::2], words[1::2], strict=True)))
        elif event.kind == MAINTENANCE:
            register, value = event.values
            maintain(self._model, self._state, register, value)

    def _switch_caches(self, icache: bool, dcache: bool) -> None:
        self._state["icache"]["enabled"] = icache and self._fitted[0]
        self._state["dcache"]["enabled"] = dcache and self._fitted[1]
        self._state["line"] = self._state["data_line"] = -1

    def result(self) -> Timing:
        """Sum up everything since the last reset."""
        self._refresh()
        edges = np.zeros(len(self._rows) + 1, np.int64)
        np.add.at(edges, self._blocks["first"], self._executions)
        np.add.at(edges, self._blocks["first"] + self._blocks["count"], -self._executions)
        executions = np.cumsum(edges[:-1])
        tally = self._tally
        issued, stalls = tally["issued"].copy(), tally["stalls"].copy()
        is_branch = self._rows["branch"] != int(Branch.NONE)
        by_cause = stalls.sum(axis=0)
        instructions = int(self._state["instructions"])
        return Timing(
            cycles=self.cycles,
            issue_cycles=int(issued.sum()),
            instructions=instructions,
            dual_issued=instructions - int(issued.sum()),
            stalls={cause: int(by_cause[cause]) for cause in StallCause if by_cause[cause]},
            pair_losses=self._pair_losses(),
            executions=executions,
            row_issue_cycles=issued,
            row_stalls=stalls,
            branches=BranchCounts(
                executed=np.where(is_branch, executions, 0),
                taken=tally["taken"].copy(),
                mispredicted=tally["mispredicted"].copy(),
                penalty_cycles=tally["penalty"].copy(),
            ),
            icache=_cache_counts(self._state["icache"]),
            dcache=_cache_counts(self._state["dcache"]),
            art=CacheCounts(int(self._state["art_accesses"]), int(self._state["art_misses"]), 0),
        )

    def _pair_losses(self) -> dict[str, int]:
        names = {code: name for code, name in enumerate(self._core.reasons) if code}
        names |= {int(loss): loss.name.lower() for loss in PairLoss}
        losses = self._state["pair_loss"]
        return {name: int(losses[code]) for code, name in names.items() if losses[code]}

    def _refresh(self) -> None:
        """Bring the static tables up to date with the code."""
        if len(self._blocks) == len(self._code.blocks):
            return
        require_modelled(self._core, self._code, len(self._rows))
        arrays = self._code.arrays()
        self._rows = build_rows(self._core, arrays)
        self._blocks = build_blocks(arrays)
        tally, executions = self._tally, self._executions
        self._tally = np.zeros(len(self._rows), TALLY)
        self._tally[: len(tally)] = tally
        self._executions = np.zeros(len(self._blocks), np.int64)
        self._executions[: len(executions)] = executions


def _cache_counts(cache: np.void) -> CacheCounts:
    return CacheCounts(
        accesses=int(cache["accesses"]),
        misses=int(cache["misses"]),
        write_backs=int(cache["write_backs"]),
    )
