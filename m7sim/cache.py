"""Where compiled things are kept: one directory, usable even when the home is read-only."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path


@cache
def cache_dir() -> Path:
    """Return a writable directory for compiled kernels and firmware.

    ``M7SIM_CACHE`` names it; else it is ``m7sim`` in the user's cache directory; a private
    temporary directory stands in when that cannot be written.
    """
    named = os.environ.get("M7SIM_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    for candidate in (
        Path(named) if named else None,
        Path(base) / "m7sim" if base else None,
        Path("~/.cache/m7sim").expanduser(),
        Path(tempfile.gettempdir()) / f"m7sim-{os.getuid()}",
    ):
        if candidate is None:
            continue
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(candidate, os.W_OK | os.X_OK):
            return candidate
    return Path(tempfile.mkdtemp(prefix="m7sim-"))
