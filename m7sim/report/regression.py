"""Regression checks as text for a terminal and as markdown for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from m7sim.errors import M7Error
from m7sim.regress.check import (
    BETTER,
    FAILED,
    NEW,
    OK,
    SOFT,
    WORSE,
    Checked,
    Row,
    format_change,
    format_number,
)
from m7sim.report.layout import PLAIN, Style

MAX_UNCHANGED = 30  # in a terminal; more of them only on request
MAX_WIDTH_COLUMNS = 110
_WORDS = {
    OK: "",
    BETTER: "better",
    WORSE: "within limits",
    SOFT: "over the soft limit",
    NEW: "no baseline",
    FAILED: "FAILED",
}
_MARKUP = {
    _WORDS[FAILED]: {"red": True},
    _WORDS[SOFT]: {"yellow": True},
    _WORDS[NEW]: {"yellow": True},
    _WORDS[BETTER]: {"green": True},
}


class Line(NamedTuple):
    """A line for a terminal, and how it is marked up there (`pytest`'s names)."""

    text: str
    markup: dict[str, bool]


def render_summary(
    checks: Sequence[Checked], *, style: Style = PLAIN, everything: bool = False
) -> list[Line]:
    """Return one row per check, with the cycles before and after, and one per other change."""
    news = [c for c in checks if c.status != OK or c.changed]
    hidden = len(checks) - len(news)
    shown = list(checks) if everything or hidden <= MAX_UNCHANGED else news
    rows = [row for checked in shown for row in _rows(checked)]
    lines = _table([("check", "metric", "before", "after", "change", "verdict"), *rows], style)
    marked = [Line(lines[0], {"bold": True})] if rows else []
    for row, text in zip(rows, lines[1:], strict=True):
        marked.append(
            Line(text, next((m for w, m in _MARKUP.items() if row[-1].startswith(w)), {}))
        )
    if len(shown) < len(checks):
        marked.append(Line(f"{hidden} more cost what their baselines say; -v lists them", {}))
    for checked in checks:
        if checked.details:
            marked += [Line("", {}), Line(checked.label, {"bold": True})]
            marked += [Line(text, {}) for text in checked.details.rstrip().split("\n")]
    return marked + [Line(f"note: {note}", {"yellow": True}) for note in _notes(checks)]


def _notes(checks: Sequence[Checked]) -> list[str]:
    """Return what is to be said of several checks, once, with their number."""
    count = Counter(note for checked in checks for note in dict.fromkeys(checked.notes))
    return [note if n == len(checks) else f"{note} ({n} of {len(checks)} checks)"
            for note, n in sorted(count.items())]  # fmt: skip


def _table(rows: Sequence[Sequence[str]], style: Style) -> list[str]:
    """Lay rows out; the first column takes the width that the others leave."""
    wide = [max(len(row[i]) for row in rows) for i in range(6)]
    room = min(style.width, MAX_WIDTH_COLUMNS) - sum(wide[1:]) - 2 * 5
    wide[0] = min(wide[0], max(room, 16))
    lines = []
    for label, metric, before, after, change, verdict in rows:
        name = label if len(label) <= wide[0] else "…" + label[1 - wide[0] :]
        lines.append(
            f"{name:<{wide[0]}}  {metric:<{wide[1]}}  {before:>{wide[2]}}  {after:>{wide[3]}}  "
            f"{change:>{wide[4]}}  {verdict}".rstrip()
        )
    return lines


def render_markdown(checks: Sequence[Checked], *, header: str) -> str:
    """Return a table of what changed and the explanations, to post under a pull request.

    ``header`` is the line that says what was simulated.
    """
    changed = [c for c in checks if c.status != OK or c.changed]
    failed = sum(c.status == FAILED for c in checks)
    noun = "check" if len(checks) == 1 else "checks"
    head = f"{len(checks)} {noun}, {len(changed)} changed, {failed} over a limit"
    lines = ["### Cost of kernels", "", head, ""]
    if changed:
        lines += ["| check | metric | before | after | change | |", "|---|---|--:|--:|--:|---|"]
        for checked in changed:
            rows = [row for row in checked.rows if row.verdict != OK or row.change]
            for row in rows or checked.rows:
                lines.append(_markdown_row(checked, row))
        lines.append("")
    for checked in changed:
        if checked.details_markdown:
            lines += [
                f"<details><summary>{checked.label}</summary>", "",
                checked.details_markdown.strip(), "", "</details>", "",
            ]  # fmt: skip
    lines += [f"- {note}" for note in (*_notes(checks), header)]
    return "\n".join(lines).rstrip() + "\n"


def explain(checked: Checked, *, markdown: bool = False) -> str:
    """Return what changed since the baseline, or why that cannot be told."""
    from m7sim.compare import Snapshot, compare
    from m7sim.report.comparison import render_markdown, render_text

    try:
        before = Snapshot.from_dict(checked.snapshot_before, where="snapshot in the baseline")
        comparison = compare(before, Snapshot.from_dict(checked.snapshot))
    except M7Error as error:
        return str(error)
    return render_markdown(comparison) if markdown else render_text(comparison)


def _rows(checked: Checked) -> list[tuple[str, ...]]:
    """Return a row for the cycles, and one for each other metric about which there is news."""
    rows = [row for row in checked.rows if row.metric == "cycles" or row.change or row.note]
    if not rows:  # no baseline, hence nothing to compare
        after = checked.totals.get("cycles")
        rows = [Row("cycles", None, after, "", checked.status)]
    cells: list[tuple[str, ...]] = []
    for row in rows:
        word = _WORDS[row.verdict] or row.note
        if row.verdict == FAILED and row.note:
            word = f"{word}: {row.note}"
        before, after_text = format_number(row.before), format_number(row.after)
        label = "" if cells else checked.label
        cells.append((label, row.metric, before, after_text, format_change(row), word))
    return cells


def _markdown_row(checked: Checked, row: Row) -> str:
    name = checked.label.replace("|", "\\|")
    mark = {FAILED: "❌", SOFT: "⚠️", BETTER: "✅", NEW: "🆕"}.get(row.verdict, "")
    if checked.status == NEW:
        mark = "🆕"
    before, after = format_number(row.before), format_number(row.after)
    return f"| `{name}` | {row.metric} | {before} | {after} | {format_change(row)} | {mark} |"
