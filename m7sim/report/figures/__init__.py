"""The figures of the paper on operation types, drawn from characterization tables.

Each module has ``analyse(table, published)``, whose result knows its tables (`Sheet`), its claims,
its text and its picture. Measuring is the characterization's job: a figure only names its grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from m7sim.characterize.table import Table
from m7sim.report.figures import fig1, fig2
from m7sim.report.figures.common import Analysis
from m7sim.report.figures.published import Published

__all__ = ["FIGURES", "Analysis", "Figure"]


class Figure(Protocol):
    """A module that draws one figure."""

    TITLE: str
    GRID: str
    OPS: tuple[str, ...]

    @staticmethod
    def analyse(table: Table, published: Published | None) -> Analysis:
        """Return what the figure shows."""
        ...


FIGURES: Mapping[int, Figure] = MappingProxyType({1: fig1, 2: fig2})  # type: ignore[dict-item]
