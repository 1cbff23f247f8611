"""Estimates for people: one shape, the errors of a table's held-out points, what a table covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from m7sim.estimate import Estimate, Estimator
from m7sim.estimate.model import summary
from m7sim.estimate.source import REMAKE
from m7sim.report.document import SCHEMA_VERSION
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.units import format_count, format_hz

SHOWN_COUNTS = 5
MEDIAN_TARGET, P95_TARGET = 0.03, 0.08  # beyond these a row of the check is marked


def notes(estimator: Estimator) -> list[str]:
    """Return what a person must know about the table: whether it is stale, and what to do."""
    points = estimator.points
    if points.stale:
        again = REMAKE if points.shipped else points.header.get("command", "m7sim characterize")
        what = ", ".join(points.stale)
        return [f"STALE TABLE: {what} changed since it was measured. Make it again with: {again}"]
    if points.changed and not points.shipped:
        return ["The table was measured by another version of m7sim's own sources."]
    return []


def render(estimator: Estimator, one: Estimate, *, style: Style = PLAIN) -> str:
    """Return the estimate of one shape."""
    console = open_console(style)
    _head(console, estimator)
    grid = open_grid()
    grid.add_row("shape", f"{one.op} {one.shape.label}, kernel {one.variant}, {one.placement}")
    error = f"± {one.cycles_error:.1%}"
    grid.add_row("cycles", f"{format_count(one.cycles)}  {error}")
    grid.add_row("time", f"{one.time_ms:.4g} ms at {format_hz(one.clock_hz)}")
    speed = f"{one.ops_per_s / 1e6:.4g} MOps/s"
    if one.cycles_per_mac is not None:
        speed += f", {one.cycles_per_mac:.2f} cycles/MAC, {format_count(one.shape.macs)} MACs"
    grid.add_row("throughput", speed)
    if one.energy_nj is not None and one.mean_power_mw is not None:
        energy = f"{_microjoules(one.energy_nj)} uJ  ± {one.energy_error:.1%}"
        grid.add_row("energy", f"{energy}, {one.mean_power_mw:.0f} mW")
    console.print(grid)
    console.print()
    for sentence in one.outside:
        console.print(Text(f"Extrapolated: {sentence}.", style="bold"), soft_wrap=True)
    if one.outside:
        console.print("The error is a guess there: nothing like it was held out.")
        console.print()
    _nearest(console, one)
    _counts(console, one)
    console.print(
        f"± is what 9 of 10 held-out points keep, near this shape and overall;"
        f" {format_count(one.points)} points of this kernel were measured.",
        soft_wrap=True,
    )
    return text_of(console)


def _microjoules(energy_nj: float) -> str:
    value = energy_nj / 1e3
    return format_count(value) if value >= 1000 else f"{value:.4g}"


def _head(console: Any, estimator: Estimator) -> None:
    for note in notes(estimator):
        console.print(Text(note, style="bold red"), soft_wrap=True)
        console.print()
    setting = estimator.points.setting
    grid = open_grid()
    name = "of the package" if estimator.points.shipped else str(estimator.points.path)
    flags = f" {setting['cflags']}" if setting["cflags"] else ""
    grid.add_row("table", f"{name}: {setting['kernels']}{flags}, {setting['start']} start")
    board = f"{setting['board']} at {format_hz(setting['clock_hz'])}, {setting['core']}"
    grid.add_row("board", board)
    console.print(grid)


def _nearest(console: Any, one: Estimate) -> None:
    rows = []
    for near in one.nearest:
        energy = "" if near.energy_nj is None else _microjoules(near.energy_nj)
        rows.append([near.shape, format_count(near.cycles), energy, f"{near.distance:.2f}"])
    columns = ["*nearest measured", ">cycles", ">uJ", ">distance"]
    print_table(console, "Measured shapes nearest to it", columns, rows)


def _counts(console: Any, one: Estimate) -> None:
    rows = [
        [name, format_count(cycles), f"{cycles / one.cycles:.1%}"]
        for name, cycles in list(one.cycles_by_count.items())[:SHOWN_COUNTS]
    ]
    if rows:
        print_table(console, "Made of, the most first", ["*count", ">cycles", ">share"], rows)


def render_check(
    estimator: Estimator, found: Sequence[Mapping[str, Any]], *, style: Style = PLAIN
) -> str:
    """Return the errors of held-out points by operation."""
    console = open_console(style)
    _head(console, estimator)
    console.print()
    several = len({each["placement"] for each in found}) > 1
    columns = ["op", *(["placement"] if several else []), "*variant", ">points"]
    columns += [">median", ">p95", ">max", ">energy median", ">p95", ">"]
    rows = []
    for each in found:
        cycles, energy = each["cycles"], each["energy"]
        cells = [each["op"], *([each["placement"]] if several else []), each["variant"]]
        cells += [str(each["points"]), *(f"{cycles[n]:.2%}" for n in ("median", "p95", "max"))]
        cells += [f"{energy[n]:.2%}" for n in ("median", "p95")] if energy else ["", ""]
        over = cycles["median"] > MEDIAN_TARGET or cycles["p95"] > P95_TARGET
        rows.append([*cells, "!" if over else ""])
    everything = summary([e for each in found for e in each["errors"]])
    total = ["total", *([""] if several else []), "", str(sum(each["points"] for each in found))]
    rows.append([*total, *(f"{everything[n]:.2%}" for n in ("median", "p95", "max")), "", "", ""])
    title = "Relative errors of points that were held out from the fit, by operation"
    print_table(console, title, columns, rows)
    worst = [
        [each["op"], each["variant"], w["shape"], format_count(w["cycles"]), f"{w['error']:+.1%}"]
        for each in found
        for w in each["worst"]
    ]
    columns = ["op", "variant", "*shape", ">cycles", ">error"]
    print_table(console, "The worst of them", columns, worst)
    console.print(
        f"!: median above {MEDIAN_TARGET:.0%} or 95th percentile above {P95_TARGET:.0%}."
        " Each fifth of the points, drawn with a fixed seed, was left out in turn.",
        soft_wrap=True,
    )
    return text_of(console)


def render_coverage(estimator: Estimator, *, style: Style = PLAIN) -> str:
    """Return what a table covers: points and ranges by operation and kernel."""
    console = open_console(style)
    _head(console, estimator)
    console.print()
    rows = [
        [op, variant, placement, str(len(group)), _ranges(group.ranges)]
        for (op, variant, placement), group in estimator.groups.items()
    ]
    columns = ["op", "variant", "placement", ">points", "*ranges"]
    print_table(console, "Measured", columns, rows)
    console.print("Errors: m7sim estimate --check. One shape: m7sim estimate OP NAME=N …")
    return text_of(console)


def _ranges(ranges: Mapping[str, tuple[int, int]]) -> str:
    names = ("in_y", "in_x", "in_ch", "out_ch", "kernel_y", "kernel_x")
    parts = []
    for name in names:
        low, high = ranges[name]
        if low != high:
            parts.append(f"{name} {low}-{high}")
    return ", ".join(parts)


# Documents -----------------------------------------------------------------------------------


def _table(estimator: Estimator) -> dict[str, Any]:
    points = estimator.points
    return {
        "schema_version": SCHEMA_VERSION,
        "table": "package" if points.shipped else str(points.path),
        "setting": dict(points.setting),
        "notes": notes(estimator),
    }


def document(estimator: Estimator, one: Estimate) -> dict[str, Any]:
    """Return the JSON document of one estimate."""
    return {
        **_table(estimator),
        "op": one.op,
        "shape": one.shape.label,
        "variant": one.variant,
        "placement": one.placement,
        "clock_hz": one.clock_hz,
        "macs": one.shape.macs,
        "ops": one.shape.ops,
        "cycles": round(one.cycles),
        "cycles_error": one.cycles_error,
        "time_ms": one.time_ms,
        "ops_per_s": one.ops_per_s,
        "cycles_per_mac": one.cycles_per_mac,
        "energy_nj": one.energy_nj,
        "energy_error": one.energy_error,
        "mean_power_mw": one.mean_power_mw,
        "outside": list(one.outside),
        "nearest": [vars(near) for near in one.nearest],
        "cycles_by_count": dict(one.cycles_by_count),
        "points": one.points,
    }


def check_document(estimator: Estimator, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON document of the errors of held-out points."""
    every = summary([e for each in found for e in each["errors"]])
    groups = [{name: value for name, value in each.items() if name != "errors"} for each in found]
    return {**_table(estimator), "held_out": groups, "all": every}


def coverage_document(estimator: Estimator) -> dict[str, Any]:
    """Return the JSON document of what a table covers."""
    return {
        **_table(estimator),
        "groups": [
            {"op": op, "variant": variant, "placement": placement, "points": len(group),
             "ranges": {name: list(pair) for name, pair in group.ranges.items()}}
            for (op, variant, placement), group in estimator.groups.items()
        ],
    }  # fmt: skip
