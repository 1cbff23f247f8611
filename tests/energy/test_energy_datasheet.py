"""The model against the datasheet's current tables, and the fit behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from m7sim.energy import Event, currents_of, fit
from m7sim.energy.datasheet import compare
from m7sim.energy.table import CALIBRATED, GUESS, Currents

BAND = 0.05
CLOCKS_MHZ = {216, 200, 180, 168, 144, 60, 25}
TABLES = {"24": "itcm", "25": "flash_l1", "26": "flash_no_l1", "27": "flash_no_art", "29": "sleep"}


@pytest.fixture(scope="module")
def currents() -> Currents:
    return currents_of("stm32f746")


def test_every_row_within_the_band(currents: Currents) -> None:
    rows = compare(currents)
    bad = [row for row in rows if abs(row.error) > BAND]
    assert not bad
    for table, configuration in TABLES.items():
        for peripherals in ("off", "on"):
            clocks = {
                row.clock_hz / 1e6
                for row in rows
                if (row.table, row.configuration, row.peripherals)
                == (table, configuration, peripherals)
            }
            assert clocks == CLOCKS_MHZ


# The facts once more, apart from the table that the fit reads.
@pytest.mark.parametrize(
    ("table", "clock_mhz", "peripherals", "ma"),
    [
        ("24", 216, "off", 102), ("24", 216, "on", 178), ("24", 25, "off", 12),
        ("25", 216, "off", 108), ("25", 168, "on", 135), ("26", 216, "off", 105),
        ("26", 60, "off", 34), ("27", 144, "off", 88), ("27", 216, "on", 205),
        ("29", 216, "off", 35), ("29", 200, "on", 108), ("29", 25, "on", 15),
    ],
)  # fmt: skip
def test_figures_of_the_datasheet(
    currents: Currents, table: str, clock_mhz: int, peripherals: str, ma: float
) -> None:
    found = {
        row.datasheet_ma
        for row in compare(currents)
        if (row.table, row.clock_hz, row.peripherals) == (table, clock_mhz * 1e6, peripherals)
    }
    assert found == {ma}


@pytest.mark.parametrize("event", [Event.CLOCK, Event.AWAKE, Event.INSTRUCTION, Event.FLASH_LINE])
def test_another_charge_breaks_the_band(currents: Currents, event: Event) -> None:
    figure = currents.charges_pc[event]
    charges = currents.charges_pc | {event: replace(figure, value=1.25 * figure.value)}
    wrong = replace(currents, charges_pc=charges)
    assert max(abs(row.error) for row in compare(wrong)) > BAND


def test_the_table_holds_what_the_fit_proposes(currents: Currents) -> None:
    for entry in fit.fit(currents):
        assert entry.in_table == pytest.approx(entry.value, rel=5e-3, abs=0.01), entry.name


def test_ranges_hold_the_values_of_fits_without_a_clock(currents: Currents) -> None:
    proposed = {entry.name: entry for entry in fit.fit(currents)}
    for event, figure in currents.charges_pc.items():
        if figure.confidence == CALIBRATED:
            assert figure.low == pytest.approx(proposed[event.key].low, rel=0.01, abs=0.5)
            assert figure.high == pytest.approx(proposed[event.key].high, rel=0.01, abs=0.5)


def test_what_cannot_be_separated_is_a_guess_with_a_wide_range(currents: Currents) -> None:
    guesses = {e for e, f in currents.charges_pc.items() if f.confidence == GUESS}
    assert guesses == {
        Event.MULTIPLY, Event.DSP, Event.FLOAT, Event.TCM_ACCESS, Event.BUS_BEAT
    }  # fmt: skip
    for event in guesses:
        figure = currents.charges_pc[event]
        assert figure.high >= 2 * figure.value


@pytest.mark.parametrize("end", ["low", "high"])
def test_the_rows_hold_whatever_the_guesses_are(currents: Currents, end: str) -> None:
    """A guess moved to an end of its range moves the fitted values, not the rows."""
    charges = {
        event: replace(f, value=getattr(f, end)) if f.confidence == GUESS else f
        for event, f in currents.charges_pc.items()
    }
    moved = replace(currents, charges_pc=charges)
    values = {entry.name: entry.value for entry in fit.fit(moved)}
    fitted = replace(
        moved,
        charges_pc={
            e: replace(f, value=values[e.key]) if e.key in values else f for e, f in charges.items()
        },
        scales=tuple(
            replace(s, static_ma=replace(s.static_ma, value=values[s.name])) for s in moved.scales
        ),
        peripherals_static_ma=replace(
            moved.peripherals_static_ma, value=values["peripherals.static_ma"]
        ),
        peripherals_pc=replace(moved.peripherals_pc, value=values["peripherals.charge_pc"]),
        peripherals_asleep_pc=replace(
            moved.peripherals_asleep_pc, value=values["peripherals.asleep_pc"]
        ),
    )
    assert max(abs(row.error) for row in compare(fitted)) < BAND + 0.005


def test_clocks_that_the_fit_has_not_seen(currents: Currents) -> None:
    errors = fit.held_out(currents)
    assert set(errors) == {25_000_000, 60_000_000, 144_000_000, 200_000_000, 216_000_000}
    assert max(errors.values()) < 0.11
    assert errors[216_000_000] < BAND
