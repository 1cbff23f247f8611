"""Host files for semihosting: only below one folder, or none at all.

Each operation returns a result and an errno; nothing a firmware asks for raises.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, TypeVar

T = TypeVar("T")

# newlib's errno values are those of Linux for everything used here; Python's may differ elsewhere.
ENOENT, EIO, EBADF, EACCES, EINVAL, EMFILE = 2, 5, 9, 13, 22, 24

_MODES = ("rb", "rb", "r+b", "r+b", "wb", "wb", "w+b", "w+b", "ab", "ab", "a+b", "a+b")
_MOST_OPEN = 64

CONSOLE = ":tt"
FEATURES = ":semihosting-features"
# Arm semihosting specification, "feature bits": magic, then bit 0 SYS_EXIT_EXTENDED and bit 1
# separate standard error.
_FEATURE_BYTES = b"SHFB\x03"


class Console(Protocol):
    """Where the firmware's text goes to and comes from."""

    def write(self, data: bytes, error: bool = False) -> None: ...
    def read(self, size_bytes: int) -> bytes: ...


class HostError(Exception):
    """A refused or failed operation; ``number`` is the errno that the firmware sees."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


@dataclass
class _Handle:
    file: IO[bytes] | None  # None: the console
    error: bool = False  # of the console: standard error


@dataclass
class HostFiles:
    """Open files of one run.

    Parameters
    ----------
    console
        What ``:tt`` is connected to.
    root
        Folder that file names are below; None: no files.
    """

    console: Console
    root: Path | None = None
    _handles: dict[int, _Handle] = field(default_factory=dict)

    def open(self, name: str, mode: int) -> int:
        """Open a file (or ``:tt``) with a semihosting mode 0 … 11 and return its handle."""
        if not 0 <= mode < len(_MODES):
            raise HostError(EINVAL)
        if len(self._handles) >= _MOST_OPEN:
            raise HostError(EMFILE)
        if name == CONSOLE:
            return self._new(_Handle(None, error=mode >= 8))
        if name == FEATURES:
            if mode >= 2:
                raise HostError(EACCES)
            return self._new(_Handle(io.BytesIO(_FEATURE_BYTES)))
        path = self._path(name)
        file: IO[bytes] = _attempt(lambda: path.open(_MODES[mode]))
        return self._new(_Handle(file))

    def close(self, handle: int) -> int:
        file = self._handle(handle).file
        del self._handles[handle]
        if file is not None:
            _attempt(file.close)
        return 0

    def write(self, handle: int, data: bytes) -> int:
        """Write and return the number of bytes *not* written."""
        target = self._handle(handle)
        file = target.file
        if file is None:
            self.console.write(data, target.error)
            return 0
        return len(data) - int(_attempt(lambda: file.write(data)))

    def read(self, handle: int, size_bytes: int) -> bytes:
        file = self._handle(handle).file
        if file is None:
            return self.console.read(size_bytes)
        return bytes(_attempt(lambda: file.read(size_bytes)))

    def is_tty(self, handle: int) -> bool:
        return self._handle(handle).file is None

    def seek(self, handle: int, position: int) -> int:
        file = self._handle(handle).file
        if file is None:
            raise HostError(EINVAL)
        _attempt(lambda: file.seek(position))
        return 0

    def length(self, handle: int) -> int:
        file = self._handle(handle).file
        if file is None:
            raise HostError(EINVAL)
        position = _attempt(file.tell)
        size_bytes = _attempt(lambda: file.seek(0, os.SEEK_END))
        _attempt(lambda: file.seek(position))
        return size_bytes

    def remove(self, name: str) -> int:
        path = self._path(name)
        _attempt(path.unlink)
        return 0

    def rename(self, old: str, new: str) -> int:
        source, target = self._path(old), self._path(new)
        _attempt(lambda: source.rename(target))
        return 0

    def close_all(self) -> None:
        """Close what the firmware left open, so that nothing of it is lost."""
        for handle in list(self._handles):
            self.close(handle)

    def __del__(self) -> None:
        with contextlib.suppress(HostError):
            self.close_all()

    def _new(self, handle: _Handle) -> int:
        number = next(n for n in range(1, _MOST_OPEN + 2) if n not in self._handles)
        self._handles[number] = handle
        return number

    def _handle(self, number: int) -> _Handle:
        if number not in self._handles:
            raise HostError(EBADF)
        return self._handles[number]

    def _path(self, name: str) -> Path:
        """Return the path of a name below the root; links are followed before they are judged."""
        if self.root is None:
            raise HostError(EACCES)
        if not name or "\0" in name:
            raise HostError(ENOENT)
        given = Path(name.replace("\\", "/"))
        if given.is_absolute() or given.drive or ".." in given.parts:
            raise HostError(EACCES)
        root = self.root.resolve()
        path = (root / given).resolve()
        if not path.is_relative_to(root) or path == root:
            raise HostError(EACCES)
        return path


def _attempt(operation: Callable[[], T]) -> T:
    try:
        return operation()
    except OSError as error:
        raise HostError(error.errno or EIO) from error
    except ValueError as error:  # a name or position that the host cannot express
        raise HostError(EINVAL) from error
