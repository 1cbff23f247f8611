"""``m7sim net``: Run or estimate a neural network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim.commands.common import (
    EXIT_CHECK,
    add_command,
    add_document,
    add_power,
    add_target,
    write,
)

if TYPE_CHECKING:
    from m7sim.nets.estimated import GraphEstimate
    from m7sim.nets.execute import GraphRun
    from m7sim.nets.graph import Graph
    from m7sim.nets.load import Sample

BUILT_IN = "cifar10"
EPILOG = """\
MODEL is cifar10, kws:NAME (one of 21 keyword-spotting networks, with weights from a seed), or a
file: .tflite (int8), .onnx (int8 with QuantizeLinear and DequantizeLinear),
.toml (a design, which gets weights from a seed) or .npz (weights of the legacy q7 networks).

Without --estimate the network is run, every layer checked against the NumPy model, and with an
input file that has answers (y), against those. --estimate takes the cost of each layer from a table
of measured shapes instead, in seconds; with --run as well, both stand side by side.

examples:
  m7sim net kws.tflite
  m7sim net kws.tflite --input vectors.npz:2 --csv layers.csv
  m7sim net kws.tflite --run --estimate
  m7sim net other.tflite --estimate --allow-unsupported
  m7sim net resnet.tflite --memory --figure plan.png
  m7sim net cifar10 --figure layers.png
  m7sim net kws:gru-m
"""


def add(commands: Any) -> None:
    sub = add_command(
        commands, "net", _command, "Run or estimate a neural network, layer by layer."
    )
    sub.epilog = EPILOG
    sub.add_argument("network", metavar="MODEL", help="cifar10, kws:NAME, or a file of a network")
    sub.add_argument("--run", action="store_true", help="run it on the simulated board")
    sub.add_argument("--estimate", action="store_true", help="estimate it from measured shapes")
    sub.add_argument(
        "--memory",
        action="store_true",
        help="what it needs of the board's memories instead, with the best order and a plan",
    )
    sub.add_argument(
        "--input", metavar="FILE[:N]", help=".npy or .npz, and which of its rows (default: seeded)"
    )
    sub.add_argument(
        "--allow-unsupported",
        action="store_true",
        help="leave operators without a kernel out of every total, for an estimate",
    )
    sub.add_argument(
        "--placement",
        default="flash+sram",
        metavar="NAME",
        help="where code, weights, activations and scratch lie, as for characterize",
    )
    sub.add_argument("--table", metavar="FILE", help="of measured shapes (default: the package's)")
    sub.add_argument("--csv", metavar="FILE", help="also write the layers as a table")
    sub.add_argument("--figure", metavar="FILE", help="also draw time by layer (.svg, .png, .pdf)")
    add_target(sub)
    add_power(sub)
    only = sub.add_argument_group("cifar10 only")
    only.add_argument("--weights", metavar="NPZ", help="quantized weights (default: seeded ones)")
    only.add_argument(
        "--image", metavar="NPZ[:N]", help="input images, and which of them (default: a seeded one)"
    )
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    if arguments.network == BUILT_IN and not (
        arguments.estimate or arguments.csv or arguments.memory
    ):
        return _cifar10(arguments)
    from m7sim.errors import InputError
    from m7sim.nets import legacy, load
    from m7sim.report import document, graph_figure, graph_run
    from m7sim.report.layout import Style

    sample: Sample | None = None
    if arguments.network == BUILT_IN:
        graph, sample = legacy.cifar10(arguments.weights, arguments.image)
    elif arguments.weights or arguments.image:
        raise InputError("--weights and --image are for cifar10", do="Use --input.")
    else:
        graph = load.load(arguments.network, allow_unsupported=arguments.allow_unsupported)
    if arguments.memory:
        return _memory(graph, arguments)
    runs = arguments.run or not arguments.estimate
    if graph.unsupported and runs and not arguments.run:
        raise InputError(
            f"cannot be run {graph.totals.remark}", where=graph.origin, do="Use --estimate."
        )
    guess = _estimated(graph, arguments) if arguments.estimate else None
    run = None
    if runs:
        if sample is None or arguments.input:
            sample = load.sample(graph, arguments.input)
        run = _run(graph, sample, arguments)
    if arguments.csv:
        write(arguments.csv, graph_run.table(run, guess))
    if arguments.figure:
        graph_figure.draw(graph, run, guess, Path(arguments.figure))
    if arguments.json:
        report = document.to_json(graph_run.document(graph, run, sample, guess))
    else:
        style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
        report = graph_run.render(graph, run, sample, guess, style=style)
    write(arguments.output, report)
    right = run is None or sample is None or graph_run.agrees(run, sample)
    return 0 if right else EXIT_CHECK


def _memory(graph: Graph, arguments: argparse.Namespace) -> int:
    from m7sim.board import Board
    from m7sim.nets.memory import footprint
    from m7sim.report import document, memory, memory_figure
    from m7sim.report.layout import Style

    found = footprint(graph, Board.load(arguments.board))
    if arguments.figure:
        memory_figure.draw(found, Path(arguments.figure))
    style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
    doc = arguments.json
    write(
        arguments.output,
        document.to_json(memory.document(found)) if doc else memory.render(found, style=style),
    )
    return 0


def _run(graph: Graph, sample: Sample, arguments: argparse.Namespace) -> GraphRun:
    from m7sim.nets import execute
    from m7sim.report import progress

    with progress.bar("running the network") as on_layer:
        return execute.run(
            graph,
            sample.inputs,
            image_name=sample.name,
            board=arguments.board,
            core=arguments.core,
            clock_hz=arguments.clock,
            supply_mv=arguments.supply,
            voltage_scale=arguments.voltage_scale,
            peripherals=arguments.peripherals,
            placement=arguments.placement,
            on_layer=on_layer,
        )


def _estimated(graph: Graph, arguments: argparse.Namespace) -> GraphEstimate:
    from m7sim.estimate import Estimator
    from m7sim.nets import estimated

    setting = {"board": arguments.board, "clock_hz": arguments.clock}
    estimator = Estimator.load(arguments.table, **setting)
    return estimated.estimate(graph, estimator, placement=arguments.placement)


def _cifar10(arguments: argparse.Namespace) -> int:
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
