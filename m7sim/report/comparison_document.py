"""A comparison as one JSON document."""

from __future__ import annotations

from typing import Any

from m7sim.compare import Comparison
from m7sim.compare.comparison import ISSUE, Change, FunctionChange, LineChange, LoopChange
from m7sim.compare.findings import findings
from m7sim.compare.schema import to_dict
from m7sim.compare.snapshot import Cost, Loop, SourceLine
from m7sim.report import comparison_words as words
from m7sim.report.document import SCHEMA_VERSION


def document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain lists and dictionaries.

    ``delta_cycles`` of the functions sum to the one on top, those of loops to their function's,
    those of lines to their loop's, and the values of ``causes`` to the line's. Loop and line null
    on both sides stand for code in no loop, and of no line. ``findings`` are sentences, the
    greatest part of the difference first.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "summary": words.total(comparison),
        "findings": [words.sentence(finding) for finding in findings(comparison)],
        "delta_cycles": comparison.delta_cycles,
        "before": _side(comparison.before),
        "after": _side(comparison.after),
        "functions": [_function(f) for f in comparison.functions],
    }


def _side(snapshot: Any) -> dict[str, Any]:
    whole = to_dict(snapshot)
    return {"configuration": whole["configuration"], "totals": whole["totals"]}


def _change(change: Change) -> dict[str, Any]:
    return {
        "delta_cycles": change.delta_cycles,
        "before": _cost(change.before, change.executions_before),
        "after": _cost(change.after, change.executions_after),
        "causes": change.causes,
    }


def _cost(cost: Cost, executions: int) -> dict[str, Any]:
    return {
        "cycles": cost.cycles,
        "instructions": executions,
        ISSUE: cost.issue_cycles,
        "stalls": {cause: cycles for cause, cycles in cost.stalls.items() if cycles},
    }


def _function(f: FunctionChange) -> dict[str, Any]:
    return {
        "name": f.name,
        "name_before": f.before.name if f.before else None,
        "name_after": f.after.name if f.after else None,
        "kind": f.kind,
        "inlined": list(f.inlined),
        "outlined": list(f.outlined),
        **_change(f.change),
        "loops": [_loop(loop) for loop in f.loops],
    }


def _loop(loop: LoopChange) -> dict[str, Any]:
    return {
        "loop_before": _loop_side(loop.before, loop.line_before),
        "loop_after": _loop_side(loop.after, loop.line_after),
        **_change(loop.change),
        "lines": [_line(line) for line in loop.lines],
    }


def _loop_side(loop: Loop | None, line: SourceLine | None) -> dict[str, Any] | None:
    if loop is None:
        return None
    return {
        "file": line.file if line else None,
        "line": line.line if line else None,
        "iterations": loop.iterations,
        "entries": loop.entries,
    }


def _line(line: LineChange) -> dict[str, Any]:
    return {
        "line_before": _line_side(line.before),
        "line_after": _line_side(line.after),
        **_change(line.change),
    }


def _line_side(line: SourceLine | None) -> dict[str, Any] | None:
    if line is None:
        return None
    return {"file": line.file, "line": line.line, "text": line.text}
