"""``m7sim characterize``: Cost of operations over many shapes, as a table."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Any

from m7sim.commands.common import EXIT_CHECK, add_command, add_document, complain, write
from m7sim.units import count, hertz

EPILOG = """\
Ops, shapes, kernels, placements, boards and cflags are swept over, every combination of them. The
output of each point is compared with an oracle before it counts; what fails is a row with its
reason. A sweep that was stopped goes on where it was when the same command is given again.

examples:
  m7sim characterize                                      every operation, a few shapes
  m7sim characterize --ops conv,1x1 --shapes fig2 --jobs 2
  m7sim characterize --shapes my.toml --placement flash+sram --placement tcm --cflags=-Os
  m7sim characterize --kernels ours --kernels library.toml --ops fc
"""


def add(commands: Any) -> None:
    sub = add_command(
        commands,
        "characterize",
        _command,
        "Measure operations over many shapes: cycles, stalls, power, energy, in one table.",
    )
    sub.epilog = EPILOG
    what = sub.add_argument_group("what")
    what.add_argument("--ops", metavar="NAME,…", help="operations (default: all of the grid)")
    what.add_argument(
        "--shapes", default="default", metavar="GRID", help="a TOML file, or default, fig1, fig2"
    )
    what.add_argument(
        "--variants", metavar="NAME,…", help="kernel variants, or all (default: as the grid says)"
    )
    what.add_argument(
        "--kernels",
        action="append",
        metavar="ours|FILE",
        help="library: ours, or a TOML manifest; repeatable (default: ours)",
    )
    where = sub.add_argument_group("where")
    where.add_argument(
        "--board", action="append", metavar="NAME|FILE", help="repeatable (default: stm32f746)"
    )
    where.add_argument(
        "--core", default="cortex_m7", metavar="NAME|FILE", help="core, or a TOML file of one"
    )
    where.add_argument("--clock", type=hertz, metavar="HZ", help="default: the board's")
    where.add_argument(
        "--placement",
        action="append",
        metavar="NAME[,what=where…]",
        help="where constants and the rest lie: flash+sram, flash+dtcm, flash+auto, sram, dtcm, "
        "tcm, auto; with changes such as flash+sram,code=itcm,bias=dtcm; repeatable "
        "(default: flash+sram)",
    )
    where.add_argument(
        "--cflags",
        action="append",
        metavar="FLAGS",
        help="compiler options on top of the library's, such as --cflags=-Os; repeatable",
    )
    where.add_argument("--warm", action="store_true", help="measure the second of two calls")
    how = sub.add_argument_group("how")
    how.add_argument(
        "--out",
        default="characterize.parquet",
        metavar="FILE|DIR",
        help="the table, .parquet or .csv; its header is beside it, .json",
    )
    how.add_argument("--replace", action="store_true", help="drop rows of another sweep in --out")
    how.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    how.add_argument("--dask", metavar="ADDRESS", help="run on a Dask cluster instead")
    how.add_argument(
        "--limit", type=count, default=1_000_000_000, metavar="N", help="instructions of a call"
    )
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of inputs and weights")
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.characterize import engine, plan, sweep, table
    from m7sim.report import characterize as report
    from m7sim.report import document, progress
    from m7sim.report.layout import Style

    request = _request(arguments)
    out = table.out_path(arguments.out)
    table.check_format(out)
    where = engine.dask(arguments.dask) if arguments.dask else engine.processes(arguments.jobs)
    with progress.bar("building the kernels") as on_build:
        rows = plan.plan(request, on_build)
    try:
        with progress.bar("measuring") as on_point:
            done = sweep.run(
                rows, request, out, where, replace=arguments.replace, on_point=on_point
            )
    except KeyboardInterrupt:
        complain(f"what is finished is kept in {sweep.journal_path(out)}; the same command goes on")
        raise
    if arguments.json:
        text = document.to_json(report.document(done))
    else:
        style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
        text = report.render(done, style=style)
    write(arguments.output, text)
    return 0 if report.succeeded(done.table) else EXIT_CHECK


def _request(arguments: argparse.Namespace) -> Any:
    from m7sim.board import Board
    from m7sim.characterize import grid, library, placement, plan, point
    from m7sim.core import Core
    from m7sim.errors import InputError

    shapes = grid.points(
        grid.load(arguments.shapes), _names(arguments.ops), tuple(_names(arguments.variants))
    )
    if not shapes:
        raise InputError(
            f"the grid {arguments.shapes} has no shape of {arguments.ops}",
            do="Leave --ops out, or give another grid with --shapes",
        )
    boards = [Board.load(name) for name in arguments.board or ["stm32f746"]]
    if arguments.clock:
        boards = [board.override(clock_hz=arguments.clock) for board in boards]
    return plan.Request(
        shapes=shapes,
        grid=arguments.shapes,
        libraries=[library.find(name) for name in arguments.kernels or [library.OURS]],
        boards=boards,
        core=Core.load(arguments.core),
        placements=[
            placement.Placement.parse(name) for name in arguments.placement or [placement.DEFAULT]
        ],
        cflags=[tuple(shlex.split(flags)) for flags in arguments.cflags or [""]],
        start=point.WARM if arguments.warm else point.COLD,
        seed=arguments.seed,
        limit_instructions=arguments.limit,
        command=_canonical(arguments),
    )


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _canonical(arguments: argparse.Namespace) -> str:
    """Return the command that makes the same table: without where it runs and where it writes."""
    words = ["m7sim", "characterize"]
    for name in ("ops", "shapes", "variants", "core"):
        value = getattr(arguments, name)
        if value is not None:
            words += [f"--{name}", value]
    for name in ("kernels", "board", "placement", "cflags"):
        for value in getattr(arguments, name) or []:
            words.append(f"--{name}={value}")
    if arguments.clock:
        words += ["--clock", str(arguments.clock)]
    if arguments.warm:
        words.append("--warm")
    words += ["--limit", str(arguments.limit), "--seed", str(arguments.seed)]
    return shlex.join(words)
