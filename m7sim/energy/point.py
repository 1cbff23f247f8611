"""Operating points: clock, voltage scale, supply, peripherals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from m7sim.board.schema import suggestion
from m7sim.energy.table import Currents, Scale
from m7sim.errors import InputError
from m7sim.units import format_hz

OFF, ON = "off", "on"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What the chip draws whatever the code does, and how charges scale.

    Attributes
    ----------
    scale
        Of the core regulator; with over-drive or not.
    peripherals
        ``off``, ``on``, or the names of those that are clocked.
    static_ma
        Current that does not depend on the clock.
    per_cycle_pc
        Charge of clocked peripherals, a cycle, at the scale's V12.
    charge_factor
        What charges in the table are multiplied with: they grow with V12.
    """

    clock_hz: int
    supply_mv: int
    scale: Scale
    peripherals: tuple[str, ...]
    static_ma: float
    per_cycle_pc: float
    asleep_pc: float
    charge_factor: float

    @property
    def text(self) -> str:
        named = ", ".join(self.peripherals)
        return (
            f"{format_hz(self.clock_hz)}, {self.scale.name} ({self.scale.v12_mv / 1e3:.2f} V), "
            f"supply {self.supply_mv / 1e3:.2f} V, peripherals {named}"
        )

    def current_ma(self, charge_pc: float, *, asleep: bool = False) -> float:
        """Return the mean current when the core draws ``charge_pc`` a cycle (already scaled)."""
        per_cycle = charge_pc + self.per_cycle_pc + (self.asleep_pc if asleep else 0.0)
        return self.static_ma + per_cycle * self.clock_hz * 1e-9

    def power_mw(self, current_ma: float) -> float:
        """Return the power drawn from the supply; the core regulator is linear."""
        return current_ma * self.supply_mv / 1e3


def operating_point(
    currents: Currents,
    clock_hz: int,
    supply_mv: int,
    *,
    scale: int | None = None,
    peripherals: str | Iterable[str] = OFF,
) -> OperatingPoint:
    """Work out an operating point.

    Parameters
    ----------
    currents
        Of the chip.
    clock_hz, supply_mv
        Core clock and supply voltage.
    scale
        Voltage scale; default the lowest voltage that the clock allows. Over-drive is on when the
        clock needs it.
    peripherals
        ``off`` (only the core and its memories are clocked), ``on`` (all, as in the datasheet's
        tables), or names of single ones that the chip's table has.

    Raises
    ------
    InputError
        If the clock is too high for the scale or the chip, the supply is out of range, or a
        peripheral is unknown.
    """
    if not currents.low_mv <= supply_mv <= currents.high_mv:
        raise InputError(
            f"supply of {supply_mv} mV",
            where=currents.chip,
            do=f"Give {currents.low_mv} to {currents.high_mv} mV",
        )
    chosen = _scale(currents, clock_hz, supply_mv, scale)
    factor = chosen.v12_mv / currents.scales[0].v12_mv
    names = tuple(peripherals.split(",")) if isinstance(peripherals, str) else tuple(peripherals)
    names = tuple(name.strip() for name in names)
    static_ma, per_cycle, asleep = chosen.static_ma.value, 0.0, 0.0
    if names == (ON,):
        static_ma += currents.peripherals_static_ma.value
        per_cycle = currents.peripherals_pc.value * factor
        asleep = currents.peripherals_asleep_pc.value * factor
    elif names != (OFF,):
        per_cycle = sum(_single_pc(currents, name, chosen) for name in names)
    return OperatingPoint(clock_hz, supply_mv, chosen, names, static_ma, per_cycle, asleep, factor)


def _scale(currents: Currents, clock_hz: int, supply_mv: int, number: int | None) -> Scale:
    fitting = [s for s in currents.scales if number in (None, s.number)]
    if not fitting:
        known = ", ".join(sorted({str(s.number) for s in currents.scales}))
        raise InputError(f"no voltage scale {number}", where=currents.chip, do=f"Valid: {known}")
    fitting = [s for s in fitting if supply_mv >= s.from_mv]
    for scale in fitting:
        if clock_hz <= scale.max_hz:
            return scale
    where = currents.chip if number is None else f"{currents.chip}, voltage scale {number}"
    raise InputError(
        f"a clock of {format_hz(clock_hz)} at {supply_mv / 1e3:g} V",
        where=where,
        do=f"At most {format_hz(fitting[-1].max_hz)}",
    )


def _single_pc(currents: Currents, name: str, scale: Scale) -> float:
    known = currents.peripherals_ua_per_mhz
    if name.upper() not in known:
        raise InputError(
            f"no current is known for peripheral {name!r}",
            where=currents.chip,
            do=suggestion(name.lower(), [*map(str.lower, known), OFF, ON]),
        )
    # the datasheet's figures are those of scale 1, the highest; 1 uA/MHz is 1 pC a cycle
    return known[name.upper()] * scale.v12_mv / currents.scales[-1].v12_mv
