"""Networks of nearly equal Ops and unequal energy, and what is expected of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from m7sim.nets.kws.models import Model, ds_cnn, hello_edge
from m7sim.ops.reference import Pair


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network of the family; ``accuracy_percent`` is None where it was never trained."""

    name: str
    model: Model
    layers: int
    features: int
    first_stride: Pair
    second_stride: Pair
    accuracy_percent: float | None


@dataclass(frozen=True, kw_only=True)
class EqualOps:
    """The networks, and what they were chosen for.

    Attributes
    ----------
    board, clock_hz
        Hardware that the ranges are of.
    ops_tolerance_percent
        Largest distance of any network's Ops from the middle of all.
    energy_spread_percent
        Range of largest over smallest energy, in % above 1.
    pair
        The two that are taken apart: less and more depthwise.
    pair_time_ratio
        Range of the run time of the second over that of the first.
    """

    candidates: tuple[Candidate, ...]
    board: str
    clock_hz: int
    ops_tolerance_percent: float
    energy_spread_percent: tuple[float, float]
    pair: tuple[Candidate, Candidate]
    pair_time_ratio: tuple[float, float]


@cache
def load() -> EqualOps:
    """Return the five networks."""
    path = Path(__file__).parent / "equal_ops.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    published = {model.name: model.published for model in hello_edge().models}
    found: dict[str, Candidate] = {}
    for entry in table["network"]:
        printed = published[entry["published"]] if "published" in entry else None
        first, second = ((entry[k][0], entry[k][1]) for k in ("first_stride", "second_stride"))
        name, layers, features = entry["name"], entry["layers"], entry["features"]
        found[name] = Candidate(
            name=name,
            model=ds_cnn(
                layers=layers, features=features, first_stride=first, second_stride=second,
                name=name,
            ),
            layers=layers,
            features=features,
            first_stride=first,
            second_stride=second,
            accuracy_percent=printed.accuracy_percent if printed else None,
        )  # fmt: skip
    low, high = table["energy_spread_percent"]
    slowest, fastest = table["pair_time_ratio"]
    less, more = table["pair"]
    return EqualOps(
        candidates=tuple(found.values()),
        board=table["board"],
        clock_hz=table["clock_hz"],
        ops_tolerance_percent=table["ops_tolerance_percent"],
        energy_spread_percent=(low, high),
        pair=(found[less], found[more]),
        pair_time_ratio=(slowest, fastest),
    )
