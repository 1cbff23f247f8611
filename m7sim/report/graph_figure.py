"""A picture of where a network's time goes, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from m7sim.nets.estimated import GraphEstimate
from m7sim.nets.execute import GraphRun
from m7sim.nets.graph import Graph
from m7sim.report.canvas import open_pyplot, save

_COLOURS = ("#4477aa", "#ee6677", "#ccbb44", "#66ccee", "#aa3377", "#228833")
_OTHER = "#bbbbbb"
_LARGEST = 5
_ROW_INCHES = 0.26


def draw(graph: Graph, run: GraphRun | None, estimate: GraphEstimate | None, path: Path) -> None:
    """Draw milliseconds by layer: issue and stalls of a run, and marks for an estimate.

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
    guessed = {layer.name: layer for layer in estimate.layers} if estimate is not None else {}
    names = [layer.name for layer in run.layers] if run is not None else list(guessed)
    figure, axes = pyplot.subplots(
        figsize=(9, 2.0 + _ROW_INCHES * len(names)), layout="constrained"
    )
    if run is not None:
        _run_bars(axes, run, gap_points=16 if guessed else 3)
    for position, name in enumerate(names):
        layer = guessed.get(name)
        if layer is None or layer.ms is None:
            continue
        if run is None:
            axes.barh(position, layer.ms, color=_COLOURS[0])
        half = layer.ms * (layer.cycles_error or 0.0)
        axes.errorbar(
            layer.ms, position, xerr=half, fmt="d", color="black", markersize=4, capsize=2,
            label="estimated" if "estimated" not in axes.get_legend_handles_labels()[1] else None,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    clock_hz = run.configuration.clock_hz if run is not None else 0
    board = run.configuration.board if run is not None else ""
    if run is None and estimate is not None:
        clock_hz, board = estimate.clock_hz, estimate.board
    axes.set_xlabel(f"ms at {clock_hz / 1e6:g} MHz")
    axes.set_title(f"{graph.name} on {board}: {_total(run, estimate)}{_left_out(graph)}")
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        figure.legend(frameon=False, loc="outside lower center", ncols=4, fontsize=8)
    save(pyplot, figure, path)


def _run_bars(axes: Any, run: GraphRun, gap_points: int) -> None:
    """Draw stacked bars with their share of the time behind them."""
    total = run.total
    shown = sorted(total.stalls, key=lambda cause: -total.stalls[cause])[:_LARGEST]
    left = [0.0] * len(run.layers)
    for part, colour in zip(("issue", *shown, "other stalls"), (*_COLOURS, _OTHER), strict=False):
        widths = []
        for layer in run.layers:
            if part == "issue":
                cycles = layer.issue_cycles
            elif part == "other stalls":
                cycles = sum(n for cause, n in layer.stalls.items() if cause not in shown)
            else:
                cycles = layer.stalls.get(part, 0)
            widths.append(layer.ms * cycles / layer.cycles if layer.cycles else 0.0)
        axes.barh(range(len(widths)), widths, left=left, color=colour, label=part.replace("_", " "))
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for position, layer in enumerate(run.layers):
        share = 100 * layer.cycles / total.cycles if total.cycles else 0.0
        axes.annotate(
            f"{share:.1f} %", (left[position], position), (gap_points, 0),
            textcoords="offset points", va="center", fontsize=7,
        )  # fmt: skip


def _total(run: GraphRun | None, estimate: GraphEstimate | None) -> str:
    parts = []
    if run is not None:
        energy = run.total.energy_nj
        parts.append(f"{run.total.ms:.2f} ms" + (f", {energy * 1e-6:.2f} mJ" if energy else ""))
    if estimate is not None:
        parts.append(f"estimated {estimate.total.ms or 0.0:.2f} ms")
    return ", ".join(parts)


def _left_out(graph: Graph) -> str:
    return f"\n{graph.totals.remark}" if graph.unsupported else ""
