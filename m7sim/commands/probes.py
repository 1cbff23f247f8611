"""``m7sim probes``: Check measured facts."""

from __future__ import annotations

import argparse
from typing import Any

from m7sim.commands.common import EXIT_CHECK, add_command, add_document, add_target, write


def add(commands: Any) -> None:
    from m7sim.validate import probes_options

    sub = add_command(commands, "probes", _command, "Check the model against every measured fact.")
    add_target(sub)
    probes_options.add(sub)
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.report import probes_command

    report, good = probes_command.report(arguments)
    write(arguments.output, report)
    return 0 if good else EXIT_CHECK
