"""The plotting library, loaded when a picture is wanted, and pictures written to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from m7sim.errors import InputError

DOTS_PER_INCH = 150


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
    from matplotlib import pyplot

    return pyplot


def save(pyplot: Any, figure: Any, path: Path) -> None:
    """Write a figure to ``.png``, ``.svg`` or ``.pdf`` and let go of it.

    Raises
    ------
    InputError
        If the file cannot be written or its kind is unknown.
    """
    try:
        figure.savefig(path, dpi=DOTS_PER_INCH)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the picture: {error}", where=str(path)) from error
    finally:
        pyplot.close(figure)
