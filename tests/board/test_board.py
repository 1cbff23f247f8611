from __future__ import annotations

import re
from pathlib import Path

import pytest

import m7sim.board.board as board_module
from m7sim.board import Board
from m7sim.errors import InputError, TableError

TOML = Path(board_module.__file__).parent / "stm32f746.toml"


@pytest.fixture
def board() -> Board:
    return Board.load("stm32f746")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = TOML.read_text()
    assert old in text
    path = tmp_path / "board.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_memory_map_is_the_datasheets(board: Board) -> None:
    spans = {r.name: (r.start, r.size_bytes) for r in board.regions}
    assert spans["ITCM"] == (0, 16 << 10)
    assert spans["DTCM"] == (0x2000_0000, 64 << 10)
    assert spans["SRAM1"] == (0x2001_0000, 240 << 10)
    assert spans["SRAM2"] == (0x2004_C000, 16 << 10)
    assert spans["FLASH"] == (0x0800_0000, 1 << 20)
    assert spans["FLASH_ITCM"] == (0x0020_0000, 1 << 20)
    assert board.region("FLASH_ITCM").alias_of == "FLASH"
    assert board.region("sram1").write_policy == "wbwa"
    assert board.region("FLASH").write_policy == "wt"
    assert not board.region("DTCM").cacheable
    assert not board.region("APB1").executable
    assert not board.region("SDRAM1").mapped


def test_caches_and_clock(board: Board) -> None:
    assert board.clock_hz == 216_000_000
    assert board.flash_wait_states == 7
    assert (board.icache.sets, board.dcache.sets) == (64, 32)
    assert board.icache.enabled
    assert board.dcache.enabled
    off = board.override(clock_hz=100_000_000, dcache=False)
    assert (off.clock_hz, off.icache.enabled, off.dcache.enabled) == (100_000_000, True, False)


def test_line_fills_fit_the_memory_only_pair(board: Board) -> None:
    """Two runs with the same instructions, weights in flash and in RAM: 61,847 cycles apart.

    8,480 lines of weights come from flash, 6,443 from SRAM.
    """
    flash = board.region("FLASH").line_fill_cycles
    sram = board.region("SRAM1").line_fill_cycles
    assert abs(8480 * flash - 6443 * sram - 61_847) < 0.06 * 61_847
    assert sram >= 2 + 2  # 64 bits through a 32-bit port, and a way there
    assert flash >= board.flash_wait_states + 1 + 2
    assert board.region("SRAM1").beat_cycles == 2
    assert board.region("FLASH").beat_cycles == 1


@pytest.mark.parametrize(
    ("clock_mhz", "supply_mv", "wait_states"),
    [(16, 3300, 0), (30, 3300, 0), (31, 3300, 1), (216, 3300, 7), (216, 2400, 8), (216, 2100, 9),
     (180, 1800, 8)],
)  # fmt: skip
def test_wait_states_by_clock_and_supply(
    board: Board, clock_mhz: int, supply_mv: int, wait_states: int
) -> None:
    """DS10916 tables 17 and 18."""
    other = board.override(clock_hz=clock_mhz * 1_000_000, supply_mv=supply_mv)
    assert other.flash_wait_states == wait_states
    change = wait_states - board.flash_wait_states
    for name in ("FLASH", "FLASH_ITCM"):
        before, after = board.region(name), other.region(name)
        assert after.read_latency_cycles - before.read_latency_cycles == change
    assert other.region("SRAM1") == board.region("SRAM1")


def test_no_wait_states_for_a_supply_below_the_table(board: Board) -> None:
    with pytest.raises(InputError, match=r"1500 mV.*at least 1700"):
        board.override(supply_mv=1500)


def test_region_at(board: Board) -> None:
    assert board.region_at(0x2000_FFFF) is board.region("DTCM")
    assert board.region_at(0x2001_0000) is board.region("SRAM1")
    assert board.region_at(0x2005_0000) is None
    assert board.region_at(0x3FFF) is board.region("ITCM")
    assert board.region_at(0x4000) is None
    assert board.nearest_region(0x2005_0000).name == "SRAM2"


def test_every_value_has_a_provenance(board: Board) -> None:
    for region in board.regions:
        assert region.provenance.source
    for key in ("clock.hz", "icache.ways", "FLASH.line_fill", "SRAM1.read", "PPB.write"):
        assert board.provenance[key].source, key
    assert board.provenance["FLASH.line_fill"].confidence == "calibrated"


def test_external_memory_on_demand(board: Board) -> None:
    with_sdram = board.map_regions("SDRAM1")
    assert with_sdram.region("SDRAM1").mapped
    assert not with_sdram.region("SDRAM2").mapped
    with pytest.raises(InputError, match="Did you mean SDRAM"):
        board.map_regions("SDRAM")


def test_unknown_board_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no board 'stm32f745'.*Did you mean stm32f746"):
        Board.load("stm32f745")
    with pytest.raises(InputError, match="no such file"):
        Board.load("nowhere/board.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("flash_wait_states =", "flash_wait_state =", "unknown key 'flash_wait_state'.*states"),
        ('ways = { value = 2, source = "TRM 1.3",', "ways = { value = 2,", "ways.*missing source"),
        ("value = 4096,", 'value = "4096",', "is a str, expected int"),
        ("value = true,", "value = 1,", "is a int, expected bool"),
        ("start = 0x2001_0000", "start = 0x2000_F000", "regions overlap: DTCM .* and SRAM1"),
        ('kind = "dtcm"', 'kind = "dtcmm"', "unknown kind 'dtcmm'.*Did you mean dtcm"),
        ('source = "DS figure 19, 2.5"', 'source = "XY 19"', r"begin with a key of \[sources\]"),
        ('confidence = "calibrated"', 'confidence = "sure"', "confidence 'sure'"),
        ('regions = ["FLASH"]', 'regions = ["FLASH1"]', "unknown region 'FLASH1'.*FLASH"),
        ("size_bytes = 0x4000\n", "size_bytes = 0x4100\n", "not in whole pages"),
        ("cycles = 13", "cycles = 35", "outside low … high"),
        ("schema = 1", "schema = 2", "schema 2, expected 1"),
        ('name = "stm32f746"\n', "", "missing key 'name'"),
        ('alias_of = "FLASH"', 'alias_of = "FLASHY"', "alias_of unknown region"),
        ('name = "SRAM2"', 'name = "SRAM1"', "two regions named SRAM1"),
        ("ways = { value = 4,", "ways = { value = 3,", "no power of two"),
        ("hz = { value = 216_000_000", "hz = { value = -5", "negative"),
        ("[clock]", "[clock", "not valid TOML"),
        ('["PPB"]\naccess = "write"', '["PPB"]\naccess = "read"', "second read latency of PPB"),
    ],
)  # fmt: skip
def test_schema_errors(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(TableError) as caught:
        Board.load(path)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_memory_without_latency_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, 'regions = ["SRAM1", "SRAM2"]\naccess = "write"',
                   'regions = ["SRAM1"]\naccess = "write"')  # fmt: skip
    with pytest.raises(TableError, match=r"SRAM2.*no \[\[latency\]\] row for write"):
        Board.load(path)
