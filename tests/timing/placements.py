"""Programs of our own, linked for a choice of memories."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path

import m7sim
from m7sim.board import Board

PROGRAMS = Path(__file__).parent / "programs"
CODE = {
    "ITCM": (0x0000_0100, 0x3F00),
    "FLASH_ITCM": (0x0020_0000, 0x10_0000),
    "FLASH": (0x0800_0000, 0x10_0000),
    "SRAM1": (0x2001_0000, 0x2_0000),
}
DATA = {"DTCM": (0x2000_0000, 0x1_0000), "SRAM1": (0x2003_0000, 0x1_0000)}
SCRIPT = """
SECTIONS {{
  .code {code:#x} : {{
    LONG({stack:#x}) LONG(first + 1)
    . = ALIGN(8); first = .; *(.text*) *(.rodata*)
  }}
  .data {data:#x} : {{ *(.data*) *(.bss*) *(COMMON) }}
  /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.init*) *(.fini*) *(.eh_frame*) }}
}}
ENTRY(entry)
entry = first;
__Vectors = ADDR(.code);
"""


@functools.cache
def link(source: str, code: str, data: str, optimise: str = "-O2") -> Path:
    """Build a program with code and constants in one memory, data and stack in another."""
    folder = Path(tempfile.mkdtemp(prefix="m7sim-placement-"))
    (start, _), (low, size) = CODE[code], DATA[data]
    script, elf = folder / "link.ld", folder / "program.elf"
    script.write_text(SCRIPT.format(code=start, data=low, stack=low + size))
    subprocess.run(
        [
            "arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard",
            "-mfpu=fpv5-sp-d16", optimise, "-g", "-nostartfiles", "--specs=nosys.specs",
            f"-T{script}", PROGRAMS / source, "-o", elf,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return elf


def cycles(
    source: str,
    function: str,
    *arguments: int,
    code: str,
    data: str,
    board: Board,
    optimise: str = "-O2",
) -> int:
    """Cycles of a function, caches and predictors warm."""
    firmware = m7sim.load(link(source, code, data, optimise), board=board)
    try:
        firmware.call(function, *arguments)
        return firmware.call(function, *arguments, warm=True).cycles
    finally:
        firmware.close()
