"""The keyword-spotting networks as graphs that can be run, with weights from a seed."""

from __future__ import annotations

from m7sim.errors import InputError
from m7sim.nets import work
from m7sim.nets.builder import Builder
from m7sim.nets.graph import Graph
from m7sim.nets.kws.models import Model, hello_edge
from m7sim.ops import recurrent_layer
from m7sim.ops.recurrent import RecurrentShape
from m7sim.ops.shapes import Family

SEED = 2018


def seeded(model: Model, *, seed: int = SEED) -> Graph:
    """Return a network on our q7 and recurrent kernels; costs are real, answers mean nothing."""
    net = Builder(model.name, family=Family.Q7, origin=f"weights made from seed {seed}")
    x = net.input(model.steps[0].shape.in_shape)
    for number, step in enumerate(model.steps):
        shape = step.shape
        if isinstance(shape, RecurrentShape):
            layer = recurrent_layer.make(shape, seed=seed + number, name=step.name).layer
            x = net.custom(layer, (x,), shape.out_shape, name=step.name)
        else:
            x = net.add(shape, x, name=step.name)
    return work.seeded(net.finish(x), seed=seed)


def named(name: str) -> Graph:
    """Return a network of arXiv 1711.07128 by name, such as ``ds-cnn-s`` or ``basic-lstm-m``.

    Raises
    ------
    InputError
        If there is none of the name.
    """
    models = {model.name.lower().replace(" ", "-"): model for model in hello_edge().models}
    key = name.lower().replace(" ", "-").replace("_", "-")
    if key not in models:
        raise InputError(f"no keyword-spotting network {name!r}", do=f"Known: {', '.join(models)}.")
    return seeded(models[key])
