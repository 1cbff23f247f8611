"""Start-up: from the vector table, from an entry symbol, and what start-up code relies on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim.board import Board
from m7sim.elf import Image
from m7sim.errors import ElfError, FirmwareError, InputError
from m7sim.machine import Machine
from m7sim.toolchain import firmware_dir

pytestmark = pytest.mark.toolchain

PROGRAM = """
#include "m7sim.h"
int initialised = 41, zeroed;
M7_SRAM int in_sram = 100;
M7_SRAM_ZERO int sram_zero[100];
M7_SRAM2_ZERO int sram2_zero[10];
M7_DTCM int in_dtcm = 7;
M7_ITCM int in_itcm(int x) { return x + initialised; }
static int constructed;
__attribute__((constructor)) static void construct(void) { constructed = 3; }
int main(int argc, char **argv)
{
    m7_begin();
    int sum = in_itcm(zeroed) + in_sram + sram_zero[5] + sram2_zero[3] + in_dtcm + constructed;
    m7_end();
    initialised++;
    return sum + argc + (argc > 1 ? argv[1][0] : 0);
}
int entry(void) { return in_itcm(1) + in_sram + zeroed; }
"""


def test_from_reset(start: Callable[..., Machine]) -> None:
    machine = start(PROGRAM, arguments="prog xyz")
    for _ in range(2):  # the second run begins from power-on, too
        stop = machine.run_from_reset()
        assert (stop.reason, stop.exit_code) == ("exit", 41 + 100 + 7 + 3 + 2 + ord("x"))
    assert machine.system.caches_on == (True, True)
    assert machine.image.symbol("in_itcm").address & ~1 < 0x4000
    assert machine.board.region_at(machine.image.symbol("in_sram").address).name == "SRAM1"  # type: ignore[union-attr]


def test_caches_can_stay_off(start: Callable[..., Machine]) -> None:
    machine = start("int main(void) { return 0; }", "-DM7_CACHES=0")
    machine.run_from_reset()
    assert machine.system.caches_on == (False, False)


def test_from_entry_and_calls_without_start_up_code(start: Callable[..., Machine]) -> None:
    machine = start(PROGRAM, "-Wl,--undefined=entry")
    assert machine.call("entry").value == 142
    stop = machine.run_from_entry("entry")
    assert stop.reason == "return"
    assert machine.register("r0") == 142
    with pytest.raises(ElfError, match="no symbol 'entri'"):
        machine.run_from_entry("entri")


def test_calls_after_a_run_see_what_the_run_left(start: Callable[..., Machine]) -> None:
    machine = start(PROGRAM, "-Wl,--undefined=entry")
    machine.run_from_reset()
    assert machine.call("entry").value == 143
    machine.reset()
    assert machine.call("entry").value == 142


def test_no_vector_table(build: Callable[..., Path], board: Board, tmp_path: Path) -> None:
    script = tmp_path / "bare.ld"
    script.write_text("SECTIONS { . = 0x08000000; .text : { *(.text*) } }")
    source = tmp_path / "bare.c"
    source.write_text("int f(int x) { return x + 1; }")
    import subprocess

    from m7sim.toolchain import find_compiler

    elf = tmp_path / "bare.elf"
    command = [find_compiler(), "-mcpu=cortex-m7", "-mthumb", "-g", "-O1", "-nostdlib",
               f"-T{script}", "-Wl,--entry=f", str(source), "-o", str(elf)]  # fmt: skip
    subprocess.run(command, check=True)
    machine = Machine(Image.load(elf), board)
    with pytest.raises(InputError, match=r"no vector table.*--entry"):
        machine.run_from_reset()
    assert machine.call("f", 4).value == 5
    assert machine.run_from_entry("f").reason == "return"


def test_image_outside_the_board(build: Callable[..., Path], board: Board) -> None:
    text = '#include <stdio.h>\nint main(void) { printf("%f", 1.0); return 0; }'
    elf = build(text, script="mps2-an500")
    with pytest.raises(InputError, match=r"0x0.* do not fit the memory of stm32f746"):
        Machine(Image.load(elf), board).run_from_reset()


def test_flash_is_the_same_on_both_interfaces(start: Callable[..., Machine]) -> None:
    machine = start("int f(int x) { return 3 * x; } int main(void) { return f(2); }",
                    "-Wl,--undefined=f")  # fmt: skip
    address = machine.image.symbol("f").address & ~1
    alias = address - 0x0800_0000 + 0x0020_0000
    assert machine.read(alias, 16) == machine.read(address, 16)
    assert machine.call("f", 5).value == 15
    machine.set_register("r0", 7)
    machine.set_register("lr", 0x0FFF_FFF1)
    assert machine.execute(alias).reason == "return"
    assert machine.register("r0") == 21
    machine.write(alias, b"\x2a\x20\x70\x47")  # movs r0, #42; bx lr
    assert machine.call("f", 5).value == 42


def test_vendor_start_up_code_does_not_hang(start: Callable[..., Machine]) -> None:
    machine = start("""
        #include "m7sim.h"
        #define RCC(o) M7_REG(0x40023800 + (o))
        void SystemInit(void)
        {
            RCC(0) |= 1 << 16; while (!(RCC(0) & 1 << 17)) {}
            M7_REG(0x40007000) |= 1 << 16; while (!(M7_REG(0x40007004) & 1 << 16)) {}
            M7_REG(0x40007000) |= 1 << 17; while (!(M7_REG(0x40007004) & 1 << 17)) {}
            M7_REG(0x40023C00) = 0x307; while ((M7_REG(0x40023C00) & 15) != 7) {}
            RCC(0) |= 1 << 24; while (!(RCC(0) & 1 << 25)) {}
            RCC(8) = (RCC(8) & ~3u) | 2; while ((RCC(8) & 12) != 8) {}
            RCC(0) &= ~(1u << 16); while (RCC(0) & 1 << 17) {}
        }
        int main(void) { return M7_REG(0x40023804) == 0x24003010 ? 0 : 1; }
        """)
    assert machine.run_from_reset().exit_code == 0


def test_both_linker_scripts_place_alike() -> None:
    folder = firmware_dir() / "board"
    one, other = ((folder / f"{n}.ld").read_text().split("ENTRY(", 1)[1]
                  for n in ("stm32f746", "mps2-an500"))  # fmt: skip
    assert one == other


def test_data_that_does_not_fit_is_the_linkers_error(build: Callable[..., Path]) -> None:
    with pytest.raises(AssertionError, match=r"M7_SRAM_ZERO|overflowed"):
        build("char big[62000]; int main(void) { return big[5]; }", "-Wl,--undefined=big")


def test_reset_vector_must_be_thumb(start: Callable[..., Machine]) -> None:
    machine = start("int main(void) { return 0; }")
    table = machine.image.vector_table
    assert table is not None
    machine.image.read = lambda a, n: b"\0\0\x01\x20\0\x02\0\x08"[:n]  # type: ignore[method-assign]
    with pytest.raises(FirmwareError, match="the reset vector 0x08000200 is even"):
        machine.run_from_reset()
