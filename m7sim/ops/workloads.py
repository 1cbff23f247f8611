"""Seeded work for a shape: inputs, weights and scales under which the outputs stay alive.

Weights and inputs are bell-shaped around their zero points. Scales are such that outputs spread
over int8 as in a trained network (standard deviation about 45 of 127), so that few saturate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from m7sim.errors import InputError
from m7sim.ops.calls import KernelCall, prepare
from m7sim.ops.kernels import kernel_forms
from m7sim.ops.layer import Layer
from m7sim.ops.quantization import (
    AddQuantization,
    Quantization,
    Requantization,
    SoftmaxQuantization,
    channel_multipliers,
)
from m7sim.ops.reference import Activations
from m7sim.ops.shapes import CONVOLUTIONS, WEIGHTED, Family, OpType, Shape
from m7sim.ops.stream import Stream

TYPICAL = 45.0  # standard deviation of activations, in steps of int8
TYPICAL_Q15 = 4500.0  # the same for int16
TYPICAL_WEIGHT = 40.0
IN_ZERO_POINT, OUT_ZERO_POINT = -9, 5  # of the s8 family; odd numbers, as trained networks have
MAX_BYTES = 16 << 20
SOFTMAX_IN_SCALE = 1.0 / 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """One shape with everything a run of it needs.

    Attributes
    ----------
    layer
        Shape, weights, scales.
    inputs
        ``layer.shape.inputs`` arrays.
    seed
        What they were made from.
    """

    layer: Layer
    inputs: tuple[Activations, ...]
    seed: int

    @property
    def shape(self) -> Shape:
        """Operation and sizes."""
        return self.layer.shape

    @property
    def variants(self) -> tuple[str, ...]:
        """Kernel variants that can run it, the usual one first."""
        return kernel_forms(self.shape)

    @cached_property
    def expected(self) -> Activations:
        """The right output, by the NumPy model, in ``shape.out_shape``."""
        return self.layer.forward(*self.inputs)

    def call(self, variant: str = "") -> KernelCall:
        """Lay out the call of a kernel variant, on fresh copies of the inputs.

        Raises
        ------
        InputError
            If the variant cannot run the shape.
        """
        return prepare(self.layer, *self.inputs, form=variant)

    def check(self, call: KernelCall) -> bool:
        """Return whether a call that was made has written the right output."""
        return bool(np.array_equal(call.output, self.expected))


def make(shape: Shape, *, seed: int = 0) -> Workload:
    """Make the work for a shape; the same seed gives the same bytes on every machine.

    Raises
    ------
    InputError
        If the shape is larger than the memory of any chip of this kind.
    """
    if shape.bytes_moved > MAX_BYTES:
        raise InputError(
            f"{shape.op.value} {shape.label} needs {shape.bytes_moved / 2**20:.0f} MiB",
            do=f"Take a shape of at most {MAX_BYTES >> 20} MiB in all.",
        )
    stream = Stream(seed)
    inputs = tuple(_activations(stream, shape) for _ in range(shape.inputs))
    if shape.op not in WEIGHTED:
        layer = Layer(name=shape.op.value, shape=shape, quantization=_quantization(shape))
        return Workload(layer=layer, inputs=inputs, seed=seed)
    make_layer = _s8_layer if shape.family is Family.S8 else _power_of_two_layer
    return Workload(layer=make_layer(stream, shape), inputs=inputs, seed=seed)


def _activations(stream: Stream, shape: Shape) -> Activations:
    count = shape.in_elements
    if shape.family is Family.Q15:
        x = np.clip(stream.wide(count, TYPICAL_Q15), -32768, 32767).astype(np.int16)
        return x.reshape(shape.in_shape)
    centre = IN_ZERO_POINT if shape.family is Family.S8 else 0
    centred = stream.wide(count, TYPICAL) + centre
    return np.clip(centred, -128, 127).astype(np.int8).reshape(shape.in_shape)


def _power_of_two_layer(stream: Stream, shape: Shape) -> Layer:
    """Weights whose spread makes a shift by a whole number of bits keep the spread of the input."""
    spread = float(np.sqrt(shape.macs_per_output))
    out_shift = int(spread * TYPICAL_WEIGHT).bit_length() - 1
    weights = stream.normal(shape.weights, 2.0**out_shift / spread)
    wide = shape.family is Family.Q15
    return Layer(
        name=shape.op.value,
        shape=shape,
        weights=weights.reshape(shape.weight_shape or ()),
        bias=stream.normal(shape.out_ch, 12.0),
        bias_shift=out_shift + 5 if wide else max(out_shift - 1, 0),
        out_shift=out_shift,
    )


def _s8_layer(stream: Stream, shape: Shape) -> Layer:
    """Weights with a spread and a scale per output channel, as per-channel quantization gives."""
    channels = shape.out_ch
    spreads = stream.integers(channels, 25, 45)
    bell = stream.wide(shape.weights, 100.0)
    by_channel = bell.reshape(shape.weight_shape or ())
    if shape.op is OpType.DEPTHWISE:
        scaled = by_channel * spreads
    else:
        scaled = by_channel * spreads.reshape(-1, *[1] * (by_channel.ndim - 1))
    weights = np.clip(scaled // 100, -127, 127).astype(np.int8)
    sums = np.sqrt(float(shape.macs_per_output)) * TYPICAL * spreads
    if shape.op in CONVOLUTIONS:
        multiplier, shift = channel_multipliers(TYPICAL / sums)
    else:
        multiplier, shift = channel_multipliers(np.array([TYPICAL / sums.mean()]))
    bias = stream.wide(channels, 100.0) * np.rint(sums).astype(np.int64) // 400
    return Layer(
        name=shape.op.value,
        shape=shape,
        weights=weights,
        bias=bias.astype(np.int32),
        quantization=Requantization(
            in_offset=-IN_ZERO_POINT,
            out_offset=OUT_ZERO_POINT,
            multiplier=multiplier,
            shift=shift,
        ),
    )


def _quantization(shape: Shape) -> Quantization | None:
    if shape.family is not Family.S8:
        return None
    if shape.op is OpType.ADD:
        return AddQuantization.from_scales(
            (0.043, 0.031, 0.052), (IN_ZERO_POINT, IN_ZERO_POINT, OUT_ZERO_POINT)
        )
    if shape.op is OpType.SOFTMAX:
        return SoftmaxQuantization.from_scale(SOFTMAX_IN_SCALE)
    if shape.op is OpType.RELU:
        return Requantization(clamp=(IN_ZERO_POINT, 127))
    return Requantization()
