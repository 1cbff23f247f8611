"""Published points and gains that the figures are set beside."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m7sim.characterize.table import Table
from m7sim.report.figures.common import same_hardware


@dataclass(frozen=True, kw_only=True)
class TypeTime:
    """Run time of all layers of a type; ``low_ms`` and ``high_ms`` bound what was rounded."""

    op: str
    ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How many times better optimised kernels are than the baseline."""

    op: str
    baseline_ms: float
    ms: float
    throughput: float
    energy: float


@dataclass(frozen=True, kw_only=True)
class Point:
    """A published throughput of one shape; the label is that of `Shape.label`."""

    name: str
    op: str
    shape: str
    macs_per_output: int
    mops_per_s: float
    low_mops_per_s: float
    high_mops_per_s: float
    confidence: str

    def holds(self, mops_per_s: float, tolerance: float) -> bool:
        """Say whether a throughput is inside the rounding or within a tolerance."""
        rounded = self.low_mops_per_s <= mops_per_s <= self.high_mops_per_s
        return rounded or abs(mops_per_s / self.mops_per_s - 1) <= tolerance


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A range that follows from instruction counts and that nobody has measured."""

    name: str
    op: str
    low_macs_per_output: int
    high_macs_per_output: int
    low_mops_per_s: float
    high_mops_per_s: float
    source: str
    confidence: str


@dataclass(frozen=True, kw_only=True)
class Published:
    """All of it, with where it stands."""

    board: str
    clock_hz: int
    types: Mapping[str, TypeTime]
    gains: Mapping[str, Gain]
    types_source: str
    power_spread: float
    points: tuple[Point, ...]
    points_source: str
    expectations: tuple[Expectation, ...] = field(default=())


def load() -> Published:
    """Read the table of the package."""
    path = Path(__file__).parent / "published.toml"
    data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    first, second = data["fig1"], data["fig2"]
    return Published(
        board=data["board"],
        clock_hz=data["clock_hz"],
        types={t["op"]: TypeTime(**t) for t in first["type"]},
        gains={g["op"]: Gain(**g) for g in first["gain"]},
        types_source=first["source"],
        power_spread=first["power_spread"],
        points=tuple(Point(**p) for p in second["point"]),
        points_source=second["source"],
        expectations=tuple(Expectation(**e) for e in second["expectation"]),
    )


def beside(table: Table) -> Published | None:
    """Return what may stand beside a table: nothing if board or clock are others."""
    known = load()
    return known if same_hardware(table, known.board, known.clock_hz) else None
