"""Pictures for people (needs the extra ``figures``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from m7sim.nets.published import Published
from m7sim.nets.run import NetworkRun
from m7sim.report.canvas import open_pyplot, save

# Colours that stay apart in print and for colour-blind readers (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_OTHER = "#999999"
_LARGEST = 6


def network(run: NetworkRun, published: Published | None, path: Path) -> None:
    """Draw the milliseconds of each layer, split into issue and stalls, beside the measured ones.

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

    measured = {row.layers: row.ms for row in published.rows} if published else {}
    groups = list(measured) or [(layer.name,) for layer in run.layers]
    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    _bars(axes, run, groups)
    if measured:
        axes.plot(
            range(len(groups)),
            [measured[group] for group in groups],
            "D",
            color="black",
            label="measured on an STM32F746ZG",
        )
    for position, group in enumerate(groups):
        ms = sum(layer.ms for layer in run.layers if layer.name in group)
        top = max(ms, measured.get(group, 0.0))
        note = f"{ms:.1f}" if ms >= 1 else f"{ms:.2f}"
        if group in measured:
            note += f"\n({100 * (ms / measured[group] - 1):+.0f} %)"
        axes.annotate(
            note, (position, top), (0, 6), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_xticks(range(len(groups)), [" +\n".join(group) for group in groups])
    axes.set_ylabel(f"ms at {run.configuration.clock_hz / 1e6:g} MHz")
    axes.margins(y=0.15)
    total = f"{run.total.ms:.1f} ms"
    if published:
        total += f", measured {published.total_ms:.1f} ms"
    axes.set_title(f"{run.network.name} on {run.configuration.board}: {total}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save(pyplot, figure, path)


def _bars(axes: Any, run: NetworkRun, groups: list[tuple[str, ...]]) -> None:
    total = run.total
    largest = sorted(total.stalls, key=lambda cause: -total.stalls[cause])[:_LARGEST]
    per_cycle_ms = total.ms / total.cycles
    bottom = [0.0] * len(groups)
    for part, colour in zip(("issue", *largest, "other stalls"), (*_COLOURS, _OTHER), strict=False):
        heights = []
        for group in groups:
            layers = [layer for layer in run.layers if layer.name in group]
            if part == "issue":
                cycles = sum(layer.issue_cycles for layer in layers)
            elif part == "other stalls":
                cycles = sum(
                    n for layer in layers for c, n in layer.stalls.items() if c not in largest
                )
            else:
                cycles = sum(layer.stalls.get(part, 0) for layer in layers)
            heights.append(cycles * per_cycle_ms)
        if any(heights):
            axes.bar(
                range(len(groups)), heights, 0.6, bottom, color=colour, label=part.replace("_", " ")
            )
        bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
