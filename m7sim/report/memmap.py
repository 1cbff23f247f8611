"""What lies where, what it cost, and what another map would cost, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console

from m7sim.memmap import Layout, MemoryObject, Retimed, Study
from m7sim.report.document import configuration as configuration_part
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.report.text import render_configuration
from m7sim.units import format_bytes, format_count, format_joules, format_percent, format_seconds

SCHEMA_VERSION: Final = 1
_CAUSES: Final = 6  # shown for one map
_WORTH_TELLING: Final = 1e-3  # of all cycles


def render(
    study: Study, retimed: Retimed | None = None, *, style: Style = PLAIN, settings: str = ""
) -> str:
    """Return the report of a study, with a map beside the linked one if there is one.

    Parameters
    ----------
    retimed
        What `Study.retime` gave.
    style
        Width, colours, length of the tables.
    settings
        What was changed of the board, in words.
    """
    console = open_console(style)
    console.print(render_configuration(study.configuration, style=style).rstrip())
    console.print()
    _totals(console, study)
    _objects(console, study, style.top)
    _causes(console, study.base, style.top)
    _room(console, study.base.layout)
    if retimed is not None:
        _compare(console, study.base, retimed, settings)
        _moved(console, study.base, retimed, style.top)
        _room(console, retimed.layout, "Room under this map")
        _notes(console, study, retimed)
    return text_of(console)


def document(
    study: Study, retimed: Retimed | None = None, *, settings: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the same figures as plain lists and dictionaries."""
    return {
        "schema": "m7sim.memmap",
        "schema_version": SCHEMA_VERSION,
        "configuration": configuration_part(study.configuration),
        "linked": _retimed_part(study.base),
        "retimed": None
        if retimed is None
        else {**_retimed_part(retimed), "settings": settings or {}},
        "executions_by_similar_variant": study.similar,
    }


def _retimed_part(retimed: Retimed) -> dict[str, Any]:
    return {
        "places": dict(retimed.places),
        "board": retimed.board.name,
        "clock_hz": retimed.clock_hz,
        "cycles": retimed.cycles,
        "instructions": retimed.instructions,
        "issue_cycles": retimed.issue_cycles,
        "stalls": dict(retimed.stalls),
        "memory_stalls": dict(retimed.memory_stalls),
        "energy_nj": retimed.energy_nj,
        "statistics": dict(retimed.statistics),
        "veneers": retimed.veneers,
        "veneer_calls": retimed.veneer_calls,
        "notes": list(retimed.notes),
        "memories": [
            {
                "name": use.name,
                "kind": use.kind,
                "capacity_bytes": use.capacity_bytes,
                "used_bytes": use.used_bytes,
            }
            for use in retimed.layout.use
        ],
        "objects": [_object_part(each) for each in retimed.objects],
    }


def _object_part(each: MemoryObject) -> dict[str, Any]:
    return {
        "name": each.name,
        "kind": each.kind,
        "section": each.section,
        "address": each.address,
        "size_bytes": each.size_bytes,
        "alignment_bytes": each.alignment_bytes,
        "region": each.region,
        "movable": list(each.movable),
        "fetches": each.fetches,
        "fetched_bytes": each.fetched_bytes,
        "loads": each.loads,
        "loaded_bytes": each.loaded_bytes,
        "stores": each.stores,
        "stored_bytes": each.stored_bytes,
        "stall_cycles": each.stall_cycles,
        "stalls": dict(each.stalls),
    }


def _totals(console: Console, study: Study) -> None:
    base = study.base
    lost = sum(base.memory_stalls.values())
    grid = open_grid()
    grid.add_row("instructions", format_count(base.instructions))
    grid.add_row("cycles", f"{format_count(base.cycles)}, {format_seconds(base.time_ms / 1e3)}")
    grid.add_row(
        "lost to memory",
        f"{format_count(lost)} cycles, {format_percent(lost / max(base.cycles, 1))} of all",
    )
    conflicts = base.statistics["bank_conflicts"]
    if conflicts:
        grid.add_row("bank conflicts", f"{format_count(conflicts)} pairs of loads, a cycle each")
    if base.energy_nj is not None:
        grid.add_row("energy", format_joules(base.energy_nj * 1e-9))
    console.print(grid)
    console.print()


def _objects(console: Console, study: Study, top: int) -> None:
    objects = [o for o in study.objects if o.accesses or o.stall_cycles]
    least = _WORTH_TELLING * study.base.cycles
    objects.sort(key=lambda o: (-o.stall_cycles * (o.stall_cycles > least), -o.accesses))
    shown = objects[:top]
    rows = [_object_row(each, study.base.cycles) for each in shown]
    rest = objects[top:]
    if rest:
        rows.append(_sum_row(f"{len(rest)} others", rest, study.base.cycles))
    rows.append(_sum_row("total", objects, study.base.cycles))
    print_table(
        console,
        "Objects by cycles lost to memory, then by accesses",
        ("*object", "kind", "in", ">bytes", ">fetches", ">loads", ">stores", ">lost", ">of all"),
        rows,
    )


def _object_row(each: MemoryObject, cycles: int) -> tuple[str, ...]:
    return (
        each.name, each.kind, each.region, format_count(each.size_bytes), _number(each.fetches),
        _number(each.loads), _number(each.stores), _number(each.stall_cycles),
        _share(each.stall_cycles, cycles),
    )  # fmt: skip


def _sum_row(name: str, objects: Sequence[MemoryObject], cycles: int) -> tuple[str, ...]:
    lost = sum(o.stall_cycles for o in objects)
    return (
        name, "", "", "", _number(sum(o.fetches for o in objects)),
        _number(sum(o.loads for o in objects)), _number(sum(o.stores for o in objects)),
        _number(lost), _share(lost, cycles),
    )  # fmt: skip


def _causes(console: Console, base: Retimed, top: int) -> None:
    rows = [
        (each.name, each.region, cause.replace("_", " "), format_count(cycles),
         _share(cycles, base.cycles))
        for each in base.objects
        for cause, cycles in each.stalls.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: (-int(row[3].replace(" ", "")), row[0]))
    if rows:
        columns = ("*object", "in", "cause", ">cycles", ">of all")
        print_table(console, "Where they were lost, by cause", columns, rows[:top])


def _room(console: Console, layout: Layout, title: str = "Room") -> None:
    rows = [
        (use.name, use.kind, format_bytes(use.capacity_bytes), format_count(use.used_bytes),
         format_count(use.free_bytes), format_percent(use.used_bytes / use.capacity_bytes))
        for use in layout.use
    ]  # fmt: skip
    columns = ("memory", "kind", ">size", ">used bytes", ">free bytes", ">used")
    print_table(console, title, columns, rows)


def _compare(console: Console, base: Retimed, now: Retimed, settings: str) -> None:
    title = " ".join(f"{what}={where}" for what, where in now.places.items())
    where = f"{now.board.name}, " if now.board.name != base.board.name else ""
    title = ", ".join(part for part in (title, settings) if part) or "nothing moved"
    rows = [
        _change("cycles", base.cycles, now.cycles),
        _change("instructions", base.instructions, now.instructions),
        ("time", format_seconds(base.time_ms / 1e3), format_seconds(now.time_ms / 1e3),
         _relative(base.time_ms, now.time_ms)),
    ]  # fmt: skip
    if base.energy_nj is not None and now.energy_nj is not None:
        rows.append(
            ("energy", format_joules(base.energy_nj * 1e-9), format_joules(now.energy_nj * 1e-9),
             _relative(base.energy_nj, now.energy_nj))
        )  # fmt: skip
    lost, lost_now = sum(base.memory_stalls.values()), sum(now.memory_stalls.values())
    rows.append(_change("lost to memory", lost, lost_now))
    causes = {*base.memory_stalls, *now.memory_stalls}
    differs = {c: abs(base.memory_stalls.get(c, 0) - now.memory_stalls.get(c, 0)) for c in causes}
    for cause in sorted(causes, key=lambda c: (-differs[c], c))[:_CAUSES]:
        if differs[cause]:
            before, after = base.memory_stalls.get(cause, 0), now.memory_stalls.get(cause, 0)
            rows.append(_change(f"  {cause.replace('_', ' ')}", before, after))
    print_table(console, f"What if: {where}{title}", ("", ">linked", ">then", ">change"), rows)


def _moved(console: Console, base: Retimed, now: Retimed, top: int) -> None:
    before = {each.name: each for each in base.objects}
    pairs = [(before[o.name], o) for o in now.objects if o.name in before]
    moved = [(was, o) for was, o in pairs if o.region != was.region and o.accesses]
    moved.sort(key=lambda p: (-abs(p[1].stall_cycles - p[0].stall_cycles), -p[1].accesses))
    rows = [
        (o.name, format_count(o.size_bytes), f"{was.region} 0x{was.address:08x}",
         f"{o.region} 0x{o.address:08x}", _number(was.stall_cycles), _number(o.stall_cycles))
        for was, o in moved
    ]  # fmt: skip
    if rows:
        columns = ("*moved object", ">bytes", "from", "to", ">lost there", ">lost here")
        print_table(console, "Objects that moved and were used", columns, rows[:top])
    stayed = [
        (o.name, o.region, _number(was.stall_cycles), _number(o.stall_cycles))
        for was, o in pairs
        if o.region == was.region
        and abs(o.stall_cycles - was.stall_cycles) > _WORTH_TELLING * now.cycles
    ]
    if stayed:
        table = ("*other object", "in", ">lost before", ">lost then")
        print_table(console, "Objects that stayed and cost something else", table, stayed[:top])


def _notes(console: Console, study: Study, now: Retimed) -> None:
    notes = list(now.notes)
    if study.similar:
        notes.append(
            f"{format_count(study.similar)} executions of blocks are counted for similar objects"
        )
    for note in notes:
        console.print(f"Note: {note}.", highlight=False)
    if notes:
        console.print()


def _change(name: str, before: int, after: int) -> tuple[str, str, str, str]:
    return name, format_count(before), format_count(after), _relative(before, after)


def _relative(before: float, after: float) -> str:
    if not before:
        return "" if not after else "new"
    return f"{100 * (after / before - 1):+.2f} %"


def _number(value: int) -> str:
    return format_count(value) if value else "-"


def _share(cycles: int, of: int) -> str:
    return format_percent(cycles / of) if cycles and of else "-"
