"""Programs that best placement is tried on, and the table of PLACEMENT.md.

python tests/memmap/placement_programs.py [NAME …]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from m7sim import session, toolchain
from m7sim.memmap import Study, study_run
from m7sim.memmap.best import (
    BEST,
    BY_COUNT,
    BY_DENSITY,
    SLOW,
    Best,
    Curve,
    NamedMap,
    best_map,
    curve,
)  # fmt: skip
from m7sim.memmap.candidates import find_space
from m7sim.memmap.relink import relink
from m7sim.memmap.sources import immovable
from m7sim.units import format_count

HERE = Path(__file__).parent / "programs"
FIRMWARE = toolchain.firmware_dir()
FLAGS = ("-O2", "-g3", "-ffunction-sections", "-fdata-sections")
INCLUDE = (FIRMWARE / "include", FIRMWARE / "kernels" / "nn")
BOARD = "stm32f746"
KIB = 1024
BUDGETS = (2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB)
PROGRAMS = ("gateway", "spectrum", "control", "keywords", "console", "bench")


def sources_of(name: str) -> list[Path]:
    found = [FIRMWARE / "board" / "startup.c", FIRMWARE / "board" / "syscalls.c"]
    if name in ("keywords", "bench"):
        found += sorted((FIRMWARE / "kernels" / "nn").glob("*.c"))
    if name == "bench":
        return [*found, *(FIRMWARE / "bench" / f for f in ("workloads.c", "main.c"))]
    return [*found, HERE / f"{name}.c"]


def build(name: str) -> Path:
    return toolchain.build(sources_of(name), include=INCLUDE, flags=FLAGS)


def study_of(name: str) -> Study:
    """Study ``main``, on a machine set up as start-up code would."""
    return study_run(session.load(build(name), board=BOARD), "main")


def best_of(study: Study, tcm_bytes: int, **options: object) -> Best:
    stay = immovable(study.image, study.objects)
    space = find_space(study.objects, study.base.layout, study.board, stay=stay)
    return best_map(study, study.board, space, tcm_bytes=tcm_bytes, **options)


def curve_of(study: Study, budgets: tuple[int, ...]) -> Curve:
    stay = immovable(study.image, study.objects)
    space = find_space(study.objects, study.base.layout, study.board, stay=stay)
    return curve(study, study.board, space, budgets=budgets)


def moves_of(found: Best, places: Mapping[str, str]) -> dict[str, str]:
    homes = found.space.linked
    return {name: region for name, region in places.items() if region != homes[name]}


def relinked_cycles(name: str, found: Best, each: NamedMap) -> int:
    """Truly link the program with a map, run it, and return its cycles."""
    places = moves_of(found, each.places)
    elf = relink(sources_of(name), places, found.board, include=INCLUDE, flags=FLAGS)
    return session.load(elf, board=BOARD).run("main").cycles


@dataclass(frozen=True)
class Row:
    program: str
    tcm_bytes: int
    slow: int
    greedy: int
    best: int
    relinked: tuple[int, int, int]  # in the same order
    timings: int

    @property
    def markdown(self) -> str:
        apart = [
            100 * (linked / told - 1)
            for linked, told in zip(self.relinked, (self.slow, self.greedy, self.best), strict=True)
        ]
        slow, greedy, best = self.relinked
        cycles = map(format_count, self.relinked)
        cells = (
            self.program, f"{self.tcm_bytes // KIB} KiB", *cycles,
            f"{100 * (best / slow - 1):+.1f} %", f"{100 * (best / greedy - 1):+.2f} %",
            f"{max(apart, key=abs):+.2f} %", str(self.timings),
        )  # fmt: skip
        return "| " + " | ".join(cells) + " |"


def better_greedy(found: Best) -> NamedMap:
    maps = [found.map(BY_DENSITY), found.map(BY_COUNT)]
    return min((m for m in maps if m), key=lambda m: m.cycles)


def rows(name: str, budgets: tuple[int, ...] = BUDGETS, **options: object) -> Iterator[Row]:
    with study_of(name) as study:
        for budget in budgets:
            found = best_of(study, budget, **options)
            slow, best = found.map(SLOW), found.map(BEST)
            assert slow is not None
            assert best is not None
            maps = (slow, better_greedy(found), best)
            linked = tuple(relinked_cycles(name, found, each) for each in maps)
            yield Row(name, budget, *(m.cycles for m in maps), linked, found.retimings)


def main(tell: Callable[[str], object] = print) -> None:
    for name in sys.argv[1:] or PROGRAMS:
        for row in rows(name):
            tell(row.markdown)


if __name__ == "__main__":
    main()
