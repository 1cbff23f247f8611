"""The NumPy models against scalar Python written from the definition, and against hand counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m7sim.errors import InputError
from m7sim.ops import reference

quick = settings(max_examples=60, deadline=None, derandomize=True)
side = st.integers(1, 6)
kernel_side = st.integers(1, 4)
stride = st.integers(1, 3)
pad = st.integers(0, 2)
seed = st.integers(0, 2**31)


def int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    if rng.integers(3) == 0:
        return rng.choice(np.array([-128, 127], dtype=np.int8), shape)
    return rng.integers(-128, 128, shape).astype(np.int8)


def requantise(total: int, bias: int, bias_shift: int, out_shift: int) -> int:
    half = 1 << (out_shift - 1) if out_shift else 0
    wrapped = (total + (bias << bias_shift) + half + 2**31) % 2**32 - 2**31
    return max(-128, min(127, wrapped >> out_shift))


@quick
@given(side, side, side, side, kernel_side, kernel_side, stride, stride, pad, pad, seed)
def test_conv_and_depthwise_equal_scalar_loops(
    in_y, in_x, in_ch, out_ch, ky, kx, stride_y, stride_x, pad_y, pad_x, seed
):
    rng = np.random.default_rng(seed)
    x, weights, bias = int8(rng, in_y, in_x, in_ch), int8(rng, out_ch, ky, kx, in_ch), int8(rng, 6)
    bias_shift, out_shift = int(rng.integers(0, 9)), int(rng.integers(0, 13))
    out_y, out_x = reference.conv_out_size(
        (in_y, in_x), (ky, kx), (stride_y, stride_x), (pad_y, pad_x)
    )
    options = {
        "bias_shift": bias_shift,
        "out_shift": out_shift,
        "stride": (stride_y, stride_x),
        "pad": (pad_y, pad_x),
    }
    if out_y < 1 or out_x < 1:
        with pytest.raises(InputError, match="does not fit"):
            reference.conv(x, weights, bias[:out_ch], **options)
        return

    def taps(oy: int, ox: int):
        for j in range(ky):
            for i in range(kx):
                y, column = oy * stride_y - pad_y + j, ox * stride_x - pad_x + i
                if 0 <= y < in_y and 0 <= column < in_x:
                    yield j, i, y, column

    got = reference.conv(x, weights, bias[:out_ch], **options)
    assert got.shape == (out_y, out_x, out_ch)
    got_depthwise = reference.depthwise(x, weights[0], bias[:in_ch], **options)
    for oy, ox in np.ndindex(out_y, out_x):
        for oc in range(out_ch):
            total = sum(
                int(x[y, c, ic]) * int(weights[oc, j, i, ic])
                for j, i, y, c in taps(oy, ox)
                for ic in range(in_ch)
            )
            assert got[oy, ox, oc] == requantise(total, int(bias[oc]), bias_shift, out_shift)
        for ch in range(in_ch):
            total = sum(int(x[y, c, ch]) * int(weights[0, j, i, ch]) for j, i, y, c in taps(oy, ox))
            expected = requantise(total, int(bias[ch]), bias_shift, out_shift)
            assert got_depthwise[oy, ox, ch] == expected


@quick
@given(side, side, side, kernel_side, kernel_side, stride, stride, st.integers(0, 1), seed)
def test_pools_equal_scalar_loops(in_y, in_x, ch, ky, kx, stride_y, stride_x, pad, seed):
    x = int8(np.random.default_rng(seed), in_y, in_x, ch)
    padding = (min(pad, ky - 1), min(pad, kx - 1))
    options = {"kernel": (ky, kx), "stride": (stride_y, stride_x), "pad": padding}
    largest, average = reference.max_pool(x, **options), reference.ave_pool(x, **options)
    for oy, ox, c in np.ndindex(largest.shape):
        rows = [y for y in range(in_y) if 0 <= y - oy * stride_y + padding[0] < ky]
        columns = [i for i in range(in_x) if 0 <= i - ox * stride_x + padding[1] < kx]
        values = [[int(x[y, i, c]) for i in columns] for y in rows]
        assert largest[oy, ox, c] == max(map(max, values))
        along_x = [int(sum(row) / len(row)) for row in values]  # int() cuts toward zero
        assert average[oy, ox, c] == int(sum(along_x) / len(along_x))


def test_pooling_rounds_its_size_up_and_leaves_empty_windows_out():
    assert reference.pool_out_size((32, 31), (3, 3), (2, 2), (0, 0)) == (16, 15)
    assert reference.pool_out_size((3, 3), (1, 1), (2, 3), (0, 0)) == (2, 1)
    with pytest.raises(InputError, match="without a pixel"):
        reference.max_pool(
            np.zeros((3, 3, 1), np.int8), kernel=(2, 2), stride=(2, 2), out_size=(2, 3)
        )


def test_average_rounds_along_x_before_y():
    # Along x: 3/2 -> 1 and 0, then 1/2 -> 0; in one step 3/4 is 0 as well, but -7/4 is -1:
    x = np.array([[[3], [0]], [[-1], [0]]], dtype=np.int8)
    assert reference.ave_pool(x, kernel=(2, 2), stride=(2, 2)).item() == 0
    x = np.array([[[-1], [-2]], [[-1], [-4]]], dtype=np.int8)  # -1.5 -> -1, -2.5 -> -2; -1.5 -> -1
    assert reference.ave_pool(x, kernel=(2, 2), stride=(2, 2)).item() == -1


def test_accumulator_wraps_at_32_bits():
    x, weights = np.full(4, -128, np.int8), np.full((1, 4), -128, np.int8)
    bias = np.array([127], np.int8)
    total = 4 * 128 * 128 + (127 << 24) + (1 << 23)
    assert total < 2**31
    got = reference.fully_connected(x, weights, bias, bias_shift=25, out_shift=24)
    wrapped = (4 * 128 * 128 + (127 << 25) + (1 << 23) + 2**31) % 2**32 - 2**31
    assert wrapped < 0
    assert got.item() == max(-128, wrapped >> 24)


@pytest.mark.parametrize(
    ("total", "shift", "expected"),
    [(3, 0, 3), (3, 1, 2), (-3, 1, -1), (5, 2, 1), (6, 2, 2), (-6, 2, -1), (300, 1, 127)],
)
def test_rounding_is_half_up_and_none_without_shift(total, shift, expected):
    x = np.array([1, 1, 1], np.int8)
    weights = np.array([[total // 3, total // 3, total - total // 3 * 2]], np.int8)
    got = reference.fully_connected(x, weights, np.zeros(1, np.int8), out_shift=shift)
    assert got.item() == expected


def test_softmax_by_hand():
    # base 12: heights 8, 7, 0 (left out); sum 256 + 128; scale 2730; >> 5 -> 85, >> 6 -> 42.
    assert reference.softmax(np.array([20, 19, 12], np.int8)).tolist() == [85, 42, 0]
    assert reference.softmax(np.array([-128], np.int8)).tolist() == [127]
    assert reference.softmax(np.zeros(0, np.int8)).size == 0


def test_x4_order_is_the_documented_one():
    r = np.array([[10 * row + column for column in range(1, 6)] for row in range(1, 6)], np.int8)
    assert reference.interleave_x4(r).tolist() == [
        *(11, 21, 13, 23, 31, 41, 33, 43, 12, 22, 14, 24, 32, 42, 34, 44),
        *(15, 25, 35, 45),
        *(51, 52, 53, 54, 55),
    ]


@quick
@given(st.integers(1, 13), st.integers(1, 13))
def test_x4_order_can_be_undone(rows, columns):
    weights = np.arange(rows * columns).astype(np.int8).reshape(rows, columns)
    mixed = reference.interleave_x4(weights)
    undone = reference.deinterleave_x4(mixed, out_len=rows, in_len=columns)
    assert (undone == weights).all()
    with pytest.raises(InputError, match="are not"):
        reference.deinterleave_x4(mixed, out_len=rows, in_len=columns + 1)


def test_wrong_shapes_are_refused():
    x, bias = np.zeros((4, 4, 2), np.int8), np.zeros(1, np.int8)
    with pytest.raises(InputError, match="convolution of input"):
        reference.conv(x, np.zeros((1, 3, 3, 3), np.int8), bias)
    with pytest.raises(InputError, match="depthwise"):
        reference.depthwise(x, np.zeros((3, 3, 3), np.int8), bias)
    with pytest.raises(InputError, match="fully connected"):
        reference.fully_connected(x, np.zeros((1, 31), np.int8), bias)
    with pytest.raises(InputError, match="Sides go up to 256"):
        reference.ave_pool(x, kernel=(1, 257), stride=(1, 1))
