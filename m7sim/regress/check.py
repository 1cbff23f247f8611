"""One check: totals of a call against those of its baseline, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from m7sim.errors import CheckError
from m7sim.regress.limits import OFF, Limits
from m7sim.regress.metrics import METRICS, Number, Totals
from m7sim.units import format_count

# What may be said of a metric, and of a check (the worst of its metrics); from good to bad.
OK, BETTER, WORSE, SOFT, NEW, FAILED = "ok", "better", "worse", "soft", "new", "failed"
_RANK = (OK, BETTER, WORSE, NEW, SOFT, FAILED)


@dataclass(frozen=True)
class Row:
    """One metric: before and after (None: not measured), what is allowed, and the verdict."""

    metric: str
    before: Number | None
    after: Number | None
    limit: str
    verdict: str
    note: str = ""

    @property
    def change(self) -> Number | None:
        if self.before is None or self.after is None:
            return None
        return self.after - self.before

    @property
    def percent(self) -> float | None:
        if self.before is None or self.after is None:
            return None
        if self.before == self.after:
            return 0.0
        return 100 * (self.after - self.before) / self.before if self.before else None


@dataclass
class Checked:
    """The outcome of a check.

    Attributes
    ----------
    module, test, name
        Path of the test's file, the test's id within it, the name of the check.
    measured_on
        Board, clock, compiler and the like.
    totals
        What was measured.
    rows
        By metric.
    status
        The worst verdict of the rows; ``new`` without a baseline.
    notes
        Sentences for people.
    snapshot, snapshot_before
        Of the result, when something differs or a baseline is written; of the baseline.
    details, details_markdown
        What explains a difference, for a terminal and for a pull request; "" unless asked for.
    update
        Whether it is to become the baseline.
    """

    module: str
    test: str
    name: str
    measured_on: dict[str, Any]
    totals: Totals
    rows: list[Row] = field(default_factory=list)
    status: str = OK
    notes: list[str] = field(default_factory=list)
    snapshot: dict[str, Any] | None = None
    snapshot_before: dict[str, Any] | None = None
    details: str = ""
    details_markdown: str = ""
    update: bool = False

    @property
    def explainable(self) -> bool:
        return self.changed and bool(self.snapshot and self.snapshot_before)

    @property
    def label(self) -> str:
        return f"{self.test} {self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for another process, without snapshots that it has no use for."""
        kept = self if self.update else replace(self, snapshot=None)
        return asdict(replace(kept, snapshot_before=None))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Checked:
        return cls(**{**data, "rows": [Row(**row) for row in data["rows"]]})

    @property
    def changed(self) -> bool:
        return any(row.change for row in self.rows)


class CheckFailed(CheckError):
    """A cost is over its limit, or there is nothing to compare it with.

    ``checked`` is the outcome of the check.
    """

    def __init__(self, what: str, checked: Checked, *, do: str = "") -> None:
        super().__init__(what, do=do)
        self.checked = checked

    def __str__(self) -> str:
        # Several lines: the advice gets one of its own.
        return f"{self.what}\n{self.do}" if self.do else self.what


def compare_totals(
    before: Mapping[str, Number], after: Totals, *, hard: Limits, soft: Limits, strict: bool = False
) -> list[Row]:
    """Judge every metric that was or is measured.

    Parameters
    ----------
    before
        Totals of the baseline; empty if there is none.
    hard, soft
        Limits by metric; a metric that is not in there has none.
    strict
        An improvement is a failure as well: the baseline no longer tells what the code does.
    """
    rows = []
    for metric in METRICS:
        old, new = before.get(metric), after.get(metric)
        limit = hard.get(metric, OFF)
        if (old is None and new is None) or (old is None and limit.kind not in ("most", "off")):
            if new is not None and before:
                rows.append(Row(metric, None, new, str(limit), WORSE, "not in the baseline yet"))
            continue
        verdict, note = OK, ""
        if limit.kind == "off":
            verdict = OK if new == old or None in (new, old) else WORSE
            note = "not checked"
        elif new is None:
            verdict, note = FAILED, "not measured any more"
        else:
            verdict = _judge(old, new, limit.most(old), soft.get(metric, OFF).most(old))
            if strict and verdict == BETTER:
                verdict, note = FAILED, "better than the baseline (strict)"
        rows.append(Row(metric, old, new, str(limit), verdict, note))
    return rows


def _judge(old: Number | None, new: Number, most: float | None, soft_most: float | None) -> str:
    if most is not None and new > most:
        return FAILED
    if soft_most is not None and new > soft_most:
        return SOFT
    if old is None or new == old:
        return OK
    return WORSE if new > old else BETTER


def worst(rows: list[Row]) -> str:
    """Return the worst verdict."""
    return max((row.verdict for row in rows), key=_RANK.index, default=OK)


def describe(rows: Sequence[Row]) -> list[str]:
    """Return one line per metric: ``cycles  1 200 → 1 301  +101 (+8.4 %)  limit 0 %``."""
    cells = []
    for row in rows:
        note = row.note
        if row.verdict == FAILED:
            note = note or f"limit {row.limit}"
        elif row.verdict == SOFT:
            note = "over the soft limit"
        before, after = format_number(row.before), format_number(row.after)
        cells.append((row.metric, before, after, format_change(row), note))
    wide = [max((len(cell[i]) for cell in cells), default=0) for i in range(4)]
    lines = []
    for metric, before, after, change, note in cells:
        text = f"{metric:<{wide[0]}}  {before:>{wide[1]}} → {after:>{wide[2]}}"
        lines.append(f"{text}  {change:<{wide[3]}}  {note}".rstrip())
    return lines


def format_number(value: Number | None) -> str:
    if value is None:
        return "–"
    return format_count(value) if isinstance(value, int) else f"{value:,.6g}".replace(",", " ")


def format_change(row: Row) -> str:
    """Return ``+101 (+8.4 %)``, or ``=`` where nothing changed."""
    change, percent = row.change, row.percent
    if change is None:
        return ""
    if not change:
        return "="
    sign = "+" if change > 0 else "−"
    text = f"{sign}{format_number(abs(change) if isinstance(change, int) else float(abs(change)))}"
    return text if percent is None else f"{text} ({format_signed_percent(percent)})"


def format_signed_percent(percent: float) -> str:
    """Return a change in percent that is never rounded to nothing."""
    sign = "+" if percent > 0 else "−"
    size = abs(percent)
    if 0 < size < 0.01:
        return f"{sign}<0.01 %"
    return f"{sign}{size:.2f} %" if size < 1 else f"{sign}{size:.1f} %"
