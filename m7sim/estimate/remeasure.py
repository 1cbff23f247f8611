"""Points of an estimation table measured again, to see that the table still says what is so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from m7sim.board import Board
from m7sim.characterize import library, plan
from m7sim.characterize.grid import GridPoint
from m7sim.characterize.measure import measure
from m7sim.characterize.placement import Placement
from m7sim.core import Core
from m7sim.errors import InputError
from m7sim.estimate.sizes import SIZES
from m7sim.ops import registry
from m7sim.ops.shapes import Shape


def shape_of(row: Mapping[str, Any]) -> Shape:
    """Return the shape of a row."""
    op = registry.get(row["op"])
    return Shape(op=op.type, family=op.family, **{name: row[name] for name in SIZES})


def remeasure(
    rows: Sequence[Mapping[str, Any]], setting: Mapping[str, Any], *, seed: int = 0
) -> list[dict[str, Any]]:
    """Measure rows again; return cycles, energy_nj and status of each, in order.

    Parameters
    ----------
    rows
        With op, variant, placement and sizes.
    setting
        Values of `m7sim.estimate.source.SETTING`.

    Raises
    ------
    InputError
        If the kernels are not ours, or what a sweep needs is missing, such as the compiler.
    """
    if setting["kernels"] != library.OURS:
        raise InputError(f"the kernels {setting['kernels']!r} are not at hand")
    board = Board.load(setting["board"])
    if board.clock_hz != setting["clock_hz"]:
        board = board.override(clock_hz=setting["clock_hz"])
    found: list[dict[str, Any]] = []
    for row in rows:
        shape = shape_of(row)
        request = plan.Request(
            shapes=[GridPoint(row["op"], shape.label, shape, "", (row["variant"],))],
            grid="",
            libraries=[library.find(setting["kernels"])],
            boards=[board],
            core=Core.load(setting["core"].replace("-", "_")),
            placements=[Placement.parse(row["placement"])],
            cflags=[tuple(setting["cflags"].split())],
            start=setting["start"],
            seed=seed,
        )
        (planned,) = plan.plan(request)
        if planned.point is None:
            found.append(dict(planned.result or {}))
            continue
        ((_, result),) = measure([planned.point])
        found.append(result)
    return found
