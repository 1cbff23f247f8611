"""``m7sim explore``: Where the cycles of an operation go along one of its dimensions."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from typing import Any

from m7sim.commands.common import add_command, add_document, write
from m7sim.commands.sweeping import add_sweep, folder, measure

EPILOG = """\
Draws the cycles per MAC (per Op where there are none) as stacked bars: issue, bank conflicts,
operands, unaligned loads, caches, mispredicted branches. Steps off the trend are named, with what
changed there: another kernel, rows that are not aligned, weights that outgrow the cache.

Values: 1..64, 4..64+4 (steps of 4), 4..512*2 (doubling), or a list such as 3,16,32.

examples:
  m7sim explore conv --sweep in_ch=1..64 --fixed out_ch=32,kernel=3
  m7sim explore 1x1 --sweep in_ch=4..512+4 --fixed size=8
  m7sim explore depthwise --sweep kernel=1..11 --out depthwise
  m7sim explore max_pool --sweep ch=1..64 --variant naive
"""
_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:([+*])(\d+))?")
MAX_VALUES = 2000


def add(commands: Any) -> None:
    sub = add_command(
        commands, "explore", _command, "Show where the cycles of an operation go along a dimension."
    )
    sub.epilog = EPILOG
    sub.add_argument("op", help="operation, such as conv, 1x1, fc, depthwise, max_pool, conv_s8")
    sub.add_argument("--sweep", required=True, metavar="NAME=VALUES", help="parameter that varies")
    sub.add_argument(
        "--fixed", action="append", metavar="NAME=N,…", help="other parameters; repeatable"
    )
    sub.add_argument(
        "--variant", default="", metavar="NAME", help="kernel (default: the usual for each shape)"
    )
    sub.add_argument(
        "--threshold", type=float, default=4.0, metavar="PERCENT", help="least step that is a cliff"
    )
    sub.add_argument("--out", metavar="DIR", help="also draw, into DIR, with the CSV behind it")
    add_sweep(sub)
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    import tempfile
    from pathlib import Path

    from m7sim.board import Board
    from m7sim.characterize.grid import GridPoint
    from m7sim.errors import CheckError, InputError
    from m7sim.ops import registry
    from m7sim.report import document, explorer, explorer_view
    from m7sim.report.canvas import open_pyplot
    from m7sim.report.layout import Style

    op = registry.get(arguments.op)
    name, values = sweep_of(arguments.sweep)
    fixed = fixed_of(arguments.fixed or [])
    if name in fixed:
        raise InputError(f"{name} is in --sweep and in --fixed")
    if not 0 < arguments.threshold < 1000:
        raise InputError(f"a threshold of {arguments.threshold} %", do="Give 1 to 100")
    shapes = [(value, op.shape(**{name: value}, **fixed)) for value in values]
    points = [
        GridPoint(registry.name_of(shape), shape.label, shape, "", (arguments.variant,))
        for _, shape in shapes
    ]
    if arguments.out:
        open_pyplot()
    with tempfile.TemporaryDirectory() as scratch:
        place = folder(arguments.out) if arguments.out else Path(scratch)
        stem = f"explore_{arguments.op}_{name}"
        table = measure(
            arguments, points, grid=f"{arguments.op}, {arguments.sweep}",
            out=place / f"{stem}_sweep.csv", title="measuring",
        )  # fmt: skip
        found = explorer.explore(
            arguments.op, name, shapes, table, Board.load(arguments.board),
            threshold=arguments.threshold / 100,
        )  # fmt: skip
        if not found.steps:
            raise CheckError("no point has figures", do=found.failures[0][1])
        if arguments.out:
            write(str(place / f"{stem}.csv"), found.sheet.text())
            explorer_view.draw(found, [place / f"{stem}.svg", place / f"{stem}.png"])
    if arguments.json:
        text = document.to_json(explorer_view.document(found))
    else:
        style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
        text = explorer_view.render(found, style=style)
        if arguments.out:
            text += f"picture: {place / stem}.svg, .png; data: {stem}.csv\n"
    write(arguments.output, text)
    return 0


def sweep_of(text: str) -> tuple[str, list[int]]:
    """Return name and values of a sweep such as ``in_ch=1..64``, ``4..64+4``, ``4..64*2``, ``3,8``.

    Raises
    ------
    InputError
        If it is none.
    """
    from m7sim.errors import InputError

    name, sign, rest = text.replace(" ", "").partition("=")
    values: list[int] = []
    for part in rest.split(","):
        match = _RANGE.fullmatch(part)
        if match:
            values += _values(int(match[1]), int(match[2]), match[3] or "+", int(match[4] or 1))
        elif part.isdigit():
            values.append(int(part))
        else:
            sign = ""
    values = sorted(set(values))
    if not (name and sign and values) or values[0] < 1 or len(values) > MAX_VALUES:
        raise InputError(
            f"--sweep {text!r} is no sweep",
            do=f"Write it like in_ch=1..64, in_ch=4..64+4 or in_ch=3,16; at most {MAX_VALUES}",
        )
    return name, values


def _values(first: int, last: int, kind: str, by: int) -> Iterable[int]:
    if (kind == "+" and by < 1) or (kind == "*" and (by < 2 or first < 1)):
        return
    for _ in range(MAX_VALUES + 1):
        if first > last:
            return
        yield first
        first = first * by if kind == "*" else first + by


def fixed_of(texts: Iterable[str]) -> dict[str, int]:
    """Return parameters such as ``out_ch=32,kernel=3``.

    Raises
    ------
    InputError
        If one is malformed or given twice.
    """
    from m7sim.errors import InputError

    found: dict[str, int] = {}
    for part in ",".join(texts).replace(" ", "").split(","):
        if not part:
            continue
        name, _, value = part.partition("=")
        if not (name and value.isdigit()) or name in found:
            raise InputError(f"--fixed {part!r}", do="Write it like out_ch=32,kernel=3, each once")
        found[name] = int(value)
    return found
