"""Re-timing under another map against truly relinking the program for it."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m7sim import memmap, session, toolchain
from m7sim.board import Board
from m7sim.elf import Image
from m7sim.errors import InputError
from m7sim.memmap.objects import LOAD_IMAGE, take_inventory
from m7sim.memmap.relink import relink
from m7sim.memmap.settings import changed_board

pytestmark = pytest.mark.toolchain

BOARD = Board.load("stm32f746")
FUNCTIONS = ("convolve", "look_up", "chase", "sort", "thrash", "recurse", "dot", "allocate")
FIRMWARE = toolchain.firmware_dir()
SOURCES = [
    *(FIRMWARE / "board" / name for name in ("startup.c", "syscalls.c")),
    *(FIRMWARE / "kernels" / "nn" / f"m7nn_{name}.c" for name in ("conv", "product", "expand")),
    Path(__file__).parent / "data" / "memmap_program.c",
]
INCLUDE = (FIRMWARE / "include", FIRMWARE / "kernels" / "nn")
OBJECTS: list[Path] = []
WITHIN = 0.01
OFF = {"icache.enabled": False, "dcache.enabled": False}
KERNEL = {"m7nn_*": "ITCM", "convolve": "ITCM"}
DATA = dict.fromkeys(("kernel", "image", "result", "columns"), "SRAM1")


@pytest.fixture(scope="module", autouse=True)
def objects(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile once; all that differs is how the same objects are linked."""
    folder = tmp_path_factory.mktemp("objects")
    flags = [*toolchain.MACHINE_FLAGS, *toolchain.DEFAULT_FLAGS, *(f"-I{i}" for i in INCLUDE)]
    subprocess.run([toolchain.find_compiler(), *flags, "-c", *SOURCES], cwd=folder, check=True)
    OBJECTS[:] = sorted(folder.glob("*.o"))


def build(script: Path | None = None) -> Path:
    return toolchain.build(OBJECTS, keep=FUNCTIONS, linker_script=script)


def relinked(places: dict[str, str]) -> Path:
    return relink(OBJECTS, places, BOARD, keep=FUNCTIONS)


@cache
def study(function: str, repeat: int) -> memmap.Study:
    return memmap.study_call(session.load(build()), function, repeat)


# program, repetitions, places, board settings: kernels, tables, pointers, libraries, stacks, heaps
PAIRS: list[tuple[str, int, dict[str, str], dict[str, Any]]] = [
    ("convolve", 2, KERNEL, {}),
    ("convolve", 2, {"kernel": "DTCM", "bias": "DTCM"}, {}),
    ("convolve", 2, DATA, {}),
    ("convolve", 2, {**KERNEL, **dict.fromkeys(DATA, "DTCM"), "bias": "DTCM"}, OFF),
    ("look_up", 3000, {"box": "DTCM"}, {}),
    ("look_up", 3000, {"box": "SRAM1", "settings": "SRAM1"}, {}),
    ("look_up", 3000, {}, {"flash_wait_states": 3, "dcache.size_bytes": 2048}),
    ("chase", 4000, {"nodes": "SRAM1"}, {}),
    ("chase", 4000, {"nodes": "SRAM1"}, {"dcache.size_bytes": 16384}),
    ("sort", 2, {"numbers": "SRAM1", "qsort": "ITCM", "ascending": "ITCM"}, {}),
    ("sort", 2, {"qsort": "ITCM"}, OFF),
    ("thrash", 2, {"rows": "SRAM1"}, {}),
    ("recurse", 10, {"stack": "SRAM1"}, {}),
    ("recurse", 10, {"stack": "SRAM1", "deep": "ITCM"}, OFF),
    ("allocate", 10, {"heap": "SRAM1"}, {}),
]


@pytest.mark.parametrize(("function", "repeat", "places", "settings"), PAIRS)
def test_what_if_is_the_relinked_program(
    function: str, repeat: int, places: dict[str, str], settings: dict[str, Any]
) -> None:
    studied = study(function, repeat)
    asked = studied.retime(places, settings=settings)
    elf = relinked(places)
    real = session.load(elf, board=changed_board(BOARD, settings)).call(function, repeat)
    assert asked.cycles == pytest.approx(real.cycles, rel=WITHIN)
    assert asked.instructions == real.instructions
    assert real.cycles != studied.base.cycles, "a pair that shows nothing"
    now = {o.name: o.address for o in take_inventory(Image.load(elf), BOARD).objects}
    moved = {n: a for n, a in asked.layout.addresses.items() if LOAD_IMAGE not in n}
    assert {n: hex(a) for n, a in moved.items() if now.get(n, a) != a} == {}


@pytest.mark.parametrize("region", ["SRAM1", "SRAM2", "FLASH"])
def test_arrays_of_a_call_move(region: str) -> None:
    rng = np.random.default_rng(7)
    a, b = (rng.integers(-100, 100, 1500).astype(np.int16) for _ in range(2))
    firmware = session.load(build())
    with memmap.study_call(firmware, "dot", a, b, 1500) as studied:
        for places, place in (({"a": region}, {"a": region}), ({"arrays": region}, region)):
            real = session.load(build()).call("dot", a, b, 1500, place=place)
            assert studied.retime(places).cycles == real.cycles
            assert real.cycles > studied.base.cycles


@pytest.mark.parametrize("board", ["stm32f767", "stm32h743", "stm32h7a3"])
def test_another_board(board: str) -> None:
    """What is not placed lies in the memory of the same kind, as the linker scripts have it."""
    studied = study("look_up", 3000)
    real = session.load(build(), board=board).call("look_up", 3000)
    assert studied.retime(board=board).cycles == real.cycles
    moved = studied.retime({"settings": "sram"}, board=board)
    assert moved.board.region(moved.layout.regions["settings"]).kind == "sram"


def test_another_clock() -> None:
    real = session.load(build(), clock_hz=60_000_000).call("look_up", 3000)
    slower = study("look_up", 3000).retime(clock_hz=60_000_000)
    assert slower.cycles == real.cycles < study("look_up", 3000).base.cycles
    assert slower.energy_nj == pytest.approx(real.energy.energy_nj if real.energy else 0)


def test_flash_through_art(tmp_path: Path) -> None:
    """All of flash read through ART: the linker script differs in one address."""
    text = (FIRMWARE / "board" / "stm32f746.ld").read_text()
    text = text.replace("ORIGIN = 0x08000000, LENGTH = 1M", "ORIGIN = 0x00200000, LENGTH = 1M")
    script = tmp_path / "art.ld"
    script.write_text(text)
    places = {"code": "FLASH_ITCM", "constants": "FLASH_ITCM"}
    for art in (True, False):
        settings = {"art.enabled": art}
        board = changed_board(BOARD, settings)
        real = session.load(build(script), board=board).call("look_up", 3000)
        asked = study("look_up", 3000).retime(places, settings=settings)
        assert asked.cycles == pytest.approx(real.cycles, rel=WITHIN)
        assert asked.cycles > study("look_up", 3000).base.cycles


def test_from_reset_the_copies_are_told(tmp_path: Path) -> None:
    """What start-up copies more is not re-timed; the note says about how much it is."""
    trace = tmp_path / "run.trace"
    session.load(build()).run(trace=trace)
    places = {"box": "DTCM", "kernel": "DTCM", "m7nn_*": "ITCM"}
    with memmap.study(trace) as studied:
        asked = studied.retime(places)
    real = session.load(relinked(places)).run()
    missing = real.cycles - asked.cycles
    assert asked.layout.copied_bytes == pytest.approx(4096 + 2304 + 2900, rel=0.4)
    assert missing == pytest.approx(asked.layout.copied_bytes, rel=0.15)
    assert any("bytes more to copy" in note for note in asked.notes)


def test_many_maps_are_as_one() -> None:
    maps = [{}, {"box": "DTCM"}, {"box": "SRAM1"}, {"box": "DTCM", "look_up": "ITCM"}]
    studied = study("look_up", 3000)
    told: list[tuple[int, int]] = []
    many = studied.retime_many(maps, on_done=lambda done, of: told.append((done, of)))
    assert [each.cycles for each in many] == [studied.retime(places).cycles for places in maps]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_map_that_does_not_fit_says_what_and_by_how_much() -> None:
    studied = study("look_up", 3000)
    rows = 6 * 4096
    with pytest.raises(InputError) as error:
        studied.check({"rows": "ITCM"})
    # nothing lies at address 0, which C knows as NULL: the linker scripts leave out 32 bytes
    over = 32 + rows - 16384
    assert f"{over:,} bytes too many".replace(",", " ") in str(error.value)
    assert "rows 24 576" in str(error.value)
    assert "ITCM" in str(error.value)
    fits = studied.check({"rows": "SRAM1"})
    assert next(u for u in fits.use if u.name == "SRAM1").used_bytes == rows
    settings = {"SRAM2.size_bytes": 4096}
    with pytest.raises(InputError, match=r"8 192 bytes.*4 096 of SRAM2: 4 096 bytes too many"):
        studied.retime({"nodes": "SRAM2"}, settings=settings)


def test_all_code_in_itcm_but_what_fills_it() -> None:
    """The reset handler and what it calls stay in flash: they copy the rest."""
    studied = study("look_up", 3000)
    places = {".text": "ITCM"}
    asked = studied.retime(places)
    assert asked.layout.regions["Reset_Handler"] == "FLASH"
    assert asked.layout.regions["main"] == "ITCM"
    elf = relinked(places)
    assert asked.cycles == session.load(elf).call("look_up", 3000).cycles
    assert session.load(elf).run().exit_code == 0
    with pytest.raises(InputError, match="its place is fixed"):
        studied.retime({"Reset_Handler": "ITCM"})


def test_the_narrowest_name_wins() -> None:
    regions = (
        study("look_up", 3000)
        .check({"box": "DTCM", "b*x": "SRAM2", "constants": "SRAM1", ".rodata": "FLASH"})
        .regions
    )
    assert regions["box"] == "DTCM"
    assert regions["kernel"] == "FLASH"
    later = study("look_up", 3000).check({"b*": "SRAM2", "*x": "SRAM1"}).regions
    assert later["box"] == "SRAM1"


def test_a_name_nobody_knows_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="Did you mean look_up"):
        study("look_up", 3000).retime({"lookup": "ITCM"})


@pytest.mark.parametrize(
    ("places", "message"),
    [({"convolve": "DTCX"}, "no memory"), ({"numbers": "SRAM2"}, ""),
     ({"box": "SRAM2"}, "have no place for box in SRAM2"),
     ({".rodata (rest)": "DTCM"}, "has no name for the linker"),
     ({"_malloc_r": "ITCM"}, "did not follow the linker script")],
)  # fmt: skip
def test_what_cannot_be_relinked_says_why(places: dict[str, str], message: str) -> None:
    if not message:
        image = Image.load(relinked(places))
        assert BOARD.region("SRAM2").start == image.symbol("numbers").address
        return
    with pytest.raises(InputError, match=re.escape(message)):
        relinked(places)
