"""The fit behind the calibrated figures of a table of currents; it proposes, and changes nothing.

Every row of the datasheet is linear in what is sought: static current by voltage scale, charge by
event, and the share of the peripherals. The charges marked as guesses stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.energy.events import Event
from m7sim.energy.point import operating_point
from m7sim.energy.table import CALIBRATED, Currents
from m7sim.errors import TableError

F64 = NDArray[np.float64]

# The datasheet gives whole mA, half of which is up to 10 % of a row: a high norm keeps the largest
# error small, where squares would trade one bad row for many good ones.
NORM: Final = 6
ROUNDS: Final = 100
PERIPHERALS: Final = ("peripherals.static_ma", "peripherals.charge_pc", "peripherals.asleep_pc")


@dataclass(frozen=True)
class Fitted:
    """A value that the fit proposes, and how far it moves."""

    name: str
    value: float
    low: float
    high: float
    in_table: float


@dataclass(frozen=True)
class _System:
    """``matrix @ values ~ 1`` with what the guesses draw already on the left."""

    names: tuple[str, ...]
    matrix: F64
    known: F64
    clocks: NDArray[np.int64]


def fit(currents: Currents) -> tuple[Fitted, ...]:
    """Fit static currents and calibrated charges to the datasheet's rows.

    Returns
    -------
    One entry per value, with the range over fits without one of the clocks, and with each guess at
    the ends of its range.

    Raises
    ------
    TableError
        If the rows do not determine every value, or one comes out negative.
    """
    system = _system(currents, lambda event: currents.charges_pc[event].value)
    best = _solve(system, currents)
    others = [best]
    for clock in np.unique(system.clocks):
        keep = system.clocks != clock
        if np.linalg.matrix_rank(system.matrix[keep]) == len(system.names):
            part = _System(
                system.names, system.matrix[keep], system.known[keep], system.clocks[keep]
            )
            others.append(_solve(part, currents, check=False))
    for event in _guesses(currents):
        for end in ("low", "high"):
            others.append(
                _solve(_system(currents, _moved(currents, event, end)), currents, check=False)
            )
    stacked = np.array(others)
    table = _table_values(currents)
    return tuple(
        Fitted(name, float(best[k]), float(max(stacked[:, k].min(), 0.0)),
               float(stacked[:, k].max()), table[name])
        for k, name in enumerate(system.names)
    )  # fmt: skip


def held_out(currents: Currents) -> dict[int, float]:
    """Largest relative error at each clock when the fit has not seen it, by clock in hertz.

    A clock that alone determines a value (the only one on its voltage scale) is not in the result.
    """
    system = _system(currents, lambda event: currents.charges_pc[event].value)
    errors = {}
    for clock in np.unique(system.clocks).tolist():
        keep = system.clocks != clock
        if np.linalg.matrix_rank(system.matrix[keep]) < len(system.names):
            continue
        part = _System(system.names, system.matrix[keep], system.known[keep], system.clocks[keep])
        values = _solve(part, currents, check=False)
        left = ~keep
        errors[clock] = float(np.abs(system.matrix[left] @ values + system.known[left] - 1).max())
    return errors


def _moved(currents: Currents, moved: Event, end: str) -> Callable[[Event], float]:
    def charge(event: Event) -> float:
        figure = currents.charges_pc[event]
        value: float = getattr(figure, end) if event is moved else figure.value
        return value

    return charge


def _guesses(currents: Currents) -> list[Event]:
    return [e for e, figure in currents.charges_pc.items() if figure.confidence != CALIBRATED]


def _names(currents: Currents) -> tuple[str, ...]:
    fitted = (e.key for e, f in currents.charges_pc.items() if f.confidence == CALIBRATED)
    return (*(scale.name for scale in currents.scales), *fitted, *PERIPHERALS)


def _table_values(currents: Currents) -> dict[str, float]:
    values = {scale.name: scale.static_ma.value for scale in currents.scales}
    values |= {event.key: figure.value for event, figure in currents.charges_pc.items()}
    figures = (
        currents.peripherals_static_ma, currents.peripherals_pc, currents.peripherals_asleep_pc
    )  # fmt: skip
    return values | {name: f.value for name, f in zip(PERIPHERALS, figures, strict=True)}


def _system(currents: Currents, guess_pc: Callable[[Event], float]) -> _System:
    names = _names(currents)
    column = {name: k for k, name in enumerate(names)}
    matrix, known, clocks = [], [], []
    board = Board.load(currents.chip)
    for row in currents.rows:
        point = operating_point(currents, row.clock_hz, currents.typical_mv)
        states = board.override(clock_hz=row.clock_hz).flash_wait_states
        ma_per_pc = row.clock_hz * 1e-9 * point.charge_factor
        for configuration in row.configurations:
            for on, measured in ((False, row.off_ma), (True, row.on_ma)):
                line = np.zeros(len(names))
                line[column[point.scale.name]] = 1
                guessed_ma = 0.0
                for event, rate in currents.mix(configuration, states).items():
                    if event.key in column:
                        line[column[event.key]] = rate * ma_per_pc
                    else:
                        guessed_ma += rate * ma_per_pc * guess_pc(event)
                if on:
                    line[[column[name] for name in PERIPHERALS]] = (
                        1, ma_per_pc, ma_per_pc if configuration == "sleep" else 0,
                    )  # fmt: skip
                matrix.append(line / measured)
                known.append(guessed_ma / measured)
                clocks.append(row.clock_hz)
    return _System(names, np.array(matrix), np.array(known), np.array(clocks, np.int64))


def _solve(system: _System, currents: Currents, *, check: bool = True) -> F64:
    """Minimise the norm of the relative errors by least squares, weighted again and again."""
    target = 1 - system.known
    rank = np.linalg.matrix_rank(system.matrix)
    if rank < len(system.names):
        raise TableError(
            f"the datasheet's rows determine {rank} of {len(system.names)} values",
            where=currents.path,
            do="Mark charges that they cannot separate as a guess",
        )
    weight = np.ones(len(target))
    values: F64 = np.zeros(len(system.names))
    for _ in range(ROUNDS):
        root = np.sqrt(weight)
        solved = np.linalg.lstsq(system.matrix * root[:, None], target * root, rcond=None)
        values = np.asarray(solved[0], np.float64)
        error = np.abs(system.matrix @ values - target)
        wanted = np.maximum(error / max(error.max(), 1e-12), 1e-3) ** (NORM - 2)
        weight = 0.9 * weight + 0.1 * wanted  # damped: the plain iteration swings
    negative = [n for n, value in zip(system.names, values, strict=True) if value < 0]
    if check and negative:
        raise TableError(f"the fit makes {', '.join(negative)} negative", where=currents.path)
    return values


def rounded(fitted: Iterable[Fitted]) -> dict[str, tuple[float, float, float]]:
    """Return value, low and high as a table would state them."""
    out = {}
    for entry in fitted:
        digits = 2 if "static" in entry.name or entry.name.startswith("VOS") else 1
        out[entry.name] = (
            round(entry.value, digits), round(entry.low, digits), round(entry.high, digits)
        )  # fmt: skip
    return out
