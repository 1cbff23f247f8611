"""Classes, reads, writes and the rest of 220 instructions of every class, checked by hand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from m7sim.isa import UndecodableError, decode, decode_range, sweep
from m7sim.isa.classes import CLASSES, RESULTS
from m7sim.isa.instruction import Branch, Instruction, Linear, Result, Role
from m7sim.isa.registers import FLAGS, FPSCR, GE, NAMES, S0

TABLE = Path(__file__).with_name("instructions.txt")
HEADER = ".syntax unified\n.cpu cortex-m7\n.fpu fpv5-d16\n.thumb\n"
SPACING_BYTES = 8


def table_lines() -> list[str]:
    return [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]


def assemble(tmp_path: Path, instructions: list[str]) -> bytes:
    """Assemble each instruction to its own 8-byte slot, without help from the decoder."""
    body = "".join(f".balign {SPACING_BYTES}\n{text}\n" for text in instructions)
    source, target = tmp_path / "a.s", tmp_path / "a.o"
    source.write_text(f"{HEADER}{body}.balign {SPACING_BYTES}\n")
    subprocess.run(["arm-none-eabi-as", source, "-o", target], check=True)
    raw = tmp_path / "a.bin"
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", target, raw], check=True)
    return raw.read_bytes()


def one(tmp_path: Path, text: str, address: int = 0, *conditions: int) -> Instruction:
    before = f"it {('eq', 'ne', 'cs', 'cc')[conditions[0]]}\n" if conditions else ""
    code = assemble(tmp_path, [before + text])[2 * bool(conditions) :]
    return decode(code[:4], address, it_conditions=conditions)


def told(found: Instruction) -> str:
    """Write an instruction down as the table does."""
    reads = " ".join(f"{NAMES[r]}:{role.name.lower()}" for r, role in found.reads)
    how = {Result.TRANSFER: ":transfer", Result.WRITEBACK: ":writeback"}
    writes = " ".join(NAMES[r] + how.get(result, "") for r, result in found.writes)
    rest = []
    if found.memory:
        m = found.memory
        kind = "L" if m.load else "S"
        rest.append(f"{kind}{m.count}x{m.unit_bytes}{'lit' if m.literal else ''}")
    if found.branch != Branch.NONE:
        rest.append(found.branch.name.lower())
    elif found.ends_block:
        rest.append("ends")
    return " | ".join((found.klass, reads, writes, " ".join(rest)))


@pytest.mark.toolchain
def test_table_of_instructions(tmp_path: Path) -> None:
    lines = table_lines()
    code = assemble(tmp_path, [line.partition("|")[0].strip() for line in lines])
    wrong = []
    for number, line in enumerate(lines):
        at = number * SPACING_BYTES
        found = decode(code[at : at + 4], at)
        text, _, expected = line.partition("|")
        got = [part.strip() for part in told(found).split("|")]
        if got != [part.strip() for part in expected.split("|")]:
            wrong.append(f"{text}: {' | '.join(got)}")
        assert found.ends_block or found.branch == Branch.NONE
    assert not wrong


def test_table_covers_every_class() -> None:
    assert {line.split("|")[1].strip() for line in table_lines()} == set(CLASSES)
    assert len(table_lines()) >= 120


def test_results_of_the_class_list_are_those_of_the_table() -> None:
    """A core table states latencies for what ``RESULTS`` says: it must not say too little."""
    kind = {FLAGS: "flags", GE: "flags", FPSCR: "flags"}
    for line in table_lines():
        _, klass, _, writes, _ = (part.strip() for part in line.split("|"))
        for write in writes.split():
            name, _, how = write.partition(":")
            register = NAMES.index(name)
            written = kind.get(register, "core" if register < S0 else "fp")
            assert how == "writeback" or written in RESULTS[klass], line


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("mov r0, r1", {0: Linear(0, ((1, 1),))}),
        ("movw r0, #0x1234", {0: Linear(0x1234)}),
        ("mvn r0, #4", {0: Linear(0xFFFF_FFFB)}),
        ("mvn r0, r1", {0: Linear(0xFFFF_FFFF, ((1, -1),))}),
        ("add.w r0, r1, r2, lsl #3", {0: Linear(0, ((1, 1), (2, 8)))}),
        ("sub.w r0, r1, r2, lsl #1", {0: Linear(0, ((1, 1), (2, -2)))}),
        ("rsb r0, r1, #7", {0: Linear(7, ((1, -1),))}),
        ("rsb r0, r1, r1, lsl #3", {0: Linear(0, ((1, 7),))}),
        ("subs r0, r0, r0", {0: Linear(0)}),
        ("lsls r0, r1, #31", {0: Linear(0, ((1, -(1 << 31)),))}),
        ("lsrs r0, r1, #3", {}),
        ("add.w r0, r1, r2, lsr #3", {}),
        ("orr.w r0, r1, r2", {}),
        ("adr r0, .+8", {0: Linear(0x108)}),
        ("subw r0, pc, #4", {0: Linear(0x100)}),
        ("mov r0, pc", {0: Linear(0x104)}),
        ("add r0, pc", {0: Linear(0x104, ((0, 1),))}),
        ("ldr r0, [r1], #-4", {1: Linear(0xFFFF_FFFC, ((1, 1),))}),
        ("push {r0, r1, lr}", {13: Linear(0xFFFF_FFF4, ((13, 1),))}),
        ("ldm r0!, {r1, r2}", {0: Linear(8, ((0, 1),))}),
        ("vpop {d8-d9}", {13: Linear(16, ((13, 1),))}),
        ("bl .", {14: Linear(0x105)}),
        ("mul r0, r1, r2", {}),
        ("movt r0, #0x2000", {}),
    ],
)
def test_linear_values(tmp_path: Path, text: str, values: dict[int, Linear]) -> None:
    assert dict(one(tmp_path, text, 0x100).values) == values


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ldr r0, [r1, #-4]!", Linear(0xFFFF_FFFC, ((1, 1),))),
        ("ldr r0, [r1], #4", Linear(0, ((1, 1),))),
        ("ldr.w r0, [r1, r2, lsl #2]", Linear(0, ((1, 1), (2, 4)))),
        ("ldr r0, [pc, #8]", Linear(0x10C)),
        ("vldr d0, [pc, #-8]", Linear(0xFC)),
        ("ldrd r0, r1, [pc, #8]", Linear(0x10C)),
        ("stmdb r0!, {r1, r2, r3}", Linear(0xFFFF_FFF4, ((0, 1),))),
        ("ldmdb r0, {r1, r2}", Linear(0xFFFF_FFF8, ((0, 1),))),
        ("push {r4, lr}", Linear(0xFFFF_FFF8, ((13, 1),))),
        ("pop {r4, pc}", Linear(0, ((13, 1),))),
        ("vpush {s16-s18}", Linear(0xFFFF_FFF4, ((13, 1),))),
        ("vldmdb r0!, {d0}", Linear(0xFFFF_FFF8, ((0, 1),))),
        ("tbb [pc, r0]", Linear(0x104, ((0, 1),))),
        ("tbh [pc, r0, lsl #1]", Linear(0x104, ((0, 2),))),
        ("tbh [r1, r0, lsl #1]", Linear(0, ((0, 2), (1, 1)))),
        ("ldrex r0, [r1, #8]", Linear(8, ((1, 1),))),
    ],
)
def test_addresses(tmp_path: Path, text: str, address: Linear) -> None:
    memory = one(tmp_path, text, 0x100).memory
    assert memory is not None
    assert memory.address == address


@pytest.mark.toolchain
def test_movt_keeps_the_low_half(tmp_path: Path) -> None:
    found = one(tmp_path, "movt r3, #0x2001")
    assert found.movt == 0x2001
    assert one(tmp_path, "movw r3, #0x2001").movt == -1


@pytest.mark.toolchain
def test_predicated_instructions_read_flags_and_set_none(tmp_path: Path) -> None:
    found = one(tmp_path, "addeq r0, r1", 0, 0)
    assert (found.condition, found.predicated) == (0, True)
    assert (FLAGS, Role.FLAGS) in found.reads
    assert FLAGS not in {register for register, _ in found.writes}
    assert found.text.startswith("addeq")
    branch = one(tmp_path, "bne .", 0, 1)
    assert branch.branch == Branch.CONDITIONAL
    assert branch.condition == 1


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("it eq\nmoveq r0, r0", (0,)),
        ("ite ge\nmovge r0, r0\nmovlt r0, r0", (10, 11)),
        ("itttt hi\nmovhi r0, r0\nmovhi r0, r0\nmovhi r0, r0\nmovhi r0, r0", (8, 8, 8, 8)),
        ("itete ne\nmovne r0, r0\nmoveq r0, r0\nmovne r0, r0\nmoveq r0, r0", (1, 0, 1, 0)),
    ],
)
def test_it_conditions_reach_the_instructions(
    tmp_path: Path, text: str, conditions: tuple[int, ...]
) -> None:
    code = assemble(tmp_path, [text + "\nadds r0, r0, r0"])
    it, *rest = decode_range(code[: 4 + 2 * len(conditions)], 0)
    assert it.it_conditions == conditions
    assert tuple(i.condition for i in rest[: len(conditions)]) == conditions
    assert not rest[-1].predicated
    assert (FLAGS, Result.FLAGS) in rest[-1].writes


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (b"", "no code left"),
        (b"\x00", "no code left"),
        (b"\x00\xf0", "no instruction"),
        (bytes.fromhex("ffffffff"), "no instruction"),
        (bytes.fromhex("97faa2f5"), "two different sources"),  # rbit r5, r7 with Rm r2
        (bytes.fromhex("0ff20000") + b"\xff", None),  # adr.w is fine
        (bytes.fromhex("07ee900a"), None),  # vmov s15, r0
        (bytes.fromhex("42ef830d"), "no instruction of FPv5"),  # vadd.f32 d16, d18, d3
        (bytes.fromhex("03eb4b8f"), "writes pc"),  # add.w pc, r3, r11, lsl #1
    ],
)
def test_what_is_no_instruction_is_refused(code: bytes, why: str | None) -> None:
    if why is None:
        decode(code, 0x100)
        return
    with pytest.raises(UndecodableError, match=why) as caught:
        decode(code, 0x100)
    assert "0x00000100" in str(caught.value)


def test_sweep_reports_what_it_cannot_decode() -> None:
    code = bytes.fromhex("00bf ffff 00bf")
    instructions, undecoded = sweep(code, 0x100)
    assert [i.address for i in instructions] == [0x100, 0x104]
    assert [(u.address, u.data) for u in undecoded] == [(0x102, b"\xff\xff")]
    with pytest.raises(UndecodableError, match="1 halfwords cannot be decoded"):
        decode_range(code, 0x100)
