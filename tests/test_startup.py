"""How long it takes until something happens, in seconds of the processor: others may use it too."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import m7sim
from m7sim import toolchain

PACKAGE = Path(m7sim.__file__).parent


def least_seconds(*arguments: str | Path, runs: int = 3) -> float:
    taken = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "m7sim", *map(str, arguments)],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (done.returncode, done.stderr) == (0, "")
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def test_help() -> None:
    assert least_seconds("--help") <= 0.3
    assert least_seconds("run", "--help") <= 0.3


@pytest.mark.toolchain
def test_warm_run_of_a_tiny_program(tmp_path: Path) -> None:
    source = tmp_path / "nothing.c"
    source.write_text("int main(void) { return 0; }\n")
    board = toolchain.firmware_dir() / "board"
    elf = toolchain.build(
        [board / "startup.c", board / "syscalls.c", source],
        include=[toolchain.firmware_dir() / "include"],
    )
    m7sim.load(elf).run()  # compiles what is not compiled yet
    assert least_seconds("run", elf) <= 1.5
