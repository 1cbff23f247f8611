"""What the nodes of the registry's operations compute: a layer, as `m7sim.nets.graph.Work`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from m7sim.nets.graph import Graph, Node, Work, scratch_bytes
from m7sim.ops import calls, workloads
from m7sim.ops.calls import KernelCall
from m7sim.ops.kernels import KERNELS, kernel_forms
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Activations


@dataclass(frozen=True)
class LayerWork:
    """The work of a layer, by the usual kernel or the one that the layer names."""

    layer: Layer

    @property
    def type(self) -> str:
        """Kind of operation."""
        return self.layer.shape.op.value

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return self.layer.shape.macs

    @property
    def ops(self) -> int:
        """Operations of one run."""
        return self.layer.shape.ops

    @property
    def weight_bytes(self) -> int:
        """Weights, biases, multipliers and shifts."""
        return self.layer.shape.weight_bytes + self.layer.shape.bias_bytes

    @property
    def scratch_bytes(self) -> int:
        """Size of the kernel's buffer."""
        return scratch_bytes(self.layer.shape, self.form)

    @property
    def form(self) -> str:
        """Form of the kernel; "" if none can run the shape."""
        forms = kernel_forms(self.layer.shape)
        return self.layer.form or (forms[0] if forms else "")

    @property
    def function(self) -> str:
        """The C function."""
        shape = self.layer.shape
        return KERNELS[shape.family, shape.op][self.form]

    def forward(self, *inputs: Activations) -> Activations:
        """Compute it by the NumPy model."""
        return self.layer.forward(*inputs)

    def prepare(self, *inputs: Activations) -> KernelCall:
        """Lay out the C call."""
        return calls.prepare(self.layer, *inputs, form=self.form)


def seeded(graph: Graph, *, seed: int = 2018) -> Graph:
    """Give a design weights and scales from a seed, so that it can be run.

    Costs are then real, answers mean nothing. Nodes that have their work keep it.

    Raises
    ------
    InputError
        If a shape is larger than the memory of any chip of this kind.
    """
    nodes = []
    for number, node in enumerate(graph.nodes):
        if node.work is None and node.shape is not None:
            node = replace(node, work=_made(node, seed + number))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), seeded=True)


def _made(node: Node, seed: int) -> Work:
    assert node.shape is not None
    layer = workloads.make(node.shape, seed=seed).layer
    return LayerWork(replace(layer, name=node.name))
