"""What candidates cost, by the estimator, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.estimate import Estimator
from m7sim.nets.graph import Graph
from m7sim.nets.liveness import buffers, occupancy
from m7sim.nets.memory import flow_of
from m7sim.nets.planner import ALIGNMENT_BYTES
from m7sim.nets.search.space import Candidate, Space
from m7sim.ops.shapes import Shape

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs of candidates, an array element each.

    Attributes
    ----------
    ops, macs
        Of one inference.
    cycles, energy_nj
        Estimates; energy is NaN without current data.
    cycles_error
        Relative, as the estimator states it for the layers, weighted by their cycles.
    ram_bytes
        Arena: activations and scratch.
    weight_bytes
        Weights, biases, scales.
    inside
        Whether all layers are within what the table covers.
    """

    ops: I64
    macs: I64
    cycles: F64
    energy_nj: F64
    cycles_error: F64
    ram_bytes: I64
    weight_bytes: I64
    inside: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ops)

    @classmethod
    def joined(cls, parts: Sequence[Costs]) -> Costs:
        """Put batches one behind the other."""
        arrays: dict[str, Any] = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
        }
        return cls(**arrays)


def evaluate(space: Space, candidates: Sequence[Candidate], estimator: Estimator) -> Costs:
    """Estimate candidates.

    Raises
    ------
    InputError
        If the estimator has no points for an operation, or a candidate is impossible.
    """
    graphs = [space.graph(candidate) for candidate in candidates]
    layers = [[node.shape for node in graph.nodes if node.shape is not None] for graph in graphs]
    owner = np.repeat(np.arange(len(graphs)), [len(shapes) for shapes in layers])
    shapes: list[Shape] = [shape for found in layers for shape in found]
    predicted = estimator.predict(shapes, extrapolate=True)

    def total(values: F64) -> F64:
        return np.bincount(owner, weights=values, minlength=len(graphs)).astype(np.float64)

    cycles = total(predicted.cycles)
    return Costs(
        ops=np.array([graph.totals.ops for graph in graphs], dtype=np.int64),
        macs=np.array([graph.totals.macs for graph in graphs], dtype=np.int64),
        cycles=cycles,
        energy_nj=total(predicted.energy_nj),
        cycles_error=total(predicted.cycles * predicted.cycles_error) / np.maximum(cycles, 1.0),
        ram_bytes=np.array([arena_bytes(graph) for graph in graphs], dtype=np.int64),
        weight_bytes=np.array([graph.totals.weight_bytes for graph in graphs], dtype=np.int64),
        inside=total((~predicted.inside).astype(np.float64)) == 0,
    )


def arena_bytes(graph: Graph) -> int:
    """Return the most that buffers and scratch take at once: of a chain, the planner's arena."""
    flow = flow_of(graph)
    return int(occupancy(buffers(flow), len(flow.steps), alignment=ALIGNMENT_BYTES).max())
