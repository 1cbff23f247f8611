"""Two listings of instructions side by side."""

from __future__ import annotations

from collections.abc import Sequence

from m7sim.compare.comparison import FunctionChange, Row
from m7sim.compare.snapshot import InstructionRecord
from m7sim.units import format_count

EQUAL_AROUND = 3  # equal rows shown before and after one that differs
LONGEST = 60  # rows of a listing

COLUMNS = ("before", ">times", ">cycles", "", "after", ">times", ">cycles")
LEGEND = "- only before, + only after, ~ changed, ! same but other times or cycles"

Cells = tuple[str, ...]


def side_by_side(
    function: FunctionChange, rows: Sequence[Row], width_columns: int
) -> tuple[Cells, list[Cells]]:
    """Return columns and rows for `print_table` that fit a width.

    Targets within the function are shown without its name. Long runs of equal rows, and what is
    too much, are left out and counted.
    """
    names = (
        function.before.name if function.before else "",
        function.after.name if function.after else "",
    )
    cells = [_cells(row, names) for row in rows]
    marks = [row[3] for row in cells]
    shown = _near(marks)
    kept: list[Cells] = []
    skipped = 0
    for place, row in enumerate(cells):
        if shown[place]:
            kept += _gap(skipped)
            skipped = 0
            kept.append(row)
        else:
            skipped += 1
    kept += _gap(skipped)
    if len(kept) > LONGEST:
        rest = len(kept) - LONGEST
        kept = [*kept[:LONGEST], (f"… {rest} more", "", "", "", "", "", "")]
    return COLUMNS, _cut(kept, width_columns)


def _near(marks: Sequence[str]) -> list[bool]:
    """Tell which rows are marked, near one that is, or would be replaced by a row anyway."""
    differ = [place for place, mark in enumerate(marks) if mark]
    shown = [False] * len(marks)
    for place in differ:
        for near in range(place - EQUAL_AROUND, place + EQUAL_AROUND + 1):
            if 0 <= near < len(shown):
                shown[near] = True
    for place in range(len(shown)):
        before = place == 0 or shown[place - 1]
        after = place + 1 == len(shown) or shown[place + 1]
        if before and after:
            shown[place] = True
    return shown


def _gap(skipped: int) -> list[Cells]:
    return [(f"… {skipped} equal", "", "", "", "", "", "")] if skipped else []


def _cells(row: Row, names: tuple[str, str]) -> Cells:
    if row.before is None:
        mark = "+"
    elif row.after is None:
        mark = "-"
    elif not row.same:
        mark = "~"
    elif (row.before.executions, row.before.cost.cycles) != (
        row.after.executions,
        row.after.cost.cycles,
    ):
        mark = "!"
    else:
        mark = ""
    return (*_half(row.before, names[0]), mark, *_half(row.after, names[1]))


def _half(instruction: InstructionRecord | None, function: str) -> Cells:
    if instruction is None:
        return "", "", ""
    return (
        instruction.text.replace(f" {function}+0x", " +0x"),
        format_count(instruction.executions),
        format_count(instruction.cost.cycles),
    )


def _cut(rows: list[Cells], width_columns: int) -> list[Cells]:
    """Shorten the two texts so that everything fits."""
    names = [name.strip(">") for name in COLUMNS]
    widths = [max([len(name), *(len(row[n]) for row in rows)]) for n, name in enumerate(names)]
    numbers = sum(widths) - widths[0] - widths[4]
    room = width_columns - numbers - 2 * (len(COLUMNS) - 1)
    half = max(room // 2, 12)
    limits = {0: half, 4: half}
    for one, other in ((0, 4), (4, 0)):  # what one side does not need is the other one's
        if widths[one] < half:
            limits[other] = max(room - widths[one], 12)
    return [
        tuple(_shortened(cell, limits.get(n, len(cell))) for n, cell in enumerate(row))
        for row in rows
    ]


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
