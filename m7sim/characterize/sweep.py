"""Run a sweep: plan it, measure what is not known yet, write the table.

While it runs, each measurement goes into a journal beside the table-to-be. When all are there, the
table is written from them in the order of the grid and the journal removed. So a run that was
killed at any point goes on where it was, and its table is byte for byte that of one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m7sim import toolchain
from m7sim.characterize import table
from m7sim.characterize.engine import Engine, WorkerDied
from m7sim.characterize.journal import Journal
from m7sim.characterize.measure import failure, limit_reason, measure
from m7sim.characterize.plan import Planned, Request, Row
from m7sim.characterize.point import Point, canonical, digest, model_version, tool_versions
from m7sim.errors import InputError

# Measurements of one piece of work: few enough that a kill loses little, and that a bar moves;
# enough that handing them out costs nothing.
PIECE_POINTS = 16
PIECE_OPS = 30_000_000  # about a second
NOT_FINAL = frozenset({"died", "error"})  # tried again when a sweep is run again

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Outcome:
    """What a sweep gave.

    ``measured`` counts what was measured now; ``known`` what a former run had measured.
    """

    path: Path
    table: table.Table
    measured: int
    known: int


def run(
    rows: Sequence[Planned],
    request: Request,
    out: Path,
    engine: Engine,
    *,
    replace: bool = False,
    on_point: Progress | None = None,
) -> Outcome:
    """Measure the planned rows and write the table.

    Parameters
    ----------
    rows
        Of `plan.plan`.
    out
        From `table.out_path`.
    engine
        Where to measure.
    replace
        Whether a table of another sweep at ``out`` may be replaced.
    on_point
        Told of progress: how many are done, how many there are, and the last one.

    Raises
    ------
    InputError
        If ``out`` cannot be written, holds a table of another sweep, or another process writes it.
    """
    table.check_format(out)
    with Journal(journal_path(out), request.command, replace=replace) as journal:
        journal.add(_earlier(out, rows, replace=replace))
        points = {row.point.content_hash: row.point for row in rows if row.point is not None}
        missing = [p for key, p in points.items() if not _final(journal.finished.get(key), p)]
        known = len(points) - len(missing)
        done = known
        if on_point:
            on_point(done, len(points), "")
        for piece, results in engine.run(measure, pieces(missing, engine.in_flight)):
            if isinstance(results, WorkerDied):
                results = [(p.content_hash, failure("died", str(results))) for p in piece]
            journal.add(results)
            done += len(piece)
            if on_point:
                on_point(done, len(points), piece[-1].shape.label)
        made = [_row(planned, journal.finished) for planned in rows]
        header = _header(request, made)
        table.write(out, made, header)
        journal.remove()
    return Outcome(out, table.Table(tuple(made), header), len(missing), known)


def journal_path(out: Path) -> Path:
    """Return the journal's file of a table."""
    return out.with_name(f"{out.name}.journal")


def pieces(points: Sequence[Point], in_flight: int = 1) -> list[list[Point]]:
    """Cut points into pieces of work: one setup each, of about equal size, in order.

    Parameters
    ----------
    in_flight
        How many pieces are handed out at a time: there are a few times as many, if possible.
    """
    most = max(min(PIECE_POINTS, len(points) // (2 * in_flight)), 1)
    found: list[list[Point]] = []
    ops = 0
    for point in points:
        more = point.shape.ops
        last = found[-1] if found else []
        if (
            not last
            or last[0].setup is not point.setup
            or len(last) >= most
            or ops + more > PIECE_OPS
        ):
            found.append([])
            ops = 0
        found[-1].append(point)
        ops += more
    return found


def _final(result: Mapping[str, Any] | None, point: Point) -> bool:
    """Whether a result need not be measured again."""
    if result is None or result["status"] in NOT_FINAL:
        return False
    reached = result["status"] == "limit"
    return not reached or bool(result["reason"] == limit_reason(point.setup))


def _earlier(
    out: Path, rows: Sequence[Planned], *, replace: bool
) -> list[tuple[str, dict[str, Any]]]:
    """Return the measurements of the table that is there already."""
    if not out.exists():
        return []
    try:
        old = table.read(out)
    except InputError:
        if replace:
            return []
        raise
    labels = [column.name for column in table.LABEL_COLUMNS]
    new = {tuple(row.labels.values()) for row in rows}
    lost = sum(tuple(row[name] for name in labels) not in new for row in old.rows)
    if lost and not replace:
        raise InputError(
            f"holds {lost} rows that are not in this sweep and would be lost",
            where=str(out),
            do="Choose another --out, or give --replace",
        )
    names = [c.name for c in table.RESULT_COLUMNS if c.name != "content_hash"]
    return [
        (row["content_hash"], {name: row[name] for name in names if row[name] is not None})
        for row in old.rows
        if row["content_hash"]
    ]


def _row(planned: Planned, finished: Mapping[str, Mapping[str, Any]]) -> Row:
    key = planned.point.content_hash if planned.point is not None else ""
    result = finished[key] if planned.point is not None else planned.result or {}
    row: Row = {**planned.labels}
    for column in table.RESULT_COLUMNS:
        row[column.name] = result.get(column.name, "" if column.type == "str" else None)
    row["content_hash"] = key
    return row


def _header(request: Request, rows: Sequence[Row]) -> dict[str, Any]:
    statuses: dict[str, int] = {}
    for row in rows:
        statuses[row["status"]] = statuses.get(row["status"], 0) + 1
    return {
        "schema_version": table.SCHEMA_VERSION,
        "versions": {**tool_versions(), "compiler": toolchain.compiler_version()},
        "model": model_version(),
        "sweep": {
            "grid": request.grid,
            "ops": sorted({shape.op for shape in request.shapes}),
            "kernels": [library.name for library in request.libraries],
            "placements": [placement.name for placement in request.placements],
            "cflags": [" ".join(flags) for flags in request.cflags],
            "boards": [board.name for board in request.boards],
            "core": request.core.name,
            "start": request.start,
            "seed": request.seed,
            "limit_instructions": request.limit_instructions,
        },
        "command": request.command,
        "boards": {board.name: digest(canonical(board)) for board in request.boards},
        "core": digest(canonical(request.core.tables)),
        "rows": len(rows),
        "statuses": dict(sorted(statuses.items())),
        "columns": {c.name: {"type": c.type, "meaning": c.meaning} for c in table.COLUMNS},
    }
