"""The report of a run for people: what was simulated first, then totals, then where they went."""

from __future__ import annotations

from pathlib import PurePath

from rich.console import Console
from rich.table import Table

from m7sim.energy import Energy, Event
from m7sim.energy.model import FIXED
from m7sim.isa.classes import MEANING
from m7sim.profile.attribution import LineCost
from m7sim.profile.result import Configuration, Result, RunResult
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.timing.causes import StallCause
from m7sim.units import (
    format_bytes,
    format_count,
    format_hz,
    format_joules,
    format_percent,
    format_seconds,
)
from m7sim.validate import bands


def render(result: Result, *, style: Style = PLAIN, with_configuration: bool = True) -> str:
    """Return the report of a run or a call.

    Parameters
    ----------
    result
        Of a run or a call.
    style
        Width, colours, length of the tables.
    with_configuration
        False when `render_configuration` was printed before the run.
    """
    console = open_console(style)
    if with_configuration:
        _configuration(console, result.configuration)
    _totals(console, result)
    if result.profile is not None:
        _stalls(console, result)
        if result.energy is not None and result.energy.energy_nj:
            _energy_parts(console, result.energy)
            _energy_classes(console, result, result.energy, style.top)
        _functions(console, result, style.top)
        _lines(console, result, style.top)
        _branches(console, result, style.top)
    _guesses(console, result, style.top)
    return text_of(console)


def render_configuration(configuration: Configuration, *, style: Style = PLAIN) -> str:
    """Return what is simulated, and what is not; reports open with it."""
    console = open_console(style)
    _configuration(console, configuration)
    return text_of(console)


def _configuration(console: Console, c: Configuration) -> None:
    grid = open_grid()
    grid.add_row("ELF", f"{c.elf}  (sha256 {c.elf_sha256[:12]})")
    grid.add_row("compiler", c.compiler or "unknown (no .comment section)")
    grid.add_row("start", c.entry + (f", arguments {c.arguments!r}" if c.arguments else ""))
    grid.add_row("board", f"{c.board} at {format_hz(c.clock_hz)}")
    grid.add_row("core", f"{c.core} {c.core_revision}".rstrip())
    grid.add_row("memories", ", ".join(c.memories))
    grid.add_row("caches", ", ".join(c.caches))
    if c.power:
        grid.add_row("power", c.power)
    if c.not_modelled:
        grid.add_row("not modelled", "; ".join(c.not_modelled))
    if c.guessed_parameters:
        grid.add_row("guessed", "; ".join(c.guessed_parameters))
    if c.versions:
        grid.add_row("versions", ", ".join(f"{k} {v}" for k, v in c.versions.items()))
    console.print(grid)
    console.print()


def _totals(console: Console, result: Result) -> None:
    grid = open_grid()
    if isinstance(result, RunResult):
        grid.add_row("ended", result.message)
    grid.add_row("instructions", format_count(result.instructions))
    if result.configuration.timed:
        clock = format_hz(result.configuration.clock_hz)
        grid.add_row("cycles", format_count(result.cycles))
        grid.add_row("time", f"{format_seconds(result.time_ms / 1e3)} at {clock}")
        grid.add_row("IPC", f"{result.ipc:.3f} instructions per cycle")
        grid.add_row("dual issue", f"{format_percent(result.dual_issue_share)} of issue cycles")
        grid.add_row("error band", bands.applying(result).text)
        if result.energy is not None:
            _energy(grid, result.energy)
    else:
        grid.add_row("cycles", "not modelled in this run (execution only)")
    for name, value in result.statistics.items():
        grid.add_row(name.replace("_", " "), format_count(value))
    if isinstance(result, RunResult) and result.trace_bytes is not None:
        grid.add_row("trace", _trace_size(result))
    console.print(grid)
    console.print()


def _energy(grid: Table, energy: Energy) -> None:
    grid.add_row(
        "power",
        f"{energy.mean_power_mw:.0f} mW on average ({energy.low_mw:.0f} to {energy.high_mw:.0f}, "
        "typical chip)",
    )
    grid.add_row(
        "energy",
        f"{format_joules(energy.energy_nj * 1e-9)}, "
        f"{energy.nj_per_instruction:.2f} nJ per instruction",
    )


def _energy_parts(console: Console, energy: Energy) -> None:
    """List what drew the energy."""
    meanings = {event.key: event.meaning for event in Event}
    meanings |= {FIXED: "Current that does not depend on the code.", "total": ""}
    parts = sorted(energy.parts_nj.items(), key=lambda part: -part[1])
    rows = [
        (
            name,
            format_joules(nj * 1e-9),
            f"{100 * nj / energy.energy_nj:.1f}",
            meanings[name],
        )
        for name, nj in (*parts, ("total", energy.energy_nj))
        if nj
    ]
    print_table(console, "Energy by event", ("event", ">energy", ">%", "*meaning"), rows)


def _energy_classes(console: Console, result: Result, energy: Energy, top: int) -> None:
    """List the classes that drew most; the cycles charged to an instruction are in its energy."""
    executed = {row.name: row.instructions for row in result.rows}
    rows = [
        (
            name,
            format_joules(nj * 1e-9),
            f"{100 * nj / energy.energy_nj:.1f}",
            format_count(executed.get(name, 0)),
            f"{nj / executed[name]:.2f}" if executed.get(name) else "-",
            MEANING[name],
        )
        for name, nj in list(energy.classes_nj.items())[:top]
    ]
    columns = ("class", ">energy", ">%", ">instructions", ">nJ each", "*what")
    title = f"Energy by instruction class, stalls included ({_shown(len(energy.classes_nj), top)})"
    print_table(console, title, columns, rows)


def _trace_size(result: RunResult) -> str:
    text = format_bytes(result.trace_bytes or 0)
    per_instruction = result.trace_bytes_per_instruction
    if per_instruction is None:
        return text
    return f"{text}, {per_instruction:.2g} bytes per instruction"


def _stalls(console: Console, result: Result) -> None:
    meanings = {cause.name.lower(): cause.meaning for cause in StallCause}
    meanings["issue"] = "One or two instructions were issued."
    costs = {"issue": result.issue_cycles, **result.stalls, "total": result.cycles}
    rows = [
        (cause, format_count(cycles), _share(cycles, result), meanings.get(cause, ""))
        for cause, cycles in costs.items()
    ]
    print_table(console, "Cycles by cause", ("cause", ">cycles", ">%", "*meaning"), rows)


def _share(cycles: int, result: Result) -> str:
    return f"{100 * cycles / result.cycles:.1f}" if result.cycles else "-"


def _functions(console: Console, result: Result, top: int) -> None:
    assert result.profile is not None
    functions = result.profile.functions
    energy = result.energy is not None
    columns = (
        *("*function", ">self", ">%", ">inclusive", ">%", ">calls", ">instructions"),
        *((">energy",) if energy else ()),
    )
    rows = [
        (
            f.name,
            format_count(f.self_cycles),
            _share(f.self_cycles, result),
            format_count(f.inclusive_cycles),
            _share(f.inclusive_cycles, result),
            format_count(f.calls),
            format_count(f.instructions),
            *((format_joules((f.energy_nj or 0.0) * 1e-9),) if energy else ()),
        )
        for f in functions[:top]
    ]
    title = f"Functions by self cycles ({_shown(len(functions), top)})"
    print_table(console, title, columns, rows)


def _lines(console: Console, result: Result, top: int) -> None:
    assert result.profile is not None
    lines = result.profile.lines
    rows = []
    for line in lines[:top]:
        causes = {"issue": line.issue_cycles, **line.stalls}
        where = f"{PurePath(line.file).name}:{line.line}" if line.file else line.function
        rows.append(
            (
                format_count(line.cycles),
                _share(line.cycles, result),
                max(causes, key=lambda cause: causes[cause]),
                where if len(where) <= 28 else f"…{where[-27:]}",
                _source(line),
            )
        )
    title = f"Hottest lines ({_shown(len(lines), top)})"
    print_table(console, title, (">cycles", ">%", "mostly", "line", "*source"), rows)


def _source(line: LineCost) -> str:
    if not line.file:
        return "(no line information)"
    return line.text or f"(in {line.function}; the source file is not here)"


def _branches(console: Console, result: Result, top: int) -> None:
    """List the branches that were predicted wrongly; their refills are charged to what follows."""
    assert result.profile is not None
    wrong = [branch for branch in result.profile.branches if branch.mispredicted]
    if not wrong:
        return
    rows = [
        (
            format_count(branch.mispredicted),
            format_count(branch.executed),
            format_count(branch.taken),
            format_count(branch.penalty_cycles),
            _share(branch.penalty_cycles, result),
            branch.function,
            f"{PurePath(branch.file).name}:{branch.line}" if branch.file else "",
            branch.text,
        )
        for branch in wrong[:top]
    ]
    columns = (">wrong", ">executed", ">taken", ">cycles", ">%", "function", "line", "*branch")
    title = f"Branches by cost of wrong predictions ({_shown(len(wrong), top)})"
    print_table(console, title, columns, rows)


def _shown(n: int, top: int) -> str:
    return f"{top} of {n}" if n > top else str(n)


def _guesses(console: Console, result: Result, top: int) -> None:
    """List the rows of the core table that were used and are not backed by a measurement."""
    unsure = [row for row in result.rows if row.confidence in {"guess", "inferred"}]
    if not unsure or not result.instructions:
        return
    total = sum(row.instructions for row in unsure)
    title = (
        f"Instruction classes whose timing nobody measured ({_shown(len(unsure), top)}; "
        f"{format_percent(total / result.instructions)} of the instructions)"
    )
    rows = [
        (row.name, row.confidence, format_count(row.instructions), row.source)
        for row in unsure[:top]
    ]
    print_table(console, title, ("class", "confidence", ">instructions", "*source"), rows)
