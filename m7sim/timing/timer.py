"""The timer: feeds executed blocks to the walk and adds up what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.core import CoreTable
from m7sim.isa.code import Code
from m7sim.isa.instruction import Branch
from m7sim.machine.events import CACHES, MAINTENANCE, MPU, MemoryEvent
from m7sim.timing.caches import maintain
from m7sim.timing.causes import PairLoss, StallCause
from m7sim.timing.feed import count_accesses
from m7sim.timing.memo import FOR_EVER, run, settle
from m7sim.timing.memorecord import add_up, empty
from m7sim.timing.memory import clear_queues, forget
from m7sim.timing.memorymap import MemoryMap
from m7sim.timing.memotables import NO_SIZES, Books, Memo, Sizes, new_memo
from m7sim.timing.model import build_memory, build_model
from m7sim.timing.plain import plain_twin
from m7sim.timing.ports import new_log
from m7sim.timing.result import BranchCounts, CacheCounts, Timing
from m7sim.timing.rows import build_blocks, build_rows, require_modelled
from m7sim.timing.state import BLOCK, ROW, TALLY, Records, clear_pipeline, new_state

if TYPE_CHECKING:
    from m7sim.board import Board


class Tables(NamedTuple):
    """Static instructions and blocks, as far as the code was known when they were made."""

    rows: Records
    blocks: Records


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
    memo
        False: walk every instruction, for comparison; True: repeat known ways through blocks, from
        tables of the usual sizes or of those given.
    """

    def __init__(
        self,
        core: CoreTable,
        board: Board,
        code: Code,
        *,
        jit: bool = True,
        memo: bool | Sizes = True,
    ) -> None:
        self._core = core
        self._code = code
        self._model = build_model(core, board)
        self._map = MemoryMap(self._model, board)
        self._state, self._memory = new_state(), build_memory(board)
        self._log = new_log()
        self._fitted = board.icache.enabled, board.dcache.enabled
        self._rows: Records = np.zeros(0, ROW)
        self._blocks: Records = np.zeros(0, BLOCK)
        self._prepared = Tables(self._rows, self._blocks)
        self._books = _new_books(0, 0)
        self._memo = _new_memo(memo)
        self._run: Any = run if jit else plain_twin(run)

    @property
    def cycles(self) -> int:
        """Cycles since the last reset, the one in which the last instruction issued included."""
        return int(self._state["cycle"]) + 1

    @property
    def memo_counts(self) -> np.void:
        """How full the memo's tables are and how blocks were timed: a record of `COUNTS`."""
        counts: np.void = self._memo.counts.copy()
        return counts

    def prepare(self) -> Tables:
        """Return the static tables of all code known now; cheap when it has not grown.

        `feed` may then run in another thread while the code goes on growing in this one.

        Raises
        ------
        UnmodelledError
            When the code holds instructions that the core table has no row for.
        """
        if len(self._prepared.blocks) != len(self._code.blocks):
            require_modelled(self._core, self._code, len(self._prepared.rows))
            arrays = self._code.arrays()
            self._prepared = Tables(build_rows(self._core, arrays), build_blocks(arrays))
        return self._prepared

    def feed(
        self,
        blocks: NDArray[np.int32],
        address: NDArray[np.uint32],
        tables: Tables | None = None,
    ) -> NDArray[np.int64]:
        """Time ``blocks``, executed after everything fed before.

        Parameters
        ----------
        blocks
            Ids of executed blocks in order, int32[n].
        address
            Start address of each access, one for every executed instruction that has a memory
            operand, NO_ACCESS where a predicated one did not happen; uint32[m].
        tables
            What `prepare` returned when these blocks were known; default: call it now.

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
        self._install(self.prepare() if tables is None else tables)
        blocks = np.ascontiguousarray(blocks, np.int32)
        address = np.ascontiguousarray(address, np.uint32)
        accesses = count_accesses(self._blocks, blocks)
        if accesses < 0:
            raise ValueError(f"block ids are not all between 0 and {len(self._blocks) - 1}")
        if accesses != len(address):
            raise ValueError(f"{len(address)} addresses for the {accesses} accesses of the blocks")
        block_cycles = np.zeros(len(blocks), np.int64)
        self._run(
            self._model, self._state, self._memory, self._log, self._rows, self._books,
            self._blocks, blocks, address, block_cycles, self._memo,
        )  # fmt: skip
        return block_cycles

    def reset(self, cold: bool = True) -> None:
        """Start again at cycle 0; counts are cleared, caches and predictors only when ``cold``."""
        self._add_up()
        settle(self._model, self._state, self._memo)
        clear_pipeline(self._state)
        clear_queues(self._memory)
        if cold:
            forget(self._memory)
        self._books = _new_books(len(self._rows), len(self._blocks))
        self._state["pair_loss"] = 0
        self._memory["art_accesses"] = self._memory["art_misses"] = 0
        for cache in (self._memory["icache"], self._memory["dcache"]):
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
        settle(self._model, self._state, self._memo)
        if event.kind == CACHES:
            self._switch_caches(bool(event.values[0]), bool(event.values[1]))
        elif event.kind == MPU:
            control, *words = event.values
            self._map.program(control, list(zip(words[::2], words[1::2], strict=True)))
            self._forget_paths()
        elif event.kind == MAINTENANCE:
            register, value = event.values
            maintain(self._model, self._memory, register, value, int(self._state["cycle"]))
            self._state["line"] = -1

    def _switch_caches(self, icache: bool, dcache: bool) -> None:
        self._memory["icache"]["enabled"] = icache and self._fitted[0]
        self._memory["dcache"]["enabled"] = dcache and self._fitted[1]
        self._state["line"] = self._memory["data_line"] = -1
        self._forget_paths()

    def _forget_paths(self) -> None:
        """Drop what was memoised: the way from memory to the pipeline has changed."""
        empty(self._state, self._books, self._blocks, self._memo)

    def _add_up(self) -> None:
        add_up(self._state, self._books, self._blocks, self._memo)

    def result(self) -> Timing:
        """Sum up everything since the last reset."""
        self._install(self.prepare())
        self._add_up()
        executed = self._books.executions
        edges = np.zeros(len(self._rows) + 1, np.int64)
        np.add.at(edges, self._blocks["first"], executed)
        np.add.at(edges, self._blocks["first"] + self._blocks["count"], -executed)
        executions = np.cumsum(edges[:-1])
        tally = self._books.tally
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
            icache=_cache_counts(self._memory["icache"]),
            dcache=_cache_counts(self._memory["dcache"]),
            art=CacheCounts(int(self._memory["art_accesses"]), int(self._memory["art_misses"]), 0),
        )

    def _pair_losses(self) -> dict[str, int]:
        names = {code: name for code, name in enumerate(self._core.reasons) if code}
        names |= {int(loss): loss.name.lower() for loss in PairLoss}
        losses = self._state["pair_loss"]
        return {name: int(losses[code]) for code, name in names.items() if losses[code]}

    def _install(self, tables: Tables) -> None:
        """Time with these tables from now on, unless they are older than those in use."""
        if len(tables.blocks) <= len(self._blocks):
            return
        self._rows, self._blocks = tables
        before, self._books = self._books, _new_books(len(self._rows), len(self._blocks))
        self._books.tally[: len(before.tally)] = before.tally
        self._books.executions[: len(before.executions)] = before.executions


def _new_memo(memo: bool | Sizes) -> Memo:
    if not memo:
        tables = new_memo(NO_SIZES)
        tables.counts["rest"] = FOR_EVER
        return tables
    return new_memo(memo) if isinstance(memo, Sizes) else new_memo()


def _new_books(rows: int, blocks: int) -> Books:
    tally, scratch = np.zeros(rows, TALLY), np.zeros(rows, TALLY)
    columns = TALLY.itemsize // 8
    return Books(
        tally=tally,
        tally_numbers=tally.view(np.int64).reshape(rows, columns),
        scratch=scratch,
        scratch_numbers=scratch.view(np.int64).reshape(rows, columns),
        executions=np.zeros(blocks, np.int64),
    )


def _cache_counts(cache: np.void) -> CacheCounts:
    return CacheCounts(
        accesses=int(cache["accesses"]),
        misses=int(cache["misses"]),
        write_backs=int(cache["write_backs"]),
    )
