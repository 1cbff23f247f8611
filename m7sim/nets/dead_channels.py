"""Channels with an enormous bias, as converters write for channels that training has switched off.

Their sums lie outside the 30 bits that the kernels scale, and their output is the same whatever the
input is. Such a channel gets a smaller bias, and where channels have scales of their own a larger
scale, with which its output is still that constant; this is checked over all sums that can occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from m7sim.ops.layer import Layer
from m7sim.ops.quantization import MAX_MULTIPLIER_SHIFT, Requantization
from m7sim.ops.reference import Int64
from m7sim.ops.reference_s8 import scaled
from m7sim.ops.shapes import OpType

LIMIT = 1 << 30  # sums below this the kernels scale exactly
HUGE = LIMIT >> 1
_HALVINGS = 4


def tamed(layer: Layer) -> Layer | None:
    """Return the layer with every enormous bias replaced; None if that cannot be done exactly."""
    bias, weights = layer.bias, layer.weights
    if bias is None or weights is None or not (np.abs(bias.astype(np.int64)) > HUGE).any():
        return layer
    scales = layer.requantization
    assert scales.multiplier is not None
    assert scales.shift is not None
    axes = (0, 1) if layer.shape.op is OpType.DEPTHWISE else tuple(range(1, weights.ndim))
    reach = np.abs(weights.astype(np.int64)).sum(axis=axes)
    reach *= max(abs(-128 + scales.in_offset), abs(127 + scales.in_offset))
    new_bias, new_shift = bias.copy(), scales.shift.copy()
    per_channel = new_shift.size == bias.size
    for channel in np.flatnonzero(np.abs(bias.astype(np.int64)) > HUGE):
        row = int(channel) if per_channel else 0
        multiplier, shift = int(scales.multiplier[row]), int(scales.shift[row])
        start, most = int(bias[channel]), int(reach[channel])
        ends = _outputs(start, most, multiplier, shift, scales)
        for low, up in _candidates(start, shift, per_channel=per_channel):
            small = abs(low) + most < LIMIT >> max(up, 0)
            unchanged = (low, up) == (start, shift)
            constant = ends[0] == ends[1]
            if small and (
                unchanged or (constant and _outputs(low, most, multiplier, up, scales) == ends)
            ):
                new_bias[channel], new_shift[row] = low, up
                break
        else:
            return None
    return replace(layer, bias=new_bias, quantization=replace(scales, shift=new_shift))


def _candidates(bias: int, shift: int, *, per_channel: bool) -> Iterator[tuple[int, int]]:
    """Yield biases with shifts to try: as they are, smaller with a larger scale, none at all."""
    yield bias, shift
    for halvings in range(1, _HALVINGS + 1):
        if per_channel:
            yield bias >> halvings, min(shift + halvings, MAX_MULTIPLIER_SHIFT)
        else:
            yield bias >> halvings, shift
    yield 0, shift


def _outputs(
    bias: int, reach: int, multiplier: int, shift: int, scales: Requantization
) -> tuple[int, int]:
    """Return the outputs for the smallest and the largest sum; those between lie between."""
    sums: Int64 = np.array([bias - reach, bias + reach], np.int64)
    out = scaled(sums, multiplier, shift) + scales.out_offset
    low, high = np.clip(out, *scales.clamp)
    return int(low), int(high)
