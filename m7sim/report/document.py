"""The JSON document of a run: the same figures as in the text, with units in their names."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from m7sim.compare import Snapshot
from m7sim.energy import Energy
from m7sim.profile.result import CallResult, Configuration, Result, RunResult
from m7sim.validate import bands

SCHEMA_VERSION = 1
# Of the document of a run or a call. 2: ``snapshot`` was added (see `m7sim.compare.schema`).
RESULT_SCHEMA_VERSION = 2


def configuration(c: Configuration) -> dict[str, Any]:
    """Return the ``configuration`` part that every document opens with."""
    return {
        "elf": c.elf,
        "elf_sha256": c.elf_sha256,
        "compiler": c.compiler,
        "entry": c.entry,
        "arguments": c.arguments,
        "board": c.board,
        "clock_hz": c.clock_hz,
        "core": c.core,
        "core_revision": c.core_revision,
        "memories": list(c.memories),
        "caches": list(c.caches),
        "warm": c.warm,
        "timed": c.timed,
        "not_modelled": list(c.not_modelled),
        "guessed_parameters": list(c.guessed_parameters),
        "power": c.power,
        "versions": dict(c.versions),
    }


def energy_part(energy: Energy) -> dict[str, Any]:
    """Return the ``energy`` part: totals, and their sum by event and by instruction class."""
    return {
        "energy_nj": energy.energy_nj,
        "low_nj": energy.low_nj,
        "high_nj": energy.high_nj,
        "mean_power_mw": energy.mean_power_mw,
        "low_mw": energy.low_mw,
        "high_mw": energy.high_mw,
        "nj_per_instruction": energy.nj_per_instruction,
        "operating_point": energy.point.text,
        "parts_nj": energy.parts_nj,
        "classes_nj": energy.classes_nj,
        "events": energy.counts,
    }


def document(result: Result, *, snapshot: Snapshot | None = None) -> dict[str, Any]:
    """Return everything about a run or a call as plain lists and dictionaries.

    ``issue_cycles`` plus the values of ``stalls`` is ``cycles``, in the totals as in each function
    and line. Functions and lines are sorted by self cycles, most expensive first. ``snapshot`` is
    what ``m7sim compare`` needs of the document; None leaves it out.
    """
    doc: dict[str, Any] = {
        "schema_version": RESULT_SCHEMA_VERSION,
        "configuration": configuration(result.configuration),
        "cycles": result.cycles,
        "instructions": result.instructions,
        "time_ms": result.time_ms,
        "ipc": result.ipc,
        "dual_issue_share": result.dual_issue_share,
        "issue_cycles": result.issue_cycles,
        "stalls": dict(result.stalls),
        "statistics": dict(result.statistics),
        "error_band": bands.applying(result).document() if result.configuration.timed else None,
        "energy": energy_part(result.energy) if result.energy else None,
        "functions": [],
        "lines": [],
        "branches": [],
        "rows": [
            {
                "name": row.name,
                "confidence": row.confidence,
                "source": row.source,
                "instructions": row.instructions,
            }
            for row in result.rows
        ],
    }
    if result.profile is not None:
        doc["functions"] = [
            {
                "name": f.name,
                "file": f.file,
                "address": f.address,
                "self_cycles": f.self_cycles,
                "inclusive_cycles": f.inclusive_cycles,
                "instructions": f.instructions,
                "calls": f.calls,
                "issue_cycles": f.issue_cycles,
                "stalls": f.stalls,
                "energy_nj": f.energy_nj,
            }
            for f in result.profile.functions
        ]
        doc["lines"] = [
            {
                "file": line.file,
                "line": line.line,
                "text": line.text,
                "function": line.function,
                "cycles": line.cycles,
                "instructions": line.instructions,
                "issue_cycles": line.issue_cycles,
                "stalls": line.stalls,
                "energy_nj": line.energy_nj,
            }
            for line in result.profile.lines
        ]
        doc["branches"] = [asdict(branch) for branch in result.profile.branches]
    if isinstance(result, RunResult):
        doc["exit_code"] = result.exit_code
        doc["stop_reason"] = result.stop_reason
        doc["message"] = result.message
        doc["console"] = result.console.decode("utf-8", "replace")
        doc["trace_bytes"] = result.trace_bytes
        doc["trace_bytes_per_instruction"] = result.trace_bytes_per_instruction
    if isinstance(result, CallResult):
        doc["stack_bytes"] = result.stack_bytes
    if snapshot is not None:
        doc["snapshot"] = snapshot.to_dict()
    return doc


def to_json(doc: dict[str, Any]) -> str:
    """Return the document as text that ends with a line end."""
    return json.dumps(doc, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
