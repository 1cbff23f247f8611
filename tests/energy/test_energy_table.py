"""Tables of currents are checked whole."""

from __future__ import annotations

from pathlib import Path

import pytest

import m7sim.energy.table
from m7sim.board import Board
from m7sim.board.board import board_names
from m7sim.energy import Currents, EnergyModel, chip_names, find_model
from m7sim.errors import InputError, TableError

TEXT = (Path(m7sim.energy.table.__file__).parent / "chips" / "stm32f746.toml").read_text()


def load(tmp_path: Path, *changes: tuple[str, str]) -> Currents:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "chip.toml"
    path.write_text(text)
    return Currents.load(path)


def test_a_copy_is_as_good(tmp_path: Path) -> None:
    assert load(tmp_path).charges_pc == Currents.load("stm32f746").charges_pc


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nawake = ", "\nawak = ", "unknown key 'awak'. Did you mean awake?"),
        ("[peripherals]\nstatic_ma", "[peripherals]\nstatc_ma", "Did you mean static_ma?"),
        ("v12_mv = 1140", "v12_mw = 1140", "Did you mean v12_mv?"),
        ("schema = 1", "schema = 2", "schema 2, expected 1"),
        ('configuration = "sram_l1"', 'configuration = "sram_l2"', "Did you mean sram_l1?"),
        ("rates = { clock =", "rates = { clok =", "Did you mean clock?"),
        ("[216, 102, 178]", "[216, 102]", "is not [MHz, mA off, mA on]"),
        ("[216, 102, 178]", "[216, 102, -178]", "is not [MHz, mA off, mA on]"),
        ("low = 0.0, high = 40.0", "low = 20.0, high = 40.0", "not 0 <= low <= value <= high"),
        ("value = 10.0", 'value = "10"', "expected float"),
        ("low_mv = 1700", "low_mv = 3400", "typical_mv outside"),
        ("max_hz = 144_000_000", "max_hz = 244_000_000", "order of rising max_hz"),
        ('source = "own"', 'source = "somebody"', "does not begin with a key of [sources]"),
        ('source = "own", ', "", "missing source"),
        ('confidence = "guess"', 'confidence = "sure"', "is not one of"),
        ("wake_cycles = {", "wake_cycle = {", "Did you mean wake_cycles?"),
        ("schema = 1", "schema = = 1", "not valid TOML"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(TableError) as error:
        load(tmp_path, (old, new))
    assert message in str(error.value)
    assert "chip.toml" in str(error.value)


def test_a_missing_charge_is_refused(tmp_path: Path) -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith("flash_line = "))
    with pytest.raises(TableError, match="missing key 'flash_line'"):
        load(tmp_path, (line + "\n", ""))


def test_boards_without_data_say_so_loudly() -> None:
    without = set(board_names()) - set(chip_names())
    assert {"stm32f767", "stm32h743", "stm32h7a3", "imxrt1062"} <= without
    for name in without:
        board = Board.load(name)
        with pytest.raises(InputError, match=f"no current data for {name}.*stm32f746"):
            EnergyModel.for_board(board)
        model, why = find_model(board)
        assert model is None
        assert "no current data" in why
        with pytest.raises(InputError, match="no current data"):
            find_model(board, peripherals="on")
