"""How taps of a window fall into the sets of a data cache, and which sets that is too much for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from m7sim.estimate.sizes import Cache, Sizes

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

MAX_SIDE = 32  # of windows that are followed tap by tap into the sets of the cache


def lines_by_set(s: Sizes, row: I64, step: I64, cache: Cache) -> I64:
    """Return how many lines of the taps of one channel fall into each set, int64[shape, set].

    Parameters
    ----------
    row, step
        Bytes from one row of taps to the next, and from one tap to the next.
    """
    sets = cache.bytes // cache.ways // cache.line_bytes
    lines = np.zeros((len(s), sets), dtype=np.int64)
    every = np.arange(len(s))
    for y in range(min(int(s.kernel_y.max(initial=0)), MAX_SIDE)):
        last = np.full(len(s), -1)
        for x in range(min(int(s.kernel_x.max(initial=0)), MAX_SIDE)):
            line = (y * row + x * step) // cache.line_bytes
            lines[every, line % sets] += (y < s.kernel_y) & (x < s.kernel_x) & (line != last)
            last = line
    return lines


def crowded(lines: I64, cache: Cache, *, others: int = 0) -> I64:
    """Return how many lines lie in sets of the cache that have fewer ways, int64[shape].

    ``others`` is the number of ways that something else takes.
    """
    return np.asarray((lines * (lines > cache.ways - others)).sum(axis=1))


def crowded_together(lines: I64, others: I64, cache: Cache) -> F64:
    """Return the same for two arrays, on average over where they lie to each other."""
    sets = lines.shape[1]
    every = [crowded(lines + np.roll(others, shift, axis=1), cache) for shift in range(sets)]
    return np.asarray(np.mean(every, axis=0))
