"""Reads ``.tflite`` files, damaged and hostile ones included.

Nothing is allocated from a number in the file before the number is checked; whatever the flatbuffer
reader stumbles over becomes one message.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from m7sim.errors import InputError, M7Error, ToolError
from m7sim.nets.graph import Array, TensorScale
from m7sim.nets.raw import (
    MAX_COUNT,
    MAX_FILE_BYTES,
    MAX_NUMBERS,
    MAX_RANK,
    MAX_TENSOR_BYTES,
    RawModel,
    RawOp,
    RawTensor,
    check_shape,
)

IDENTIFIER = b"TFL3"
# Types of tensors in the schema; others are named by number and unsupported wherever they occur.
_DTYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool",
    7: "int16", 9: "int8", 10: "float64",
}  # fmt: skip
_ITEM_BYTES = {"float16": 2, "float64": 8, "string": 1}
ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6", 4: "tanh", 5: "sign_bit"}
PADDINGS = {0: "same", 1: "valid"}

_WINDOW = {"stride_y": "StrideH", "stride_x": "StrideW", "padding": "Padding"}
_DILATION = {"dilation_y": "DilationHFactor", "dilation_x": "DilationWFactor"}
_FUSED = {"activation": "FusedActivationFunction"}
_POOL = (
    "Pool2DOptions",
    {**_WINDOW, **_FUSED, "kernel_y": "FilterHeight", "kernel_x": "FilterWidth"},
)
# Options of operators: table in the schema, and what is read from it.
_OPTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "CONV_2D": ("Conv2DOptions", {**_WINDOW, **_DILATION, **_FUSED}),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        {**_WINDOW, **_DILATION, **_FUSED, "multiplier": "DepthMultiplier"},
    ),
    "MAX_POOL_2D": _POOL,
    "AVERAGE_POOL_2D": _POOL,
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        {**_FUSED, "format": "WeightsFormat", "keep_dims": "KeepNumDims"},
    ),
    "ADD": ("AddOptions", _FUSED),
    "SOFTMAX": ("SoftmaxOptions", {"beta": "Beta"}),
    "MEAN": ("ReducerOptions", {"keep_dims": "KeepDims"}),
}
DAMAGE = (
    struct.error, IndexError, ValueError, TypeError, OverflowError, KeyError, AttributeError,
    AssertionError, MemoryError, RecursionError,
)  # fmt: skip


def library() -> ModuleType:
    """Return the flatbuffer schema of TensorFlow Lite.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    try:
        tflite = importlib.import_module("tflite")
    except ImportError as error:
        raise ToolError(
            "reading .tflite files needs the package tflite",
            do="Install it with: pip install 'm7sim[networks]'",
        ) from error
    return tflite


def read(path: Path) -> RawModel:
    """Read the first subgraph of a ``.tflite`` file.

    Raises
    ------
    InputError
        If it cannot be read, is damaged, or larger than any chip of this kind could use.
    ToolError
        If the package ``tflite`` is missing.
    """
    return parse(file_bytes(path), path.stem, str(path))


def file_bytes(path: Path) -> bytes:
    """Return the contents of a model file; InputError if it is missing or too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=str(path)) from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"larger than {MAX_FILE_BYTES >> 20} MiB", where=str(path))
    return data


def parse(data: bytes, name: str, origin: str) -> RawModel:
    """Read a model from bytes; see `read`."""
    schema = library()
    if data[4:8] != IDENTIFIER:
        raise InputError("no TensorFlow Lite model", where=origin)
    try:
        return _Reader(schema, data).model(name, origin)
    except M7Error as error:
        error.where = error.where or origin
        raise
    except DAMAGE as error:
        raise InputError(
            f"damaged: its tables do not hold together ({type(error).__name__})", where=origin
        ) from error


class _Reader:
    def __init__(self, schema: ModuleType, data: bytes) -> None:
        self.schema, self.data = schema, data
        self.file: Any = schema.Model.GetRootAsModel(data, 0)
        self.held_bytes = 0
        self.numbers = 0

    def model(self, name: str, origin: str) -> RawModel:
        graphs = self._count(self.file.SubgraphsLength(), "subgraphs")
        if graphs < 1:
            raise InputError("there is no graph in it")
        graph = self.file.Subgraphs(0)
        tensors = self._count(graph.TensorsLength(), "tensors")
        operators = self._count(graph.OperatorsLength(), "operators")
        return RawModel(
            name=name,
            origin=origin,
            tensors=tuple(self._tensor(graph.Tensors(i), i) for i in range(tensors)),
            ops=tuple(self._operator(graph.Operators(i)) for i in range(operators)),
            inputs=self._numbers(graph.InputsLength, graph.Inputs),
            outputs=self._numbers(graph.OutputsLength, graph.Outputs),
        )

    def _count(self, number: int, what: str) -> int:
        if not 0 <= number <= MAX_COUNT:
            raise InputError(f"damaged: {number} {what}")
        return number

    def _counted(self, number: int, what: str) -> int:
        """Also bound the sum, as vectors of a hostile file may lie over one another."""
        self.numbers += self._count(number, what)
        if self.numbers > MAX_NUMBERS:
            raise InputError(f"more than {MAX_NUMBERS} numbers beside the constants")
        return number

    def _numbers(self, length: Callable[[], int], item: Callable[[int], int]) -> tuple[int, ...]:
        return tuple(int(item(i)) for i in range(self._counted(length(), "numbers in a vector")))

    def _tensor(self, tensor: Any, index: int) -> RawTensor:
        name = _text(tensor.Name()) or f"tensor {index}"
        dtype = _DTYPES.get(tensor.Type(), f"type {tensor.Type()}")
        if tensor.ShapeLength() > MAX_RANK:
            raise InputError(f"tensor {name!r} has {tensor.ShapeLength()} dimensions")
        shape = self._numbers(tensor.ShapeLength, tensor.Shape)
        item_bytes = _ITEM_BYTES.get(dtype) or _numpy_bytes(dtype)
        check_shape(shape, item_bytes, name)
        return RawTensor(
            name=name,
            shape=shape,
            dtype=dtype,
            scale=self._scale(tensor.Quantization()),
            data=self._data(tensor.Buffer(), shape, dtype, name),
            state=bool(tensor.IsVariable()),
        )

    def _scale(self, quantization: Any) -> TensorScale | None:
        if quantization is None:
            return None
        scales = self._counted(quantization.ScaleLength(), "scales")
        if scales == 0:
            return None
        zeros = self._counted(quantization.ZeroPointLength(), "zero points")
        points = tuple(int(quantization.ZeroPoint(i)) for i in range(zeros))
        if any(abs(point) >= 1 << 31 for point in points):
            raise InputError("damaged: a zero point beyond 32 bits")
        return TensorScale(
            tuple(float(quantization.Scale(i)) for i in range(scales)),
            points or (0,) * scales,
            int(quantization.QuantizedDimension()),
        )

    def _data(self, index: int, shape: tuple[int, ...], dtype: str, name: str) -> Array | None:
        if not 0 <= index < self._count(self.file.BuffersLength(), "buffers"):
            raise InputError(f"damaged: tensor {name!r} lies in a buffer that does not exist")
        buffer = self.file.Buffers(index)
        length = buffer.DataLength()
        if length == 0 or dtype in ("string",) or dtype not in _DTYPES.values():
            return None
        self.held_bytes += length
        if self.held_bytes > MAX_TENSOR_BYTES:
            raise InputError(f"constants of more than {MAX_TENSOR_BYTES >> 20} MiB")
        raw = buffer.DataAsNumpy()
        expected = _numpy_bytes(dtype) * int(np.prod(shape, dtype=np.int64))
        if raw.nbytes != length or length != expected:
            raise InputError(
                f"damaged: tensor {name!r} of {expected} bytes has {length} bytes of data"
            )
        return np.frombuffer(raw.tobytes(), np.dtype(dtype)).reshape(shape)

    def _operator(self, operator: Any) -> RawOp:
        code = self.file.OperatorCodes(operator.OpcodeIndex())
        if not 0 <= operator.OpcodeIndex() < self.file.OperatorCodesLength():
            raise InputError("damaged: an operator of an unknown code")
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = _operator_names().get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = f"CUSTOM {_text(code.CustomCode())}".rstrip()
        return RawOp(
            kind=kind,
            inputs=self._numbers(operator.InputsLength, operator.Inputs),
            outputs=self._numbers(operator.OutputsLength, operator.Outputs),
            options=self._options(operator, kind),
        )

    def _options(self, operator: Any, kind: str) -> dict[str, Any]:
        if kind not in _OPTIONS:
            return {}
        name, wanted = _OPTIONS[kind]
        found = operator.BuiltinOptions()
        if found is None:
            raise InputError(f"damaged: a {kind} without options")
        if operator.BuiltinOptionsType() != getattr(self.schema.BuiltinOptions, name):
            raise InputError(f"damaged: a {kind} with the options of another operator")
        table = getattr(self.schema, name)()
        table.Init(found.Bytes, found.Pos)
        values = {key: getattr(table, getter)() for key, getter in wanted.items()}
        for key, words in (("activation", ACTIVATIONS), ("padding", PADDINGS)):
            if key in values:
                values[key] = words.get(values[key], f"{key} {values[key]}")
        return values


@cache
def _operator_names() -> dict[int, str]:
    table = library().BuiltinOperator
    return {value: name for name, value in vars(table).items() if isinstance(value, int)}


def _numpy_bytes(dtype: str) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        return 1


def _text(raw: bytes | None) -> str:
    text = (raw or b"")[:80].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)
