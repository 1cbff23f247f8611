"""``m7sim probes``: run, draw, save, compare; what the options ask for."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from m7sim.board import Board
from m7sim.errors import InputError
from m7sim.report import probes, probes_figure
from m7sim.report.document import to_json
from m7sim.report.layout import Style
from m7sim.validate import probes_run


def report(arguments: argparse.Namespace) -> tuple[str, bool]:
    """Return the report, and whether every fact and every compared probe is as it should be.

    Parameters
    ----------
    arguments
        Parsed options of the command.

    Raises
    ------
    InputError
        If a fact or file named does not exist, or a file cannot be written.
    """
    board = Board.load(arguments.board)
    if arguments.elf:
        _save(probes_run.build(board, console=arguments.console), Path(arguments.elf))
    run = probes_run.run(board, arguments.core, clock_hz=arguments.clock, only=arguments.only or ())
    comparison = probes_run.compare(run, Path(arguments.compare)) if arguments.compare else None
    if arguments.figure:
        probes_figure.write(run, Path(arguments.figure))
    good = not run.failed and not (comparison and comparison.differences)
    if arguments.json:
        return to_json(probes.document(run, comparison)), good
    style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
    return probes.render(run, comparison, style=style), good


def _save(elf: Path, to: Path) -> None:
    try:
        shutil.copyfile(elf, to)
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=str(to)) from error
