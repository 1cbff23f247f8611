"""``m7sim memmap``: What lies where, and what another memory map would cost."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim.commands import memmap_best
from m7sim.commands.common import add_command, add_document, complain, write
from m7sim.units import count, hertz

if TYPE_CHECKING:
    from m7sim.memmap import Study

ELF_MAGIC = b"\x7fELF"


def add(commands: Any) -> None:
    sub = add_command(
        commands,
        "memmap",
        _command,
        "Tell what lies where and what that costs, and time another memory map without relinking.",
    )
    sub.add_argument("program", metavar="FW.ELF|TRACE", help="program to run, or a saved trace")
    sub.add_argument(
        "--place", action="append", default=[], metavar="WHAT=WHERE",
        help="move an object, pattern, section or group (code, constants, variables, arrays, all) "
        "into a region or kind of memory: weights=DTCM, .text=ITCM, conv_*=ITCM, stack=SRAM1; "
        "repeatable",
    )  # fmt: skip
    sub.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="change the board: dcache.size_bytes=8192, icache.enabled=off, art.enabled=off, "
        "flash_wait_states=5, clock_hz=100MHz, SRAM1.read_latency_cycles=6; repeatable",
    )  # fmt: skip
    sub.add_argument(
        "--onto", default="", metavar="NAME|FILE", help="time the other map on this board"
    )
    sub.add_argument(
        "--board", default="", metavar="NAME|FILE",
        help="board to run on (default: stm32f746; of a trace: that of the run)",
    )  # fmt: skip
    sub.add_argument(
        "--core", default="cortex_m7", metavar="NAME|FILE", help="core, or a TOML file of one"
    )
    sub.add_argument(
        "--clock", type=hertz, metavar="HZ", help="core clock such as 216MHz (default: the board's)"
    )
    sub.add_argument("--elf", metavar="FW.ELF", help="program of a trace (default: as recorded)")
    sub.add_argument("--entry", metavar="SYMBOL", help="function to start at (default: reset)")
    sub.add_argument(
        "--args", default="", metavar="TEXT", help="command line that semihosting gives"
    )
    sub.add_argument("--files", metavar="DIR", help="folder the firmware may open files in")
    sub.add_argument("--max-instructions", type=count, metavar="N", help="stop after N")
    sub.add_argument("--top", type=count, default=12, metavar="N", help="rows per table")
    add_document(sub)
    memmap_best.add_best(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.memmap.places import parse_places
    from m7sim.memmap.settings import parse_settings
    from m7sim.report import document, memmap
    from m7sim.report.layout import Style

    places, settings = parse_places(arguments.place), parse_settings(arguments.set)
    memmap_best.check(arguments)
    with open_study(arguments) as study:
        if memmap_best.wanted(arguments):
            board = study.variant(arguments.onto, settings=settings)
            return memmap_best.command(arguments, study, places, board)
        retimed = None
        if places or settings or arguments.onto:
            retimed = study.retime(places, board=arguments.onto, settings=settings)
        if arguments.json:
            report = document.to_json(memmap.document(study, retimed, settings=settings))
        else:
            stream = sys.stdout if arguments.output == "-" else None
            style = Style.of_stream(stream, top=arguments.top)
            words = ", ".join(f"{key}={value}" for key, value in settings.items())
            report = memmap.render(study, retimed, style=style, settings=words)
    write(arguments.output, report)
    return 0


def open_study(arguments: argparse.Namespace) -> Study:
    """Open the trace that the command names, or run its program."""
    from m7sim import session
    from m7sim.memmap import study, study_run
    from m7sim.report import progress

    if not _is_elf(arguments.program):
        return study(
            arguments.program, arguments.board, arguments.core, elf=arguments.elf,
            clock_hz=arguments.clock,
        )  # fmt: skip
    firmware = session.load(
        arguments.program,
        board=arguments.board or "stm32f746",
        core=arguments.core,
        clock_hz=arguments.clock,
        files=arguments.files,
    )
    with progress.Running(arguments.max_instructions) as running:
        made = study_run(
            firmware, arguments.entry, arguments=arguments.args,
            max_instructions=arguments.max_instructions, stdout=running.below(sys.stderr.buffer),
            on_progress=running.tick,
        )  # fmt: skip
    if made.cut_short:
        complain(made.cut_short)
    return made


def _is_elf(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(ELF_MAGIC)) == ELF_MAGIC
    except OSError:
        return path.lower().endswith(".elf")
