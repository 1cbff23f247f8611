"""What networks cost by type of operation: the sum over their layers, each shape measured once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from m7sim.characterize.grid import USUAL, GridPoint
from m7sim.characterize.table import OK, Table
from m7sim.errors import CheckError
from m7sim.nets.kws.equal_ops import Candidate
from m7sim.nets.kws.models import Model
from m7sim.ops import registry
from m7sim.ops.shapes import Shape
from m7sim.report.figures.common import COLOURS, LABELS, Row

TYPES = ("conv", "1x1", "depthwise", "relu", "ave_pool", "fc")
TYPE_LABELS = {**LABELS, "ave_pool": "average pool"}
TYPE_COLOURS = {**COLOURS, "ave_pool": "#CC79A7"}


@dataclass(frozen=True)
class Cost:
    """Ops, time and energy of a part; the energy is None for chips whose currents are unknown."""

    ops: int
    time_ms: float
    energy_nj: float | None

    @property
    def mops_per_s(self) -> float:
        """Throughput in MOps/s."""
        return self.ops / self.time_ms / 1e3

    @property
    def energy_mj(self) -> float | None:
        """Energy in mJ."""
        return None if self.energy_nj is None else self.energy_nj * 1e-6

    @property
    def power_mw(self) -> float | None:
        """Mean power in mW."""
        return None if self.energy_nj is None else self.energy_nj * 1e-3 / self.time_ms


@dataclass(frozen=True)
class Costs:
    """A network with the measurements of its layers."""

    candidate: Candidate
    rows: tuple[Row, ...]

    @property
    def model(self) -> Model:
        """The network."""
        return self.candidate.model

    @cached_property
    def total(self) -> Cost:
        """Of the whole network."""
        return _sum(self.rows)

    @cached_property
    def by_type(self) -> dict[str, Cost]:
        """Of each type of operation, in the order of `TYPES`."""
        return {op: _sum(r for r in self.rows if r["op"] == op) for op in TYPES}

    def share(self, op: str, quantity: str) -> float:
        """Return the share of a type in %: of ``ops``, ``time_ms`` or ``energy_nj``."""
        part, whole = getattr(self.by_type[op], quantity), getattr(self.total, quantity)
        return 100 * float(part) / float(whole)


def points(models: Iterable[Model]) -> list[GridPoint]:
    """Return the shapes of networks, each once, in the order met."""
    found: dict[Shape, GridPoint] = {}
    for model in models:
        for step in model.steps:
            assert isinstance(step.shape, Shape)  # networks without recurrent layers
            name = registry.name_of(step.shape)
            found.setdefault(
                step.shape, GridPoint(name, step.shape.label, step.shape, "", (USUAL,))
            )
    return list(found.values())


def costs(candidates: Iterable[Candidate], table: Table) -> tuple[Costs, ...]:
    """Put measurements to the layers of networks.

    Raises
    ------
    CheckError
        If a layer has no verified measurement; the message says why.
    """
    measured = {(row["op"], row["shape"]): row for row in table.rows}
    found = []
    for candidate in candidates:
        rows = []
        for step in candidate.model.steps:
            assert isinstance(step.shape, Shape)  # networks without recurrent layers
            row = measured.get((registry.name_of(step.shape), step.shape.label))
            if row is None or row["status"] != OK:
                raise CheckError(
                    f"{candidate.name}: no measurement of {step.name} ({step.shape.label})",
                    do=row["reason"] if row else "",
                )
            rows.append(row)
        found.append(Costs(candidate, tuple(rows)))
    return tuple(found)


def _sum(rows: Iterable[Row]) -> Cost:
    parts = list(rows)
    energies = [row["energy_nj"] for row in parts]
    return Cost(
        ops=sum(row["ops"] for row in parts),
        time_ms=sum(row["time_ms"] for row in parts),
        energy_nj=None if None in energies else sum(energies),
    )
