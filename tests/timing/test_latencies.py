"""The forwarding matrix (m7-core section 4, 5, 6, 9): cycles from producer to consumer."""

from __future__ import annotations

import pytest
from micro_programs import DTCM, cost, fenced_cost, latency

pytestmark = pytest.mark.toolchain

# consumers of r0, with the address of their own access
CONSUMERS = {
    "late": ("eor.w r9, r0, r8", ()),
    "early": ("eor.w r9, r8, r0, lsl #1", ()),
    "beside": ("eor.w r9, r0, r8, lsl #1", ()),
    "base": ("ldr r9, [r0]", (DTCM + 0x40,)),
    "index": ("ldr r9, [r8, r0]", (DTCM + 0x40,)),
    "multiplicand": ("mul r9, r0, r8", ()),
    "accumulator": ("mla r9, r7, r8, r0", ()),
    "store": ("str r0, [r8]", (DTCM + 0x40,)),
}
ORDER = tuple(CONSUMERS)

# producer of r0, address of its access, latency to each consumer in the order above. Where the
# pair itself is barred (unit, slot) the value is at least 1.
PRODUCERS = {
    "late-alu": ("eor.w r0, r1, r2", (), (1, 2, 1, 2, 2, 1, 0, 0)),
    "early-add": ("add.w r0, r1, r2", (), (0, 1, 0, 1, 1, 0, 0, 0)),
    "inline-shift": ("eor.w r0, r1, r2, lsl #1", (), (1, 2, 1, 2, 2, 1, 0, 0)),
    "reverse": ("rev.w r0, r1", (), (0, 2, 1, 2, 2, 1, 0, 0)),
    "bitfield": ("ubfx r0, r1, #3, #4", (), (1, 2, 1, 2, 2, 1, 0, 0)),
    "extend": ("sxtb16 r0, r1", (), (1, 2, 1, 2, 2, 1, 0, 0)),
    "parallel": ("uadd8 r0, r1, r2", (), (1, 2, 1, 2, 2, 1, 0, 0)),
    "saturate": ("ssat r0, #8, r1", (), (2, 3, 2, 3, 3, 2, 1, 1)),
    "mul": ("mul r0, r1, r2", (), (2, 3, 2, 4, 4, 2, 1, 1)),
    "smlad": ("smlad r0, r1, r2, r3", (), (2, 3, 2, 4, 4, 2, 1, 1)),
    "load-word": ("ldr r0, [r1]", (DTCM + 4,), (1, 2, 2, 2, 3, 2, 1, 0)),
    "load-byte": ("ldrb r0, [r1]", (DTCM + 4,), (2, 3, 2, 3, 3, 2, 1, 0)),
    "load-half": ("ldrsh r0, [r1]", (DTCM + 4,), (2, 3, 2, 3, 3, 2, 1, 0)),
    "writeback": ("ldr r6, [r0], #4", (DTCM + 4,), (0, 1, 0, 1, 1, 0, 0, 0)),
}


@pytest.mark.parametrize("consumer", ORDER)
@pytest.mark.parametrize("producer", PRODUCERS)
def test_matrix(producer: str, consumer: str) -> None:
    text, addresses, expected = PRODUCERS[producer]
    use, use_addresses = CONSUMERS[consumer]
    # the fence after it makes a pair that shares a cycle cost one, hence the 0
    assert latency(text, use, [*addresses, *use_addresses]) == expected[ORDER.index(consumer)]


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        pytest.param("mla r0, r1, r2, r0", 1, id="mla"),
        pytest.param("smlad r0, r1, r2, r0", 1, id="smlad"),
        pytest.param("umlal r0, r3, r1, r2", 1, id="umlal"),
        pytest.param("umaal r0, r3, r1, r2", 1, id="umaal"),
        pytest.param("smlald r0, r3, r1, r2", 1, id="smlald"),
        pytest.param("smmla r0, r1, r2, r0", 1, id="smmla"),
        pytest.param("mul r0, r0, r1", 2, id="mul-through-multiplicand"),
        pytest.param("udiv r0, r1, r2", 7, id="section7-divide"),
        pytest.param("udiv r0, r0, r2", 7, id="section7-divide-chain"),
        pytest.param("eor.w r0, r0, r1", 1, id="alu-chain"),
        pytest.param("ldr r0, [r0]", 2, id="c5-pointer-chase"),
        pytest.param("ldr r0, [r1, r0]", 3, id="c5-index-chase"),
        pytest.param("ldrb r0, [r1, r0]", 3, id="c6-byte-index-chase"),
    ],
)
def test_chains(text: str, cycles: int) -> None:
    addresses = [DTCM] if text.startswith("ldr") else []
    assert cost(text, addresses) == cycles


@pytest.mark.parametrize(
    ("producer", "consumer", "cycles"),
    [
        ("vadd.f32 s0, s1, s2", "vadd.f32 s4, s0, s5", 3),
        ("vadd.f32 s0, s1, s2", "vmul.f32 s4, s0, s5", 3),
        ("vmul.f32 s0, s1, s2", "vadd.f32 s4, s0, s5", 3),
        ("vfma.f32 s0, s1, s2", "vmul.f32 s4, s0, s5", 5),
        ("vmla.f32 s0, s1, s2", "vmul.f32 s4, s0, s5", 6),
        ("vfma.f32 s0, s1, s2", "vfma.f32 s0, s4, s5", 3),
        ("vfma.f32 s0, s1, s2", "vmla.f32 s0, s4, s5", 2),
        ("vmla.f32 s0, s1, s2", "vmla.f32 s0, s4, s5", 3),
        ("vfma.f32 s0, s1, s2", "vfma.f32 s4, s0, s5", 5),
        ("vmla.f32 s0, s1, s2", "vmla.f32 s4, s0, s5", 6),
        ("vadd.f32 s0, s1, s2", "vfma.f32 s0, s4, s5", 3),
        ("vmul.f32 s0, s1, s2", "vmla.f32 s0, s4, s5", 2),
        ("vmul.f32 s0, s1, s2", "vmla.f32 s4, s0, s5", 3),
        ("vmov s0, r0", "vadd.f32 s4, s0, s5", 3),
        ("vmov.f32 s0, s1", "vadd.f32 s4, s0, s5", 3),
        ("vadd.f32 s0, s1, s2", "vmov r0, s0", 3),
        ("vfma.f32 s0, s1, s2", "vmov r0, s0", 5),
        ("vmov r0, s0", "eor.w r1, r0, r2", 1),
        ("vmov r0, s0", "mla r1, r2, r3, r0", 0),
        ("eor.w r0, r1, r2", "vmov s0, r0", 1),
        ("add.w r0, r1, r2", "vmov s0, r0", 1),
        ("mul r0, r1, r2", "vmov s0, r0", 1),
        ("vabs.f32 s0, s1", "vadd.f32 s4, s0, s5", 3),
        ("vcvt.f32.s32 s0, s1", "vadd.f32 s4, s0, s5", 3),
    ],
)
def test_section9_fp(producer: str, consumer: str, cycles: int) -> None:
    assert latency(producer, consumer) == cycles


@pytest.mark.parametrize(
    ("producer", "consumer", "addresses", "cycles"),
    [
        ("vldr s0, [r0]", "vadd.f32 s4, s0, s5", [DTCM], 1),
        ("vldr s0, [r0]", "vmul.f32 s4, s0, s5", [DTCM], 1),
        ("vldr s0, [r0]", "vfma.f32 s0, s4, s5", [DTCM], 3),
        ("vldr s0, [r0]", "vmla.f32 s0, s4, s5", [DTCM], 2),
        ("vldr s0, [r0]", "vmov r1, s0", [DTCM], 2),
        ("vadd.f32 s0, s1, s2", "vstr s0, [r0]", [DTCM], 1),
        ("vfma.f32 s0, s1, s2", "vstr s0, [r0]", [DTCM], 3),
        ("vmla.f32 s0, s1, s2", "vstr s0, [r0]", [DTCM], 4),
    ],
)
def test_section9_fp_memory(
    producer: str, consumer: str, addresses: list[int], cycles: int
) -> None:
    assert latency(producer, consumer, addresses) == cycles


def test_g2_three_independent_accumulators_keep_the_pipe_full() -> None:
    chain = "vfma.f32 s0, s8, s9"
    assert cost(chain) == 3
    three = "\n".join(f"vfma.f32 s{k}, s8, s9" for k in range(3))
    assert cost(three) == 3


def test_g3_mac_bars_vadd_for_three_cycles() -> None:
    assert fenced_cost("vfma.f32 s0, s1, s2\nvadd.f32 s4, s5, s6") == 5
    assert fenced_cost("vfma.f32 s0, s1, s2\nvmov.f32 s4, #1.0") == 5
    assert fenced_cost("vfma.f32 s0, s1, s2\nvmul.f32 s4, s5, s6") == 2


def test_g3_loads_pair_with_the_first_mac_only() -> None:
    mac, other = "vfma.f32 s0, s1, s2", "vfma.f32 s3, s1, s2"
    assert fenced_cost(f"{mac}\nvldr s8, [r0]", [DTCM]) == 1
    assert fenced_cost(f"{mac}\nvldr s8, [r0]\n{other}\nvldr s9, [r0]", [DTCM, DTCM]) == 3
    # as the older of a pair a load may issue, with an integer operation beside it
    assert fenced_cost(f"{mac}\nnop.w\nvldr s8, [r0]\nnop.w", [DTCM]) == 2


def test_g4_fused_does_not_follow_chained_at_once() -> None:
    assert fenced_cost("vmla.f32 s0, s1, s2\nvfma.f32 s3, s4, s5") == 3
    assert fenced_cost("vmla.f32 s0, s1, s2\nvmla.f32 s3, s4, s5") == 2


def test_g6_divide_pairs_with_one_integer_operation_then_blocks() -> None:
    assert cost("vdiv.f32 s0, s1, s2") == 16
    assert fenced_cost("vdiv.f32 s0, s1, s2\neor.w r0, r1, r2") == 16
    assert fenced_cost("vdiv.f32 s0, s1, s2\neor.w r0, r1, r2\nnop.w") == 17
    assert cost("vsqrt.f32 s0, s1") == 14


def test_g11_vldm_moves_two_registers_a_cycle() -> None:
    assert cost("vldm r0, {s0-s3}", [DTCM]) == 2
    assert cost("vldm r0, {s0-s4}", [DTCM]) == 3


def test_c7_registers_of_a_transfer_arrive_two_a_cycle() -> None:
    first = fenced_cost("ldm.w r4, {r0-r3}\neor.w r6, r0, r5", [DTCM])
    last = fenced_cost("ldm.w r4, {r0-r3}\neor.w r6, r5, r3, lsl #1", [DTCM])
    assert (first, last) == (3, 4)
