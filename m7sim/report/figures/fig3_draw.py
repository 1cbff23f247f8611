"""The picture of figure 3: energy by type of operation, and Ops, of each network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim.report.canvas import open_pyplot, save_all
from m7sim.report.figures.costs import TYPE_COLOURS, TYPE_LABELS, TYPES
from m7sim.report.figures.fig3 import TITLE, accuracy, cost_of
from m7sim.units import format_hz

if TYPE_CHECKING:
    from m7sim.report.figures.fig3 import Figure3

_LEAST_LABELLED = 0.045  # of the highest bar


def draw(figure: Figure3, paths: Sequence[Path]) -> None:
    """Draw it, once for each path."""
    pyplot = open_pyplot()
    row = figure.table.rows[0]
    sheet, (upper, lower) = pyplot.subplots(
        2, 1, figsize=(12, 7.5), layout="constrained", height_ratios=(1, 3.2), sharex=True
    )
    _ops(upper, figure)
    _energies(lower, figure)
    names = [
        f"{each.candidate.name}\n{each.candidate.layers} layers × {each.candidate.features}\n"
        f"depthwise {each.share('depthwise', 'ops'):.1f} % of Ops\naccuracy: {accuracy(each)}"
        for each in figure.costs
    ]
    lower.set_xticks(range(len(names)), names, fontsize=11)
    for axes in (upper, lower):
        axes.tick_params(axis="x", length=0)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = lower.get_legend_handles_labels()
    sheet.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.955), ncol=len(TYPES),
        frameon=False, fontsize=11,
    )  # fmt: skip
    sheet.suptitle(
        f"Figure 3: {TITLE}, {row['board']} at {format_hz(row['clock_hz'])}\n",
        fontsize=15, fontweight="bold",
    )  # fmt: skip
    note = figure.caption.replace("; sum", ";\nsum")  # too long for a line
    sheet.supxlabel(note, fontsize=8, color="#444444")
    save_all(pyplot, sheet, paths)


def _ops(axes: Any, figure: Figure3) -> None:
    """Draw the Ops of each network."""
    ops = [each.total.ops / 1e6 for each in figure.costs]
    axes.bar(range(len(ops)), ops, 0.55, color="#999999")
    for at, value in enumerate(ops):
        axes.annotate(
            f"{value:.1f}  ×{value / min(ops):.2f}", (at, value), (0, 4), ha="center",
            textcoords="offset points", fontsize=11, fontweight="bold",
        )  # fmt: skip
    axes.set_ylim(0, 1.35 * max(ops))
    axes.set_ylabel("million Ops\nper inference", fontsize=12)


def _energies(axes: Any, figure: Figure3) -> None:
    """Draw the energy of each network, or its run time, by type of operation."""
    scale, unit = (1e-6, "mJ") if figure.has_energy else (1.0, "ms")
    quantity = "energy_nj" if figure.has_energy else "time_ms"
    totals = [scale * cost_of(each, energy=figure.has_energy) for each in figure.costs]
    for at, each in enumerate(figure.costs):
        bottom = 0.0
        for op in TYPES:
            height = scale * getattr(each.by_type[op], quantity)
            axes.bar(
                at, height, 0.55, bottom, color=TYPE_COLOURS[op],
                label=TYPE_LABELS[op] if at == 0 else None,
            )  # fmt: skip
            if height > _LEAST_LABELLED * max(totals):
                axes.annotate(
                    f"{height:.1f}", (at, bottom + height / 2), ha="center", va="center",
                    fontsize=11, color="black" if op == "1x1" else "white",
                )  # fmt: skip
            bottom += height
        axes.annotate(
            f"{bottom:.1f} {unit}  ×{totals[at] / min(totals):.2f}", (at, bottom), (0, 4),
            ha="center", textcoords="offset points", fontsize=11, fontweight="bold",
        )  # fmt: skip
    axes.set_ylim(0, 1.12 * max(totals))
    what = "energy in mJ" if figure.has_energy else "run time in ms"
    axes.set_ylabel(f"{what} per inference", fontsize=12)
