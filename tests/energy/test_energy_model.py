"""Power at an operating point, and energy of events, against hand calculation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m7sim.board import Board
from m7sim.energy import Currents, EnergyModel, Event, Events, currents_of
from m7sim.energy.events import N_EVENTS
from m7sim.errors import InputError
from m7sim.isa.classes import CLASS_INDEX

BOARD = Board.load("stm32f746")


def plain(currents: Currents, **charges_pc: float) -> Currents:
    """Currents with round figures: no static current, charges 0 but for those given."""
    zero = {
        event: replace(figure, value=charges_pc.get(event.key, 0.0), low=0.0, high=0.0)
        for event, figure in currents.charges_pc.items()
    }
    scales = tuple(
        replace(scale, static_ma=replace(scale.static_ma, value=10.0)) for scale in currents.scales
    )
    return replace(currents, charges_pc=zero, scales=scales, rows=())


def events(cycles: list[int], **counts: list[float]) -> Events:
    array = np.zeros((len(cycles), N_EVENTS))
    for event in Event:
        array[:, event] = counts.get(event.key, 0.0)
    klass = np.array([CLASS_INDEX["add"], CLASS_INDEX["mla"]], np.int16)[: len(cycles)]
    return Events(np.array(cycles, np.int64), array, klass)


def test_energy_by_hand() -> None:
    currents = plain(currents_of("stm32f746"), clock=100.0, instruction=50.0)
    board = BOARD.override(clock_hz=100_000_000)
    model = EnergyModel.for_board(board, supply_mv=2000, currents=currents)
    done = model.of_events(events([600, 400], clock=[600.0, 400.0], instruction=[300.0, 700.0]))
    # 1000 cycles at 100 MHz are 10 us; 10 mA at 2 V for 10 us are 200 nJ
    # 1000 x 100 pC x 2 V are 200 nJ, 1000 x 50 pC x 2 V are 100 nJ; V12 is the table's
    assert done.parts_nj == pytest.approx({"fixed": 200.0, "clock": 200.0, "instruction": 100.0})
    assert done.energy_nj == pytest.approx(500.0)
    assert done.time_s == pytest.approx(10e-6)
    assert done.mean_power_mw == pytest.approx(50.0)
    assert done.current_ma == pytest.approx(25.0)
    assert done.nj_per_instruction == pytest.approx(0.5)
    # row 0: 600 cycles x (100 pC + 100 pC static) and 300 x 50 pC, times 2 V
    assert done.row_nj == pytest.approx([270.0, 230.0])
    assert done.classes_nj == pytest.approx({"add": 270.0, "mla": 230.0})


def test_charges_grow_with_the_core_voltage_and_power_with_the_supply() -> None:
    currents = plain(currents_of("stm32f746"), clock=100.0)
    board = BOARD.override(clock_hz=100_000_000)
    work = events([1000], clock=[1000.0])
    parts = {
        scale: EnergyModel.for_board(board, scale=scale, currents=currents).of_events(work)
        for scale in (3, 2, 1)
    }
    clock = {scale: energy.parts_nj["clock"] for scale, energy in parts.items()}
    assert clock[2] / clock[3] == pytest.approx(1.26 / 1.14)
    assert clock[1] / clock[3] == pytest.approx(1.32 / 1.14)
    low = EnergyModel.for_board(board, supply_mv=1800, currents=currents).of_events(work)
    high = EnergyModel.for_board(board, supply_mv=3600, currents=currents).of_events(work)
    assert high.energy_nj == pytest.approx(2 * low.energy_nj)
    assert high.current_ma == pytest.approx(low.current_ma)


@pytest.mark.parametrize(
    ("clock_mhz", "name"),
    [
        (25, "VOS3"), (144, "VOS3"), (145, "VOS2"), (168, "VOS2"), (169, "VOS1"),
        (180, "VOS1"), (181, "VOS1 with over-drive"), (216, "VOS1 with over-drive"),
    ],
)  # fmt: skip
def test_scale_follows_the_clock(clock_mhz: int, name: str) -> None:
    model = EnergyModel.for_board(BOARD.override(clock_hz=clock_mhz * 1_000_000))
    assert model.point.scale.name == name


@pytest.mark.parametrize(
    ("clock_mhz", "options", "message"),
    [
        (217, {}, "At most 216 MHz"),
        (216, {"scale": 3}, "At most 144 MHz"),
        (216, {"scale": 4}, "no voltage scale 4"),
        (216, {"supply_mv": 2000}, "At most 180 MHz"),  # over-drive needs 2.1 V
        (216, {"supply_mv": 5000}, "supply of 5000 mV"),
        (216, {"supply_mv": 1600}, "supply of 1600 mV"),
        (216, {"peripherals": "DMA9"}, "Did you mean dma2?"),
        (216, {"peripherals": "onn"}, "Did you mean on?"),
        (216, {"peripherals": "on,DMA2"}, "'on'"),
    ],
)
def test_impossible_points_are_refused(
    clock_mhz: int, options: dict[str, object], message: str
) -> None:
    board = BOARD.override(clock_hz=clock_mhz * 1_000_000)
    with pytest.raises(InputError) as error:
        EnergyModel.for_board(board, **options)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_single_peripherals_by_hand() -> None:
    """Table 35 gives uA/MHz at scale 1: DMA2D 87.0, LTDC 56.7."""
    off = EnergyModel.for_board(BOARD).of_mix("flash_l1")
    some = EnergyModel.for_board(BOARD, peripherals="dma2d, LTDC").of_mix("flash_l1")
    assert some.current_ma - off.current_ma == pytest.approx(216 * (87.0 + 56.7) / 1e3)
    at_60 = BOARD.override(clock_hz=60_000_000)
    more = (
        EnergyModel.for_board(at_60, peripherals=["LTDC"]).of_mix("itcm").current_ma
        - EnergyModel.for_board(at_60).of_mix("itcm").current_ma
    )
    assert more == pytest.approx(60 * 56.7 / 1e3 * 1.14 / 1.32)
    every = EnergyModel.for_board(BOARD, peripherals="on").of_mix("flash_l1")
    assert every.current_ma > some.current_ma


def test_order_of_memories() -> None:
    """As the datasheet has it at 216 MHz, and that running costs more than sleeping."""
    model = EnergyModel.for_board(BOARD)
    power = {
        name: model.of_mix(name).mean_power_mw
        for name in ("sleep", "itcm", "flash_l1", "flash_no_art")
    }
    assert sorted(power, key=power.__getitem__) == list(power)


def test_a_run_is_moved_by_its_counts() -> None:
    model = EnergyModel.for_board(BOARD)
    mix = model.of_mix("flash_l1", cycles=1000)
    again = model.of_counts(mix.counts)
    assert again.energy_nj == pytest.approx(mix.energy_nj)
    assert again.parts_nj == pytest.approx(mix.parts_nj)
    with pytest.raises(InputError, match="Did you mean clock"):
        model.of_counts({"clocks": 1000.0})
    with pytest.raises(InputError, match="without cycles"):
        model.of_counts({})


def test_range_grows_with_what_is_guessed() -> None:
    """Near a measured mix the fit's error is the range; far from all of them the guesses count."""
    model = EnergyModel.for_board(BOARD)
    mix = model.of_mix("flash_l1")
    assert mix.high_nj / mix.energy_nj - 1 == pytest.approx(model.calibration_error, rel=1e-6)
    multiplies = mix.counts | {"multiply": mix.counts["instruction"]}
    moved = model.of_counts(multiplies)
    assert moved.high_nj / moved.energy_nj - 1 > model.calibration_error + 0.02
    assert moved.low_nj < moved.energy_nj < moved.high_nj


def test_nothing_run_draws_nothing() -> None:
    done = EnergyModel.for_board(BOARD).of_events(events([0]))
    assert done.energy_nj == 0
    assert done.mean_power_mw == 0
    assert done.nj_per_instruction == 0
