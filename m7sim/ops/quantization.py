"""Scales of the s8 family as the integers its kernels take.

A real number is ``scale * (integer + offset)``; a layer's outputs come out of 32-bit accumulators
by a fixed-point multiplication with ``multiplier * 2^(shift - 31)``, multiplier in [2^30, 2^31).
The scheme is that of TensorFlow Lite's int8 operators.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError

Int32 = npt.NDArray[np.int32]
Int8Range = tuple[int, int]

WHOLE_RANGE: Int8Range = (-128, 127)
ADD_LEFT_SHIFT = 20  # headroom bits that both inputs of an addition get before they are scaled
MAX_MULTIPLIER_SHIFT = 30
SOFTMAX_INTEGER_BITS = 5  # differences to the maximum are fixed-point numbers with 5 integer bits


@dataclass(frozen=True, kw_only=True, eq=False)
class Requantization:
    """Offsets, output scale and clamp of a layer; poolings and rectifiers use the clamp only.

    Attributes
    ----------
    in_offset
        Added to every input: minus the input's zero point, -127 to 128.
    out_offset
        Added to every output: its zero point, -128 to 127.
    multiplier, shift
        int32 per output channel (convolutions) or of one element (fully connected).
    clamp
        Smallest and largest output; a rectifier that follows is the smaller one at ``out_offset``.
    """

    in_offset: int = 0
    out_offset: int = 0
    multiplier: Int32 | None = None
    shift: Int32 | None = None
    clamp: Int8Range = WHOLE_RANGE

    def __post_init__(self) -> None:
        _check_clamp(self.clamp)
        if not -127 <= self.in_offset <= 128 or not -128 <= self.out_offset <= 127:
            raise InputError(f"offsets {self.in_offset} and {self.out_offset} are not of int8")
        if (self.multiplier is None) != (self.shift is None):
            raise InputError("a multiplier needs a shift")
        if self.multiplier is not None and self.shift is not None:
            _check_multipliers(self.multiplier, self.shift)

    @classmethod
    def from_scales(
        cls,
        scales: tuple[float, npt.NDArray[np.floating[Any]], float],
        zero_points: tuple[int, int],
        *,
        clamp: Int8Range = WHOLE_RANGE,
    ) -> Requantization:
        """Derive it from the scales of input, weights (one or one per channel) and output.

        Parameters
        ----------
        scales
            Of input, weights, output, as the float32 values that a model file holds.
        zero_points
            Of input and output.
        """
        first, weights, out = scales
        factors = float(first) * weights.astype(np.float64) / float(out)
        multiplier, shift = channel_multipliers(factors)
        return cls(
            in_offset=-zero_points[0],
            out_offset=zero_points[1],
            multiplier=multiplier,
            shift=shift,
            clamp=clamp,
        )


@dataclass(frozen=True, kw_only=True)
class AddQuantization:
    """How two inputs come to one scale, are added, and come to that of the output.

    Attributes
    ----------
    in_offsets, in_multipliers, in_shifts
        Of the two inputs.
    out_offset, out_multiplier, out_shift, clamp
        Of the output.
    """

    in_offsets: tuple[int, int]
    in_multipliers: tuple[int, int]
    in_shifts: tuple[int, int]
    out_offset: int
    out_multiplier: int
    out_shift: int
    clamp: Int8Range = WHOLE_RANGE

    def __post_init__(self) -> None:
        _check_clamp(self.clamp)
        shifts = (*self.in_shifts, self.out_shift)
        if max(shifts) > 0 or min(shifts) < -31:
            raise InputError(f"an addition has shifts of -31 to 0 bits, not {shifts}")
        if not all(0 <= m < 1 << 31 for m in (*self.in_multipliers, self.out_multiplier)):
            raise InputError("a multiplier below 0 or above 2^31 - 1")

    @classmethod
    def from_scales(
        cls,
        scales: tuple[float, float, float],
        zero_points: tuple[int, int, int],
        *,
        clamp: Int8Range = WHOLE_RANGE,
    ) -> AddQuantization:
        """Derive it from scale and zero point of first input, second input and output."""
        first, second, out = scales
        common = 2.0 * max(first, second)
        one = quantize_multiplier(first / common)
        two = quantize_multiplier(second / common)
        last = quantize_multiplier(common / ((1 << ADD_LEFT_SHIFT) * out))
        return cls(
            in_offsets=(-zero_points[0], -zero_points[1]),
            in_multipliers=(one[0], two[0]),
            in_shifts=(one[1], two[1]),
            out_offset=zero_points[2],
            out_multiplier=last[0],
            out_shift=last[1],
            clamp=clamp,
        )


@dataclass(frozen=True, kw_only=True)
class SoftmaxQuantization:
    """Scale of a softmax's input; its output always has scale 1/256 and zero point -128.

    Attributes
    ----------
    multiplier, shift
        Bring a difference of inputs to a fixed-point number with 5 integer bits.
    diff_min
        Differences to the largest input below this count as 0.
    """

    multiplier: int
    shift: int
    diff_min: int

    @classmethod
    def from_scale(cls, in_scale: float, *, beta: float = 1.0) -> SoftmaxQuantization:
        """Derive it from the scale of the input."""
        fraction_bits = 31 - SOFTMAX_INTEGER_BITS
        real = min(beta * in_scale * (1 << fraction_bits), float((1 << 31) - 1))
        multiplier, shift = quantize_multiplier(real)
        top = ((1 << SOFTMAX_INTEGER_BITS) - 1) * 2.0**fraction_bits / 2.0**shift
        return cls(multiplier=multiplier, shift=shift, diff_min=-math.floor(top))


def activation_clamp(kind: str, scale: float, zero_point: int) -> Int8Range:
    """Return the clamp of an output for the rectifier that follows it.

    Parameters
    ----------
    kind
        ``"none"``, ``"relu"`` or ``"relu6"``.
    scale, zero_point
        Of the output.

    Raises
    ------
    InputError
        If the kind is another.
    """
    match kind:
        case "none":
            return WHOLE_RANGE
        case "relu":
            return max(zero_point, -128), 127
        case "relu6":
            six = zero_point + math.floor(float(np.float32(6.0) / np.float32(scale)) + 0.5)
            return max(zero_point, -128), min(six, 127)
    raise InputError(f"activation {kind!r}", do="Use none, relu or relu6.")


Quantization = Requantization | AddQuantization | SoftmaxQuantization


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return the fixed-point form ``(multiplier, shift)`` of a factor.

    Returns
    -------
    ``real`` is about ``multiplier * 2**(shift - 31)``; ``(0, 0)`` for 0 and for what is too small.

    Raises
    ------
    InputError
        If the factor is negative or 2^30 or more.
    """
    if not 0.0 <= real < 2.0**31:
        raise InputError(f"a scale factor of {real}", do="Check the scales.")
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2.0**31 + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def channel_multipliers(factors: npt.NDArray[np.float64]) -> tuple[Int32, Int32]:
    """Return `quantize_multiplier` of each factor, as two int32 arrays."""
    pairs = [quantize_multiplier(float(factor)) for factor in factors]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0].astype(np.int32), table[:, 1].astype(np.int32)


def _check_clamp(clamp: Int8Range) -> None:
    if not -128 <= clamp[0] <= clamp[1] <= 127:
        raise InputError(f"a clamp from {clamp[0]} to {clamp[1]}", do="Keep it inside int8.")


def _check_multipliers(multiplier: Int32, shift: Int32) -> None:
    if multiplier.dtype != np.int32 or shift.dtype != np.int32 or multiplier.ndim != 1:
        raise InputError("multiplier and shift are vectors of int32")
    if multiplier.shape != shift.shape:
        raise InputError(f"{multiplier.size} multipliers with {shift.size} shifts")
    if multiplier.min() < 0 or shift.min() < -31 or shift.max() > MAX_MULTIPLIER_SHIFT:
        raise InputError("a multiplier below 0, or a shift outside -31 to 30")
