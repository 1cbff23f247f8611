"""What makes a graph a sound one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from m7sim.errors import InputError
from m7sim.ops import registry

if TYPE_CHECKING:
    from m7sim.nets.graph import Graph, Node

MAX_NODES = 20_000


def graph(found: Graph) -> None:
    """Raise InputError for a graph that is none; see `Graph`."""
    where = found.origin or found.name
    if len(found.nodes) > MAX_NODES:
        raise InputError(f"more than {MAX_NODES} nodes", where=where)
    for key, tensor in found.tensors.items():
        if key != tensor.name:
            raise InputError(f"tensor {tensor.name!r} goes by the name {key!r}", where=where)
    _known(found, (*found.inputs, *found.outputs), "the graph", where)
    names = set()
    have = {name for name, tensor in found.tensors.items() if tensor.constant or tensor.state}
    both = have & set(found.inputs)
    if both:
        raise InputError(f"the input {min(both)} is a constant or a state", where=where)
    have |= set(found.inputs)
    for node in found.nodes:
        if node.name in names:
            raise InputError(f"two nodes are called {node.name!r}", where=where)
        names.add(node.name)
        _known(found, (*node.inputs, *node.outputs, *node.constants), node.name, where)
        for name in (*node.inputs, *node.constants):
            if name not in have:
                raise InputError(
                    f"node {node.name} reads {name} before anybody has made it",
                    where=where,
                    do="Nodes stand in order of execution; a cycle has none.",
                )
        for name in node.outputs:
            if name in have:
                raise InputError(f"{name} has two producers, one is {node.name}", where=where)
            have.add(name)
        _sizes(found, node, where)
    missing = [name for name in found.outputs if name not in have]
    if missing:
        raise InputError(f"nobody makes the output {missing[0]}", where=where)


def _known(found: Graph, names: Iterable[str], by: str, where: str) -> None:
    for name in names:
        if name not in found.tensors:
            raise InputError(f"{by} names the tensor {name!r}, which does not exist", where=where)


def _sizes(found: Graph, node: Node, where: str) -> None:
    """Compare a node's shape with its tensors."""
    from m7sim.nets import graph as graphs

    if not node.outputs:
        raise InputError(f"node {node.name} makes nothing", where=where)
    if node.op in graphs.VIEWS | graphs.CONVERSIONS:
        if len(node.inputs) != 1 or len(node.outputs) != 1:
            raise InputError(f"node {node.name}: a {node.op} has one input and output", where=where)
        ends = [found.tensors[name] for name in (*node.inputs, *node.outputs)]
        same = node.op not in graphs.VIEWS or ends[0].dtype == ends[1].dtype
        if ends[0].elements != ends[1].elements or not same:
            raise InputError(
                f"node {node.name}: {ends[0].dtype}{ends[0].shape} becomes "
                f"{ends[1].dtype}{ends[1].shape}",
                where=where,
            )
        return
    shape = node.shape
    if shape is None:
        if node.op in registry.OPS:
            raise InputError(f"node {node.name}: {node.op} needs a shape", where=where)
        return
    if node.op != registry.name_of(shape):
        raise InputError(f"node {node.name}: {node.op} with a shape of {shape.op}", where=where)
    if len(node.inputs) != shape.inputs or len(node.outputs) != 1:
        raise InputError(
            f"node {node.name}: {len(node.inputs)} inputs and {len(node.outputs)} outputs",
            where=where,
        )
    wanted = [*[(name, shape.in_elements) for name in node.inputs]]
    wanted.append((node.outputs[0], shape.out_elements))
    dtype = "int16" if shape.activation_bytes == 2 else "int8"
    for name, elements in wanted:
        tensor = found.tensors[name]
        if tensor.elements != elements or tensor.dtype != dtype:
            raise InputError(
                f"node {node.name}: tensor {name} is {tensor.dtype}{tensor.shape}, needed "
                f"{elements} elements of {dtype}",
                where=where,
            )
