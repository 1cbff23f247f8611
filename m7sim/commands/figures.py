"""``m7sim figures``: The paper's figures, measured and drawn."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from m7sim.commands.common import add_command, write
from m7sim.commands.sweeping import add_sweep, folder, measure

EPILOG = """\
  1  throughput, mean power and energy per Op by type of operation in a CIFAR-10 network,
     and the gain of optimised over naive kernels
  2  throughput against multiply-accumulates per output, for several hundred shapes
  3  energy of five keyword-spotting networks of nearly equal Ops
  4  two of them by type of operation, as Ops and as run time
  5  memory for weights and activations of 21 keyword-spotting networks

Written to --out, for figure 1: fig1.svg, fig1.png, fig1.csv and fig1_*.csv behind them, and
fig1_sweep.csv with everything that was measured. A second run measures only what has changed.

examples:
  m7sim figures 1 2
  m7sim figures 3 4 5
  m7sim figures 1 --board stm32h743 --out h743
  m7sim figures 2 --placement auto --jobs 4
"""


def add(commands: Any) -> None:
    sub = add_command(
        commands, "figures", _command, "Measure and draw figures of operations, beside published."
    )
    sub.epilog = EPILOG
    sub.add_argument("numbers", nargs="*", type=int, metavar="N", help="which (default: all)")
    sub.add_argument("--out", default="figures", metavar="DIR", help="where files go")
    add_sweep(sub)
    sub.add_argument(
        "--update-doc",
        metavar="FILE",
        help="also write claims and tables into FIGURES.md, between marks",
    )
    sub.add_argument(
        "-o", "--output", default="-", metavar="FILE", help="where the text goes; - is stdout"
    )


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.characterize import grid
    from m7sim.errors import InputError
    from m7sim.report.canvas import open_pyplot
    from m7sim.report.figures import FIGURES, NETWORK_FIGURES, doc, published
    from m7sim.report.layout import Style

    known = [*FIGURES, *NETWORK_FIGURES]
    numbers = list(dict.fromkeys(arguments.numbers or known))
    for number in numbers:
        if number not in known:
            raise InputError(f"no figure {number}", do=f"There are: {', '.join(map(str, known))}")
    open_pyplot()  # a missing library is told now, not after minutes
    out = folder(arguments.out)
    style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
    texts, analyses = [], []
    for number in numbers:
        stem, title = f"fig{number}", f"measuring for figure {number}"
        if number in NETWORK_FIGURES:
            networks = NETWORK_FIGURES[number]
            table, points = None, networks.points()
            if points:
                kept = out / f"{networks.SWEEP}_sweep.csv"
                table = measure(arguments, points, grid=networks.SWEEP, out=kept, title=title)
            analysis = networks.analyse(table)
        else:
            figure = FIGURES[number]
            points = grid.points(grid.load(figure.GRID), figure.OPS)
            kept = out / f"{stem}_sweep.csv"
            table = measure(arguments, points, grid=figure.GRID, out=kept, title=title)
            analysis = figure.analyse(table, published.beside(table))
        for sheet in analysis.sheets:
            write(str(out / f"{stem}{sheet.name}.csv"), sheet.text())
        analysis.draw([out / f"{stem}.svg", out / f"{stem}.png"])
        analyses.append(analysis)
        texts.append(analysis.render(style=style))
        texts.append(f"picture: {out / stem}.svg, .png; data: {_names(out, stem, analysis)}\n\n")
    if arguments.update_doc:
        path = Path(arguments.update_doc)
        write(str(path), doc.put(path.read_text(encoding="utf-8"), analyses))
    write(arguments.output, "".join(texts))
    return 0


def _names(out: Path, stem: str, analysis: Any) -> str:
    return ", ".join(f"{stem}{sheet.name}.csv" for sheet in analysis.sheets)
