"""The C kernels of ``firmware/kernels/nn``: their ELF, their names, and how each is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from m7sim import toolchain
from m7sim.errors import InputError
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Int8, interleave_x4
from m7sim.ops.shapes import CONVOLUTIONS, POOLS, OpType, Shape

FLAGS = ("-O3", "-g3", "-std=gnu11", "-ffunction-sections", "-fdata-sections")
NAIVE = "naive"
OK = 0

_CONV_FORMS = {
    "basic": "m7nn_conv_basic",
    "fast": "m7nn_conv_fast",
    "rgb": "m7nn_conv_rgb",
    "1x1": "m7nn_conv_1x1",
    NAIVE: "m7nn_conv_naive",
}
_FORMS: dict[OpType, dict[str, str]] = {
    OpType.CONV: {form: name for form, name in _CONV_FORMS.items() if form != "1x1"},
    OpType.POINTWISE: _CONV_FORMS,
    OpType.DEPTHWISE: {"optimised": "m7nn_depthwise", NAIVE: "m7nn_depthwise_naive"},
    OpType.FULLY_CONNECTED: {
        "plain": "m7nn_fc",
        "x4": "m7nn_fc_x4",
        NAIVE: "m7nn_fc_naive",
        "x4 naive": "m7nn_fc_x4_naive",
    },
    OpType.MAX_POOL: {"optimised": "m7nn_max_pool", NAIVE: "m7nn_max_pool_naive"},
    OpType.AVE_POOL: {"optimised": "m7nn_ave_pool", NAIVE: "m7nn_ave_pool_naive"},
    OpType.RELU: {"optimised": "m7nn_relu", NAIVE: "m7nn_relu_naive"},
    OpType.SOFTMAX: {"optimised": "m7nn_softmax", NAIVE: "m7nn_softmax_naive"},
}

Argument = int | npt.NDArray[np.int8] | npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelCall:
    """A C call that is ready to be made.

    Attributes
    ----------
    function
        Name of the kernel.
    parameters
        Its arguments in order, by the parameter names of ``m7nn.h``: numbers, and C-contiguous
        arrays for pointers. Pointers are ``in`` or ``data``, ``weights``, ``bias`` (constants, in
        flash on a real board), ``out`` and ``col_buffer``, ``vec_buffer`` or ``buffer`` (scratch).
    output
        The array among them that holds the result after the call, in ``out_shape``.
    returns_status
        Whether the kernel returns ``M7NN_OK`` (0) or ``M7NN_BAD_SHAPE`` (-1).
    """

    function: str
    parameters: Mapping[str, Argument]
    output: Int8
    returns_status: bool

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The arguments in order."""
        return tuple(self.parameters.values())

    @property
    def constants(self) -> tuple[Int8, ...]:
        """The arrays that an application links into flash: weights and bias."""
        found = (self.parameters.get(name) for name in ("weights", "bias"))
        return tuple(a.view(np.int8) for a in found if isinstance(a, np.ndarray))


def kernel_sources() -> list[Path]:
    """Return the C files of the kernel library, in a fixed order."""
    return sorted((toolchain.firmware_dir() / "kernels" / "nn").glob("*.c"))


def kernel_includes() -> list[Path]:
    """Return the header folders the kernels need."""
    firmware = toolchain.firmware_dir()
    return [firmware / "include", firmware / "kernels" / "nn"]


def kernel_names() -> list[str]:
    """Return the names of all kernels."""
    return sorted({name for forms in _FORMS.values() for name in forms.values()})


def kernel_elf(*, defines: tuple[str, ...] = ()) -> Path:
    """Build all kernels into one ELF, or return the one built before.

    Parameters
    ----------
    defines
        Preprocessor names, such as ``M7NN_PKH_IN_C`` (see ``firmware/include/m7dsp.h``).

    Raises
    ------
    ToolError
        If the cross compiler is missing or fails.
    """
    return toolchain.build(
        kernel_sources(),
        flags=(*FLAGS, *(f"-D{name}" for name in defines)),
        include=kernel_includes(),
        keep=kernel_names(),
    )


def kernel_forms(shape: Shape) -> tuple[str, ...]:
    """Return the forms of kernel that can run a shape, the usual (fastest) one first."""
    forms = list(_FORMS[shape.op])
    if shape.op in (OpType.CONV, OpType.POINTWISE):
        quads = shape.in_ch % 4 == 0 and shape.out_ch % 2 == 0
        usable = {
            "1x1": quads and shape.op is OpType.POINTWISE,
            "fast": quads,
            "rgb": shape.in_ch == 3,
            "basic": True,
            NAIVE: True,
        }
        return tuple(form for form, can in usable.items() if can)
    if shape.op is OpType.FULLY_CONNECTED:
        return "x4", "plain", NAIVE, "x4 naive"
    if shape.op in POOLS and shape.pad_x >= shape.stride_x:
        return (NAIVE,)
    return tuple(forms)


def buffer_elements(shape: Shape) -> int:
    """Return the size of the scratch buffer that a kernel of this shape needs, in int16."""
    taps = shape.kernel_y * shape.kernel_x * shape.in_ch
    match shape.op:
        case OpType.CONV | OpType.POINTWISE:
            return 2 * taps
        case OpType.DEPTHWISE:
            return (taps + 1) // 2
        case OpType.FULLY_CONNECTED:
            return shape.in_ch
        case OpType.AVE_POOL:
            return shape.out_x * shape.out_ch
        case _:
            return 0


def prepare(layer: Layer, x: Int8, *, form: str = "") -> KernelCall:
    """Lay out the C call that computes a layer.

    Parameters
    ----------
    layer
        The layer.
    x
        int8 input of ``layer.shape.in_elements`` elements; copied, as some kernels destroy it.
    form
        One of `kernel_forms`; default ``layer.form``, and without that the usual one.

    Raises
    ------
    InputError
        If the shape has no kernel of that form, or the input another number of elements.
    """
    shape = layer.shape
    usable = kernel_forms(shape)
    chosen = form or layer.form or usable[0]
    if chosen not in usable:
        raise InputError(
            f"layer {layer.name} ({shape.op.value}) has no kernel of form {chosen!r}",
            do=f"Use one of: {', '.join(usable)}.",
        )
    if x.size != shape.in_elements:
        raise InputError(f"layer {layer.name}: input of {x.size} elements, not {shape.in_shape}")
    data = np.ascontiguousarray(x, dtype=np.int8).reshape(shape.in_shape).copy()
    out = np.zeros(shape.out_shape, dtype=np.int8)
    function = _FORMS[shape.op][chosen]
    if shape.op is OpType.RELU:
        parameters: dict[str, Argument] = {"data": data, "length": shape.in_elements}
        return KernelCall(
            function=function, parameters=parameters, output=data, returns_status=False
        )
    if shape.op is OpType.SOFTMAX:
        parameters = {"in": data, "length": shape.in_elements, "out": out}
        return KernelCall(
            function=function, parameters=parameters, output=out, returns_status=False
        )
    buffer = np.zeros(max(buffer_elements(shape), 1), dtype=np.int16)
    if shape.op in POOLS:
        parameters = _pool_parameters(shape, data, out, buffer)
    elif shape.op in CONVOLUTIONS:
        parameters = _conv_parameters(layer, data, out, buffer)
    else:
        parameters = _fc_parameters(layer, data, out, buffer, x4="x4" in chosen)
    return KernelCall(function=function, parameters=parameters, output=out, returns_status=True)


def _pool_parameters(
    shape: Shape, data: Int8, out: Int8, buffer: npt.NDArray[np.int16]
) -> dict[str, Argument]:
    return {
        "in": data,
        "in_x": shape.in_x,
        "in_y": shape.in_y,
        "ch": shape.in_ch,
        **_window_parameters(shape),
        "out": out,
        "out_x": shape.out_x,
        "out_y": shape.out_y,
        "buffer": buffer,
    }


def _conv_parameters(
    layer: Layer, data: Int8, out: Int8, buffer: npt.NDArray[np.int16]
) -> dict[str, Argument]:
    shape = layer.shape
    weights, bias = _constants(layer)
    return {
        "in": data,
        "in_x": shape.in_x,
        "in_y": shape.in_y,
        "in_ch": shape.in_ch,
        "weights": weights,
        "out_ch": shape.out_ch,
        **_window_parameters(shape),
        "bias": bias,
        "bias_shift": layer.bias_shift,
        "out_shift": layer.out_shift,
        "out": out,
        "out_x": shape.out_x,
        "out_y": shape.out_y,
        "col_buffer": buffer,
    }


def _window_parameters(shape: Shape) -> dict[str, Argument]:
    return {
        "kernel_x": shape.kernel_x,
        "kernel_y": shape.kernel_y,
        "pad_x": shape.pad_x,
        "pad_y": shape.pad_y,
        "stride_x": shape.stride_x,
        "stride_y": shape.stride_y,
    }


def _fc_parameters(
    layer: Layer, data: Int8, out: Int8, buffer: npt.NDArray[np.int16], *, x4: bool
) -> dict[str, Argument]:
    weights, bias = _constants(layer)
    return {
        "in": data,
        "weights": interleave_x4(weights) if x4 else weights,
        "in_len": layer.shape.in_ch,
        "out_len": layer.shape.out_ch,
        "bias": bias,
        "bias_shift": layer.bias_shift,
        "out_shift": layer.out_shift,
        "out": out,
        "vec_buffer": buffer,
    }


def _constants(layer: Layer) -> tuple[Int8, Int8]:
    assert layer.weights is not None  # Layer checks them against the shape
    assert layer.bias is not None
    return np.ascontiguousarray(layer.weights), np.ascontiguousarray(layer.bias)
