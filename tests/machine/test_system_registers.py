from __future__ import annotations

from collections.abc import Callable

import pytest

from m7sim.board import Board
from m7sim.machine import Machine
from m7sim.machine.system import ReadyRegisters, SystemRegisters

CYCCNT, DWT_CTRL, DEMCR = 0xE000_1004, 0xE000_1000, 0xE000_EDFC
CSR, RVR, CVR = 0xE000_E010, 0xE000_E014, 0xE000_E018


class Clock:
    cycles = 0

    def __call__(self) -> int:
        return self.cycles


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written() -> bytearray:
    return bytearray()


@pytest.fixture
def ppb(board: Board, clock: Clock, written: bytearray) -> SystemRegisters:
    def refuse() -> None:
        raise RuntimeError("reset")

    return SystemRegisters(board, clock, written.extend, refuse)


def test_cycle_counter_counts_only_when_enabled(ppb: SystemRegisters, clock: Clock) -> None:
    clock.cycles = 50
    assert ppb.read(CYCCNT, 4) == 0
    ppb.write(DEMCR, 4, 1 << 24)
    ppb.write(CYCCNT, 4, 10)
    ppb.write(DWT_CTRL, 4, 1)
    clock.cycles = 150
    assert ppb.read(CYCCNT, 4) == 110
    ppb.write(DWT_CTRL, 4, 0)
    clock.cycles = 400
    assert ppb.read(CYCCNT, 4) == 110
    ppb.write(CYCCNT, 4, 0xFFFF_FFFF)
    ppb.write(DWT_CTRL, 4, 1)
    clock.cycles = 402
    assert ppb.read(CYCCNT, 4) == 1
    assert ppb.read(DWT_CTRL, 4) >> 28 == 4


def test_systick_counts_down_and_around(ppb: SystemRegisters, clock: Clock) -> None:
    ppb.write(RVR, 4, 99)
    ppb.write(CVR, 4, 12345)
    ppb.write(CSR, 4, 5)
    assert ppb.read(CVR, 4) == 0
    clock.cycles = 1
    assert ppb.read(CVR, 4) == 99
    clock.cycles = 40
    assert ppb.read(CVR, 4) == 60
    assert not ppb.read(CSR, 4) & 1 << 16
    clock.cycles = 100
    assert ppb.read(CVR, 4) == 0
    assert ppb.read(CSR, 4) & 1 << 16
    assert not ppb.read(CSR, 4) & 1 << 16  # cleared by the read
    clock.cycles = 1_000_001
    assert ppb.read(CVR, 4) == 99


def test_identification_and_caches(ppb: SystemRegisters, board: Board) -> None:
    assert ppb.read(0xE000_ED00, 4) == 0x410F_C271  # Cortex-M7 r0p1
    ppb.write(0xE000_ED00, 4, 0)
    assert ppb.read(0xE000_ED00, 4) == board.cpuid
    assert ppb.read(0xE000_ED80, 4) & 0x0FFF_FFFF == 31 << 13 | 3 << 3 | 1
    ppb.write(0xE000_ED84, 4, 1)
    assert ppb.read(0xE000_ED80, 4) & 0x0FFF_FFFF == 63 << 13 | 1 << 3 | 1
    assert ppb.caches_on == (False, False)
    ppb.write(0xE000_ED14, 4, ppb.read(0xE000_ED14, 4) | 1 << 17)
    assert ppb.caches_on == (True, False)
    ppb.write(0xE000_EF50, 4, 0)  # ICIALLU: accepted


def test_nvic_sets_and_clears(ppb: SystemRegisters) -> None:
    ppb.write(0xE000_E100, 4, 0b1010)
    ppb.write(0xE000_E180, 4, 0b0010)
    assert ppb.read(0xE000_E100, 4) == ppb.read(0xE000_E180, 4) == 0b1000
    ppb.write(0xE000_E405, 1, 0x40)
    assert ppb.read(0xE000_E404, 4) == 0x4000
    assert ppb.read(0xE000_E405, 1) == 0x40


def test_mpu_regions_are_stored(ppb: SystemRegisters) -> None:
    assert ppb.read(0xE000_ED90, 4) == 0x800
    ppb.write(0xE000_ED98, 4, 2)
    ppb.write(0xE000_ED9C, 4, 0x2000_0000)
    ppb.write(0xE000_EDA0, 4, 0x0300_0025)
    ppb.write(0xE000_ED9C, 4, 0x6000_0000 | 1 << 4 | 3)
    ppb.write(0xE000_EDA0, 4, 0x1234)
    assert ppb.mpu_regions == {2: (0x2000_0002, 0x0300_0025), 3: (0x6000_0003, 0x1234)}
    ppb.write(0xE000_ED98, 4, 2)
    assert ppb.read(0xE000_EDA0, 4) == 0x0300_0025


def test_stimulus_port_and_reset_request(ppb: SystemRegisters, written: bytearray) -> None:
    assert ppb.read(0xE000_0000, 4) == 1
    ppb.write(0xE000_0000, 1, ord("x"))
    ppb.write(0xE000_0004, 4, 0x64636261)
    assert written == b"xabcd"
    ppb.write(0xE000_ED0C, 4, 0x0000_0004)  # without the key: ignored
    with pytest.raises(RuntimeError):
        ppb.write(0xE000_ED0C, 4, 0x05FA_0004)


def test_vtor_and_reset(ppb: SystemRegisters) -> None:
    ppb.write(0xE000_ED08, 4, 0x2000_0000)
    assert ppb.vector_table == 0x2000_0000
    ppb.reset(0x0800_0000)
    assert ppb.vector_table == 0x0800_0000


def test_ready_bits_follow(board: Board) -> None:
    registers = ReadyRegisters(board)
    assert registers.read(0x4002_3800, 4) & 3 == 3  # HSI runs at reset
    registers.write(0x4002_3802, 1, 1)  # HSEON by a byte access
    assert registers.read(0x4002_3800, 4) & 1 << 17
    registers.write(0x4002_3800, 4, 1)
    assert not registers.read(0x4002_3800, 4) & 1 << 17
    registers.write(0x4000_7000, 4, 0x3_0000)
    assert registers.read(0x4000_7004, 4) & 0x3_0000 == 0x3_0000
    registers.write(0x4002_3008, 4, 77)  # a plain register on the same page
    assert registers.read(0x4002_3008, 4) == 77
    registers.reset()
    assert registers.read(0x4002_3008, 4) == 0


@pytest.mark.toolchain
def test_firmware_reads_the_modelled_cycles(start: Callable[..., Machine]) -> None:
    machine = start("""
        #include "m7sim.h"
        #include <time.h>
        int main(void) {
            m7_cycles_start();
            uint32_t a = m7_cycles(), b = m7_cycles();
            M7_REG(0xE0000000) = 'i';
            return (b - a) * 10 + (clock() > 0);
        }""")
    clock = [0]

    def cycles() -> int:
        clock[0] += 1_000_000 if clock[0] > 100 else 7
        return clock[0]

    machine.cycle_source = cycles
    assert machine.run_from_reset().exit_code in (70, 71)
    assert machine.console.output == b"i\0\0\0"
    machine = start("int main(void) { return *(volatile int *)0xE0001004; }")
    assert machine.run_from_reset().exit_code == 0
