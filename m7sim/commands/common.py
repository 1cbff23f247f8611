"""What the commands of the command line share: options, exit codes, writing of reports."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from m7sim.errors import InputError
from m7sim.units import hertz, millivolts

EXIT_CHECK, EXIT_FIRMWARE, EXIT_LIMIT = 1, 3, 4
EXIT_INTERRUPTED = 130

DETAIL_INSTRUCTIONS = 50_000  # static ones, that a document lists for `m7sim compare`


class Help(argparse.RawDescriptionHelpFormatter):
    """Adds the default to the help of every option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        has_default = action.default not in (None, False, "", [], argparse.SUPPRESS)
        if has_default and action.option_strings and "%(default)" not in text:
            text += " (default: %(default)s)"
        return text


def complain(message: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    print(f"m7sim: {message}", file=sys.stderr)


def tell_compiling(name: str, done: int, known: int) -> None:
    """Show that kernels are being compiled; see `m7sim.cache.on_compile`."""
    _compiling()(name, done, known)


@functools.cache
def _compiling() -> Callable[[str, int, int], None]:
    from m7sim.report.progress import Compiling  # late: loads the library that draws

    return Compiling()


def add_traceback(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--traceback",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show where in m7sim an error was raised",
    )


def add_command(
    commands: Any, name: str, command: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, formatter_class=Help
    )
    sub.set_defaults(command=command)
    add_traceback(sub)
    return sub


def add_board(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--board", default="stm32f746", metavar="NAME|FILE", help="board, or a TOML file of one"
    )


def add_target(sub: argparse.ArgumentParser) -> None:
    add_board(sub)
    add_core(sub)
    add_clock(sub)


def add_core(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--core", default="cortex_m7", metavar="NAME|FILE", help="core, or a TOML file of one"
    )


def add_clock(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--clock", type=hertz, metavar="HZ", help="core clock such as 216MHz (default: the board's)"
    )


def add_power(sub: argparse.ArgumentParser) -> None:
    """Add what power depends on beside the clock."""
    sub.add_argument(
        "--supply", type=millivolts, metavar="V", help="supply such as 3.3V (default: the board's)"
    )
    sub.add_argument(
        "--voltage-scale",
        type=int,
        metavar="N",
        help="of the core regulator (default: the lowest voltage the clock allows)",
    )
    sub.add_argument(
        "--peripherals",
        metavar="off|on|NAMES",
        help="which are clocked: none, all, or some such as DMA2,LTDC (default: off)",
    )


def add_document(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="one JSON document instead of text")
    sub.add_argument(
        "-o", "--output", default="-", metavar="FILE", help="where the report goes; - is stdout"
    )


def write(output: str, report: str) -> None:
    """Write to stdout for ``-``, else to a file that is complete or not there at all."""
    if output == "-":
        sys.stdout.write(report)
        return
    path = Path(output)
    try:
        if path.exists() and not path.is_file():  # a pipe or a device must not be replaced
            path.write_text(report, encoding="utf-8")
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(report)
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=output) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
