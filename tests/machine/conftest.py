"""Builds small programs with the cross compiler, once per text."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim.board import Board
from m7sim.elf import Image
from m7sim.machine import Machine
from m7sim.toolchain import find_compiler, firmware_dir

FLAGS = ["-mcpu=cortex-m7", "-mthumb", "-O2", "-g3", "-ffunction-sections", "-fdata-sections",
         "-nostartfiles", "-Wl,--gc-sections", "--specs=nosys.specs"]  # fmt: skip
HARD = ["-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"]

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("programs")

    def compile_text(
        text: str, *flags: str, script: str = "stm32f746", fpu: list[str] = HARD, suffix: str = "c"
    ) -> Path:
        board = firmware_dir() / "board"
        key = hashlib.sha256(repr((text, flags, script, fpu)).encode()).hexdigest()[:16]
        source, elf = folder / f"{key}.{suffix}", folder / f"{key}.elf"
        if not elf.exists():
            source.write_text(text)
            command = [
                find_compiler(), *FLAGS, *fpu, *flags, f"-I{firmware_dir() / 'include'}",
                f"-T{board / script}.ld", str(board / "startup.c"), str(board / "syscalls.c"),
                str(source), "-lm", "-o", str(elf),
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return elf

    return compile_text


@pytest.fixture(scope="session")
def board() -> Board:
    return Board.load("stm32f746")


@pytest.fixture
def start(build: Build, board: Board) -> Callable[..., Machine]:
    """Compile a text and put it on a board."""

    def make(text: str, *flags: str, fpu: list[str] = HARD, **options: object) -> Machine:
        image = Image.load(build(text, *flags, fpu=fpu))
        return Machine(image, board, **options)  # type: ignore[arg-type]

    return make
