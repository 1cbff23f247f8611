"""Write traces/*.npz again: ``.venv/bin/python tests/trace/make_golden.py``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

from m7sim.trace.battery import CODE_ADDRESS, Program, programs
from m7sim.trace.rig import run_captured
from m7sim.trace.writer import save_trace

NAMES = ("derived", "pointer_chase", "predicated_both", "overwritten", "page_crossing")
TRACES = Path(__file__).parents[2] / "traces"


def golden(program: Program, path: Path) -> None:
    captured = run_captured(program.code, capacity_blocks=8)
    image = SimpleNamespace(
        path=f"{program.name}.s",
        sha256=hashlib.sha256(program.code).hexdigest(),
        entry=CODE_ADDRESS | 1,
    )
    run = {"made_by": "tests/trace/make_golden.py"}
    save_trace(path, captured.capture, image, captured.chunks, run)


if __name__ == "__main__":
    for program in programs():
        if program.name in NAMES:
            golden(program, TRACES / f"{program.name}.npz")
