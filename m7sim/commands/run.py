"""``m7sim run``: Run an ELF."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from m7sim.commands.common import (
    DETAIL_INSTRUCTIONS,
    EXIT_FIRMWARE,
    EXIT_INTERRUPTED,
    EXIT_LIMIT,
    add_command,
    add_document,
    add_power,
    add_target,
    complain,
    write,
)
from m7sim.commands.covering import add_coverage, check_coverage, write_coverage
from m7sim.units import count

if TYPE_CHECKING:
    from m7sim.profile.result import RunResult


def add(commands: Any) -> None:
    sub = add_command(commands, "run", _command, "Run an ELF and tell where its cycles went.")
    sub.add_argument("elf", metavar="FW.ELF", help="bare-metal Cortex-M7 ELF")
    add_target(sub)
    add_power(sub)
    sub.add_argument(
        "--entry", metavar="SYMBOL", help="function to start at (default: reset, vector table)"
    )
    sub.add_argument(
        "--args",
        default="",
        metavar="TEXT",
        help="command line that semihosting gives the firmware",
    )
    sub.add_argument(
        "--files", metavar="DIR", help="folder the firmware may open files in (default: none)"
    )
    sub.add_argument(
        "--max-instructions", type=count, metavar="N", help="stop after N (default: no limit)"
    )
    sub.add_argument(
        "--max-cycles", type=count, metavar="N", help="stop after N (default: no limit)"
    )
    sub.add_argument("--trace", metavar="FILE", help="also save the trace, to be timed again")
    add_coverage(sub)
    sub.add_argument("--top", type=count, default=12, metavar="N", help="rows per table")
    sub.add_argument("--no-time", action="store_true", help="execute only, without cycles (faster)")
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim import session
    from m7sim.compare import snapshot
    from m7sim.report import document, progress, text
    from m7sim.report.layout import Style

    firmware = session.load(
        arguments.elf,
        board=arguments.board,
        core=arguments.core,
        clock_hz=arguments.clock,
        files=arguments.files,
        time=not arguments.no_time,
        supply_mv=arguments.supply,
        voltage_scale=arguments.voltage_scale,
        peripherals=arguments.peripherals,
    )
    check_coverage(arguments, firmware.image, timed=firmware.time)
    if arguments.entry is not None:
        firmware.image.symbol(arguments.entry)  # before anything is printed
    to_terminal = arguments.output == "-" and not arguments.json
    style = Style.of_stream(sys.stdout if to_terminal else None, top=arguments.top)
    plan = firmware.configuration(entry=arguments.entry, arguments=arguments.args)
    if to_terminal:
        sys.stdout.write(text.render_configuration(plan, style=style))
        sys.stdout.flush()
    interrupted = False
    console = (sys.stderr if arguments.json else sys.stdout).buffer
    try:
        with progress.Running(arguments.max_instructions) as running:
            result = firmware.run(
                entry=arguments.entry,
                arguments=arguments.args,
                max_instructions=arguments.max_instructions,
                max_cycles=arguments.max_cycles,
                stdout=running.below(console),
                trace=arguments.trace,
                on_progress=running.tick,
            )
    except session.Interrupted as stop:
        result, interrupted = stop.result, True
    if arguments.json:
        report = document.to_json(
            document.document(
                result, snapshot=snapshot(result, detail_instructions=DETAIL_INSTRUCTIONS)
            )
        )
    else:
        report = text.render(result, style=style, with_configuration=not to_terminal)
    write(arguments.output, report)
    write_coverage(arguments, result)
    if interrupted:
        complain(result.message)
        return EXIT_INTERRUPTED
    return _run_exit_code(result)


def _run_exit_code(result: RunResult) -> int:
    if result.stop_reason in {"max_instructions", "max_cycles"}:
        option = "--" + result.stop_reason.replace("_", "-")
        complain(f"{result.message}. Raise {option} to get further")
        return EXIT_LIMIT
    if result.exit_code:
        complain(f"the firmware ended with exit code {result.exit_code}")
        return EXIT_FIRMWARE
    return 0
