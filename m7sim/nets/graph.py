"""A network as a graph: tensors, and nodes in the order of their execution.

A graph may have any shape: branches, joins, several inputs and outputs. It can be a design only
(shapes without weights: enough for memory and estimates) or complete (every node has its `Work`:
enough to run). Make one in Python by `m7sim.nets.builder`, or read one from TOML, ``.tflite`` or
ONNX by `m7sim.nets.load`::

    graph.nodes                     # in order of execution
    graph.tensor("conv1.out").bytes
    graph.activations               # tensors that live in RAM: all but the constants
    graph.storage("flat")           # the tensor whose memory it shares (a reshape moves nothing)
    graph.reordered(names)          # the same graph in another order; InputError if that cannot be
    graph.totals                    # MACs, Ops, weight bytes, what is left out
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

from m7sim.errors import InputError
from m7sim.nets.tensor import ITEM_BYTES as ITEM_BYTES
from m7sim.nets.tensor import Array as Array
from m7sim.nets.tensor import Tensor as Tensor
from m7sim.nets.tensor import TensorScale as TensorScale
from m7sim.ops.calls import KernelCall
from m7sim.ops.kernels import buffer_elements, kernel_forms
from m7sim.ops.reference import Activations
from m7sim.ops.shapes import Family, OpType, Shape

RESHAPE, QUANTIZE, DEQUANTIZE, OPAQUE = "reshape", "quantize", "dequantize", "opaque"
VIEWS = frozenset({RESHAPE})
"""Operations without work: the output is the input's memory under another shape."""
CONVERSIONS = frozenset({QUANTIZE, DEQUANTIZE})
"""Between float32 and int8, at the ends of a network; done by the host, not by the board."""


class Work(Protocol):
    """What a node computes: its oracle, its kernel and what they cost; see `LayerWork`.

    An operation outside the registry (a recurrent cell) brings its own.
    """

    @property
    def type(self) -> str:
        """Name of the kind of operation, for people: ``conv``, ``lstm``."""
        ...

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        ...

    @property
    def ops(self) -> int:
        """Operations of one run."""
        ...

    @property
    def weight_bytes(self) -> int:
        """Size of all constants: weights, biases, multipliers, tables of its own."""
        ...

    @property
    def scratch_bytes(self) -> int:
        """Size of the buffer it needs beside inputs and outputs."""
        ...

    @property
    def function(self) -> str:
        """The C function that is called."""
        ...

    def forward(self, *inputs: Activations) -> Activations:
        """Compute it by the NumPy model."""
        ...

    def prepare(self, *inputs: Activations) -> KernelCall:
        """Lay out the C call that computes it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Node:
    """One step.

    Attributes
    ----------
    name
        Unique in the graph.
    op
        Name in `m7sim.ops.registry`, or ``reshape``, ``quantize``, ``dequantize``, ``opaque``, or
        the name that a `Work` of another kind goes by.
    inputs, outputs, constants
        Names of tensors: activations read, activations made, constants read.
    shape
        Sizes, for operations of the registry.
    work
        What it computes; None in a design without weights, for views, conversions and opaque
        nodes.
    source
        What the file calls the operation.
    attributes
        What else is worth knowing, such as the activation that is fused in.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: tuple[str, ...] = ()
    shape: Shape | None = None
    work: Work | None = None
    source: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """Kind of operation for people."""
        if self.work is not None:
            return self.work.type
        if self.op == OPAQUE:
            return f"{self.source or 'unknown'} (unsupported)"
        return self.shape.op.value if self.shape is not None else self.op

    @property
    def supported(self) -> bool:
        """Whether cost and result are known."""
        return self.op != OPAQUE

    @property
    def runs(self) -> bool:
        """Whether the board computes something for it."""
        return self.supported and self.op not in VIEWS | CONVERSIONS

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run; 0 for opaque nodes."""
        part = self.work or self.shape
        return part.macs if part is not None else 0

    @property
    def ops(self) -> int:
        """Operations of one run; 0 for opaque nodes, views and conversions."""
        part = self.work or self.shape
        return part.ops if part is not None else 0

    @property
    def weight_bytes(self) -> int:
        """Size of its constants as the kernel takes them: weights, biases, scales per channel."""
        if self.work is not None:
            return self.work.weight_bytes
        return self.shape.weight_bytes + self.shape.bias_bytes if self.shape is not None else 0

    @property
    def scratch_bytes(self) -> int:
        """Size of the buffer of its usual kernel."""
        if self.work is not None:
            return self.work.scratch_bytes
        return scratch_bytes(self.shape) if self.shape is not None else 0

    @property
    def in_place(self) -> bool:
        """Whether its kernel writes the output over the input."""
        return self.shape is not None and self.shape.op is OpType.RELU

    @property
    def destroys_input(self) -> bool:
        """Whether its kernel leaves something else in the input's memory (poolings of q7)."""
        shape = self.shape
        pool = shape is not None and shape.op in (OpType.MAX_POOL, OpType.AVE_POOL)
        return self.in_place or (pool and shape is not None and shape.family is Family.Q7)


def scratch_bytes(shape: Shape, form: str = "") -> int:
    """Return the size of the scratch buffer of a kernel of a shape, by default the usual one."""
    forms = kernel_forms(shape)
    if not forms:
        return 0
    wide = shape.family is Family.S8 and shape.op is OpType.SOFTMAX
    return buffer_elements(shape, form or forms[0]) * (4 if wide else 2)


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over a graph.

    Attributes
    ----------
    macs, ops, weight_bytes
        Of all nodes that are known.
    left_out
        How often each unsupported operation occurs; not in the sums.
    """

    macs: int
    ops: int
    weight_bytes: int
    left_out: Mapping[str, int]

    @property
    def remark(self) -> str:
        """What the sums leave out, for people; "" if nothing."""
        if not self.left_out:
            return ""
        return "without " + ", ".join(f"{name} ({n})" for name, n in self.left_out.items())


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Tensors, nodes in order of execution, and which tensors come in and go out.

    Attributes
    ----------
    name, origin
        For people: what it is, and the file it was read from or how it was made.
    seeded
        Whether weights were made from a seed (then the answers mean nothing).
    classes
        Names of the outputs, where they are known.
    channels_first
        Whether images in the file are ``(1, ch, y, x)``; here they never are.

    Raises
    ------
    InputError
        At construction, for a name used twice, a tensor that nobody makes or two make, a node
        that comes before its inputs (so there is no order for a cycle), or sizes that differ.
    """

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    origin: str = ""
    seeded: bool = False
    classes: tuple[str, ...] = ()
    channels_first: bool = False

    def __post_init__(self) -> None:
        from m7sim.nets import check

        check.graph(self)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor; InputError if there is none of the name."""
        if name not in self.tensors:
            raise InputError(f"no tensor {name!r}", where=self.origin or self.name)
        return self.tensors[name]

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that makes each tensor; inputs and constants are not in it."""
        return MappingProxyType({name: node for node in self.nodes for name in node.outputs})

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each tensor, in order; every tensor is in it."""
        found: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys((*node.inputs, *node.constants)):
                found[name].append(node)
        return MappingProxyType({name: tuple(nodes) for name, nodes in found.items()})

    @cached_property
    def activations(self) -> tuple[Tensor, ...]:
        """All tensors but the constants; also the float32 ends of conversions."""
        return tuple(tensor for tensor in self.tensors.values() if not tensor.constant)

    @cached_property
    def _storages(self) -> Mapping[str, str]:
        found = {name: name for name in self.tensors}
        for node in self.nodes:
            if node.op in VIEWS:
                found |= dict.fromkeys(node.outputs, found[node.inputs[0]])
        return found

    def storage(self, name: str) -> str:
        """Return the tensor whose memory a tensor shares: itself, but for outputs of views."""
        return self._storages[name]

    def reordered(self, order: Sequence[str]) -> Graph:
        """Return the same graph with its nodes in another order.

        Parameters
        ----------
        order
            Names of all nodes.

        Raises
        ------
        InputError
            If a name is missing, unknown or twice, or a node comes before its inputs.
        """
        by_name = {node.name: node for node in self.nodes}
        if Counter(order) != Counter(by_name.keys()):
            raise InputError("an order names every node once", where=self.name)
        return replace(self, nodes=tuple(by_name[name] for name in order))

    @cached_property
    def unsupported(self) -> Mapping[str, int]:
        """How often each unsupported operation occurs, the most frequent first."""
        counts = Counter(node.source or node.name for node in self.nodes if not node.supported)
        return MappingProxyType(dict(counts.most_common()))

    @cached_property
    def totals(self) -> Totals:
        """MACs, Ops and bytes of constants over all nodes."""
        return Totals(
            macs=sum(node.macs for node in self.nodes),
            ops=sum(node.ops for node in self.nodes),
            weight_bytes=sum(node.weight_bytes for node in self.nodes),
            left_out=self.unsupported,
        )

    @property
    def complete(self) -> bool:
        """Whether it can be run: every node that the board computes has its work."""
        return all(node.work is not None or node.op in VIEWS | CONVERSIONS for node in self.nodes)


def in_order(nodes: Iterable[Node], available: Iterable[str]) -> tuple[Node, ...]:
    """Bring nodes into an order of execution, the given one where that is possible.

    Parameters
    ----------
    available
        Tensors that are there from the start: inputs and constants.

    Raises
    ------
    InputError
        If there is a cycle, or a tensor that nobody makes; the message names nodes of it.
    """
    listed = list(nodes)
    have = set(available)
    makers = {name: i for i, node in enumerate(listed) for name in node.outputs}
    lacking, readers = [], [list[int]() for _ in listed]
    for i, node in enumerate(listed):
        wanted = {name for name in node.inputs if name not in have}
        lacking.append(len(wanted))
        for name in wanted & makers.keys():
            readers[makers[name]].append(i)
    ready = [i for i, count in enumerate(lacking) if count == 0]
    done = []
    while ready:
        i = heapq.heappop(ready)
        done.append(listed[i])
        for reader in readers[i]:
            lacking[reader] -= 1
            if lacking[reader] == 0:
                heapq.heappush(ready, reader)
    if len(done) < len(listed):
        names = ", ".join([n.name for n, count in zip(listed, lacking, strict=True) if count][:3])
        raise InputError(
            f"no order of execution: {names} wait for each other or for a tensor nobody makes"
        )
    return tuple(done)
