"""Timing a saved trace: the same chain, without executing anything."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.energy import find_model
from m7sim.errors import InputError
from m7sim.machine.events import MemoryEvent
from m7sim.profile.accounts import Accounts
from m7sim.profile.configure import configuration
from m7sim.profile.result import RunResult
from m7sim.profile.worker import Worker
from m7sim.session.firmware import FROM_RESET
from m7sim.session.loading import chip_of
from m7sim.trace.store import SavedTrace, load_trace


def replay(
    trace: str | Path,
    board: str | Path | Board = "",
    core: str | Path | Core = "cortex_m7",
    *,
    elf: str | Path | None = None,
    clock_hz: int | None = None,
    on_chunk: Callable[[int, int, int], None] = lambda done, chunks, instructions: None,
) -> RunResult:
    """Time a saved trace: on the board it was recorded on, or on another with the same memory map.

    Parameters
    ----------
    trace
        File that `Firmware.run` saved.
    board
        Default the one of the recording, at its clock.
    core
        Core to time it on.
    elf
        The program, for names and lines; default the path it was loaded from.
    clock_hz
        Core clock instead of the board's.
    on_chunk
        Told before each chunk: how many were read, of how many, and the instructions in all.

    Raises
    ------
    InputError
        If the trace is damaged, or the ELF is missing or another one.
    """
    with load_trace(trace) as saved:
        entry, arguments = saved.run_text("entry"), saved.run_text("arguments")
        if not board:
            clock_hz = clock_hz or saved.clock_hz
        chip = chip_of(board or saved.run_text("board"), clock_hz)
        table = core if isinstance(core, Core) else Core.load(core)
        image = image_of(saved, elf)
        energy, power = find_model(chip)
        accounts = Accounts(image, chip, table, saved.code, energy)
        accounts.begin(warm=False, from_reset=entry == FROM_RESET)
        with Worker() as worker:  # times one chunk while the next is read
            for index, chunk in enumerate(saved.chunks()):
                on_chunk(index, len(saved), saved.instructions)
                for event in saved.events(index):
                    worker.put(partial(accounts.timer.apply, MemoryEvent(*event)))
                prepared = accounts.prepare(saved.plan())
                worker.put(partial(accounts.account, chunk, prepared))
        plan = configuration(
            image, chip, table, entry=entry, arguments=arguments, warm=False, timed=True,
            power=power,
        )  # fmt: skip
        return RunResult(
            configuration=plan, **accounts.figures(), stop_reason="replay",
            message=f"replayed from {saved.path}", exit_code=None, console=b"",
            trace_bytes=saved.stored_bytes,
        )  # fmt: skip


def image_of(saved: SavedTrace, elf: str | Path | None) -> Image:
    """Return the program of a trace: from where it was run, or from ``elf``.

    Raises
    ------
    InputError
        If it is not there or another one.
    """
    path = Path(elf or saved.run_text("elf"))
    do = "Give the ELF that was run (elf=…, --elf)"
    if not path.is_file():
        raise InputError(
            f"the program of this trace is not at {path}", where=str(saved.path), do=do
        )
    image = Image.load(path)
    if image.sha256 != saved.header["elf"].get("sha256"):
        raise InputError(f"{path} is not the program of this trace", where=str(saved.path), do=do)
    return image
