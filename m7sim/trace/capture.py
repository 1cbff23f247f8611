"""Record what a machine executes: block ids, and the registers from which addresses follow.

How it works
------------
A native hook at the entry of each block (what the engine translates as one piece) looks its
address up and notes its id, the exit registers of the block before and its own entry registers
(read where the engine keeps them, see :mod:`m7sim.trace.direct`, or by the engine's function).
A block met for the first time goes through Python once: its bytes are decoded, its plan is made
(see :mod:`m7sim.trace.plan`), and when the plan needs instruction hooks, these are installed and
the block starts over, before any of it has executed. When the engine translates an address anew,
the bytes there are compared again: overwritten code becomes a new block.

Limits of the mechanism
-----------------------
* What is counted is what the engine starts. A block that faults half-way is replaced, when the
  run ends, by a block of the instructions that executed before the one that faulted.
* Instruction limits hold at block boundaries: the run ends before the block that would exceed it.
* Blocks are the engine's: they end at branches, at pages (4 KiB), and after some hundred
  instructions; the same code may be entered at several addresses, as several blocks.
* Code that overwrites the block it stands in is taken as it was when that block was entered.
* A literal load counts as constant when its word lies in memory that firmware cannot write;
  changing such a word from outside during a capture goes unnoticed.
* A predicated access costs an instruction hook, and so does a base that is loaded, used and lost
  within one block.
* Signals are served, and stops by other threads take effect, between two blocks. A stop by a
  foreign hook may come before or after the next block is reported, and the engine may lose it
  half-way through a block. What is recorded is put right as far as that can be told; in loops, one
  iteration may be counted too little or too much.
* No memory hook may be active at the same time: it corrupts predicated accesses (unicorn issue
  2309; ``m7sim doctor`` shows it).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np

from m7sim.errors import InputError
from m7sim.isa.code import Code
from m7sim.isa.registers import S0
from m7sim.trace import native
from m7sim.trace.blocks import Blocks, BlockSource, it_conditions
from m7sim.trace.chunk import Chunk
from m7sim.trace.direct import locate_floats, locate_registers
from m7sim.trace.engine import Engine
from m7sim.trace.linear import ReadWord
from m7sim.trace.plan import PlanArrays
from m7sim.trace.sites import SiteHooks
from m7sim.trace.tables import Buffers, HashTable, Rows, State

UNLIMITED = 1 << 62
_FOUR = (ctypes.c_int64,) * 4
_SLOW = ctypes.CFUNCTYPE(ctypes.c_int32, *_FOUR)


class Capture:
    """Delivers what an engine executes as chunks.

    It is an observer of the machine that runs the engine (``machine.attach(capture)``), and its
    hooks are there between :meth:`attach` and :meth:`detach`.

    Parameters
    ----------
    engine
        What executes: ``machine.engine``.
    read_constant
        Returns the word at an address that firmware cannot write, else None.
    on_chunk
        Called with each :class:`Chunk`, in order. What it raises ends the run and is raised again
        when the run has ended.
    capacity_blocks
        Blocks per chunk, at most. Results do not depend on it.
    max_instructions
        Ends the run before the block that would exceed it; ``stop_reason`` then says so.
    """

    def __init__(
        self,
        engine: Engine,
        read_constant: ReadWord,
        *,
        on_chunk: Callable[[Chunk], None] | None = None,
        capacity_blocks: int = 1 << 16,
        max_instructions: int | None = None,
    ) -> None:
        self.on_chunk = on_chunk
        self.stop_reason: str | None = None
        self._engine = engine
        self._blocks = Blocks(read_constant)
        self._in_block_hook = False
        self._error: BaseException | None = None
        self._undecodable: tuple[BlockSource, InputError] | None = None
        self.undecoded_address: int | None = None  # where the last run went to what is no code
        self._limit = UNLIMITED if max_instructions is None else max_instructions
        self._chunk_blocks = capacity_blocks
        self._parked: int | None = None
        self._hooks: list[int] = []

        state = self._state = State()
        self._ids = HashTable(state, native.HASH_KEYS, native.HASH_IDS, native.HASH_MASK)
        self._rows = Rows(state, (*engine.core_register_ids, *engine.float_register_ids))
        self._buffers = Buffers(state, capacity_blocks)
        self._sites = SiteHooks(engine, state)
        self._slow_pointer = _SLOW(self._slow)
        self._read_batch = _SLOW(engine.reg_read_batch_address)
        state[native.SLOW] = ctypes.cast(self._slow_pointer, ctypes.c_void_p).value or 0
        state[native.READ_BATCH] = engine.reg_read_batch_address
        state[native.ENGINE] = engine.handle
        state[native.BUDGET] = self._limit
        state.point(native.CORE_IDS, np.array(engine.core_register_ids, np.int32))

    @property
    def code(self) -> Code:
        return self._blocks.code

    @property
    def blocks(self) -> Blocks:
        return self._blocks

    def plan(self) -> PlanArrays:
        """How to resolve chunks: covers every block met so far."""
        return self._blocks.plan()

    @property
    def instructions(self) -> int:
        """Instructions counted so far, a started block as a whole."""
        return self._limit - (self._state[native.BUDGET] if self._parked is None else self._parked)

    def limit(self, max_instructions: int | None, *, chunk_blocks: int | None = None) -> None:
        """Count instructions from 0 again, up to a new limit; to be called between runs.

        Parameters
        ----------
        max_instructions
            As in the constructor; None: no limit.
        chunk_blocks
            Blocks per chunk from now on, at most the capacity; None: the capacity.
        """
        self._limit = UNLIMITED if max_instructions is None else max_instructions
        self._parked = None
        self._state[native.BUDGET] = self._limit
        capacity = len(self._buffers.blocks)
        self._chunk_blocks = min(chunk_blocks or capacity, capacity)
        self._state[native.ROOM_BLOCKS] = self._chunk_blocks

    def also_record(self, registers: tuple[int, ...]) -> None:
        """From the next run on, begin the values of every block with registers at its entry.

        They are numbers of ``m7sim.isa.registers``: r0 … lr and s0 … s31.
        """
        if registers == self._blocks.extra:
            return
        self._blocks.extra = registers
        self._ids.clear()  # a block that records other registers is another block
        self._buffers.make_room(2 + len(registers))
        self._locate()

    def _locate(self) -> None:
        core = locate_registers(self._engine)
        if core and any(register >= S0 for register in self._blocks.extra):
            self._rows.float_words = locate_floats(self._engine, core)
            core = core if self._rows.float_words else 0
        self._state[native.CORE] = core

    def attach(self) -> None:
        """Install the hooks; everything translated so far is translated again with them."""
        engine, state = self._engine, self._state
        self._locate()
        self._hooks = [
            engine.hook_add_native("block", native.on_block.address, state.address),
            engine.hook_add_native("translation", native.on_translation.address, state.address),
        ]
        engine.flush_translations()
        engine.ask = self._return_soon

    def detach(self) -> None:
        """Remove all hooks."""
        self._sites.remove()
        for hook in self._hooks:
            self._engine.hook_del(hook)
        self._hooks = []
        self._engine.ask = None
        self._engine.flush_translations()

    # Observer of the machine's runs

    def before_run(self) -> None:
        """Prepare for a run: the first block is compared with memory again."""
        self._state[native.HALTED] = 0
        self.stop_reason = self.undecoded_address = None
        self._ask_at_next_block()

    def before_host_call(self) -> None:
        """Take the exit registers of the current block, before Python changes registers."""
        self._take_exit()

    def after_run(self) -> None:
        """Deliver what is left; raise what a callback raised.

        Raises
        ------
        BaseException
            Whatever ``on_chunk`` or decoding raised during the run.
        """
        if not self._state[native.HALTED]:
            self._trim()
        self._take_exit()
        error, self._error = self._error, None
        undecodable, self._undecodable = self._undecodable, None
        if error is not None and (undecodable is None or error is not undecodable[1]):
            raise error
        self._deliver()
        if error is not None:
            raise error
        if undecodable is not None:
            source, reason = undecodable
            if not source.address <= self._engine.read_pc() < source.address + len(source.data):
                raise reason  # else the machine tells about the fault there

    def unexecuted_block(self) -> None:
        """Take back what of the last block did not execute: a signal stopped it there."""
        last, pc = self._state[native.LAST], self._engine.read_pc()
        if last >= 0 and (
            pc == self._blocks.sources[last].address or self._blocks.stops_within(last, pc)
        ):
            self._trim(pc)

    def last_block_address(self) -> int | None:
        """Return where the last recorded block begins."""
        n = self._state[native.N_BLOCKS]
        if n == 0:
            return None
        return self._blocks.sources[int(self._buffers.blocks[n - 1])].address

    def deliver_finished(self) -> None:
        """Deliver all blocks but the one that is executing (for a clock read by firmware)."""
        state = self._state
        last = state[native.LAST]
        if last < 0 or state[native.N_BLOCKS] == 0:
            self._deliver()
        elif state[native.N_BLOCKS] > 1:
            chunk = self._buffers.take(keep_values=self._rows[last, native.ROW_ENTRY])
            if self.on_chunk:
                self.on_chunk(chunk)

    def stop(self, reason: str) -> None:
        """End the run before the next block; to be called from ``on_chunk``."""
        self.stop_reason = reason
        if self._in_block_hook:
            self._state[native.HALTED] = 1  # the block that is being reported is not recorded
        self._engine.stop()

    # The slow path of the block hook

    def _slow(self, address: int, size_bytes: int, _c: int, _d: int) -> int:
        self._in_block_hook = True
        try:
            return self._look(address, size_bytes)
        except BaseException as error:  # through native code; raised again in after_run
            self._error = error
            self._state[native.HALTED] = 1
            self._engine.stop()
            return -1
        finally:
            self._in_block_hook = False

    def _look(self, address: int, size_bytes: int) -> int:
        if self._parked is not None:
            self._state[native.BUDGET], self._parked = self._parked, None
        self._check_registers()
        self._state[native.ROOM_BLOCKS] = self._chunk_blocks
        if self._engine.signalled:
            self._take_exit()
            self._engine.restart_block(address, size_bytes)
            return -1
        if self._undecodable is not None:
            raise self._undecodable[1]
        if self._buffers.full:
            self._take_exit()
            self._deliver()
            if self._state[native.HALTED]:
                return -1
        if size_bytes == 0:  # nothing to execute: the engine is about to raise a fault
            return -1
        # The engine may leave a block half-way and come back, when somebody stops it at an
        # instruction hook and the stop gets lost.
        last = self._state[native.LAST]
        blocks = self._blocks
        again = blocks.stops_within(last, address) and not blocks.ends_indirectly(last)
        if again:
            self._trim(address)
        block = self._ids.get(address)
        if block is None or block < 0 or self._rows[block, native.ROW_BYTES] != size_bytes:
            block = self._identify(address, size_bytes)
            if block is None:
                return -1
            if self._sites.install(self._blocks.plans[block].sites, self._engine.core_register_ids):
                self._engine.restart_block(address, size_bytes)
                return -1
            if not again:  # else keep asking
                self._ids.put(address, block)
        if self._state[native.BUDGET] < self._rows[block, native.ROW_COUNT]:
            self.stop("instructions")
            return -1
        return block

    def _check_registers(self) -> None:
        """Compare what is read directly with what the engine says."""
        if not self._state[native.CORE]:
            return
        if self._buffers.core_registers(self._read_batch) != self._buffers.core_memory():
            raise RuntimeError("the engine does not keep its registers where they were found")

    def _identify(self, address: int, size_bytes: int) -> int | None:
        """Find or add the block that stands at an address now; None if it cannot be decoded."""
        data = self._engine.read(address, size_bytes)
        source = BlockSource(address, data, it_conditions(self._engine.read_epsr()))
        block = self._blocks.find(source)
        if block is None:
            try:
                block = self._blocks.add(source)
            except InputError as error:
                # Wild jumps lead to such code. If the engine faults in it, that is what is told;
                # if it gets through, this error is, at the next block or at the end.
                self._undecodable, self.undecoded_address = (source, error), address
                self._take_exit()
                self._ask_at_next_block()
                return None
            self._enter(block)
        return block

    def _enter(self, block: int) -> None:
        """Tell the native side about a new block."""
        size, count = len(self._blocks.sources[block].data), self.code.blocks[block][1]
        plan = self._blocks.plans[block]
        self._rows.append(size, count, plan.at_entry, plan.exit)

    # Ends of blocks, of chunks, of runs

    def _ask_at_next_block(self) -> None:
        if self._parked is None:
            self._parked = self._state[native.BUDGET]
            self._state[native.BUDGET] = -1

    def _return_soon(self) -> None:
        """Have the next block ask Python; called by another thread while native code runs.

        The native side only reads this word, so nothing can get lost.
        """
        self._state[native.ROOM_BLOCKS] = 0

    def _take_exit(self) -> None:
        state = self._state
        last = state[native.LAST]
        if last < 0:
            return
        state[native.LAST] = -1
        self._rows.read_exit(last, self._read_batch)

    def _trim(self, pc: int | None = None) -> None:
        """Cut the last block down to what of it has executed, which may be nothing.

        A block that did not end has the pc in it: a fault, or a stop from outside. (The engine
        reports a block before it looks whether it has been stopped.)
        """
        state = self._state
        last = state[native.LAST]
        if last < 0:
            return
        if pc is None:
            pc = self._engine.fault_pc
        if pc is None:
            pc = self._engine.read_pc()
        offset = pc - self._blocks.sources[last].address
        if not 0 <= offset < self._rows[last, native.ROW_BYTES]:
            return
        first, count = self.code.blocks[last]
        executed = 0
        while self.code.instructions[first + executed].address < pc:
            executed += 1
        state[native.BUDGET] += count - executed
        if executed == 0:
            state[native.N_BLOCKS] -= 1
            state[native.N_VALUES] -= self._rows[last, native.ROW_ENTRY]
            state[native.N_EVENTS] = self._buffers.first_event(state[native.N_BLOCKS])
            state[native.LAST] = -1
            return
        part = self._blocks.add_executed_part(last, executed)
        self._enter(part)
        self._buffers.blocks[state[native.N_BLOCKS] - 1] = part
        state[native.LAST] = part
        self._take_exit()

    def _deliver(self) -> None:
        if self._state[native.N_BLOCKS]:
            chunk = self._buffers.take()
            if self.on_chunk:
                self.on_chunk(chunk)
