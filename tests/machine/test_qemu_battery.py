"""The same program on m7sim and on QEMU's Cortex-M7: same text, same exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim.board import Board
from m7sim.elf import Image
from m7sim.machine import Machine
from m7sim.toolchain import find_compiler

QEMU = "qemu-system-arm"
TEXT = (Path(__file__).parent / "programs" / "battery.c").read_text()

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.qemu,
    pytest.mark.skipif(
        shutil.which(QEMU) is None and not os.environ.get("M7SIM_REQUIRE_TOOLCHAIN"),
        reason="no qemu-system-arm",
    ),
]


def qemu(elf: Path, *arguments: str) -> tuple[int, bytes]:
    options = ",".join(["enable=on", "target=native", *(f"arg={a}" for a in arguments)])
    done = subprocess.run(
        [QEMU, "-M", "mps2-an500", "-nographic", "-semihosting-config", options,
         "-kernel", str(elf)],
        capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("flags", [("-O2",), ("-O0",), ("-Os", "-DM7_CACHES=0")], ids=str)
def test_newlib_battery(build: Callable[..., Path], board: Board, flags: tuple[str, ...]) -> None:
    machine = Machine(Image.load(build(TEXT, *flags)), board, arguments="prog one two")
    stop = machine.run_from_reset()
    code, output = qemu(build(TEXT, *flags, script="mps2-an500"), "prog", "one", "two")
    assert (stop.reason, stop.exit_code) == ("exit", 42)
    assert code == 42
    assert output.count(b"\n") > 150
    assert bytes(machine.console.output).decode() == output.decode()


def test_newlibs_own_semihosting(tmp_path: Path, board: Board) -> None:
    """``--specs=rdimon.specs``: newlib's start-up code and system calls instead of ours."""
    source = tmp_path / "rdimon.c"
    source.write_text("""
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        extern void _start(void);
        extern unsigned __stack;
        __attribute__((section(".isr_vector"), used)) void *const vectors[] = {
            (void *)0x2004C000, (void *)_start};
        int main(int argc, char **argv) {
            char *p = malloc(100);
            strcpy(p, argc > 1 ? argv[1] : "nothing");
            printf("%s %.3f\\n", p, 2.0 / 3);
            FILE *f = fopen("out.txt", "w+");
            if (f) { fprintf(f, "kept %d", 5); rewind(f); fgets(p, 100, f); puts(p); fclose(f); }
            fputs("to stderr\\n", stderr);
            return 9;
        }""")
    script = tmp_path / "rdimon.ld"
    script.write_text("""
        MEMORY {
          FLASH : ORIGIN = 0x08000000, LENGTH = 1M
          RAM : ORIGIN = 0x20010000, LENGTH = 240K
        }
        SECTIONS {
          .text : { KEEP(*(.isr_vector)) *(.text*) *(.init) *(.fini) *(.rodata*)
                    __init_array_start = .; KEEP(*(.init_array*)) __init_array_end = .;
                    __preinit_array_start = .; __preinit_array_end = .;
                    __fini_array_start = .; KEEP(*(.fini_array*)) __fini_array_end = .; } > FLASH
          .ARM.exidx : { __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; } > FLASH
          .data : { *(.data*) } > RAM
          .bss : { __bss_start__ = .; *(.bss*) *(COMMON) . = ALIGN(8); __bss_end__ = .;
                   end = .; __end__ = .; } > RAM
          __stack = 0x2004C000;
        }""")
    elf = tmp_path / "rdimon.elf"
    subprocess.run(
        [find_compiler(), "-mcpu=cortex-m7", "-mthumb", "-O1", "-g", "--specs=rdimon.specs",
         f"-T{script}", str(source), "-o", str(elf)], check=True,
    )  # fmt: skip
    files = tmp_path / "files"
    files.mkdir()
    machine = Machine(Image.load(elf), board, files=files, arguments="prog word")
    stop = machine.run_from_entry("_start")
    assert (stop.reason, stop.exit_code) == ("exit", 9)
    assert bytes(machine.console.output) == b"word 0.667\nkept 5\nto stderr\n"
    assert (files / "out.txt").read_text() == "kept 5"
