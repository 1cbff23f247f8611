"""The picture of figure 1: three quantities by type, normalised, and the gain of the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim.report.canvas import open_pyplot, save_all
from m7sim.report.figures.common import COLOURS, LABELS, percent
from m7sim.report.figures.fig1 import OPS, REFERENCE, TITLE, TOTAL
from m7sim.units import format_hz

if TYPE_CHECKING:
    from m7sim.report.figures.fig1 import Figure1

_NORMALISED = f"multiples of {LABELS[REFERENCE]}"
_SHORT = {**LABELS, "fc": "fully\nconnected", "total": "whole\nnetwork"}
_BLACK, _BAND = "#000000", "#DDDDDD"
_LIGHT = ("relu", "max_pool")  # their colours carry black letters
_BESIDE = 0.24  # of a published point from the middle of its bar


def draw(figure: Figure1, paths: Sequence[Path]) -> None:
    """Draw it, once for each path."""
    pyplot = open_pyplot()
    row = figure.table.rows[0]
    panels = [_throughput, _power, _energy, _gains]
    if figure.power_spread is None:  # the currents of the chip are not known
        panels = [_throughput, _gains]
    sheet, axes = pyplot.subplots(
        len(panels) // 2, 2, figsize=(12, 4.5 * len(panels) // 2), layout="constrained"
    )
    for panel, place in zip(panels, axes.flat, strict=True):
        panel(place, figure)
    for each in axes.flat:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(axis="x", length=0)
    sheet.suptitle(
        f"Figure 1: {TITLE}, {row['board']} at {format_hz(row['clock_hz'])}",
        fontsize=15, fontweight="bold",
    )  # fmt: skip
    note = figure.caption
    if figure.published:
        note += f"\npublished: {figure.published.types_source}"
    sheet.supxlabel(note, fontsize=8, color="#444444")
    save_all(pyplot, sheet, paths)


def _bars(
    axes: Any, figure: Figure1, quantity: str, number: Callable[[Any], str], title: str
) -> None:
    """Draw a quantity relative to the reference's."""
    axes.set_title(title, fontsize=12, loc="left")
    heights = [figure.relative(op, quantity) or 0.0 for op in OPS]
    axes.set_xticks(range(len(OPS)), [_SHORT[op] for op in OPS], fontsize=11)
    axes.bar(range(len(OPS)), heights, 0.62, color=[COLOURS[op] for op in OPS])
    highest = max(heights)
    for at, (op, height) in enumerate(zip(OPS, heights, strict=True)):
        inside = height > 0.35 * highest  # room for the label
        absolute = number(getattr(figure.optimised[op], quantity))
        axes.annotate(
            f"{height:.2f}\n{absolute}", (at - 0.1, 0.0 if inside else height), (0, 5),
            textcoords="offset points", ha="center", va="bottom", fontsize=10,
            color="white" if inside and op not in _LIGHT else _BLACK,
        )  # fmt: skip


def _throughput(axes: Any, figure: Figure1) -> None:
    _bars(axes, figure, "mops_per_s", lambda v: f"{v:.0f}\nMOps/s", "Throughput")
    axes.set_ylabel(_NORMALISED, fontsize=11)
    axes.set_ylim(0, 1.75)
    one = figure.published_mops(REFERENCE)
    if one is None:
        return
    lines = []
    for at, op in enumerate(OPS):
        known = figure.published_mops(op)
        if known is None:
            continue
        low, high = ((known[0] - known[1]) / one[0], (known[2] - known[0]) / one[0])
        axes.errorbar(
            at + _BESIDE, known[0] / one[0], [[low], [high]], fmt="D", color=_BLACK, capsize=4,
            markersize=7, markeredgecolor="white",
        )  # fmt: skip
        error = percent(figure.optimised[op].mops_per_s, known[0])
        lines.append(f"{LABELS[op]} {known[0]:.1f} ({error:+.1f} %)")
    _legend(axes, "published MOps/s\n(our error),\nwith its rounding:\n" + "\n".join(lines),
            loc="upper right")  # fmt: skip


def _power(axes: Any, figure: Figure1) -> None:
    _bars(axes, figure, "mean_power_mw", lambda v: f"{v:.0f}\nmW", "Mean power")
    axes.set_ylabel(_NORMALISED, fontsize=11)
    axes.set_ylim(0, 1.45)
    spread = figure.published.power_spread if figure.published else None
    if spread is None:
        return
    powers = [figure.relative(op, "mean_power_mw") or 0.0 for op in OPS]
    mean = sum(powers) / len(powers)
    axes.axhspan(mean * (1 - spread), mean * (1 + spread), color=_BAND, zorder=0)
    own = figure.power_spread or 0.0
    from matplotlib.patches import Patch

    text = f"published spread, about ±{100 * spread:.0f} %; here ±{100 * own:.1f} %"
    axes.legend(handles=[Patch(color=_BAND, label=text)], frameon=False, loc="upper right",
                fontsize=10)  # fmt: skip


def _energy(axes: Any, figure: Figure1) -> None:
    _bars(axes, figure, "nj_per_op", lambda v: f"{v:.2f}\nnJ", "Energy per Op")
    axes.set_ylabel(_NORMALISED, fontsize=11)
    heights = [figure.relative(op, "nj_per_op") or 0.0 for op in OPS]
    axes.set_ylim(0, 1.3 * max(heights))
    one = figure.published_mops(REFERENCE)
    if one is None:
        return
    for at, op in enumerate(OPS):
        known = figure.published_mops(op)
        if known:
            low, value, high = (one[0] / known[k] for k in (2, 0, 1))
            axes.errorbar(
                at + _BESIDE, value, [[value - low], [high - value]], fmt="D", color=_BLACK,
                capsize=4, markersize=7, markeredgecolor="white",
            )  # fmt: skip
    _legend(axes, "published throughputs at constant power", loc="upper left")


def _gains(axes: Any, figure: Figure1) -> None:
    axes.set_title("Gain of optimised over naive kernels", fontsize=12, loc="left")
    ops = (*OPS, TOTAL)
    gains = {op: figure.gain(op) for op in ops}
    for at, op in enumerate(ops):
        known = figure.published.gains.get(op) if figure.published else None
        for side, hatch, gain, beside in (
            (-0.2, "", gains[op][0], known.throughput if known else None),
            (0.2, "///", gains[op][1], known.energy if known else None),
        ):
            if gain is None:
                continue
            axes.bar(at + side, gain, 0.36, color=COLOURS[op], hatch=hatch, edgecolor="white")
            _number(axes, at + side, gain, f"{gain:.1f}x")
            if beside:
                axes.plot(at + side, beside, "D", color=_BLACK, markersize=7,
                          markeredgecolor="white")  # fmt: skip
                if abs(beside - gain) > 0.5:  # else it would lie on the other number
                    _number(axes, at + side, beside, f"{beside:.1f}x")
    axes.set_xticks(range(len(ops)), [_SHORT[op] for op in ops], fontsize=11)
    axes.set_ylabel("times better", fontsize=11)
    highest = max(max(filter(None, gain)) for gain in gains.values())
    axes.set_ylim(0, 1.45 * max(highest, 5.4 if figure.published else 0.0))
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [
        Patch(facecolor="#888888", label="throughput"),
    ]
    if figure.power_spread is not None:
        entries.append(Patch(facecolor="#888888", edgecolor="white", hatch="///", label="energy"))
    if figure.published:
        entries.append(
            Line2D([], [], color=_BLACK, marker="D", linestyle="none", markersize=7,
                   label="published (other baseline)")
        )  # fmt: skip
    axes.legend(handles=entries, frameon=False, fontsize=10, loc="upper left", ncols=3,
                columnspacing=1.0, handletextpad=0.5)  # fmt: skip


def _number(axes: Any, at: float, height: float, text: str) -> None:
    axes.annotate(text, (at, height), (0, 6), textcoords="offset points", ha="center", fontsize=9.5)


def _legend(axes: Any, label: str, **where: Any) -> None:
    from matplotlib.lines import Line2D

    diamond = Line2D([], [], color=_BLACK, marker="D", linestyle="none", markersize=7, label=label)
    axes.legend(handles=[diamond], frameon=False, fontsize=10, **where)
