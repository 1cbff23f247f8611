"""Exact integer models of the kernels in ``firmware/kernels/nn``: the oracle of their tests.

Arrays are HWC int8. A layer with weights computes, with 32-bit wrapping accumulators,
``saturate8(((bias << bias_shift) + half + Σ input·weight) >> out_shift)`` where ``half`` is
``1 << (out_shift - 1)``, or 0 if ``out_shift`` is 0. The scheme (powers of two, one scale per
layer) is that of the first public q7 kernels for Cortex-M; ``firmware/include/m7nn.h`` states it
for the C side.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Activations = npt.NDArray[Any]  # int8; int16 in the q15 family
Int64 = npt.NDArray[np.int64]
Pair = tuple[int, int]
_Integer = TypeVar("_Integer", bound=np.signedinteger)

MAX_AVERAGE_SIDE = 256  # sums of up to 256 int8 values fit the int16 accumulators of the kernel
_BLOCK_ELEMENTS = 1 << 22  # of windows that are multiplied at once, which bounds memory
SOFTMAX_RANGE = 8  # inputs this far below the largest count as 0
SOFTMAX_ONE = 0x100000


def conv(
    x: Int8,
    weights: Int8,
    bias: Int8,
    *,
    bias_shift: int = 0,
    out_shift: int = 0,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    out_size: Pair | None = None,
) -> Int8:
    """Convolve an image.

    Parameters
    ----------
    x
        Input, ``[y, x, in_ch]``.
    weights
        ``[out_ch, kernel_y, kernel_x, in_ch]``.
    bias
        ``[out_ch]``.
    bias_shift, out_shift
        Left shift of the bias, right shift of the accumulator, each 0 to 31 bits.
    stride, pad
        ``(y, x)``; ``pad`` zeros in front, and as many behind as ``out_size`` needs.
    out_size
        ``(y, x)``; default what fits with ``pad`` zeros on both sides.

    Returns
    -------
    Output ``[y, x, out_ch]``.

    Raises
    ------
    InputError
        If the shapes do not belong together.
    """
    if weights.ndim != 4 or x.ndim != 3 or weights.shape[3] != x.shape[2]:
        raise InputError(
            f"convolution of input {x.shape} with weights {weights.shape}",
            do="Give [y, x, in_ch] and [out_ch, kernel_y, kernel_x, in_ch].",
        )
    seen = windows(x, weights.shape[1:3], stride, pad, out_size)
    return _requantise(dense_sums(seen, weights), bias, bias_shift, out_shift)


def depthwise(
    x: Int8,
    weights: Int8,
    bias: Int8,
    *,
    bias_shift: int = 0,
    out_shift: int = 0,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    out_size: Pair | None = None,
) -> Int8:
    """Convolve each channel on its own.

    Parameters are those of `conv`, but ``weights`` is ``[kernel_y, kernel_x, ch]``.

    Raises
    ------
    InputError
        If the shapes do not belong together.
    """
    if weights.ndim != 3 or x.ndim != 3 or weights.shape[2] != x.shape[2]:
        raise InputError(
            f"depthwise convolution of input {x.shape} with weights {weights.shape}",
            do="Give [y, x, ch] and [kernel_y, kernel_x, ch].",
        )
    seen = windows(x, weights.shape[:2], stride, pad, out_size)
    return _requantise(channel_sums(seen, weights), bias, bias_shift, out_shift)


def fully_connected(
    x: Activations, weights: Int8, bias: Int8, *, bias_shift: int = 0, out_shift: int = 0
) -> Activations:
    """Multiply the flattened input by row-major weights ``[out_len, in_len]``.

    An int16 input gives an int16 output, saturated to 16 bits.

    Raises
    ------
    InputError
        If the shapes do not belong together.
    """
    if weights.ndim != 2 or weights.shape[1] != x.size:
        raise InputError(
            f"fully connected layer of {x.size} inputs with weights {weights.shape}",
            do="Give weights [out_len, in_len].",
        )
    sums = weights.astype(np.int64) @ x.ravel().astype(np.int64)
    total = _shifted(sums, bias, bias_shift, out_shift)
    return (
        np.clip(total, -32768, 32767).astype(np.int16) if x.dtype == np.int16 else _saturate8(total)
    )


def max_pool(
    x: Int8, *, kernel: Pair, stride: Pair, pad: Pair = (0, 0), out_size: Pair | None = None
) -> Int8:
    """Return the largest element of each window, the window clipped to the image.

    Parameters
    ----------
    x
        Input, ``[y, x, ch]``.
    kernel, stride, pad
        ``(y, x)``.
    out_size
        ``(y, x)``; default rounded up, so that the last windows may be clipped (``ceil`` mode).

    Raises
    ------
    InputError
        If a window would hold no pixel of the image.
    """
    rows, columns = pool_spans(x.shape, kernel, stride, pad, out_size)
    narrow = np.stack([x[:, start:stop].max(axis=1) for start, stop in columns], axis=1)
    return np.stack([narrow[start:stop].max(axis=0) for start, stop in rows])


def ave_pool(
    x: Int8, *, kernel: Pair, stride: Pair, pad: Pair = (0, 0), out_size: Pair | None = None
) -> Int8:
    """Average each window as the kernel does: along x to int8, then along y, both toward zero.

    Parameters are those of `max_pool`; the divisors are the numbers of elements inside the image.

    Raises
    ------
    InputError
        If a window would hold no pixel of the image, or a kernel side is above 256.
    """
    if max(kernel) > MAX_AVERAGE_SIDE:
        raise InputError(f"average over a window of {kernel}", do="Sides go up to 256.")
    rows, columns = pool_spans(x.shape, kernel, stride, pad, out_size)
    narrow = np.stack([_mean(x[:, start:stop], axis=1) for start, stop in columns], axis=1)
    return np.stack([_mean(narrow[start:stop], axis=0) for start, stop in rows])


def relu(x: Int8) -> Int8:
    """Replace negative elements by 0."""
    return np.maximum(x, np.int8(0))


def add(x: Int8, y: Int8) -> Int8:
    """Add two images of one scale, saturating."""
    return _saturate8(x.astype(np.int16) + y.astype(np.int16))


def softmax(x: Int8) -> Int8:
    """Softmax with powers of two instead of exponentials; 127 stands for 1.

    Inputs 8 or more below the largest become 0 and are left out of the sum.
    """
    if x.size == 0:
        return x.copy()
    above = x.astype(np.int64) - (int(x.max()) - SOFTMAX_RANGE)
    counted = above > 0
    height = np.where(counted, above, 0)
    scale = SOFTMAX_ONE // int(((1 << height) * counted).sum())
    return np.where(counted, _saturate8(scale >> (13 - height)), 0).astype(np.int8)


def interleave_x4(weights: Int8) -> Int8:
    """Order row-major weights ``[out_len, in_len]`` for ``m7nn_fc_x4``; a flat array.

    Each 4 rows and 4 columns become 16 bytes (r row, c column, from 1): r1c1 r2c1 r1c3 r2c3,
    r3c1 r4c1 r3c3 r4c3, r1c2 r2c2 r1c4 r2c4, r3c2 r4c2 r3c4 r4c4. Left-over columns follow column
    by column, left-over rows plain.
    """
    return np.ascontiguousarray(weights).ravel()[_x4_order(*weights.shape)]


def interleave_x4_q15(weights: Int8) -> Int8:
    """Order row-major weights ``[out_len, in_len]`` for ``m7nn_fc_q15_x4``; a flat array.

    Each 4 rows and 2 columns become 8 bytes (r row, c column, from 1): r1c1 r2c1 r1c2 r2c2, r3c1
    r4c1 r3c2 r4c2. A left-over column follows with its 4 rows, left-over rows plain.
    """
    rows, columns = weights.shape[0] // 4 * 4, weights.shape[1] // 2 * 2
    parts = []
    for first in range(0, rows, 4):
        # axes: pair of rows, row in pair, column pair, column in pair
        quads = weights[first : first + 4, :columns].reshape(2, 2, columns // 2, 2)
        parts.append(quads.transpose(2, 0, 3, 1).ravel())
        parts.append(weights[first : first + 4, columns:].T.ravel())
    parts.append(weights[rows:].ravel())
    return np.concatenate(parts)


def deinterleave_x4(weights: Int8, *, out_len: int, in_len: int) -> Int8:
    """Undo `interleave_x4`: flat x4 weights to ``[out_len, in_len]``.

    Raises
    ------
    InputError
        If the number of weights is not ``out_len * in_len``.
    """
    if weights.size != out_len * in_len:
        raise InputError(f"{weights.size} weights are not {out_len} rows of {in_len}")
    plain = np.empty(out_len * in_len, dtype=np.int8)
    plain[_x4_order(out_len, in_len)] = weights.ravel()
    return plain.reshape(out_len, in_len)


def conv_out_size(size: Pair, kernel: Pair, stride: Pair, pad: Pair) -> Pair:
    """Return the output size of a convolution with equal padding on both sides, rounded down."""
    y, x = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, pad, strict=True))
    return y, x


def pool_out_size(size: Pair, kernel: Pair, stride: Pair, pad: Pair) -> Pair:
    """Return the output size of a pooling, rounded up: the last window may be clipped.

    A window that would begin behind the image is left out.
    """
    sides = []
    for n, k, s, p in zip(size, kernel, stride, pad, strict=True):
        count = max(-(-(n + 2 * p - k) // s), 0) + 1
        sides.append(min(count, (n + p - 1) // s + 1))
    return sides[0], sides[1]


def _requantise(sums: Int64, bias: Int8, bias_shift: int, out_shift: int) -> Int8:
    return _saturate8(_shifted(sums, bias, bias_shift, out_shift))


def _shifted(sums: Int64, bias: Int8, bias_shift: int, out_shift: int) -> npt.NDArray[np.int32]:
    half = (1 << out_shift) >> 1
    total = sums + (bias.astype(np.int64) << bias_shift) + half
    return total.astype(np.int32) >> out_shift  # int32 wraps as the accumulator does


def _saturate8(values: npt.NDArray[np.integer]) -> Int8:
    saturated: Int8 = np.clip(values, -128, 127).astype(np.int8)
    return saturated


def dense_sums(seen: npt.NDArray[Any], weights: Int8) -> Int64:
    """Multiply windows ``[y, x, kernel_y, kernel_x, in_ch]`` by weights ``[out_ch, …]``."""
    rows, columns = seen.shape[:2]
    # float64 holds every partial sum exactly (below 2^53) and uses the matrix product of BLAS.
    matrix = weights.reshape(weights.shape[0], -1).T.astype(np.float64)
    sums = np.empty((rows, columns, weights.shape[0]), np.int64)
    step = max(1, _BLOCK_ELEMENTS // (columns * matrix.shape[0]))
    for first in range(0, rows, step):
        block = seen[first : first + step].reshape(-1, columns, matrix.shape[0])
        sums[first : first + step] = (block.astype(np.float64) @ matrix).astype(np.int64)
    return sums


def channel_sums(seen: npt.NDArray[Any], weights: Int8) -> Int64:
    """Multiply windows ``[y, x, kernel_y, kernel_x, ch]`` by weights ``[kernel_y, kernel_x, ch]``.

    With more channels in the weights, each channel of the windows serves several in a row.
    """
    repeat = weights.shape[2] // seen.shape[4]
    sums = np.zeros((*seen.shape[:2], weights.shape[2]), np.int64)
    for y, x in np.ndindex(*weights.shape[:2]):
        tap = np.repeat(seen[:, :, y, x].astype(np.int64), repeat, axis=-1)
        sums += tap * weights[y, x].astype(np.int64)
    return sums


def windows(
    x: npt.NDArray[_Integer],
    kernel: tuple[int, ...],
    stride: Pair,
    pad: Pair,
    out_size: Pair | None,
) -> npt.NDArray[_Integer]:
    """View the input, with zeros around it, as ``[out_y, out_x, kernel_y, kernel_x, ch]``."""
    size, sides = (x.shape[0], x.shape[1]), (kernel[0], kernel[1])
    out = out_size or conv_out_size(size, sides, stride, pad)
    if min(out) < 1:
        raise InputError(f"kernel {sides} does not fit the padded image {size}")
    reach = [(out[i] - 1) * stride[i] + sides[i] for i in (0, 1)]
    behind = [max(reach[i] - size[i] - pad[i], 0) for i in (0, 1)]
    padded = np.pad(x, ((pad[0], behind[0]), (pad[1], behind[1]), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(padded, sides, axis=(0, 1))
    view = view[: reach[0] : stride[0], : reach[1] : stride[1]][: out[0], : out[1]]
    return view.transpose(0, 1, 3, 4, 2)


def pool_spans(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair, out_size: Pair | None
) -> tuple[list[Pair], list[Pair]]:
    """Return the clipped windows (start, stop) along y and along x."""
    size = (shape[0], shape[1])
    out = out_size or pool_out_size(size, kernel, stride, pad)
    spans = [
        [
            (max(n * stride[i] - pad[i], 0), min(n * stride[i] - pad[i] + kernel[i], size[i]))
            for n in range(out[i])
        ]
        for i in (0, 1)
    ]
    if any(start >= stop for span in spans for start, stop in span):
        raise InputError(
            f"pooling {size} to {out} has a window without a pixel",
            do="Reduce the output size or the padding.",
        )
    return spans[0], spans[1]


def _mean(values: Int8, *, axis: int) -> Int8:
    sums = values.astype(np.int64).sum(axis=axis)
    count = values.shape[axis]
    mean: Int8 = (np.sign(sums) * (np.abs(sums) // count)).astype(np.int8)
    return mean


def _x4_order(out_len: int, in_len: int) -> npt.NDArray[np.intp]:
    """Return, for each place in the x4 order, the row-major index of the weight there."""
    index = np.arange(out_len * in_len).reshape(out_len, in_len)
    rows, columns = out_len // 4 * 4, in_len // 4 * 4
    parts = []
    for first in range(0, rows, 4):
        # axes: column quad, pair of columns (1,3)/(2,4), pair of rows, column in pair, row in pair
        quads = index[first : first + 4, :columns].reshape(2, 2, columns // 4, 2, 2)
        parts.append(quads.transpose(2, 4, 0, 3, 1).ravel())
        parts.append(index[first : first + 4, columns:].T.ravel())
    parts.append(index[rows:].ravel())
    return np.concatenate(parts)
