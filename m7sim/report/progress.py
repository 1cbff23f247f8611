"""Progress of long operations, on stderr and only when that is a terminal.

There is one display, whatever runs in it: kernels may have to be compiled while a network runs.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from m7sim.units import format_count

QUIET_S = 1.0  # what takes less shows nothing
FIRST_ESTIMATE_PERCENT = 10  # before, the time left would be a guess
REFRESH_S = 0.2  # between two updates of a line that the firmware's output interrupts


class _Bar(BarColumn):
    """A bar for tasks that have an end."""

    def render(self, task: Task) -> Text:  # type: ignore[override]
        return Text("") if task.total is None else super().render(task)  # type: ignore[return-value]


class _Left(ProgressColumn):
    """How much is done, and the time left, for tasks that have an end."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        done = f"{task.percentage:.0f} %"
        if not task.fields.get("plain"):
            done = f"{task.completed:.0f}/{task.total:.0f}"
            if task.speed:
                done += f", {task.speed:.1f}/s"
        left = task.time_remaining
        if left is None or task.percentage < FIRST_ESTIMATE_PERCENT:
            return Text(done)
        minutes, seconds = divmod(round(left), 60)
        return Text(f"{done}, {minutes}:{seconds:02d} left")


class _Display:
    """What is shown at the bottom of the terminal, while there is something to show."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._progress: Progress | None = None
        self._tasks: set[TaskID] = set()
        self._hidden = False

    def add(self, text: str, total: float | None = None, plain: bool = False) -> TaskID:
        with self._lock:
            if self._progress is None:
                columns = (TextColumn("{task.description}", markup=False), _Bar(), _Left())
                console = Console(stderr=True)
                self._progress = Progress(*columns, console=console, transient=True)
                self._hidden = False
                self._progress.start()
            task = self._progress.add_task(text, total=total, plain=plain)
            self._tasks.add(task)
            return task

    def update(
        self, task: TaskID, text: str, completed: float = 0, total: float | None = None
    ) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.update(task, description=text, completed=completed, total=total)

    def remove(self, task: TaskID) -> None:
        with self._lock:
            if self._progress is None:
                return
            self._progress.remove_task(task)
            self._tasks.discard(task)
            if not self._tasks:
                self._progress.stop()
                self._progress = None

    def hide(self) -> None:
        """Clear the screen of it, for other output."""
        with self._lock:
            if self._progress is not None and not self._hidden:
                self._progress.stop()
                self._hidden = True

    def show(self) -> None:
        with self._lock:
            if self._progress is not None and self._hidden:
                self._progress.start()
                self._hidden = False


_display = _Display()


@contextlib.contextmanager
def bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar; the function given is told the step from 0, how many there are, and its name."""
    if not sys.stderr.isatty():
        yield lambda step, steps, name: None
        return
    task = _display.add(title)
    try:
        yield lambda step, steps, name: _display.update(task, f"{title}: {name}", step, steps)
    finally:
        _display.remove(task)


class Compiling:
    """Shows that kernels are being compiled; for `m7sim.cache.on_compile`.

    On a terminal at once; elsewhere one line after a second, for whoever waits or reads the log.
    """

    def __init__(self) -> None:
        self._task: TaskID | None = None
        self._begin: float | None = None
        self._told = False

    def __call__(self, name: str, done: int, known: int) -> None:
        """Take note: ``name`` is being compiled, or nothing any more when it is empty."""
        if sys.stderr.isatty():
            self._show(name, done, known)
        elif name and not self._told:
            self._begin = self._begin or time.monotonic()
            if time.monotonic() - self._begin > QUIET_S:
                self._told = True
                print("compiling kernels, once per version of m7sim …", file=sys.stderr, flush=True)

    def _show(self, name: str, done: int, known: int) -> None:
        if not name:
            if self._task is not None:
                _display.remove(self._task)
            self._task = None
            return
        text = f"compiling kernels, once: {name.strip('_').replace('_', ' ')}"
        if self._task is None:
            self._task = _display.add(text, known)
        _display.update(self._task, text, done, known)


class Running:
    """Shows how far a run has got, below the firmware's output.

    Parameters
    ----------
    max_instructions
        Limit of the run; without one there is no end to tell the time to.
    """

    def __init__(self, max_instructions: int | None = None) -> None:
        self._limit = max_instructions
        self._on = sys.stderr.isatty()
        self._lock = threading.RLock()
        self._task: TaskID | None = None
        self._begin = self._last = time.monotonic()
        self._counted_from = 0
        self._in_line = False  # the firmware has begun a line of output

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            if self._task is not None:
                _display.remove(self._task)
            self._task, self._on = None, False

    def tick(self, instructions: int) -> None:
        """Tell how many instructions have been executed."""
        now = time.monotonic()
        if not self._on or now - self._last < REFRESH_S:
            return
        with self._lock:
            self._last = now
            if now - self._begin < QUIET_S or self._in_line:
                return
            rate = instructions / (now - self._begin)
            text = f"{format_count(instructions // 1_000_000)} M instructions, {rate / 1e6:.1f} M/s"
            if self._task is None:
                self._task = _display.add(text, self._limit, plain=True)
            _display.show()
            _display.update(self._task, text, instructions, self._limit)

    def below(self, stream: IO[bytes]) -> IO[bytes]:
        """Return a stream for the firmware's output that keeps clear of the progress shown."""
        if not self._on or not stream.isatty():
            return stream
        return _Output(stream, self)  # type: ignore[return-value]

    def make_way(self, data: bytes) -> None:
        """Take the progress away before output is written."""
        with self._lock:
            self._last = time.monotonic()
            self._in_line = not data.endswith(b"\n")
            _display.hide()


class _Output:
    def __init__(self, stream: IO[bytes], running: Running) -> None:
        self._stream, self._running = stream, running

    def write(self, data: bytes) -> int:
        if data:
            self._running.make_way(data)
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()
