"""The picture of figure 2: every shape a dot, the median a line, published points on top."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim.report.canvas import open_pyplot, save_all
from m7sim.report.figures.common import COLOURS
from m7sim.report.figures.fig2 import SERIES, TITLE, mops
from m7sim.units import format_hz

if TYPE_CHECKING:
    from m7sim.report.figures.fig2 import Figure2

# Marker and line of each curve; colours are those of the operations.
_FORMS = {
    "1x1": ("o", "-"),
    "convolution": ("o", "-"),
    "convolution, 3 channels": ("^", "--"),
    "convolution, channels % 4 ≠ 0": ("v", ":"),
    "fully connected": ("o", "-"),
    "depthwise": ("o", "-"),
}
# What a curve is called and where: MACs per output of the point, offset in points, alignment.
_NAMES = {
    "1x1": ("1x1", 16, (-8, 8), "right"),
    "convolution": ("convolution", 1600, (0, 14), "center"),
    "convolution, 3 channels": ("3 channels", 147, (8, -8), "left"),
    "convolution, channels % 4 ≠ 0": ("% 4 ≠ 0", 9, (-10, -2), "right"),
    "fully connected": ("fully\nconnected", 2048, (4, -54), "right"),
    "depthwise": ("depthwise", 49, (10, -4), "left"),
}
_POINTS = ("D", "s", "P", "*")  # published ones
_TICKS = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


def draw(figure: Figure2, paths: Sequence[Path]) -> None:
    """Draw it, once for each path."""
    pyplot = open_pyplot()
    row = figure.table.rows[0]
    sheet, axes = pyplot.subplots(figsize=(13, 7.5), layout="constrained")
    for name in SERIES:
        _curve(axes, figure, name)
    first = axes.legend(
        title=f"{len(figure.rows)} shapes: dots; medians: lines", loc="upper left",
        bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=10, title_fontsize=11,
        alignment="left",
    )  # fmt: skip
    axes.add_artist(first)
    _published(axes, figure)
    axes.set_xscale("log", base=2)
    axes.set_xticks(_TICKS, list(map(str, _TICKS)), fontsize=11)
    axes.set_xlim(3.4, 2500)
    axes.set_ylim(0, None)
    axes.set_xlabel("multiply-accumulates per output (logarithmic)", fontsize=12)
    axes.set_ylabel("throughput in MOps/s (1 MAC = 2 Ops)", fontsize=12)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    sheet.suptitle(
        f"Figure 2: {TITLE}, {row['board']} at {format_hz(row['clock_hz'])}",
        fontsize=15, fontweight="bold",
    )  # fmt: skip
    note = figure.caption
    if figure.published:
        note += f"\npublished: {figure.published.points_source}"
    sheet.supxlabel(note, fontsize=8, color="#444444")
    save_all(pyplot, sheet, paths)


def _curve(axes: Any, figure: Figure2, name: str) -> None:
    colour = COLOURS[SERIES[name][0]]
    marker, line = _FORMS[name]
    rows = figure.series(name)
    hollow = line != "-"
    axes.scatter(
        [row["macs_per_output"] for row in rows], [mops(row) for row in rows], 16, marker=marker,
        facecolors="none" if hollow else colour, edgecolors=colour if hollow else "none",
        alpha=0.8 if hollow else 0.35, linewidths=0.9,
    )  # fmt: skip
    curve = figure.curve(name)
    axes.plot(
        *zip(*curve, strict=True), line, color=colour, linewidth=2.2,
        label=f"{name} ({len(rows)})",
    )  # fmt: skip
    text, macs, offset, side = _NAMES[name]
    at = min(curve, key=lambda point: abs(point[0] - macs))
    axes.annotate(
        text, at, offset, textcoords="offset points", ha=side, color=colour, fontsize=11,
        fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5,
                                 "alpha": 0.75},
    )  # fmt: skip


def _published(axes: Any, figure: Figure2) -> None:
    from matplotlib.patches import Rectangle

    entries: list[Any] = []
    for each, marker in zip(figure.beside, _POINTS, strict=False):
        p = each.point
        rounded = (p.mops_per_s - p.low_mops_per_s, p.high_mops_per_s - p.mops_per_s)
        error = f"{each.error_percent:+.1f} %"
        if rounded[1] > 0.05 * p.mops_per_s:
            error += f", rounded: {p.low_mops_per_s:.0f} to {p.high_mops_per_s:.0f}"
        entries.append(
            axes.errorbar(
                p.macs_per_output, p.mops_per_s, [[rounded[0]], [rounded[1]]], fmt=marker,
                color="black", markerfacecolor=COLOURS[p.op], markeredgecolor="black",
                markersize=12 if marker == "*" else 9, capsize=4, zorder=5,
                label=f"{p.name}: {p.mops_per_s:.0f}, here {each.mops_per_s:.0f}\n  ({error})",
            )
        )  # fmt: skip
    expectations = figure.published.expectations if figure.published else ()
    for range_ in expectations:
        left, right = range_.low_macs_per_output / 1.12, range_.high_macs_per_output * 1.12
        box = Rectangle(
            (left, range_.low_mops_per_s), right - left,
            range_.high_mops_per_s - range_.low_mops_per_s,
            fill=False, edgecolor="black", linestyle=(0, (4, 2)), linewidth=1.3, zorder=4,
            label=f"{range_.name}:\n  {range_.low_mops_per_s:.0f} to {range_.high_mops_per_s:.0f}, "
            "from instruction counts",
        )  # fmt: skip
        axes.add_patch(box)
        entries.append(box)
    note = "\n".join(_wrapped(figure))
    if entries:
        second = axes.legend(
            handles=entries, title="published MOps/s (error), and\nexpected ones, never measured",
            loc="upper left", bbox_to_anchor=(1.01, 0.72), frameon=False, fontsize=10,
            title_fontsize=11, alignment="left",
        )  # fmt: skip
        axes.add_artist(second)
    axes.text(1.02, 0.0, note, transform=axes.transAxes, fontsize=9.5, va="bottom", color="#333333")


def _wrapped(figure: Figure2) -> list[str]:
    import textwrap

    groups = figure.against
    faster, pairs = sum(g.faster for g in groups), sum(g.pairs for g in groups)
    where = ", ".join(f"{g.name} {g.faster}/{g.pairs}" for g in groups if g.faster)
    text = (
        f"Fully connected is above convolution in {faster} of {pairs} pairs of equal size"
        + (f": with {where}" if where else "")
        + ". There, reading and expanding a weight serves one output; in a convolution, two "
        "pixels."
    )
    return textwrap.wrap(text, 46)
