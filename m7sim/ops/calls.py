"""How each kernel of ``firmware/kernels/nn`` is called: its arguments, laid out from a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.ops.kernels import KERNELS, buffer_elements, kernel_forms
from m7sim.ops.layer import Layer
from m7sim.ops.quantization import (
    ADD_LEFT_SHIFT,
    AddQuantization,
    SoftmaxQuantization,
)
from m7sim.ops.reference import Activations, Int8, interleave_x4, interleave_x4_q15
from m7sim.ops.shapes import CONVOLUTIONS, POOLS, Family, OpType, Shape

Array = npt.NDArray[Any]
Argument = int | Array
Parameters = dict[str, Argument]

CONSTANTS = ("weights", "bias", "multiplier", "shift", "peepholes", "projection")
SCRATCH = ("col_buffer", "vec_buffer", "buffer")


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelCall:
    """A C call that is ready to be made.

    Attributes
    ----------
    function
        Name of the kernel.
    parameters
        Its arguments in order, by the parameter names of ``m7nn.h`` and ``m7nn_s8.h``: numbers,
        and C-contiguous arrays for pointers. Pointers are ``in``, ``in2`` or ``data``; the
        ``CONSTANTS``; ``out``; and one of ``SCRATCH``.
    output
        The array among them that holds the result after the call, in ``out_shape``.
    returns_status
        Whether the kernel returns ``M7NN_OK`` (0) or ``M7NN_BAD_SHAPE`` (-1).
    """

    function: str
    parameters: Mapping[str, Argument]
    output: Activations
    returns_status: bool

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The arguments in order."""
        return tuple(self.parameters.values())

    @property
    def constant_names(self) -> tuple[str, ...]:
        """Parameters that are arrays which an application links into flash."""
        return self._arrays(CONSTANTS)

    @property
    def constants(self) -> tuple[Int8, ...]:
        """The bytes of the constant arrays: weights, biases, multipliers, shifts."""
        arrays = (self.parameters[name] for name in self.constant_names)
        return tuple(a.view(np.int8) for a in arrays if isinstance(a, np.ndarray))

    @property
    def scratch_bytes(self) -> int:
        """Size of the buffer the kernel works in, beside inputs and output."""
        arrays = (self.parameters[name] for name in self._arrays(SCRATCH))
        return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))

    def _arrays(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(n for n in names if isinstance(self.parameters.get(n), np.ndarray))


def prepare(layer: Layer, *inputs: Activations, form: str = "") -> KernelCall:
    """Lay out the C call that computes a layer.

    Parameters
    ----------
    layer
        The layer.
    *inputs
        ``layer.shape.inputs`` arrays of ``in_elements`` elements; copied, as some kernels destroy
        them.
    form
        One of `kernel_forms`; default ``layer.form``, and without that the usual one.

    Raises
    ------
    InputError
        If the shape has no kernel of that form, or an input another number of elements or type.
    """
    shape = layer.shape
    usable = kernel_forms(shape)
    chosen = form or layer.form or (usable[0] if usable else "any")
    if chosen not in usable:
        raise InputError(
            f"layer {layer.name} ({shape.op.value}) has no kernel of form {chosen!r}",
            do=f"Use one of: {', '.join(usable)}." if usable else "",
        )
    data = [np.ascontiguousarray(x).reshape(shape.in_shape).copy() for x in layer.checked(*inputs)]
    out = np.zeros(shape.out_shape, dtype=data[0].dtype)
    in_place = shape.op is OpType.RELU
    if shape.family is Family.S8:
        parameters = _s8_parameters(layer, data, out, chosen)
    else:
        parameters = _power_of_two_parameters(layer, data, out, chosen)
    return KernelCall(
        function=KERNELS[shape.family, shape.op][chosen],
        parameters=parameters,
        output=data[0] if in_place else out,
        returns_status=shape.op in CONVOLUTIONS | POOLS | {OpType.FULLY_CONNECTED},
    )


def _power_of_two_parameters(
    layer: Layer, data: list[Activations], out: Activations, form: str
) -> Parameters:
    shape = layer.shape
    match shape.op:
        case OpType.RELU:
            return {"data": data[0], "length": shape.in_elements}
        case OpType.ADD:
            return {"in": data[0], "in2": data[1], "length": shape.in_elements, "out": out}
        case OpType.SOFTMAX:
            return {"in": data[0], "length": shape.in_elements, "out": out}
    buffer = {name: np.zeros(max(buffer_elements(shape, form), 1), np.int16) for name in SCRATCH}
    ends: Parameters = {"out": out, "out_x": shape.out_x, "out_y": shape.out_y}
    if shape.op in POOLS:
        return {**_pooled(shape, data[0]), **ends, "buffer": buffer["buffer"]}
    weights, bias = _constants(layer)
    shifts: Parameters = {
        "bias": bias,
        "bias_shift": layer.bias_shift,
        "out_shift": layer.out_shift,
    }
    if shape.op in CONVOLUTIONS:
        start = _image(shape, data[0], weights)
        return {**start, **shifts, **ends, "col_buffer": buffer["col_buffer"]}
    q15 = shape.family is Family.Q15
    if "x4" in form:
        weights = interleave_x4_q15(weights) if q15 else interleave_x4(weights)
    parameters: Parameters = {"in": data[0], **_vector(shape, weights), **shifts, "out": out}
    return parameters if q15 else {**parameters, "vec_buffer": buffer["vec_buffer"]}


def _s8_parameters(
    layer: Layer, data: list[Activations], out: Activations, form: str
) -> Parameters:
    shape, quantization = layer.shape, layer.quantization
    if isinstance(quantization, AddQuantization):
        return _add_parameters(quantization, shape, data, out)
    if isinstance(quantization, SoftmaxQuantization):
        return {
            "in": data[0],
            "rows": shape.in_y * shape.in_x,
            "length": shape.in_ch,
            "multiplier": quantization.multiplier,
            "shift": quantization.shift,
            "diff_min": quantization.diff_min,
            "out": out,
            "buffer": np.zeros(max(buffer_elements(shape, form), 1), np.int32),
        }
    scaling = layer.requantization
    clamp: Parameters = {"clamp_min": scaling.clamp[0], "clamp_max": scaling.clamp[1]}
    if shape.op is OpType.RELU:
        return {"data": data[0], "length": shape.in_elements, **clamp}
    ends: Parameters = {"out": out, "out_x": shape.out_x, "out_y": shape.out_y}
    if shape.op in POOLS:
        return {**_pooled(shape, data[0]), **clamp, **ends}
    weights, bias = _constants(layer)
    assert scaling.multiplier is not None  # Layer checks them against the shape
    assert scaling.shift is not None
    offsets: Parameters = {"in_offset": scaling.in_offset, "out_offset": scaling.out_offset}
    if shape.op in CONVOLUTIONS:
        buffer = np.zeros(max(buffer_elements(shape, form), 1), np.int16)
        scales: Parameters = {"multiplier": scaling.multiplier, "shift": scaling.shift}
        start = _image(shape, data[0], weights)
        rest: Parameters = {**offsets, **clamp, **ends, "col_buffer": buffer}
        return {**start, "bias": bias, **scales, **rest}
    scale: Parameters = {"multiplier": int(scaling.multiplier[0]), "shift": int(scaling.shift[0])}
    start = {"in": data[0], **_vector(shape, weights)}
    return {**start, "bias": bias, **scale, **offsets, **clamp, "out": out}


def _add_parameters(
    scales: AddQuantization, shape: Shape, data: list[Activations], out: Activations
) -> Parameters:
    return {
        "in": data[0],
        "in2": data[1],
        "length": shape.in_elements,
        "in_offset": scales.in_offsets[0],
        "in_multiplier": scales.in_multipliers[0],
        "in_shift": scales.in_shifts[0],
        "in2_offset": scales.in_offsets[1],
        "in2_multiplier": scales.in_multipliers[1],
        "in2_shift": scales.in_shifts[1],
        "left_shift": ADD_LEFT_SHIFT,
        "out_offset": scales.out_offset,
        "out_multiplier": scales.out_multiplier,
        "out_shift": scales.out_shift,
        "clamp_min": scales.clamp[0],
        "clamp_max": scales.clamp[1],
        "out": out,
    }


def _image(shape: Shape, data: Activations, weights: Int8) -> Parameters:
    return {
        "in": data,
        "in_x": shape.in_x,
        "in_y": shape.in_y,
        "in_ch": shape.in_ch,
        "weights": weights,
        "out_ch": shape.out_ch,
        **_window(shape),
    }


def _pooled(shape: Shape, data: Activations) -> Parameters:
    start: Parameters = {"in": data, "in_x": shape.in_x, "in_y": shape.in_y, "ch": shape.in_ch}
    return {**start, **_window(shape)}


def _window(shape: Shape) -> Parameters:
    return {
        "kernel_x": shape.kernel_x,
        "kernel_y": shape.kernel_y,
        "pad_x": shape.pad_x,
        "pad_y": shape.pad_y,
        "stride_x": shape.stride_x,
        "stride_y": shape.stride_y,
    }


def _vector(shape: Shape, weights: Int8) -> Parameters:
    return {"weights": weights, "in_len": shape.in_ch, "out_len": shape.out_ch}


def _constants(layer: Layer) -> tuple[Int8, Array]:
    assert layer.weights is not None  # Layer checks them against the shape
    assert layer.bias is not None
    return np.ascontiguousarray(layer.weights), np.ascontiguousarray(layer.bias)
