"""Placement: our own programs in several memories, against what was measured on silicon.

The programs are not those that were measured, so ratios are compared, in order and in size.
"""

from __future__ import annotations

import itertools

import pytest
from placements import cycles

from m7sim.board import Board

pytestmark = pytest.mark.toolchain

BAND = 0.15


@pytest.fixture(scope="module")
def board() -> Board:
    return Board.load("stm32f746")


def off(board: Board) -> Board:
    return board.override(icache=False, dcache=False)


@pytest.fixture(scope="module")
def mix(board: Board) -> dict[str, int]:
    """Cycles of the mix by place of code and data, caches on and off."""
    places = {"flash": ("FLASH", "SRAM1"), "sram": ("SRAM1", "SRAM1"), "tcm": ("ITCM", "DTCM")}
    found = {}
    for (name, (code, data)), on in itertools.product(places.items(), (True, False)):
        chip = board if on else off(board)
        label = f"{name} {'on' if on else 'off'}"
        found[label] = cycles("mix.c", "mix_run", 100, code=code, data=data, board=chip)
    return found


# Dhrystone by memory on STM32F723 at 216 MHz, DMIPS (Stratify Labs, 2019-05-25).
DMIPS = {
    "flash on": 245, "sram on": 245, "tcm on": 239,
    "tcm off": 217, "sram off": 69, "flash off": 49,
}  # fmt: skip


@pytest.mark.parametrize("place", ["flash", "sram", "tcm"])
def test_what_caches_gain(mix: dict[str, int], place: str) -> None:
    modelled = mix[f"{place} off"] / mix[f"{place} on"]
    measured = DMIPS[f"{place} on"] / DMIPS[f"{place} off"]
    assert abs(modelled / measured - 1) < BAND


def test_order_of_places(mix: dict[str, int]) -> None:
    assert mix["flash off"] > mix["sram off"] > 1.5 * mix["tcm off"]
    assert mix["tcm off"] == mix["tcm on"]
    for place in ("flash on", "sram on"):
        assert abs(mix[place] / mix["tcm on"] - DMIPS["tcm on"] / DMIPS[place]) < BAND


def test_uncached_flash_against_uncached_sram(mix: dict[str, int]) -> None:
    modelled = mix["flash off"] / mix["sram off"]
    assert abs(modelled / (DMIPS["sram off"] / DMIPS["flash off"]) - 1) < BAND


def test_with_caches_the_place_hardly_matters(board: Board) -> None:
    """ST: performance is nearly independent of placement, ART included."""
    places = [("FLASH", "SRAM1"), ("FLASH", "DTCM"), ("SRAM1", "DTCM"), ("FLASH_ITCM", "DTCM"),
              ("FLASH_ITCM", "SRAM1"), ("ITCM", "DTCM")]  # fmt: skip
    found = [
        cycles("mix.c", "mix_run", 100, code=code, data=data, board=board, optimise=optimise)
        for optimise in ("-O2", "-Os")
        for code, data in places
    ]
    for same_program in (found[: len(places)], found[len(places) :]):
        assert max(same_program) < 1.03 * min(same_program)


# Unoptimised loop with four NOPs, variables on the stack in AXI SRAM, STM32H7B0 at 280 MHz; cycles
# per iteration (WangGaojie). "D-Cache" was switched; the instruction cache is taken to be on.
NOP_LOOP = {"flash off": 13.0, "flash on": 8.01, "itcm off": 7.54, "itcm on": 7.01}


def nop_loop(board: Board) -> dict[str, float]:
    return {
        f"{name} {state}": cycles(
            "nops.c", "nops_literal", code=code, data="SRAM1", optimise="-O0",
            board=board.override(dcache=state == "on"),
        ) / 2000
        for name, code in (("itcm", "ITCM"), ("flash", "FLASH"))
        for state in ("on", "off")
    }  # fmt: skip


def test_nop_loop(board: Board) -> None:
    """The loop's end takes a literal: from flash it costs a load more, uncached a read of it."""
    modelled = nop_loop(board)
    for name in ("itcm on", "itcm off", "flash on"):
        assert abs(modelled[name] / NOP_LOOP[name] - 1) < BAND, name
    assert modelled["itcm on"] <= modelled["itcm off"] < modelled["flash on"]
    assert modelled["flash off"] > 1.5 * modelled["flash on"]


# MB/s of loops over 6 MB of SDRAM, STM32F746 DISCO at 216 MHz (ttuzz/STM32F746G-DISCO_DTS).
SDRAM_MB_PER_S = {
    "read": {8: 13.0, 16: 25.0, 32: 51.3, 64: 81.1},
    "write": {8: 19.1, 16: 38.0, 32: 69.8, 64: 115.0},
}


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_sdram_by_width(board: Board, kind: str, bits: int) -> None:
    """Device by default: neither cached nor merged. Its latencies are calibrated on this."""
    n = 1000
    modelled = cycles(
        "sweep.c", f"{kind}{bits}", 0xC000_0000, n, code="FLASH", data="DTCM",
        board=board.map_regions("SDRAM1"),
    ) / n  # fmt: skip
    measured = 216e6 * bits / 8 / (SDRAM_MB_PER_S[kind][bits] * 1e6)
    assert abs(modelled / measured - 1) < BAND
