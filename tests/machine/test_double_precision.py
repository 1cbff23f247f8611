"""Double precision, which the engine lacks: results, flags and what is recorded, against QEMU."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import m7sim
from m7sim.board import Board
from m7sim.elf import Image
from m7sim.errors import FirmwareError
from m7sim.machine import Machine
from m7sim.session import replay
from m7sim.trace.store import load_trace

Build = Callable[..., Path]

QEMU = "qemu-system-arm"
PROGRAMS = Path(__file__).parent / "programs"
BOARD = "stm32h743"
DOUBLE = ["-mfloat-abi=hard", "-mfpu=fpv5-d16"]
SEQUENCE = (PROGRAMS / "double_sequence.c").read_text()

pytestmark = pytest.mark.toolchain
needs_qemu = [
    pytest.mark.qemu,
    pytest.mark.skipif(
        shutil.which(QEMU) is None and not os.environ.get("M7SIM_REQUIRE_TOOLCHAIN"),
        reason="no qemu-system-arm",
    ),
]


def qemu(elf: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [QEMU, "-M", "mps2-an500", "-nographic", "-semihosting", *options, "-kernel", str(elf)],
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def machine(elf: Path) -> Machine:
    return Machine(Image.load(elf), Board.load(BOARD))


def output(made: Machine) -> list[str]:
    stop = made.run_from_reset()
    assert (stop.reason, stop.exit_code) == ("exit", 0)
    return bytes(made.console.output).decode().splitlines()


@pytest.fixture(scope="module")
def both(build: Build) -> Callable[..., tuple[Path, Path]]:
    """Build a text for the board and for QEMU."""

    def make(text: str, *flags: str) -> tuple[Path, Path]:
        ours = build(text, *flags, script=BOARD, fpu=DOUBLE)
        return ours, build(text, *flags, script="mps2-an500", fpu=DOUBLE)

    return make


class TestAgainstQemu:
    pytestmark = needs_qemu

    def test_every_operation(self, both: Callable[..., tuple[Path, Path]]) -> None:
        """70 operations, 6 modes; operands with NaNs, denormals, infinities, ties, and random."""
        ours, theirs = both((PROGRAMS / "doubles.c").read_text())
        made = machine(ours)
        lines = output(made)
        expected = qemu(theirs).stdout.splitlines()
        assert lines == expected
        assert len(lines) == 70 * 6
        assert made.doubles is not None
        assert 0.1 < made.doubles.executed_by_host / made.doubles.executed < 0.9  # both ways

    def test_library(self, both: Callable[..., tuple[Path, Path]]) -> None:
        ours, theirs = both((PROGRAMS / "double_library.c").read_text())
        lines = output(machine(ours))
        assert lines == qemu(theirs).stdout.splitlines()
        assert len(lines) > 120

    def test_recorded_instructions(
        self, both: Callable[..., tuple[Path, Path]], tmp_path: Path
    ) -> None:
        """Each executed instruction is in the trace exactly once, and in QEMU's order."""
        ours, theirs = both(SEQUENCE, "-DM7_CACHES=0", "-DM7_ARGUMENTS=0")
        log = tmp_path / "log"
        ended = qemu(theirs, "-singlestep", "-d", "exec,nochain", "-D", str(log))
        expected = [int(at, 16) for at in re.findall(r"\[\w+/(\w+)/", log.read_text())]
        result = m7sim.load(ours, board=BOARD).run(trace=tmp_path / "trace")
        assert result.exit_code == ended.returncode
        flash = Board.load(BOARD).region("FLASH").start
        with load_trace(tmp_path / "trace") as saved:
            instructions, blocks = saved.code.instructions, saved.code.blocks
            recorded = [
                instruction.address - flash
                for chunk in saved.chunks()
                for first, count in (blocks[b] for b in chunk.blocks)
                for instruction in instructions[first : first + count]
            ]
        assert recorded == expected
        assert result.instructions == len(expected)


def test_text_and_root_are_correctly_rounded(build: Build) -> None:
    """Python's own conversions and root are the second opinion."""
    text = (PROGRAMS / "double_library.c").read_text()
    found = 0
    for line in output(machine(build(text, script=BOARD, fpu=DOUBLE))):
        words = line.split()
        if words[0] == "strtod":
            found += 1
            value = float(words[1])
            assert words[2] == struct.pack(">d", value).hex(), line
            assert float(words[3]) == value
        if words[0] == "root":
            assert words[1] == struct.pack(">d", 2**0.5).hex()
    assert found == 20


def test_cycles_have_causes_and_replay_agrees(build: Build, tmp_path: Path) -> None:
    elf = build(SEQUENCE, script=BOARD, fpu=DOUBLE)
    firmware = m7sim.load(elf, board=BOARD)
    result = firmware.run(trace=tmp_path / "trace")
    assert result.cycles == result.issue_cycles + sum(result.stalls.values())
    assert replay(tmp_path / "trace").cycles == result.cycles
    assert firmware.run().cycles == result.cycles
    for limit in (result.instructions // 2, result.instructions - 30):
        part = firmware.run(max_instructions=limit)
        assert limit - 60 < part.instructions <= limit
        assert part.stop_reason == "max_instructions"
        assert part.cycles == part.issue_cycles + sum(part.stalls.values())


KEPT = ["-Wl,--undefined=f", "-Wl,--undefined=word"]
FLAGS = """
    #include <stdint.h>
    static uint32_t flags(double x, double y) {
        uint32_t status = 0;
        __asm__ volatile("vmsr fpscr, %0\\n vdiv.f64 d7, %P1, %P2\\n vmrs %0, fpscr"
                         : "+r"(status) : "w"(x), "w"(y) : "d7");
        return status;
    }
    int f(int which) {
        static const double pairs[][2] = {
            {1, 2}, {1, 3}, {1, 0}, {0, 0}, {1e308, 1e-308}, {1e-308, 1e10}, {5e-324, 1}};
        return (int)flags(pairs[which][0], pairs[which][1]);
    }
    uint32_t word(uint32_t address) { return *(volatile uint32_t *)address; }
    int main(void) { return 0; }
"""


@pytest.mark.parametrize(
    ("which", "flags"),
    [(0, 0), (1, 0x10), (2, 0x02), (3, 0x01), (4, 0x14), (5, 0x18), (6, 0)],
    ids=["exact", "inexact", "by_zero", "invalid", "overflow", "underflow", "denormal_exact"],
)  # fmt: skip
def test_cumulative_flags(build: Build, which: int, flags: int) -> None:
    """IXC 0x10, UFC 0x08, OFC 0x04, DZC 0x02, IOC 0x01 (Armv7-M ARM B3.2)."""
    made = machine(build(FLAGS, *KEPT, script=BOARD, fpu=DOUBLE))
    assert made.call("f", which).value == flags


def test_identification_registers(build: Build) -> None:
    """CPUID, and MVFR0 and MVFR1: the debugger's and the start-up code's view of the FPU."""
    made = machine(build(FLAGS, *KEPT, script=BOARD, fpu=DOUBLE))
    assert made.call("word", 0xE000_ED00).value == made.board.cpuid
    assert made.call("word", 0xE000_EF40).value == 0x1011_0221
    assert made.call("word", 0xE000_EF44).value == 0x1200_0011


def test_loop_with_wfe_before_a_double(build: Build) -> None:
    """WFE and YIELD take the same way out of the engine as a missing instruction."""
    made = machine(build("""
        double f(double x, int n) {
            __asm__ volatile("1: vadd.f64 %P0, %P0, %P0\\n subs %1, #1\\n"
                             " nop\\n wfe\\n vneg.f64 %P0, %P0\\n bne 1b"
                             : "+w"(x), "+r"(n) : : "cc");
            return x;
        }
        int main(void) { return 0; }
    """, "-Wl,--undefined=f", script=BOARD, fpu=DOUBLE))  # fmt: skip
    assert made.call("f", 1.5, 5).value == -48.0
    assert made.doubles is not None
    assert made.doubles.executed == 10


def test_single_precision_board_says_so(build: Build, board: Board) -> None:
    made = Machine(Image.load(build(FLAGS, *KEPT, fpu=DOUBLE)), board)
    assert made.doubles is None
    with pytest.raises(
        FirmwareError, match=r"double-precision instruction.*stm32f746 lacks.*sp-d16"
    ):
        made.call("f", 0)
    assert made.call("word", 0xE000_EF40).value == 0x1011_0021


def test_what_the_fpu_lacks_is_an_error_still(build: Build) -> None:
    text = "int f(void) { __asm__ volatile(\".inst.w 0xeeb00b60\"); return 0; }" \
           " int main(void) { return 0; }"  # fmt: skip
    made = machine(build(text, "-Wl,--undefined=f", script=BOARD, fpu=DOUBLE))  # vmov.f64 d0, d16
    with pytest.raises(FirmwareError, match="undefined instruction eeb0 0b60"):
        made.call("f")
