"""How other libraries lay out weights and images, as changes of our plain order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from m7sim.board.schema import suggestion
from m7sim.characterize.call import Array
from m7sim.errors import TableError
from m7sim.ops.reference import interleave_x4, interleave_x4_q15
from m7sim.ops.shapes import CONVOLUTIONS, OpType, Shape

TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32")
INTERLEAVES: dict[str, Callable[[Array], Array]] = {
    "x4": interleave_x4,
    "x4_q15": interleave_x4_q15,
}
IMAGE_AXES = ("y", "x", "ch")


def weight_axes(op: OpType) -> tuple[str, ...]:
    """Return the names of the axes of our weights, outermost first; empty without weights."""
    if op is OpType.DEPTHWISE:
        return "kernel_y", "kernel_x", "ch"
    if op in CONVOLUTIONS:
        return "out_ch", "kernel_y", "kernel_x", "in_ch"
    return ("out", "in") if op is OpType.FULLY_CONNECTED else ()


@dataclass(frozen=True)
class Layout:
    """Order of the axes, grouping and element type of an array; the default changes nothing.

    Attributes
    ----------
    axes
        Our axes in the library's order, outermost first; empty for ours.
    interleave
        Name of a grouping of the (two-dimensional) weights, or "".
    dtype
        Element type, or "" for that of the workload.
    """

    axes: tuple[str, ...] = ()
    interleave: str = ""
    dtype: str = ""

    def check(self, ours: Sequence[str], where: str) -> None:
        """Raise TableError if it does not fit arrays with our axes ``ours``."""
        for axis in self.axes:
            if axis not in ours:
                raise TableError(f"no axis {axis!r}", where=where, do=suggestion(axis, ours))
        if self.axes and sorted(self.axes) != sorted(ours):
            raise TableError(
                f"axes {' '.join(self.axes)!r} do not name each axis once",
                where=where,
                do=f"They are: {' '.join(ours)}",
            )
        if self.interleave and self.interleave not in INTERLEAVES:
            do = suggestion(self.interleave, INTERLEAVES)
            raise TableError(f"no interleave {self.interleave!r}", where=where, do=do)
        if self.interleave and len(ours) != 2:
            raise TableError("only weights of two axes can be interleaved", where=where)
        if self.dtype and self.dtype not in TYPES:
            do = suggestion(self.dtype, TYPES)
            raise TableError(f"no element type {self.dtype!r}", where=where, do=do)

    def apply(self, array: Array, ours: Sequence[str]) -> Array:
        """Return a new array in this layout."""
        if self.axes:
            array = array.transpose([ours.index(axis) for axis in self.axes])
        array = np.ascontiguousarray(array)
        if self.interleave:
            array = INTERLEAVES[self.interleave](array)
        return array.astype(self.dtype or array.dtype, copy=True)

    def undo(self, array: Array, shape: Shape) -> Array:
        """Return an output image of this layout in our order."""
        ours = IMAGE_AXES
        if not self.axes:
            return array.reshape(shape.out_shape)
        sizes = dict(zip(ours, shape.out_shape, strict=True))
        image = array.reshape([sizes[axis] for axis in self.axes])
        return image.transpose([self.axes.index(axis) for axis in ours])
