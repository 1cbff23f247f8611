"""Published run times of whole networks, to stand beside a run of the same one."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from m7sim.nets.graph import Graph

SOURCES = {
    "mlperf": "MLPerf Tiny result logs, closed division, rounds 0.7 to 1.2 (medians)",
    "micronets": "arXiv 2010.11267, Table 4",
}


@dataclass(frozen=True, kw_only=True)
class Silicon:
    """One measurement: whose engine, on which chip at which clock, how long, and where it stands.

    ``key`` says which of the known networks it is about.
    """

    key: str
    engine: str
    chip: str
    clock_hz: int
    ms: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Known:
    """A network that others have measured."""

    name: str
    key: str
    macs: int
    in_elements: int
    out_elements: int
    rows: tuple[Silicon, ...]

    def on(self, chip: str) -> tuple[Silicon, ...]:
        """Return the measurements on a chip."""
        return tuple(row for row in self.rows if row.chip == chip)


@cache
def known() -> tuple[Known, ...]:
    """Return the networks, each with its measurements."""
    text = (Path(__file__).parent / "networks_published.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    rows = [
        Silicon(
            key=key,
            engine=entry["engine"],
            chip=entry["chip"],
            clock_hz=entry["clock_hz"],
            ms=ms,
            source=SOURCES[kind],
        )
        for kind in SOURCES
        for entry in table[kind]
        for key, ms in entry["ms"].items()
    ]
    return tuple(
        Known(rows=tuple(row for row in rows if row.key == entry["key"]), **entry)
        for entry in table["network"]
    )


def of(graph: Graph) -> Known | None:
    """Return the known network that a graph is, by its work and the sizes of its ends."""
    ends = [graph.tensor(names[0]).elements for names in (graph.inputs, graph.outputs) if names]
    for network in known():
        if [network.in_elements, network.out_elements] == ends and (
            network.macs == graph.totals.macs and not graph.unsupported
        ):
            return network
    return None
