"""Direct branches of a program, and what start-up runs before RAM holds any code."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.elf import Image

I64 = NDArray[np.int64]

_WIDE: Final = 0b11101  # from here on, the first five bits of an instruction of four bytes
PIPELINE_BYTES: Final = 4  # pc is ahead of the instruction by this
# Called by reset handlers when all is copied.
_AFTER_COPIES: Final = ("main", "exit", "_exit", "__libc_init_array", "_init", "abort", "_start")


class Branches(NamedTuple):
    """Direct calls and jumps of a program: where they are and where they go, int64[n] each."""

    source: I64
    target: I64


def direct_branches(image: Image) -> Branches:
    """Find every BL and B.W of a program, executed or not: any of them may need a veneer."""
    source, target = [], []
    for start, end in image.code_ranges():
        words = np.frombuffer(image.read(start, (end - start) & ~1) or b"", "<u2").tolist()
        at = 0
        while at + 1 < len(words):
            high, low = words[at], words[at + 1]
            if high >> 11 < _WIDE:
                at += 1
                continue
            if high & 0xF800 == 0xF000 and low & 0x9000 == 0x9000:  # BL, or B.W without condition
                source.append(start + 2 * at)
                target.append(start + 2 * at + PIPELINE_BYTES + _offset(high, low))
            at += 2
    return Branches(np.array(source, np.int64), np.array(target, np.int64))


def _offset(high: int, low: int) -> int:
    """Return the distance that a BL or B.W encodes (Armv7-M ARM A7.7.12, A7.7.18)."""
    sign = high >> 10 & 1
    near, far = ~(low >> 11 ^ sign) & 1, ~(low >> 13 ^ sign) & 1
    value = far << 23 | near << 22 | (high & 0x3FF) << 12 | (low & 0x7FF) << 1
    return value - (sign << 24)


def start_up_functions(image: Image) -> set[str]:
    """Return the functions that must stay where the chip boots: they fill the other memories.

    The reset handler and what it calls, but for `main` and the like.
    """
    vectors = image.vector_table
    words = image.read(vectors + 4, 4) if vectors is not None else None
    reset = image.function_at(int.from_bytes(words, "little")) if words else None
    if reset is None:
        return set()
    found = direct_branches(image)
    end = reset.address + reset.size_bytes
    inside = (found.source >= reset.address) & (found.source < end)
    called = (image.function_at(target) for target in found.target[inside].tolist())
    names = {reset.name, *(function.name for function in called if function is not None)}
    return names.difference(_AFTER_COPIES)
