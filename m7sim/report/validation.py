"""The validation report: text, JSON document, table for ``FIDELITY.md``, picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from m7sim.errors import InputError
from m7sim.report.canvas import open_pyplot, save
from m7sim.report.document import SCHEMA_VERSION
from m7sim.report.layout import PLAIN, Style, open_console, print_table, text_of
from m7sim.units import format_count
from m7sim.validate.bands import CODE_CLASSES, MeasuredCase, Summary, dump, summarize
from m7sim.validate.cases_run import CaseResult, Validation

_COLOURS = {  # Okabe and Ito: they stay apart in print and for colour-blind readers
    "memory": "#D55E00",
    "float": "#CC79A7",
    "multiply": "#0072B2",
    "branchy": "#E69F00",
    "straight": "#009E73",
}
TABLE_BEGIN, TABLE_END = "<!-- measured: begin -->", "<!-- measured: end -->"


# Groups --------------------------------------------------------------------------------------


def groups(rows: Sequence[MeasuredCase]) -> dict[str, list[MeasuredCase]]:
    """Return the cases by class, by use in calibration, by how they were compiled, and all."""
    found = {f"class {name}": [r for r in rows if r.code_class == name] for name in CODE_CLASSES}
    found["used in calibration"] = [r for r in rows if r.calibration]
    found["kept out"] = [r for r in rows if not r.calibration]
    found["same machine code"] = [r for r in rows if not r.recompiled]
    found["recompiled"] = [r for r in rows if r.recompiled]
    found["total"] = list(rows)
    return {name: members for name, members in found.items() if members}


def estimates(rows: Sequence[MeasuredCase]) -> dict[str, Summary]:
    """Return the errors of the model, of one cycle per instruction and of llvm-mca.

    An estimator that gives a figure for none of the cases is left out.
    """
    errors: dict[str, Iterable[float | None]] = {
        "m7sim": [row.error for row in rows],
        "1 cycle per instruction": [row.instructions_error for row in rows],
        "llvm-mca": [row.llvm_mca_error for row in rows],
    }
    summaries = {
        name: summarize(error for error in values if error is not None)
        for name, values in errors.items()
    }
    return {name: summary for name, summary in summaries.items() if summary is not None}


# JSON ------------------------------------------------------------------------------------------


def document(validation: Validation) -> dict[str, Any]:
    """Return the validation as plain lists and dictionaries; errors are relative (0.01 is 1 %)."""
    rows = validation.rows
    total = summarize(row.error for row in rows)
    return {
        "schema_version": SCHEMA_VERSION,
        "folder": str(validation.folder),
        "cases": [_case(result) for result in validation.results],
        "failed": [
            {"name": f.name, "file": str(f.path), "message": f.message} for f in validation.failures
        ],
        "mape": total.mape if total else None,
        "median": total.median if total else None,
        "worst": total.worst if total else None,
        "groups": {
            name: {estimator: asdict(s) for estimator, s in estimates(members).items()}
            for name, members in groups(rows).items()
        },
    }


def _case(result: CaseResult) -> dict[str, Any]:
    row = result.row
    return {
        "name": row.name,
        "file": str(result.case.path),
        "class": row.code_class,
        "board": row.board,
        "clock_hz": result.clock_hz,
        "calibration": row.calibration,
        "recompiled": row.recompiled,
        "measured_cycles": row.measured_cycles,
        "plus_minus_cycles": row.plus_minus_cycles,
        "modelled_cycles": row.modelled_cycles,
        "error": row.error,
        "instructions": row.instructions,
        "instructions_error": row.instructions_error,
        "llvm_mca_cycles": row.llvm_mca_cycles,
        "llvm_mca_error": row.llvm_mca_error,
        "issue_cycles": result.issue_cycles,
        "stalls": result.stalls,
        "statistics": result.statistics,
        "source": row.source,
        "commit": row.commit,
        "notes": row.notes,
    }


# Text ------------------------------------------------------------------------------------------


def render(validation: Validation, *, style: Style = PLAIN) -> str:
    """Return the table of cases, the errors by group, and what went wrong."""
    console = open_console(style)
    rows = validation.rows
    if rows:
        columns = ("*case", "class", ">measured", ">modelled", ">error %", ">1/insn %", ">mca %")
        cells = [
            (
                row.name,
                row.code_class,
                _cycles(row.measured_cycles),
                _cycles(row.modelled_cycles),
                _percent(row.error),
                _percent(row.instructions_error),
                _percent(row.llvm_mca_error),
            )
            for row in rows
        ]
        print_table(console, "Cycles, modelled against measured", columns, cells)
        console.print(
            "1/insn: one cycle per instruction; mca: llvm-mca, straight-line code only.\n"
        )
        _summaries(console, rows)
    for failure in validation.failures:
        console.print(f"not compared: {failure.name}", style="bold")
    if validation.failures:
        console.print()
    return text_of(console)


def _summaries(console: Console, rows: Sequence[MeasuredCase]) -> None:
    columns = ("*cases", "estimate", ">n", ">MAPE %", ">median %", ">worst %")
    cells = []
    for name, members in groups(rows).items():
        for position, (estimator, s) in enumerate(estimates(members).items()):
            head = name if position == 0 else ""
            numbers = (f"{100 * s.mape:.2f}", f"{100 * s.median:.2f}", _percent(s.worst))
            cells.append((head, estimator, str(s.cases), *numbers))
    print_table(console, "Errors by group (mean and median of absolute errors)", columns, cells)


def _cycles(cycles: float) -> str:
    return format_count(cycles) if cycles == round(cycles) else f"{cycles:,.1f}".replace(",", " ")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.2f}"


# FIDELITY.md -----------------------------------------------------------------------------------


def markdown(rows: Sequence[MeasuredCase]) -> str:
    """Return the error bands by class and the table of cases as Markdown."""
    lines = [
        "| class of code | cases | MAPE % | median % | range % | 1 cycle/instruction, MAPE % |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, members in groups(rows).items():
        by = estimates(members)
        own, naive = by["m7sim"], by.get("1 cycle per instruction")
        lines.append(
            f"| {name.removeprefix('class ')} | {own.cases} | {100 * own.mape:.2f} | "
            f"{100 * own.median:.2f} | {100 * own.low:+.2f} … {100 * own.high:+.2f} | "
            f"{f'{100 * naive.mape:.0f}' if naive else ''} |"
        )
    lines += [
        "",
        "| case | class | board | calibration | measured | modelled | error % | source |",
        "|---|---|---|---|--:|--:|--:|---|",
    ]
    for row in rows:
        spread = f" ± {_cycles(row.plus_minus_cycles)}" if row.plus_minus_cycles else ""
        source = f"{row.source} @ {row.commit}" if row.commit else row.source
        lines.append(
            f"| {row.name} | {row.code_class} | {row.board} | "
            f"{'yes' if row.calibration else 'no'} | {_cycles(row.measured_cycles)}{spread} | "
            f"{_cycles(row.modelled_cycles)} | {_percent(row.error)} | "
            f"{source.replace('|', '/')} |"
        )
    return "\n".join(lines) + "\n"


def put_table(text: str, rows: Sequence[MeasuredCase]) -> str:
    """Return ``FIDELITY.md`` with the part between its two marks written anew.

    Raises
    ------
    InputError
        If the marks are not there, once each and in order.
    """
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not begin or not end or TABLE_BEGIN in rest or TABLE_END in after:
        raise InputError(f"the text lacks the marks {TABLE_BEGIN} and {TABLE_END}")
    return f"{before}{begin}\n{markdown(rows)}{end}{after}"


def band_files(validation: Validation, path: Path) -> dict[Path, str]:
    """Return what ``--update-bands`` writes: the data file, and ``FIDELITY.md`` if it lies beside.

    Raises
    ------
    InputError
        If a case failed, or ``FIDELITY.md`` lacks its marks.
    """
    if not validation.complete:
        raise InputError(
            f"{len(validation.failures)} cases were not compared: no bands written",
            where=str(path), do="Repair or remove them first",
        )  # fmt: skip
    rows = validation.rows
    cores = ", ".join(sorted({result.core for result in validation.results}))
    files = {path: dump(rows, date=date.today().isoformat(), core=cores)}
    fidelity = path.parent / "FIDELITY.md"
    if fidelity.is_file():
        files[fidelity] = put_table(fidelity.read_text(encoding="utf-8"), rows)
    return files


# Picture ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """Points of one class: ``measured`` and ``modelled`` cycles."""

    code_class: str
    calibration: bool
    measured: tuple[float, ...]
    modelled: tuple[float, ...]

    @property
    def error_percent(self) -> tuple[float, ...]:
        """Relative errors in percent."""
        pairs = zip(self.measured, self.modelled, strict=True)
        return tuple(100 * (modelled / measured - 1) for measured, modelled in pairs)


def series(rows: Sequence[MeasuredCase]) -> tuple[Series, ...]:
    """Return what the picture shows, by class and by use in calibration."""
    found = []
    for name in CODE_CLASSES:
        for calibration in (True, False):
            ours = [r for r in rows if r.code_class == name and r.calibration == calibration]
            if ours:
                x = tuple(r.measured_cycles for r in ours)
                y = tuple(r.modelled_cycles for r in ours)
                found.append(Series(name, calibration, x, y))
    return tuple(found)


def draw(rows: Sequence[MeasuredCase], path: Path) -> None:
    """Draw modelled over measured cycles, both logarithmic, with the identity line; errors below.

    Parameters
    ----------
    path
        ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    InputError
        If there is nothing to draw, matplotlib is not installed, or the file cannot be written.
    """
    if not rows:
        raise InputError("no case was compared: nothing to draw", where=str(path))
    pyplot = open_pyplot()

    figure, (axes, below) = pyplot.subplots(
        2, 1, figsize=(7, 9), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    cycles = [row.measured_cycles for row in rows]
    ends = [0.7 * min(cycles), 1.4 * max(cycles)]
    axes.plot(ends, ends, color="#999999", linewidth=1, zorder=1, label="modelled = measured")
    below.axhline(0, color="#999999", linewidth=1, zorder=1)
    for s in series(rows):
        colour = _COLOURS[s.code_class]
        fill = colour if s.calibration else "white"
        look = {"s": 28, "edgecolors": colour, "facecolors": fill, "zorder": 2}
        label = f"{s.code_class}, {'calibration' if s.calibration else 'kept out'}"
        axes.scatter(s.measured, s.modelled, label=label, **look)
        below.scatter(s.measured, s.error_percent, **look)
    axes.set(xscale="log", yscale="log", ylabel="modelled cycles")
    below.set(xlabel="measured cycles", ylabel="error %")
    total = summarize(row.error for row in rows)
    assert total is not None
    axes.set_title(
        f"{total.cases} cases: mean error {100 * total.mape:.2f} %, "
        f"worst {100 * total.worst:+.1f} %"
    )
    axes.legend(frameon=False)
    for part in (axes, below):
        part.spines[["top", "right"]].set_visible(False)
    save(pyplot, figure, path)
