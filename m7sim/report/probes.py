"""Probes for people: every fact with what is expected and what the model says, and the summary."""

from __future__ import annotations

from collections import Counter
from typing import Any

from m7sim.report.document import SCHEMA_VERSION, configuration
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.report.text import render_configuration
from m7sim.validate.probes import GRADES
from m7sim.validate.probes_run import Comparison, Outcome, Run, Verdict

# Needed shares of the facts that apply, of those grades that are not models or hearsay.
REQUIRED_SHARE = {"V": 1.0, "M": 0.97}


def render(run: Run, comparison: Comparison | None = None, *, style: Style = PLAIN) -> str:
    """Return the report: one line per fact, then exceptions, what is not measured, the summary."""
    console = open_console(style)
    console.file.write(render_configuration(run.configuration, style=style))
    for group in dict.fromkeys(_group(outcome) for outcome in run.outcomes):
        _facts(console, group, [o for o in run.outcomes if _group(o) == group])
    choices = {o.fact.choice: o.fact.id for o in reversed(run.outcomes) if o.fact.choice}
    if choices:
        _notes(console, "sources disagree", {id_: text for text, id_ in reversed(choices.items())})
    _notes(
        console,
        "known exceptions",
        {o.fact.id: o.reason for o in run.outcomes if o.reason and _ran(o)},
    )
    _notes(console, "not applicable", {o.fact.id: o.reason for o in run.outcomes if not _ran(o)})
    if len(run.outcomes) == len(run.tables.facts):
        _notes(
            console,
            "not measured",
            {f"{n.id} ({n.grade})": n.reason for n in run.tables.not_measured},
        )
    _summary(console, run)
    if comparison is not None:
        _comparison(console, comparison)
    return text_of(console)


def _ran(outcome: Outcome) -> bool:
    return outcome.verdict != Verdict.NOT_APPLICABLE


def _group(outcome: Outcome) -> str:
    return outcome.fact.id.split(".")[0]


def _cycles(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _facts(console: Any, group: str, outcomes: list[Outcome]) -> None:
    rows = [
        (
            o.fact.id, o.fact.meaning, o.fact.grade, _cycles(o.fact.expected_cycles),
            _cycles(o.modelled_cycles), o.verdict.value,
        )
        for o in outcomes
    ]  # fmt: skip
    print_table(
        console, group, ("fact", "*meaning", "grade", ">expected", ">modelled", "verdict"), rows
    )


def _notes(console: Any, title: str, notes: dict[str, str]) -> None:
    if not notes:
        return
    console.print(title, style="bold")
    grid = open_grid()
    for name, text in notes.items():
        grid.add_row(name, text)
    console.print(grid)
    console.print()


def _summary(console: Any, run: Run) -> None:
    rows = []
    for grade, meaning in GRADES.items():
        held, counted = run.share(grade)
        if counted:
            rows.append(
                (f"{grade}, {meaning}", str(held), str(counted), f"{100 * held / counted:.1f} %")
            )
    print_table(console, "facts that hold", ("grade", ">hold", ">apply", ">share"), rows)
    for outcome in run.failed:
        console.print(
            f"{outcome.fact.id}: {outcome.verdict.value}, expected "
            f"{_cycles(outcome.fact.expected_cycles)}, modelled {_cycles(outcome.modelled_cycles)} "
            f"({outcome.fact.source})",
            soft_wrap=True,
        )


def _comparison(console: Any, comparison: Comparison) -> None:
    title = (
        f"{comparison.path}: {len(comparison.differences)} of {comparison.compared} probes take "
        "another time (cycles per copy)"
    )
    rows = [
        (
            d.id, _cycles(d.modelled_cycles), _cycles(d.measured_cycles),
            f"{d.modelled_cycles - d.measured_cycles:+.4g}",
        )
        for d in comparison.differences
    ]  # fmt: skip
    if rows:
        print_table(console, title, ("probe", ">modelled", ">measured", ">difference"), rows)
    else:
        console.print(title, style="bold")
    if comparison.unknown:
        console.print(f"not in this run: {', '.join(comparison.unknown)}")


def document(run: Run, comparison: Comparison | None = None) -> dict[str, Any]:
    """Return the same as plain lists and dictionaries; cycles are per copy, less what is known."""
    facts = [
        {
            "id": o.fact.id,
            "meaning": o.fact.meaning,
            "grade": o.fact.grade,
            "expected_cycles": o.fact.expected_cycles,
            "modelled_cycles": o.modelled_cycles,
            "holds": None if not _ran(o) else o.verdict in (Verdict.HOLDS, Verdict.STALE),
            "verdict": o.verdict.value,
            "reason": o.reason,
            "source": o.fact.source,
            "choice": o.fact.choice,
            "text": o.fact.probe.text,
            "template": o.fact.probe.template,
        }
        for o in run.outcomes
    ]
    grades = {}
    for grade in GRADES:
        held, counted = run.share(grade)
        grades[grade] = {
            "hold": held,
            "apply": counted,
            "share": held / counted if counted else None,
            "required_share": REQUIRED_SHARE.get(grade),
        }
    doc: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "configuration": configuration(run.configuration),
        "facts": facts,
        "not_measured": [
            {"id": n.id, "grade": n.grade, "reason": n.reason} for n in run.tables.not_measured
        ],
        "summary": {
            "facts": len(facts),
            "verdicts": dict(Counter(o.verdict.value for o in run.outcomes)),
            "grades": grades,
        },
    }
    if comparison is not None:
        doc["comparison"] = {
            "file": comparison.path,
            "compared": comparison.compared,
            "differences": [
                {
                    "id": d.id,
                    "modelled_cycles": d.modelled_cycles,
                    "measured_cycles": d.measured_cycles,
                }
                for d in comparison.differences
            ],
            "unknown": list(comparison.unknown),
        }
    return doc
