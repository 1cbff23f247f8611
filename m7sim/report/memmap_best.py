"""The best map for people: beside the usual ones, what moves, and what to paste."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from m7sim.memmap.attributes import Attribute
from m7sim.memmap.best import Best, Curve, Move, NamedMap
from m7sim.memmap.sweep import Sweep
from m7sim.report.document import configuration as configuration_part
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.report.memmap_figures import TITLES, curve_findings, findings, value_text
from m7sim.units import format_bytes, format_count, format_joules, format_seconds

SCHEMA_VERSION: Final = 1


def render(best: Best, paste: Paste, *, style: Style = PLAIN) -> str:
    """Return the report of a best map.

    Parameters
    ----------
    paste
        Attributes and lines of the linker script for its moves.
    """
    console = open_console(style)
    what = "fewest cycles" if best.goal == "cycles" else "least energy"
    print_table(console, f"Maps, searched for the {what}", *_maps(best))
    _moves(console, best, style.top)
    _rooms(console, best)
    _start(console, best)
    if best.best.places != best.linked.places:
        _attributes(console, paste.attributes)
        _script(console, paste)
    return text_of(console)


class Paste:
    """What to paste for a map.

    Parameters
    ----------
    attributes
        By object.
    lines
        Input sections to list, by output section of the linker script; empty if the program's
        script is none of ours.
    """

    def __init__(self, attributes: Sequence[Attribute], lines: dict[str, list[str]]) -> None:
        self.attributes, self.lines = tuple(attributes), lines


def document(best: Best, paste: Paste, configuration: Any) -> dict[str, Any]:
    """Return the same as plain lists and dictionaries."""
    return {
        "schema": "m7sim.memmap.best",
        "schema_version": SCHEMA_VERSION,
        "configuration": configuration_part(configuration),
        "goal": best.goal,
        "tcm_limit_bytes": best.space.tcm_bytes,
        "reserved_bytes": dict(best.space.reserved_bytes),
        "maps": [_map_part(each, best) for each in best.maps],
        "moves": [
            {
                "name": m.candidate.name,
                "kind": m.candidate.kind,
                "size_bytes": m.candidate.size_bytes,
                "from": m.start,
                "to": m.end,
                _gain_key(best): m.gain,
            }
            for m in best.moves
        ],
        "room_bytes": dict(best.space.room_bytes),
        "startup_copied_bytes": {"linked": best.startup_bytes[0], "best": best.startup_bytes[1]},
        "attributes": [
            {
                "name": a.name, "identifier": a.identifier, "source": a.source,
                "attribute": a.attribute, "note": a.note,
            }
            for a in paste.attributes
        ],
        "linker_script": paste.lines,
        "timings": best.retimings,
        "timings_used_up": best.exhausted,
    }  # fmt: skip


def render_sweep(sweep: Sweep, *, style: Style = PLAIN) -> str:
    """Return the report of a sweep."""
    console = open_console(style)
    real = sweep.real_point
    rows: list[tuple[str, ...]] = []
    for point in sweep.points:
        energy = "" if point.energy_nj is None else format_joules(point.energy_nj * 1e-9)
        marks = [
            word
            for word, there in (
                ("as it is", point is real),
                ("knee", point is sweep.knee and sweep.kind != "waitstates"),
                ("least time", point is sweep.fastest),
                ("least energy", point is sweep.thriftiest()),
            )
            if there
        ]
        rows.append(
            (value_text(sweep, point.value), str(point.flash_wait_states),
             format_count(point.cycles), f"{100 * (point.cycles / real.cycles - 1):+.2f} %",
             format_seconds(point.time_ms / 1e3), energy, ", ".join(marks))
        )  # fmt: skip
    columns: tuple[str, ...] = (
        f">{TITLES[sweep.kind]}", ">wait states", ">cycles", ">change", ">time", ">energy", "*",
    )  # fmt: skip
    if sweep.kind == "waitstates":
        columns, rows = (columns[0], *columns[2:]), [(row[0], *row[2:]) for row in rows]
    title = f"Sweep of the {sweep.board.name}'s {TITLES[sweep.kind]}"
    print_table(console, title, columns, rows)
    for line in (*findings(sweep), *(f"Note: {note}." for note in sweep.notes)):
        console.print(line, highlight=False)
    return text_of(console)


def render_curve(curve: Curve, *, style: Style = PLAIN) -> str:
    """Return the report of a curve."""
    console = open_console(style)
    rows = [
        (format_bytes(p.tcm_bytes), format_count(p.best.tcm_used_bytes), _cost(curve, p.best),
         _cost(curve, p.greedy),
         f"{100 * (_number(curve, p.greedy) / _number(curve, p.best) - 1):+.2f} %")
        for p in curve.points
    ]  # fmt: skip
    what = "cycles" if curve.goal == "cycles" else "energy"
    columns = (">TCM allowed", ">used bytes", f">best: {what}", f">greedy: {what}", ">greedy")
    print_table(console, f"The best map by bytes of TCM ({curve.retimings} timings)", columns, rows)
    for line in curve_findings(curve):
        console.print(line, highlight=False)
    return text_of(console)


def _maps(best: Best) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    tcm = sorted(best.space.tcm & best.space.room_bytes.keys())
    rows = []
    for each in best.maps:
        used = best.space.used_bytes(each.places)
        energy = each.timed.energy_nj
        change = 100 * (each.cycles / best.linked.cycles - 1)
        rows.append(
            (each.name, format_count(each.cycles), f"{change:+.2f} %",
             "" if energy is None else format_joules(energy * 1e-9),
             *(format_count(used.get(name, 0)) for name in tcm),
             "" if each.allowed else "does not fit")
        )  # fmt: skip
    columns = ("map", ">cycles", ">change", ">energy", *(f">{n} bytes" for n in tcm), "*")
    if all(each.allowed for each in best.maps):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return columns, rows


def _moves(console: Console, best: Best, top: int) -> None:
    """Print what moves: those that gain, then in one line those that only make room."""
    if not best.moves:
        console.print("Nothing moves: no map was found that is better by more than 0.05 %.\n")
        return
    used = [m for m in best.moves if m.candidate.accesses]
    rows = [
        (m.candidate.name, m.candidate.kind, format_count(m.candidate.size_bytes), m.start,
         m.end, _gain(m, best))
        for m in used[: max(top, 12) * 2]
    ]  # fmt: skip
    for start, end in sorted({(m.start, m.end) for m in best.moves if not m.candidate.accesses}):
        idle = [
            m.candidate for m in best.moves
            if (m.start, m.end) == (start, end) and not m.candidate.accesses
        ]  # fmt: skip
        size = format_count(sum(c.size_bytes for c in idle))
        rows.append((f"{len(idle)} that are hardly used", "", size, start, end, "makes room"))
    unit = "cycles" if best.goal == "cycles" else "µJ"
    columns = ("*object", "kind", ">bytes", "from", "to", f">gains {unit}")
    print_table(console, "Moves from the map as linked", columns, rows)
    console.print(
        "A gain is what the map would lose if that object alone went back; gains do not add up, "
        "since objects share the caches."
    )
    console.print()


def _gain(move: Move, best: Best) -> str:
    if move.gain is None:
        return "makes room"
    return format_count(move.gain) if best.goal == "cycles" else f"{move.gain * 1e-6:.2f}"


def _gain_key(best: Best) -> str:
    return "gain_cycles" if best.goal == "cycles" else "gain_pj"


def _rooms(console: Console, best: Best) -> None:
    space = best.space
    used = space.used_bytes(best.best.places)
    rows = []
    for name, room in space.room_bytes.items():
        rows.append(
            (name, format_count(space.taken_bytes[name]), format_count(space.reserved_bytes[name]),
             format_count(used[name]), format_count(room - used[name]))
        )  # fmt: skip
    columns = ("memory", ">cannot move", ">reserved", ">placed bytes", ">free bytes")
    print_table(console, "Room under the best map", columns, rows)
    if space.tcm_bytes is not None:
        console.print(f"TCM was limited to {format_count(space.tcm_bytes)} bytes in all.\n")


def _start(console: Console, best: Best) -> None:
    before, after = best.startup_bytes
    grid = open_grid()
    grid.add_row(
        "start-up",
        f"copies {format_count(after)} bytes from flash to RAM ({format_count(before)} as linked); "
        "they stay in flash as well, so the image does not shrink; the copying is not in the "
        "cycles",
    )
    more = "; more timings (--retimings) might find a better map" if best.exhausted else ""
    grid.add_row("search", f"{best.retimings} timings of the trace{more}")
    console.print(grid)
    console.print()


def _attributes(console: Console, attributes: Sequence[Attribute]) -> None:
    told = [a for a in attributes if a.attribute and a.source]
    if told:
        console.print(Text("For the C sources: one attribute for each declaration", style="bold"))
        for each in told:
            note = f"  /* {each.note} */" if each.note else ""
            console.print(Text(f"{each.source}  {each.identifier}"))
            console.print(Text(f"    {each.attribute}{note}"))
        console.print()
    others = [a for a in attributes if a.note and not (a.attribute and a.source)]
    if others:
        console.print(Text("Not by an attribute", style="bold"))
        for each in others:
            console.print(Text(f"{each.name} → {each.region}: {each.note}"))
        console.print()


def _script(console: Console, paste: Paste) -> None:
    if not paste.lines:
        return
    console.print(
        Text("Or for the linker script: input sections, compiled with", style="bold"),
        Text("-ffunction-sections -fdata-sections", style="bold"),
    )
    console.print(
        Text(
            "An input section goes to the first line that names it: .itcm, .data and .sram have to "
            "stand before .text. --write-ld FILE writes the whole script."
        )
    )
    for section, lines in paste.lines.items():
        console.print(Text(f"{section} {{"))
        for line in lines:
            console.print(Text(f"    {line}"))
        console.print(Text("}"))
    console.print()


def _map_part(each: NamedMap, best: Best) -> dict[str, Any]:
    return {
        "name": each.name,
        "cycles": each.cycles,
        "energy_nj": each.timed.energy_nj,
        "used_bytes": best.space.used_bytes(each.places),
        "fits": each.allowed,
        "places": dict(each.places),
    }


def _number(curve: Curve, each: NamedMap) -> float:
    return float(each.cycles if curve.goal == "cycles" else each.timed.energy_nj or 0.0)


def _cost(curve: Curve, each: NamedMap) -> str:
    number = _number(curve, each)
    return format_count(number) if curve.goal == "cycles" else format_joules(number * 1e-9)
