"""The journal of a sweep: one JSON line for each finished measurement, safe against a kill.

A line counts once it ends with a line feed; what a kill left half-written is cut off when the
journal is opened again. Lines are in the order of finishing, which no result depends on.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from m7sim.errors import InputError

FORMAT = "m7sim sweep journal"
VERSION = 1


class Journal:
    """Append-only store of measurements by content hash.

    Parameters
    ----------
    path
        The file; made if it is not there.
    sweep
        What is measured, for people; a journal of something else is left alone.
    replace
        Take over a journal of something else: rows that are wanted stay, the others go.

    Raises
    ------
    InputError
        If the file is something else, cannot be written, or another process is writing it.
    """

    def __init__(self, path: Path, sweep: str = "", *, replace: bool = False) -> None:
        self.path, self._sweep, self._replace = path, sweep, replace
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise InputError(
                f"cannot keep results here: {error.strerror}", where=str(path)
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise InputError(
                "another sweep is writing this table", where=str(path), do="Choose another --out"
            ) from error
        try:
            self.finished = dict(self._read())
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, measurements: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Write measurements down; they are on the disk when this returns."""
        new = [(key, dict(row)) for key, row in measurements if self.finished.get(key) != row]
        if not new:
            return
        lines = [json.dumps([key, row], separators=(",", ":"), allow_nan=False) for key, row in new]
        self._append("".join(f"{line}\n" for line in lines).encode())
        self.finished.update(new)

    def close(self) -> None:
        """Release the file; it stays."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file: its rows are in the table now."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        self._file.seek(0)
        head = self._file.readline()
        if not head.endswith(b"\n"):  # new, or killed while writing its first line
            self._file.truncate(0)
            first = {"format": FORMAT, "version": VERSION, "sweep": self._sweep}
            self._append(json.dumps(first).encode() + b"\n")
            return
        first = _parse(head)
        kind = isinstance(first, dict) and (first.get("format"), first.get("version"))
        if kind != (FORMAT, VERSION):
            raise InputError(
                "not a journal of this version of m7sim",
                where=str(self.path),
                do="Choose another --out, or delete it",
            )
        if first.get("sweep") != self._sweep and not self._replace:
            raise InputError(
                f"holds what is finished of another sweep, {first.get('sweep')!r}",
                where=str(self.path),
                do="Finish that one, choose another --out, or give --replace",
            )
        good = self._file.tell()
        for line in self._file:
            entry = _parse(line) if line.endswith(b"\n") else None
            if not (
                isinstance(entry, list)
                and len(entry) == 2
                and isinstance(entry[0], str)
                and isinstance(entry[1], dict)
            ):
                break  # cut short by a kill; what follows cannot be trusted either
            good += len(line)
            yield entry[0], entry[1]
        self._file.truncate(good)


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
