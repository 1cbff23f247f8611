"""How text reports are laid out: width, colours, grids and tables."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_COLUMNS = 100
MIN_WIDTH_COLUMNS = 80


@dataclass(frozen=True)
class Style:
    """How a report looks.

    ``width`` is in columns, kept between 80 and 100; ``top`` is the longest list of functions,
    lines or table rows.
    """

    width: int = WIDTH_COLUMNS
    color: bool = False
    top: int = 12

    @classmethod
    def of_stream(cls, stream: TextIO | None, *, top: int = 12) -> Style:
        """Return colours and the window's width for a terminal, else neither."""
        if stream is None or not stream.isatty():
            return cls(top=top)
        columns = shutil.get_terminal_size((WIDTH_COLUMNS, 24)).columns
        return cls(columns, "NO_COLOR" not in os.environ, top)


PLAIN = Style()


def open_console(style: Style) -> Console:
    """Return a console that keeps what is printed on it."""
    return Console(
        file=io.StringIO(),
        width=max(MIN_WIDTH_COLUMNS, min(style.width, WIDTH_COLUMNS)),
        force_terminal=style.color,
        color_system="standard" if style.color else None,
        highlight=False,
        legacy_windows=False,
    )


def text_of(console: Console) -> str:
    """Return what was printed, without trailing blanks."""
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))


def open_grid() -> Table:
    """Return a table of names and values without a header."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True, min_width=12)
    table.add_column(overflow="fold")
    return table


def print_table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print rows under a title.

    A column named ``>name`` is flush right. The one named ``*name`` takes the width that the others
    leave and is cut there, so that no number ever is.
    """
    table = Table(
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
        pad_edge=False,
        expand=False,
    )
    cells = list(zip(columns, *rows, strict=True))
    widths = [max(map(len, (name.strip(">*"), *column))) for name, *column in cells]
    used = sum(0 if name.startswith("*") else w for name, w in zip(columns, widths, strict=True))
    rest = console.width - used - 2 * (len(columns) - 1)
    for name, width in zip(columns, widths, strict=True):
        table.add_column(
            name.strip(">*"),
            justify="right" if name.startswith(">") else "left",
            width=min(width, max(rest, 8)) if name.startswith("*") else width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*map(Text, row), style="bold" if row[0] == "total" else None)
    console.print(Text(title, style="bold"))
    console.print(table)
    console.print()
