"""``m7sim sanitize``: check every access of a run."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from m7sim.commands.common import (
    EXIT_CHECK,
    EXIT_FIRMWARE,
    EXIT_LIMIT,
    add_board,
    add_command,
    add_document,
    complain,
    write,
)
from m7sim.errors import FirmwareError, InputError
from m7sim.units import count

if TYPE_CHECKING:
    from m7sim.sanitize import Rules


def add(commands: Any) -> None:
    sub = add_command(
        commands, "sanitize", _command, "Run an ELF and check every access, jump and call of it."
    )
    sub.add_argument("elf", metavar="FW.ELF", help="bare-metal Cortex-M7 ELF")
    add_board(sub)
    sub.add_argument(
        "--entry", metavar="SYMBOL", help="function to start at (default: reset, vector table)"
    )
    sub.add_argument(
        "--args", default="", metavar="TEXT", help="command line that the firmware is given"
    )
    sub.add_argument("--files", metavar="DIR", help="folder the firmware may open files in")
    sub.add_argument("--max-instructions", type=count, metavar="N", help="stop after N")
    sub.add_argument("--rules", metavar="FILE", help="TOML file with what is allowed")
    sub.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="FUNCTION:KIND",
        help="drop findings of a kind in a function; both may hold * and ?; may be repeated",
    )
    sub.add_argument(
        "--over-read",
        action="append",
        default=[],
        metavar="NAME=BYTES",
        help="bytes behind a variable that may be read; may be repeated",
    )
    sub.add_argument("--top", type=count, default=20, metavar="N", help="findings to list")
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim import session
    from m7sim.report import document, findings, progress
    from m7sim.report.layout import Style
    from m7sim.sanitize import Usage

    rules = _rules(arguments)
    firmware = session.load(arguments.elf, board=arguments.board, files=arguments.files, time=False)
    to_terminal = arguments.output == "-" and not arguments.json
    style = Style.of_stream(sys.stdout if to_terminal else None, top=arguments.top)
    console = (sys.stderr if arguments.json else sys.stdout).buffer
    code, error = 0, None
    try:
        with progress.Running(arguments.max_instructions) as running:
            result = firmware.run(
                entry=arguments.entry,
                arguments=arguments.args,
                max_instructions=arguments.max_instructions,
                stdout=running.below(console),
                sanitize=rules,
                on_progress=running.tick,
            )
        found, usage, message = result.findings, result.usage, result.message
        code = EXIT_LIMIT if result.stop_reason == "max_instructions" else 0
        code = EXIT_FIRMWARE if result.exit_code else code
    except FirmwareError as caught:
        error = caught
        found, usage, message = error.findings, error.usage or Usage(), str(error)
        code = EXIT_FIRMWARE
    if arguments.json:
        plan = firmware.configuration(entry=arguments.entry, arguments=arguments.args)
        report = document.to_json(findings.document(found, usage, plan, message=message))
    else:
        report = findings.render(found, usage, firmware.image, message=message, style=style)
    write(arguments.output, report)
    if error is not None:
        complain(str(error))
    elif found:
        number = "1 finding" if len(found) == 1 else f"{len(found)} findings, the first"
        complain(f"{number}: {found[0]}")
    return EXIT_CHECK if found else code


def _rules(arguments: argparse.Namespace) -> Rules:
    from m7sim.sanitize import Rules, parse_allow

    rules = Rules.load(arguments.rules) if arguments.rules else Rules()
    over = dict(rules.over_read_bytes)
    for text in arguments.over_read:
        name, equals, size = text.partition("=")
        if not equals or not size.isdecimal():
            raise InputError(f"{text!r} is not of the form name=bytes", where="--over-read")
        over[name] = int(size)
    allow = (*rules.allow, *map(parse_allow, arguments.allow))
    return replace(rules, over_read_bytes=over, allow=allow)
