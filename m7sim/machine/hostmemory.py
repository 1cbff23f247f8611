"""Host memory that stands for the chip's."""

from __future__ import annotations

import mmap
import weakref
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m7sim.errors import InputError

READ, WRITE, EXECUTE = 1, 2, 4  # Unicorn's

_LARGE_BYTES = 4 << 20  # memory above this size is cleared by giving its pages back


@dataclass(frozen=True, slots=True)
class HostMemory:
    """A piece of the memory map."""

    start: int
    raw: mmap.mmap
    data: NDArray[np.uint8]
    code: bool  # the engine may have translated from it

    def clear(self) -> None:
        """Set to zero."""
        if len(self.data) > _LARGE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self.raw.madvise(mmap.MADV_DONTNEED)
        else:
            self.data[:] = 0


def anonymous(size_bytes: int) -> mmap.mmap:
    """Return page-aligned memory that costs nothing until touched."""
    if hasattr(mmap, "MAP_PRIVATE"):  # a private map reads as zero again once given back
        return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size_bytes)


class MappedMemory:
    """The memory of an engine: the part of it that maps, reads and writes.

    Parameters
    ----------
    uc
        The Unicorn object.
    failure
        What it raises.
    """

    def __init__(self, uc: Any, failure: type[Exception]) -> None:
        self._uc, self._failure = uc, failure
        self._memories: list[HostMemory] = []
        self._shared_names: dict[str, mmap.mmap] = {}

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Keep what a callback raised, and stop."""

    @abstractmethod
    def flush_translations(self) -> None: ...

    def map_memory(self, start: int, size_bytes: int, *, permissions: int, share: str = "") -> None:
        """Map memory; areas with the same name in ``share`` hold the same bytes."""
        raw = self._shared_names.get(share) if share else None
        if raw is None:
            raw = anonymous(size_bytes)  # page-aligned, and costs nothing until touched
            if share:
                self._shared_names[share] = raw
        data = np.frombuffer(raw, np.uint8)
        self._uc.mem_map_ptr(start, size_bytes, permissions, data.ctypes.data)
        self._memories.append(HostMemory(start, raw, data, bool(permissions & EXECUTE)))
        self._memories.sort(key=lambda memory: memory.start)

    def map_registers(
        self,
        start: int,
        size_bytes: int,
        read: Callable[[int, int], int],
        write: Callable[[int, int, int], None],
    ) -> None:
        """Map registers: ``read(address, size) -> value`` and ``write(address, size, value)``."""
        me = weakref.ref(self)  # Unicorn holds its callbacks: no cycle through them

        def on_read(_uc: Any, offset: int, size: int, _data: Any) -> int:
            try:
                return read(start + offset, size)
            except BaseException as error:  # not through native code: raised again by run()
                _fail(me, error)
                return 0

        def on_write(_uc: Any, offset: int, size: int, value: int, _data: Any) -> None:
            try:
                write(start + offset, size, value)
            except BaseException as error:
                _fail(me, error)

        self._uc.mmio_map(start, size_bytes, on_read, None, on_write, None)

    def clear_memory(self) -> None:
        """Set all memory to zero."""
        for memory in self._memories:
            memory.clear()
        self.flush_translations()

    def _memory(self, address: int, size_bytes: int) -> tuple[HostMemory, int] | None:
        for memory in self._memories:
            offset = address - memory.start
            if offset >= 0 and offset + size_bytes <= len(memory.data):
                return memory, offset
        return None

    def view(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        """Return the bytes of mapped memory themselves, not a copy.

        Raises
        ------
        InputError
            If that is not within one mapped memory.
        """
        found = self._memory(address, size_bytes)
        if found is None:
            raise InputError(f"no memory for {size_bytes} bytes", where=f"0x{address:08x}")
        memory, offset = found
        return memory.data[offset : offset + size_bytes]

    def read(self, address: int, size_bytes: int) -> bytes:
        """Return bytes of mapped memory; may cross from one memory to the next."""
        found = self._memory(address, size_bytes)
        if found is not None:
            memory, offset = found
            return memory.data[offset : offset + size_bytes].tobytes()
        try:
            return bytes(self._uc.mem_read(address, size_bytes))
        except self._failure as error:
            raise InputError(
                f"cannot read {size_bytes} bytes: no memory", where=f"0x{address:08x}"
            ) from error

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to mapped memory, read-only ones included."""
        if not data:
            return
        found = self._memory(address, len(data))
        if found is None:
            try:
                self._uc.mem_write(address, data)
            except self._failure as error:
                raise InputError(
                    f"cannot write {len(data)} bytes: no memory", where=f"0x{address:08x}"
                ) from error
            self.flush_translations()
            return
        memory, offset = found
        memory.data[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        if memory.code:  # neither the engine nor its API notices a host's write
            for other in self._memories:
                if other.raw is memory.raw:
                    begin = other.start + offset
                    self._uc.ctl_remove_cache(begin, begin + len(data))


def _fail(me: weakref.ref[MappedMemory], error: BaseException) -> None:
    memory = me()
    if memory is not None:
        memory.fail(error)
