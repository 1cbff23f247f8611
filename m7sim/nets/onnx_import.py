"""Reads ONNX files that are quantized in the QDQ way, int8 or uint8.

Between DequantizeLinear and QuantizeLinear stands an operator on real numbers; the group becomes
one integer operator. Images are turned from channels first to channels last, weights with them;
uint8 becomes int8 by taking 128 off numbers and zero points. ONNX rounds in floating point, our
kernels as TensorFlow Lite does: answers may differ from those of an ONNX runtime by a step.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from m7sim.errors import InputError, M7Error, ToolError
from m7sim.nets.graph import Array, TensorScale
from m7sim.nets.onnx_ops import OPERATORS, Group, Ready
from m7sim.nets.raw import (
    MAX_COUNT,
    MAX_TENSOR_BYTES,
    RawModel,
    RawOp,
    RawTensor,
    check_shape,
)
from m7sim.nets.tflite_import import DAMAGE, file_bytes

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
FUSED = {"Relu": "relu", "Clip": "relu6"}


def library() -> ModuleType:
    """Return the package ``onnx``; ToolError if it is not installed."""
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ToolError(
            "reading .onnx files needs the package onnx",
            do="Install it with: pip install 'm7sim[networks]'",
        ) from error


def read(path: Path) -> RawModel:
    """Read a model.

    Raises
    ------
    InputError
        If it cannot be read, is damaged, or holds data outside the file.
    ToolError
        If the package ``onnx`` is missing.
    """
    return parse(file_bytes(path), path.stem, str(path))


def parse(data: bytes, name: str, origin: str) -> RawModel:
    """Read a model from bytes; see `read`."""
    onnx = library()
    broken = importlib.import_module("google.protobuf.message").Error
    try:
        return _Reader(onnx, onnx.ModelProto.FromString(data)).model(name, origin)
    except M7Error as error:
        error.where = error.where or origin
        raise
    except (*DAMAGE, broken) as error:
        raise InputError(f"no sound ONNX model ({type(error).__name__})", where=origin) from error


class _Reader:
    def __init__(self, onnx: ModuleType, model: Any) -> None:
        self.onnx, self.graph = onnx, model.graph
        for found in (self.graph.node, self.graph.initializer, self.graph.value_info):
            if len(found) > MAX_COUNT:
                raise InputError(f"damaged: {len(found)} of a kind")
        self.constants = self._constants()
        self.tensors: list[RawTensor] = []
        self.index: dict[str, int] = {}  # of quantized and real tensors, by name
        self.ready: dict[str, Ready] = {}  # what a real tensor is, where it comes from integers
        self.flat: dict[int, tuple[int, int, int]] = {}
        self.unsigned: set[str] = set()  # integers of the graph's inputs that were uint8
        self.ops: list[RawOp] = []
        self.readers: dict[str, list[Any]] = {}
        for node in self.graph.node:
            for read in node.input:
                self.readers.setdefault(read, []).append(node)

    def model(self, name: str, origin: str) -> RawModel:
        inputs = [value for value in self.graph.input if value.name not in self.constants]
        for value in inputs:
            self._declare(value.name, self._shape_of(value), self._dtype_of(value), None)
        done: set[int] = set()
        for node in self.graph.node:
            if id(node) in done:
                continue
            if node.op_type == QUANTIZE:
                self._quantize(node)
            elif node.op_type == DEQUANTIZE:
                self._dequantize(node)
            elif node.op_type == "Constant":
                continue
            else:
                done |= self._group(node)
        outputs = [self._output(value.name) for value in self.graph.output]
        return RawModel(
            name=name,
            origin=origin,
            tensors=tuple(self.tensors),
            ops=tuple(self.ops),
            inputs=tuple(self.index[value.name] for value in inputs),
            outputs=tuple(outputs),
            channels_first=True,
        )

    # Tensors -------------------------------------------------------------------------------

    def _constants(self) -> dict[str, Array]:
        found, held_bytes = {}, 0
        tensors = [(tensor.name, tensor) for tensor in self.graph.initializer]
        for node in self.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                tensors.append((node.output[0], node.attribute[0].t))
        for name, tensor in tensors:
            if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
                raise InputError(f"constant {name!r} lies in another file")
            check_shape(tuple(tensor.dims), 8, name)
            data = self.onnx.numpy_helper.to_array(tensor)
            held_bytes += data.nbytes
            if held_bytes > MAX_TENSOR_BYTES:
                raise InputError(f"constants of more than {MAX_TENSOR_BYTES >> 20} MiB")
            found[name] = data
        return found

    def _shape_of(self, value: Any) -> tuple[int, ...]:
        """Return a shape with channels last; sides that have a name are 1."""
        dims = value.type.tensor_type.shape.dim
        sides = tuple(int(dim.dim_value) or 1 for dim in dims)
        check_shape(sides, 4, value.name)
        return (sides[0], *sides[2:], sides[1]) if len(sides) == 4 else sides

    def _dtype_of(self, value: Any) -> str:
        kind = value.type.tensor_type.elem_type
        return str(self.onnx.helper.tensor_dtype_to_np_dtype(kind))

    def _declare(
        self, name: str, shape: tuple[int, ...], dtype: str, scale: TensorScale | None
    ) -> int:
        if name in self.index:
            raise InputError(f"tensor {name!r} is made twice")
        check_shape(shape, 4, name)
        if dtype == "uint8":
            self.unsigned.add(name)
            dtype = "int8"
        self.index[name] = len(self.tensors)
        self.tensors.append(RawTensor(name=name, shape=shape, dtype=dtype, scale=scale))
        return self.index[name]

    def _scale_of(self, node: Any, *, unsigned: bool | None = None) -> TensorScale:
        """Return the scale that a (de)quantization names, for int8.

        Parameters
        ----------
        unsigned
            Whether its integers are uint8; None for what the zero point, or its absence, says.
        """
        scales = self.constants[node.input[1]].reshape(-1)
        zeros = self.constants.get(node.input[2]) if len(node.input) > 2 else None
        if unsigned is None:
            unsigned = zeros is None or zeros.dtype.name == "uint8"
        points = [0] * scales.size if zeros is None else [int(z) for z in zeros.reshape(-1)]
        axis = next((int(a.i) for a in node.attribute if a.name == "axis"), 1)
        shift = 128 if unsigned else 0
        return TensorScale(tuple(float(s) for s in scales), tuple(p - shift for p in points), axis)

    def _output(self, name: str) -> int:
        if name not in self.index:
            raise InputError(f"nobody makes the output {name!r}")
        return self.index[name]

    # Operators -----------------------------------------------------------------------------

    def _dequantize(self, node: Any) -> None:
        source, made = node.input[0], node.output[0]
        if source in self.constants:
            data = self.constants[source]
            scale = self._scale_of(node, unsigned=data.dtype.name == "uint8")
            if data.dtype.name == "uint8":
                data = (data.astype("int16") - 128).astype("int8")
            self.ready[made] = Ready(data=data, scale=scale)
            return
        at = self.index[source]
        raw = self.tensors[at]
        scale = raw.scale or self._scale_of(node, unsigned=source in self.unsigned)
        if raw.scale is None:
            self.tensors[at] = replace(raw, scale=scale)
        self.ready[made] = Ready(index=at, scale=scale)
        if made in {value.name for value in self.graph.output}:
            index = self._declare(made, raw.shape, "float32", None)
            self.ops.append(RawOp(kind="DEQUANTIZE", inputs=(at,), outputs=(index,)))

    def _quantize(self, node: Any) -> None:
        scale = self._scale_of(node)
        source = node.input[0]
        if source not in self.index:
            raise InputError(f"QuantizeLinear of {source!r}, which nobody makes")
        raw = self.tensors[self.index[source]]
        made = self._declare(node.output[0], raw.shape, "int8", scale)
        self.ops.append(RawOp(kind="QUANTIZE", inputs=(self.index[source],), outputs=(made,)))

    def _group(self, node: Any) -> set[int]:
        """Lower an operator with the rectifier and the quantization behind it."""
        used, last, activation = {id(node)}, node.output[0], "none"
        after = self.readers.get(last, [])
        if (
            len(after) == 1
            and after[0].op_type in FUSED
            and node.op_type in ("Conv", "Gemm", "Add")
        ):
            limits = [float(self.constants[x].reshape(-1)[0]) for x in after[0].input[1:] if x]
            if after[0].op_type == "Relu" or limits == [0.0, 6.0]:
                activation = FUSED[after[0].op_type]
                used.add(id(after[0]))
                last = after[0].output[0]
                after = self.readers.get(last, [])
        scale, name, dtype = None, last, "float32"
        if after and all(reader.op_type == QUANTIZE for reader in after):
            scale = self._scale_of(after[0])
            name, dtype = after[0].output[0], "int8"
            used.add(id(after[0]))
        group = Group(
            node=node,
            read=[self._ready(x) for x in node.input],
            activation=activation,
            tensors=self.tensors,
            constants=self.constants,
            flat=self.flat,
            attributes={a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute},
        )
        known = OPERATORS.get(node.op_type)
        lowered = known(group) if known is not None and dtype == "int8" else None
        if lowered is None:
            self._unknown(node, name, dtype, scale, group)
            return used
        kind, shape, inputs, options, extra = lowered
        added = []
        for raw in extra:
            added.append(len(self.tensors))
            self.tensors.append(raw)
        made = self._declare(name, shape, dtype, scale)
        if group.flattened is not None:
            self.flat[made] = group.flattened
        self.ops.append(
            RawOp(
                kind=kind, inputs=(*inputs, *added), outputs=(made,),
                options={**options, "activation": activation},
            )
        )  # fmt: skip
        return used

    def _ready(self, name: str) -> Ready:
        if name in self.ready:
            return self.ready[name]
        if name in self.constants:
            return Ready(data=self.constants[name])
        return Ready(index=self.index.get(name, -1))

    def _unknown(
        self, node: Any, name: str, dtype: str, scale: TensorScale | None, group: Group
    ) -> None:
        """Keep an operator that no kernel computes, under its name in ONNX."""
        values = {v.name: v for v in (*self.graph.value_info, *self.graph.output)}
        ends = [values[x] for x in (name, node.output[0]) if x in values]
        first = next((r.index for r in group.read if r.index >= 0), -1)
        if first < 0:
            raise InputError(f"a {node.op_type} without input")
        shape = self._shape_of(ends[0]) if ends else self.tensors[first].shape
        made = self._declare(name, shape, dtype, scale)
        kind = node.op_type + ("" if dtype == "int8" else " (float)")
        self.ops.append(
            RawOp(
                kind=kind,
                inputs=tuple(r.index for r in group.read if r.index >= 0),
                outputs=(made,),
            )
        )
