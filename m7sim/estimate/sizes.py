"""Sizes of many shapes at once, and what follows from them along one axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from m7sim.ops.shapes import Shape

I64 = npt.NDArray[np.int64]

SIZES = (
    "in_y", "in_x", "in_ch", "out_y", "out_x", "out_ch",
    "kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x",
)  # fmt: skip


class Cache(NamedTuple):
    """What the counts need to know of a data cache."""

    bytes: int
    line_bytes: int
    ways: int


class Sizes:
    """Sizes of many shapes of one operation, int64[shape] each, by the names of `SIZES`."""

    in_y: I64
    in_x: I64
    in_ch: I64
    out_y: I64
    out_x: I64
    out_ch: I64
    kernel_y: I64
    kernel_x: I64
    stride_y: I64
    stride_x: I64
    pad_y: I64
    pad_x: I64

    def __init__(self, values: I64) -> None:
        """Take int64[shape, size], columns as `SIZES`."""
        self.values = np.asarray(values, dtype=np.int64).reshape(-1, len(SIZES))
        for name, column in zip(SIZES, self.values.T, strict=True):
            setattr(self, name, column)

    @classmethod
    def of(cls, shapes: Iterable[Shape | Mapping[str, Any]]) -> Sizes:
        """Return the sizes of shapes, or of rows of a table."""
        rows = [
            [s[n] for n in SIZES] if isinstance(s, Mapping) else [getattr(s, n) for n in SIZES]
            for s in shapes
        ]
        return cls(np.array(rows, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, which: Any) -> Sizes:
        return Sizes(self.values[which])


def taps_inside(size: I64, kernel: I64, stride: I64, pad: I64, out: I64) -> tuple[I64, I64]:
    """Count along one axis, over all outputs, taps inside the image; and outputs with all inside.

    Returns
    -------
    Two arrays, int64[shape].
    """
    inside = np.zeros_like(size)
    for tap in range(int(kernel.max(initial=0))):
        first = np.maximum(0, -((tap - pad) // stride))
        last = np.minimum(out - 1, (size - 1 + pad - tap) // stride)
        inside += np.where(tap < kernel, np.maximum(0, last - first + 1), 0)
    first = np.maximum(0, -(-pad // stride))
    last = np.minimum(out - 1, (size - kernel + pad) // stride)
    return inside, np.maximum(0, last - first + 1)
