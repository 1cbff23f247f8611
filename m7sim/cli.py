"""The command line: ``m7sim COMMAND``.

Wiring only. The document goes to stdout, progress and errors to stderr; exit codes are those of
`m7sim.errors`. Everything heavy is imported by the command that needs it, so ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence

from m7sim import __version__, cache
from m7sim.commands import (
    characterize,
    compare,
    core,
    doctor,
    energy,
    estimate,
    explore,
    figures,
    memmap,
    net,
    probes,
    replay,
    run,
    sanitize,
    search,
    validate,
)
from m7sim.commands.common import EXIT_INTERRUPTED, Help, add_traceback, complain, tell_compiling
from m7sim.errors import M7Error

EXIT_BROKEN_PIPE = 141  # as a shell reports a program ended by SIGPIPE

EXIT_CODES = """\
exit codes:
  0    done; the firmware, if any, ended with 0
  1    a comparison, a check or a validation failed
  2    the command, a file or an argument is not usable
  3    the firmware went wrong: it faulted, jumped wild, or ended with another code than 0
  4    a limit was reached (--max-instructions, --max-cycles)
  130  interrupted with Ctrl-C
"""

# in the order of the help
COMMANDS = (
    run,
    replay,
    sanitize,
    compare,
    memmap,
    net,
    energy,
    characterize,
    estimate,
    search,
    figures,
    explore,
    validate,
    probes,
    core,
    doctor,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    show_traceback = "--traceback" in (sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    cache.on_compile = tell_compiling
    try:
        arguments = parser().parse_args(argv)
        code: int = arguments.command(arguments)
        sys.stdout.flush()
        return code
    except M7Error as error:
        if show_traceback:
            traceback.print_exc()
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away; keep the interpreter from failing once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="m7sim",
        description="Cycles, stalls and causes for Cortex-M7 code, without a board.",
        epilog=EXIT_CODES,
        formatter_class=Help,
    )
    top.add_argument("--version", action="version", version=f"m7sim {__version__}")
    add_traceback(top)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add(commands)
    return top
