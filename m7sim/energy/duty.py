"""Work that comes again and again: average power, battery life, and the clock to do it at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.energy.datasheet import mix_current_ma
from m7sim.energy.model import Energy, EnergyModel
from m7sim.errors import InputError
from m7sim.units import format_seconds

SLEEP: Final = "sleep"
HOURS_PER_YEAR: Final = 8766.0


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery; ``efficiency`` is that of the converter between it and the supply, if any."""

    capacity_mah: float
    voltage_mv: int
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        if self.capacity_mah <= 0 or self.voltage_mv <= 0:
            raise InputError("a battery without capacity or voltage")
        if not 0 < self.efficiency <= 1:
            raise InputError(
                f"an efficiency of {self.efficiency}", do="Give more than 0 and at most 1"
            )

    @property
    def energy_j(self) -> float:
        """What reaches the supply."""
        return self.capacity_mah * 3.6 * self.voltage_mv / 1e3 * self.efficiency


@dataclass(frozen=True, slots=True)
class DutyCycle:
    """One piece of work in each period, asleep or stopped in between."""

    period_s: float
    active_s: float
    active_nj: float
    idle: str
    wake_s: float
    wake_nj: float
    idle_mw: float

    @property
    def idle_s(self) -> float:
        return self.period_s - self.active_s - self.wake_s

    @property
    def energy_nj(self) -> float:
        """A period's."""
        return self.active_nj + self.wake_nj + self.idle_mw * self.idle_s * 1e6

    @property
    def average_mw(self) -> float:
        return self.energy_nj * 1e-6 / self.period_s

    @property
    def per_second(self) -> float:
        """Pieces of work done in a second."""
        return 1 / self.period_s

    @property
    def most_per_second(self) -> float:
        """How many could be done."""
        return 1 / self.active_s

    def battery_hours(self, battery: Battery) -> float:
        """How long a battery lasts; its own discharge is not counted."""
        return battery.energy_j / (self.average_mw * 1e-3) / 3600


class Work(Protocol):
    """A piece of work, as far as a duty cycle needs it; `Energy` is one."""

    @property
    def time_s(self) -> float: ...

    @property
    def energy_nj(self) -> float: ...

    @property
    def mean_power_mw(self) -> float: ...


def _idle_state(model: EnergyModel, idle: str) -> tuple[float, float]:
    """Return how long waking up takes, in seconds, and what the state draws, in mA."""
    states = model.currents.idle
    if idle == SLEEP:
        wake_s = model.currents.sleep_wake_cycles.value / model.point.clock_hz
        return wake_s, mix_current_ma(model, SLEEP)
    if idle not in states:
        raise InputError(f"no idle state {idle!r}", do=suggestion(idle, [SLEEP, *states]))
    return states[idle].wake_us.value * 1e-6, states[idle].static_ma.value


def duty_cycle(
    model: EnergyModel, energy: Work, period_s: float, *, idle: str = SLEEP
) -> DutyCycle:
    """Work out a duty cycle.

    Parameters
    ----------
    model
        Whose operating point the work and Sleep are at.
    energy
        Of one piece of work.
    period_s
        From one piece to the next; 0 for as fast as it goes.
    idle
        ``sleep`` (clocks run on) or a state of the chip's table. Waking up is counted at the power
        of the work; starting the PLL again after a Stop is left to the caller.

    Raises
    ------
    InputError
        If the state is unknown, or the work does not fit into the period.
    """
    wake_s, idle_ma = _idle_state(model, idle)
    if period_s <= 0:
        period_s, wake_s = energy.time_s, 0.0
    if energy.time_s + wake_s > period_s:
        raise InputError(
            f"work of {format_seconds(energy.time_s)} and {format_seconds(wake_s)} of waking up "
            f"do not fit into a period of {format_seconds(period_s)}",
            do="Give a longer period or a faster clock",
        )
    return DutyCycle(
        period_s=period_s,
        active_s=energy.time_s,
        active_nj=energy.energy_nj,
        idle=idle,
        wake_s=wake_s,
        wake_nj=energy.mean_power_mw * wake_s * 1e6,
        idle_mw=model.point.power_mw(idle_ma),
    )


@dataclass(frozen=True, slots=True)
class ClockChoice:
    """A duty cycle at one clock; ``duty`` is None when the work does not fit."""

    clock_hz: int
    scale: str
    active_mw: float
    active_nj: float
    duty: DutyCycle | None


def race_to_idle(
    board: Board,
    work: Callable[[EnergyModel], Energy],
    period_s: float,
    *,
    idle: str = SLEEP,
    peripherals: str = "off",
) -> tuple[ClockChoice, ...]:
    """Compare the clocks of the datasheet's rows for the same work and period, fastest first.

    Parameters
    ----------
    board
        At any clock; its supply holds for all.
    work
        Gives the energy of one piece of work at an operating point.

    Raises
    ------
    InputError
        If there is no current data for the board, or the work fits at no clock.
    """
    first = EnergyModel.for_board(board, peripherals=peripherals)
    choices = []
    for clock_hz in sorted({row.clock_hz for row in first.currents.rows}, reverse=True):
        model = EnergyModel.for_board(board.override(clock_hz=clock_hz), peripherals=peripherals)
        energy = work(model)
        fits = energy.time_s + _idle_state(model, idle)[0] <= period_s
        duty = duty_cycle(model, energy, period_s, idle=idle) if fits else None
        choices.append(
            ClockChoice(
                clock_hz, model.point.scale.name, energy.mean_power_mw, energy.energy_nj, duty
            )
        )
    return tuple(choices)
