"""Picture of a search: Ops against energy and against RAM, the front, where Ops mislead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from m7sim.nets.search.confirm import Confirmed
from m7sim.nets.search.front import NEAR_OPS
from m7sim.nets.search.search import Found
from m7sim.report.canvas import open_pyplot, save
from m7sim.units import format_count

_ALL, _FRONT, _WRONG, _RUN = "#C8C8C8", "#0072B2", "#D55E00", "black"


def draw(found: Found, confirmed: Sequence[Confirmed], path: Path) -> None:
    """Draw energy and RAM over Ops.

    Parameters
    ----------
    path
        ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    InputError
        If matplotlib is not installed, or the file cannot be written.
    """
    pyplot = open_pyplot()
    figure, panels = pyplot.subplots(1, 3, figsize=(16, 5.6), layout="constrained")
    costs, limits = found.costs, found.limits
    runs = [one.number for one in confirmed]
    run_mops = costs.ops[runs] / 1e6
    run_mj = np.array([one.energy_nj * 1e-6 for one in confirmed])
    energy_mj = 1e-6 * costs.energy_nj
    energy, per_op, ram = panels
    for axes, values, ran, ylabel in (
        (energy, energy_mj, run_mj, "energy per inference in mJ"),
        (per_op, 1e9 * energy_mj / costs.ops, 1e3 * run_mj / run_mops, "energy per Op in pJ"),
        (ram, costs.ram_bytes / 1024, [one.arena_bytes / 1024 for one in confirmed],
         "RAM for activations and scratch in KiB"),
    ):  # fmt: skip
        _cloud(axes, found, values)
        if axes is not ram:
            _pairs(axes, found, values)
        axes.plot(run_mops, ran, "x", color=_RUN, markersize=8, label="run in full")
        _axes(axes, pyplot, ylabel)
    _name_pairs(per_op, found, 1e9 * energy_mj / costs.ops)
    per_op.set_title("flat, if Ops told the energy", fontsize=10)
    if limits.energy_j is not None:
        energy.axhline(limits.energy_j * 1e3, color="black", linestyle="--", linewidth=1)
    if limits.ram_bytes is not None:
        ram.axhline(limits.ram_bytes / 1024, color="black", linestyle="--", linewidth=1)
    handles, labels = energy.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=len(labels))
    figure.suptitle(
        f"{found.space.name}: {format_count(int(found.within.sum()))} of "
        f"{format_count(len(found.candidates))} networks within the limits, {found.board}"
    )
    save(pyplot, figure, path)


def _cloud(axes: Any, found: Found, values: np.ndarray[Any, Any]) -> None:
    mops, within = found.costs.ops / 1e6, found.within
    axes.scatter(
        mops[within], values[within], s=7, color=_ALL, label="within the limits", rasterized=True
    )
    front = found.front
    axes.scatter(
        mops[front], values[front], s=11, color=_FRONT,
        label="front of Ops, energy and RAM", rasterized=True,
    )  # fmt: skip


def _pairs(axes: Any, found: Found, values: np.ndarray[Any, Any]) -> None:
    label = f"Ops within {NEAR_OPS:.0%}, energy apart"
    for pair in found.misleading:
        ends = [pair.frugal, pair.wasteful]
        axes.plot(
            found.costs.ops[ends] / 1e6, values[ends], "o-", color=_WRONG, markersize=5, label=label
        )
        label = ""


def _name_pairs(axes: Any, found: Found, values: np.ndarray[Any, Any]) -> None:
    for place, pair in enumerate(found.misleading[:2]):
        axes.annotate(
            f"{found.candidates[pair.wasteful].name}\ntakes {pair.ratio:.2f} times\n"
            f"{found.candidates[pair.frugal].name}",
            (found.costs.ops[pair.wasteful] / 1e6, values[pair.wasteful]),
            (0.99, 0.9 - 0.16 * place),
            textcoords="axes fraction",
            ha="right",
            va="top",
            fontsize=8,
            color=_WRONG,
            arrowprops={"arrowstyle": "-", "color": _WRONG, "linewidth": 0.6},
        )


def _axes(axes: Any, pyplot: Any, ylabel: str) -> None:
    plain = pyplot.FuncFormatter(lambda value, _: f"{value:g}")
    for axis, name in ((axes.xaxis, "million Ops per inference"), (axes.yaxis, ylabel)):
        axis.set_label_text(name)
        getattr(axes, f"set_{axis.axis_name}scale")("log")
        locator = pyplot.LogLocator(subs=(1.0, 2.0, 5.0), numticks=20)
        axis.set_major_locator(locator)
        axis.set_major_formatter(plain)
        axis.set_minor_formatter(pyplot.NullFormatter())
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
