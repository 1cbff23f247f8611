"""Exact integer models of the s8 kernels: the oracle of their tests.

A number stands for ``scale * (integer + offset)``. Sums are 32-bit; an output is the sum times
``multiplier * 2^(shift - 31)``, rounded twice: in the high multiplication (to nearest, midpoints
up) and in the right shift (to nearest, midpoints away from zero), plus the output's offset, and
clamped. That is what TensorFlow Lite's reference operators for microcontrollers compute, bit by
bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.ops.quantization import (
    ADD_LEFT_SHIFT,
    SOFTMAX_INTEGER_BITS,
    AddQuantization,
    Int32,
    Quantization,
    Requantization,
    SoftmaxQuantization,
)
from m7sim.ops.reference import (
    Activations,
    Int8,
    Int64,
    channel_sums,
    dense_sums,
    pool_spans,
    windows,
)
from m7sim.ops.shapes import CONVOLUTIONS, OpType, Shape

Exponents = int | npt.NDArray[np.int32] | Int64
_ONE = 1 << 31
# exp(-1/8), and exp(-2^k) for k from -2, as fractions of 2^31
_EXP_EIGHTH = 1895147668
_EXP_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
_SUM_INTEGER_BITS = 12  # the sum of a softmax is a fixed-point number with 12 integer bits


def forward(
    shape: Shape,
    inputs: Sequence[Activations],
    weights: Int8 | None,
    bias: npt.NDArray[np.signedinteger] | None,
    quantization: Quantization | None,
) -> Int8:
    """Compute one operation.

    Parameters
    ----------
    shape
        Operation and sizes, of the s8 family.
    inputs
        Images ``[y, x, ch]``, as many as ``shape.inputs``.
    weights, bias
        In the shapes of `m7sim.ops.layer.Layer`, or None.
    quantization
        Of the kind the operation takes.

    Raises
    ------
    InputError
        If the quantization is of another kind.
    """
    x = inputs[0].astype(np.int8)
    if isinstance(quantization, AddQuantization):
        return add(x, inputs[1].astype(np.int8), quantization)
    if isinstance(quantization, SoftmaxQuantization):
        return softmax(x, quantization)
    if not isinstance(quantization, Requantization):
        raise InputError(f"{shape.op.value} of the s8 family needs its scales")
    if shape.op is OpType.RELU:
        return _clamped(x.astype(np.int64), quantization)
    if shape.op in (OpType.MAX_POOL, OpType.AVE_POOL):
        return _pool(shape, x, quantization)
    assert weights is not None  # Layer checks them against the shape
    assert bias is not None
    if shape.op in CONVOLUTIONS:
        sums = _convolution_sums(shape, x, weights, quantization.in_offset)
    else:
        vector = x.ravel().astype(np.int64) + quantization.in_offset
        sums = weights.astype(np.int64) @ vector
    return requantise(sums + bias, quantization)


def requantise(sums: Int64, scaling: Requantization) -> Int8:
    """Bring sums ``[…, out_ch]`` to int8: scale, output offset, clamp."""
    assert scaling.multiplier is not None
    assert scaling.shift is not None
    wrapped = sums.astype(np.int32).astype(np.int64)
    return _clamped(
        scaled(wrapped, scaling.multiplier, scaling.shift) + scaling.out_offset, scaling
    )


def scaled(x: Int64, multiplier: int | Int32, shift: Exponents) -> Int64:
    """Return ``x * multiplier * 2^(shift - 31)``, rounded twice."""
    left, right = np.maximum(shift, 0), np.maximum(-np.asarray(shift, np.int64), 0)
    return rounding_shift(high_product(x << left, np.asarray(multiplier, np.int64)), right)


def high_product(x: Int64, y: Int64 | np.int64 | int) -> Int64:
    """Return ``x * y / 2^31`` to the nearest, midpoints up."""
    product: Int64 = (x * y + (1 << 30)) >> 31
    return product


def rounding_shift(x: Int64, bits: Int64 | int) -> Int64:
    """Return ``x / 2^bits`` to the nearest, midpoints away from zero."""
    half = (np.int64(1) << np.asarray(bits, np.int64)) >> 1
    shifted: Int64 = np.sign(x) * ((np.abs(x) + half) >> bits)
    return shifted


def add(x: Int8, y: Int8, scales: AddQuantization) -> Int8:
    """Add two images of different scales."""
    parts = [
        scaled((image.astype(np.int64) + offset) << ADD_LEFT_SHIFT, multiplier, shift)
        for image, offset, multiplier, shift in zip(
            (x, y), scales.in_offsets, scales.in_multipliers, scales.in_shifts, strict=True
        )
    ]
    total = scaled(parts[0] + parts[1], scales.out_multiplier, scales.out_shift)
    return np.clip(total + scales.out_offset, *scales.clamp).astype(np.int8)


def softmax(x: Int8, scale: SoftmaxQuantization) -> Int8:
    """Softmax over the last axis in fixed point; outputs are probabilities times 256, minus 128."""
    differences = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    counted = differences >= scale.diff_min
    inputs = scaled(np.where(counted, differences, 0), scale.multiplier, scale.shift)
    exponentials = exp_of_negative(inputs)
    parts = np.where(counted, rounding_shift(exponentials, _SUM_INTEGER_BITS), 0)
    total = parts.sum(axis=-1, keepdims=True)
    headroom = 32 - np.frompyfunc(int.bit_length, 1, 1)(total).astype(np.int64)
    reciprocal = _one_over_one_plus((total << headroom) - _ONE)
    bits = _SUM_INTEGER_BITS - headroom + 31 - 8
    out = rounding_shift(high_product(exponentials, reciprocal), bits) - 128
    return np.where(counted, np.clip(out, -128, 127), -128).astype(np.int8)


def exp_of_negative(x: Int64) -> Int64:
    """Return e^x times 2^31 (at most 2^31 - 1), for x <= 0 with 26 fraction bits."""
    fraction_bits = 31 - SOFTMAX_INTEGER_BITS
    quarter = 1 << (fraction_bits - 2)
    within = (x & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_near_zero(within << SOFTMAX_INTEGER_BITS)
    rest = within - x
    for power, factor in enumerate(_EXP_POWERS, start=fraction_bits - 2):
        result = np.where(rest >> power & 1, high_product(result, factor), result)
    exponentials: Int64 = np.where(x == 0, _ONE - 1, result)
    return exponentials


def _exp_near_zero(x: Int64) -> Int64:
    """Return e^x times 2^31 for x in [-1/4, 0), as a fraction of 2^31, by a Taylor polynomial."""
    y = x + (1 << 28)  # around -1/8
    y2 = high_product(y, y)
    y3 = high_product(y2, y)
    y4 = high_product(y2, y2)
    third = (1 << 31) // 3 + 1  # 1/3 to the nearest
    terms = rounding_shift(high_product(rounding_shift(y4, 2) + y3, third) + y2, 1)
    constant = np.int64(_EXP_EIGHTH)
    result: Int64 = np.minimum(constant + high_product(y + terms, constant), _ONE - 1)
    return result


def _one_over_one_plus(x: Int64) -> Int64:
    """Return 1 / (1 + x) times 2^31 for x in [0, 1) as fractions of 2^31, by Newton's method."""
    half = rounding_half_sum(x, np.int64(_ONE - 1))
    # First guess 48/17 - 32/17 * half, in fixed point with 29 fraction bits.
    guess = 1515870810 + high_product(half, -1010580540)
    for _ in range(3):
        error = (1 << 29) - high_product(half, guess)
        guess = guess + (high_product(guess, error) << 2)
    result: Int64 = np.clip(guess << 1, -_ONE, _ONE - 1)
    return result


def rounding_half_sum(x: Int64, y: Int64 | np.int64) -> Int64:
    """Return ``(x + y) / 2``, midpoints away from zero."""
    total = x + y
    halved: Int64 = np.sign(total) * ((np.abs(total) + 1) >> 1)
    return halved


def _convolution_sums(shape: Shape, x: Int8, weights: Int8, in_offset: int) -> Int64:
    # Outside the image the real value is 0: the integer is minus the offset, so the sum is 0.
    image = x.astype(np.int16) + np.int16(in_offset)
    seen = windows(image, shape.kernel, shape.stride, shape.pad, (shape.out_y, shape.out_x))
    sums = channel_sums if shape.op is OpType.DEPTHWISE else dense_sums
    return sums(seen, weights)


def _pool(shape: Shape, x: Int8, scaling: Requantization) -> Int8:
    rows, columns = pool_spans(
        x.shape, shape.kernel, shape.stride, shape.pad, (shape.out_y, shape.out_x)
    )
    out = np.empty(shape.out_shape, np.int64)
    for row, (top, bottom) in enumerate(rows):
        for column, (left, right) in enumerate(columns):
            window = x[top:bottom, left:right].reshape(-1, shape.in_ch).astype(np.int64)
            if shape.op is OpType.MAX_POOL:
                out[row, column] = window.max(axis=0)
            else:
                sums, count = window.sum(axis=0), len(window)
                out[row, column] = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
    return _clamped(out, scaling)


def _clamped(values: Int64, scaling: Requantization) -> Int8:
    return np.clip(values, *scaling.clamp).astype(np.int8)
