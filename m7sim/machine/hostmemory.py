"""Host memory that stands for the chip's."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
