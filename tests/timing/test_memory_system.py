"""Line fills, store buffer, flash accelerator, cache control (m7-core 10, stm32f746 4 to 6)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from micro_programs import ITCM, Program, check_sums, default_board, default_core, straight

from m7sim.board import Board
from m7sim.machine.events import CACHES, MAINTENANCE, MPU, MemoryEvent
from m7sim.timing import StallCause, Timer, Timing
from m7sim.timing.caches import DCCIMVAC, DCCMVAC, DCCSW, DCIMVAC, DCISW, ICIALLU, ICIMVAU
from m7sim.timing.memorymap import Attributes, decode_attributes
from m7sim.timing.state import CACHED, DEVICE, UNCACHED

pytestmark = pytest.mark.toolchain

SRAM, FLASH, ART = 0x2001_0000, 0x0800_0000, 0x0020_0000
SDRAM = 0xC000_0000
LINE = 32
LOAD = "ldr.w r0, [r4]"
STORE = "str.w r0, [r4]"


def board_with(region: str = "SRAM1", **changes: int) -> Board:
    """The default board with other latencies of one region."""
    board = default_board()
    regions = tuple(
        dataclasses.replace(r, **changes) if r.name == region else r for r in board.regions
    )
    return dataclasses.replace(board, regions=regions)


def lines(*parts: str) -> str:
    return "\n".join(parts)


def sram() -> tuple[int, int]:
    region = default_board().region("SRAM1")
    return region.line_fill_cycles, region.beat_cycles


# Line fills ------------------------------------------------------------------------------------


def test_critical_word_first() -> None:
    fill, _ = sram()
    for offset in (0, 8, 16, 28):
        assert straight(LOAD, [SRAM + offset]).stalls == {StallCause.DCACHE_SRAM: fill}


@pytest.mark.parametrize(
    ("second", "beats"),
    [
        pytest.param(0, 0, id="same-word"),
        pytest.param(8, 1, id="next"),
        pytest.param(24, 3, id="last"),
    ],
)
def test_streaming_waits_for_the_word_not_for_the_line(second: int, beats: int) -> None:
    fill, beat = sram()
    timing = straight(lines(LOAD, "nop.w", LOAD, "nop.w"), [SRAM, SRAM + second])
    # the second load issues one cycle after the first word came
    assert timing.stalls == {StallCause.DCACHE_SRAM: fill + max(beats * beat - 1, 0)}


def test_the_fill_wraps_around() -> None:
    fill, beat = sram()
    timing = straight(lines(LOAD, "nop.w", LOAD, "nop.w"), [SRAM + 24, SRAM])
    assert timing.stalls == {StallCause.DCACHE_SRAM: fill + beat - 1}


def test_hit_under_miss() -> None:
    warm = lines(LOAD, *["nop.w"] * 40)
    fill, _ = sram()
    timing = straight(lines(warm, LOAD, "nop.w", LOAD), [SRAM, SRAM + LINE, SRAM])
    assert timing.stalls == {StallCause.DCACHE_SRAM: 2 * fill}


def test_fills_from_one_memory_follow_each_other() -> None:
    fill, beat = sram()
    timing = straight(lines(LOAD, "nop.w", LOAD), [SRAM, SRAM + LINE])
    last_word = fill + 3 * beat  # of the first line
    assert timing.stalls == {StallCause.DCACHE_SRAM: fill + max(fill, last_word + beat - fill - 1)}


def test_fills_from_two_memories_overlap() -> None:
    flash = default_board().region("FLASH").line_fill_cycles
    timing = straight(lines(LOAD, "nop.w", LOAD), [SRAM, FLASH])
    assert timing.stalls == {
        StallCause.DCACHE_SRAM: sram()[0],
        StallCause.DCACHE_FLASH: flash,
    }


def test_third_fill_waits_for_a_buffer() -> None:
    """Three stores that miss begin three fills; two have a buffer."""
    text = lines(STORE, STORE, STORE, LOAD)
    addresses = [SRAM, 0x6000_0000, 0x7000_0000, FLASH]
    two = straight(text, addresses).cycles
    three = straight(text, addresses, core=default_core().with_parameters(linefill_buffers=3))
    four = straight(text, addresses, core=default_core().with_parameters(linefill_buffers=4))
    assert two >= three.cycles > four.cycles


def test_dirty_lines_keep_the_memory_busy() -> None:
    board = default_board()
    one_set = [SRAM + 1024 * k for k in range(5)]  # 32 sets of 32 bytes, four ways
    quiet = "nop.w\n" * 60
    tail = lines(LOAD, "nop.w", LOAD)
    far = SRAM + 0x2000 + LINE

    def last_wait(first: str) -> int:
        text = lines(*[first + "\n" + quiet] * 4, tail)
        timing = straight(text, [*one_set[:4], one_set[4], far], board=board)
        return timing.stalls[StallCause.DCACHE_SRAM]

    fill, beat = sram()
    line_behind = 4 * beat - 1  # words of the line before, then the first of this one
    clean = last_wait(LOAD) - 5 * fill
    dirty = last_wait(STORE) - fill
    write = board.region("SRAM1").write_latency_cycles + beat // 2 + 3 * beat
    assert clean == max(fill, line_behind)
    assert dirty == max(fill, line_behind + write)


# Store buffer ----------------------------------------------------------------------------------


def uncached(text: str, addresses: list[int]) -> Timing:
    return straight(text, addresses, board=default_board().override(dcache=False))


def test_byte_stores_are_merged() -> None:
    n = 64
    bytes_ = uncached(lines(*["strb.w r0, [r4]"] * n), [SRAM + k for k in range(n)])
    spread = uncached(lines(*["strb.w r0, [r4]"] * n), [SRAM + 8 * k for k in range(n)])
    assert StallCause.STORE_BUFFER not in bytes_.stalls
    write = default_board().region("SRAM1").write_latency_cycles
    assert spread.cycles >= (n - 4) * write


def test_buffer_takes_four_stores() -> None:
    slow = board_with(write_latency_cycles=100).override(dcache=False)
    addresses = [SRAM + 8 * k for k in range(6)]
    for n in (2, 3, 4):
        assert not straight(lines(*[STORE] * n), addresses[:n], board=slow).stalls
    timing = straight(lines(*[STORE] * 5), addresses[:5], board=slow)
    assert 90 <= timing.stalls[StallCause.STORE_BUFFER] <= 101


def test_device_stores_are_not_merged() -> None:
    words = [0x4002_0000] * 40
    write = default_board().region("AHB1").write_latency_cycles
    timing = straight(lines(*[STORE] * 40), words)
    assert timing.cycles >= 36 * write


def test_load_of_buffered_data_needs_no_bus() -> None:
    read = default_board().region("SRAM1").read_latency_cycles
    text = lines(STORE, *["nop.w"] * 20, LOAD)
    assert not uncached(text, [SRAM, SRAM]).stalls
    assert uncached(text, [SRAM, SRAM + 8]).stalls == {StallCause.DATA_UNCACHED: read}


def test_device_load_waits_for_buffered_stores() -> None:
    slow = board_with(write_latency_cycles=30).override(dcache=False)
    alone = straight(lines(LOAD), [0x4002_0000], board=slow).cycles
    behind = straight(lines(STORE, LOAD), [SRAM, 0x4002_0000], board=slow).cycles
    assert behind >= alone + 29


def test_write_through_stores_go_to_memory() -> None:
    """A hit changes nothing: every store to a write-through region is written."""
    board = board_with("FMC3", write_latency_cycles=20)
    place = 0x8000_0000
    text = lines(LOAD, *["nop.w"] * 300, *[STORE] * 8)
    timing = straight(text, [place] + [place + 8 * (k % 4) for k in range(8)], board=board)
    assert timing.stalls[StallCause.STORE_BUFFER] > 40
    assert (timing.dcache.misses, timing.dcache.write_backs) == (1, 0)


def test_write_through_stores_do_not_allocate() -> None:
    timing = straight(lines(STORE, STORE, LOAD), [0x8000_0000, 0x8000_0004, 0x8000_0000])
    assert timing.dcache.misses == 3


def test_read_allocate_mode_after_three_whole_lines() -> None:
    """TRM 5.9.1: then stores that miss go past the cache; a load ends it."""
    words = [SRAM + 4 * k for k in range(8 * 12)]
    text = lines(*[STORE] * len(words))
    timing = straight(text, words)
    assert timing.dcache.misses == 3 + 9 * 8  # from the fourth line on, every store
    never = default_core().with_parameters(read_allocate_streak_lines=1000)
    assert straight(text, words, core=never).dcache.misses == 12


def test_scattered_stores_always_allocate() -> None:
    places = [SRAM + LINE * k for k in range(40)] * 2
    timing = straight(lines(*[STORE] * 80), places)
    assert timing.dcache.misses == 40


# ART -------------------------------------------------------------------------------------------


def art_runs(n_lines: int, runs: int, **board: bool) -> Timing:
    """A straight program of whole flash lines, run several times."""
    program = Program("nop.w\n" * (8 * n_lines - 1) + "b.w .", at=ART)
    chip = default_board().override(**board)
    timer = Timer(default_core().table(), chip, program.code)
    for _ in range(runs):
        timer.feed(np.zeros(1, np.int32), np.zeros(0, np.uint32))
    timing = timer.result()
    check_sums(timing)
    return timing


def test_art_holds_64_lines() -> None:
    assert art_runs(60, 1, prefetch=False).art.misses == 60
    assert art_runs(60, 5, prefetch=False).art.misses == 60
    assert art_runs(65, 5, prefetch=False).art.misses == 5 * 65  # LRU, cyclic


def test_second_pass_runs_at_full_speed() -> None:
    one, two = art_runs(32, 1), art_runs(32, 2)
    assert two.stalls[StallCause.ART_MISS] == one.stalls[StallCause.ART_MISS]


def test_prefetch_does_not_hide_seven_wait_states_at_dual_issue() -> None:
    """A line lasts four cycles of 32-bit pairs; the flash takes eight (stm32f746 section 5)."""
    n = 40
    with_, without = art_runs(n, 1), art_runs(n, 1, prefetch=False)
    per_line = with_.cycles / n
    assert 7.5 <= per_line <= 9
    assert without.cycles > with_.cycles
    slow_clock = Program("nop.w\n" * (8 * n), at=ART).time(
        [0], board=default_board().override(clock_hz=60_000_000)
    )
    assert slow_clock.cycles < 4 * n + 16  # one wait state is hidden


def test_art_off_reads_the_flash_for_every_word() -> None:
    timing = art_runs(10, 1, art=False)
    assert timing.stalls[StallCause.FETCH_UNCACHED] > 40 * 5
    assert timing.art.accesses == 0


def test_constants_go_through_art() -> None:
    miss = default_board().region("FLASH_ITCM").read_latency_cycles
    timing = straight(lines(LOAD, "nop.w", LOAD), [ART + 64, ART + 92])
    assert timing.stalls == {StallCause.DATA_UNCACHED: miss}


# Caches and attributes set by the firmware -----------------------------------------------------


class Loads:
    """A program that loads from a row of addresses, again and again."""

    def __init__(self, board: Board | None = None) -> None:
        text = "\n".join([LOAD] * 4)
        self.timer = Timer(
            default_core().table(), board or default_board(), Program(text, ITCM).code
        )

    def misses(self, *addresses: int) -> int:
        before = self.timer.result().dcache.misses
        self.timer.feed(np.zeros(1, np.int32), np.array(addresses, np.uint32))
        return self.timer.result().dcache.misses - before

    def accesses(self, *addresses: int) -> int:
        before = self.timer.result().dcache.accesses
        self.misses(*addresses)
        return self.timer.result().dcache.accesses - before


FOUR = (SRAM, SRAM + LINE, SRAM + 2 * LINE, SRAM + 3 * LINE)


def test_caches_are_off_from_reset_until_switched_on() -> None:
    loads = Loads()
    loads.timer.power_on()
    assert loads.accesses(*FOUR) == 0
    loads.timer.apply(MemoryEvent(CACHES, (0, 1)))
    assert loads.misses(*FOUR) == 4
    loads.timer.apply(MemoryEvent(CACHES, (1, 0)))
    assert loads.accesses(*FOUR) == 0


def test_cache_that_the_board_switches_off_stays_off() -> None:
    loads = Loads(default_board().override(dcache=False))
    loads.timer.apply(MemoryEvent(CACHES, (1, 1)))
    assert loads.accesses(*FOUR) == 0


@pytest.mark.parametrize(
    ("register", "value", "misses"),
    [
        pytest.param(DCIMVAC, SRAM + LINE + 4, 1, id="DCIMVAC"),
        pytest.param(DCCIMVAC, SRAM, 1, id="DCCIMVAC"),
        pytest.param(DCCMVAC, SRAM, 0, id="DCCMVAC"),
        pytest.param(DCISW, 2 << 5, 1, id="DCISW-set-2-way-0"),
        pytest.param(DCISW, 3 << 30 | 2 << 5, 0, id="DCISW-set-2-way-3"),
        pytest.param(DCCSW, 2 << 5, 0, id="DCCSW"),
        pytest.param(ICIALLU, 0, 0, id="ICIALLU"),
    ],
)
def test_maintenance(register: int, value: int, misses: int) -> None:
    loads = Loads()
    assert loads.misses(*FOUR) == 4
    assert loads.misses(*FOUR) == 0
    loads.timer.apply(MemoryEvent(MAINTENANCE, (register, value)))
    assert loads.misses(*FOUR) == misses


def test_cleaning_writes_dirty_lines_once() -> None:
    program = Program(lines(STORE, *["nop.w"] * 60))
    timer = Timer(default_core().table(), default_board(), program.code)
    timer.feed(np.zeros(1, np.int32), np.array([SRAM], np.uint32))
    for _ in range(2):
        timer.apply(MemoryEvent(MAINTENANCE, (DCCMVAC, SRAM)))
    assert timer.result().dcache.write_backs == 1


def test_instruction_lines_are_invalidated() -> None:
    program = Program("nop.w\n" * 63 + "b.w .", at=FLASH)
    timer = Timer(default_core().table(), default_board(), program.code)
    once = (np.zeros(1, np.int32), np.zeros(0, np.uint32))
    for event, misses in ((None, 8), (None, 0), ((ICIMVAU, FLASH + 64), 1), ((ICIALLU, 0), 8)):
        if event is not None:
            timer.apply(MemoryEvent(MAINTENANCE, event))
        before = timer.result().icache.misses
        timer.feed(*once)
        assert timer.result().icache.misses - before == misses


@pytest.mark.parametrize(
    ("tex", "c", "b", "expected"),
    [
        (0, 0, 0, Attributes(DEVICE)),
        (0, 0, 1, Attributes(DEVICE)),
        (0, 1, 0, Attributes(CACHED)),
        (0, 1, 1, Attributes(CACHED, True, False)),
        (1, 0, 0, Attributes(UNCACHED)),
        (1, 1, 1, Attributes(CACHED, True, True)),
        (2, 0, 0, Attributes(DEVICE)),
        (4, 0, 1, Attributes(CACHED, True, True)),
        (6, 1, 0, Attributes(CACHED)),
        (5, 1, 1, Attributes(CACHED, True, False)),
        (7, 0, 0, Attributes(UNCACHED)),
    ],
)
def test_mpu_attributes(tex: int, c: int, b: int, expected: Attributes) -> None:
    """Armv7-M ARM table B3-13."""
    rasr = tex << 19 | c << 17 | b << 16
    assert decode_attributes(rasr) == expected
    shared = decode_attributes(rasr | 1 << 18)
    assert shared == (Attributes(UNCACHED) if expected.kind == CACHED else expected)


def mpu(*regions: tuple[int, int, int], control: int = 5) -> MemoryEvent:
    """Regions as base, size in bytes, TEX:C:B (and disabled eighths above bit 8)."""
    words = []
    for base, size, bits in regions:
        rasr = (bits >> 2 & 7) << 19 | (bits & 3) << 16 | (bits >> 8) << 8
        words += [base, rasr | (size.bit_length() - 2) << 1 | 1]
    return MemoryEvent(MPU, (control, *words))


WT, WBWA, NC = 0b000_1_0, 0b001_1_1, 0b001_0_0


def test_mpu_makes_memory_uncached() -> None:
    loads = Loads()
    loads.timer.apply(mpu((SRAM, 0x1_0000, NC)))
    assert loads.accesses(*FOUR) == 0
    assert loads.accesses(*(a + 0x1_0000 for a in FOUR)) == 4
    loads.timer.apply(mpu(control=0))
    assert loads.accesses(*FOUR) == 4


def test_mpu_makes_device_memory_cacheable() -> None:
    loads = Loads()
    external = tuple(SDRAM + LINE * k for k in range(4))
    assert loads.accesses(*external) == 0
    loads.timer.apply(mpu((SDRAM, 0x80_0000, WBWA)))
    assert (loads.misses(*external), loads.misses(*external)) == (4, 0)


def test_later_mpu_regions_win_and_eighths_can_be_left_out() -> None:
    loads = Loads()
    loads.timer.apply(mpu((SRAM, 0x1_0000, NC), (SRAM, 0x1_0000, WT | 0x02 << 8)))
    assert loads.accesses(*FOUR) == 4
    assert loads.accesses(*(a + 0x2000 for a in FOUR)) == 0  # the second eighth


def test_tcm_stays_what_it_is() -> None:
    loads = Loads()
    loads.timer.apply(mpu((0x2000_0000, 0x1_0000, WBWA), (0, 0x4000, NC)))
    assert loads.accesses(*(0x2000_0000 + LINE * k for k in range(4))) == 0
    assert loads.timer.result().stalls == {}


def test_write_policy_of_the_mpu() -> None:
    program = Program(lines(LOAD, *["nop.w"] * 60, STORE, *["nop.w"] * 60))
    for policy, write_backs in ((WBWA, 1), (WT, 0)):
        timer = Timer(default_core().table(), default_board(), program.code)
        timer.apply(mpu((SRAM, 0x1_0000, policy)))
        timer.feed(np.zeros(1, np.int32), np.array([SRAM, SRAM], np.uint32))
        timer.apply(MemoryEvent(MAINTENANCE, (DCCIMVAC, SRAM)))
        assert timer.result().dcache.write_backs == write_backs
