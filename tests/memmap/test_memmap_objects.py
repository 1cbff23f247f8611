"""Objects and their books: every byte has an owner, every lost cycle an object."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from m7sim import cli, memmap, session, toolchain
from m7sim.board import Board
from m7sim.elf import Image
from m7sim.errors import InputError
from m7sim.memmap.account import MEMORY_CAUSES
from m7sim.memmap.branches import direct_branches
from m7sim.memmap.layout import Planner
from m7sim.memmap.objects import take_inventory
from m7sim.memmap.settings import changed_board, parse_settings
from m7sim.report import memmap as report

pytestmark = pytest.mark.toolchain

BOARD = Board.load("stm32f746")
FUNCTIONS = ("convolve", "look_up", "chase", "sort", "thrash", "recurse", "dot", "allocate")


@pytest.fixture(scope="module")
def elf() -> Path:
    firmware = toolchain.firmware_dir()
    names = ("board/startup.c", "board/syscalls.c", "kernels/nn/m7nn_conv.c",
             "kernels/nn/m7nn_product.c", "kernels/nn/m7nn_expand.c")  # fmt: skip
    own = Path(__file__).parent / "data" / "memmap_program.c"
    include = (firmware / "include", firmware / "kernels" / "nn")
    return toolchain.build([*(firmware / n for n in names), own], include=include, keep=FUNCTIONS)


@pytest.fixture(scope="module")
def whole(elf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, memmap.Study]:
    """A run from reset with everything in flash and SRAM that can be, and its study."""
    path = tmp_path_factory.mktemp("memmap") / "run.trace"
    session.load(elf).run(trace=path)
    return path, memmap.study(path)


def test_base_is_the_replay(whole: tuple[Path, memmap.Study]) -> None:
    path, study = whole
    replayed = session.replay(path)
    base = study.base
    assert (base.cycles, base.instructions) == (replayed.cycles, replayed.instructions)
    assert dict(base.stalls) == replayed.stalls
    assert base.energy_nj == pytest.approx(replayed.energy.energy_nj if replayed.energy else 0)
    assert study.similar == 0


@pytest.mark.parametrize(
    "places",
    [{}, {"variables": "SRAM1", "stack": "SRAM1", "box": "DTCM"},
     {"code": "FLASH_ITCM", "constants": "FLASH_ITCM"}, {"m7nn_*": "ITCM", "numbers": "SRAM2"}],
)  # fmt: skip
def test_sums_are_the_run(whole: tuple[Path, memmap.Study], places: dict[str, str]) -> None:
    """Every cycle lost to memory belongs to one object; every instruction and access too."""
    retimed = whole[1].retime(places)
    by_cause: dict[str, int] = {}
    for each in retimed.objects:
        for cause, cycles in each.stalls.items():
            by_cause[cause] = by_cause.get(cause, 0) + cycles
    names = {cause.name.lower() for cause in MEMORY_CAUSES}
    assert by_cause == {c: n for c, n in retimed.stalls.items() if c in names}
    assert by_cause == retimed.memory_stalls
    assert sum(each.fetches for each in retimed.objects) == retimed.instructions
    assert retimed.cycles == retimed.issue_cycles + sum(retimed.stalls.values())


def test_objects_are_those_of_nm(elf: Path) -> None:
    """Addresses, sizes and sections as binutils tell them."""
    nm = subprocess.run(
        ["arm-none-eabi-nm", "-S", "--defined-only", elf],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split() for line in nm.stdout.splitlines() if len(line.split()) == 4]
    told = {name: (int(a, 16) & ~1, int(size, 16)) for a, size, kind, name in rows
            if kind in "tTbBdDrR"}  # fmt: skip
    objects = {each.name: each for each in take_inventory(Image.load(elf), BOARD).objects}
    for name in ("convolve", "box", "numbers", "rows", "settings", "m7nn_conv_fast", "kernel"):
        assert (objects[name].address, objects[name].size_bytes) == told[name]
    kinds = {name: objects[name].kind for name in ("convolve", "box", "rows", "settings")}
    assert kinds == {"convolve": "code", "box": "const", "rows": "zero", "settings": "data"}


def test_pieces_cover_sections_without_overlap(elf: Path) -> None:
    image = Image.load(elf)
    inventory = take_inventory(image, BOARD)
    for section in inventory.sections:
        inside = sorted(p.address for p in inventory.pieces if p.section == section.name)
        pieces = {p.address: p for p in inventory.pieces if p.section == section.name}
        place = section.address
        for address in inside:
            assert address >= place, section.name
            gap = image.read(place, address - place) or b""
            assert len(gap) < 64
            assert set(gap) <= {0x00, 0xBF}, "padding holds something"
            place = pieces[address].end
        assert place <= section.end


def test_nothing_moved_is_the_linked_map(elf: Path) -> None:
    inventory = take_inventory(Image.load(elf), BOARD)
    layout = Planner(inventory, BOARD, BOARD).lay_out({})
    assert not layout.delta.any()
    assert not layout.moved
    assert layout.addresses == {o.name: o.address for o in inventory.objects}


def test_names_are_unique(tmp_path: Path) -> None:
    """A variable called heap is not the heap, two statics of one name are not one."""
    source = tmp_path / "names.c"
    source.write_text(
        "int heap[4]; int stack;\n"
        "int one(void) { static int n; return n += heap[0]; }\n"
        "int two(void) { static int n; return n += one() + stack; }\n"
        "int main(void) { return two(); }\n"
    )
    board = toolchain.firmware_dir() / "board"
    include = [toolchain.firmware_dir() / "include"]
    sources = [board / "startup.c", board / "syscalls.c", source]
    elf = toolchain.build(sources, include=include, flags=["-O1", "-fdata-sections"])
    objects = take_inventory(Image.load(elf), BOARD).objects
    names = [each.name for each in objects]
    assert len(set(names)) == len(names)
    kinds = {each.name.partition("@")[0]: each.kind for each in objects if "@" in each.name}
    assert kinds == {"heap": "zero", "stack": "zero"}
    assert {e.kind for e in objects if e.name in ("heap", "stack")} == {"heap", "stack"}
    assert {"n.0", "n.1"} <= set(names)


def test_accesses_are_counted_by_object(elf: Path) -> None:
    """A dot product loads each element of both arrays once."""
    a = np.arange(700, dtype=np.int16)
    with memmap.study_call(
        session.load(elf), "dot", a, a[::-1].copy(), 700, place="SRAM1"
    ) as study:
        found = {each.name: each for each in study.objects}
    for name in ("a", "b"):
        assert (found[name].kind, found[name].region) == ("array", "SRAM1")
        assert (found[name].loads, found[name].loaded_bytes, found[name].stores) == (700, 1400, 0)
        lines = 1400 / 32
        assert found[name].stalls["dcache_sram"] == pytest.approx(8 * lines, rel=0.2)
    assert found["dot"].fetches == study.instructions
    assert found["dot"].loads == 0


def test_look_ups_are_lost_to_the_table(elf: Path) -> None:
    with memmap.study_call(session.load(elf), "look_up", 1000) as study:
        found = {each.name: each for each in study.objects}
    assert found["box"].loads == 4 * 999  # the compiler knows what the first round gives
    assert set(found["box"].stalls) == {"dcache_flash"}
    assert found["settings"].loads == 1000
    assert found["settings"].stall_cycles == 0  # in DTCM


def test_direct_branches_are_those_of_objdump(elf: Path) -> None:
    dump = subprocess.run(
        ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", elf],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = set()
    for line in dump.stdout.splitlines():
        parts = line.split()
        if len(parts) > 2 and parts[1] in ("bl", "b.w"):
            told.add((int(parts[0].rstrip(":"), 16), int(parts[2], 16)))
    found = direct_branches(Image.load(elf))
    assert told == set(zip(found.source.tolist(), found.target.tolist(), strict=True))


def test_a_call_can_be_traced(elf: Path, tmp_path: Path) -> None:
    firmware = session.load(elf)
    live = firmware.call("look_up", 500, trace=tmp_path / "call.trace")
    assert session.replay(tmp_path / "call.trace").cycles == live.cycles
    assert memmap.study(tmp_path / "call.trace").base.cycles == live.cycles
    with pytest.raises(InputError, match="Leave warm out"):
        firmware.call("look_up", 500, trace=tmp_path / "warm.trace", warm=True)
    assert not (tmp_path / "warm.trace").exists()


def test_long_traces_are_read_again(elf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: beyond a size the trace is decoded each time, with the same figures."""
    firmware = session.load(elf)
    places = {"numbers": "SRAM1", "qsort": "ITCM"}
    with memmap.study_call(firmware, "sort", 1) as kept:
        in_memory = kept.retime(places)
    monkeypatch.setattr("m7sim.memmap.recording.KEPT_BYTES", 1000)
    with memmap.study_call(firmware, "sort", 1) as streamed:
        assert kept.kept
        assert not streamed.kept
        again = streamed.retime(places)
    assert again.objects == in_memory.objects
    assert again.cycles == in_memory.cycles


def test_settings_change_the_board() -> None:
    texts = ("dcache.size_bytes=8K", "icache.enabled=off", "art.enabled=0", "flash_wait_states=3",
             "SRAM1.read_latency_cycles=9")  # fmt: skip
    board = changed_board(BOARD, parse_settings(texts))
    assert board.dcache.size_bytes == 8192
    assert not board.icache.enabled
    assert board.art is not None
    assert not board.art.enabled
    assert board.flash_wait_states == 3
    assert board.region("SRAM1").read_latency_cycles == 9
    assert board.region("FLASH").line_fill_cycles == BOARD.region("FLASH").line_fill_cycles - 4


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("dcache.size", "1", "Did you mean dcache.size_bytes"), ("dcache.ways", "3", "no cache has"),
     ("icache.enabled", "maybe", "neither on nor off"), ("dcache.size_bytes", "x", "no number"),
     ("SRAM1.size_bytes", "5000", "multiple of 4096"), ("ITCM.size_bytes", "2M", "reach into"),
     ("nothing", "1", "nothing is called 'nothing'")],
)  # fmt: skip
def test_wrong_settings_say_what(key: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        changed_board(BOARD, {key: value})


def test_command(
    elf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], whole: tuple[Path, memmap.Study]
) -> None:
    arguments = ["--place", "box=DTCM", "--place", "m7nn_*=ITCM", "--set", "dcache.size_bytes=8K"]
    assert cli.main(["memmap", str(whole[0]), *arguments]) == 0
    text = capsys.readouterr().out
    for words in ("Objects by cycles lost to memory", "What if: box=DTCM m7nn_*=ITCM", "veneers",
                  "FLASH 0x0800", "ITCM 0x00000020", "bytes more to copy from flash"):  # fmt: skip
        assert words in text
    assert max(map(len, text.splitlines())) <= 100
    assert cli.main(["memmap", str(elf), *arguments, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["linked"]["cycles"] == whole[1].base.cycles
    expected = whole[1].retime(
        {"box": "DTCM", "m7nn_*": "ITCM"}, settings={"dcache.size_bytes": 8192}
    )
    assert made["retimed"]["cycles"] == expected.cycles
    assert made["retimed"]["settings"] == {"dcache.size_bytes": "8K"}


def test_report_of_a_run_without_a_second_map(whole: tuple[Path, memmap.Study]) -> None:
    text = report.render(whole[1])
    assert "What if" not in text
    assert "box" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--place", "bx=DTCM"], "no object, section or group 'bx'"),
     (["--place", "box=DTCN"], "Did you mean dtcm"), (["--place", "box"], "what goes where"),
     (["--set", "dcache.size=1"], "Did you mean dcache.size_bytes"),
     (["--place", "numbers=FLASH"], "it is written")],
)  # fmt: skip
def test_command_errors_are_one_line(
    whole: tuple[Path, memmap.Study], arguments: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert cli.main(["memmap", str(whole[0]), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
