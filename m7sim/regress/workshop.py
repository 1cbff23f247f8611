"""What the tests of a session share, so that each table and each ELF is read once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image


class Places(Protocol):
    """What is needed of a placement; see `m7sim.characterize.placement.Placement`."""

    @property
    def name(self) -> str: ...

    def regions(self, board: Board, roles: dict[str, str]) -> dict[str, str]: ...

    def linker_script(self, board: Board) -> Path: ...


class Workshop:
    """Boards, cores and images that were loaded.

    Parameters
    ----------
    placement_of
        Reads a placement such as ``flash+sram,code=itcm``.
    """

    def __init__(self, placement_of: Callable[[str], Places]) -> None:
        self.placement_of = placement_of
        self._boards: dict[str, Board] = {}
        self._cores: dict[str, Core] = {}
        self._images: dict[tuple[Path, int], Image] = {}

    def board(self, name: str, clock_hz: int | None) -> Board:
        """Return a board by name or file; see `Board.load` for the errors."""
        if name not in self._boards:
            self._boards[name] = Board.load(name)
        return self._boards[name].override(clock_hz=clock_hz)

    def core(self, name: str) -> Core:
        """Return a core by name or file; see `Core.load` for the errors."""
        if name not in self._cores:
            self._cores[name] = Core.load(name)
        return self._cores[name]

    def image(self, elf: Path) -> Image:
        """Return an ELF, read again when the file has changed; see `Image.load` for the errors."""
        key = (elf, elf.stat().st_mtime_ns if elf.exists() else 0)
        if key not in self._images:
            self._images[key] = Image.load(elf)
        return self._images[key]
