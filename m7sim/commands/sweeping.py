"""What commands that draw from a sweep share: options, and measuring through the one machinery."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m7sim.commands.common import add_clock, complain
from m7sim.errors import InputError

PLACEMENT = "flash+auto"  # weights in flash, what is written in RAM: as an application links it


def add_sweep(sub: argparse.ArgumentParser) -> None:
    """Add where to measure and how."""
    sub.add_argument(
        "--board", default="stm32f746", metavar="NAME|FILE", help="board to measure on"
    )
    sub.add_argument("--core", default="cortex_m7", metavar="NAME|FILE", help="core, or its TOML")
    add_clock(sub)
    sub.add_argument(
        "--placement", default=PLACEMENT, metavar="NAME[,what=where…]",
        help="memory of code and arrays, as of characterize",
    )  # fmt: skip
    sub.add_argument("--jobs", type=int, default=_cpus(), metavar="N", help="processes")


def measure(
    arguments: argparse.Namespace, points: Sequence[Any], *, grid: str, out: Path, title: str
) -> Any:
    """Return the table of a sweep, kept in ``out`` (CSV) so that the next run need not measure.

    Raises
    ------
    InputError
        If an option cannot be used, the compiler is missing, or ``out`` cannot be written.
    """
    from m7sim.board import Board
    from m7sim.characterize import engine, library, placement, plan, sweep
    from m7sim.core import Core
    from m7sim.report import progress

    board = Board.load(arguments.board)
    if arguments.clock:
        board = board.override(clock_hz=arguments.clock)
    request = plan.Request(
        shapes=points,
        grid=grid,
        libraries=[library.find(library.OURS)],
        boards=[board],
        core=Core.load(arguments.core),
        placements=[placement.Placement.parse(arguments.placement)],
    )
    where = engine.processes(arguments.jobs)
    with progress.bar("building the kernels") as on_build:
        rows = plan.plan(request, on_build)
    try:
        with progress.bar(title) as on_point:
            return sweep.run(rows, request, out, where, replace=True, on_point=on_point).table
    except KeyboardInterrupt:
        complain(f"what is finished is kept in {sweep.journal_path(out)}; the same command goes on")
        raise


def _cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def folder(name: str) -> Path:
    """Make the folder for what a command writes.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    path = Path(name)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", where=name) from error
    return path
