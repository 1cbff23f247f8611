from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from m7sim.characterize import engine, grid, library, plan, sweep, table
from m7sim.characterize.placement import Placement
from m7sim.characterize.plan import Planned, Request

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FAULTY = HERE / "faulty" / "faulty.toml"
EXAMPLE = ROOT / "firmware" / "examples" / "direct" / "direct.toml"

# Long enough to be killed in the middle, short enough to be run several times.
LONG_GRID = """\
schema = 1
[[sweep]]
op = "conv"
size = [6, 8]
in_ch = { from = 4, to = 32, step = 4 }
out_ch = [8, 16]
variants = ["naive", "basic"]
[[sweep]]
op = "fc"
in_len = { from = 16, to = 128, step = 16 }
out_len = 10
"""


def request_for(
    grid_text: str,
    folder: Path,
    *,
    kernels: Sequence[str | Path] = ("ours",),
    placements: Sequence[str] = ("flash+sram",),
    cflags: Sequence[str] = ("",),
    variants: tuple[str, ...] = (),
    boards: Sequence[str] = ("stm32f746",),
    **more: object,
) -> Request:
    from m7sim.board import Board
    from m7sim.core import Core

    file = folder / "grid.toml"
    file.write_text(grid_text, encoding="utf-8")
    return Request(
        shapes=grid.points(grid.load(file), variants=variants),
        grid="grid.toml",
        libraries=[library.find(str(name)) for name in kernels],
        boards=[Board.load(name) for name in boards],
        core=Core.load(),
        placements=[Placement.parse(name) for name in placements],
        cflags=[tuple(flags.split()) for flags in cflags],
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def sweeper(tmp_path: Path) -> Callable[..., sweep.Outcome]:
    """Plan and run a sweep here, into ``out.csv`` unless told otherwise."""

    def run(grid_text: str, *, out: str = "out.csv", **options: object) -> sweep.Outcome:
        replace = bool(options.pop("replace", False))
        where = options.pop("engine", engine.inline())
        request = request_for(grid_text, tmp_path, **options)  # type: ignore[arg-type]
        rows: list[Planned] = plan.plan(request)
        assert isinstance(where, engine.Engine)
        return sweep.run(rows, request, table.out_path(tmp_path / out), where, replace=replace)

    return run


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "m7sim", "characterize", *map(str, words)]


def start(*words: str | Path, folder: Path) -> subprocess.Popen[str]:
    """Start a sweep as a person would."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)])}
    return subprocess.Popen(
        command(*words),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
