"""``m7sim replay``: Time a saved trace."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from m7sim.commands.common import DETAIL_INSTRUCTIONS, add_command, add_document, write
from m7sim.commands.covering import add_coverage, check_coverage, write_coverage
from m7sim.units import count, hertz


def add(commands: Any) -> None:
    sub = add_command(
        commands,
        "replay",
        _command,
        "Time a trace that run --trace saved, perhaps on another core.",
    )
    sub.add_argument("trace", metavar="TRACE", help="file that run --trace saved")
    sub.add_argument(
        "--board",
        default="",
        metavar="NAME|FILE",
        help="board of the same memory map, or a TOML file of one (default: that of the run)",
    )
    sub.add_argument(
        "--core", default="cortex_m7", metavar="NAME|FILE", help="core, or a TOML file of one"
    )
    sub.add_argument(
        "--clock", type=hertz, metavar="HZ", help="core clock such as 216MHz (default: the board's)"
    )
    sub.add_argument(
        "--elf", metavar="FW.ELF", help="program of the trace (default: where it was run from)"
    )
    add_coverage(sub)
    sub.add_argument("--top", type=count, default=12, metavar="N", help="rows per table")
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim import session
    from m7sim.compare import snapshot
    from m7sim.report import document, progress, text
    from m7sim.report.layout import Style

    check_coverage(arguments)
    begin = time.monotonic()
    with progress.bar("replaying") as show:

        def on_chunk(done: int, chunks: int, instructions: int) -> None:
            rate = instructions * done / chunks / max(time.monotonic() - begin, 1e-3)
            show(done, chunks, f"{rate / 1e6:.0f} M instructions/s")

        result = session.replay(
            arguments.trace,
            board=arguments.board,
            core=arguments.core,
            elf=arguments.elf,
            clock_hz=arguments.clock,
            on_chunk=on_chunk,
        )
    if arguments.json:
        report = document.to_json(
            document.document(
                result, snapshot=snapshot(result, detail_instructions=DETAIL_INSTRUCTIONS)
            )
        )
    else:
        stream = sys.stdout if arguments.output == "-" else None
        report = text.render(result, style=Style.of_stream(stream, top=arguments.top))
    write(arguments.output, report)
    write_coverage(arguments, result)
    return 0
