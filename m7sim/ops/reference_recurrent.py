"""Exact integer models of the recurrent kernels: the oracle of their tests.

``firmware/kernels/nets/m7nn_recurrent.h`` states the scheme: int8 activations and weights, gates
with 12 bits behind the point, sigmoid and tanh by interpolated tables with 15, saturation
everywhere.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from m7sim.ops.reference import Int8, Int64

TABLE_STEP = 1 / 16
_ENTRIES, _MIDDLE = 257, 128
_ONE = 1 << 15


@cache
def table(function: str) -> Int64:
    """Return the table of ``sigmoid`` or ``tanh``: 257 values from -8 to 8, at most 32767."""
    x = (np.arange(_ENTRIES) - _MIDDLE) * TABLE_STEP
    values = np.tanh(x) if function == "tanh" else 1 / (1 + np.exp(-x))
    found: Int64 = np.minimum(np.rint(values * _ONE), _ONE - 1).astype(np.int64)
    return found


def sigmoid(x: Int64) -> Int64:
    """Return the sigmoid of ``x / 4096``, times 32768; ``x`` of 16 bits."""
    return _interpolated(table("sigmoid"), x)


def tanh(x: Int64) -> Int64:
    """Return the hyperbolic tangent of ``x / 4096``, times 32768; ``x`` of 16 bits."""
    return _interpolated(table("tanh"), x)


def lstm(
    x: Int8,
    weights: Int8,
    bias: Int8,
    *,
    bias_shift: int,
    out_shift: int,
    peepholes: Int8 | None = None,
    peephole_shift: int = 0,
    projection: Int8 | None = None,
    projection_shift: int = 0,
) -> Int8:
    """Run LSTM cells over a sequence.

    Parameters
    ----------
    x
        ``[frames, in_len]``.
    weights, bias
        ``[4 * cells, in_len + out_len]`` and ``[4 * cells]``, gates in the order i, g, f, o.
    peepholes
        ``[3, cells]`` of i, f, o; None for none.
    projection
        ``[out_len, cells]``; None if cells are outputs.

    Returns
    -------
    All outputs, ``[frames, out_len]``.
    """
    cells = bias.size // 4
    state = np.zeros(cells, np.int64)
    last = np.zeros(weights.shape[1] - x.shape[1], np.int64)
    peeps = np.zeros((3, cells), np.int64) if peepholes is None else peepholes.astype(np.int64)
    outputs = []
    for frame in x.astype(np.int64):
        joined = np.concatenate([frame, last])
        i, g, f, o = _product(weights, joined, bias, bias_shift, out_shift).reshape(4, cells)
        i = _clip(i + (peeps[0] * state >> peephole_shift), 16)
        f = _clip(f + (peeps[1] * state >> peephole_shift), 16)
        kept = sigmoid(f) * state + (sigmoid(i) * tanh(g) >> 3)
        state = _clip(kept + (_ONE >> 1) >> 15, 16)
        o = _clip(o + (peeps[2] * state >> peephole_shift), 16)
        last = _to_int8(sigmoid(o), tanh(state))
        if projection is not None:
            none = np.zeros(len(projection), np.int8)
            last = _clip(_product(projection, last, none, 0, projection_shift), 8)
        outputs.append(last)
    return np.array(outputs).astype(np.int8)


def gru(x: Int8, weights: Int8, bias: Int8, *, bias_shift: int, out_shift: int) -> Int8:
    """Run GRU cells over a sequence.

    Parameters
    ----------
    x
        ``[frames, in_len]``.
    weights, bias
        ``[3 * cells, in_len + cells]`` and ``[3 * cells]``, in the order r, z, n.

    Returns
    -------
    All outputs, ``[frames, cells]``.
    """
    cells = bias.size // 3
    gates, new = weights[: 2 * cells], weights[2 * cells :]
    state, last = np.zeros(cells, np.int64), np.zeros(cells, np.int64)
    outputs = []
    for frame in x.astype(np.int64):
        joined = np.concatenate([frame, last])
        r, z = _product(gates, joined, bias[: 2 * cells], bias_shift, out_shift).reshape(2, cells)
        joined = np.concatenate([frame, _to_int8(sigmoid(r), state)])
        candidate = tanh(_product(new, joined, bias[2 * cells :], bias_shift, out_shift))
        keep = sigmoid(z)
        mixed = keep * state + (_ONE - keep) * candidate
        state = _clip(mixed + (_ONE >> 1) >> 15, 16)
        last = _clip(state + 128 >> 8, 8)
        outputs.append(last)
    return np.array(outputs).astype(np.int8)


def _product(weights: Int8, x: Int64, bias: Int8, bias_shift: int, out_shift: int) -> Int64:
    """Return rows of weights times a vector, shifted and saturated to 16 bits."""
    sums = weights.astype(np.int64) @ x + (bias.astype(np.int64) << bias_shift)
    total: npt.NDArray[np.int32] = (sums + ((1 << out_shift) >> 1)).astype(np.int32)  # wraps
    return _clip((total >> out_shift).astype(np.int64), 16)


def _interpolated(values: Int64, x: Int64) -> Int64:
    at = (x >> 8) + _MIDDLE
    found: Int64 = values[at] + ((values[at + 1] - values[at]) * (x & 255) + 128 >> 8)
    return found


def _to_int8(gate: Int64, value: Int64) -> Int64:
    """Return the product of numbers with 15 bits behind the point, with 7."""
    return _clip(gate * value + (1 << 22) >> 23, 8)


def _clip(values: Int64, bits: int) -> Int64:
    half = 1 << (bits - 1)
    clipped: Int64 = np.clip(values, -half, half - 1)
    return clipped
