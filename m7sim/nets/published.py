"""Published run times that a simulated network is set beside."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One line of a published table: the layers it covers and its run time."""

    name: str
    layers: tuple[str, ...]
    ms: float


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published measurement of a whole network, with where it stands."""

    source: str
    confidence: str
    clock_hz: int
    total_ms: float
    total_ops: int
    rows: tuple[PublishedRow, ...]


def cifar10() -> Published:
    """Return the published run times of the timed CIFAR-10 network (STM32F746ZG, 216 MHz)."""
    text = (Path(__file__).parent / "cifar10_published.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    rows = tuple(
        PublishedRow(name=row["name"], layers=tuple(row["layers"]), ms=row["ms"])
        for row in table.pop("row")
    )
    return Published(rows=rows, **table)
