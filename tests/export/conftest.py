from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim import session, toolchain


@pytest.fixture
def firmware_of(tmp_path: Path) -> Callable[..., session.Firmware]:
    """Write a source into the folder of the test, compile it with start-up code, and load it."""

    def make(text: str, *flags: str, name: str = "prog.c", **options: object) -> session.Firmware:
        source = tmp_path / name
        source.write_text(text)
        board = toolchain.firmware_dir() / "board"
        elf = toolchain.build(
            [board / "startup.c", board / "syscalls.c", source],
            flags=flags,
            include=[toolchain.firmware_dir() / "include"],
        )
        return session.load(elf, **options)

    return make
