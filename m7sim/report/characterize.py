"""The summary of a sweep: by operation, how many points, what failed, the best and the median."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text

from m7sim.characterize.sweep import Outcome
from m7sim.characterize.table import OK, STATUSES, Table
from m7sim.report.document import SCHEMA_VERSION
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.units import format_count, format_hz

WRONG = frozenset({"wrong_result", "fault", "error", "died"})  # not what a shape may well run into

Row = Mapping[str, Any]


def succeeded(table: Table) -> bool:
    """Say whether something was verified, and no kernel computed something wrong or crashed."""
    return bool(table.ok) and not any(row["status"] in WRONG for row in table.rows)


def summary(table: Table) -> list[dict[str, Any]]:
    """Return what is shown of each operation, library and variant, in the table's order.

    ``cycles_per_mac`` is None for operations without; ``best`` is the least of it, but the most of
    ``mops_per_s``.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in table.rows:
        groups.setdefault((row["op"], row["kernels"], row["variant"]), []).append(row)
    found = []
    for (op, kernels, variant), rows in groups.items():
        ok = [row for row in rows if row["status"] == OK]
        mops = [row["ops_per_s"] / 1e6 for row in ok if row["ops_per_s"]]
        found.append(
            {
                "op": op,
                "kernels": kernels,
                "variant": variant,
                "points": len(rows),
                "failures": len(rows) - len(ok),
                "cycles_per_mac": _best(min, (row["cycles_per_mac"] for row in ok)),
                "mops_per_s": _best(max, mops),
                "mean_power_mw": _best(min, (row["mean_power_mw"] for row in ok)),
                "energy_per_op_nj": _best(min, (row["energy_per_op_nj"] for row in ok)),
            }
        )
    return found


def _best(best: Any, values: Iterable[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    return {"best": best(known), "median": statistics.median(known)} if known else None


def render(outcome: Outcome, *, style: Style = PLAIN) -> str:
    """Return the summary for people."""
    console = open_console(style)
    table = outcome.table
    sweep = table.header["sweep"]
    clocks = sorted({row["clock_hz"] for row in table.rows})
    grid = open_grid()
    grid.add_row("table", f"{outcome.path}  ({format_count(len(table.rows))} rows)")
    boards = ", ".join(sweep["boards"])
    grid.add_row("board", f"{boards} at {', '.join(map(format_hz, clocks))}, {sweep['core']}")
    grid.add_row("placement", "; ".join(sweep["placements"]))
    flags = [each for each in sweep["cflags"] if each]
    if flags:
        grid.add_row("cflags", "; ".join(each or "(the library's)" for each in sweep["cflags"]))
    grid.add_row("start", sweep["start"])
    known = f", {format_count(outcome.known)} from before" if outcome.known else ""
    grid.add_row("measured", f"{format_count(outcome.measured)} points now{known}")
    console.print(grid)
    console.print()
    _operations(console, table)
    _failures(console, table, style.top)
    return text_of(console)


def _operations(console: Any, table: Table) -> None:
    several = len({row["kernels"] for row in table.rows}) > 1
    energy = any(row["energy_nj"] is not None for row in table.rows)
    columns = ["op", *(["kernels"] if several else []), "*variant", ">verified"]
    columns += [">cycles/MAC", ">best", ">MOps/s", ">best", *([">mW", ">nJ/Op"] if energy else [])]
    rows = []
    for each in summary(table):
        verified = f"{each['points'] - each['failures']}/{each['points']}"
        cells = [each["op"], *([each["kernels"]] if several else []), each["variant"], verified]
        cells += _pair(each["cycles_per_mac"], 2) + _pair(each["mops_per_s"], 1)
        if energy:
            power, per_op = each["mean_power_mw"], each["energy_per_op_nj"]
            cells += [_pair(power, 0)[0], _pair(per_op, 2)[0]]
        rows.append(cells)
    title = "By operation: median, and best where it says so, of the verified points"
    print_table(console, title, columns, rows)


def _pair(found: Mapping[str, float] | None, digits: int) -> list[str]:
    if found is None:
        return ["", ""]
    return [f"{found['median']:.{digits}f}", f"{found['best']:.{digits}f}"]


def _failures(console: Any, table: Table, top: int) -> None:
    failed: dict[tuple[str, str], list[Row]] = {}
    for row in table.rows:
        if row["status"] != OK:
            failed.setdefault((row["status"], row["op"]), []).append(row)
    if not failed:
        console.print("Every point was verified against its oracle.", soft_wrap=True)
        return
    console.print(Text("Points that have no figures", style="bold"))
    grid = open_grid()
    for (status, op), found in list(failed.items())[:top]:
        first = found[0]
        which = " ".join(filter(None, (first["kernels"], first["variant"], first["shape"])))
        points = f"{format_count(len(found))} of {op}"
        grid.add_row(status, Text(f"{points}, the first: {which}: {first['reason']}"))
    console.print(grid)
    console.print()
    for status in dict.fromkeys(status for status, _ in failed):
        console.print(f"{status}: {STATUSES[status]}", soft_wrap=True)


def document(outcome: Outcome) -> dict[str, Any]:
    """Return the JSON document of a sweep: header, summary, and the rows that failed."""
    return {
        "schema_version": SCHEMA_VERSION,
        "table": str(outcome.path),
        "measured": outcome.measured,
        "known": outcome.known,
        "header": dict(outcome.table.header),
        "summary": summary(outcome.table),
        "failures": [
            {
                name: row[name]
                for name in (
                    "op", "shape", "kernels", "variant", "placement", "cflags", "board",
                    "status", "reason",
                )
            }
            for row in outcome.table.rows
            if row["status"] != OK
        ],
    }  # fmt: skip
