"""``m7sim doctor``: Check this machine."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from m7sim.commands.common import EXIT_CHECK, add_command, add_document, write


def add(commands: Any) -> None:
    sub = add_command(
        commands,
        "doctor",
        _command,
        "Check that execution and captured addresses are right on this machine.",
    )
    sub.add_argument(
        "--force-memory-hooks",
        action="store_true",
        help="execute with the engine's memory hooks, to see the corruption they cause",
    )
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.report import doctor
    from m7sim.report.layout import Style

    report, healthy = doctor.report(
        force_memory_hooks=arguments.force_memory_hooks,
        as_json=arguments.json,
        style=Style.of_stream(sys.stdout if arguments.output == "-" else None),
    )
    write(arguments.output, report)
    return 0 if healthy else EXIT_CHECK
