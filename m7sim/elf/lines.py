"""The line table: one sorted array for the whole image."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Series
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from m7sim.elf.debug import DebugInfo, Unit
from m7sim.elf.lineprogram import Sequence

NOWHERE = -1  # file index of code without a line
_LAST = 0xFFFF_FFFF  # address


@dataclass(frozen=True, slots=True)
class Line:
    """A line of source; ``file`` is absolute if the compiler said where it ran."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class LineTable:
    """Address → file and line by bisection.

    Parameters
    ----------
    debug
        The image's DWARF.
    code
        [start, end) spans that exist in the image: lines of functions which the linker threw away
        stand at addresses outside of them.
    fit
        Says how well a piece of code fits what the symbols say about its address (0: not at all).
        Asked about pieces at 0 only, where lines of functions that the linker threw away end up,
        and maybe those of code in ITCM: at most one piece there is real.
    """

    def __init__(
        self,
        debug: DebugInfo,
        code: Series[tuple[int, int]],
        fit: Callable[[Unit, Sequence], float],
    ) -> None:
        spans = sorted(code)
        starts = np.array([low for low, _ in spans], np.int64)
        pieces: dict[int, list[tuple[Unit, Sequence]]] = {}
        for unit in debug.units:
            if unit.ranges and not any(_inside(low, spans, starts) for low, _ in unit.ranges):
                continue  # spares parsing
            for piece in unit.sequences():
                if piece.start < piece.end and _inside(piece.start, spans, starts):
                    pieces.setdefault(piece.start, []).append((unit, piece))
        self.files: list[str] = []
        self._index: dict[str, int] = {}
        rows: list[tuple[int, int, int]] = []
        for start in sorted(pieces):
            for unit, piece in _real(pieces[start], fit) if start == 0 else pieces[start]:
                self._append(rows, unit, piece)
        table = np.array(rows, np.int64).reshape(-1, 3)
        # Pieces should not overlap, but if they do: stable, so that the later one wins.
        table = table[np.argsort(table[:, 0], kind="stable")]
        self._address, self._file, self._line = (np.ascontiguousarray(c) for c in table.T)

    def _append(self, rows: list[tuple[int, int, int]], unit: Unit, piece: Sequence) -> None:
        numbers: dict[int, int] = {}
        for address, file, line in piece.rows:
            index = numbers.get(file)
            if index is None:
                path = unit.files[file] if 0 <= file < len(unit.files) else ""
                index = self._index.setdefault(path, len(self.files)) if path else NOWHERE
                if index == len(self.files):
                    self.files.append(path)
                numbers[file] = index
            if address >= piece.end:
                continue  # stands for no code, least of all for what follows
            known = 0 < line < 1 << 31  # line 0 is the compiler's "no line"
            rows.append((address & _LAST, index if known else NOWHERE, line if known else 0))
        rows.append((piece.end & _LAST, NOWHERE, 0))

    def at(self, address: int) -> Line | None:
        file, line = self.indices(np.array([address], np.int64))
        return None if file[0] == NOWHERE else Line(self.files[file[0]], int(line[0]))

    def indices(
        self, addresses: NDArray[np.integer]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return for each address the index into ``files`` (-1: none) and the line (0: none)."""
        wanted = np.asarray(addresses, np.int64)
        if not len(self._address):
            return np.full(wanted.shape, NOWHERE, np.int32), np.zeros(wanted.shape, np.int32)
        place = np.searchsorted(self._address, wanted, side="right") - 1
        file = np.where(place < 0, NOWHERE, self._file[place]).astype(np.int32)
        return file, np.where(file < 0, 0, self._line[place]).astype(np.int32)

    def places(self) -> list[tuple[int, int, int, bool]]:
        """Return (address, index into ``files``, line, has code) of every row with a line.

        A row without code says where a statement begins whose own code went elsewhere or away.
        """
        ends = np.append(self._address[1:], self._address[-1:])
        real = self._file != NOWHERE
        columns = (self._address, self._file, self._line, self._address < ends)
        return list(zip(*(column[real].tolist() for column in columns), strict=True))


def _inside(address: int, spans: Series[tuple[int, int]], starts: NDArray[np.int64]) -> bool:
    place = int(np.searchsorted(starts, address, side="right")) - 1
    return place >= 0 and address < spans[place][1]


def _real(
    rivals: list[tuple[Unit, Sequence]], fit: Callable[[Unit, Sequence], float]
) -> list[tuple[Unit, Sequence]]:
    best = max(rivals, key=lambda rival: fit(*rival))
    return [best] if fit(*best) > 0 else []


class SourceText:
    """Lines of source files on disk, read once."""

    def __init__(self) -> None:
        self._files: dict[str, list[str] | None] = {}

    def line(self, file: str, line: int) -> str | None:
        if file not in self._files:
            try:
                text = Path(file).read_text(encoding="utf-8", errors="replace")
                self._files[file] = text.split("\n")
            except (OSError, ValueError):
                self._files[file] = None
        lines = self._files[file]
        if lines is None or not 1 <= line <= len(lines):
            return None
        return lines[line - 1].rstrip()
