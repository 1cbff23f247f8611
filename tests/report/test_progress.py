"""What a terminal shows while something takes long, and that nothing of it is left behind."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import m7sim
from m7sim import toolchain
from m7sim.report import progress

PACKAGE = Path(m7sim.__file__).parent
HERE = Path(__file__).parent


# A pipe that says it is a terminal: some build machines have no pseudo-terminals.
EAGER = """
import sys
for stream in (sys.stderr, sys.stdout)[: int(sys.argv.pop(1))]:
    stream.isatty = stream.buffer.isatty = lambda: True
from m7sim import cli
from m7sim.report import progress
progress.QUIET_S, progress.REFRESH_S = 0.1, 0.05
sys.exit(cli.main())
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


def in_terminal(*arguments: str | Path, stdout_too: bool = True) -> tuple[str, str]:
    """Run m7sim with stderr, perhaps stdout as well, on a terminal; return what each showed."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", EAGER, "2" if stdout_too else "1", *map(str, arguments)],
        stdin=subprocess.DEVNULL, stderr=theirs, stdout=theirs if stdout_too else subprocess.PIPE,
        env={
            **os.environ, "PYTHONPATH": str(PACKAGE.parent), "TERM": "xterm", "COLUMNS": "100",
            "LINES": "40",
        },
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while data := os.read(ours, 1 << 16):
        shown += data
    os.close(ours)
    return shown.decode(), (process.communicate(timeout=60)[0] or b"").decode()


def screen(stream: str) -> list[str]:
    """Return the lines that are left on a terminal; knows what progress bars use."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", stream):
        if token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, 0
        elif match := re.fullmatch(r"\x1b\[(\d*)A", token):
            row -= int(match[1] or 1)
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token[0] != "\x1b":
            lines[row] = (
                lines[row].ljust(column)[:column] + token + lines[row][column + len(token) :]
            )
            column += len(token)
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]


@pytest.fixture(scope="module")
def elf() -> Path:
    return toolchain.build(
        [HERE.parent / "data" / "session.c"],
        linker_script=HERE.parent / "data" / "session.ld",
        flags=("-O2", "-g3", "-ffreestanding", "-fno-optimize-sibling-calls"),
        link_flags=("-nostdlib",),
    )


@pytest.mark.toolchain
def test_a_long_run_shows_its_rate_and_the_time_left(elf: Path) -> None:
    limit = ("--max-instructions", "100000000")
    shown, _ = in_terminal("run", elf, "--entry", "announced", *limit)
    assert re.search(r"\d+ M instructions, \d+\.\d M/s", shown)
    assert re.search(r"\d+ %, \d:\d\d left", shown)
    left = screen(shown)
    assert "ready" in left  # the firmware's output has a line of its own
    assert not any("M/s" in line for line in left)
    assert any("limit of 100 000 000 instructions" in line for line in left)


@pytest.mark.toolchain
def test_progress_is_not_in_the_document(elf: Path) -> None:
    limit = ("--max-instructions", "100000000")
    shown, out = in_terminal("run", elf, "--entry", "announced", *limit, stdout_too=False)
    assert re.search(r"\d+ M instructions", shown)
    assert "\x1b" not in out
    assert "ready\n" in out


def test_without_a_limit_no_time_left(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Running() as running:
        for i in range(20):
            clock(0.25)
            running.tick(10_000_000 * i)
    assert "M instructions" in terminal.getvalue()
    assert "left" not in terminal.getvalue()
    assert "%" not in terminal.getvalue()


def test_a_short_run_shows_nothing(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Running(1000) as running:
        clock(0.5)
        running.tick(10)
    assert terminal.getvalue() == ""


def test_nothing_without_a_terminal(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.Running(1000) as running, progress.bar("x") as step:
        clock(5)
        running.tick(10)
        step(1, 2, "y")
        stream = io.BytesIO()
        assert running.below(stream) is stream
    assert capsys.readouterr() == ("", "")


def test_an_unfinished_line_is_left_alone(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bytes(io.BytesIO):
        def isatty(self) -> bool:
            return True

    terminal, console = Terminal(), Bytes()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Running() as running:
        out = running.below(console)
        out.write(b"half a ")
        clock(3)
        running.tick(1_000_000)
        assert terminal.getvalue() == ""
        out.write(b"line\n")
        clock(3)
        running.tick(2_000_000)
        assert "M instructions" in terminal.getvalue()
        before = len(terminal.getvalue())
        out.write(b"more\n")
        assert "\x1b[2K" in terminal.getvalue()[before:]  # out of the way
    assert console.getvalue() == b"half a line\nmore\n"


def test_compiling_is_told_once_after_a_second(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    told = progress.Compiling()
    told("one", 0, 3)
    clock(0.5)
    told("two", 1, 3)
    told("", 2, 3)
    assert capsys.readouterr().err == ""
    for name in ("three", "four", "five"):
        clock(1)
        told(name, 2, 5)
    err = capsys.readouterr().err
    assert "compiling kernels" in err
    assert err.count("\n") == 1


def test_compiling_within_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """One display for both; rich allows no second one."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    told = progress.Compiling()
    with progress.bar("running the network") as step:
        step(0, 3, "conv")
        told("walk", 1, 30)
        told("", 2, 30)
        step(1, 3, "pool")
    assert "compiling kernels, once: walk" in terminal.getvalue()
    assert "running the network: conv" in terminal.getvalue()
    told("again", 2, 30)
    told("", 3, 30)
    assert progress._display._progress is None
