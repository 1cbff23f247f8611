"""The picture of figure 4: stacks of Ops and of run time, side by side for two networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim.report.canvas import open_pyplot, save_all
from m7sim.report.figures.costs import TYPE_COLOURS, TYPE_LABELS, TYPES
from m7sim.report.figures.fig4 import TITLE
from m7sim.units import format_hz

if TYPE_CHECKING:
    from m7sim.report.figures.fig4 import Figure4

_LEAST_LABELLED = 4.0  # %
_HIGHEST = 1.18  # of the higher bar


def draw(figure: Figure4, paths: Sequence[Path]) -> None:
    """Draw it, once for each path."""
    pyplot = open_pyplot()
    row = figure.table.rows[0]
    sheet, axes = pyplot.subplots(1, 2, figsize=(12, 6.5), layout="constrained")
    _stacks(axes[0], figure, "ops", 1e-6, "million Ops per inference", "as Ops")
    _stacks(axes[1], figure, "time_ms", 1.0, "run time in ms per inference", "as run time")
    handles, labels = axes[0].get_legend_handles_labels()
    sheet.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.95), ncol=len(TYPES),
        frameon=False, fontsize=11,
    )  # fmt: skip
    sheet.suptitle(
        f"Figure 4: {TITLE}, {row['board']} at {format_hz(row['clock_hz'])}\n",
        fontsize=15, fontweight="bold",
    )  # fmt: skip
    sheet.supxlabel(figure.caption, fontsize=8, color="#444444")
    save_all(pyplot, sheet, paths)


def _stacks(axes: Any, figure: Figure4, quantity: str, scale: float, axis: str, title: str) -> None:
    """Draw one stack for each network, with shares in the parts and the sum on top."""
    highest = 0.0
    for at, each in enumerate(figure.costs):
        bottom = 0.0
        for op in TYPES:
            height = scale * getattr(each.by_type[op], quantity)
            share = each.share(op, quantity)
            axes.bar(
                at, height, 0.55, bottom, color=TYPE_COLOURS[op],
                label=TYPE_LABELS[op] if at == 0 else None,
            )  # fmt: skip
            if share >= _LEAST_LABELLED:
                axes.annotate(
                    f"{share:.1f} %", (at, bottom + height / 2), ha="center", va="center",
                    fontsize=12, color="black" if op in ("1x1", "relu") else "white",
                    fontweight="bold" if op == "depthwise" else "normal",
                )  # fmt: skip
            bottom += height
        unit = f"{bottom:.1f} ms" if quantity == "time_ms" else f"{bottom:.1f} MOps"
        rate = f"\n{each.total.mops_per_s:.0f} MOps/s" if quantity == "time_ms" else ""
        axes.annotate(
            unit + rate, (at, bottom), (0, 5), textcoords="offset points", ha="center",
            fontsize=12, fontweight="bold",
        )  # fmt: skip
        highest = max(highest, bottom)
    names = [
        f"{each.candidate.name}\n{each.candidate.layers} layers × {each.candidate.features}"
        for each in figure.costs
    ]
    axes.set_xticks(range(len(names)), names, fontsize=12)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0, _HIGHEST * highest)
    axes.set_ylabel(axis, fontsize=12)
    axes.set_title(title, fontsize=13, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
