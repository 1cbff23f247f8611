"""``m7sim energy``: Power at an operating point, and what repeated work draws."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from m7sim.commands.common import (
    add_board,
    add_clock,
    add_command,
    add_document,
    add_power,
    write,
)
from m7sim.errors import InputError
from m7sim.units import count, milliampere_hours, millivolts, seconds

if TYPE_CHECKING:
    from m7sim.energy import Energy, EnergyModel


def add(commands: Any) -> None:
    sub = add_command(
        commands,
        "energy",
        _command,
        "Tell what the chip draws at an operating point, or what work that is repeated draws.",
    )
    sub.add_argument(
        "result",
        nargs="?",
        metavar="RESULT.json",
        help="work: a document of m7sim run or net, --json (else see --cycles)",
    )
    add_board(sub)
    add_clock(sub)
    add_power(sub)
    sub.add_argument("--cycles", type=count, metavar="N", help="work: N cycles like CoreMark's")
    sub.add_argument(
        "--configuration",
        default="flash_l1",
        metavar="NAME",
        help="with --cycles: where code and data lie; the names are in the report",
    )
    sub.add_argument(
        "--period", type=seconds, metavar="TIME", help="the work comes every 1s, 20ms, …"
    )
    sub.add_argument(
        "--idle", default="sleep", metavar="STATE", help="between: sleep, stop, stop_low_power"
    )
    sub.add_argument("--battery", type=milliampere_hours, metavar="CAPACITY", help="such as 230mAh")
    sub.add_argument(
        "--battery-voltage", type=millivolts, metavar="V", help="(default: the supply's)"
    )
    sub.add_argument(
        "--efficiency", type=float, default=1.0, metavar="SHARE", help="of a converter behind it"
    )
    sub.add_argument(
        "--fit", action="store_true", help="show the fit behind the calibrated figures instead"
    )
    sub.add_argument(
        "--update-doc", metavar="FILE", help="also write the tables into ENERGY.md, between marks"
    )
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.energy import EnergyModel, fit
    from m7sim.report import document, energy
    from m7sim.report.layout import Style

    board = _board(arguments)
    model = EnergyModel.for_board(
        board, scale=arguments.voltage_scale, peripherals=arguments.peripherals or "off"
    )
    style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
    if arguments.fit:
        currents = model.currents
        report = energy.render_fit(currents, fit.fit(currents), fit.held_out(currents))
    elif arguments.period or arguments.cycles or arguments.result:
        report = _repeated(arguments, model, style)
    elif arguments.battery:
        raise InputError("a battery without work", do="Give --cycles or a result, and --period")
    elif arguments.json:
        report = document.to_json(energy.document(model))
    else:
        report = energy.render(model, style=style)
    write(arguments.output, report)
    if arguments.update_doc:
        _update_doc(arguments.update_doc, model)
    return 0


def _update_doc(path: str, model: EnergyModel) -> None:
    from pathlib import Path

    from m7sim.report import energy_doc

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=path) from error
    write(path, energy_doc.put_tables(text, model.currents))


def _board(arguments: argparse.Namespace) -> Any:
    from m7sim.board import Board

    board = Board.load(arguments.board)
    return board.override(clock_hz=arguments.clock, supply_mv=arguments.supply)


def _repeated(arguments: argparse.Namespace, model: EnergyModel, style: Any) -> str:
    from m7sim.energy import duty
    from m7sim.report import document, energy

    if not (arguments.cycles or arguments.result):
        raise InputError("--period without work", do="Give --cycles or a result")
    if arguments.cycles and arguments.result:
        raise InputError("both --cycles and a result are given", do="Leave one of them out")
    work = _work(arguments)
    done = work(model)
    cycle = duty.duty_cycle(model, done, arguments.period or 0.0, idle=arguments.idle)
    battery = None
    if arguments.battery:
        voltage = arguments.battery_voltage or model.point.supply_mv
        battery = duty.Battery(arguments.battery, voltage, arguments.efficiency)
    race: tuple[duty.ClockChoice, ...] = ()
    if arguments.period and arguments.voltage_scale is None:
        race = duty.race_to_idle(
            model.board, work, arguments.period, idle=arguments.idle,
            peripherals=arguments.peripherals or "off",
        )  # fmt: skip
    if arguments.json:
        return document.to_json(energy.document(model, done, cycle, battery, race))
    return energy.render_duty(model, done, cycle, battery, race, style=style)


def _work(arguments: argparse.Namespace) -> Any:
    """Return what gives the energy of one piece of work at a model's operating point."""
    if arguments.cycles:

        def mix(model: EnergyModel) -> Energy:
            return model.of_mix(arguments.configuration, cycles=arguments.cycles)

        return mix
    counts = _counts(arguments.result)

    def run(model: EnergyModel) -> Energy:
        return model.of_counts(counts)

    return run


def _counts(path: str) -> dict[str, float]:
    """Return the events of a result's document."""
    import json
    from pathlib import Path

    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=path) from error
    except ValueError as error:
        raise InputError(f"not a JSON document: {error}", where=path) from error
    energy = result.get("energy") if isinstance(result, dict) else None
    events = energy.get("events") if isinstance(energy, dict) else None
    if not isinstance(events, dict) or not all(
        isinstance(n, int | float) and n >= 0 for n in events.values()
    ):
        raise InputError(
            "no energy in this document",
            where=path,
            do="Make it with m7sim run or net, --json -o RESULT.json, on a board with current data",
        )
    return {str(name): float(n) for name, n in events.items()}
