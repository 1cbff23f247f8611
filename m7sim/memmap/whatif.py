"""One recording timed under another map: the same timer, fed with other addresses.

Start-up code that was recorded runs as it did: what it copies for objects that move into RAM is
not added (`Retimed.notes` says how much that is). Firmware that compares or computes with addresses
would take other ways than those recorded; so would a stack or heap of another size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.core import CoreTable
from m7sim.energy import find_model
from m7sim.machine.events import MAINTENANCE, MemoryEvent
from m7sim.memmap.account import Ledger, memory_stalls
from m7sim.memmap.branches import Branches
from m7sim.memmap.layout import Layout, Planner
from m7sim.memmap.moved import (
    Rows,
    Stream,
    Veneers,
    find_veneers,
    move,
    moved_event_value,
    shifts,
)
from m7sim.memmap.objects import MemoryObject
from m7sim.memmap.recording import Recording, Step
from m7sim.profile.worker import Worker
from m7sim.timing import Timer
from m7sim.timing.caches import DCCIMVAC, DCCMVAC, DCCMVAU, DCIMVAC, ICIMVAU
from m7sim.timing.result import Timing
from m7sim.units import format_count

I64 = NDArray[np.int64]

_BY_ADDRESS = (ICIMVAU, DCIMVAC, DCCMVAU, DCCMVAC, DCCIMVAC)
_ROUNDS = 4  # veneers move what lies behind them, which may call for more of them


@dataclass(frozen=True)
class Retimed:
    """A trace timed under one map.

    Attributes
    ----------
    places
        What was asked for.
    stalls, memory_stalls
        Lost cycles by cause: all, and those lost to memory.
        ``cycles == issue_cycles + sum(stalls.values())``; the sums of ``objects`` by cause are
        ``memory_stalls``.
    energy_nj
        None without current data for the board and clock.
    objects
        With addresses and figures under this map; most stalls first.
    veneers, veneer_calls
        That the linker adds for calls beyond the range of a direct branch; how often they ran.
    notes
        What the figures leave out.
    """

    places: Mapping[str, str]
    board: Board = field(repr=False)
    cycles: int
    instructions: int
    issue_cycles: int
    stalls: Mapping[str, int]
    memory_stalls: Mapping[str, int]
    energy_nj: float | None
    objects: tuple[MemoryObject, ...] = field(repr=False)
    layout: Layout = field(repr=False)
    veneers: int
    veneer_calls: int
    statistics: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def clock_hz(self) -> int:
        return self.board.clock_hz

    @property
    def time_ms(self) -> float:
        """Time at the board's clock, in milliseconds."""
        return 1e3 * self.cycles / self.board.clock_hz

    def object(self, name: str) -> MemoryObject:
        """Return the object of a name; KeyError if there is none."""
        for each in self.objects:
            if each.name == name:
                return each
        raise KeyError(name)


def retime(
    recording: Recording,
    rows: Rows,
    branches: Branches,
    ledger: Ledger,
    planner: Planner,
    core: CoreTable,
    chosen: Mapping[int, str],
    *,
    places: Mapping[str, str],
    from_reset: bool,
) -> Retimed:
    """Time a recording with objects moved.

    Parameters
    ----------
    rows, branches, ledger
        The recording's code, the program's direct branches, and the books of its objects.
    planner
        Lays the program out on the board to time it on.
    chosen
        Region by index of object.
    places
        The same as a person wrote it.
    from_reset
        Caches are off until the firmware switches them on.
    """
    board = planner.board
    layout, delta, veneers, where = _linked(recording, rows, branches, planner, chosen)
    code, at = move(rows, delta, layout, where)
    timer = Timer(core, board, code)
    if from_reset:
        timer.power_on()
    stream = Stream(recording, rows, delta, veneers, at)
    tables = timer.prepare()

    def account(step: Step) -> None:
        for event in step.events:
            timer.apply(_moved(event, recording, delta))
        blocks, address = stream.blocks(step)
        timer.feed(blocks, address, tables)

    # one step is timed while the next is read, where they have to be
    with Worker(None if not recording.kept else False) as worker:
        for step in recording.steps():
            worker.put(partial(account, step))
    timing = timer.result()
    energy, _ = find_model(board)
    return Retimed(
        places=dict(places),
        board=board,
        cycles=timing.cycles,
        instructions=timing.instructions,
        issue_cycles=timing.issue_cycles,
        stalls=_named(timing),
        memory_stalls=memory_stalls(timing),
        energy_nj=energy.of(timing, code.arrays()).energy_nj if energy else None,
        objects=ledger.fill(timing, layout),
        layout=layout,
        veneers=len(at),
        veneer_calls=stream.inserted,
        statistics={
            "icache_misses": timing.icache.misses,
            "dcache_misses": timing.dcache.misses,
            "dcache_write_backs": timing.dcache.write_backs,
            "art_misses": timing.art.misses,
            "bank_conflicts": timing.pair_losses.get("bank", 0),
        },
        notes=_notes(layout, from_reset, len(at), stream.inserted),
    )


def _linked(
    recording: Recording,
    rows: Rows,
    branches: Branches,
    planner: Planner,
    chosen: Mapping[int, str],
) -> tuple[Layout, I64, Veneers, list[tuple[str, int]]]:
    """Lay the program out, with the veneers that it then needs."""
    counts: dict[str, int] = {}
    for _ in range(_ROUNDS):
        layout = planner.lay_out(chosen, counts)
        delta = shifts(layout, recording)
        veneers, where = find_veneers(rows, branches, recording.spans, delta, planner.board)
        if veneers.regions == counts:
            break
        counts = veneers.regions
    return layout, delta, veneers, where


def _named(timing: Timing) -> dict[str, int]:
    order = sorted(timing.stalls.items(), key=lambda pair: (-pair[1], pair[0]))
    return {cause.name.lower(): cycles for cause, cycles in order}


def _moved(event: MemoryEvent, recording: Recording, delta: I64) -> MemoryEvent:
    if event.kind != MAINTENANCE or event.values[0] not in _BY_ADDRESS:
        return event
    register, value = event.values
    return event._replace(values=(register, moved_event_value(value, recording, delta)))


def _notes(layout: Layout, from_reset: bool, veneers: int, calls: int) -> tuple[str, ...]:
    notes = []
    copied = layout.copied_bytes
    if copied and from_reset:
        more, how = ("more", "adds") if copied > 0 else ("less", "takes off")
        notes.append(
            f"start-up has {format_count(abs(copied))} bytes {more} to copy from flash, which "
            f"{how} about as many cycles (with caches on) and is not in these figures"
        )
    if veneers:
        notes.append(
            f"{veneers} veneer{'s' * (veneers > 1)} of the linker for calls beyond 16 MB, taken "
            f"{format_count(calls)} time{'s' * (calls != 1)}, each an instruction more; the "
            "attribute long_call avoids them"
        )
    return tuple(notes)
