"""From what a model file says to a graph of operations that our kernels compute.

An operator becomes a node of the s8 family, a view, a conversion at an end of the network, or, if
no kernel computes exactly what the file asks for, an unsupported one; its name then says why:
``CONV_2D (dilation)``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from m7sim.errors import InputError
from m7sim.nets.builder import STEMS
from m7sim.nets.dead_channels import tamed
from m7sim.nets.graph import (
    DEQUANTIZE,
    ITEM_BYTES,
    OPAQUE,
    QUANTIZE,
    RESHAPE,
    Graph,
    Node,
    Tensor,
    Work,
    in_order,
)
from m7sim.nets.lower_ops import LOWERED, Made, NotCovered
from m7sim.nets.raw import MAX_NUMBERS, MAX_TENSOR_BYTES, RawModel, RawOp, RawTensor
from m7sim.nets.shape_work import MADE
from m7sim.nets.work import LayerWork
from m7sim.ops import registry

_VIEWS = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
ALLOW = "--allow-unsupported"


def lower(model: RawModel, *, allow_unsupported: bool = False) -> Graph:
    """Make a graph of a model.

    Parameters
    ----------
    allow_unsupported
        Keep operators that no kernel computes as opaque nodes, which every total leaves out.

    Raises
    ------
    InputError
        If the model does not hold together, or has unsupported operators: all of them are listed,
        with how often each occurs.
    """
    lowering = _Lowering(model)
    try:
        with np.errstate(all="ignore"):  # absurd scales overflow; what comes of it is checked
            graph = lowering.graph()
    except InputError as error:
        error.where = error.where or model.origin
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"damaged: its numbers do not hold together ({type(error).__name__})",
            where=model.origin,
        ) from error
    if graph.unsupported and not allow_unsupported:
        listed = ", ".join(f"{name} ({n})" for name, n in graph.unsupported.items())
        raise InputError(
            f"unsupported operators: {listed}",
            where=model.origin,
            do=f"{ALLOW} goes on without them.",
        )
    return graph


@dataclass
class _Lowering:
    model: RawModel
    tensors: dict[str, Tensor] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    readers: dict[int, list[RawOp]] = field(default_factory=dict)
    held_bytes: int = 0
    held_scales: int = 0
    folded: dict[int, tuple[int, tuple[int, int], tuple[int, int]]] = field(default_factory=dict)

    def graph(self) -> Graph:
        model = self.model
        for op in model.ops:
            for index in dict.fromkeys(op.inputs):
                self.readers.setdefault(index, []).append(op)
        for number, index in enumerate(model.inputs, start=1):
            if index in self.names:
                raise InputError("an input is listed twice")
            name = "input" if len(model.inputs) == 1 else f"input{number}"
            self._declare(index, name)
        nodes = [node for op in model.ops for node in self._nodes(op)]
        ready = {n for n, tensor in self.tensors.items() if tensor.constant or tensor.state}
        outputs = tuple(self._name(index) for index in model.outputs)
        return Graph(
            name=model.name,
            tensors=self.tensors,
            nodes=in_order(nodes, ready | {self.names[i] for i in model.inputs}),
            inputs=tuple(self.names[i] for i in model.inputs),
            outputs=outputs,
            origin=model.origin,
            channels_first=model.channels_first,
        )

    def _nodes(self, op: RawOp) -> list[Node]:
        try:
            if op.kind == "PAD" and self._fold(op):
                return []
            return [self._node(op)]
        except NotCovered as reason:
            source = f"{op.kind} ({reason})" if str(reason) else op.kind
            return [self._opaque(op, source)]

    def _node(self, op: RawOp) -> Node:
        read = [self.model.tensors[i] if i >= 0 else None for i in op.inputs]
        made = [self.model.tensors[i] for i in op.outputs]
        if not read or read[0] is None or not made:
            raise InputError(f"a {op.kind} without input or output")
        if op.kind in _VIEWS:
            return self._view(op, read[0], made[0])
        if op.kind in ("QUANTIZE", "DEQUANTIZE"):
            return self._conversion(op, read[0], made[0])
        if op.kind in MADE:
            return self._made(op, MADE[op.kind](op, read, made[0]))
        if op.kind not in LOWERED:
            raise NotCovered("")
        pads = op.options.get("pads")
        index = op.inputs[0]
        if index in self.folded:
            index, *given = self.folded[index]
            pads = (given[0], given[1])
            read[0] = replace(read[0], shape=self.model.tensors[index].shape)
        self._spend(read)
        done = LOWERED[op.kind](op, read, made[0], pads)
        layer = tamed(done.layer)
        if layer is None:
            raise NotCovered("sums of more than 30 bits")
        done = replace(done, layer=layer)
        name = self._unique(STEMS[layer.shape.op])
        inputs = [index, *op.inputs[1 : layer.shape.inputs]]
        return Node(
            name=name,
            op=registry.name_of(layer.shape),
            inputs=tuple(self._name(i) for i in inputs),
            outputs=(self._declare(op.outputs[0], name),),
            constants=self._constants(name, done),
            shape=layer.shape,
            work=LayerWork(replace(layer, name=name)),
            source=op.kind,
            attributes=dict(done.attributes),
        )

    def _made(self, op: RawOp, work: Work) -> Node:
        name = self._unique(work.type)
        return Node(
            name=name,
            op=work.type,
            inputs=(self._name(op.inputs[0]),),
            outputs=(self._declare(op.outputs[0], name),),
            work=work,
            source=op.kind,
        )

    def _spend(self, read: list[RawTensor | None]) -> None:
        """Bound what all nodes hold, as many of a hostile file may share one large constant."""
        for tensor in read:
            if tensor is not None and tensor.data is not None:
                self.held_bytes += tensor.data.nbytes
                self.held_scales += len(tensor.scale.scales) if tensor.scale is not None else 0
        if self.held_bytes > MAX_TENSOR_BYTES or self.held_scales > MAX_NUMBERS:
            raise InputError(f"its nodes hold more than {MAX_TENSOR_BYTES >> 20} MiB of constants")

    def _view(self, op: RawOp, read: RawTensor, made: RawTensor) -> Node:
        if read.data is not None:
            raise NotCovered("of a constant")
        if read.dtype != made.dtype or read.elements != made.elements:
            raise InputError(f"a {op.kind} from {read.shape} to {made.shape}")
        if read.scale and made.scale and read.scale != made.scale:
            raise NotCovered("another output scale")
        name = self._unique(RESHAPE)
        source = self._name(op.inputs[0])
        return Node(
            name=name,
            op=RESHAPE,
            inputs=(source,),
            outputs=(self._declare(op.outputs[0], name),),
            source=op.kind,
        )

    def _conversion(self, op: RawOp, read: RawTensor, made: RawTensor) -> Node:
        kind = QUANTIZE if op.kind == "QUANTIZE" else DEQUANTIZE
        ends = (read.dtype, made.dtype)
        if ends != (("float32", "int8") if kind == QUANTIZE else ("int8", "float32")):
            raise NotCovered(f"{ends[0]} to {ends[1]}")
        inner = made if kind == QUANTIZE else read
        if inner.scale is None or len(inner.scale.scales) != 1:
            raise InputError(f"a {op.kind} without one scale")
        if read.elements != made.elements:
            raise InputError(f"a {op.kind} from {read.shape} to {made.shape}")
        name = self._unique(kind)
        source = self._name(op.inputs[0])
        return Node(
            name=name,
            op=kind,
            inputs=(source,),
            outputs=(self._declare(op.outputs[0], name),),
            source=op.kind,
        )

    def _opaque(self, op: RawOp, source: str) -> Node:
        name = self._unique(op.kind.lower().replace(" ", "_"))
        present = [i for i in dict.fromkeys(op.inputs) if i >= 0]
        constants = [i for i in present if self.model.tensors[i].data is not None]
        if not op.outputs:
            raise InputError(f"a {op.kind} without output")
        return Node(
            name=name,
            op=OPAQUE,
            inputs=tuple(self._name(i) for i in present if i not in constants),
            constants=tuple(self._name(i) for i in constants),
            outputs=tuple(
                self._declare(i, name if n == 0 else f"{name}.{n}")
                for n, i in enumerate(op.outputs)
            ),
            source=source,
        )

    def _fold(self, op: RawOp) -> bool:
        """Note a padding that the one convolution behind it can do as its own."""
        if len(op.inputs) < 2 or len(op.outputs) != 1 or min(op.inputs) < 0:
            return False
        read, amounts = (self.model.tensors[i] for i in op.inputs[:2])
        made = self.model.tensors[op.outputs[0]]
        readers = self.readers.get(op.outputs[0], [])
        alone = len(readers) == 1 and op.outputs[0] not in self.model.outputs
        if not alone or readers[0].kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            return False
        if readers[0].options.get("padding") != "valid" or readers[0].inputs[0] != op.outputs[0]:
            return False
        if amounts.data is None or amounts.data.shape != (4, 2) or len(read.shape) != 4:
            return False
        sides = [(int(a), int(b)) for a, b in amounts.data]
        if sides[0] != (0, 0) or sides[3] != (0, 0) or min(min(s) for s in sides) < 0:
            return False
        grown = tuple(n + a + b for n, (a, b) in zip(read.shape, sides, strict=True))
        if grown != made.shape or read.scale != made.scale or read.dtype != "int8":
            return False
        if op.inputs[0] in self.folded:
            return False
        front, behind = (sides[1][0], sides[2][0]), (sides[1][1], sides[2][1])
        self.folded[op.outputs[0]] = (op.inputs[0], front, behind)
        return True

    def _constants(self, name: str, done: Made) -> tuple[str, ...]:
        found = []
        for part, data in (("weights", done.layer.weights), ("bias", done.layer.bias)):
            if data is not None:
                tensor = Tensor(
                    name=f"{name}.{part}",
                    shape=data.shape,
                    dtype=str(data.dtype),
                    constant=True,
                    data=data,
                )
                self.tensors[tensor.name] = tensor
                found.append(tensor.name)
        return tuple(found)

    def _unique(self, stem: str) -> str:
        self.counts[stem] += 1
        return f"{stem}{self.counts[stem]}"

    def _name(self, index: int) -> str:
        """Return the name of a tensor that is read, which may be made by a later node."""
        if index not in self.names:
            raw = self.model.tensors[index]
            stem = "constant" if raw.data is not None else "tensor"
            self._declare(index, f"{stem}{index}")
        return self.names[index]

    def _declare(self, index: int, name: str) -> str:
        if index in self.names:
            # Read by an earlier node, or made twice: the order, or the graph's check, finds out.
            return self.names[index]
        raw = self.model.tensors[index]
        if raw.dtype not in ITEM_BYTES:
            raise InputError(f"tensor {raw.name!r} has elements of type {raw.dtype}")
        self.names[index] = name
        self.tensors[name] = Tensor(
            name=name,
            shape=raw.shape,
            dtype=raw.dtype,
            scale=raw.scale,
            constant=raw.data is not None,
            data=raw.data,
            state=raw.state and raw.data is None,
        )
        return name
