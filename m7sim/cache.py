"""Where compiled things are kept: one directory, usable even when the home is read-only."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

KEPT_VERSIONS = 8  # directories of former versions that stay
IN_USE_S = 600  # a directory used within this time is never removed

# Told by `m7sim.jit` when a kernel has to be compiled: its name, how many of those known are done,
# and how many there are; an empty name when nothing is being compiled any more.
on_compile: Callable[[str, int, int], None] | None = None


@cache
def cache_dir() -> Path:
    """Return a writable directory for compiled kernels and firmware.

    ``M7SIM_CACHE`` names it; else it is ``m7sim`` in the user's cache directory; a directory among
    the temporary ones stands in when that cannot be written, which a note on stderr tells.

    Raises
    ------
    OSError
        If nothing can be written at all.
    """
    named = os.environ.get("M7SIM_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    candidates = [Path(named)] if named else []
    candidates += [Path(base) / "m7sim"] if base else []
    with contextlib.suppress(RuntimeError):  # no home
        candidates.append(Path("~/.cache/m7sim").expanduser())
    for candidate in candidates:
        if _usable(candidate):
            if named and candidate != candidates[0]:
                _note(f"cannot write in M7SIM_CACHE={named}", candidate)
            return candidate
    shared = Path(tempfile.gettempdir()) / f"m7sim-{os.getuid()}"
    if not (_usable(shared) and _private(shared)):
        shared = Path(tempfile.mkdtemp(prefix="m7sim-"))
        atexit.register(shutil.rmtree, shared, ignore_errors=True)
    _note(f"cannot write in {' or '.join(map(str, candidates))}", shared)
    return shared


def version_dir(group: str, name: str) -> Path:
    """Return the directory of one version of what a group of directories in the cache is for.

    When it is new, those not used for longest are removed, but for ``KEPT_VERSIONS``.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = cache_dir() / group / name
    fresh = not path.is_dir()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write in {path}")
    os.utime(path)  # in use
    if fresh:
        _remove_old(path)
    return path


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same lock waiting; where that is not possible, not."""
    handle = None
    try:
        import fcntl

        handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except (ImportError, OSError):
        pass
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _private(folder: Path) -> bool:
    """Whether nobody else can put something there: what is loaded from it is executed."""
    about = folder.lstat()
    mine = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
    return mine and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _note(what: str, instead: Path) -> None:
    print(f"m7sim keeps what it compiles in {instead}: {what}", file=sys.stderr)


def _remove_old(path: Path) -> None:
    """Remove siblings beyond a handful; another process may be doing the same."""
    with contextlib.suppress(OSError):
        siblings = [each for each in path.parent.iterdir() if each != path and each.is_dir()]
        used = {each: _last_use(each) for each in siblings}
        old = sorted(siblings, key=lambda each: used[each], reverse=True)[KEPT_VERSIONS:]
        for each in old:
            if time.time() - used[each] > IN_USE_S:
                shutil.rmtree(each, ignore_errors=True)


def _last_use(folder: Path) -> float:
    """Return when a directory was used, or something was put into it or one below it."""
    last = 0.0
    with contextlib.suppress(OSError):
        last = folder.stat().st_mtime
        last = max([last, *(each.stat().st_mtime for each in folder.iterdir())])
    return last
