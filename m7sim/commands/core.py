"""``m7sim core``: List the core table."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from m7sim.commands.common import EXIT_CHECK, add_command, add_document, write


def add(commands: Any) -> None:
    sub = add_command(
        commands, "core", _command, "List the core table; check that it covers an ELF."
    )
    sub.add_argument(
        "--core", default="cortex_m7", metavar="NAME|FILE", help="core, or a TOML file of one"
    )
    sub.add_argument("--check", metavar="FW.ELF", help="exit 1 if an instruction in it has no row")
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.report import core_table
    from m7sim.report.layout import Style

    report, complete = core_table.report(
        arguments.core,
        check=arguments.check,
        as_json=arguments.json,
        style=Style.of_stream(sys.stdout if arguments.output == "-" else None),
    )
    write(arguments.output, report)
    return 0 if complete else EXIT_CHECK
