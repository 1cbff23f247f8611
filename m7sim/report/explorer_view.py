"""An exploration as text, document and picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m7sim.report.canvas import open_pyplot, save_all
from m7sim.report.document import SCHEMA_VERSION
from m7sim.report.explorer import BANK, ISSUE, OTHER, PARTS, Exploration
from m7sim.report.layout import PLAIN, Style, open_console, print_table, text_of
from m7sim.units import format_hz

# Okabe and Ito, and greys: apart in print and for colour-blind readers.
_COLOURS = {
    ISSUE: "#CFCFCF", BANK: "#000000", "load-use": "#0072B2", "other operands": "#56B4E9",
    "unaligned": "#D55E00", "data cache": "#E69F00", "mispredict": "#CC79A7", "fetch": "#F0E442",
    "multi-transfer": "#009E73", "store": "#8DD3C7", OTHER: "#7F7F7F",
}  # fmt: skip
_LEAST_SHARE = 0.004  # of a part in the whole, to be in the legend and in the text
_COLUMNS = 7  # parts in the text's table
_SHOWN = 8  # groups of cliffs in the picture


def render(exploration: Exploration, *, style: Style = PLAIN) -> str:
    """Return the text for people."""
    console = open_console(style)
    console.print(exploration.caption, soft_wrap=True)
    console.print()
    parts = sorted(shown_parts(exploration), key=lambda p: -_share(exploration, p))[:_COLUMNS]
    parts.sort(key=PARTS.index)
    steps = exploration.steps
    limit = max(2 * style.top, 12)
    stride = -(-len(steps) // limit)
    rows = [
        [
            str(step.value), step.row["variant"], f"{step.row['ops_per_s'] / 1e6:.1f}",
            f"{step.cost:.2f}", *(f"{step.parts[part]:.2f}" for part in parts),
        ]
        for step in steps[::stride]
    ]  # fmt: skip
    every = f", every {stride}. row; all are in the CSV" if stride > 1 else ""
    columns = [f">{exploration.dimension}", "*kernel", ">MOps/s", ">cycles"]
    title = f"Cycles per {exploration.unit} of {exploration.op}, and where they go{every}"
    print_table(console, title, [*columns, *(f">{_short(part)}" for part in parts)], rows)
    if exploration.cliffs:
        console.print(f"Cliffs (steps of {100 * exploration.threshold:.0f} % and more)")
        for number, group in enumerate(exploration.cliffs, 1):
            wrapped = textwrap.wrap(f"{number}. {group.sentence}", console.width,
                                    subsequent_indent="   ")  # fmt: skip
            console.print("\n".join(wrapped), markup=False)
    else:
        console.print(
            f"No cliff: no step of {100 * exploration.threshold:.0f} % that size does not explain."
        )
    for value, reason in exploration.failures:
        console.print(f"no figures for {exploration.dimension}={value}: {reason}", soft_wrap=True,
                      markup=False)  # fmt: skip
    console.print()
    return text_of(console)


def document(exploration: Exploration) -> dict[str, Any]:
    """Return the JSON document of an exploration."""
    return {
        "schema_version": SCHEMA_VERSION,
        "op": exploration.op,
        "dimension": exploration.dimension,
        "configuration": exploration.caption,
        "unit": exploration.unit,
        "steps": list(exploration.sheet.rows),
        "cliffs": [
            {
                "from": [c.before.value for c in group.cliffs],
                "to": [c.after.value for c in group.cliffs],
                "change": [c.change for c in group.cliffs],
                "parts": list(group.typical.main_parts),
                "text": group.sentence,
            }
            for group in exploration.cliffs
        ],
        "failures": [{"value": v, "reason": reason} for v, reason in exploration.failures],
    }


def shown_parts(exploration: Exploration) -> list[str]:
    """Return the parts that matter somewhere."""
    return [
        part
        for part in PARTS
        if any(step.parts[part] > _LEAST_SHARE * step.cost for step in exploration.steps)
    ]


def _share(exploration: Exploration, part: str) -> float:
    return max(step.parts[part] / step.cost for step in exploration.steps)


def draw(exploration: Exploration, paths: Sequence[Path]) -> None:
    """Draw the stacked bars with the cliffs marked, once for each path."""
    pyplot = open_pyplot()
    sheet, axes = pyplot.subplots(figsize=(13, 8), layout="constrained")
    steps = exploration.steps
    at = list(range(len(steps)))
    bottom = [0.0] * len(steps)
    for part in shown_parts(exploration):
        heights = [step.parts[part] for step in steps]
        axes.bar(at, heights, 0.86, bottom, color=_COLOURS[part], label=part)
        bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
    top = max(bottom)
    _marks(axes, exploration, bottom)
    stride = -(-len(steps) // 33)
    axes.set_xticks(at[::stride], [str(step.value) for step in steps][::stride], fontsize=10)
    axes.set_xlim(-0.7, len(steps) - 0.3)
    axes.set_ylim(0, 1.1 * top)
    axes.set_xlabel(f"{exploration.dimension} of {exploration.op}", fontsize=12)
    axes.set_ylabel(f"cycles per {exploration.unit}", fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.0, 1.0),
                frameon=False, fontsize=11)  # fmt: skip
    row = exploration.table.rows[0]
    first, last = (step.row["shape"] for step in (steps[0], steps[-1]))
    sheet.suptitle(
        f"Where the cycles of {exploration.op} go, {row['board']} at {format_hz(row['clock_hz'])}",
        fontsize=15, fontweight="bold",
    )  # fmt: skip
    axes.set_title(f"{first}  to  {last}", fontsize=10, color="#444444")
    lines = [
        line
        for number, group in enumerate(exploration.cliffs[:_SHOWN], 1)
        for line in textwrap.wrap(f"{number}. {group.sentence}", 165, subsequent_indent="    ")
    ]
    sheet.supxlabel("\n".join([*lines, "", exploration.caption]), x=0.01, ha="left", fontsize=9,
                    color="#222222")  # fmt: skip
    save_all(pyplot, sheet, paths)


def _marks(axes: Any, exploration: Exploration, tops: Sequence[float]) -> None:
    """Put the number of a cliff's kind over the bar it leads to."""
    place = {step.value: k for k, step in enumerate(exploration.steps)}
    at: dict[int, list[str]] = {}
    for number, group in enumerate(exploration.cliffs[:_SHOWN], 1):
        for cliff in group.cliffs:
            at.setdefault(place[cliff.after.value], []).append(str(number))
    for k, numbers in at.items():
        axes.annotate(",".join(numbers), (k, tops[k]), (0, 3), textcoords="offset points",
                      ha="center", fontsize=9, fontweight="bold")  # fmt: skip


def _short(part: str) -> str:
    return {
        "bank conflict": "bank", "other operands": "operands", "multi-transfer": "multi",
        "data cache": "d-cache", "mispredict": "mispred.", "unaligned": "unalign.",
    }.get(part, part)  # fmt: skip
