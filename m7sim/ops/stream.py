"""Random test data that is the same on every machine and with every NumPy.

The bytes come from the raw stream of PCG64, which NumPy keeps stable; everything behind it is
integer arithmetic and single IEEE operations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]

_UNIFORM_SUM = 147.8  # standard deviation of the sum of four uniform int8 values


class Stream:
    """Bell-shaped integers from a seed; each call takes the next ones of the stream."""

    def __init__(self, seed: int) -> None:
        self._stream = np.random.PCG64(seed)

    def normal(self, count: int, deviation: float) -> Int8:
        """Return ``count`` int8 values around 0, clipped at both ends."""
        scaled = np.rint(self._sums(count) * (deviation / _UNIFORM_SUM))
        values: Int8 = np.clip(scaled, -128, 127).astype(np.int8)
        return values

    def wide(self, count: int, deviation: float) -> Int64:
        """Return ``count`` integers around 0, up to 3.5 deviations away."""
        values: Int64 = np.rint(self._sums(count) * (deviation / _UNIFORM_SUM)).astype(np.int64)
        return values

    def integers(self, count: int, low: int, high: int) -> Int64:
        """Return ``count`` integers spread evenly from ``low`` to ``high`` inclusive."""
        words = np.atleast_1d(self._stream.random_raw(count)) >> np.uint64(33)
        values: Int64 = low + (words % np.uint64(high - low + 1)).astype(np.int64)
        return values

    def _sums(self, count: int) -> Int64:
        words = np.atleast_1d(self._stream.random_raw((count + 1) // 2)).astype("<u8")
        sums: Int64 = (
            words.view(np.int8)[: 4 * count].reshape(count, 4).astype(np.int64).sum(axis=1)
        )
        return sums
