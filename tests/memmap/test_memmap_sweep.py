"""Sweeps: variants of the board, knees and optima, pictures and their tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from m7sim import cli, session
from m7sim.board import Board
from m7sim.energy import EnergyModel
from m7sim.energy.duty import duty_cycle
from m7sim.errors import InputError
from m7sim.memmap import Study, study_run
from m7sim.memmap.sweep import Sweep, sweep, vary
from m7sim.report.memmap_figures import draw_sweep, findings, sheet_of

BOARD = Board.load("stm32f746")
IN_SRAM = {"variables": "SRAM1", "stack": "SRAM1"}


@pytest.fixture(scope="module")
def elf(placement_programs: ModuleType) -> Path:
    return placement_programs.build("spectrum")


@pytest.fixture(scope="module")
def study(elf: Path) -> Iterator[Study]:
    with study_run(session.load(elf), "main") as made:
        yield made


@dataclass(frozen=True)
class Timed:
    cycles: int
    clock_hz: int
    energy_nj: float | None = None
    stalls: dict[str, int] = field(default_factory=dict)

    @property
    def issue_cycles(self) -> int:
        return self.cycles


class MadeUp:
    """Cycles that fall with the D-cache up to 8 KiB and rise with wait states."""

    def retime(self, places, *, board: Board) -> Timed:
        missing = max(8192 - board.dcache.size_bytes * board.dcache.enabled, 0)
        return Timed(100_000 + missing * 10 + 500 * board.flash_wait_states, board.clock_hz)


def test_the_knee_is_the_smallest_that_is_nearly_as_good() -> None:
    found = sweep(MadeUp(), BOARD, "dcache")
    assert [p.value for p in found.points] == [0, *(1024 << n for n in range(7))]
    assert found.knee.value == 8192
    assert found.fastest.value == 8192  # of equals the smallest
    assert found.real == 4096
    assert found.real_point.cycles == 100_000 + 4096 * 10 + 3500
    assert "Knee at 8 KiB" in findings(found)[0]
    assert "39.6 % more than the least" in findings(found)[1]


def test_wait_states_are_cheap_when_many() -> None:
    found = sweep(MadeUp(), BOARD, "waitstates")
    least = found.points[0].cycles
    assert found.fastest.value == 0
    assert found.knee.value == max(p.value for p in found.points if p.cycles <= 1.02 * least)
    assert "Each wait state costs about 500 cycles" in findings(found)[0]


def test_the_flash_follows_the_clock() -> None:
    found = sweep(MadeUp(), BOARD, "clock")
    states = {p.value: p.flash_wait_states for p in found.points}
    assert states[30_000_000] == 0
    assert states[60_000_000] == 1
    assert states[216_000_000] == 7
    assert found.fastest.value == 216_000_000


def test_a_board_without_currents_is_swept_without_energy(tmp_path: Path) -> None:
    found = sweep(MadeUp(), Board.load("stm32h743"), "clock")
    assert found.thriftiest() is None
    assert found.idle_states == ()
    assert any("no current data" in note for note in found.notes)
    draw_sweep(found, "made up", [tmp_path / "clock.png"])
    assert (tmp_path / "clock.png").stat().st_size > 10_000


def test_own_values_join_the_boards() -> None:
    found = sweep(MadeUp(), BOARD, "dcache", values=[16384, 512])
    assert [p.value for p in found.points] == [512, 4096, 16384]


def test_impossible_variants_are_refused() -> None:
    with pytest.raises(InputError, match="a dcache of 3000 bytes"):
        vary(BOARD, "dcache", 3000)
    with pytest.raises(InputError, match="no sweep 'cache'"):
        sweep(MadeUp(), BOARD, "cache")
    small = vary(BOARD, "dcache", 64)  # fewer ways than the chip's four
    assert (small.dcache.ways, small.dcache.sets) == (2, 1)


@pytest.mark.toolchain
@pytest.mark.parametrize(("kind", "value"), [("dcache", 0), ("icache", 1024), ("waitstates", 2)])
def test_a_point_is_what_a_run_on_that_board_takes(
    study: Study, elf: Path, kind: str, value: int
) -> None:
    found = sweep(study, study.board, kind, values=[value])
    run = session.load(elf, board=vary(BOARD, kind, value)).run("main")
    assert found.points[0].cycles == run.cycles
    assert found.points[0].energy_nj == pytest.approx(run.energy.energy_nj)
    assert found.real_point.cycles == study.base.cycles


@pytest.mark.toolchain
def test_more_cache_never_costs_much(study: Study) -> None:
    found = sweep(study, study.board, "dcache", places=IN_SRAM)
    cycles = [p.cycles for p in found.points]
    assert cycles[0] > 1.5 * cycles[-1]
    # a larger cache has other sets; two lines may meet in one that did not before
    assert all(b <= 1.02 * a for a, b in pairwise(cycles))
    rows = list(csv.DictReader(sheet_of(found).text().splitlines()))
    assert [int(row["dcache_bytes"]) for row in rows] == [p.value for p in found.points]
    for row in rows:
        lost = sum(int(n) for key, n in row.items() if key.endswith("_cycles"))
        assert lost == int(row["cycles"])  # issue and stalls


@pytest.mark.toolchain
def test_the_energy_of_a_period_is_that_of_the_duty_cycle(study: Study, elf: Path) -> None:
    found = sweep(study, study.board, "clock", values=[60_000_000, 144_000_000], period_s=0.02)
    for point in found.points:
        board = BOARD.override(clock_hz=point.value)
        run = session.load(elf, board=board).run("main")
        for idle in ("sleep", "stop"):
            known = duty_cycle(EnergyModel.for_board(board), run.energy, 0.02, idle=idle)
            assert point.duty[idle].energy_nj == pytest.approx(known.energy_nj, rel=1e-9)
    assert found.thriftiest().value == 144_000_000  # the lowest voltage's highest clock
    assert found.thriftiest("sleep").value == 60_000_000  # Sleep is dear at a high clock


@pytest.mark.toolchain
def test_the_command_writes_pictures_and_tables(
    elf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["memmap", str(elf), "--entry", "main", "--place", "variables=SRAM1"]
    assert cli.main([*base, "--sweep", "clock", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "Least energy, the work alone" in told
    stem = tmp_path / f"{elf.stem}_clock"
    for ending in (".png", ".svg"):
        assert stem.with_suffix(ending).stat().st_size > 10_000
    first = stem.with_suffix(".svg").read_bytes(), stem.with_suffix(".csv").read_bytes()
    assert cli.main([*base, "--sweep", "clock", "--out", str(tmp_path), "--json"]) == 0
    assert first == (stem.with_suffix(".svg").read_bytes(), stem.with_suffix(".csv").read_bytes())
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "clock"
    assert len(document["rows"]) == len(first[1].splitlines()) - 1


def test_a_folder_that_cannot_be_is_told_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fw = tmp_path / "fw.elf"
    (tmp_path / "file").touch()
    command = ["memmap", str(fw), "--sweep", "dcache", "--out", str(tmp_path / "file" / "pictures")]
    assert cli.main(command) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_a_sweep_keeps_its_own_value_however_it_is_asked() -> None:
    found: Sweep = sweep(MadeUp(), BOARD.override(dcache=False), "dcache")
    assert found.real == 0
    assert found.real_point.value == 0
