"""What a network will cost, from a table of measured shapes, without running anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

from m7sim.errors import InputError
from m7sim.estimate import Estimate, Estimator
from m7sim.nets.graph import CONVERSIONS, VIEWS, Graph, Node
from m7sim.nets.work import LayerWork
from m7sim.ops.shapes import Shape


@dataclass(frozen=True, kw_only=True)
class LayerEstimate:
    """What one node will cost.

    Attributes
    ----------
    cycles, energy_nj
        None if it cannot be estimated; ``remark`` then says why.
    cycles_error
        Relative; 9 of 10 held-out shapes near this one were within it.
    remark
        Also what lies outside the measured range.
    """

    name: str
    type: str
    kernel: str
    macs: int
    ops: int
    cycles: float | None
    cycles_error: float | None
    energy_nj: float | None
    ms: float | None
    remark: str = ""

    @property
    def cycles_per_mac(self) -> float | None:
        """Cycles per multiply-accumulate; None for layers without."""
        return self.cycles / self.macs if self.macs and self.cycles is not None else None


@dataclass(frozen=True, kw_only=True)
class GraphEstimate:
    """Estimates of all nodes that the board computes, and what they leave out."""

    network: Graph
    board: str
    clock_hz: int
    placement: str
    layers: tuple[LayerEstimate, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Nodes without an estimate; no total has them in it."""
        return tuple(layer.name for layer in self.layers if layer.cycles is None)

    @property
    def total(self) -> LayerEstimate:
        """Sums over the layers that are estimated.

        Errors of layers are taken as half common to all and half independent of each other.
        """
        known = [layer for layer in self.layers if layer.cycles is not None]
        cycles = math.fsum(layer.cycles or 0.0 for layer in known)
        errors = [(layer.cycles or 0.0) * (layer.cycles_error or 0.0) for layer in known]
        spread = 0.5 * math.fsum(errors) + 0.5 * math.hypot(*errors)
        energies = [layer.energy_nj for layer in known]
        whole = [energy for energy in energies if energy is not None]
        return LayerEstimate(
            name="total",
            type="",
            kernel="",
            macs=sum(layer.macs for layer in self.layers),
            ops=sum(layer.ops for layer in self.layers),
            cycles=cycles,
            cycles_error=spread / cycles if cycles else None,
            energy_nj=math.fsum(whole) if len(whole) == len(energies) and whole else None,
            ms=1e3 * cycles / self.clock_hz,
            remark=f"without {', '.join(self.left_out)}" if self.left_out else "",
        )


def estimate(graph: Graph, estimator: Estimator, *, placement: str = "") -> GraphEstimate:
    """Estimate every node of a graph.

    Shapes outside the measured range are extrapolated, and say so. Nodes that no table covers are
    left out of every total, and named.

    Raises
    ------
    InputError
        If the placement is not one of the table's.
    """
    known: dict[tuple[Shape, str], Estimate | str] = {}
    layers = []
    for node in graph.nodes:
        if node.op in VIEWS | CONVERSIONS:
            continue
        found = _estimated(node, estimator, placement, known)
        layers.append(_layer(node, found))
    return GraphEstimate(
        network=graph,
        board=str(estimator.points.setting["board"]),
        clock_hz=estimator.clock_hz,
        placement=placement,
        layers=tuple(layers),
    )


def _estimated(
    node: Node,
    estimator: Estimator,
    placement: str,
    known: dict[tuple[Shape, str], Estimate | str],
) -> Estimate | str:
    if node.shape is None:
        return "no kernel for it" if not node.supported else "not in the table"
    form = node.work.form if isinstance(node.work, LayerWork) else ""
    key = (node.shape, form)
    if key not in known:
        try:
            known[key] = estimator.estimate(
                node.shape, variant=form, placement=placement, extrapolate=True
            )
        except InputError as error:
            known[key] = error.what
    return known[key]


def _layer(node: Node, found: Estimate | str) -> LayerEstimate:
    if isinstance(found, str):
        return LayerEstimate(
            name=node.name, type=node.type, kernel="", macs=node.macs, ops=node.ops,
            cycles=None, cycles_error=None, energy_nj=None, ms=None, remark=found,
        )  # fmt: skip
    return LayerEstimate(
        name=node.name,
        type=node.type,
        kernel=found.variant,
        macs=node.macs,
        ops=node.ops,
        cycles=found.cycles,
        cycles_error=found.cycles_error,
        energy_nj=found.energy_nj,
        ms=found.time_ms,
        remark="; ".join(found.outside),
    )
