"""Cycles and events to joules at an operating point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.energy.events import N_EVENTS, Event, Events, count_events
from m7sim.energy.point import OFF, OperatingPoint, operating_point
from m7sim.energy.table import GUESS, Currents, currents_of
from m7sim.errors import InputError, TableError
from m7sim.isa.classes import CLASSES
from m7sim.isa.code import CodeArrays
from m7sim.timing.result import Timing

F64 = NDArray[np.float64]

FIXED = "fixed"  # part of the energy that no event draws: static current, clocked peripherals


@dataclass(frozen=True)
class Energy:
    """Energy of a run, of a typical chip at 25 C.

    Attributes
    ----------
    energy_nj
        Total; the sums of ``parts_nj``, ``classes_nj`` and ``row_nj`` are equal to it.
    low_nj, high_nj
        What the datasheet's rows leave open: the fit's largest error, and how far the run's mix of
        events is from the mixes that were measured, weighted by the ranges of the charges.
    parts_nj
        By event (`Event.key`), and ``fixed`` for static current and clocked peripherals.
    classes_nj
        By instruction class, stalls of the instruction included; most first.
    counts
        Events by `Event.key`.
    row_nj
        float64[row of ``Code``]
    """

    energy_nj: float
    low_nj: float
    high_nj: float
    cycles: int
    instructions: int
    point: OperatingPoint
    parts_nj: dict[str, float]
    classes_nj: dict[str, float]
    counts: dict[str, float]
    row_nj: F64 = field(repr=False)

    @property
    def time_s(self) -> float:
        return self.cycles / self.point.clock_hz

    @property
    def mean_power_mw(self) -> float:
        return self._mw(self.energy_nj)

    @property
    def low_mw(self) -> float:
        return self._mw(self.low_nj)

    @property
    def high_mw(self) -> float:
        return self._mw(self.high_nj)

    power_mw = mean_power_mw

    @property
    def nj_per_instruction(self) -> float:
        return self.energy_nj / self.instructions if self.instructions else 0.0

    @property
    def current_ma(self) -> float:
        """Mean current drawn from the supply."""
        return self.mean_power_mw / self.point.supply_mv * 1e3

    def _mw(self, energy_nj: float) -> float:
        return energy_nj * 1e-6 / self.time_s if self.cycles else 0.0


@dataclass(frozen=True)
class EnergyModel:
    """Energy of code on a board; make one with `for_board`."""

    board: Board
    currents: Currents
    point: OperatingPoint

    @classmethod
    def for_board(
        cls,
        board: Board,
        *,
        supply_mv: int | None = None,
        scale: int | None = None,
        peripherals: str | Iterable[str] = OFF,
        currents: Currents | None = None,
    ) -> Self:
        """Return the model of a board at its clock.

        Parameters
        ----------
        board
            Clock, supply, wait states and which caches are on come from it.
        supply_mv
            Default the board's, else the currents' typical one.
        scale, peripherals
            As of `operating_point`.
        currents
            Default those that come with the package for the chip of the board's name.

        Raises
        ------
        InputError
            If there is no current data for the chip, or the operating point is impossible.
        TableError
            If the table of currents breaks its schema.
        """
        currents = currents_of(board.name) if currents is None else currents
        supply = supply_mv or board.supply_mv or currents.typical_mv
        point = operating_point(
            currents, board.clock_hz, supply, scale=scale, peripherals=peripherals
        )
        return cls(board, currents, point)

    @cached_property
    def charges_pc(self) -> F64:
        """Charge of each event at the operating point, float64[Event]."""
        return self._charges("value")

    def _charges(self, which: str) -> F64:
        table = self.currents.charges_pc
        charges = np.array([getattr(table[event], which) for event in Event])
        return charges * self.point.charge_factor

    def of(self, timing: Timing, code: CodeArrays) -> Energy:
        """Return the energy of a run.

        Parameters
        ----------
        timing
            Of the run, on the model's board.
        code
            Columns of the code it executed (``Code.arrays()``).
        """
        return self.of_events(count_events(timing, code, self.board))

    def of_events(self, events: Events) -> Energy:
        """Return the energy of events counted by row."""
        volts = self.point.supply_mv / 1e3
        charges = self.charges_pc
        fixed_pc = self.point.current_ma(0.0) / self.point.clock_hz * 1e9  # a cycle
        row_nj = (events.counts @ charges + events.cycles * fixed_pc) * volts * 1e-3
        parts = events.totals * charges * volts * 1e-3
        parts_nj = {event.key: float(parts[event]) for event in Event if parts[event]}
        parts_nj[FIXED] = events.total_cycles * fixed_pc * volts * 1e-3
        by_class = np.zeros(len(CLASSES))
        np.add.at(by_class, events.klass, row_nj)
        order = [k for k in np.argsort(-by_class, kind="stable").tolist() if by_class[k]]
        total = float(row_nj.sum())
        spread = self._spread_pc(events) * volts * 1e-3 + total * self.calibration_error
        return Energy(
            energy_nj=total,
            low_nj=max(total - spread, 0.0),
            high_nj=total + spread,
            cycles=events.total_cycles,
            instructions=round(float(events.totals[Event.INSTRUCTION])),
            point=self.point,
            parts_nj=parts_nj,
            classes_nj={CLASSES[k]: float(by_class[k]) for k in order},
            counts={event.key: float(n) for event in Event if (n := events.totals[event])},
            row_nj=row_nj,
        )

    def of_mix(self, configuration: str, *, cycles: int = 1_000_000) -> Energy:
        """Return the energy of code like CoreMark, or of Sleep, for a number of cycles.

        Raises
        ------
        InputError
            If there is no such memory configuration.
        """
        counts = self.mix_rates(configuration)[None, :] * cycles
        events = Events(np.array([cycles], np.int64), counts, np.zeros(1, np.int16))
        energy = self.of_events(events)
        if configuration != "sleep" or not self.point.asleep_pc:
            return energy
        more_nj = cycles * self.point.asleep_pc * self.point.supply_mv * 1e-6
        grown = 1 + more_nj / energy.energy_nj
        return replace(
            energy,
            energy_nj=energy.energy_nj + more_nj,
            low_nj=energy.low_nj * grown,
            high_nj=energy.high_nj * grown,
            parts_nj=energy.parts_nj | {FIXED: energy.parts_nj[FIXED] + more_nj},
            row_nj=energy.row_nj + more_nj,
        )

    def of_counts(self, counts: Mapping[str, float]) -> Energy:
        """Return the energy of a run known by its counts of events (`Energy.counts`).

        With them a run can be moved to another operating point; its cycles stay what they were.

        Raises
        ------
        InputError
            If an event is unknown or there are no cycles.
        """
        line = np.zeros((1, N_EVENTS))
        known = {event.key: event for event in Event}
        for name, n in counts.items():
            if name not in known:
                raise InputError(f"no event {name!r}", do=suggestion(name, known))
            line[0, known[name]] = n
        cycles = round(line[0, Event.CLOCK])
        if cycles <= 0:
            raise InputError("a run without cycles has no power")
        return self.of_events(Events(np.array([cycles], np.int64), line, np.zeros(1, np.int16)))

    def mix_rates(self, configuration: str) -> F64:
        """Return the events per cycle of CoreMark-like code, float64[Event]."""
        rates = np.zeros(N_EVENTS)
        for event, rate in self.currents.mix(configuration, self.board.flash_wait_states).items():
            rates[event] = rate
        return rates

    @cached_property
    def calibration_error(self) -> float:
        """Largest relative error over the datasheet's rows."""
        from m7sim.energy.datasheet import compare

        return max((abs(row.error) for row in compare(self.currents)), default=0.0)

    def _spread_pc(self, events: Events) -> float:
        """Return half the range that the charges' ranges leave, compared with the nearest mix.

        Charges that are wrong together give the datasheet's rows all the same, so only what a run
        does more or less often than the measured mixes can be wrong.
        """
        low, high = self._charges("low"), self._charges("high")
        half = (high - low) / 2
        measured = {name for row in self.currents.rows for name in row.configurations}
        away = (events.rates - self.mix_rates(name) for name in measured)
        variances = [float(((difference * half) ** 2).sum()) for difference in away]
        return float(np.sqrt(min(variances, default=0.0))) * events.total_cycles

    @property
    def guessed(self) -> tuple[str, ...]:
        """Names of the charges that no public figure separates."""
        charges = self.currents.charges_pc
        return tuple(e.key for e, figure in charges.items() if figure.confidence == GUESS)


def find_model(
    board: Board,
    *,
    scale: int | None = None,
    peripherals: str | None = None,
) -> tuple[EnergyModel | None, str]:
    """Return the model of a board if there is one, and a sentence: its point, or why there is none.

    Raises
    ------
    InputError
        If a scale or peripherals were asked for and cannot be had.
    TableError
        If the table of currents breaks its schema.
    """
    try:
        model = EnergyModel.for_board(board, scale=scale, peripherals=peripherals or OFF)
    except TableError:
        raise
    except InputError as error:
        if scale is not None or peripherals is not None:
            raise
        return None, f"not modelled: {error}"
    return model, f"{model.point.text}; {model.currents.title}"
