"""Duty cycles, battery life and the choice of the clock, against hand calculation."""

from __future__ import annotations

import pytest

from m7sim.board import Board
from m7sim.energy import Energy, EnergyModel
from m7sim.energy.duty import Battery, duty_cycle, race_to_idle
from m7sim.errors import InputError

BOARD = Board.load("stm32f746")
MODEL = EnergyModel.for_board(BOARD)
CYCLES = 21_600_000  # 100 ms


def work(model: EnergyModel) -> Energy:
    return model.of_mix("flash_l1", cycles=CYCLES)


def test_sleep_between_by_hand() -> None:
    energy = work(MODEL)
    duty = duty_cycle(MODEL, energy, 1.0)
    asleep_mw = MODEL.of_mix("sleep").mean_power_mw
    wake_s = 13 / 216e6  # the datasheet's 13 cycles
    assert duty.idle_mw == pytest.approx(asleep_mw)
    expected_mj = energy.mean_power_mw * (0.1 + wake_s) + asleep_mw * (1 - 0.1 - wake_s)  # mW x s
    assert duty.energy_nj == pytest.approx(expected_mj * 1e6)
    assert duty.average_mw == pytest.approx(expected_mj)
    assert duty.most_per_second == pytest.approx(10)
    assert duty.per_second == 1


def test_stop_between_by_hand() -> None:
    energy = work(MODEL)
    duty = duty_cycle(MODEL, energy, 10.0, idle="stop")
    assert duty.idle_mw == pytest.approx(0.45 * 3.3)
    expected_mj = energy.mean_power_mw * 0.100014 + 0.45 * 3.3 * (10 - 0.100014)
    assert duty.average_mw == pytest.approx(expected_mj / 10)


def test_battery_life_by_hand() -> None:
    """230 mAh at 3 V are 2484 J; half of it gets through a converter of 50 %."""
    duty = duty_cycle(MODEL, work(MODEL), 10.0, idle="stop")
    whole = Battery(230.0, 3000)
    assert whole.energy_j == pytest.approx(2484.0)
    assert duty.battery_hours(whole) == pytest.approx(2484.0 / (duty.average_mw / 1e3) / 3600)
    half = Battery(230.0, 3000, 0.5)
    assert duty.battery_hours(half) == pytest.approx(duty.battery_hours(whole) / 2)
    # at the supply's voltage it is capacity over mean current
    direct = Battery(230.0, 3300)
    assert duty.battery_hours(direct) == pytest.approx(230 / (duty.average_mw / 3.3))


def test_without_a_period_the_core_never_rests() -> None:
    energy = work(MODEL)
    duty = duty_cycle(MODEL, energy, 0.0)
    assert duty.average_mw == pytest.approx(energy.mean_power_mw)
    assert duty.per_second == duty.most_per_second == pytest.approx(10)


@pytest.mark.parametrize(
    ("period_s", "idle", "message"),
    [(0.05, "sleep", "do not fit into a period of 50 ms"), (1.0, "stopp", "Did you mean stop?")],
)
def test_impossible_cycles(period_s: float, idle: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        duty_cycle(MODEL, work(MODEL), period_s, idle=idle)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("capacity_mah", "voltage_mv", "efficiency"),
    [(0.0, 3000, 1.0), (230.0, 0, 1.0), (230.0, 3000, 0.0), (230.0, 3000, 1.1)],
)
def test_impossible_batteries(capacity_mah: float, voltage_mv: int, efficiency: float) -> None:
    with pytest.raises(InputError):
        Battery(capacity_mah, voltage_mv, efficiency)


def test_best_clock_depends_on_the_state_between() -> None:
    """With Stop between, the lowest voltage wins; with Sleep, clocks run on: the slowest wins."""

    def best(idle: str, period_s: float) -> float:
        choices = race_to_idle(BOARD, work, period_s, idle=idle)
        fitting = [c for c in choices if c.duty is not None]
        return min(fitting, key=lambda c: c.duty.energy_nj if c.duty else 0).clock_hz / 1e6

    assert best("stop", 10.0) == 144
    assert best("sleep", 10.0) == 25


def test_clocks_that_are_too_slow_are_marked() -> None:
    choices = race_to_idle(BOARD, work, 0.2, idle="sleep")
    assert [c.clock_hz // 1_000_000 for c in choices if c.duty] == [216, 200, 180, 168, 144]
    assert [c.clock_hz // 1_000_000 for c in choices if not c.duty] == [60, 25]
