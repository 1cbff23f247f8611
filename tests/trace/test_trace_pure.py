"""Pure operations against the engine: every encoding that is understood, executed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from m7sim.isa import UndecodableError, decode
from m7sim.isa.instruction import Instruction
from m7sim.machine.engine import Engine
from m7sim.trace.battery import CODE_ADDRESS
from m7sim.trace.form import DERIVED, OPAQUE, Form
from m7sim.trace.linear import walk
from m7sim.trace.pure import AND, ASR, LSL, LSR, MUL, OR, ROR, XOR, folded, pure_result
from m7sim.trace.rig import make_engine

BITS = 0xFFFF_FFFF
MNEMONICS = (
    "and ands bic orr orn eor mvn lsr lsrs lsl lsls asr asrs ror rors ubfx sbfx bfi bfc uxtb "
    "uxth sxtb sxth uxtab uxtah sxtab sxtah mul mla mls add sub rsb"
)


def narrow(rng: random.Random) -> bytes:
    half = rng.choice(
        (
            0x0800 | rng.randrange(0x1000),  # lsrs, asrs by a constant
            0x4000 | rng.randrange(0x400),  # data processing on registers
            0xB200 | rng.randrange(0x100),  # extends
        )
    )
    return half.to_bytes(2, "little")


def wide(rng: random.Random) -> bytes:
    rn, rd, rm = (rng.randrange(13) for _ in range(3))
    rn = rng.choice((rn, rn, rn, 15))
    base = rng.choice((0, 1, 2, 3, 4, 8, 13, 14)) << 5 | rng.randrange(2) << 4
    any15 = rng.randrange(0x8000) & 0x70FF
    first, second = rng.choice(
        (
            (0xF000 | base | rng.randrange(2) << 10 | rn, any15 | rd << 8),  # modified immediate
            (0xEA00 | base | rn, any15 & 0x70F0 | rd << 8 | rm),  # shifted register
            (rng.choice((0xF340, 0xF360, 0xF3C0)) | rn, any15 & 0x70DF | rd << 8),  # bit fields
            (0xFA00 | rng.randrange(8) << 4 | rn, 0xF000 | rd << 8 | rm),  # shift by register
            (0xFA00 | rng.randrange(6) << 4 | rn, 0xF080 | rd << 8 | rng.randrange(4) << 4 | rm),
            (0xFB00 | rn % 13, rng.choice((rm, 15)) << 12 | rd << 8 | rng.randrange(2) << 4 | rd),
        )
    )
    return first.to_bytes(2, "little") + second.to_bytes(2, "little")


def value(form: Form, registers: list[int], steps: list[int]) -> int:
    total = form.constant
    for atom, coefficient in form.terms:
        total += coefficient * (steps[atom - DERIVED] if atom >= DERIVED else registers[atom])
    return total & BITS


def expected(instruction: Instruction, code: bytes, registers: list[int]) -> dict[int, int]:
    result = walk([instruction], code, lambda _address: None)
    steps: list[int] = []
    if any(OPAQUE in (*step.a.unknown, *step.b.unknown) for step in result.steps):
        return {}  # the pc as an operand: unpredictable
    for step in result.steps:
        a, b = (value(form, registers, steps) for form in (step.a, step.b))
        steps.append(folded(step.operation, a, b))
    written = {register for register, _ in instruction.writes if register < 13}
    finals = {register: result.final[register] for register in written}
    return {
        register: value(form, registers, steps)
        for register, form in finals.items()
        if all(not OPAQUE <= atom < DERIVED for atom in form.unknown)
    }


def execute(engine: Engine, code: bytes, registers: list[int]) -> list[int]:
    engine.write(CODE_ADDRESS, code)
    for number, word in enumerate(registers):
        engine.write_register(f"r{number}", word)
    assert engine.run(CODE_ADDRESS, CODE_ADDRESS + len(code)).kind == "until"
    return [engine.read_register(f"r{number}") for number in range(13)]


def test_against_the_engine() -> None:
    rng = random.Random(1)
    words = [
        0,
        1,
        2,
        31,
        32,
        33,
        255,
        256,
        0x7FFF_FFFF,
        0x8000_0000,
        0xFFFF_FF80,
        BITS,
        0x8765_4321,
    ]
    engine = make_engine(b"\0\0")
    seen: Counter[str] = Counter()
    for _ in range(6000):
        code = rng.choice((narrow, wide))(rng)
        try:
            instruction = decode(code, CODE_ADDRESS)
        except UndecodableError:
            continue
        registers = [rng.choice((*words, rng.getrandbits(32))) for _ in range(13)]
        known = expected(instruction, code, registers)
        if not known:
            continue
        seen[instruction.text.split()[0].removesuffix(".w")] += 1
        after = execute(engine, code, registers)
        for register, word in known.items():
            assert after[register] == word, f"{code.hex()} {instruction.text} {registers}"
    engine.close()
    wanted = MNEMONICS.split()
    assert [name for name in wanted if not seen[name]] == []


def test_what_depends_on_more_is_left_alone() -> None:
    """Rotation through the carry, wide multiplications, count of leading zeros."""
    for code in ("4fea3100", "80fb0231", "b1fa81f0"):  # rrx r0, r1; smull; clz
        assert pure_result(bytes.fromhex(code), lambda r: Form(0, ((r, 1),)), None) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operation", "a", "b", "result"),
    [
        (AND, 12, 10, 8), (OR, 12, 10, 14), (XOR, 12, 10, 6), (MUL, 1 << 31, 3, 1 << 31),
        (LSL, 1, 31, 1 << 31), (LSL, 1, 32, 0), (LSL, 1, 256, 1), (LSR, BITS, 31, 1),
        (LSR, BITS, 32, 0), (ASR, 1 << 31, 40, BITS), (ASR, 1 << 30, 30, 1), (ROR, 1, 1, 1 << 31),
        (ROR, 5, 32, 5), (ROR, 5, 64, 5),
    ],
)  # fmt: skip
def test_operations(operation: int, a: int, b: int, result: int) -> None:
    assert folded(operation, a, b) == result
