"""The plotting library, loaded when a picture is wanted, and pictures written to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m7sim.errors import InputError

DOTS_PER_INCH = 150
_NO_DATE = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def open_pyplot() -> Any:
    """Return ``matplotlib.pyplot``, set to draw into files.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise InputError(
            "drawing needs matplotlib", do="Install it: pip install 'm7sim[figures]'"
        ) from error
    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "m7sim"  # names of its parts would be random
    from matplotlib import pyplot

    return pyplot


def save(pyplot: Any, figure: Any, path: Path) -> None:
    """Write a figure to ``.png``, ``.svg`` or ``.pdf`` and let go of it.

    Raises
    ------
    InputError
        If the file cannot be written or its kind is unknown.
    """
    save_all(pyplot, figure, [path])


def save_all(pyplot: Any, figure: Any, paths: Sequence[Path]) -> None:
    """Write a figure to several files and let go of it.

    Raises
    ------
    InputError
        If a file cannot be written or its kind is unknown.
    """
    path = None
    try:
        for path in paths:
            figure.savefig(path, dpi=DOTS_PER_INCH, metadata=_NO_DATE.get(path.suffix, {}))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the picture: {error}", where=str(path)) from error
    finally:
        pyplot.close(figure)
