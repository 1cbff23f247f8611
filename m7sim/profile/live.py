"""A machine, what records it, and what times the record while it runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.energy import EnergyModel
from m7sim.machine import Machine
from m7sim.machine.events import ICACHE_MAINTENANCE, MAINTENANCE, MemoryEvent
from m7sim.profile.accounts import Accounts
from m7sim.profile.worker import Worker
from m7sim.trace.capture import Capture
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.plan import PlanArrays
from m7sim.trace.writer import TraceWriter

CHUNK_BLOCKS = 1 << 15
# With a limit on cycles, chunks are shorter: the limit is looked at once per chunk.
LIMITED_CHUNK_BLOCKS = 1 << 11
# Chunks below this are accounted for at once: handing them to another thread takes as long.
SHARED_CHUNK_BLOCKS = 1 << 11
CONSOLE_BYTES = 1 << 24  # of the firmware's output that a result keeps


class Watcher(Protocol):
    """Sees all that is executed, in order; see `m7sim.sanitize.checker`."""

    registers: tuple[int, ...]  # to record at the entry of every block

    def begin(self) -> None: ...
    def feed(self, chunk: Chunk, plan: PlanArrays, addresses: NDArray[np.uint32]) -> None: ...
    def host_call(self) -> None: ...
    def end(self, undecoded_address: int | None) -> None: ...


class Console:
    """Keeps what the firmware prints and passes it on."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self.stream = stream
        self.kept = bytearray()

    def write(self, data: bytes) -> int:
        self.kept += data[: max(0, CONSOLE_BYTES - len(self.kept))]
        if self.stream is not None:
            self.stream.write(data)
        return len(data)

    def flush(self) -> None:
        if self.stream is not None:
            self.stream.flush()


class Live:
    """One machine, what records it, and what times the record.

    Full chunks are accounted for in another thread while the machine runs on, where there is a
    core for it; all else, and everything in a run with a limit on cycles, in the thread that runs
    the machine, after what was handed over. Either way the order is that of execution.
    """

    def __init__(
        self,
        image: Image,
        board: Board,
        core: Core | None,
        *,
        files: Path | None = None,
        arguments: str = "",
        stdout: IO[bytes] | None = None,
        stdin: IO[bytes] | None = None,
        energy: EnergyModel | None = None,
    ) -> None:
        self.console = Console(stdout)
        self.machine = Machine(
            image,
            board,
            files=files,
            arguments=arguments,
            stdout=cast(IO[bytes], self.console),
            stdin=stdin,
        )
        self.capture = Capture(
            self.machine.engine,
            self._read_constant,
            on_chunk=self._on_chunk,
            capacity_blocks=CHUNK_BLOCKS,
        )
        self.accounts: Accounts | None = None
        if core is not None:
            self.accounts = Accounts(image, board, core, self.capture.code, energy)
        self.max_instructions: int | None = None
        self.max_cycles: int | None = None
        self.writer: TraceWriter | None = None
        self.on_progress: Callable[[int], None] | None = None
        self._watcher: Watcher | None = None
        self._worker = Worker()
        self._events: list[MemoryEvent] = []
        self.machine.system.on_memory_event = self._on_memory_event
        self.machine.system.on_rule_change = self.capture.deliver_finished
        self.machine.cycle_source = self._cycles
        self.machine.attach(self)  # before the capture: told of the end of a run after it
        self.machine.attach(self.capture)
        self.capture.attach()

    def begin(
        self,
        *,
        warm: bool,
        max_instructions: int | None = None,
        max_cycles: int | None = None,
        from_reset: bool = False,
    ) -> None:
        """Count from 0 up to the limits given, with caches and predictors as they are or empty.

        From reset the caches are off until the firmware switches them on; else they are as the
        board says.
        """
        self._worker.discard()
        self.max_instructions, self.max_cycles = max_instructions, max_cycles
        chunk_blocks = CHUNK_BLOCKS if max_cycles is None else LIMITED_CHUNK_BLOCKS
        self.capture.limit(max_instructions, chunk_blocks=chunk_blocks)
        if self.accounts is not None:
            self.accounts.begin(warm=warm, from_reset=from_reset)

    def watch(self, watcher: Watcher | None) -> None:
        """Have all runs and calls from now on watched, or none."""
        self._watcher = watcher
        self.capture.also_record(watcher.registers if watcher is not None else ())

    def settle(self) -> None:
        """Wait until everything delivered is accounted for; raise what that raised."""
        self._worker.drain()

    # Observer of the machine's runs

    def before_run(self) -> None:
        if self._watcher is not None:
            self._watcher.begin()

    def before_host_call(self) -> None:
        if self._watcher is not None:  # is shown what came before, before memory changes
            self.capture.before_host_call()
            self.capture.deliver_finished()
            self._watcher.host_call()

    def after_run(self) -> None:
        self.settle()
        if self._watcher is not None:
            self._watcher.end(self.capture.undecoded_address)

    def close(self) -> None:
        self._worker.close()
        self.machine.detach(self)
        self.machine.detach(self.capture)
        self.capture.detach()
        self.machine.close()

    def _read_constant(self, address: int) -> int | None:
        """Return a word that the firmware cannot change."""
        region = self.machine.board.region_at(address)
        if region is None or region.writable or address + 4 > region.end:
            return None
        return int.from_bytes(self.machine.read(address, 4), "little")

    def _on_memory_event(self, event: MemoryEvent) -> None:
        """Pass on what the firmware does to caches and MPU, at the block that does it.

        Maintenance of a cache that is off is passed on later, but before it is switched on:
        start-up code invalidates hundreds of lines one by one.
        """
        self._events.append(event)
        if event.kind == MAINTENANCE:
            icache, dcache = self.machine.system.caches_on
            if not (icache if event.values[0] in ICACHE_MAINTENANCE else dcache):
                return
        self.capture.deliver_finished()
        events, self._events = self._events, []
        for each in events:
            if self.writer is not None:
                self.writer.event(each.kind, each.values)
            if self.accounts is not None:
                self.settle()
                self.accounts.timer.apply(each)

    def _on_chunk(self, chunk: Chunk) -> None:
        if self.on_progress is not None:
            self.on_progress(self.capture.instructions)
        if self.writer is not None:
            self.writer.add(chunk)
        addresses: NDArray[np.uint32] | None = None
        if self._watcher is not None:
            addresses = resolve(chunk, self.capture.plan())
            self._watcher.feed(chunk, self.capture.plan(), addresses)
        if self.accounts is None:
            return
        prepared = self.accounts.prepare(self.capture.plan())
        if self.max_cycles is None and len(chunk.blocks) >= SHARED_CHUNK_BLOCKS:
            # Recording is ahead: help.
            if addresses is None and self._worker.behind:
                addresses = resolve(chunk, prepared.plan)
            self._worker.put(partial(self.accounts.account, chunk, prepared, addresses))
            return
        self.settle()
        self.accounts.account(chunk, prepared, addresses)
        if self.max_cycles is not None and self.accounts.timer.cycles >= self.max_cycles:
            self.capture.stop("cycles")

    def _cycles(self) -> int:
        """Cycles up to the last finished block; without timing, instructions stand in."""
        if self.accounts is None:
            return self.capture.instructions
        self.capture.deliver_finished()
        self.settle()
        return self.accounts.total_cycles
