"""The picture of figure 5: a bar of weights and activations for each network, by kind and size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from m7sim.nets.kws.models import BYTES_PER_KB, KINDS, SIZES
from m7sim.report.canvas import open_pyplot, save_all
from m7sim.report.figures.fig5 import TITLE

if TYPE_CHECKING:
    from m7sim.report.figures.fig5 import Figure5

_WEIGHTS, _ACTIVATIONS = "#0072B2", "#E69F00"
_CLASSES_KB = (80, 200, 500)  # what the sizes S, M and L may take, in the paper they are from
_GAP = 0.8  # between kinds, in bars


def draw(figure: Figure5, paths: Sequence[Path]) -> None:
    """Draw it, once for each path."""
    pyplot = open_pyplot()
    sheet, axes = pyplot.subplots(figsize=(13, 6.5), layout="constrained")
    marked = figure.networks.marked.models
    places, labels = [], []
    for number, model in enumerate(figure.networks.models):
        at = number + _GAP * (number // len(SIZES))
        weights = model.weight_bytes / BYTES_PER_KB
        total = model.memory_bytes / BYTES_PER_KB
        strong = model in marked
        axes.bar(at, weights, 0.8, color=_WEIGHTS)
        axes.bar(at, total - weights, 0.8, weights, color=_ACTIVATIONS)
        if strong:
            axes.bar(at, total, 0.92, facecolor="none", edgecolor="black", linewidth=1.6, zorder=4)
        axes.annotate(
            f"{model.activation_percent:.{2 if model.activation_percent < 1 else 1}f} %",
            (at, total), (0, 5), textcoords="offset points", ha="center", fontsize=9,
            fontweight="bold" if strong else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
        places.append(at)
        labels.append(model.size)
    for kind_number, kind in enumerate(KINDS):
        first = len(SIZES) * kind_number
        middle = sum(places[first : first + len(SIZES)]) / len(SIZES)
        axes.annotate(
            kind, (middle, 0), (0, -32), xycoords="data", textcoords="offset points",
            ha="center", fontsize=12, annotation_clip=False,
        )  # fmt: skip
    for limit in _CLASSES_KB:
        axes.axhline(limit, color="#999999", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_xticks(places, labels, fontsize=11)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(places[0] - 0.8, places[-1] + 0.8)
    axes.set_ylim(0, 560)
    axes.set_ylabel("KB (1000 bytes)", fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    handles = [
        pyplot.Rectangle((0, 0), 1, 1, color=_ACTIVATIONS),
        pyplot.Rectangle((0, 0), 1, 1, color=_WEIGHTS),
        pyplot.Rectangle((0, 0), 1, 1, facecolor="none", edgecolor="black", linewidth=1.6),
        pyplot.Line2D([], [], color="#999999", linewidth=0.8, linestyle="--"),
    ]
    names = [
        "largest concurrent activations (share above the bar)",
        "weights and biases",
        "the paper's four, as inferred",
        "limits of the sizes",
    ]
    axes.legend(
        handles, names, loc="upper center", bbox_to_anchor=(0.5, 1.08), ncol=4, frameon=False,
        fontsize=10,
    )  # fmt: skip
    sheet.suptitle(f"Figure 5: {TITLE}", fontsize=15, fontweight="bold")
    sheet.supxlabel(
        "\n" + figure.caption.replace("; networks", ";\nnetworks"), fontsize=8, color="#444444"
    )
    save_all(pyplot, sheet, paths)
