"""Operations between layers that only some networks have: means over axes, and transposition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from m7sim.nets.graph import Work
from m7sim.nets.lower_ops import NotCovered, one_scale
from m7sim.nets.raw import RawOp, RawTensor
from m7sim.ops.calls import Argument, KernelCall
from m7sim.ops.quantization import quantize_multiplier
from m7sim.ops.reference import Activations, Int8
from m7sim.ops.reference_s8 import scaled

MAX_REDUCED = 1 << 20  # sums of 256 times that stay below 2^30


@dataclass(frozen=True)
class MeanS8:
    """Mean over the middle of three axes, from one scale to another.

    Attributes
    ----------
    sides
        Outer, reduced and inner.
    in_offset, multiplier, shift, out_offset
        Of the sums; the division is in multiplier and shift.
    """

    sides: tuple[int, int, int]
    in_offset: int
    multiplier: int
    shift: int
    out_offset: int

    type = "mean"
    macs = 0
    weight_bytes = 0
    scratch_bytes = 0
    function = "m7nn_mean_s8"

    @property
    def ops(self) -> int:
        """An addition per element."""
        return prod(self.sides)

    def forward(self, *inputs: Activations) -> Activations:
        """Compute it by the NumPy model."""
        sums = (inputs[0].reshape(self.sides).astype(np.int64) + self.in_offset).sum(axis=1)
        out = scaled(sums, self.multiplier, self.shift) + self.out_offset
        found: Activations = np.clip(out, -128, 127).astype(np.int8)
        return found

    def prepare(self, *inputs: Activations) -> KernelCall:
        """Lay out the C call."""
        outer, reduced, inner = self.sides
        numbers = {"outer": outer, "reduced": reduced, "inner": inner, "in_offset": self.in_offset}
        numbers |= {"multiplier": self.multiplier, "shift": self.shift}
        return _call(
            self.function, inputs[0], numbers | {"out_offset": self.out_offset}, outer * inner
        )


@dataclass(frozen=True)
class Transpose:
    """Up to four axes in another order.

    Attributes
    ----------
    sides
        Of the input, four.
    order
        Axis of the input for each of the output.
    """

    sides: tuple[int, ...]
    order: tuple[int, ...]

    type = "transpose"
    macs = 0
    weight_bytes = 0
    scratch_bytes = 0
    function = "m7nn_transpose"

    @property
    def ops(self) -> int:
        """A copy per element."""
        return prod(self.sides)

    def forward(self, *inputs: Activations) -> Activations:
        """Compute it by the NumPy model."""
        return np.ascontiguousarray(inputs[0].reshape(self.sides).transpose(self.order))

    def prepare(self, *inputs: Activations) -> KernelCall:
        """Lay out the C call."""
        steps = [prod(self.sides[axis + 1 :]) for axis in range(len(self.sides))]
        numbers = {f"size{n}": self.sides[axis] for n, axis in enumerate(self.order)}
        numbers |= {f"step{n}": steps[axis] for n, axis in enumerate(self.order)}
        return _call(self.function, inputs[0], numbers, prod(self.sides))


def mean(op: RawOp, read: Sequence[RawTensor | None], made: RawTensor) -> MeanS8:
    """Make a mean over neighbouring axes of what a file says."""
    x, axes = _operands(op, read, made)
    rank = len(x.shape)
    chosen = sorted({int(axis) % rank for axis in axes}) if rank else []
    if not chosen or chosen != list(range(chosen[0], chosen[-1] + 1)):
        raise NotCovered("axes apart")
    first, last = chosen[0], chosen[-1] + 1
    sides = prod(x.shape[:first]), prod(x.shape[first:last]), prod(x.shape[last:])
    if not 1 <= sides[1] <= MAX_REDUCED or sides[0] * sides[2] != made.elements:
        raise NotCovered("another size")
    (in_scale, in_zero), (out_scale, out_zero) = one_scale(x), one_scale(made)
    multiplier, shift = quantize_multiplier(in_scale / out_scale)
    # The interpreters divide the multiplier, after they have shifted it as far as it can go.
    up = max(min(sides[1].bit_length() - 1, 32, 31 + shift), 0)
    if shift > up:
        raise NotCovered("a much smaller output scale")
    return MeanS8(sides, -in_zero, (multiplier << up) // sides[1], shift - up, out_zero)


def transpose(op: RawOp, read: Sequence[RawTensor | None], made: RawTensor) -> Transpose:
    """Make a transposition of what a file says."""
    x, order = _operands(op, read, made)
    rank = len(x.shape)
    if rank > 4 or sorted(order) != list(range(rank)):
        raise NotCovered("more than 4 axes" if rank > 4 else "another order")
    if tuple(x.shape[axis] for axis in order) != made.shape or x.scale != made.scale:
        raise NotCovered("another size or scale")
    more = 4 - rank
    sides = (1,) * more + x.shape
    return Transpose(sides, (*range(more), *(int(axis) + more for axis in order)))


MADE: Mapping[str, Callable[[RawOp, Sequence[RawTensor | None], RawTensor], Work]] = {
    "MEAN": mean,
    "TRANSPOSE": transpose,
}
"""What makes a work of an operator."""


def _operands(
    op: RawOp, read: Sequence[RawTensor | None], made: RawTensor
) -> tuple[RawTensor, list[int]]:
    x, second = read[0], read[1] if len(read) > 1 else None
    if x is None or second is None or second.data is None or x.data is not None:
        raise NotCovered("axes that are no constant")
    if x.dtype != "int8" or made.dtype != "int8":
        raise NotCovered(x.dtype)
    if second.data.dtype.kind != "i" or second.data.size > 8:
        raise NotCovered("odd axes")
    return x, [int(axis) for axis in second.data.reshape(-1)]


def _call(function: str, x: Activations, numbers: dict[str, int], elements: int) -> KernelCall:
    out: Int8 = np.zeros(elements, np.int8)
    parameters: dict[str, Argument] = {"in": np.ascontiguousarray(x).reshape(-1).copy()}
    parameters |= numbers
    parameters["out"] = out
    return KernelCall(function=function, parameters=parameters, output=out, returns_status=False)
