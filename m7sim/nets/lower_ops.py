"""Operators of TensorFlow Lite as layers of the s8 family, one function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.nets.builder import VALID, padded
from m7sim.nets.raw import RawOp, RawTensor
from m7sim.ops.layer import Layer
from m7sim.ops.quantization import (
    WHOLE_RANGE,
    AddQuantization,
    Int8Range,
    Quantization,
    Requantization,
    SoftmaxQuantization,
    activation_clamp,
    channel_multipliers,
)
from m7sim.ops.shapes import Family, OpType, Shape

S8 = Family.S8
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]  # zeros in front, zeros behind
Read = Sequence[RawTensor | None]
SOFTMAX_OUT = (1.0 / 256, -128)
MAX_SIDE = 4096  # of a window, and of steps
MAX_IMAGE_SIDE = 32768


class NotCovered(Exception):
    """No kernel computes exactly this; the text says what is special about it."""


@dataclass(frozen=True)
class Made:
    """A layer, and what the file says beyond it."""

    layer: Layer
    attributes: Mapping[str, str] = field(default_factory=dict)


def conv(op: RawOp, read: Read, made: RawTensor, pads: Pads | None) -> Made:
    """Lower a convolution."""
    x, weights, bias = _weighted(op, read, made)
    data = weights.data
    assert data is not None
    if data.ndim != 4:
        raise InputError(f"a {op.kind} with weights of shape {data.shape}")
    size, ch = _image(x)
    out_ch, kernel = data.shape[0], (data.shape[1], data.shape[2])
    if data.shape[3] != ch:
        raise NotCovered("groups" if ch % max(data.shape[3], 1) == 0 else "other channels")
    stride = _stride(op)
    pad, out = _padding(op, size, kernel, stride, pads)
    shape = Shape.conv(
        size, ch, out_ch, kernel=kernel, stride=stride, pad=pad, out_size=out, family=S8
    )
    return _convolved(op, shape, (x, weights, made), data.astype(np.int8), bias)


def depthwise(op: RawOp, read: Read, made: RawTensor, pads: Pads | None) -> Made:
    """Lower a depthwise convolution."""
    x, weights, bias = _weighted(op, read, made)
    data = weights.data
    assert data is not None
    if data.ndim != 4 or data.shape[0] != 1:
        raise InputError(f"a {op.kind} with weights of shape {data.shape}")
    size, ch = _image(x)
    kernel, out_ch = (data.shape[1], data.shape[2]), data.shape[3]
    if ch < 1 or out_ch % ch:
        raise InputError(f"a {op.kind} from {ch} to {out_ch} channels")
    stride = _stride(op)
    pad, out = _padding(op, size, kernel, stride, pads)
    shape = Shape.depthwise(
        size, ch, kernel=kernel, stride=stride, pad=pad, out_size=out,
        multiplier=out_ch // ch, family=S8,
    )  # fmt: skip
    return _convolved(op, shape, (x, weights, made), data[0].astype(np.int8), bias)


def fully_connected(op: RawOp, read: Read, made: RawTensor, pads: Pads | None) -> Made:
    """Lower a fully connected layer; with several rows or scales, as a 1x1 convolution."""
    x, weights, bias = _weighted(op, read, made)
    data = weights.data
    assert data is not None
    if data.ndim != 2 or op.options["format"] != 0:
        raise NotCovered("shuffled weights" if data.ndim == 2 else "weights of another rank")
    out_len, in_len = data.shape
    if x.elements % in_len or made.elements * in_len != x.elements * out_len:
        raise InputError(f"a {op.kind} from {x.shape} to {made.shape} with weights {data.shape}")
    rows = x.elements // in_len
    scale = weights.scale
    assert scale is not None
    per_channel = len(scale.scales) > 1
    if per_channel and len(scale.scales) != out_len:
        raise InputError(f"a {op.kind} with {len(scale.scales)} scales for {out_len} outputs")
    # The interpreters multiply two single scales in single precision, unlike a convolution's.
    product = float(np.float32(one_scale(x)[0]) * np.float32(scale.scale))
    factors = np.array([product / one_scale(made)[0]])
    if per_channel:
        factors = one_scale(x)[0] * np.array(scale.scales, np.float64) / one_scale(made)[0]
    multiplier, shift = channel_multipliers(factors)
    if rows == 1 and not per_channel:
        shape = Shape.fully_connected(in_len, out_len, family=S8)
        parameters = data.astype(np.int8)
    else:
        shape = Shape.conv((1, rows), in_len, out_len, kernel=(1, 1), family=S8)
        parameters = data.astype(np.int8).reshape(out_len, 1, 1, in_len)
        if not per_channel:
            multiplier, shift = np.repeat(multiplier, out_len), np.repeat(shift, out_len)
    scaling = Requantization(
        in_offset=-one_scale(x)[1],
        out_offset=one_scale(made)[1],
        multiplier=multiplier,
        shift=shift,
        clamp=_clamp(op, made),
    )
    layer = Layer(
        name=op.kind,
        shape=shape,
        weights=parameters,
        bias=_bias(bias, out_len),
        quantization=scaling,
    )
    return Made(layer, _attributes(op))


def pool(op: RawOp, read: Read, made: RawTensor, pads: Pads | None) -> Made:
    """Lower a pooling."""
    x = _int8(op, read[0], made)
    size, ch = _image(x)
    kernel = (int(op.options["kernel_y"]), int(op.options["kernel_x"]))
    if not all(1 <= side <= MAX_SIDE for side in kernel):
        raise InputError(f"a {op.kind} of {kernel}")
    stride = _stride(op)
    pad, out = _padding(op, size, kernel, stride, pads)
    kind = OpType.MAX_POOL if op.kind.startswith("MAX") else OpType.AVE_POOL
    shape = Shape.pool(
        kind, size, ch, kernel=kernel, stride=stride, pad=pad, out_size=out, family=S8
    )
    _same_scale(x, made)
    _fits(op, shape, made)
    scaling = Requantization(clamp=_clamp(op, made))
    return Made(Layer(name=op.kind, shape=shape, quantization=scaling), _attributes(op))


def add(op: RawOp, read: Read, made: RawTensor, pads: Pads | None) -> Made:
    """Lower an addition of two activations of one shape."""
    x = _int8(op, read[0], made)
    y = _int8(op, read[1] if len(read) > 1 else None, made)
    if x.data is not None or y.data is not None:
        raise NotCovered("of a constant")
    if x.shape != y.shape or x.shape != made.shape:
        raise NotCovered("broadcast")
    ends = [one_scale(tensor) for tensor in (x, y, made)]
    scales = AddQuantization.from_scales(
        (ends[0][0], ends[1][0], ends[2][0]),
        (ends[0][1], ends[1][1], ends[2][1]),
        clamp=_clamp(op, made),
    )
    return _elementwise(op, OpType.ADD, made, scales)


def softmax(op: RawOp, read: Read, made: RawTensor, pads: Pads | None) -> Made:
    """Lower a softmax over the last axis."""
    x = _int8(op, read[0], made)
    if x.shape != made.shape:
        raise InputError(f"a {op.kind} from {x.shape} to {made.shape}")
    if one_scale(made) != SOFTMAX_OUT:
        raise NotCovered("another output scale")
    scale = SoftmaxQuantization.from_scale(one_scale(x)[0], beta=float(op.options["beta"]))
    return _elementwise(op, OpType.SOFTMAX, made, scale)


def relu(op: RawOp, read: Read, made: RawTensor, pads: Pads | None) -> Made:
    """Lower a rectifier of its own that keeps the scale."""
    x = _int8(op, read[0], made)
    if x.elements != made.elements:
        raise InputError(f"a {op.kind} from {x.shape} to {made.shape}")
    _same_scale(x, made)
    clamp = activation_clamp(op.kind.lower(), *one_scale(made))
    return _elementwise(op, OpType.RELU, made, Requantization(clamp=clamp))


LOWERED: Mapping[str, Callable[[RawOp, Read, RawTensor, Pads | None], Made]] = {
    "CONV_2D": conv,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": fully_connected,
    "MAX_POOL_2D": pool,
    "AVERAGE_POOL_2D": pool,
    "ADD": add,
    "SOFTMAX": softmax,
    "RELU": relu,
    "RELU6": relu,
}
"""What can be lowered, by operator."""


def _convolved(
    op: RawOp,
    shape: Shape,
    tensors: tuple[RawTensor, RawTensor, RawTensor],
    data: npt.NDArray[np.int8],
    bias: RawTensor | None,
) -> Made:
    x, weights, made = tensors
    _fits(op, shape, made)
    assert weights.scale is not None
    scales = np.array(weights.scale.scales, np.float64)
    axis = 0 if op.kind == "CONV_2D" else 3
    if scales.size == 1:
        scales = np.repeat(scales, shape.out_ch)
    elif scales.size != shape.out_ch or weights.scale.axis != axis:
        raise InputError(f"a {op.kind} with {scales.size} scales for {shape.out_ch} channels")
    scaling = Requantization.from_scales(
        (one_scale(x)[0], scales, one_scale(made)[0]),
        (one_scale(x)[1], one_scale(made)[1]),
        clamp=_clamp(op, made),
    )
    layer = Layer(
        name=op.kind,
        shape=shape,
        weights=data,
        bias=_bias(bias, shape.out_ch),
        quantization=scaling,
    )
    return Made(layer, _attributes(op))


def _elementwise(op: RawOp, kind: OpType, made: RawTensor, scales: Quantization) -> Made:
    ch = made.shape[-1] if made.shape else 1
    rows = made.elements // max(ch, 1)
    shape = Shape.elementwise(kind, (1, rows), ch, family=S8)
    return Made(Layer(name=op.kind, shape=shape, quantization=scales), _attributes(op))


def _weighted(
    op: RawOp, read: Read, made: RawTensor
) -> tuple[RawTensor, RawTensor, RawTensor | None]:
    """Return input, weights and bias of an operator, after checking their types."""
    if len(read) < 2:
        raise InputError(f"a {op.kind} without weights")
    x, weights = _int8(op, read[0], made), read[1]
    if x.data is not None or weights is None or weights.data is None:
        raise NotCovered("weights that are no constants")
    if weights.dtype != "int8":
        raise NotCovered(f"{weights.dtype} weights")
    if weights.scale is None:
        raise InputError(f"a {op.kind} whose weights have no scale")
    if any(weights.scale.zero_points):
        raise NotCovered("weights with a zero point")
    if (op.options.get("dilation_y", 1), op.options.get("dilation_x", 1)) != (1, 1):
        raise NotCovered("dilation")
    return x, weights, read[2] if len(read) > 2 else None


def _int8(op: RawOp, x: RawTensor | None, made: RawTensor) -> RawTensor:
    if x is None:
        raise InputError(f"a {op.kind} without input")
    for tensor in (x, made):
        if tensor.dtype != "int8":
            raise NotCovered(tensor.dtype)
    if len(made.shape) > 1 and made.shape[0] != 1 and op.kind not in ("FULLY_CONNECTED", "ADD"):
        raise NotCovered("batch")
    return x


def _image(x: RawTensor) -> tuple[Pair, int]:
    if len(x.shape) != 4 or x.shape[0] != 1:
        raise NotCovered("batch" if len(x.shape) == 4 else "no image")
    if max(x.shape) > MAX_IMAGE_SIDE:
        raise NotCovered(f"a side above {MAX_IMAGE_SIDE}")
    return (x.shape[1], x.shape[2]), x.shape[3]


def _stride(op: RawOp) -> Pair:
    stride = (int(op.options["stride_y"]), int(op.options["stride_x"]))
    if not all(1 <= step <= MAX_SIDE for step in stride):
        raise InputError(f"a {op.kind} with a stride of {stride}")
    return stride


def _padding_word(op: RawOp) -> str:
    word = op.options["padding"]
    if word not in ("same", "valid"):
        raise InputError(f"a {op.kind} with {word}")
    return str(word)


def _padding(op: RawOp, size: Pair, kernel: Pair, stride: Pair, pads: Pads | None) -> Pads:
    """Return zeros in front and output size; a folded padding replaces none."""
    if pads is None:
        return padded(size, kernel, stride, _padding_word(op))
    front, behind = pads
    grown = (size[0] + front[0] + behind[0], size[1] + front[1] + behind[1])
    return front, padded(grown, kernel, stride, VALID)[1]


def _fits(op: RawOp, shape: Shape, made: RawTensor) -> None:
    if made.shape != (1, *shape.out_shape):
        raise InputError(f"a {op.kind} makes {shape.out_shape}, declared {made.shape}")


def one_scale(tensor: RawTensor) -> tuple[float, int]:
    """Return scale and zero point of an activation."""
    if tensor.scale is None or len(tensor.scale.scales) != 1:
        raise InputError(f"tensor {tensor.name!r} needs one scale")
    if not -128 <= tensor.scale.zero_point <= 127:
        raise InputError(f"tensor {tensor.name!r} has the zero point {tensor.scale.zero_point}")
    return tensor.scale.scale, tensor.scale.zero_point


def _same_scale(x: RawTensor, made: RawTensor) -> None:
    if one_scale(x) != one_scale(made):
        raise NotCovered("another output scale")


def _clamp(op: RawOp, made: RawTensor) -> Int8Range:
    kind = op.options["activation"]
    if kind == "none":
        return WHOLE_RANGE
    if kind not in ("relu", "relu6"):
        raise NotCovered(f"activation {kind}")
    return activation_clamp(kind, *one_scale(made))


def _bias(bias: RawTensor | None, count: int) -> npt.NDArray[np.int32]:
    if bias is None:
        return np.zeros(count, np.int32)
    if bias.data is None or bias.dtype != "int32":
        raise NotCovered("another bias")
    if bias.data.size != count:
        raise InputError(f"{bias.data.size} biases for {count} channels")
    return bias.data.reshape(count).astype(np.int32)


def _attributes(op: RawOp) -> dict[str, str]:
    kind = op.options.get("activation", "none")
    return {} if kind == "none" else {"activation": str(kind)}
