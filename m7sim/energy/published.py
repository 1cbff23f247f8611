"""Published energy measurements, to stand beside the model."""

from __future__ import annotations

import statistics
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from m7sim.board.schema import Key, Reader, provenance
from m7sim.errors import TableError

_PATH: Final = Path(__file__).parent / "published.toml"
_TOP: Final = {"schema": Key(int), "sources": Key(dict), "network": Key(list), "ratio": Key(list)}
_NETWORK: Final = {"chip": Key(str), "clock_hz": Key(int), "rows": Key(list), **provenance()}
_RATIO: Final = {"op": Key(str), "new_over_old_power": Key(float), **provenance()}


@dataclass(frozen=True, slots=True)
class Measurement:
    """A network on a chip."""

    name: str
    latency_ms: float
    energy_mj: float

    @property
    def mean_power_mw(self) -> float:
        return 1e3 * self.energy_mj / self.latency_ms


@dataclass(frozen=True, slots=True)
class Series:
    """Networks measured in one set-up."""

    chip: str
    clock_hz: int
    rows: tuple[Measurement, ...]
    source: str
    note: str

    @property
    def powers_mw(self) -> list[float]:
        return [row.mean_power_mw for row in self.rows]

    @property
    def median_mw(self) -> float:
        return statistics.median(self.powers_mw)


@dataclass(frozen=True)
class Published:
    """``ratios`` is the power of optimised over plain kernels, by op type."""

    series: tuple[Series, ...]
    ratios: dict[str, float]


@cache
def published(path: Path = _PATH) -> Published:
    """Read the published measurements.

    Raises
    ------
    TableError
        If the table breaks its schema.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    name = str(path)
    Reader(name, {}).table(data, _TOP, "top level")
    reader = Reader(name, data["sources"])
    series = []
    for index, each in enumerate(data["network"], 1):
        where = f"[[network]] {index}"
        row = reader.table(each, _NETWORK, where)
        source, _, note = reader.sourced(row, where)
        if not row["rows"] or any(len(r) != 3 or min(r[1:]) <= 0 for r in row["rows"]):
            raise TableError("rows are [name, latency ms, energy mJ]", where=f"{name}: {where}")
        rows = tuple(Measurement(*r) for r in row["rows"])
        text = data["sources"][source.split()[0]]
        series.append(Series(row["chip"], row["clock_hz"], rows, text, note))
    ratios = {}
    for index, each in enumerate(data["ratio"], 1):
        where = f"[[ratio]] {index}"
        row = reader.table(each, _RATIO, where)
        reader.sourced(row, where)
        ratios[row["op"]] = row["new_over_old_power"]
    return Published(tuple(series), ratios)
