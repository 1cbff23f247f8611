"""The other way to know addresses: memory hooks. Slow, and safe only with a work-around.

A memory hook makes the engine restore the state of the interrupted block, which leaves the IT bits
of a predicated access set: the next block would run as if inside the IT block (unicorn issue
2309). Clearing those bits in the callback, where EPSR is ``& IT_BITS``, undoes that.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import NO_ACCESS, Code

IT_BITS = 0x0600_FC00  # of EPSR (Armv7-M ARM B1.4.2)
_ACCESS = ctypes.CFUNCTYPE(
    None,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint64,
    ctypes.c_int,
    ctypes.c_int64,
    ctypes.c_void_p,
)


@dataclass(frozen=True, slots=True)
class Access:
    """An access of the instruction at ``pc``: ``size_bytes`` from ``address`` upwards."""

    pc: int
    address: int
    size_bytes: int
    store: bool

    def __str__(self) -> str:
        kind = "store" if self.store else "load"
        return f"{self.pc:#010x}: {kind} of {self.size_bytes} bytes at {self.address:#010x}"


class WatchedEngine(Protocol):
    """What the oracle needs of the engine."""

    def hook_add_native(
        self, kind: str, function_address: int, user_data: int, begin: int = 1, end: int = 0
    ) -> int: ...
    def hook_del(self, hook: int) -> None: ...
    def flush_translations(self) -> None: ...
    def stop(self) -> None: ...
    def read_pc(self) -> int: ...
    def read_epsr(self) -> int: ...
    def read_register(self, name: str) -> int: ...
    def write_register(self, name: str, value: int) -> None: ...


class MemoryWatch:
    """Records every access of an engine by memory hooks.

    Without ``work_around`` predicated accesses corrupt execution; that is what
    ``m7sim doctor`` demonstrates. Corrupted code may never end: ``most_accesses`` stops it.
    """

    def __init__(
        self, engine: WatchedEngine, *, work_around: bool = True, most_accesses: int = 1_000_000
    ) -> None:
        self.accesses: list[Access] = []
        self._most_accesses = most_accesses
        self._engine, self._work_around = engine, work_around
        self._callbacks = (_ACCESS(self._load), _ACCESS(self._store))
        self._hooks = [
            engine.hook_add_native(kind, ctypes.cast(callback, ctypes.c_void_p).value or 0, 0)
            for kind, callback in zip(("read", "write"), self._callbacks, strict=True)
        ]
        engine.flush_translations()

    def remove(self) -> None:
        for hook in self._hooks:
            self._engine.hook_del(hook)
        self._engine.flush_translations()

    def _load(self, _uc: int, _kind: int, address: int, size: int, _value: int, _u: int) -> None:
        self._note(address, size, store=False)

    def _store(self, _uc: int, _kind: int, address: int, size: int, _value: int, _u: int) -> None:
        self._note(address, size, store=True)

    def _note(self, address: int, size: int, *, store: bool) -> None:
        engine = self._engine
        self.accesses.append(Access(engine.read_pc(), address, size, store))
        if len(self.accesses) >= self._most_accesses:
            engine.stop()
        if self._work_around and engine.read_epsr() & IT_BITS:
            engine.write_register("xpsr", engine.read_register("xpsr") & ~IT_BITS)


def reconstructed(code: Code, blocks: Iterable[int], addresses: NDArray[np.uint32]) -> list[Access]:
    """List the accesses of a captured run, one per executed memory instruction."""
    found: list[Access] = []
    position = 0
    for block in blocks:
        first, count = code.blocks[block]
        for instruction in code.instructions[first : first + count]:
            memory = instruction.memory
            if memory is None:
                continue
            address = int(addresses[position])
            position += 1
            if address != NO_ACCESS:
                size = memory.unit_bytes * memory.count
                found.append(Access(instruction.address, address, size, not memory.load))
    if position != len(addresses):
        raise AssertionError(f"{len(addresses)} addresses for {position} memory instructions")
    return found


def differences(expected: Sequence[Access], hooked: Sequence[Access], most: int = 5) -> list[str]:
    """Compare reconstructed accesses with hooked ones; the first few differences, in words.

    The hooks see the single transfers of an instruction (of LDM, LDRD, an unaligned word), so
    these are gathered until they make up the access: same instruction, consecutive addresses.
    """
    told: list[str] = []
    queue = deque(hooked)
    for access in expected:
        if len(told) >= most:
            return told
        covered = 0
        while covered < access.size_bytes:
            wanted = access.address + covered
            if not queue:
                return [*told, f"{access}: not seen by the memory hooks"]
            seen = queue[0]
            if (seen.pc, seen.store, seen.address) == (access.pc, False, wanted) and access.store:
                queue.popleft()  # STREX compares before it swaps
                continue
            if (seen.pc, seen.store, seen.address) != (access.pc, access.store, wanted):
                told.append(f"{access}: the memory hooks saw {seen}")
                break
            covered += queue.popleft().size_bytes
        if covered > access.size_bytes:
            told.append(f"{access}: the memory hooks saw {covered} bytes")
    if queue and len(told) < most:
        told.append(f"{queue[0]}: seen by the memory hooks only ({len(queue)} such)")
    return told
