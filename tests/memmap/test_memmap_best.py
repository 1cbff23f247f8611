"""The best map of real programs: better than the usual ones, and truly so when linked again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from m7sim import cli, session, toolchain
from m7sim.board import Board
from m7sim.elf import Image
from m7sim.memmap import Study
from m7sim.memmap.attributes import can_be_pasted, section_of
from m7sim.memmap.best import BEST, SLOW
from m7sim.report.memmap_figures import curve_sheet, draw_curve

pytestmark = pytest.mark.toolchain
BOARD = Board.load("stm32f746")
KIB = 1024


@pytest.fixture(scope="module")
def spectrum(placement_programs: ModuleType) -> Iterator[Study]:
    with placement_programs.study_of("spectrum") as made:
        yield made


@pytest.mark.parametrize(("name", "kib"), [("gateway", 4), ("spectrum", 4), ("control", 2)])
def test_the_best_map_beats_the_usual_ones_when_linked(
    placement_programs: ModuleType, name: str, kib: int
) -> None:
    (row,) = placement_programs.rows(name, (kib * KIB,), retimings=160)
    slow, greedy, best = row.relinked
    assert best < 0.99 * greedy
    assert best < 0.97 * slow
    for told, linked in zip((row.slow, row.greedy, row.best), row.relinked, strict=True):
        assert told == pytest.approx(linked, rel=0.01)


def test_less_energy_is_found_than_by_cycles(
    spectrum: Study, placement_programs: ModuleType
) -> None:
    fast = placement_programs.best_of(spectrum, 4 * KIB, retimings=120)
    thrifty = placement_programs.best_of(spectrum, 4 * KIB, goal="energy", retimings=120)
    assert thrifty.best.timed.energy_nj < fast.best.timed.energy_nj
    assert thrifty.best.cycles >= fast.best.cycles


def test_the_curve_of_a_program(
    spectrum: Study, placement_programs: ModuleType, tmp_path: Path
) -> None:
    found = placement_programs.curve_of(spectrum, (0, 1 * KIB, 4 * KIB))
    cycles = [point.best.cycles for point in found.points]
    assert cycles == sorted(cycles, reverse=True)
    assert all(p.best.cycles <= p.greedy.cycles for p in found.points)
    draw_curve(found, "spectrum", [tmp_path / "curve.png", tmp_path / "curve.svg"])
    assert (tmp_path / "curve.png").stat().st_size > 10_000
    rows = curve_sheet(found).rows
    assert [row["cycles"] for row in rows] == cycles


@pytest.fixture(scope="module")
def told(
    placement_programs: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict, Path]:
    """What the command says, and the linker script that it writes."""
    folder = tmp_path_factory.mktemp("best")
    script, document = folder / "best.ld", folder / "best.json"
    command = ["memmap", str(placement_programs.build("spectrum")), "--entry", "main", "--best",
               "--reserve", "DTCM=60K", "--pin", "samples=SRAM1", "--retimings", "150",
               "--write-ld", str(script), "--json", "-o", str(document)]  # fmt: skip
    assert cli.main(command) == 0
    return json.loads(document.read_text()), script


def test_limits_and_pins_hold(told: tuple[dict, Path]) -> None:
    document, _ = told
    best = next(m for m in document["maps"] if m["name"] == BEST)
    assert best["fits"]
    assert best["places"]["samples"] == "SRAM1"
    used = best["used_bytes"]["DTCM"]
    assert used <= document["room_bytes"]["DTCM"] <= 64 * KIB - 60 * KIB
    slow = next(m for m in document["maps"] if m["name"] == SLOW)
    assert best["cycles"] < slow["cycles"]
    assert {a["name"] for a in document["attributes"]} == {m["name"] for m in document["moves"]}


def region_of(elf: Path, name: str) -> str:
    region = BOARD.region_at(Image.load(elf).symbol(name).address)
    assert region is not None
    return region.name


def test_the_written_linker_script_puts_objects_there(
    told: tuple[dict, Path], placement_programs: ModuleType
) -> None:
    document, script = told
    programs = placement_programs
    elf = toolchain.build(
        programs.sources_of("spectrum"), include=programs.INCLUDE, flags=programs.FLAGS,
        linker_script=script,
    )  # fmt: skip
    for move in document["moves"]:
        if move["kind"] != "stack":
            assert region_of(elf, move["name"]) == move["to"], move["name"]
    best = next(m for m in document["maps"] if m["name"] == BEST)
    assert session.load(elf).run("main").cycles == pytest.approx(best["cycles"], rel=0.01)


def test_the_attributes_put_objects_there_when_pasted(
    told: tuple[dict, Path], placement_programs: ModuleType, tmp_path: Path
) -> None:
    document, _ = told
    programs = placement_programs
    *board, source = programs.sources_of("spectrum")
    text, pasted = source.read_text(encoding="utf-8"), []
    for each in document["attributes"]:
        if not each["attribute"] or not each["source"].startswith(source.name):
            continue
        name = re.escape(each["identifier"])
        array = re.compile(rf"^(static .*?\b{name}\[[^;=]*?\])(?=[,;= ])", re.MULTILINE)
        function = re.compile(rf"^(?=[\w(), ]*\b{name}\([^;]*\)$)", re.MULTILINE)
        new, count = array.subn(rf"\1 {each['attribute']}", text, count=1)
        if not count:
            new, count = function.subn(f"{each['attribute']} ", text, count=1)
        assert count == 1, each
        text = new
        pasted.append(each["name"])
    assert len(pasted) >= 5
    changed = tmp_path / source.name
    changed.write_text(text, encoding="utf-8")
    elf = toolchain.build([*board, changed], include=programs.INCLUDE, flags=programs.FLAGS)
    to = {move["name"]: move["to"] for move in document["moves"]}
    for name in pasted:
        assert region_of(elf, name) == to[name], name


def test_sections_are_those_of_the_linker_scripts() -> None:
    for script in sorted((toolchain.firmware_dir() / "board").glob("stm32*.ld")):
        text = script.read_text(encoding="utf-8")
        board = Board.load(script.stem)
        for kind in ("code", "const", "data", "zero"):
            for region in board.regions:
                if region.kind == "flash" or not can_be_pasted(kind, region.name, board):
                    continue
                section = section_of(kind, region.name, board, "x")
                first = section.split(".")[1]
                stem = ".".join(section.split(".")[:3]) if first == "bss" else f".{first}"
                assert f"*({stem} {stem}.*)" in text, (script.name, kind, region.name)


def test_a_pin_that_does_not_fit_names_objects_and_bytes(
    placement_programs: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    elf = str(placement_programs.build("gateway"))
    command = ["memmap", elf, "--entry", "main", "--best", "--pin", "history=DTCM",
               "--reserve", "DTCM=60K"]  # fmt: skip
    assert cli.main(command) == 2
    message = capsys.readouterr().err
    assert "no map fits: DTCM has" in message
    assert "history (8 192)" in message
    assert re.search(r"[\d,]+ bytes too many", message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--curve", "curve.txt"], "Give a file .png"),
        (["--reserve", "DTCM=8K"], "--reserve without --best"),
        (["--write-ld", "x.ld"], "--write-ld without --best"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["memmap", "nothing.elf", *options]) == 2
    assert message in capsys.readouterr().err


def test_the_report_says_what_to_do(
    placement_programs: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    elf = str(placement_programs.build("spectrum"))
    command = ["memmap", elf, "--entry", "main", "--best", "--tcm", "2K", "--retimings", "80"]
    assert cli.main(command) == 0
    told = capsys.readouterr().out
    for words in (
        "Moves from the map as linked",
        "Room under the best map",
        "they stay in flash as well",
        '__attribute__((section(".dtcm.rodata.',
        "TCM was limited to 2 048 bytes",
    ):
        assert words in told, words


def test_the_number_of_timings_is_kept(spectrum: Study, placement_programs: ModuleType) -> None:
    found = placement_programs.best_of(spectrum, 2 * KIB, retimings=60)
    assert found.retimings <= 60 + 2 * len(found.moves) + 6  # what is shown is always timed
