"""What firmware does to caches and MPU is told, in order and with its values."""

from __future__ import annotations

import pytest

from m7sim.board import Board
from m7sim.machine.events import CACHES, MAINTENANCE, MPU, MemoryEvent
from m7sim.machine.system import SystemRegisters

CCR, MPU_CTRL, MPU_RNR, MPU_RBAR, MPU_RASR = (
    0xE000_ED14, 0xE000_ED94, 0xE000_ED98, 0xE000_ED9C, 0xE000_EDA0,
)  # fmt: skip
ICACHE, DCACHE = 1 << 17, 1 << 16


@pytest.fixture
def told() -> list[MemoryEvent]:
    return []


@pytest.fixture
def ppb(board: Board, told: list[MemoryEvent]) -> SystemRegisters:
    registers = SystemRegisters(board, lambda: 0, lambda _: None, lambda: None)
    registers.on_memory_event = told.append
    return registers


def test_caches(ppb: SystemRegisters, told: list[MemoryEvent]) -> None:
    before = ppb.read(CCR, 4)
    ppb.write(CCR, 4, before)
    ppb.write(CCR, 4, before | ICACHE)
    ppb.write(CCR, 4, before | ICACHE | DCACHE)
    ppb.write(CCR, 4, before | DCACHE)
    assert told == [
        MemoryEvent(CACHES, (1, 0)),
        MemoryEvent(CACHES, (1, 1)),
        MemoryEvent(CACHES, (0, 1)),
    ]


def test_maintenance(ppb: SystemRegisters, told: list[MemoryEvent]) -> None:
    ppb.write(0xE000_EF50, 4, 0)
    ppb.write(0xE000_EF5C, 4, 0x2001_0020)
    assert told == [
        MemoryEvent(MAINTENANCE, (0xE000_EF50, 0)),
        MemoryEvent(MAINTENANCE, (0xE000_EF5C, 0x2001_0020)),
    ]


def test_mpu_is_told_when_it_is_on(ppb: SystemRegisters, told: list[MemoryEvent]) -> None:
    ppb.write(MPU_RNR, 4, 1)
    ppb.write(MPU_RBAR, 4, 0xC000_0000)
    ppb.write(MPU_RASR, 4, 0x0303_002D)
    assert told == []
    ppb.write(MPU_CTRL, 4, 5)
    assert told == [MemoryEvent(MPU, (5, 0xC000_0001, 0x0303_002D))]
    ppb.write(MPU_RBAR, 4, 0x2000_0000 | 1 << 4 | 0)  # VALID: region 0
    assert told[-1] == MemoryEvent(MPU, (5, 0x2000_0000, 0, 0xC000_0001, 0x0303_002D))
    ppb.write(MPU_CTRL, 4, 0)
    assert told[-1].values[0] == 0


def test_without_a_listener_nothing_happens(ppb: SystemRegisters) -> None:
    ppb.on_memory_event = None
    ppb.write(CCR, 4, ICACHE)
    ppb.write(MPU_CTRL, 4, 1)
    assert ppb.caches_on == (True, False)
