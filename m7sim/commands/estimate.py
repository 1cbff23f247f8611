"""``m7sim estimate``: What an operation will take, from a table of measured shapes."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from m7sim.commands.common import add_command, add_document, write
from m7sim.units import hertz

EPILOG = """\
Sizes are parameters of the operation, as in a grid of `m7sim characterize`: in_ch=32 out_ch=64
size=16 kernel=3 (size, kernel, stride and pad set y and x at once; what is left out has its
default). Without --table the one of the package is used: our kernels on the stm32f746, made by
tools/estimate-table. Without OP, what the table covers is listed.

examples:
  m7sim estimate conv size=16 in_ch=32 out_ch=64 kernel=3
  m7sim estimate fc_s8 in_len=640 out_len=128 --json
  m7sim estimate --check                        errors of shapes that were held out, by operation
  m7sim characterize --shapes my.toml --out my.parquet
  m7sim estimate conv in_ch=20 --table my.parquet
"""


def add(commands: Any) -> None:
    sub = add_command(
        commands,
        "estimate",
        _command,
        "Estimate cycles and energy of an operation from a table of measured shapes.",
    )
    sub.epilog = EPILOG
    sub.add_argument("op", nargs="?", metavar="OP", help="operation, such as conv or fc_s8")
    sub.add_argument("sizes", nargs="*", metavar="NAME=N", help="parameters of its shape")
    sub.add_argument("--variant", default="", metavar="NAME", help="kernel (default: the usual)")
    sub.add_argument("--placement", default="", metavar="NAME", help="of code and arrays")
    sub.add_argument(
        "--extrapolate", action="store_true", help="estimate outside the measured range as well"
    )
    sub.add_argument(
        "--check", action="store_true", help="errors of held-out points instead, of OP or of all"
    )
    sub.add_argument(
        "--table", metavar="FILE", help="of m7sim characterize (default: that of the package)"
    )
    which = sub.add_argument_group("which points of a table with several settings")
    which.add_argument("--board", metavar="NAME")
    which.add_argument("--clock", type=hertz, metavar="HZ")
    which.add_argument("--kernels", metavar="NAME")
    which.add_argument("--cflags", metavar="FLAGS")
    which.add_argument("--warm", action="store_true", help="points measured with warm caches")
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    # Hundreds of small matrices: threads would only wait for each other. NumPy reads it once.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from m7sim.errors import InputError
    from m7sim.estimate import Estimator
    from m7sim.ops import registry
    from m7sim.report import document, estimate
    from m7sim.report.layout import Style

    estimator = Estimator.load(
        arguments.table,
        board=arguments.board,
        clock_hz=arguments.clock,
        kernels=arguments.kernels,
        cflags=arguments.cflags,
        start="warm" if arguments.warm else None,
    )
    style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
    doc: dict[str, Any]
    if arguments.check:
        if arguments.sizes:
            raise InputError("--check takes an operation, no sizes")
        ops = [arguments.op] if arguments.op else []
        found = estimator.check(ops, placement=arguments.placement)
        doc = estimate.check_document(estimator, found)
        text = "" if arguments.json else estimate.render_check(estimator, found, style=style)
    elif arguments.op is None:
        doc = estimate.coverage_document(estimator)
        text = "" if arguments.json else estimate.render_coverage(estimator, style=style)
    else:
        one = estimator.estimate(
            registry.get(arguments.op).shape(**_sizes(arguments.sizes)),
            variant=arguments.variant,
            placement=arguments.placement,
            extrapolate=arguments.extrapolate,
        )
        doc = estimate.document(estimator, one)
        text = "" if arguments.json else estimate.render(estimator, one, style=style)
    write(arguments.output, document.to_json(doc) if arguments.json else text)
    return 0


def _sizes(words: list[str]) -> dict[str, int]:
    from m7sim.errors import InputError

    found = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not (sign and value.isdecimal()):
            raise InputError(f"{word!r} is no size", do="Write sizes like in_ch=32")
        if name in found:
            raise InputError(f"{name} is given twice")
        found[name] = int(value)
    return found
