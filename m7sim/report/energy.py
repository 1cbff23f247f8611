"""Power and energy for people: the operating point, the datasheet beside the model, duty cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from m7sim.energy.datasheet import Comparison, compare, mix_current_ma, model_at
from m7sim.energy.duty import HOURS_PER_YEAR, Battery, ClockChoice, DutyCycle
from m7sim.energy.events import Event
from m7sim.energy.fit import Fitted
from m7sim.energy.model import Energy, EnergyModel
from m7sim.energy.point import OFF, ON
from m7sim.energy.published import published
from m7sim.energy.table import CONFIGURATIONS, Currents, chip_names, currents_of
from m7sim.report.document import SCHEMA_VERSION, energy_part
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.units import format_count, format_hz, format_joules, format_seconds

UNCOUNTED = "pins, analog parts, external memory and the board's own consumers are not counted"


def limits(currents: Currents) -> tuple[str, ...]:
    """Return what the figures do not cover, in words."""
    typical = {
        (r.configuration, r.clock_hz): r.datasheet_ma
        for r in compare(currents)
        if r.peripherals == OFF
    }
    running = [
        (m.at_25c_ma / typical[key] - 1, m.at_85c_ma / typical[key] - 1)
        for m in currents.maxima
        if m.configuration != "sleep" and (key := (m.configuration, m.clock_hz)) in typical
    ]
    if not running:
        return (UNCOUNTED,)
    cold, hot = (100 * max(column) for column in zip(*running, strict=True))
    higher = (
        f"a chip at the datasheet's maximum draws {cold:.0f} % more at 25 C, {hot:.0f} % at 85 C"
    )
    return higher, UNCOUNTED


def render(model: EnergyModel, *, style: Style = PLAIN) -> str:
    """Return the operating point, what code like CoreMark draws, and the datasheet's rows."""
    console = open_console(style)
    _point(console, model)
    _configurations(console, model)
    _datasheet(console, model.currents)
    _charges(console, model)
    _published(console)
    return text_of(console)


def _point(console: Console, model: EnergyModel) -> None:
    grid = open_grid()
    grid.add_row("chip", model.currents.title)
    grid.add_row("point", model.point.text)
    for k, limit in enumerate(limits(model.currents)):
        grid.add_row("" if k else "limits", limit)
    console.print(grid)
    console.print()


def _configurations(console: Console, model: EnergyModel) -> None:
    rows = []
    for name, meaning in CONFIGURATIONS.items():
        energy = model.of_mix(name)
        per_instruction = f"{energy.nj_per_instruction:.2f}" if energy.instructions else "-"
        rows.append(
            (
                name,
                f"{energy.current_ma:.1f}",
                f"{energy.mean_power_mw:.0f}",
                f"{energy.low_mw:.0f}-{energy.high_mw:.0f}",
                f"{energy.energy_nj / energy.cycles:.3f}",
                per_instruction,
                meaning,
            )
        )
    columns = ("memories", ">mA", ">mW", ">range", ">nJ/cycle", ">nJ/instr.", "*code, data")
    print_table(console, "Code like CoreMark at this point", columns, rows)


def _datasheet(console: Console, currents: Currents) -> None:
    rows = compare(currents)
    on = {(r.configuration, r.clock_hz): r for r in rows if r.peripherals == ON}
    lines = [
        (off.table, off.configuration, f"{off.clock_hz / 1e6:g}", *_beside(off), *_beside(on[key]))
        for off in sorted(rows, key=lambda row: (row.table, row.configuration))
        if off.peripherals == OFF
        for key in ((off.configuration, off.clock_hz),)
    ]
    columns = (
        "table",
        "memories",
        ">MHz",
        *(">off mA", ">model", ">%"),
        *(">on mA", ">model", ">%"),
    )
    title = "The datasheet's typical currents beside the model, peripherals off and on"
    print_table(console, title, columns, lines)
    worst = max(abs(row.error) for row in rows)
    console.print(f"Largest error of the {len(rows)} figures: {100 * worst:.1f} %\n")


def _beside(row: Comparison) -> tuple[str, str, str]:
    return f"{row.datasheet_ma:g}", f"{row.model_ma:.1f}", f"{100 * row.error:+.1f}"


def _charges(console: Console, model: EnergyModel) -> None:
    volts, factor = model.point.supply_mv / 1e3, model.point.charge_factor
    rows = []
    for event, figure in model.currents.charges_pc.items():
        nj = figure.value * factor * volts * 1e-3
        rows.append(
            (
                event.key,
                f"{figure.value:.1f}",
                f"{figure.low:.0f}-{figure.high:.0f}",
                f"{nj:.3f}",
                figure.confidence,
                event.meaning,
            )
        )
    v12 = model.currents.scales[0].v12_mv / 1e3
    columns = ("event", f">pC at {v12:.2f} V", ">range", ">nJ here", "from", "*meaning")
    print_table(console, "Charge by event", columns, rows)


def _published(console: Console) -> None:
    rows = [
        (
            line.chip,
            f"{line.clock_hz / 1e6:g}",
            str(line.networks),
            f"{line.low_mw:.0f}-{line.high_mw:.0f}",
            f"{line.median_mw:.0f}",
            *line.modelled,
            line.source,
        )
        for line in beside_published()
    ]
    columns = (
        *("chip", ">MHz", ">nets", ">measured mW", ">median"),
        *(">model", ">%", "*source"),
    )
    title = "Published power of networks beside the model (network, peripherals off and on)"
    print_table(console, title, columns, rows)


@dataclass(frozen=True)
class PublishedLine:
    """A published series beside the model; ``modelled`` is power and error, off / on, or dashes."""

    chip: str
    clock_hz: int
    networks: int
    low_mw: float
    high_mw: float
    median_mw: float
    modelled: tuple[str, str]
    source: str
    note: str


def beside_published() -> list[PublishedLine]:
    """Return each published series with what the model says for its chip and clock."""
    lines = []
    for series in published().series:
        modelled = "-", "no current data"
        if series.chip in chip_names():
            currents = currents_of(series.chip)
            both = [
                model_at(currents, series.clock_hz, p).of_mix("network").mean_power_mw
                for p in (OFF, ON)
            ]
            modelled = (
                " / ".join(f"{mw:.0f}" for mw in both),
                " / ".join(f"{100 * (mw / series.median_mw - 1):+.0f}" for mw in both),
            )
        lines.append(
            PublishedLine(
                series.chip, series.clock_hz, len(series.rows), min(series.powers_mw),
                max(series.powers_mw), series.median_mw, modelled, series.source, series.note,
            )
        )  # fmt: skip
    return lines


def render_fit(currents: Currents, fitted: Sequence[Fitted], held_out: dict[int, float]) -> str:
    """Return what the fit proposes, beside the table."""
    console = open_console(PLAIN)
    rows = [
        (f.name, f"{f.value:.2f}", f"{f.low:.2f}", f"{f.high:.2f}", f"{f.in_table:g}")
        for f in fitted
    ]
    columns = ("value (mA or pC)", ">fit", ">low", ">high", ">in table")
    print_table(console, f"Fit to the rows of {currents.title}", columns, rows)
    lines = [(format_hz(hz), f"{100 * error:.1f}") for hz, error in held_out.items()]
    print_table(
        console, "Largest error of a clock that the fit has not seen", (">clock", ">%"), lines
    )
    return text_of(console)


def render_duty(
    model: EnergyModel,
    energy: Energy,
    duty: DutyCycle,
    battery: Battery | None,
    race: Sequence[ClockChoice],
    *,
    style: Style = PLAIN,
) -> str:
    """Return a duty cycle, and the same at other clocks."""
    console = open_console(style)
    _point(console, model)
    grid = open_grid()
    grid.add_row("work", f"{format_count(energy.cycles)} cycles, {_energy_text(energy)}")
    grid.add_row("period", f"{format_seconds(duty.period_s)}, busy {_percent(duty)} of it")
    grid.add_row("rate", f"{duty.per_second:.4g} per second, at most {duty.most_per_second:.4g}")
    grid.add_row(
        f"between: {duty.idle.replace('_', ' ')}",
        f"{duty.idle_mw:.3g} mW for {format_seconds(duty.idle_s)}, "
        f"waking up {format_seconds(duty.wake_s)}",
    )
    grid.add_row(
        "average", f"{duty.average_mw:.4g} mW, {format_joules(duty.energy_nj * 1e-9)} a period"
    )
    if battery is not None:
        grid.add_row("battery", _life(duty, battery))
    console.print(grid)
    console.print()
    if race:
        _race(console, race, battery)
    return text_of(console)


def _energy_text(energy: Energy) -> str:
    return (
        f"{format_seconds(energy.time_s)}, {energy.mean_power_mw:.0f} mW, "
        f"{format_joules(energy.energy_nj * 1e-9)}"
    )


def _percent(duty: DutyCycle) -> str:
    return f"{100 * duty.active_s / duty.period_s:.2g} %"


def _life(duty: DutyCycle, battery: Battery) -> str:
    hours = duty.battery_hours(battery)
    long = f"{hours / HOURS_PER_YEAR:.2f} years" if hours >= HOURS_PER_YEAR else ""
    days = f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
    through = "" if battery.efficiency == 1 else f", {100 * battery.efficiency:g} % of it used"
    return (
        f"{battery.capacity_mah:g} mAh at {battery.voltage_mv / 1e3:g} V{through}: {long or days} "
        "(without its own discharge)"
    )


def _race(console: Console, race: Sequence[ClockChoice], battery: Battery | None) -> None:
    best = min((c for c in race if c.duty), key=lambda c: c.duty.energy_nj, default=None)  # type: ignore[union-attr]
    rows = []
    for choice in race:
        duty = choice.duty
        cells: tuple[str, ...] = ("does not fit", "", "")
        if duty is not None:
            life = f"{duty.battery_hours(battery) / 24:.1f}" if battery else ""
            cells = (
                f"{format_joules(duty.energy_nj * 1e-9)}",
                f"{duty.average_mw:.4g}",
                life,
            )
        rows.append(
            (
                format_hz(choice.clock_hz),
                choice.scale,
                f"{choice.active_mw:.0f}",
                format_joules(choice.active_nj * 1e-9),
                *cells,
                "*" if choice is best else "",
            )
        )
    columns = (
        *(">clock", "voltage", ">busy mW", ">work", ">period", ">average mW"),
        *(">days", "best"),
    )
    title = "The same at other clocks (cycles taken as the same: flash waits are fewer there)"
    print_table(console, title, columns, rows)


def document(
    model: EnergyModel,
    energy: Energy | None = None,
    duty: DutyCycle | None = None,
    battery: Battery | None = None,
    race: Sequence[ClockChoice] = (),
) -> dict[str, Any]:
    """Return the same as plain lists and dictionaries."""
    doc: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "chip": model.currents.chip,
        "operating_point": {
            "clock_hz": model.point.clock_hz,
            "supply_mv": model.point.supply_mv,
            "voltage_scale": model.point.scale.number,
            "over_drive": model.point.scale.over_drive,
            "v12_mv": model.point.scale.v12_mv,
            "peripherals": list(model.point.peripherals),
        },
        "limits": list(limits(model.currents)),
        "configurations": {
            name: {
                "current_ma": mix_current_ma(model, name),
                "power_mw": (of := model.of_mix(name)).mean_power_mw,
                "low_mw": of.low_mw,
                "high_mw": of.high_mw,
                "meaning": meaning,
            }
            for name, meaning in CONFIGURATIONS.items()
        },
        "datasheet": [asdict(row) | {"error": row.error} for row in compare(model.currents)],
        "charges_pc": {
            event.key: asdict(model.currents.charges_pc[event]) | {"meaning": event.meaning}
            for event in Event
        },
        "published": [asdict(line) for line in beside_published()],
        "work": energy_part(energy) if energy else None,
        "duty_cycle": None,
        "clocks": [
            {
                "clock_hz": c.clock_hz,
                "scale": c.scale,
                "active_mw": c.active_mw,
                "active_nj": c.active_nj,
                "period_nj": c.duty.energy_nj if c.duty else None,
                "average_mw": c.duty.average_mw if c.duty else None,
            }
            for c in race
        ],
    }
    if duty is not None:
        doc["duty_cycle"] = asdict(duty) | {
            "idle_s": duty.idle_s,
            "energy_nj": duty.energy_nj,
            "average_mw": duty.average_mw,
            "per_second": duty.per_second,
            "most_per_second": duty.most_per_second,
            "battery_hours": duty.battery_hours(battery) if battery else None,
        }
    return doc
