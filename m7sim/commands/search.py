"""``m7sim search``: Search a space of networks for those worth more on the device."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from m7sim.commands.common import EXIT_CHECK, add_command, add_document, write
from m7sim.units import count, joules, seconds, size_bytes

EPILOG = """\
The space is of DS-CNN-like networks: a first convolution, depthwise separable blocks, an average
pooling, a fully connected layer.

  family = "q7"                      # or s8
  input = [49, 10]
  classes = 12
  [space]
  layers = { from = 3, to = 11 }     # the first convolution and the blocks
  features = { from = 16, to = 276, step = 4 }    # or a list
  features_by_layer = "same"         # or free: each layer has its own
  first_kernel = [[10, 4]]           # time, frequency
  first_stride = [[1, 1], [2, 1], [2, 2]]
  block_kernel = [[3, 3]]
  block_stride = [[1, 1], [2, 2]]    # of the first block; 1 in the others

Spaces of up to --trials networks are gone through; in larger ones Optuna proposes so many.

examples:
  m7sim search keywords --max-latency 100ms --max-ram 64KiB --figure front.png
  m7sim search space.toml --max-energy 20mJ --max-flash 512KiB --figure front.png --csv all.csv
"""


def add(commands: Any) -> None:
    sub = add_command(
        commands,
        "search",
        _command,
        "Search a space of networks by estimates, within limits, and confirm the winners.",
    )
    sub.epilog = EPILOG
    sub.add_argument(
        "space", metavar="SPACE.toml", help="what may vary; keywords is one of the package"
    )
    sub.add_argument("--max-latency", type=seconds, metavar="TIME", help="such as 100ms")
    sub.add_argument("--max-energy", type=joules, metavar="ENERGY", help="such as 20mJ")
    sub.add_argument("--max-ram", type=size_bytes, metavar="SIZE", help="such as 64KiB")
    sub.add_argument("--max-flash", type=size_bytes, metavar="SIZE", help="such as 512KiB")
    sub.add_argument("--trials", type=count, default=5000, metavar="N", help="most estimates")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="of the optimiser")
    sub.add_argument(
        "--no-confirm", action="store_true", help="do not run the winners in full on the simulator"
    )
    sub.add_argument(
        "--extrapolate", action="store_true", help="take networks with shapes outside the table too"
    )
    sub.add_argument("--table", metavar="FILE", help="of estimates (default: that of the package)")
    sub.add_argument("--figure", metavar="FILE", help="also draw the front (.svg, .png, .pdf)")
    sub.add_argument("--csv", metavar="FILE", help="also write all candidates")
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    # Hundreds of small matrices: threads would only wait for each other. NumPy reads it once.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from m7sim.errors import ToolError
    from m7sim.estimate import Estimator
    from m7sim.nets.search import confirm, search, space
    from m7sim.report import canvas, document, progress, search_figure
    from m7sim.report import search as report
    from m7sim.report.layout import Style

    if arguments.figure:
        canvas.open_pyplot()  # a missing library is told before the work, not after
    networks = space.load(arguments.space)
    estimator = Estimator.load(arguments.table)
    limits = search.Limits(
        latency_s=arguments.max_latency,
        energy_j=arguments.max_energy,
        ram_bytes=arguments.max_ram,
        flash_bytes=arguments.max_flash,
    )
    try:
        code_bytes = confirm.code_bytes(networks, board=str(estimator.points.setting["board"]))
    except ToolError:
        if not arguments.no_confirm:
            raise
        code_bytes = 0  # without the cross compiler flash is weights alone, and the report says so
    with progress.bar("estimating networks") as tell:
        found = search.run(
            networks, limits, estimator, trials=arguments.trials, seed=arguments.seed,
            code_bytes=code_bytes, extrapolate=arguments.extrapolate,
            on_batch=lambda done, of: tell(done, of, ""),
        )  # fmt: skip
    confirmed = []
    if not arguments.no_confirm:
        with progress.bar("running the winners") as tell:
            confirmed = confirm.confirm(found, found.to_confirm, on_layer=tell)
    style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
    if arguments.json:
        text = document.to_json(report.document(found, confirmed))
    else:
        text = report.render(found, confirmed, style=style)
    if arguments.figure and len(found.front):
        search_figure.draw(found, confirmed, Path(arguments.figure))
    if arguments.csv:
        write(arguments.csv, report.to_csv(found))
    write(arguments.output, text)
    sound = found.within.any() and all(one.matches for one in confirmed)
    return 0 if sound else EXIT_CHECK
