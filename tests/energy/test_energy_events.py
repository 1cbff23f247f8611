"""Counts of events from a timing result made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from m7sim.board import Board
from m7sim.energy import Event, Events, count_events
from m7sim.isa.code import Code
from m7sim.isa.instruction import Instruction, Linear, Memory
from m7sim.timing.causes import N_CAUSES, StallCause
from m7sim.timing.result import CacheCounts, Timing

NO_CACHE = CacheCounts(0, 0, 0)
N = 100  # executions of each instruction


def code_at(address: int) -> Code:
    """An add, a load, a store and a multiply, four bytes each."""
    load = Memory(True, False, Linear(), 4, 1)
    store = Memory(False, True, Linear(), 4, 1)
    code = Code()
    code.add_block(
        [
            Instruction(address, 4, "add.w", "add", (), ()),
            Instruction(address + 4, 4, "ldr.w", "load_word", (), (), memory=load),
            Instruction(address + 8, 4, "str.w", "store_word", (), (), memory=store),
            Instruction(address + 12, 4, "smlad", "mla", (), ()),
        ]
    )
    return code


def count(
    address: int,
    board: Board,
    stalls: dict[tuple[int, StallCause], int] | None = None,
    **caches: CacheCounts,
) -> Events:
    row_stalls = np.zeros((4, N_CAUSES), np.int64)
    for (row, cause), cycles in (stalls or {}).items():
        row_stalls[row, cause] = cycles
    executions = np.full(4, N, np.int64)
    timing = SimpleNamespace(
        executions=executions,
        row_stalls=row_stalls,
        row_cycles=executions + row_stalls.sum(axis=1),
        **{"icache": NO_CACHE, "dcache": NO_CACHE, "art": NO_CACHE, **caches},
    )
    return count_events(cast(Timing, timing), cast(Any, code_at(address).arrays()), board)


def counts(events: Events) -> dict[str, float]:
    return {event.key: float(n) for event in Event if (n := events.totals[event])}


BOARD = Board.load("stm32f746")
BASE = {"clock": 4 * N, "awake": 4 * N, "instruction": 4 * N, "multiply": N}


def test_tcm() -> None:
    found = counts(count(0x100, BOARD))
    # 16 bytes of code are two words; 200 accesses to data
    assert found == pytest.approx(BASE | {"tcm_access": 2 * N + 2 * N})


def test_caches_by_hand() -> None:
    """Waits of 26 and 40 cycles are two lines of flash (13 each) and five of SRAM (8 each)."""
    flash, sram = BOARD.region("FLASH"), BOARD.region("SRAM1")
    stalls = {
        (1, StallCause.DCACHE_FLASH): 2 * flash.line_fill_cycles,
        (1, StallCause.DCACHE_SRAM): 5 * sram.line_fill_cycles,
        (0, StallCause.ICACHE_REFILL): 39,
    }
    events = count(
        flash.start, BOARD, stalls, icache=CacheCounts(50, 3, 0), dcache=CacheCounts(200, 7, 4)
    )
    cycles = 4 * N + sum(stalls.values())
    assert counts(events) == pytest.approx(
        BASE
        | {
            "clock": cycles,
            "awake": cycles,
            "cache_access": 2 * N + 2 * N,
            "flash_line": 3 + 2,
            # four 64-bit beats a line of flash; eight 32-bit ones a line of SRAM, in or out
            "bus_beat": 4 * (3 + 2) + 8 * 5 + 8 * 4,
        }
    )
    assert events.counts[0, Event.FLASH_LINE] == pytest.approx(3)  # who waited for its code
    assert events.counts[1, Event.FLASH_LINE] == pytest.approx(2)
    assert events.counts[2, Event.BUS_BEAT] == pytest.approx(8 * 4)  # who made lines dirty


def test_caches_off_by_hand() -> None:
    board = BOARD.override(icache=False, dcache=False)
    flash, sram = board.region("FLASH"), board.region("SRAM1")
    stalls = {
        (0, StallCause.FETCH_UNCACHED): 60 * flash.read_latency_cycles,
        (1, StallCause.DATA_UNCACHED): 50 * sram.read_latency_cycles,
    }
    found = counts(count(flash.start, board, stalls))
    assert found["flash_line"] == pytest.approx(60)
    # half of the loads went to SRAM, hence half of the stores
    assert found["bus_beat"] == pytest.approx(60 + 50 + 50)
    assert found["tcm_access"] == pytest.approx(50 + 50)
    assert "cache_access" not in found


def test_flash_accelerator_by_hand() -> None:
    place = BOARD.region("FLASH_ITCM")
    found = counts(
        count(place.start, BOARD, {(0, StallCause.ART_MISS): 40}, art=CacheCounts(30, 5, 0))
    )
    assert found["art_access"] == pytest.approx(2 * N)
    assert found["flash_line"] == pytest.approx(5)
    off = BOARD.override(art=False)
    waits = 20 * place.read_latency_cycles
    found = counts(count(place.start, off, {(0, StallCause.FETCH_UNCACHED): waits}))
    assert found["flash_line"] == pytest.approx(20)
    assert found["flash_stream"] == pytest.approx(waits)
    assert "art_access" not in found


def test_lines_that_stores_brought_in_are_of_sram() -> None:
    found = counts(count(0x100, BOARD, dcache=CacheCounts(200, 6, 0)))
    assert found["bus_beat"] == pytest.approx(6 * 8)
    assert "flash_line" not in found
