"""Which two instructions share a cycle (m7-core section 3): one or two cycles for the pair."""

from __future__ import annotations

import pytest
from micro_programs import DTCM, cost, default_core, fenced_cost

pytestmark = pytest.mark.toolchain

EVEN, ODD, EVEN_TOO = DTCM, DTCM + 4, DTCM + 8

ALU = "eor.w r0, r1, r2"
ALU_2 = "eor.w r3, r4, r5"
INLINE = "eor.w r0, r1, r2, lsl #1"
INLINE_2 = "eor.w r3, r4, r5, ror #8"
CONSTANT = "eor.w r0, r1, #0x1fc0"
CONSTANT_2 = "eor.w r3, r4, #0x1fc0"
PATTERN = "eor.w r0, r1, #0x1b1b1b1b"
WIDE = "addw r0, r1, #0xff9"
SHIFT = "lsr.w r0, r1, #3"
SHIFT_2 = "lsr.w r3, r4, #5"
SHIFT_REG = "ror.w r3, r4, r5"
SIMD = "uxtb.w r0, r1"
SIMD_2 = "sadd8 r3, r4, r5"
BITS = "ubfx r0, r1, #3, #4"
MUL = "mul r0, r1, r2"
MAC = "smlad r3, r4, r5, r6"
FP = "vadd.f32 s0, s1, s2"
FP_2 = "vmul.f32 s4, s5, s6"


@pytest.mark.parametrize(
    ("older", "younger", "cycles"),
    [
        pytest.param(ALU, ALU_2, 1, id="plain-plain"),
        pytest.param(INLINE, INLINE_2, 2, id="inline-inline"),
        pytest.param(INLINE, ALU_2, 1, id="inline-plain"),
        pytest.param(ALU, INLINE_2, 1, id="plain-inline"),
        pytest.param(CONSTANT, CONSTANT_2, 2, id="constant-constant"),
        pytest.param(CONSTANT, INLINE_2, 2, id="constant-inline"),
        pytest.param(INLINE, CONSTANT_2, 2, id="inline-constant"),
        pytest.param(PATTERN, INLINE_2, 1, id="pattern-inline"),
        pytest.param(WIDE, INLINE_2, 1, id="12-bit-inline"),
        pytest.param(SHIFT, INLINE_2, 2, id="shift-inline"),
        pytest.param(INLINE, SHIFT_2, 1, id="inline-shift"),
        pytest.param(SHIFT, CONSTANT_2, 2, id="shift-constant"),
        pytest.param(SHIFT, SHIFT_2, 1, id="shift-shift"),
        pytest.param(SHIFT, SHIFT_REG, 1, id="shift-shift-by-register"),
        pytest.param(SIMD, SIMD_2, 2, id="simd-simd"),
        pytest.param(SIMD, ALU_2, 1, id="simd-plain"),
        pytest.param(ALU, SIMD_2, 2, id="plain-simd"),
        pytest.param(BITS, INLINE_2, 2, id="bitfield-inline"),
        pytest.param(SIMD, INLINE_2, 1, id="extend-inline"),
        pytest.param(SIMD_2, INLINE, 1, id="parallel-inline"),
        pytest.param(MUL, MAC, 2, id="mul-mac"),
        pytest.param(MUL, ALU_2, 1, id="mul-plain"),
        pytest.param(ALU, MAC, 1, id="plain-mac"),
        pytest.param("sxtb16 r0, r1", MAC, 1, id="simd-mac"),
        pytest.param(INLINE, MAC, 1, id="inline-mac"),
        pytest.param("clz r0, r1", ALU_2, 1, id="clz-plain"),
        pytest.param(ALU, "clz r3, r4", 2, id="plain-clz"),
        pytest.param(FP, FP_2, 2, id="g1-fp-fp"),
        pytest.param(FP, ALU, 1, id="g1-fp-plain"),
        pytest.param(ALU, FP, 1, id="g1-plain-fp"),
        pytest.param("vmov s0, r0", "eor.w r3, r4, r5", 1, id="g7-vmov-plain"),
        pytest.param("vmov r0, r1, s2, s3", ALU_2, 2, id="g8-vmov-pair"),
        pytest.param("vmov.f32 s0, #1.0", "vmov.f32 s1, #2.0", 2, id="g8-constants"),
        pytest.param("udiv r0, r1, r2", ALU_2, 8, id="divide-plain"),
        pytest.param("mrs r0, apsr", ALU_2, 2, id="mrs-plain"),
        pytest.param("nop.w", "nop.w", 1, id="a8-nop-nop"),
        pytest.param("mov.w r0, #1", "mov.w r0, #2", 1, id="a9-same-destination"),
        pytest.param("adc.w r0, r1, r2", "adc.w r3, r4, r5", 1, id="a14-adc-adc"),
        pytest.param("adcs.w r0, r1, r2", "adcs.w r3, r4, r5", 2, id="a14-adcs-adcs"),
    ],
)
def test_register_pairs(older: str, younger: str, cycles: int) -> None:
    assert fenced_cost(f"{older}\n{younger}") == cycles


@pytest.mark.parametrize(
    ("older", "younger", "addresses", "cycles"),
    [
        pytest.param("ldr r0, [r4]", "ldr r1, [r5]", (EVEN, ODD), 1, id="c1-c2-other-bank"),
        pytest.param("ldr r0, [r4]", "ldr r1, [r5]", (EVEN, EVEN_TOO), 2, id="c2-same-bank"),
        pytest.param("ldrb r0, [r4]", "ldrb r1, [r5]", (EVEN, EVEN + 3), 2, id="c2-same-word"),
        pytest.param("ldr r0, [r4], #4", "ldr r1, [r5], #4", (EVEN, ODD), 1, id="post-indexed"),
        pytest.param("ldr r0, [r4], #4", "ldr r1, [r4]", (EVEN, ODD), 2, id="base-just-written"),
        pytest.param("ldr r0, [r4]", "str r1, [r5]", (EVEN, EVEN_TOO), 1, id="load-store"),
        pytest.param("str r0, [r4]", "ldr r1, [r5]", (EVEN, EVEN_TOO), 1, id="store-load"),
        pytest.param("str r0, [r4]", "str r1, [r5]", (EVEN, ODD), 2, id="store-store"),
        pytest.param("ldr r0, [r4]", "eor.w r1, r2, r3", (EVEN,), 1, id="load-plain"),
        pytest.param("mul r0, r1, r2", "str r3, [r4]", (EVEN,), 2, id="mul-store"),
        pytest.param("str r3, [r4]", "mul r0, r1, r2", (EVEN,), 2, id="store-mul"),
        pytest.param("mul r0, r1, r2", "ldr r3, [r4]", (EVEN,), 1, id="mul-load"),
        pytest.param("ldrd r0, r1, [r4]", "nop.w", (EVEN,), 2, id="c7-ldrd-alone"),
        pytest.param("nop.w", "ldm.w r4, {r0, r1}", (EVEN,), 2, id="c7-ldm-alone"),
        pytest.param("vldr s0, [r4]", "nop.w", (EVEN,), 1, id="vldr-plain"),
        pytest.param("vldr d0, [r4]", "nop.w", (EVEN,), 2, id="vldr-double-alone"),
        pytest.param("ldrex r0, [r4]", "nop.w", (EVEN,), 1, id="c21-ldrex-older"),
        pytest.param("nop.w", "ldrex r0, [r4]", (EVEN,), 2, id="c21-ldrex-not-younger"),
        pytest.param("ldr r0, [r4]", "ldr r1, [r5]", (0x1000, 0x1004), 2, id="c4-itcm-one-bank"),
        pytest.param("ldr r0, [r4]", "ldr r1, [r5]", (EVEN, 0x1000), 1, id="itcm-and-dtcm"),
    ],
)
def test_pairs_with_memory(
    older: str, younger: str, addresses: tuple[int, ...], cycles: int
) -> None:
    assert fenced_cost(f"{older}\n{younger}", addresses) == cycles


@pytest.mark.parametrize(
    ("older", "younger"),
    [
        ("add.w r0, r1, r2", "eor.w r3, r0, r4"),
        ("sub.w r0, r1, #9", "and.w r3, r0, r4"),
        ("add.w r0, r1, r2", "add.w r3, r0, r4"),
        ("mov.w r0, #7", "orr.w r3, r0, r4"),
        ("lsl.w r0, r1, #3", "eor.w r3, r0, r4"),
        ("rev.w r0, r1", "eor.w r3, r0, r4"),
        ("rbit r0, r1", "eor.w r3, r0, r4"),
        ("movw r0, #0x1234", "movt r0, #0x5678"),
    ],
)
def test_a10_dependent_pair_shares_a_cycle(older: str, younger: str) -> None:
    assert fenced_cost(f"{older}\n{younger}") == 1


@pytest.mark.parametrize("older", ["eor.w r0, r1, r2", "and.w r0, r1, r2", "rsb.w r0, r1, r2"])
def test_a10_late_only_results_do_not(older: str) -> None:
    assert fenced_cost(f"{older}\neor.w r3, r0, r4") == 2


def test_a11_add_is_early_from_the_older_slot_only() -> None:
    load = "ldr r3, [r0]\nnop.w"
    assert fenced_cost(f"add.w r0, r1, r2\nnop.w\n{load}", [DTCM]) == 2
    assert fenced_cost(f"nop.w\nadd.w r0, r1, r2\n{load}", [DTCM]) == 3


def test_a11_shift_is_early_from_either_slot() -> None:
    load = "ldr r3, [r0]\nnop.w"
    assert fenced_cost(f"nop.w\nlsl.w r0, r1, #1\n{load}", [DTCM]) == 2
    assert fenced_cost(f"{INLINE_2}\nlsl.w r0, r1, #1\n{load}", [DTCM]) == 3


def test_a12_late_input_makes_an_early_op_late() -> None:
    tail = "nop.w\nldr r3, [r0]\nnop.w"
    assert fenced_cost(f"eor.w r1, r4, r5\nnop.w\nadd.w r0, r1, r2\n{tail}", [DTCM]) == 4
    assert fenced_cost(f"mov.w r1, r4\nnop.w\nadd.w r0, r1, r2\n{tail}", [DTCM]) == 3


def test_a13_flags_are_late_even_from_the_early_alu() -> None:
    assert fenced_cost("adds.w r0, r1, r2\nadc.w r3, r4, r5") == 2


def test_f4_not_taken_branch_pairs_with_the_next() -> None:
    assert cost("beq.w 1f\nnop.w\nnop.w\nnop.w\n1:") == 2


def test_f11_it_takes_a_slot() -> None:
    assert fenced_cost("it eq\naddeq r0, r1, r2") == 1
    assert fenced_cost("itt eq\naddeq r0, r1, r2\naddeq r3, r4, r5") == 2


def test_knob_decides_where_sources_disagree() -> None:
    core = default_core().with_parameters(extend_uses_inline_shift=1)
    assert fenced_cost(f"{SIMD}\n{INLINE_2}", core=core) == 2
