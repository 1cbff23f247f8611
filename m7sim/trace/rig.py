"""Run a small piece of code on a bare engine, in one of several ways, and compare outcomes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m7sim.machine.engine import Engine
from m7sim.machine.hostmemory import EXECUTE, READ, WRITE
from m7sim.trace.battery import CODE_ADDRESS
from m7sim.trace.capture import Capture
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.oracle import Access, MemoryWatch, reconstructed

CODE_BYTES = 1 << 16
RAM_ADDRESS, RAM_BYTES = 0x2000_0000, 1 << 16
ITCM_ADDRESS, ITCM_BYTES = 0, 1 << 12
END_ADDRESS = CODE_ADDRESS + CODE_BYTES - 16
NAMES = (*(f"r{n}" for n in range(13)), "sp", "lr", "pc", "fpscr", *(f"s{n}" for n in range(32)))
FLAGS = 0xF80F_0000  # N, Z, C, V, Q and GE in xPSR


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind: how it ended, registers, a hash of memory."""

    end: str
    registers: tuple[int, ...]
    memory: str

    def register(self, name: str) -> int:
        return self.registers[NAMES.index(name)]

    def difference(self, other: Outcome) -> str:
        """Tell in what ``other`` differs from this; empty if in nothing."""
        told = [f"ended by {other.end}, not {self.end}"] if self.end != other.end else []
        told += [
            f"{name} is {theirs:#x}, should be {ours:#x}"
            for name, ours, theirs in zip(
                (*NAMES, "flags"), self.registers, other.registers, strict=True
            )
            if ours != theirs
        ]
        if self.memory != other.memory:
            told.append("memory differs")
        return ", ".join(told[:3])


@dataclass(frozen=True, slots=True)
class Captured:
    """A captured run: its chunks, all block ids and addresses, the accesses they mean."""

    outcome: Outcome
    capture: Capture
    chunks: list[Chunk]
    blocks: NDArray[np.int32]
    addresses: NDArray[np.uint32]

    def accesses(self) -> list[Access]:
        return reconstructed(self.capture.code, self.blocks.tolist(), self.addresses)


def make_engine(code: bytes, ram: bytes = b"") -> Engine:
    """Make an engine with code in flash, and RAM (also at address 0); stack and lr set up."""
    engine = Engine()
    engine.map_memory(CODE_ADDRESS, CODE_BYTES, permissions=READ | EXECUTE)
    engine.map_memory(RAM_ADDRESS, RAM_BYTES, permissions=READ | WRITE | EXECUTE)
    engine.map_memory(ITCM_ADDRESS, ITCM_BYTES, permissions=READ | WRITE | EXECUTE)
    engine.write(CODE_ADDRESS, code)
    engine.write(RAM_ADDRESS, ram)
    engine.write_register("sp", RAM_ADDRESS + RAM_BYTES)
    engine.write_register("lr", END_ADDRESS | 1)
    return engine


def run(engine: Engine) -> Outcome:
    """Execute from the start of the code until it returns."""
    stop = engine.run(CODE_ADDRESS, END_ADDRESS)
    memory = engine.read(RAM_ADDRESS, RAM_BYTES) + engine.read(ITCM_ADDRESS, ITCM_BYTES)
    registers = [engine.read_register(name) for name in NAMES]
    registers.append(engine.read_register("xpsr") & FLAGS)
    return Outcome(stop.kind, tuple(registers), hashlib.sha256(memory).hexdigest())


def run_plain(code: bytes, ram: bytes = b"") -> Outcome:
    """Run without any hook."""
    engine = make_engine(code, ram)
    try:
        return run(engine)
    finally:
        engine.close()


def run_captured(
    code: bytes,
    ram: bytes = b"",
    *,
    capacity_blocks: int = 1 << 12,
    max_instructions: int | None = None,
) -> Captured:
    """Run under capture."""
    engine = make_engine(code, ram)
    chunks: list[Chunk] = []

    def constant(address: int) -> int | None:
        if CODE_ADDRESS <= address < CODE_ADDRESS + CODE_BYTES:
            return int.from_bytes(engine.read(address, 4), "little")
        return None

    capture = Capture(
        engine,
        constant,
        on_chunk=chunks.append,
        capacity_blocks=capacity_blocks,
        max_instructions=max_instructions,
    )
    capture.attach()
    try:
        capture.before_run()
        try:
            outcome = run(engine)
        finally:
            capture.after_run()
    finally:
        capture.detach()
        engine.close()
    blocks = [chunk.blocks for chunk in chunks] or [np.zeros(0, np.int32)]
    addresses = [resolve(chunk, capture.plan()) for chunk in chunks] or [np.zeros(0, np.uint32)]
    return Captured(outcome, capture, chunks, np.concatenate(blocks), np.concatenate(addresses))


def run_watched(
    code: bytes, ram: bytes = b"", *, work_around: bool = True, most_accesses: int = 1_000_000
) -> tuple[Outcome, list[Access]]:
    """Run with memory hooks."""
    engine = make_engine(code, ram)
    watch = MemoryWatch(engine, work_around=work_around, most_accesses=most_accesses)
    try:
        return run(engine), watch.accesses
    finally:
        engine.close()
