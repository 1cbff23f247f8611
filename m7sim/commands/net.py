"""``m7sim net``: Run a neural network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from m7sim.commands.common import (
    EXIT_CHECK,
    add_command,
    add_document,
    add_power,
    add_target,
    write,
)


def add(commands: Any) -> None:
    sub = add_command(
        commands, "net", _command, "Run a neural network layer by layer on the board."
    )
    sub.add_argument("network", choices=["cifar10"], help="which network")
    add_target(sub)
    add_power(sub)
    sub.add_argument("--weights", metavar="NPZ", help="quantized weights (default: seeded ones)")
    sub.add_argument(
        "--image", metavar="NPZ[:N]", help="input images, and which of them (default: a seeded one)"
    )
    sub.add_argument(
        "--figure", metavar="FILE", help="also draw cycles by layer (.svg, .png, .pdf)"
    )
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.nets import cifar10, published, run
    from m7sim.report import document, figure, network, progress
    from m7sim.report.layout import Style

    net, image, image_name = cifar10.choose(arguments.weights, arguments.image)
    with progress.bar("running the network") as on_layer:
        done = run.run(
            net,
            image,
            image_name=image_name,
            board=arguments.board,
            core=arguments.core,
            clock_hz=arguments.clock,
            supply_mv=arguments.supply,
            voltage_scale=arguments.voltage_scale,
            peripherals=arguments.peripherals,
            on_layer=on_layer,
        )
    silicon = published.cifar10()
    beside = silicon if network.fits(done, silicon) else None
    if arguments.json:
        report = document.to_json(network.document(done, beside))
    else:
        style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
        report = network.render(done, beside, style=style)
    if arguments.figure:
        figure.network(done, beside, Path(arguments.figure))
    write(arguments.output, report)
    return 0 if done.total.matches else EXIT_CHECK
