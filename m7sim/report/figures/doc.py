"""The part of ``FIGURES.md`` that follows from the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from m7sim.errors import InputError
from m7sim.report.figures.common import Analysis, Sheet

BEGIN: Final = "<!-- written by m7sim figures --update-doc; do not edit -->"
END: Final = "<!-- end of the written part -->"
_SHOWN = ("_gains", "_published", "_fc_against_conv")


def put(text: str, analyses: Sequence[Analysis]) -> str:
    """Return the document with the part between its marks written anew.

    Raises
    ------
    InputError
        If it lacks its marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError("no marks to write between", do=f"Add {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{markdown(analyses)}{END}{after}"


def markdown(analyses: Sequence[Analysis]) -> str:
    """Return the claims and the smaller tables as Markdown."""
    parts = []
    for analysis in analyses:
        claims = [("yes" if c.holds else "**no**", c.text, c.found) for c in analysis.claims]
        parts.append(
            f"### {analysis.title}\n\n{analysis.caption}.\n\n"
            + _table(("holds", "claim", "found"), claims)
        )
        parts += [_sheet(sheet) for sheet in analysis.sheets if sheet.name in _SHOWN]
    return "\n".join(parts)


def _sheet(sheet: Sheet) -> str:
    rows = [[_cell(value) for value in row.values()] for row in sheet.rows]
    return _table([name.replace("_", " ") for name in sheet.rows[0]], rows) if rows else ""


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str("" if value is None else value)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
