"""Pictures of memory maps: sweeps over caches, wait states and clocks; cycles against TCM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from m7sim.memmap.best import Curve
from m7sim.memmap.sweep import KNEE, Sweep
from m7sim.report.canvas import open_pyplot, save_all
from m7sim.report.figures.common import Row, Sheet
from m7sim.units import format_count, format_hz

# Okabe and Ito: apart in print and for colour-blind readers. From the bottom of a bar to its top.
PARTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "issue": ("#0072B2", ()),
    "code from flash or SRAM": ("#D55E00", ("icache_refill", "fetch_uncached", "art_miss")),
    "data from flash": ("#E69F00", ("dcache_flash",)),
    "data from SRAM": ("#009E73", ("dcache_sram",)),
    "data, not cached or external": ("#CC79A7", ("data_uncached", "dcache_external")),
    "store buffer full": ("#F0E442", ("store_buffer",)),
    "all other stalls": ("#BBBBBB", ()),
}
_NAMED: Final = {cause for _, causes in PARTS.values() for cause in causes}
_REAL, _KNEE, _LEAST = "#000000", "#0072B2", "#B2182B"
_LINES: Final = ("#0072B2", "#009E73", "#CC79A7", "#E69F00")
MANY_BARS: Final = 9
TITLES: Final = {
    "dcache": "D-cache size",
    "icache": "I-cache size",
    "waitstates": "flash wait states",
    "clock": "core clock",
}


def parts_of(stalls: Mapping[str, int], issue_cycles: int) -> dict[str, int]:
    """Return the cycles of each part of a bar; they sum to all cycles."""
    found = {name: sum(stalls.get(c, 0) for c in causes) for name, (_, causes) in PARTS.items()}
    found["issue"] = issue_cycles
    found["all other stalls"] = sum(n for cause, n in stalls.items() if cause not in _NAMED)
    return found


def value_text(sweep: Sweep, value: int) -> str:
    """Return a value of a sweep for people."""
    if sweep.kind == "clock":
        return format_hz(value)
    if sweep.kind == "waitstates":
        return str(value)
    return f"{value / 1024:g} KiB" if value else "off"


def findings(sweep: Sweep) -> tuple[str, ...]:
    """Say in words what a sweep shows: the knee, the board's own value, the optima."""
    real, knee, best = sweep.real_point, sweep.knee, sweep.fastest
    near = f"{100 * KNEE:g} %"
    if sweep.kind == "clock":
        return _clock_findings(sweep)
    if sweep.kind == "waitstates":
        first, last = sweep.points[0], sweep.points[-1]
        each = (last.cycles - first.cycles) / max(last.value - first.value, 1)
        said = (
            f"Each wait state costs about {format_count(round(each))} cycles "
            f"({100 * each / first.cycles:.2f} %); up to {knee.value} stay within {near} of "
            f"{first.value}."
        )
    elif knee.value == 0:
        said = f"No knee: without {TITLES[sweep.kind].removesuffix(' size')} it is within {near}."
    else:
        said = (
            f"Knee at {value_text(sweep, knee.value)}: from there on within {near} of the least "
            f"cycles ({format_count(best.cycles)} at {value_text(sweep, best.value)})."
        )
    more = 100 * (real.cycles / best.cycles - 1)
    than = f"{more:.1f} % more than the least" if more >= 0.05 else "the least"
    own = f"{value_text(sweep, real.value)}: {format_count(real.cycles)} cycles, {than}"
    return said, f"The chip has {own}."


def _clock_findings(sweep: Sweep) -> tuple[str, ...]:
    real, best, knee = sweep.real_point, sweep.fastest, sweep.knee
    said = [
        f"Least time: {best.time_ms:.3g} ms at {format_hz(best.value)} "
        f"({best.flash_wait_states} wait states)."
    ]
    slowest = sweep.points[0]
    if slowest.cycles < real.cycles:
        more = 100 * (real.cycles / slowest.cycles - 1)
        said.append(
            f"Knee: none; time falls with every step of the clock, though {format_hz(real.value)} "
            f"takes {more:.1f} % more cycles than {format_hz(slowest.value)}."
            if knee.value == best.value
            else f"Knee at {format_hz(knee.value)}: within {100 * KNEE:g} % of the least time."
        )
    for idle in ("", *sweep.idle_states):
        if (point := sweep.thriftiest(idle)) is not None:
            uj = (point.duty[idle].energy_nj if idle else point.energy_nj or 0.0) / 1e3
            amount = format_count(uj) if uj >= 1000 else f"{uj:.4g}"
            said.append(
                f"Least energy, {_idle_text(idle, sweep)}: {amount} µJ at {format_hz(point.value)}."
            )
    return tuple(said)


def _idle_text(idle: str, sweep: Sweep) -> str:
    if not idle:
        return "the work alone"
    return f"once in {1e3 * sweep.period_s:.3g} ms, {idle.replace('_', ' ')} for the rest"


def sheet_of(sweep: Sweep) -> Sheet:
    """Return the table behind the picture of a sweep."""
    column = {"clock": "clock_hz", "waitstates": "flash_wait_states"}.get(
        sweep.kind, f"{sweep.kind}_bytes"
    )
    rows: list[Row] = []
    causes = sorted({cause for point in sweep.points for cause in point.timed.stalls})
    for point in sweep.points:
        row: dict[str, Any] = {column: point.value, "board_has_it": int(point.value == sweep.real)}
        row |= {
            "flash_wait_states": point.flash_wait_states,
            "clock_hz": point.timed.clock_hz,
            "cycles": point.cycles,
            "time_ms": point.time_ms,
            "energy_nj": point.energy_nj,
            "issue_cycles": point.timed.issue_cycles,
        }
        row |= {f"{cause}_cycles": point.timed.stalls.get(cause, 0) for cause in causes}
        row |= {f"period_{idle}_nj": point.duty[idle].energy_nj for idle in sweep.idle_states}
        rows.append(row)
    return Sheet(f"memmap_{sweep.kind}", tuple(rows))


def draw_sweep(sweep: Sweep, title: str, paths: Sequence[Path]) -> None:
    """Draw a sweep, once for each path.

    Raises
    ------
    InputError
        If matplotlib is not installed, or a file cannot be written.
    """
    pyplot = open_pyplot()
    if sweep.kind == "clock":
        figure = _clock(pyplot, sweep)
    else:
        figure, axes = pyplot.subplots(figsize=(10, 6), layout="constrained")
        _bars(axes, sweep)
    figure.suptitle(f"{title}: {TITLES[sweep.kind]}", fontsize=14, fontweight="bold")
    words = "\n".join((*findings(sweep), _under(sweep)))
    figure.supxlabel("\n" + words, fontsize=9.5, color="#333333")
    save_all(pyplot, figure, paths)


def _under(sweep: Sweep) -> str:
    """Say what was timed: the board, and the map if it is not the linked one."""
    board = f"{sweep.board.name} at {format_hz(sweep.board.clock_hz)}"
    moved = ", ".join(f"{what} in {where}" for what, where in sweep.places.items())
    return f"{board}; {moved or 'memory map as linked'}"


def _bars(axes: Any, sweep: Sweep) -> None:
    """Draw a bar of cycles for each value, split into issue and stalls."""
    places = range(len(sweep.points))
    bottom = [0.0] * len(sweep.points)
    split = [parts_of(p.timed.stalls, p.timed.issue_cycles) for p in sweep.points]
    unit, word = _unit(max(p.cycles for p in sweep.points))
    for name, (colour, _) in PARTS.items():
        heights = [part[name] / unit for part in split]
        if any(heights):
            axes.bar(places, heights, 0.72, bottom, color=colour, label=name)
        bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
    axes.bar(
        places[sweep.points.index(sweep.real_point)], sweep.real_point.cycles / unit, 0.84,
        facecolor="none", edgecolor=_REAL, linewidth=2, zorder=4, label=f"the {sweep.board.name}",
    )  # fmt: skip
    _notes_on_bars(axes, sweep, unit)
    axes.set_xticks(places, [value_text(sweep, p.value) for p in sweep.points], fontsize=11)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(TITLES[sweep.kind], fontsize=12)
    axes.set_ylabel(word, fontsize=12)
    axes.margins(y=0.16)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], labels[::-1], frameon=False, fontsize=10, loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )  # fmt: skip


def _notes_on_bars(axes: Any, sweep: Sweep, unit: float) -> None:
    best = sweep.fastest.cycles
    small = 8.5 if len(sweep.points) > MANY_BARS else 10
    for place, point in enumerate(sweep.points):
        more = 100 * (point.cycles / best - 1)
        note = "least" if point is sweep.fastest else f"{more:+.{1 if more < 9.95 else 0}f} %"
        knee = point is sweep.knee and sweep.kind != "waitstates"
        if knee:
            note += "\nknee"
        axes.annotate(
            note, (place, point.cycles / unit), (0, 4), textcoords="offset points", ha="center",
            fontsize=small, fontweight="bold" if knee or point is sweep.real_point else "normal",
        )  # fmt: skip


def _unit(most: float) -> tuple[float, str]:
    """Return what to divide cycles by, and the axis' label."""
    for size, word in ((1e6, "million cycles"), (1e3, "thousand cycles")):
        if most >= 2 * size:
            return size, word
    return 1.0, "cycles"


def _clock(pyplot: Any, sweep: Sweep) -> Any:
    """Draw time against clock, and energy where it is known: of the work, and of a period."""
    energetic = all(point.energy_nj is not None for point in sweep.points)
    count = (3 if sweep.idle_states else 2) if energetic else 1
    figure, (panels,) = pyplot.subplots(
        1, count, figsize=(5.2 * count + 1.2, 6.2), layout="constrained", squeeze=False
    )
    mhz = [point.value / 1e6 for point in sweep.points]
    panels[0].plot(mhz, [p.time_ms for p in sweep.points], "o-", color=_LINES[0])
    _mark_real(panels[0], sweep, sweep.real_point.time_ms)
    panels[0].set_ylabel("time in ms", fontsize=12)
    panels[0].set_title("Time", fontsize=12, pad=30)
    if energetic:
        _energy_line(panels[1], sweep, "", _LINES[0])
        panels[1].set_title("Energy of the work alone", fontsize=12, pad=30)
    if count == 3:
        for idle, colour in zip(sweep.idle_states, _LINES, strict=False):
            _energy_line(panels[2], sweep, idle, colour)
        period = f"Energy, once in {1e3 * sweep.period_s:.3g} ms"
        panels[2].set_title(period, fontsize=12, pad=30)
    for axes in panels:
        _wait_states(axes, sweep)
        axes.set_xlabel("core clock in MHz", fontsize=12)
        axes.set_xlim(0, 1.06 * mhz[-1])
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=10)
    return figure


def _wait_states(axes: Any, sweep: Sweep) -> None:
    """Write the flash's wait states along the top, where they change."""
    last = None
    for point in sweep.points:
        if point.flash_wait_states != last:
            axes.annotate(
                str(point.flash_wait_states), (point.value / 1e6, 1.0),
                xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
                ha="center", fontsize=9, color="#555555",
            )  # fmt: skip
            last = point.flash_wait_states
    axes.annotate(
        "wait states", (0, 1.0), xycoords="axes fraction", xytext=(0, 14),
        textcoords="offset points", fontsize=9, color="#555555",
    )  # fmt: skip


def _energy_line(axes: Any, sweep: Sweep, idle: str, colour: str) -> None:
    energies = [
        (p.duty[idle].energy_nj if idle else p.energy_nj or 0.0) / 1e3 for p in sweep.points
    ]
    mhz = [point.value / 1e6 for point in sweep.points]
    least = min(range(len(energies)), key=lambda n: (energies[n], n))
    name = f"then {idle.replace('_', ' ')}: least at" if idle else "least at"
    label = f"{name} {format_hz(sweep.points[least].value)}"
    axes.plot(mhz, energies, "o-", color=colour, label=label if idle else None)
    axes.plot(
        [mhz[least]], [energies[least]], "*", color=_LEAST, markersize=15, zorder=5,
        label=None if idle else label,
    )  # fmt: skip
    _mark_real(axes, sweep, energies[sweep.points.index(sweep.real_point)], named=not idle)
    axes.set_ylabel("energy in µJ", fontsize=12)


def _mark_real(axes: Any, sweep: Sweep, height: float, *, named: bool = True) -> None:
    axes.plot(
        [sweep.real / 1e6], [height], "s", color=_REAL, markersize=9, zorder=4,
        label=f"the {sweep.board.name} at {format_hz(sweep.real)}" if named else None,
    )  # fmt: skip


def curve_sheet(curve: Curve) -> Sheet:
    """Return the table behind the picture of a curve."""
    rows: list[Row] = []
    for point in curve.points:
        used = point.best
        rows.append(
            {
                "tcm_bytes": point.tcm_bytes,
                "tcm_used_bytes": used.tcm_used_bytes,
                "cycles": used.cycles,
                "energy_nj": used.timed.energy_nj,
                "greedy_tcm_used_bytes": point.greedy.tcm_used_bytes,
                "greedy_cycles": point.greedy.cycles,
                "greedy_energy_nj": point.greedy.timed.energy_nj,
                "greedy_by": point.greedy.name.rpartition(", ")[2],
            }
        )
    return Sheet("memmap_curve", tuple(rows))


def curve_findings(curve: Curve) -> tuple[str, ...]:
    """Say in words what a curve shows."""
    heights = [_height(curve, point.best) for point in curve.points]
    least = heights[-1]
    knee = next(n for n, h in enumerate(heights) if h <= least * (1 + KNEE))
    what = "cycles" if curve.goal == "cycles" else "energy"
    first = curve.points[0]
    gained = 100 * (1 - least / heights[0]) if heights[0] else 0.0
    last, at = curve.points[-1].tcm_bytes, curve.points[knee].tcm_bytes
    said = [
        f"From {format_count(first.tcm_bytes)} to {format_count(last)} bytes of TCM: "
        f"{gained:.1f} % less {what}.",
        f"Knee at {format_count(at)} bytes: within {100 * KNEE:g} % of the least.",
    ]
    lead = [100 * (_height(curve, p.greedy) / _height(curve, p.best) - 1) for p in curve.points]
    most = max(range(len(lead)), key=lambda n: lead[n])
    said.append(
        f"Greedy needs up to {lead[most]:.1f} % more "
        f"(at {format_count(curve.points[most].tcm_bytes)} bytes)."
    )
    return tuple(said)


def draw_curve(curve: Curve, title: str, paths: Sequence[Path]) -> None:
    """Draw cycles or energy against bytes of TCM, once for each path.

    Raises
    ------
    InputError
        If matplotlib is not installed, or a file cannot be written.
    """
    pyplot = open_pyplot()
    figure, axes = pyplot.subplots(figsize=(10, 6), layout="constrained")
    kib = [point.tcm_bytes / 1024 for point in curve.points]
    best = [_height(curve, point.best) for point in curve.points]
    greedy = [_height(curve, point.greedy) for point in curve.points]
    linked = _height(curve, curve.linked)
    unit, word = (1e3, "energy in µJ") if curve.goal == "energy" else _unit(max(*best, linked))
    axes.plot(kib, [g / unit for g in greedy], "s--", color="#E69F00", label="greedy, the better")
    axes.plot(kib, [b / unit for b in best], "o-", color="#0072B2", label="best found")
    at = curve.linked.tcm_used_bytes / 1024
    axes.plot([at], [linked / unit], "D", color=_REAL, markersize=9, zorder=4, label="as linked")
    knee = next(n for n, h in enumerate(best) if h <= best[-1] * (1 + KNEE))
    axes.annotate(
        f"knee: {kib[knee]:g} KiB", (kib[knee], best[knee] / unit), (6, 22),
        textcoords="offset points", fontsize=10.5, color=_KNEE, fontweight="bold",
        arrowprops={"arrowstyle": "-", "color": _KNEE},
    )  # fmt: skip
    axes.set_xlabel("bytes of ITCM and DTCM that may be used, in KiB", fontsize=12)
    axes.set_ylabel(word, fontsize=12)
    axes.set_xlim(left=-0.02 * max(*kib, at))
    axes.set_ylim(0, 1.08 * max(*best, *greedy, linked) / unit)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=11)
    figure.suptitle(f"{title}: {curve.goal} against TCM", fontsize=14, fontweight="bold")
    figure.supxlabel("\n" + "\n".join(curve_findings(curve)), fontsize=9.5, color="#333333")
    save_all(pyplot, figure, paths)


def _height(curve: Curve, named: Any) -> float:
    """Return cycles or nJ of a map."""
    return float(named.cycles if curve.goal == "cycles" else named.timed.energy_nj or 0.0)
