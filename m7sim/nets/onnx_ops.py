"""Operators of ONNX, in groups with their quantization, as those of TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from m7sim.errors import InputError
from m7sim.nets.graph import Array, TensorScale
from m7sim.nets.raw import RawTensor

Sides = tuple[int, ...]
# Kind, shape of the output, indices of inputs, options, constants to add behind the inputs.
Lowered = tuple[str, Sides, tuple[int, ...], dict[str, Any], list[RawTensor]]


@dataclass(frozen=True)
class Ready:
    """An input of an operator: a tensor by index, or a constant; with its scale."""

    index: int = -1
    data: Array | None = None
    scale: TensorScale | None = None


@dataclass
class Group:
    """An operator with what stands around it."""

    node: Any
    read: list[Ready]
    activation: str
    tensors: list[RawTensor]
    constants: Mapping[str, Array]
    flat: Mapping[int, tuple[int, int, int]]
    attributes: Mapping[str, Any]
    flattened: tuple[int, int, int] | None = field(default=None)

    def shape(self, number: int = 0) -> Sides:
        """Return the shape of an input, channels last."""
        return self.tensors[self.read[number].index].shape


def _integers(group: Group) -> bool:
    """Say whether all inputs come from integers."""
    return all(r.scale is not None or r.data is not None for r in group.read)


def _window(group: Group, sides: Sides) -> tuple[dict[str, Any], Sides] | None:
    """Return options and output sides of a window, or None for what is not covered."""
    found = group.attributes
    kernel = tuple(found.get("kernel_shape", ()))
    if len(kernel) != 2 or len(sides) != 4 or found.get("ceil_mode", 0):
        return None
    if tuple(found.get("dilations", (1, 1))) != (1, 1):
        return None
    stride = tuple(found.get("strides", (1, 1)))
    if found.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    top, left, bottom, right = found.get("pads", (0, 0, 0, 0))
    if min(top, left, bottom, right) < 0 or min(stride) < 1 or len(stride) != 2:
        return None
    out = (
        (sides[1] + top + bottom - kernel[0]) // stride[0] + 1,
        (sides[2] + left + right - kernel[1]) // stride[1] + 1,
    )
    if min(out) < 1:
        raise InputError(f"a {group.node.op_type} whose window does not fit")
    options = {
        "stride_y": stride[0], "stride_x": stride[1], "padding": "valid",
        "pads": ((top, left), (bottom, right)), "kernel_y": kernel[0], "kernel_x": kernel[1],
    }  # fmt: skip
    return options, out


def _bias(group: Group, weights: TensorScale) -> list[RawTensor]:
    """Return the bias as integers of the scale of the sums."""
    if len(group.read) < 3:
        return []
    given = group.read[2]
    x = group.read[0].scale
    if given.data is None or x is None:
        raise InputError(f"a {group.node.op_type} whose bias is no constant")
    data = given.data.reshape(-1)
    if data.dtype.kind == "f":
        steps = np.float64(x.scale) * np.array(weights.scales, np.float64)
        data = np.clip(np.rint(data.astype(np.float64) / steps), -(2**31), 2**31 - 1)
    whole = data.astype(np.int32)
    return [RawTensor(name="bias", shape=whole.shape, dtype="int32", data=whole)]


def _weights(group: Group) -> tuple[Array, TensorScale] | None:
    given = group.read[1]
    if given.data is None or given.scale is None or given.data.dtype != np.int8:
        return None
    return given.data, given.scale


def conv(group: Group) -> Lowered | None:
    """Lower a convolution, plain or depthwise."""
    found, sides = _weights(group) if _integers(group) else None, group.shape()
    if found is None or found[0].ndim != 4 or len(sides) != 4:
        return None
    data, scale = found
    if "kernel_shape" not in group.attributes:
        group.attributes = {**group.attributes, "kernel_shape": data.shape[2:]}
    window = _window(group, sides)
    groups = group.attributes.get("group", 1)
    if window is None or tuple(group.attributes["kernel_shape"]) != data.shape[2:]:
        return None
    options, out = window
    out_ch, depthwise = data.shape[0], groups > 1
    if depthwise and (groups != sides[3] or data.shape[1] != 1):
        return None
    turned = data.transpose(1, 2, 3, 0) if depthwise else data.transpose(0, 2, 3, 1)
    turned = np.ascontiguousarray(turned)
    axes = TensorScale(scale.scales, scale.zero_points, 3 if depthwise else 0)
    weights = RawTensor(name="weights", shape=turned.shape, dtype="int8", scale=axes, data=turned)
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    extra = [weights, *_bias(group, scale)]
    return kind, (1, *out, out_ch), (group.read[0].index,), options, extra


def gemm(group: Group) -> Lowered | None:
    """Lower a matrix product with constant weights."""
    found = _weights(group) if _integers(group) and len(group.read) > 1 else None
    if found is None or found[0].ndim != 2 or len(group.shape()) != 2:
        return None
    data, scale = found
    plain = (group.attributes.get("alpha", 1.0), group.attributes.get("beta", 1.0))
    if plain != (1.0, 1.0) or group.attributes.get("transA", 0):
        return None
    rows = data if group.attributes.get("transB", 0) else data.T
    order = group.flat.get(group.read[0].index)
    if order is not None:  # the vector was an image with channels first
        rows = rows.reshape(-1, *order).transpose(0, 2, 3, 1)
    rows = np.ascontiguousarray(rows.reshape(rows.shape[0], -1))
    weights = RawTensor(
        name="weights", shape=rows.shape, dtype="int8", data=rows,
        scale=TensorScale(scale.scales, scale.zero_points, 0),
    )  # fmt: skip
    extra = [weights, *_bias(group, scale)]
    shape = (group.shape()[0], rows.shape[0])
    return "FULLY_CONNECTED", shape, (group.read[0].index,), {"format": 0}, extra


def pool(group: Group) -> Lowered | None:
    """Lower a pooling."""
    sides = group.shape()
    if group.node.op_type == "GlobalAveragePool" and len(sides) == 4:
        group.attributes = {"kernel_shape": sides[1:3]}
    window = _window(group, sides) if _integers(group) else None
    if window is None or group.attributes.get("count_include_pad", 0):
        return None
    kind = "MAX_POOL_2D" if group.node.op_type == "MaxPool" else "AVERAGE_POOL_2D"
    options, out = window
    return kind, (1, *out, sides[3]), (group.read[0].index,), options, []


def elementwise(group: Group) -> Lowered | None:
    """Lower an addition, a rectifier or a softmax."""
    if not _integers(group) or any(r.index < 0 or r.index in group.flat for r in group.read[:2]):
        return None
    if group.node.op_type == "Softmax" and len(group.shape()) != 2:
        return None
    kind = {"Add": "ADD", "Relu": "RELU", "Softmax": "SOFTMAX"}[group.node.op_type]
    indices = tuple(r.index for r in group.read)
    return kind, group.shape(), indices, {"beta": 1.0}, []


def reshape(group: Group) -> Lowered | None:
    """Lower a reshape of an image to a vector, or of a vector."""
    sides = group.shape()
    target: Sides = (1, prod(sides))
    if group.node.op_type == "Reshape":
        wanted = group.read[1].data if len(group.read) > 1 else None
        if wanted is None or wanted.size != 2:
            return None
    if len(sides) == 4 and sides[1] * sides[2] > 1 and sides[3] > 1:
        group.flattened = (sides[3], sides[1], sides[2])
    return "RESHAPE", target, (group.read[0].index,), {}, []


OPERATORS: Mapping[str, Callable[[Group], Lowered | None]] = {
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": gemm,
    "MaxPool": pool,
    "AveragePool": pool,
    "GlobalAveragePool": pool,
    "Add": elementwise,
    "Relu": elementwise,
    "Softmax": elementwise,
    "Flatten": reshape,
    "Reshape": reshape,
}
"""What can be lowered, by operator."""
