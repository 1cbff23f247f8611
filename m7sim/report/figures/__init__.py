"""The figures of the paper on operation types, drawn from characterization tables.

Each module has ``analyse(table, published)``, whose result knows its tables (`Sheet`), its claims,
its text and its picture. Measuring is the characterization's job: a figure only names its grid.
Figures of whole networks name the layers to measure instead, and have ``analyse(table)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from m7sim.characterize.grid import GridPoint
from m7sim.characterize.table import Table
from m7sim.report.figures import fig1, fig2, fig3, fig4, fig5
from m7sim.report.figures.common import Analysis
from m7sim.report.figures.published import Published

__all__ = ["FIGURES", "NETWORK_FIGURES", "Analysis", "Figure", "NetworkFigure"]


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


class NetworkFigure(Protocol):
    """A module that draws a figure of whole networks.

    Its measurements are kept by the name ``SWEEP``, which figures can share; "" for none.
    """

    TITLE: str
    SWEEP: str

    @staticmethod
    def points() -> list[GridPoint]:
        """Return the layers to measure."""
        ...

    @staticmethod
    def analyse(table: Table | None) -> Analysis:
        """Return what the figure shows."""
        ...


NETWORK_FIGURES: Mapping[int, NetworkFigure] = MappingProxyType({3: fig3, 4: fig4, 5: fig5})  # type: ignore[dict-item]
