"""Who pairs with whom, as a picture or a table of comma-separated values."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from m7sim.errors import InputError
from m7sim.report.canvas import open_pyplot, save
from m7sim.validate.probes import Kind, pair_id
from m7sim.validate.probes_run import Run, Verdict, pairs

# Okabe and Ito; apart in print and for colour-blind readers.
_PAIRS, _ALONE, _WRONG = "#56B4E9", "#F2F2F2", "#D55E00"


def kinds(run: Run) -> list[Kind]:
    """Return the rows and columns of the matrix."""
    return [kind for kind in run.tables.kinds.values() if kind.figure]


def write(run: Run, path: Path) -> None:
    """Draw the matrix, or write it as a table when the name ends in ``.csv``.

    Raises
    ------
    InputError
        If matplotlib is not installed, or the file cannot be written.
    """
    try:
        if path.suffix == ".csv":
            path.write_text(table(run), encoding="utf-8")
        else:
            _draw(run, path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the picture: {error}", where=str(path)) from error


def table(run: Run) -> str:
    """Return the matrix as text: rows are the older, columns the younger; 1 where they pair."""
    shown = kinds(run)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["older", *(kind.name for kind in shown)])
    for older in shown:
        cells = [pairs(run, older.name, younger.name) for younger in shown]
        writer.writerow([older.name, *("" if cell is None else int(cell) for cell in cells)])
    return out.getvalue()


def _draw(run: Run, path: Path) -> None:
    pyplot = open_pyplot()
    from matplotlib.colors import ListedColormap

    shown = kinds(run)
    n = len(shown)
    cells = [[int(bool(pairs(run, a.name, b.name))) for b in shown] for a in shown]
    figure, axes = pyplot.subplots(figsize=(10.5, 10), layout="constrained")
    axes.imshow(cells, cmap=ListedColormap([_ALONE, _PAIRS]), vmin=0, vmax=1)
    axes.set_xticks(
        range(n), [kind.label for kind in shown],
        rotation=55, rotation_mode="anchor", ha="left", fontsize=10,
    )  # fmt: skip
    axes.set_yticks(range(n), [kind.label for kind in shown], fontsize=10)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("younger", fontsize=12)
    axes.set_ylabel("older", fontsize=12)
    axes.set_xticks([k - 0.5 for k in range(1, n)], minor=True)
    axes.set_yticks([k - 0.5 for k in range(1, n)], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    confirmed = _marks(run, axes, shown)
    _legend(axes, confirmed)
    axes.set_title(f"{run.configuration.core} as modelled: who shares a cycle", fontsize=13, pad=14)
    save(pyplot, figure, path)


def _marks(run: Run, axes: Any, shown: list[Kind]) -> bool:
    """Put a dot where a fact says the same and a cross where it does not; say if there is one."""
    place = {kind.name: k for k, kind in enumerate(shown)}
    same: list[tuple[int, int]] = []
    other: list[tuple[int, int]] = []
    for older, row in place.items():
        for younger, column in place.items():
            verdict = run.verdicts.get(pair_id(older, younger))
            if verdict is not None:
                holds = verdict in (Verdict.HOLDS, Verdict.STALE)
                (same if holds else other).append((column, row))
    if same:
        axes.plot(*zip(*same, strict=True), ".", color="black", markersize=5, linestyle="none")
    if other:
        axes.plot(
            *zip(*other, strict=True), "X", color=_WRONG, markersize=11, linestyle="none",
            markeredgecolor="black",
        )  # fmt: skip
    return bool(other)


def _legend(axes: Any, with_disagreement: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [
        Patch(facecolor=_PAIRS, label="pairs"),
        Patch(facecolor=_ALONE, edgecolor="#BBBBBB", label="does not pair"),
        Line2D([], [], color="black", marker=".", linestyle="none", label="a fact says the same"),
    ]
    wrong = Line2D(
        [], [], color=_WRONG, marker="X", markersize=10, markeredgecolor="black",
        linestyle="none", label="a fact says otherwise" + ("" if with_disagreement else " (none)"),
    )  # fmt: skip
    axes.legend(
        handles=[*entries, wrong], loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4,
        frameon=False, fontsize=11,
    )  # fmt: skip
