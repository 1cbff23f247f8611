"""A search's report: the front, where Ops mislead, and what full runs say."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.text import Text

from m7sim.nets.search.confirm import Confirmed
from m7sim.nets.search.front import NEAR_OPS
from m7sim.nets.search.search import Found, Limits
from m7sim.report.document import SCHEMA_VERSION
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.units import format_bytes, format_count, format_hz, format_joules, format_seconds

_COLUMNS = ("*network", ">MOps", ">ms", ">mJ", ">pJ/Op", ">RAM", ">flash")


def render(found: Found, confirmed: Sequence[Confirmed] = (), *, style: Style = PLAIN) -> str:
    """Return the report for people."""
    console = open_console(style)
    grid = open_grid()
    how = "all of them" if found.exhaustive else "proposed by Optuna's NSGA-II"
    count, size = format_count(len(found.candidates)), format_count(found.space.size)
    grid.add_row("space", f"{found.space.name} ({found.space.path}), {size} networks")
    grid.add_row("estimated", f"{count}, {how}")
    grid.add_row("on", f"{found.board} at {format_hz(found.clock_hz)}")
    grid.add_row("limits", _limits(found.limits))
    grid.add_row("within", _within(found))
    grid.add_row("estimates", f"± {100 * _typical_error(found):.1f} % in cycles (median)")
    console.print(grid)
    console.print()
    if not len(found.front):
        console.print("No network is within the limits; there is nothing to draw or to run.")
        return text_of(console)
    rows = [_row(found, number) for number in _thinned(found.front, style.top)]
    print_table(
        console,
        f"The front: nothing else has as many Ops at as little energy and RAM "
        f"({_shown(len(rows), len(found.front))})",
        _COLUMNS,
        rows,
    )
    _misleading(console, found)
    _confirmed(console, found, confirmed)
    code = f"weights and the kernels' {format_bytes(found.code_bytes)}"
    flash = code if found.code_bytes else "weights alone, as no cross compiler was found"
    console.print(
        "Ops stand in for what a network can learn: nothing here is trained. RAM is activations "
        f"and scratch; flash is {flash}.",
        soft_wrap=True,
    )
    return text_of(console)


def _shown(shown: int, all_: int) -> str:
    return f"{shown} of {all_}" if shown < all_ else f"all {all_}"


def _limits(limits: Limits) -> str:
    parts = []
    if limits.latency_s is not None:
        parts.append(f"latency {format_seconds(limits.latency_s)}")
    if limits.energy_j is not None:
        parts.append(f"energy {format_joules(limits.energy_j)}")
    if limits.ram_bytes is not None:
        parts.append(f"RAM {format_bytes(limits.ram_bytes)}")
    if limits.flash_bytes is not None:
        parts.append(f"flash {format_bytes(limits.flash_bytes)}")
    return ", ".join(parts) or "none"


def _within(found: Found) -> str:
    text = format_count(int(found.within.sum()))
    outside = int((~found.costs.inside).sum())
    if outside and found.extrapolate:
        return f"{text}, extrapolated in part: {format_count(outside)} of all are outside the table"
    if outside:
        return (
            f"{text}; left out: {format_count(outside)} of all, with shapes that the table does "
            "not cover (--extrapolate takes them)"
        )
    return text


def _typical_error(found: Found) -> float:
    errors = found.costs.cycles_error[found.within]
    return float(np.median(errors if len(errors) else found.costs.cycles_error))


def _thinned(front: np.ndarray[Any, Any], top: int) -> list[int]:
    """Return at most so many members, evenly along the front, with both ends."""
    if len(front) <= top:
        return [int(n) for n in front]
    return [int(n) for n in front[np.linspace(0, len(front) - 1, top).round().astype(int)]]


def _row(found: Found, number: int) -> tuple[str, ...]:
    costs = found.costs
    return (
        found.candidates[number].name,
        f"{costs.ops[number] / 1e6:.2f}",
        f"{found.latency_s[number] * 1e3:.1f}",
        f"{costs.energy_nj[number] * 1e-6:.2f}",
        f"{1e3 * costs.energy_nj[number] / costs.ops[number]:.0f}",
        format_count(int(costs.ram_bytes[number])),
        format_count(int(costs.weight_bytes[number]) + found.code_bytes),
    )


def _misleading(console: Any, found: Found) -> None:
    rows = []
    for pair in found.misleading:
        rows.append((*_row(found, pair.frugal), ""))
        rows.append((*_row(found, pair.wasteful), f"{pair.ratio:.2f}"))
    if rows:
        print_table(
            console,
            f"Where Ops mislead: Ops within {NEAR_OPS:.0%}, energy the most different",
            (*_COLUMNS, ">times"),
            rows,
        )
    console.print(
        f"Among networks within {NEAR_OPS:.0%} of each other's Ops the dearest typically takes "
        f"{found.spread:.2f} times the energy of the cheapest; over all, the ranks of Ops and "
        f"energy correlate by {found.rank_correlation:.3f}.",
        soft_wrap=True,
    )
    console.print()


def _confirmed(console: Any, found: Found, confirmed: Sequence[Confirmed]) -> None:
    if not confirmed:
        return
    why = {number: reason for reason, number in found.winners.items()}
    rows = [
        (
            found.candidates[one.number].name,
            why.get(one.number, "misleading"),
            f"{1e3 * one.cycles / found.clock_hz:.1f}",
            f"{100 * one.cycles_error:+.1f}",
            f"{one.energy_nj * 1e-6:.2f}",
            f"{100 * one.energy_error:+.1f}",
            format_count(one.arena_bytes),
        )
        for one in confirmed
    ]
    columns = ("*network", "chosen for", ">ms", ">estimate %", ">mJ", ">estimate %", ">RAM")
    print_table(console, "Run in full, and how far the estimate is off", columns, rows)
    over = [found.candidates[one.number].name for one in confirmed if not one.within]
    if over:
        console.print(
            Text(f"Over a limit, if only just, when run in full: {', '.join(over)}", style="bold")
        )
    wrong = [found.candidates[one.number].name for one in confirmed if not one.matches]
    if wrong:
        console.print(
            Text(f"Outputs differ from the NumPy model: {', '.join(wrong)}", style="bold")
        )
    else:
        console.print("Every layer's output equals the NumPy model.")
    console.print()


def document(found: Found, confirmed: Sequence[Confirmed] = ()) -> dict[str, Any]:
    """Return the JSON document of a search."""
    limits = found.limits
    return {
        "schema_version": SCHEMA_VERSION,
        "space": found.space.name,
        "space_size": found.space.size,
        "candidates": len(found.candidates),
        "exhaustive": found.exhaustive,
        "extrapolate": found.extrapolate,
        "outside_table": int((~found.costs.inside).sum()),
        "board": found.board,
        "clock_hz": found.clock_hz,
        "limits": {
            "latency_s": limits.latency_s,
            "energy_j": limits.energy_j,
            "ram_bytes": limits.ram_bytes,
            "flash_bytes": limits.flash_bytes,
        },
        "within_limits": int(found.within.sum()),
        "code_bytes": found.code_bytes,
        "rank_correlation": _or_none(found.rank_correlation),
        "energy_ratio_at_near_equal_ops": _or_none(found.spread),
        "front": [network(found, int(number)) for number in found.front],
        "misleading": [
            {
                "frugal": network(found, pair.frugal),
                "wasteful": network(found, pair.wasteful),
                "energy_ratio": pair.ratio,
            }
            for pair in found.misleading
        ],
        "confirmed": [
            {
                "network": found.candidates[one.number].name,
                "cycles": one.cycles,
                "energy_nj": one.energy_nj,
                "arena_bytes": one.arena_bytes,
                "matches_model": one.matches,
                "cycles_error": one.cycles_error,
                "energy_error": one.energy_error,
                "within_limits": one.within,
            }
            for one in confirmed
        ],
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def network(found: Found, number: int) -> dict[str, Any]:
    """Return a candidate and its estimates."""
    costs, candidate = found.costs, found.candidates[number]
    return {
        "network": candidate.name,
        "features": list(candidate.features),
        "first_kernel": list(candidate.first_kernel),
        "first_stride": list(candidate.first_stride),
        "block_kernel": list(candidate.block_kernel),
        "block_stride": list(candidate.block_stride),
        "ops": int(costs.ops[number]),
        "macs": int(costs.macs[number]),
        "cycles": float(costs.cycles[number]),
        "cycles_error": float(costs.cycles_error[number]),
        "energy_nj": float(costs.energy_nj[number]),
        "ram_bytes": int(costs.ram_bytes[number]),
        "weight_bytes": int(costs.weight_bytes[number]),
        "inside_table": bool(costs.inside[number]),
        "within_limits": bool(found.within[number]),
    }


def to_csv(found: Found) -> str:
    """Return all candidates, a line each."""
    stream = io.StringIO()
    rows = [network(found, number) for number in range(len(found.candidates))]
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: "x".join(map(str, v)) if isinstance(v, list) else v for k, v in row.items()}
        )
    return stream.getvalue()
