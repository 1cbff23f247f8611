"""Progress of long operations, on stderr and only when that is a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar; the function given is told the step from 0, how many there are, and its name."""
    if not sys.stderr.isatty():
        yield lambda step, steps, name: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)

        def show(step: int, steps: int, name: str) -> None:
            progress.update(task, completed=step, total=steps, description=f"{title}: {name}")

        yield show
