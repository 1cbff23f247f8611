"""The search for the best map, on made-up costs where trying all maps tells what is right."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from m7sim.board import Board
from m7sim.errors import InputError
from m7sim.memmap.assignment import Costs, assign, least_excess
from m7sim.memmap.best import BY_COUNT, BY_DENSITY, SLOW, best_map, check_space, curve
from m7sim.memmap.candidates import Candidate, Space, find_space
from m7sim.memmap.judge import Judge
from m7sim.memmap.layout import RegionUse
from m7sim.memmap.objects import MemoryObject
from m7sim.memmap.optimise import WORTH, Search

BOARD = Board.load("stm32f746")
TCM = frozenset({"ITCM", "DTCM"})
BASE_CYCLES = 1_000_000


@dataclass(frozen=True)
class Timed:
    """What the search looks at of a `Retimed`."""

    cycles: int
    energy_nj: float | None


@dataclass
class MadeUp:
    """Costs of objects outside of TCM: each its own, and all of them for sharing a cache."""

    homes: dict[str, str]
    alone: dict[str, int]  # lost outside of TCM, whatever the others do
    lines: dict[str, int]  # of the cache that it would like to have
    cache_lines: int = 128
    timed: list[dict[str, str]] = field(default_factory=list)

    def cost(self, places: Mapping[str, str]) -> int:
        outside = [name for name in self.homes if places[name] not in TCM]
        wanted = sum(self.lines[name] for name in outside)
        thrashing = max(wanted - self.cache_lines, 0) * 150
        return BASE_CYCLES + sum(self.alone[name] for name in outside) + thrashing

    def retime_many(self, maps: Sequence[Mapping[str, str]], *, board: Board) -> list[Timed]:
        self.timed += [dict(places) for places in maps]
        found = []
        for places in maps:
            cycles = self.cost({**self.homes, **places})
            found.append(Timed(cycles, cycles * 1.5 + 100 * len(places)))
        return found

    def check(self, places: Mapping[str, str], *, board: Board) -> None:
        pass


def a_problem(seed: int, objects: int = 8) -> tuple[MadeUp, Space]:
    """Return objects of random sizes and costs, and far too little TCM for them."""
    rng = random.Random(seed)
    candidates, alone, lines = [], {}, {}
    for n in range(objects):
        name, code = f"object{n}", n % 3 == 0
        size = 32 * rng.randint(1, 60)
        home = "FLASH" if code else "DTCM"
        candidates.append(
            Candidate(
                name, "code" if code else "zero", size, home,
                ("FLASH", "ITCM") if code else ("DTCM", "SRAM1"), rng.randint(1, 10_000),
            )
        )  # fmt: skip
        alone[name], lines[name] = rng.randint(0, 30_000), size // 32
    space = Space(
        candidates=tuple(candidates),
        room_bytes={"ITCM": 2048, "DTCM": 3072, "SRAM1": 1 << 18},
        taken_bytes={"ITCM": 0, "DTCM": 0, "SRAM1": 0},
        reserved_bytes={"ITCM": 0, "DTCM": 0, "SRAM1": 0},
        tcm=TCM,
    )
    return MadeUp({c.name: c.home for c in candidates}, alone, lines), space


def least_cost(study: MadeUp, space: Space) -> int:
    """Try every map."""
    names = [c.name for c in space.candidates]
    maps = (
        dict(zip(names, regions, strict=True))
        for regions in product(*(c.choices for c in space.candidates))
    )
    return min(study.cost(places) for places in maps if space.holds(places))


@pytest.mark.parametrize("seed", range(6))
def test_the_best_of_all_maps_is_found(seed: int) -> None:
    study, space = a_problem(seed)
    best = best_map(study, BOARD, space)
    assert best.best.allowed
    slack = 1 + WORTH  # moves that are worth less than this are taken back
    assert best.best.cycles <= least_cost(study, space) * slack
    for name in (SLOW, BY_DENSITY, BY_COUNT):
        other = best.map(name)
        assert other is not None
        assert best.best.cycles <= other.cycles * slack


def test_the_program_is_solved_exactly() -> None:
    rng = random.Random(5)
    for _ in range(10):
        _, space = a_problem(rng.randrange(1000), objects=7)
        places = [(c.name, region) for c in space.candidates for region in c.choices]
        costs = Costs(
            {place: rng.randint(-500, 500) for place in places},
            {
                (a, b): rng.randint(-400, 400)
                for a in places
                for b in places
                if a[0] < b[0] and rng.random() < 0.2
            },
        )
        names = [c.name for c in space.candidates]
        every = [
            dict(zip(names, regions, strict=True))
            for regions in product(*(c.choices for c in space.candidates))
        ]
        least = min(costs.of(m) for m in every if space.holds(m))
        found = assign(space, costs)
        assert found is not None
        assert space.holds(found)
        assert costs.of(found) == least


def test_among_equal_maps_the_one_that_moves_least_is_taken() -> None:
    _, space = a_problem(1)
    roomy = replace(space, room_bytes=dict.fromkeys(space.room_bytes, 1 << 20))
    assert assign(roomy, Costs({})) == roomy.linked


def test_two_searches_time_the_same_maps_in_the_same_order() -> None:
    first, space = a_problem(3)
    second, _ = a_problem(3)
    a, b = best_map(first, BOARD, space), best_map(second, BOARD, space)
    assert first.timed == second.timed
    assert a.best.places == b.best.places


def test_no_map_is_timed_twice_and_the_limit_holds() -> None:
    study, space = a_problem(4)
    best = best_map(study, BOARD, space)
    keys = [tuple(sorted(places.items())) for places in study.timed]
    assert len(keys) == len(set(keys)) == best.retimings
    few, _ = a_problem(4)
    judge = Judge(few, BOARD, space, "cycles", limit=25)
    found = Search(space, judge).best()
    assert space.holds(found)
    assert len(few.timed) == judge.retimings <= 25


def test_energy_is_what_is_lowered_when_asked_for() -> None:
    study, space = a_problem(6)
    found = best_map(study, BOARD, space, goal="energy")
    names = [c.name for c in space.candidates]
    least = min(
        study.retime_many([moves], board=BOARD)[0].energy_nj or 0.0
        for regions in product(*(c.choices for c in space.candidates))
        for places in [dict(zip(names, regions, strict=True))]
        if space.holds(places)
        for moves in [{n: r for n, r in places.items() if r != space.linked[n]}]
    )
    assert found.best.timed.energy_nj == pytest.approx(least, rel=1.2 * WORTH)


def test_a_board_without_currents_has_no_best_energy() -> None:
    class NoEnergy(MadeUp):
        def retime_many(self, candidates, *, board):
            return [
                replace(r, energy_nj=None) for r in super().retime_many(candidates, board=board)
            ]

    study, space = a_problem(6)
    without = NoEnergy(study.homes, study.alone, study.lines)
    with pytest.raises(InputError, match="no energy without current data"):
        best_map(without, BOARD, space, goal="energy")


def test_the_curve_falls_and_ends_at_the_best_map() -> None:
    study, space = a_problem(7)
    found = curve(study, BOARD, space)
    cycles = [point.best.cycles for point in found.points]
    assert cycles == sorted(cycles, reverse=True)
    assert len(cycles) > 5
    for point in found.points:
        assert point.best.tcm_used_bytes <= point.tcm_bytes
        assert point.greedy.tcm_used_bytes <= point.tcm_bytes
        assert point.best.cycles <= point.greedy.cycles
    assert cycles[-1] <= least_cost(study, space) * (1 + 1e-3)


def an_object(name: str, kind: str, size: int, region: str, **more: object) -> MemoryObject:
    movable = {"code": ("ITCM", "FLASH", "SRAM1"), "const": ("DTCM", "SRAM1", "SRAM2", "FLASH")}
    return MemoryObject(
        name=name, kind=kind, section="", address=0, size_bytes=size, alignment_bytes=8,
        region=region, movable=movable.get(kind, ("DTCM", "SRAM1", "SRAM2")), loads=100, **more,
    )  # fmt: skip


def a_layout(**used: int) -> Any:
    sizes = {r.name: r.size_bytes for r in BOARD.regions if r.mapped and not r.device}
    kinds = {r.name: r.kind for r in BOARD.regions}
    use = tuple(RegionUse(n, kinds[n], size, used.get(n, 0)) for n, size in sizes.items())
    return SimpleNamespace(use=use, regions={})


def test_rooms_are_what_cannot_be_moved_leaves() -> None:
    objects = (
        an_object("loop", "code", 300, "FLASH", initial_bytes=300),
        an_object("table", "const", 1024, "FLASH", initial_bytes=1024),
        an_object("state", "zero", 4096, "DTCM"),
        an_object("heap", "heap", 1000, "DTCM"),
    )
    layout = a_layout(FLASH=2000, DTCM=5296)
    space = find_space(objects, layout, BOARD, reserve={"DTCM": 8192})
    assert space.room_bytes["DTCM"] == 65536 - (5296 - 4096) - 8192
    assert space.room_bytes["ITCM"] == 16384
    assert "FLASH" not in space.room_bytes
    by_name = space.by_name
    assert set(by_name) == {"loop", "table", "state"}
    assert by_name["loop"].size_bytes == 304
    assert by_name["state"].choices == ("DTCM", "SRAM1")  # SRAM2 is no other memory than SRAM1
    wide = find_space(objects, layout, BOARD, every=True)
    assert wide.by_name["state"].choices == ("DTCM", "SRAM1", "SRAM2")


def test_pins_that_cannot_fit_name_objects_and_bytes() -> None:
    objects = (
        an_object("frames", "zero", 40_000, "SRAM1"),
        an_object("samples", "zero", 30_000, "SRAM1"),
        an_object("small", "zero", 64, "DTCM"),
    )
    pins = {"frames": "DTCM", "samples": "DTCM"}
    space = find_space(objects, a_layout(DTCM=1064, SRAM1=70_000), BOARD, pins=pins)
    (excess,) = least_excess(space)
    assert (excess.region, excess.over_bytes) == ("DTCM", 70_000 - (65_536 - 1_000))
    with pytest.raises(InputError) as error:
        check_space(space)
    message = str(error.value)
    assert "DTCM" in message
    assert "frames (40 000), samples (30 000)" in message
    assert "5 464 bytes too many" in message
    assert "small" not in message  # it can go elsewhere


def test_pins_to_where_an_object_cannot_lie_are_refused() -> None:
    objects = (an_object("frames", "zero", 400, "SRAM1"),)
    with pytest.raises(InputError, match="frames cannot lie in FLASH"):
        find_space(objects, a_layout(SRAM1=400), BOARD, pins={"frames": "FLASH"})


def test_pinned_objects_stay_where_they_are_pinned() -> None:
    study, space = a_problem(2)
    free = best_map(study, BOARD, space)
    name = next(c.name for c in space.candidates if free.best.places[c.name] in TCM)
    pinned = replace(
        space,
        candidates=tuple(
            replace(c, choices=(next(r for r in c.choices if r not in TCM),))
            if c.name == name
            else c
            for c in space.candidates
        ),
    )
    found = best_map(study, BOARD, pinned)
    assert found.best.places[name] not in TCM
    assert found.best.cycles >= free.best.cycles


def test_a_reserve_beyond_the_flash_says_so() -> None:
    objects = (an_object("table", "const", 1024, "FLASH", initial_bytes=1024),)
    with pytest.raises(InputError, match="576 bytes too many"):
        find_space(
            objects, a_layout(FLASH=1_000_000), BOARD, reserve={"FLASH": 1024 * 1024 - 999_424}
        )


def test_without_the_solver_one_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, space = a_problem(0)
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(InputError, match=r"pip install 'm7sim\[memmap\]'"):
        assign(space, Costs({}))
