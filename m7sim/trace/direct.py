"""Where the engine keeps the core registers: reading them there is several times faster.

The engine's own functions are the reference. The place is found by writing random values through
them and looking for these in the memory that the engine's handle points to, and it counts only if
it follows several further rounds of writes. The search reads through ``/proc/self/mem``, which
refuses bad addresses instead of crashing; where there is none, or nothing is found, capture asks
the engine for every value. Capture also compares the two whenever it returns to Python.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from m7sim.isa.registers import PC

NAMES = (*(f"r{number}" for number in range(13)), "sp", "lr")
FLOATS = tuple(f"s{number}" for number in range(32))
_LAYOUT = struct.Struct(f"<{PC}I")
_FLOATS_LAYOUT = struct.Struct("<32I")
_HANDLE_WORDS = 256  # of the structure behind the handle that may point at the CPU
_REACH_BYTES = 1 << 17  # within which the registers lie in the CPU's structure
_ROUNDS = 4

_known: set[tuple[int, int]] = set()  # (offset of the pointer, offset of r0): tried first


class Registers(Protocol):
    """What this module needs of the engine."""

    @property
    def handle(self) -> int: ...
    def read_register(self, name: str) -> int: ...
    def write_register(self, name: str, value: int) -> None: ...


def locate_registers(engine: Registers) -> int:
    """Return the address of r0 … lr in this process, as consecutive words; 0 if not found.

    The engine must not be running; its registers are as before afterwards.
    """
    saved = [engine.read_register(name) for name in NAMES]
    try:
        with Path("/proc/self/mem").open("rb", buffering=0) as memory:
            for place, address in _candidates(engine, memory):
                if all(_follows(engine, memory, address) for _ in range(_ROUNDS)):
                    _known.add(place)
                    return address
    except OSError:
        pass
    finally:
        for name, value in zip(NAMES, saved, strict=True):
            engine.write_register(name, value)
    return 0


def locate_floats(engine: Registers, core: int) -> int:
    """Return the word at which s0 … s31 begin, counted from r0 at ``core``; 0 if not found.

    The engine must not be running; its registers are as before afterwards.
    """
    saved = [engine.read_register(name) for name in FLOATS]
    try:
        with Path("/proc/self/mem").open("rb", buffering=0) as memory:
            pattern = _write_floats(engine)
            offset = _read(memory, core, _REACH_BYTES).find(pattern)
            while offset >= 0 and offset % 4 == 0:
                pattern = _write_floats(engine)
                if _read(memory, core + offset, len(pattern)) == pattern:
                    return offset // 4
                offset = _read(memory, core, _REACH_BYTES).find(pattern)
    except OSError:
        pass
    finally:
        for name, value in zip(FLOATS, saved, strict=True):
            engine.write_register(name, value)
    return 0


def _write_floats(engine: Registers) -> bytes:
    values = [random.getrandbits(32) for _ in FLOATS]
    for name, value in zip(FLOATS, values, strict=True):
        engine.write_register(name, value)
    return _FLOATS_LAYOUT.pack(*values)


def _candidates(engine: Registers, memory: IO[bytes]) -> Iterator[tuple[tuple[int, int], int]]:
    data = _read(memory, engine.handle, 8 * _HANDLE_WORDS)
    pointers = struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8])
    for word, offset in sorted(_known):
        yield (word, offset), pointers[word] + offset
    pattern = _write(engine)
    for word, pointer in enumerate(pointers):
        if not 0 < pointer < 1 << 47:
            continue
        window = _read(memory, pointer, _REACH_BYTES)
        offset = window.find(pattern)
        while offset >= 0:
            yield (word, offset), pointer + offset
            pattern = _write(engine)  # the check has overwritten it
            offset = window.find(pattern, offset + 1)


def _follows(engine: Registers, memory: IO[bytes], address: int) -> bool:
    pattern = _write(engine)
    return address % 4 == 0 and _read(memory, address, len(pattern)) == pattern


def _write(engine: Registers) -> bytes:
    values = [random.getrandbits(30) << 2 for _ in NAMES]  # the stack pointer is a multiple of 4
    for name, value in zip(NAMES, values, strict=True):
        engine.write_register(name, value)
    return _LAYOUT.pack(*values)


def _read(memory: IO[bytes], address: int, size_bytes: int) -> bytes:
    try:
        memory.seek(address)
        return memory.read(size_bytes)
    except (OSError, OverflowError, ValueError):
        return b""
