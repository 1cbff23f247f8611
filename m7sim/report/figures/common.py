"""What the figures share: colours, captions, claims, and the tables behind them."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table as Grid
from rich.text import Text

from m7sim.characterize.library import OURS
from m7sim.characterize.table import Table
from m7sim.ops.kernels import FLAGS
from m7sim.report.layout import Style
from m7sim.units import format_hz

Row = Mapping[str, Any]

LABELS = {
    "conv": "convolution",
    "1x1": "1x1 convolution",
    "fc": "fully connected",
    "depthwise": "depthwise",
    "relu": "ReLU",
    "max_pool": "max pool",
    "total": "whole network",
}
# Okabe and Ito; apart in print and for colour-blind readers.
COLOURS = {
    "conv": "#0072B2",
    "1x1": "#E69F00",
    "fc": "#009E73",
    "depthwise": "#D55E00",
    "relu": "#56B4E9",
    "max_pool": "#CC79A7",
    "total": "#555555",
}


@dataclass(frozen=True)
class Sheet:
    """A table behind a figure, for a file: its name's ending, its columns with units, its rows."""

    name: str
    rows: tuple[Row, ...]

    def text(self) -> str:
        """Return the sheet as comma-separated values."""
        out = io.StringIO()
        writer = csv.DictWriter(out, list(self.rows[0]) if self.rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: _cell(v) for k, v in row.items()} for row in self.rows)
        return out.getvalue()


@dataclass(frozen=True)
class Claim:
    """A statement that a figure should bear out, what was found, and whether it does."""

    text: str
    found: str
    holds: bool


class Analysis(ABC):
    """What a figure shows."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Number and name."""

    @property
    @abstractmethod
    def caption(self) -> str:
        """What was measured on what."""

    @property
    @abstractmethod
    def sheets(self) -> tuple[Sheet, ...]:
        """Tables behind the picture; the first one has the picture's name."""

    @property
    @abstractmethod
    def claims(self) -> tuple[Claim, ...]:
        """What the paper says about such a figure, and whether it holds here."""

    @abstractmethod
    def draw(self, paths: Sequence[Path]) -> None:
        """Draw the picture, once for each path."""

    @abstractmethod
    def render(self, *, style: Style) -> str:
        """Return the text for people."""


def caption(table: Table) -> str:
    """Return a line with what was measured on what."""
    row, header = table.rows[0], table.header
    compiler = str(header.get("versions", {}).get("compiler", "")).split(" ")
    flags = " ".join(filter(None, (FLAGS[0], row["cflags"])))
    words = {
        "flash+auto": "weights in flash, activations in RAM (DTCM first)",
        "flash+sram": "weights in flash, activations in SRAM",
        "auto": "weights and activations in RAM (DTCM first)",
    }
    placement = words.get(row["placement"], f"placement {row['placement']}")
    kernels = "our kernels" if row["kernels"] == OURS else f"kernels of {row['kernels']}"
    start = "cold caches" if row["start"] == "cold" else "warm caches"
    return (
        f"{row['board']} at {format_hz(row['clock_hz'])} ({row['core']}), {kernels}, "
        f"{compiler[0]} {compiler[-2] if len(compiler) > 2 else ''} {flags}, code and {placement}, "
        f"{start}, seeded data"
    )


def same_hardware(table: Table, board: str, clock_hz: int) -> bool:
    """Say whether published figures of a board and clock may stand beside a table."""
    row = table.rows[0]
    return bool(row["board"] == board and row["clock_hz"] == clock_hz)


def percent(ours: float, published: float) -> float:
    """Return the error of ours in %."""
    return 100 * (ours / published - 1)


def known_columns(
    columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """Leave out columns of a table that are empty in every row."""
    kept = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    return [columns[k] for k in kept], [[row[k] for k in kept] for row in rows]


def print_claims(console: Any, claims: Iterable[Claim]) -> None:
    """Print claims with what was found."""
    console.print(Text("What the figure should show", style="bold"))
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        grid.add_column(overflow="fold")
    for claim in claims:
        grid.add_row("yes" if claim.holds else "NO", Text(claim.text), Text(claim.found))
    console.print(grid)
    console.print()


def _cell(value: Any) -> Any:
    """Return a number in as many digits as it is worth, so that files can be compared."""
    return f"{value:.9g}" if isinstance(value, float) else ("" if value is None else value)
