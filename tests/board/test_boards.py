"""The boards that come with the package, against second sources and by running on them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import m7sim
from m7sim import toolchain
from m7sim.board import Board
from m7sim.board.board import board_names
from m7sim.elf import Image
from m7sim.errors import InputError
from m7sim.machine import Machine
from m7sim.toolchain import firmware_dir

KIB = 1024
NAMES = ("imxrt1062", "stm32f746", "stm32f767", "stm32h743", "stm32h7a3")
DOUBLE = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16")


def spans(board: Board) -> dict[str, tuple[int, int]]:
    return {region.name: (region.start, region.size_bytes) for region in board.regions}


def test_all_boards_are_known() -> None:
    assert tuple(board_names()) == NAMES


# name: revision (m7-core.md section 2), double precision, clock, I and D cache bytes, lines
CORES = {
    "stm32f746": ("r0p1", False, 216_000_000, 4 * KIB),
    "stm32f767": ("r1p0", True, 216_000_000, 16 * KIB),
    "stm32h743": ("r1p1", True, 480_000_000, 16 * KIB),
    "stm32h7a3": ("r1p2", True, 280_000_000, 16 * KIB),
    "imxrt1062": ("r1p1", True, 600_000_000, 32 * KIB),
}


@pytest.mark.parametrize("name", NAMES)
def test_core(name: str) -> None:
    board = Board.load(name)
    cache = board.icache.size_bytes
    assert (board.revision, board.double_precision, board.clock_hz, cache) == CORES[name]
    assert board.dcache.size_bytes == cache
    assert (board.icache.ways, board.dcache.ways) == (2, 4)
    assert board.ram_ecc == (name in ("stm32h743", "stm32h7a3"))
    assert board.cpuid & 0xFF0F_FFF0 == 0x410F_C270
    assert board.revision in board.title


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_a_source(name: str) -> None:
    board = Board.load(name)
    assert all(origin.source for origin in board.provenance.values())
    keys = ("cpuid", "double_precision", "ram_ecc", "clock.hz", "dcache.size_bytes", "DTCM")
    assert all(key in board.provenance for key in keys)
    for region in board.regions:
        if region.cacheable:
            assert board.provenance[f"{region.name}.line_fill"].confidence != "documented"


def test_stm32f767_is_what_the_vendor_links_for() -> None:
    """cmsis_device_f7, stm32f767xx_flash.icf: ROM to 0x081FFFFF, RAM to 0x2007FFFF, ITCM 16 KiB."""
    of = spans(Board.load("stm32f767"))
    assert of["FLASH"] == (0x0800_0000, 0x0820_0000 - 0x0800_0000)
    assert of["ITCM"] == (0, 0x4000)
    end = 0x2000_0000
    for name in ("DTCM", "SRAM1", "SRAM2"):
        assert of[name][0] == end
        end += of[name][1]
    assert end == 0x2008_0000


def test_stm32h743_is_what_a_second_project_links_for() -> None:
    """stm32-rs/stm32h7xx-hal, memory.x; the table itself is from the vendor's header."""
    of = spans(Board.load("stm32h743"))
    assert of["FLASH"] == (0x0800_0000, 2048 * KIB)
    assert of["DTCM"] == (0x2000_0000, 128 * KIB)
    assert of["AXISRAM"] == (0x2400_0000, 512 * KIB)
    assert of["SRAM1"] == (0x3000_0000, 128 * KIB)
    assert of["SRAM2"] == (0x3002_0000, 128 * KIB)
    assert of["SRAM3"] == (0x3004_0000, 32 * KIB)
    assert of["SRAM4"] == (0x3800_0000, 64 * KIB)
    assert of["BKPSRAM"] == (0x3880_0000, 4 * KIB)
    assert of["ITCM"] == (0, 64 * KIB)


def test_stm32h7a3_adds_up_to_the_vendors_total() -> None:
    """1.4 Mbytes of RAM: 192 KiB of TCM, 1184 KiB of user SRAM, 4 KiB of backup SRAM."""
    board = Board.load("stm32h7a3")
    kinds = {"itcm": 0, "dtcm": 0, "sram": 0}
    for region in board.regions:
        if region.kind in kinds:
            kinds[region.kind] += region.size_bytes
    assert kinds == {"itcm": 64 * KIB, "dtcm": 128 * KIB, "sram": (1184 + 4) * KIB}
    for low, high in (("AXISRAM1", "AXISRAM2"), ("AXISRAM2", "AXISRAM3")):
        assert board.region(low).end == board.region(high).start


def test_imxrt1062_is_what_the_vendors_script_links_for() -> None:
    """MIMXRT1062xxxxx_flexspi_nor.ld: flash to 0x60800000, m_qacode, m_data, m_data2."""
    of = spans(Board.load("imxrt1062"))
    assert of["FLASH"] == (0x6000_0000, 0x2400 + 0x7F_DC00)
    assert of["ITCM"] == (0, 0x2_0000)
    assert of["DTCM"] == (0x2000_0000, 0x2_0000)
    assert of["OCRAM2"][0] == 0x2020_0000
    assert sum(of["OCRAM2"]) == of["OCRAM"][0]
    assert of["OCRAM2"][1] + of["OCRAM"][1] == 0xC_0000


def test_measured_pair_on_the_stm32h7a3() -> None:
    """Two runs with the same instructions, weights in flash and in RAM: 77,332 cycles apart."""
    board = Board.load("stm32h7a3")
    flash = board.region("FLASH").line_fill_cycles
    sram = board.region("AXISRAM1").line_fill_cycles
    assert abs(8479 * flash - 8494 * sram - 77_332) < 0.05 * 77_332


def parts(name: str) -> tuple[str, str]:
    text = (firmware_dir() / "board" / f"{name}.ld").read_text()
    head, _, body = text.partition("/* From here on the same text as in ")
    assert body
    return head, body.partition("\n")[2]


@pytest.mark.parametrize("name", [*NAMES, "mps2-an500"])
def test_linker_scripts_are_alike(name: str) -> None:
    assert parts(name)[1] == parts("stm32f746")[1]


@pytest.mark.parametrize("name", NAMES)
def test_linker_script_fits_the_board(name: str) -> None:
    board = Board.load(name)
    rows = re.findall(r"(\w+) +\([rwx]+\) *: ORIGIN = (\w+), LENGTH = ([\w -]+)", parts(name)[0])
    assert [row[0] for row in rows] == ["ITCM", "FLASH", "DTCM", "SRAM1", "SRAM2"]
    units = {"K": KIB, "M": KIB * KIB}
    kinds = {"ITCM": "itcm", "FLASH": "flash", "DTCM": "dtcm", "SRAM1": "sram", "SRAM2": "sram"}
    for label, origin, length in rows:
        at = int(origin, 16)
        sizes = [int(part.strip()[:-1]) * units[part.strip()[-1]] for part in length.split("-")]
        end = at + sizes[0] - sum(sizes[1:])
        while at < end:
            region = board.region_at(at)
            assert region is not None, f"{label} 0x{at:08x}"
            assert (region.kind, region.mapped) == (kinds[label], True)
            at = region.end
        assert at == end or label.startswith("SRAM"), label


PROGRAM = """
    #include "m7sim.h"
    #include <stdio.h>
    M7_SRAM_ZERO static unsigned char big[4096];
    static volatile double third = 3.0;
    int main(void)
    {
        volatile unsigned *ccsidr = (void *)0xE000ED80, *csselr = (void *)0xE000ED84;
        for (unsigned i = 0; i < sizeof big; i++)
            big[i] = (unsigned char)(i * 7);
        unsigned sum = 0;
        for (unsigned i = 0; i < sizeof big; i++)
            sum += big[i];
        *csselr = 1;
        unsigned sets = (*ccsidr >> 13 & 0x7fff) + 1;
        printf("%u %.3f %u sets\\n", sum, 1.0 / third, sets);
        return 0;
    }
"""


def build(name: str, folder: Path) -> Path:
    source = folder / "program.c"
    source.write_text(PROGRAM)
    board = firmware_dir() / "board"
    double = Board.load(name).double_precision
    return toolchain.build(
        [board / "startup.c", board / "syscalls.c", source],
        linker_script=board / f"{name}.ld",
        include=[firmware_dir() / "include"],
        machine_flags=DOUBLE if double else toolchain.MACHINE_FLAGS,
    )


@pytest.mark.toolchain
def test_one_memory_at_two_addresses(tmp_path: Path) -> None:
    """Domain D2 of the STM32H743 also lies in the range for code; buffers do not overlap there."""
    made = Machine(Image.load(build("stm32h743", tmp_path)), Board.load("stm32h743"))
    made.write(0x1002_0010, b"seen")
    assert made.read(0x3002_0010, 4) == b"seen"
    size = 100 * KIB
    data = np.arange(size, dtype=np.uint8)
    places = [made.alloc(data).address for _ in range(4)]  # DTCM has room for one
    regions = [made.board.region_at(place) for place in places]
    assert [r.name for r in regions if r] == ["DTCM", "AXISRAM", "AXISRAM", "AXISRAM"]
    low = made.alloc(data, "SRAM1").address
    with pytest.raises(InputError, match="no room"):
        made.alloc(data, "SRAM1_CODE")
    again = made.alloc(data[: 20 * KIB], "SRAM1_CODE").address
    assert again + 20 * KIB <= low - 0x2000_0000


@pytest.mark.toolchain
@pytest.mark.parametrize("name", NAMES)
def test_program_runs(name: str, tmp_path: Path) -> None:
    """A program linked for each board runs there, also by the command line."""
    board = Board.load(name)
    elf = build(name, tmp_path)
    expected = f"522240 0.333 {board.icache.sets} sets"
    result = m7sim.load(elf, board=name).run()
    assert (result.exit_code, result.console.decode().strip()) == (0, expected)
    assert result.cycles == result.issue_cycles + sum(result.stalls.values())
    done = subprocess.run(
        [sys.executable, "-m", "m7sim", "run", str(elf), "--board", name],
        capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    assert board.name in done.stdout
