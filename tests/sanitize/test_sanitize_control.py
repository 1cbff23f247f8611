"""Alignment, registers and jumps: what is told, instruction by instruction, and what is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from m7sim import toolchain
from m7sim.board import Board
from m7sim.errors import FirmwareError
from m7sim.profile import live
from m7sim.sanitize import Finding, Rules
from m7sim.sanitize.alignment import device_spans
from m7sim.session import Firmware, load, replay

pytestmark = pytest.mark.toolchain

FIRMWARE = toolchain.firmware_dir()
PROGRAMS = Path(__file__).parent / "programs"
HEAD = ".syntax unified\n.thumb\n.fpu fpv5-sp-d16\n"


def function(name: str, body: str) -> str:
    lines = "\n".join(f"        {line.strip()}" for line in body.split(";"))
    return (
        f'.section .text.{name}, "ax", %progbits\n.global {name}\n.type {name}, %function\n'
        f".thumb_func\n{name}:\n{lines}\n.size {name}, . - {name}\n"
    )


def build(
    folder: Path, functions: dict[str, str], *more: Path, keep: tuple[str, ...] = ()
) -> Firmware:
    source = folder / "functions.S"
    source.write_text(HEAD + "".join(function(name, body) for name, body in functions.items()))
    elf = toolchain.build(
        [*more, source],
        linker_script=FIRMWARE / "board" / "stm32f746.ld",
        flags=("-O1", "-g", "-ffunction-sections"),
        keep=(*sorted(functions), *keep),
    )
    return load(elf, board="stm32f746", time=False)


def of_kind(firmware: Firmware, kinds: tuple[str, ...], name: str, *given: object) -> list[Finding]:
    """Call a function; return the findings of these kinds."""
    try:
        found = firmware.call(name, *given, sanitize=True).findings
    except FirmwareError as error:
        found = error.findings
    return [each for each in found if each.kind in kinds]


# Alignment ---------------------------------------------------------------------------------------

WORDS = {  # trap unless aligned to a word
    "ldrd": "ldrd r2, r3, [r0]; bx lr",
    "strd": "strd r0, r1, [r0]; bx lr",
    "ldm": "ldm r0, {r1, r2, r3}; bx lr",
    "stm": "stm r0, {r1, r2, r3}; bx lr",
    "ldmdb": "adds r0, #8; ldmdb r0, {r1, r2}; bx lr",
    "vldr": "vldr s0, [r0]; bx lr",
    "vldr_double": "vldr d0, [r0]; bx lr",
    "vstr": "vstr s0, [r0]; bx lr",
    "vldm": "vldmia r0!, {s0-s3}; bx lr",
    "vstm": "vstmia r0!, {s0-s3}; bx lr",
    "ldrex": "ldrex r1, [r0]; bx lr",
    "strex": "strex r2, r1, [r0]; bx lr",
}
HALVES = {"ldrexh": "ldrexh r1, [r0]; bx lr", "strexh": "strexh r2, r1, [r0]; bx lr"}
FREE = {  # do not, in Normal memory
    "ldr": "ldr r1, [r0]; bx lr",
    "str": "str r1, [r0]; bx lr",
    "ldrh": "ldrh r1, [r0]; bx lr",
    "strh": "strh r1, [r0]; bx lr",
    "ldrsh": "ldrsh r1, [r0]; bx lr",
    "ldrexb": "ldrexb r1, [r0]; bx lr",
    "ldrb": "ldrb r1, [r0]; bx lr",
    "not_executed": "cmp r0, #0; it eq; ldrdeq r2, r3, [r0]; bx lr",
}
TRAPS = (
    "ldr r2, =0xE000ED14; ldr r3, [r2]; orr r3, r3, #8; ldr r1, [r0]; b 1f; 1: str r3, [r2]; "
    "ldr r1, [r0, #4]; bx lr; .ltorg"
)
MPU = (
    "ldr r2, =0xE000ED90; movs r3, #0; str r3, [r2, #8]; ldr r3, =0x20010000; str r3, [r2, #12]; "
    "ldr r3, =0x0301001F; str r3, [r2, #16]; movs r3, #5; str r3, [r2, #4]; dsb; isb; "
    "ldrh r1, [r0]; bx lr; .ltorg"
)  # region 0: 64 KiB of SRAM1 as Device memory


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    more = {
        "traps": TRAPS,
        "device": "ldr r0, =0x40020001; ldrh r0, [r0]; bx lr; .ltorg",
        "device_word": "ldr r0, =0x40020000; ldr r0, [r0]; bx lr; .ltorg",
        "mpu": MPU,
    }
    return build(tmp_path_factory.mktemp("aligned"), WORDS | HALVES | FREE | more)


@pytest.mark.parametrize("name", [*WORDS, *HALVES, *FREE])
@pytest.mark.parametrize("offset", [0, 1, 2, 4])
def test_which_unaligned_accesses_trap(aligned: Firmware, name: str, offset: int) -> None:
    buffer = aligned.machine.alloc(np.zeros(32, np.uint8))
    found = of_kind(aligned, ("unaligned_access",), name, buffer.address + offset)
    buffer.free()
    traps = (name in WORDS and offset % 4 != 0) or (name in HALVES and offset % 2 != 0)
    assert len(found) == traps
    if traps:
        assert found[0].address == buffer.address + offset
        assert f"unaligned 0x{buffer.address + offset:08x}" in found[0].what


def test_after_unalign_trp_every_unaligned_access_traps(aligned: Firmware) -> None:
    buffer = aligned.machine.alloc(np.zeros(32, np.uint8))
    (found,) = of_kind(aligned, ("unaligned_access",), "traps", buffer.address + 1)
    assert found.address == buffer.address + 5  # not the one before
    assert "CCR.UNALIGN_TRP" in found.what
    aligned.reset()  # forgets it


def test_device_memory_traps_as_well(aligned: Firmware) -> None:
    (found,) = of_kind(aligned, ("unaligned_access",), "device")
    assert found.address == 0x40020001
    assert "Device" in found.what
    assert not of_kind(aligned, ("unaligned_access",), "device_word")


def test_the_mpu_can_make_memory_device(aligned: Firmware) -> None:
    data = aligned.machine.alloc(np.zeros(200_000, np.uint8), "SRAM1")  # from its start
    assert 0x20010000 <= data.address < 0x2001F000
    assert not of_kind(aligned, ("unaligned_access",), "ldrh", data.address + 1)
    assert len(of_kind(aligned, ("unaligned_access",), "mpu", data.address + 1)) == 1
    aligned.reset()


def test_what_is_device_memory() -> None:
    board = Board.load("stm32f746")

    def is_device(address: int, mpu: dict[int, tuple[int, int]]) -> bool:
        return any(low <= address < high for low, high in device_spans(board, mpu))

    for address in (0x0800_0000, 0x2000_0000, 0x2001_0000, 0x6000_0000):
        assert not is_device(address, {})
    for address in (0x4002_0000, 0xA000_0000, 0xC000_0000, 0xE000_E000):
        assert is_device(address, {})
    sdram = 0xC000_0000
    normal = {0: (sdram, 0x0307_0000 | 22 << 1 | 1)}  # 8 MiB, write-back
    assert not is_device(sdram, normal)
    assert is_device(sdram + (8 << 20), normal)
    hole = {0: (sdram, 0x0307_0000 | 2 << 8 | 22 << 1 | 1)}  # the second of eight parts is off
    assert [is_device(sdram + (k << 20), hole) for k in range(3)] == [False, True, False]
    above = normal | {1: (sdram, 0x0301_0000 | 11 << 1 | 1)}  # 4 KiB of Device over it
    assert is_device(sdram, above)
    assert not is_device(sdram + 4096, above)
    over = {0: above[1], 1: normal[0]}  # the higher number counts
    assert not is_device(sdram, over)
    tightly = {0: (0x2000_0000, 0x0301_0000 | 15 << 1 | 1)}  # a TCM is always Normal
    assert not is_device(0x2000_0000, tightly)


# Registers ---------------------------------------------------------------------------------------

PRESERVED = [f"r{n}" for n in range(4, 12)] + [f"s{n}" for n in range(16, 32)]
FREE_TO_USE = ["r0", "r1", "r2", "r3", "r12", *(f"s{n}" for n in range(16))]
REGISTERS = ("clobbered_register", "stack_pointer", "misaligned_stack", "wild_jump")


def change(register: str) -> str:
    if register.startswith("s"):
        return f"vmov {register}, r0"
    return f"mov {register}, r0"


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    functions = {f"changes_{r}": f"{change(r)}; bx lr" for r in PRESERVED + FREE_TO_USE}
    functions |= {f"keeps_{r}": f"mov r1, {r}; {change(r)}; mov {r}, r1; bx lr"
                  for r in PRESERVED[:8]}  # fmt: skip
    functions |= {
        "outer": "push {r4, lr}; bl changes_r7; bl changes_s20; bl changes_r3; pop {r4, pc}",
        "outermost": "push {r4, lr}; bl outer; bl outer; pop {r4, pc}",
        "restores": "push {r4, r7, lr}; sub sp, #4; bl changes_r7; add sp, #4; pop {r4, r7, pc}",
        "overwrites": "push {r4, r5, r6, lr}; str r0, [sp, #4]; mov r5, r1; pop {r4, r5, r6, pc}",
        "jumps_on": "push {r4, lr}; mov r4, r0; pop {r4, lr}; b changes_r8",
        "sp_low": "push {r0, r1}; bx lr",
        "sp_high": "push {r0, r1}; add sp, #16; bx lr",
        "sp_above": "push {r4, lr}; bl sp_above_2; pop {r4, pc}",
        "sp_above_2": "mov r3, lr; add sp, #8; bl keeps_r4; sub sp, #8; bx r3",
        "misaligned": "push {r4, r5, lr}; bl chain; pop {r4, r5, pc}",
        "chain": "push {r4, lr}; bl keeps_r4; bl keeps_r5; pop {r4, pc}",
        "loop": "push {r4, lr}; mov r4, r0; again_loop: bl changes_r9; subs r4, #1; bne again_loop;"
        "pop {r4, pc}",
    }
    return build(tmp_path_factory.mktemp("calls"), functions)


@pytest.mark.parametrize("register", PRESERVED + FREE_TO_USE)
def test_which_registers_are_preserved(calls: Firmware, register: str) -> None:
    found = of_kind(calls, REGISTERS, f"changes_{register}", 0x1234)
    assert [each.object for each in found] == [register] * (register in PRESERVED)
    for each in found:
        assert each.kind == "clobbered_register"
        assert f"changes_{register}" == each.function
        assert "0x00001234 at return" in each.what
        number = int(register[1:])
        mark = 0xCA11_0000 | (number if register[0] == "r" else 0x5000 | number)
        assert f"0x{mark:08x} at entry" in each.what
    if f"keeps_{register}" in calls.image._by_name:
        assert not of_kind(calls, REGISTERS, f"keeps_{register}", 7)


def test_a_change_is_told_of_the_function_that_does_it(calls: Firmware) -> None:
    found = of_kind(calls, REGISTERS, "outermost", 5)
    assert [(each.function, each.object, each.count) for each in found] == [
        ("changes_r7", "r7", 1), ("changes_s20", "s20", 1)
    ]  # fmt: skip
    (found,) = of_kind(calls, REGISTERS, "jumps_on", 5)
    assert (found.function, found.object) == ("changes_r8", "r8")


def test_a_change_in_between_is_told_although_the_caller_restores(calls: Firmware) -> None:
    found = of_kind(calls, REGISTERS, "restores", 5)
    assert [(each.function, each.object) for each in found] == [("changes_r7", "r7")]


def test_a_saved_register_that_is_overwritten(calls: Firmware) -> None:
    (found,) = of_kind(calls, REGISTERS, "overwrites", 5, 6)
    assert (found.function, found.object) == ("overwrites", "r5")
    pop = calls.image.symbol("overwrites").address + 6
    assert found.pc == pop  # that wrote the register last


def test_the_stack_pointer(calls: Firmware) -> None:
    (low,) = of_kind(calls, REGISTERS, "sp_low", 1, 2)
    assert low.kind == "stack_pointer"
    assert "8 bytes too low" in low.what
    (high,) = of_kind(calls, REGISTERS, "sp_high", 1, 2)
    assert "8 bytes too high" in high.what
    assert high.pc == calls.image.symbol("sp_high").address + 2
    (above,) = of_kind(calls, REGISTERS, "sp_above", 1)
    assert (above.kind, above.function) == ("stack_pointer", "sp_above_2")
    assert "8 bytes above" in above.what


def test_who_misaligns_the_stack_is_told_and_not_who_is_called(calls: Firmware) -> None:
    (found,) = of_kind(calls, REGISTERS, "misaligned", 1)
    assert (found.kind, found.function) == ("misaligned_stack", "misaligned")


def test_findings_do_not_depend_on_chunks(calls: Firmware, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("outermost", "overwrites", "jumps_on", "sp_above", "misaligned", "loop")
    whole = [of_kind(calls, REGISTERS, name, 5, 6) for name in names]
    monkeypatch.setattr(live, "CHUNK_BLOCKS", 2)
    assert [of_kind(calls, REGISTERS, name, 5, 6) for name in names] == whole


def test_what_a_function_does_to_a_register_first_is_told_first(calls: Firmware) -> None:
    first = of_kind(calls, REGISTERS, "outermost", 5)
    # push and call; then the change, which is found when the function has returned
    assert first[0].instruction == 5
    assert [each.instruction for each in first] == sorted(each.instruction for each in first)
    times = of_kind(calls, REGISTERS, "loop", 5)
    assert [(each.object, each.count) for each in times] == [("r9", 1)]


def test_what_is_allowed_is_not_told(calls: Firmware) -> None:
    rules = Rules(allow=(("changes_*", "clobbered_register"), ("sp_low", "stack*")))
    for name in ("changes_r7", "changes_s31", "sp_low"):
        assert calls.call(name, 1, 2, sanitize=rules).findings == ()
    assert len(calls.call("sp_high", 1, 2, sanitize=rules).findings) == 1


@pytest.fixture(scope="module")
def program() -> Path:
    """A program that runs from reset, with many kinds of jumps."""
    board = FIRMWARE / "board"
    return toolchain.build(
        [board / "startup.c", board / "syscalls.c", PROGRAMS / "jumps.c", PROGRAMS / "helpers.S"],
        linker_script=board / "stm32f746.ld",
        flags=("-O2", "-g"),
        include=[FIRMWARE / "include"],
    )


@pytest.mark.parametrize("option", ["--strip-debug", "--strip-all"])
def test_without_symbols_less_is_checked_and_nothing_wrong(
    program: Path, tmp_path: Path, option: str
) -> None:
    strip = toolchain.find_compiler().removesuffix("gcc") + "strip"
    stripped = tmp_path / "stripped.elf"
    subprocess.run([strip, option, program, "-o", stripped], check=True)
    result = load(stripped, board="stm32f746", time=False).run(sanitize=True)
    assert result.exit_code == 0
    assert [str(each) for each in result.findings if each.kind in REGISTERS] == []


def test_timing_is_that_of_a_run_without_checks(program: Path, tmp_path: Path) -> None:
    firmware = load(program, board="stm32f746")
    trace = tmp_path / "trace.npz"
    plain, checked = firmware.run(), firmware.run(sanitize=True, trace=trace)
    assert checked.findings == ()
    assert (plain.cycles, plain.stalls) == (checked.cycles, checked.stalls)
    assert replay(trace).cycles == plain.cycles > 1000


# Jumps -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jumps(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    folder = tmp_path_factory.mktemp("jumps")
    other = folder / "other.S"
    other.write_text(
        HEAD + ".text\n.global first, second, third\n.type first, %function\n.thumb_func\nfirst:\n"
        "adds r0, #1\nadds r0, #1\n.size first, . - first\n.type second, %function\n.thumb_func\n"
        "second:\nadds r0, #4\nadds r0, #4\nbx lr\n.size second, . - second\n"
        ".type third, %function\n.thumb_func\nthird:\nbx lr\nnop\n.size third, . - third\n"
    )
    c = folder / "c.c"
    c.write_text(
        "#include <stdint.h>\n"
        "typedef int f_t(int);\n"
        "int second(int);\n"
        "int calls_at(uintptr_t at, int x) { return ((f_t *)at)(x) + 1; }\n"
        "__attribute__((naked)) int returns_to(int x, uintptr_t to) {\n"
        '    __asm__("push {r4, lr}\\n bl second\\n str r1, [sp, #4]\\n pop {r4, pc}"); }\n'
        '__attribute__((naked)) int goes_to(int x, uintptr_t to) { __asm__("bx r1"); }\n'
        "__attribute__((naked)) int by_table(int n) {\n"
        '    __asm__("tbb [pc, r0]\\n .byte 2, 3, 40, 3\\n b 1f\\n 1: bx lr"); }\n'
    )
    keep = ("first", "third", "calls_at", "returns_to", "goes_to", "by_table")
    return build(folder, {"unused": "bx lr"}, other, c, keep=keep)


def wild(firmware: Firmware, name: str, *given: object) -> list[str]:
    return [each.what for each in of_kind(firmware, REGISTERS, name, *given)]


def test_where_a_call_may_lead(jumps: Firmware) -> None:
    second = jumps.image.symbol("second").address
    assert wild(jumps, "calls_at", second | 1, 5) == []
    assert wild(jumps, "calls_at", (second + 2) | 1, 5) == [
        f"calls 0x{second + 2:08x} (second+0x2), where no function begins"
    ]
    ram = jumps.machine.alloc(np.array([0x4770] * 8, np.uint16))  # bx lr
    assert wild(jumps, "calls_at", ram.address | 1, 5) == [
        f"calls 0x{ram.address:08x}, outside of all code"
    ]
    ram.free()


def test_a_function_may_run_into_the_next_of_its_file_in_assembly(jumps: Firmware) -> None:
    assert wild(jumps, "first", 5) == []


def test_jumps_out_of_a_function(jumps: Firmware) -> None:
    second = jumps.image.symbol("second").address
    assert wild(jumps, "goes_to", 5, second | 1) == []
    assert wild(jumps, "goes_to", 5, (second + 2) | 1) == [
        f"jumps to 0x{second + 2:08x} (second+0x2), where no function begins"
    ]


def test_a_return_address_that_has_changed(jumps: Firmware) -> None:
    third = jumps.image.symbol("third").address
    (told,) = wild(jumps, "returns_to", 5, (third + 2) | 1)[:1]
    assert told.startswith(f"returns to 0x{third + 2:08x} (third+0x2) instead of 0x0ffffff0")


def test_a_jump_that_faults_is_told_once(jumps: Firmware) -> None:
    with pytest.raises(FirmwareError, match="wild jump to 0x30000000") as told:
        jumps.call("goes_to", 5, 0x3000_0001, sanitize=True)
    (found,) = told.value.findings
    assert (found.kind, found.function, found.address) == ("wild_jump", "goes_to", 0x3000_0000)
    jumps.reset()


def test_a_table_that_leads_out_of_its_function(jumps: Firmware) -> None:
    assert wild(jumps, "by_table", 0) == wild(jumps, "by_table", 1) == []
    (told,) = wild(jumps, "by_table", 2)[:1]
    assert told.startswith("jumps by a table to 0x")
