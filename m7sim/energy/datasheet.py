"""The datasheet's current tables beside the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

from m7sim.board import Board
from m7sim.energy.model import EnergyModel
from m7sim.energy.point import OFF, ON
from m7sim.energy.table import Currents


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of the datasheet and what the model says."""

    table: str
    configuration: str
    clock_hz: int
    peripherals: str  # "off" or "on"
    datasheet_ma: float
    model_ma: float

    @property
    def error(self) -> float:
        """Relative, of the model."""
        return self.model_ma / self.datasheet_ma - 1


@cache
def _board(chip: str) -> Board:
    return Board.load(chip)


def model_at(currents: Currents, clock_hz: int, peripherals: str = OFF) -> EnergyModel:
    """Return the model of the chip's own board at a clock, wait states as the clock needs them."""
    board = _board(currents.chip).override(clock_hz=clock_hz)
    return EnergyModel.for_board(board, peripherals=peripherals, currents=currents)


def mix_current_ma(model: EnergyModel, configuration: str) -> float:
    """Return the current of CoreMark-like code, or of Sleep."""
    charge = float(model.mix_rates(configuration) @ model.charges_pc)
    return model.point.current_ma(charge, asleep=configuration == "sleep")


def compare(currents: Currents) -> tuple[Comparison, ...]:
    """Return every row of the datasheet for every memory configuration that it covers."""
    return _compare(_ById(currents))


class _ById:
    """Lets a table that holds dictionaries be a key of a cache: by what it is, not what it says."""

    def __init__(self, currents: Currents) -> None:
        self.currents = currents

    def __hash__(self) -> int:
        return id(self.currents)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.currents is self.currents


@lru_cache(maxsize=8)
def _compare(key: _ById) -> tuple[Comparison, ...]:
    currents = key.currents
    found = []
    clocks = sorted({row.clock_hz for row in currents.rows})
    models = {(hz, p): model_at(currents, hz, p) for hz in clocks for p in (OFF, ON)}
    for row in currents.rows:
        for configuration in row.configurations:
            for peripherals, measured in ((OFF, row.off_ma), (ON, row.on_ma)):
                modelled = mix_current_ma(models[row.clock_hz, peripherals], configuration)
                found.append(
                    Comparison(
                        row.table, configuration, row.clock_hz, peripherals, measured, modelled
                    )
                )
    return tuple(found)
