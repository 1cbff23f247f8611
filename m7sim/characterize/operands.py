"""What a manifest can name: numbers of a shape and its scales, and the arrays of a workload."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m7sim.characterize.call import Array
from m7sim.characterize.placement import ACTIVATIONS, WEIGHTS
from m7sim.ops.layer import Layer
from m7sim.ops.quantization import (
    ADD_LEFT_SHIFT,
    AddQuantization,
    Requantization,
    SoftmaxQuantization,
)
from m7sim.ops.reference import Activations
from m7sim.ops.shapes import CONVOLUTIONS, WEIGHTED, Family, OpType

# Attributes of a shape.
_SHAPE = (
    "in_y", "in_x", "in_ch", "out_y", "out_x", "out_ch", "kernel_y", "kernel_x",
    "stride_y", "stride_x", "pad_y", "pad_x", "in_elements", "out_elements", "macs",
)  # fmt: skip
_POWER_OF_TWO = ("bias_shift", "out_shift")
_CLAMP = ("clamp_min", "clamp_max")
_OFFSETS = ("in_offset", "out_offset")
_SCALE = ("multiplier", "shift")
_ADD = (
    "in_offset", "in_multiplier", "in_shift", "in2_offset", "in2_multiplier", "in2_shift",
    "left_shift", "out_offset", "out_multiplier", "out_shift",
)  # fmt: skip


def number_names(
    op: OpType, family: Family = Family.Q7, *, shape_only: bool = False
) -> tuple[str, ...]:
    """Return the names of the numbers that an operation's kernels can be given."""
    if shape_only:
        return _SHAPE
    if family is not Family.S8:
        return _SHAPE + (_POWER_OF_TWO if op in WEIGHTED else ())
    match op:
        case OpType.ADD:
            return (*_SHAPE, *_ADD, *_CLAMP)
        case OpType.SOFTMAX:
            return (*_SHAPE, *_SCALE, "diff_min")
        case OpType.FULLY_CONNECTED:
            return (*_SHAPE, *_OFFSETS, *_SCALE, *_CLAMP)
        case _ if op in CONVOLUTIONS:
            return (*_SHAPE, *_OFFSETS, *_CLAMP)
        case _:
            return (*_SHAPE, *_CLAMP)


def array_names(op: OpType, family: Family) -> tuple[str, ...]:
    """Return the names of the arrays that an operation's kernels can be given."""
    names = ["input", "output"]
    if op is OpType.ADD:
        names.append("input2")
    if op in WEIGHTED:
        names += ["weights", "bias"]
    if op in CONVOLUTIONS and family is Family.S8:
        names += ["multipliers", "shifts"]
    return tuple(names)


def numbers_of(layer: Layer) -> dict[str, int]:
    """Return the numbers of a layer by name."""
    shape, scales = layer.shape, layer.quantization
    found = {name: int(getattr(shape, name)) for name in _SHAPE}
    found |= {"bias_shift": layer.bias_shift, "out_shift": layer.out_shift}
    if isinstance(scales, AddQuantization):
        values = (
            scales.in_offsets[0], scales.in_multipliers[0], scales.in_shifts[0],
            scales.in_offsets[1], scales.in_multipliers[1], scales.in_shifts[1],
            ADD_LEFT_SHIFT, scales.out_offset, scales.out_multiplier, scales.out_shift,
        )  # fmt: skip
        found |= dict(zip(_ADD, values, strict=True)) | dict(zip(_CLAMP, scales.clamp, strict=True))
    elif isinstance(scales, SoftmaxQuantization):
        found |= {
            "multiplier": scales.multiplier, "shift": scales.shift, "diff_min": scales.diff_min
        }  # fmt: skip
    elif isinstance(scales, Requantization):
        found |= {"in_offset": scales.in_offset, "out_offset": scales.out_offset}
        found |= dict(zip(_CLAMP, scales.clamp, strict=True))
        if shape.op is OpType.FULLY_CONNECTED:
            assert scales.multiplier is not None  # Layer checks them against the shape
            assert scales.shift is not None
            found |= {"multiplier": int(scales.multiplier[0]), "shift": int(scales.shift[0])}
    known = set(number_names(shape.op, shape.family))
    return {name: value for name, value in found.items() if name in known}


def arrays_of(layer: Layer, inputs: Sequence[Activations]) -> dict[str, tuple[Array, str]]:
    """Return the arrays of a layer by name, each with the group it is placed with."""
    shape, scales = layer.shape, layer.quantization
    found: dict[str, tuple[Array, str]] = {}
    for name, data in zip(("input", "input2"), inputs, strict=False):
        found[name] = data.reshape(shape.in_shape), ACTIVATIONS
    found["output"] = np.zeros(shape.out_shape, dtype=inputs[0].dtype), ACTIVATIONS
    if layer.weights is not None and layer.bias is not None:
        found["weights"] = layer.weights, WEIGHTS
        found["bias"] = layer.bias, WEIGHTS
    if shape.op in CONVOLUTIONS and isinstance(scales, Requantization):
        assert scales.multiplier is not None  # Layer checks them against the shape
        assert scales.shift is not None
        found["multipliers"] = scales.multiplier, WEIGHTS
        found["shifts"] = scales.shift, WEIGHTS
    return found
