"""Loads, stores and caches (m7-core sections 5 and 10)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from micro_programs import (
    DTCM,
    FENCE_ADDRESS,
    Program,
    cost,
    default_board,
    default_core,
    fenced_cost,
    straight,
)

from m7sim.isa.code import NO_ACCESS
from m7sim.timing import StallCause, Timer

pytestmark = pytest.mark.toolchain

SRAM = 0x2001_0000
FLASH = 0x0800_0000


def sequence(text: str, n: int) -> str:
    return "\n".join([text] * n)


@pytest.mark.parametrize(
    ("text", "address", "cycles"),
    [
        pytest.param("ldrd r0, r1, [r4]", DTCM, 1, id="c7-ldrd"),
        pytest.param("ldm.w r4, {r0-r2}", DTCM, 2, id="c7-ldm3"),
        pytest.param("ldm.w r4, {r0-r3}", DTCM, 2, id="c7-ldm4"),
        pytest.param("ldm.w r4, {r0-r3, r5}", DTCM, 3, id="c7-ldm5"),
        pytest.param("stm.w r4, {r0-r3}", DTCM, 2, id="c8-stm4-aligned"),
        pytest.param("stm.w r4, {r0-r3}", DTCM + 4, 3, id="c8-stm4-at-4"),
        pytest.param("stm.w r4, {r0-r2}", DTCM + 4, 2, id="c8-stm3-at-4"),
        pytest.param("strd r0, r1, [r4]", DTCM + 4, 2, id="c8-strd-at-4"),
        pytest.param("str r0, [r4]", DTCM, 1, id="c13-aligned-stores"),
        pytest.param("str r0, [r4]", DTCM + 2, 4, id="c11-unaligned-stores"),
        pytest.param("strb r0, [r4]", DTCM + 1, 1, id="c16-no-ecc"),
    ],
)
def test_streams(text: str, address: int, cycles: int) -> None:
    assert cost(text, [address], copies=40) == cycles


@pytest.mark.parametrize(
    ("text", "addresses", "cycles"),
    [
        pytest.param("strb r0, [r4]", [DTCM], 4, id="same-bank"),
        pytest.param("strb r0, [r4]\nstrb r0, [r5]", [DTCM, DTCM + 4], 4, id="both-banks"),
        pytest.param("str r0, [r4]", [DTCM], 1, id="words"),
    ],
)
def test_c16_stores_with_ecc(text: str, addresses: list[int], cycles: int) -> None:
    core = default_core().with_parameters(subword_store_rmw=1)
    assert cost(text, addresses, copies=40, core=core) == cycles


def test_c11_five_unaligned_stores_are_free() -> None:
    nops = sequence("nop.w", 40)
    base = straight(sequence("str r0, [r4]", 5) + "\n" + nops, [DTCM] * 5).cycles
    assert straight(sequence("str r0, [r4]", 5) + "\n" + nops, [DTCM + 1] * 5).cycles == base
    six = straight(sequence("str r0, [r4]", 6) + "\n" + nops, [DTCM + 1] * 6)
    assert six.stalls[StallCause.STORE_QUEUE] > 0


@pytest.mark.parametrize(
    ("text", "addresses", "cycles"),
    [
        pytest.param("ldr r0, [r4]\nnop.w", [DTCM + 1], 4, id="c10-older"),
        pytest.param("nop.w\nldr r0, [r4]", [DTCM + 2], 5, id="c10-younger"),
        pytest.param("ldr r0, [r4]\nldr r1, [r5]", [DTCM + 1, DTCM + 6], 5, id="c10-both"),
        pytest.param("ldr r0, [r4]\nldr r1, [r5]", [DTCM + 1, DTCM + 12], 4, id="c10-other-bank"),
        pytest.param("ldr r0, [r4]\nldr r1, [r5]", [DTCM + 1, DTCM + 8], 3, id="c10-saves-older"),
        pytest.param("ldr r0, [r4]\nldr r1, [r5]", [DTCM + 8, DTCM + 1], 4, id="c10-saves-younger"),
        pytest.param("ldrh r0, [r4]\nnop.w", [DTCM + 2], 1, id="aligned-half"),
        pytest.param("ldrh r0, [r4]\nnop.w", [DTCM + 3], 4, id="unaligned-half"),
    ],
)
def test_c10_unaligned_loads(text: str, addresses: list[int], cycles: int) -> None:
    assert fenced_cost(text, addresses) == cycles


def test_c15_load_after_store_to_the_same_word() -> None:
    same = fenced_cost("str r0, [r4]\nldr r1, [r5]", [DTCM, DTCM])
    other = fenced_cost("str r0, [r4]\nldr r1, [r5]", [DTCM, DTCM + 8])
    assert (same, other) == (5, 1)
    part = straight("strb r0, [r4]\nldr r1, [r5]", [DTCM + 2, DTCM])
    assert part.stalls == {StallCause.STORE_TO_LOAD: 3}


def test_f11_access_that_does_not_happen_costs_its_transfer() -> None:
    text = "it ne\nldmne r4, {r0-r3}"
    assert cost(text, [DTCM]) == cost(text, [NO_ACCESS])


def test_load_misses_wait_for_the_line() -> None:
    board = default_board()
    sram, flash = board.region_at(SRAM), board.region_at(FLASH)
    assert sram is not None
    assert flash is not None
    text = "ldr r0, [r4]\nnop.w"
    timing = straight(sequence(text, 3), [SRAM, SRAM + 4, SRAM + 32])
    assert timing.stalls == {StallCause.DCACHE_SRAM: 2 * sram.line_fill_cycles}
    assert (timing.dcache.accesses, timing.dcache.misses) == (3, 2)
    timing = straight(text, [FLASH + 64])
    assert timing.stalls == {StallCause.DCACHE_FLASH: flash.line_fill_cycles}


def test_wide_load_over_two_lines_misses_twice() -> None:
    timing = straight("ldrd r0, r1, [r4]", [SRAM + 28])
    assert timing.dcache.misses == 2


def test_store_miss_allocates_in_write_back_regions_only() -> None:
    text = "str r0, [r4]\n" + "nop.w\n" * 40 + "ldr r1, [r4]"
    assert not straight(text, [SRAM, SRAM + 4]).stalls
    assert StallCause.DCACHE_FLASH in straight(text, [FLASH, FLASH + 4]).stalls


def test_dirty_lines_are_written_back() -> None:
    lines = [SRAM + 32 * k for k in range(256)]  # twice the cache
    timing = straight(sequence("str r0, [r4]", 256), lines)
    assert timing.dcache.write_backs == 128


def test_lru_keeps_what_was_used() -> None:
    board = default_board()
    sets = board.dcache.size_bytes // board.dcache.line_bytes // board.dcache.ways
    one_set = [SRAM + 32 * sets * k for k in range(board.dcache.ways + 1)]
    order = [*one_set[:-1], one_set[0], one_set[-1], one_set[0], one_set[1]]
    timing = straight(sequence("ldr r0, [r4]", len(order)), order)
    assert timing.dcache.misses == len(one_set) + 1  # only the second line had to go


def test_no_cache_no_lookup() -> None:
    board = default_board()
    bare = dataclasses.replace(board, dcache=dataclasses.replace(board.dcache, enabled=False))
    sram = board.region_at(SRAM)
    assert sram is not None
    timing = straight("ldr r0, [r4]\nldr r0, [r4]", [SRAM, SRAM + 4], board=bare)
    assert timing.stalls[StallCause.DATA_UNCACHED] == 2 * sram.read_latency_cycles
    assert timing.dcache.accesses == 0


def test_peripheral_read_has_its_own_cause() -> None:
    timing = straight("ldr r0, [r4]", [0x4002_3800])
    assert set(timing.stalls) == {StallCause.PERIPHERAL}


def test_tcm_code_and_data_never_touch_the_caches() -> None:
    timing = straight("ldr r0, [r4]\nstr r0, [r4, #8]", [DTCM, DTCM + 8])
    assert timing.icache.accesses == timing.dcache.accesses == 0


def test_code_in_flash_refills_once_per_line() -> None:
    program = Program(sequence("nop.w", 64), at=FLASH)
    timing = program.time([0, 0])
    assert timing.icache.misses == 8
    assert timing.stalls[StallCause.ICACHE_REFILL] > 0
    warm = program.time([0, 0]).cycles
    tcm = Program(sequence("nop.w", 64)).time([0, 0]).cycles
    flash = default_board().region_at(FLASH)
    assert flash is not None
    assert warm - tcm <= 8 * flash.line_fill_cycles


def test_reset_warm_keeps_caches_and_predictors() -> None:
    program = Program(sequence("ldr r0, [r4]", 8))
    timer = Timer(default_core().table(), default_board(), program.code)
    blocks, addresses = np.zeros(1, np.int32), np.arange(8, dtype=np.uint32) * 32 + SRAM
    cold = timer.feed(blocks, addresses)
    timer.reset(cold=False)
    assert timer.cycles == 0
    warm = timer.feed(blocks, addresses)
    timer.reset(cold=True)
    again = timer.feed(blocks, addresses)
    assert warm.sum() < cold.sum() == again.sum()
    assert timer.result().dcache.misses == 8


def test_wrong_number_of_addresses_is_refused() -> None:
    program = Program("ldr r0, [r4]")
    timer = Timer(default_core().table(), default_board(), program.code)
    with pytest.raises(ValueError, match="addresses"):
        timer.feed(np.zeros(1, np.int32), np.array([FENCE_ADDRESS] * 2, np.uint32))
