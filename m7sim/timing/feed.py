"""Checks of what is fed to a timer, without the interpreter lock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from m7sim.jit import kernel
from m7sim.timing.state import Records


@kernel
def count_accesses(block_table: Records, blocks: NDArray[np.int32]) -> int:
    """Accesses of executed blocks; -1 when there is an id among them that is none of a block."""
    total = 0
    for n in range(blocks.shape[0]):
        id_ = blocks[n]
        if id_ < 0 or id_ >= block_table.shape[0]:
            return -1
        total += block_table[id_]["accesses"]
    return total
