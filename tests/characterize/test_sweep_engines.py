"""A sweep that is killed, or loses a worker, makes the table that an undisturbed one makes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from m7sim.characterize import engine
from m7sim.characterize.engine import WorkerDied
from m7sim.errors import InputError

from .conftest import HERE, LONG_GRID, command, start

TABLE = ("out.parquet", "out.parquet.json")


def lines_of(journal: Path) -> int:
    return max(journal.read_bytes().count(b"\n") - 1, 0) if journal.exists() else 0


def wait_for_rows(journal: Path, process: subprocess.Popen[str], rows: int) -> int:
    """Wait until so many rows are finished; return how many are."""
    limit = time.monotonic() + 60
    while lines_of(journal) < rows:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.002)
    return lines_of(journal)


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return json.loads(out)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the grid and the table of a run from start to end."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "grid.toml").write_text(LONG_GRID)
    done = finish(start("--shapes", "grid.toml", "--out", "out.parquet", "--json", folder=folder))
    assert done["measured"] == 72
    assert done["header"]["statuses"] == {"ok": 72}  # type: ignore[index]
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grid.toml").write_text(LONG_GRID)
    return tmp_path


def same_table(one: Path, other: Path) -> None:
    for name in TABLE:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not list(other.glob("*.journal"))


@pytest.mark.toolchain
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_and_resumed(undisturbed: Path, folder: Path, jobs: int) -> None:
    words = ("--shapes", "grid.toml", "--out", "out.parquet", "--json", "--jobs", str(jobs))
    journal = folder / "out.parquet.journal"
    process = start(*words, folder=folder)
    wait_for_rows(journal, process, 10)
    process.kill()
    process.communicate()
    finished = lines_of(journal)
    assert 10 <= finished < 72
    assert not (folder / "out.parquet").exists()
    with journal.open("ab") as file:
        file.write(b'["half a li')  # as a kill while writing leaves it
    done = finish(start(*words, folder=folder))
    assert (done["known"], done["measured"]) == (finished, 72 - finished)
    same_table(undisturbed, folder)
    if jobs > 1:
        return
    again = finish(start(*words, folder=folder))
    assert (again["known"], again["measured"]) == (72, 0)
    same_table(undisturbed, folder)


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and workers, each a process of its own, without a nanny to revive it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}
    scheduler_file = folder / "scheduler.json"
    processes: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> None:
        with (folder / f"dask{len(processes)}.log").open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", *words, "--scheduler-file", str(scheduler_file)],
                    cwd=folder,
                    env=environment,
                    stdout=log,
                    stderr=log,
                )
            )

    try:
        begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        for _ in range(workers):
            begin("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        limit = time.monotonic() + 60
        while not scheduler_file.exists() or not all(
            "Registered to" in (folder / f"dask{n}.log").read_text() for n in range(1, workers + 1)
        ):
            assert time.monotonic() < limit, (folder / "dask0.log").read_text()
            time.sleep(0.05)
        yield json.loads(scheduler_file.read_text())["address"], processes[1:]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


@pytest.mark.toolchain
def test_dask_with_a_worker_killed(undisturbed: Path, folder: Path) -> None:
    with cluster(folder, 2) as (address, workers):
        process = start(
            "--shapes", "grid.toml", "--out", "out.parquet", "--json", "--dask", address,
            folder=folder,
        )  # fmt: skip
        finished = wait_for_rows(folder / "out.parquet.journal", process, 1)
        workers[0].send_signal(signal.SIGKILL)
        assert finished < 72
        done = finish(process)
    assert done["measured"] == 72
    same_table(undisturbed, folder)


def test_no_scheduler_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_S", 1)
    with pytest.raises(InputError, match=r"no Dask scheduler answers.*dask scheduler"):
        engine.dask("tcp://127.0.0.1:1")


@pytest.mark.parametrize("poison", [0, 1])
def test_a_piece_that_kills_its_worker_is_found(
    monkeypatch: pytest.MonkeyPatch, poison: int
) -> None:
    """The others, of its piece and of the workers that died with it, come back all the same."""
    monkeypatch.syspath_prepend(str(HERE))
    import deadly

    pieces = [[1, 2], [3], [4, 5], [6]]
    if poison:
        pieces.insert(1, [12, 13, 14])
    found: dict[int, object] = {}
    for piece, result in engine.processes(2).run(deadly.double, pieces):
        if isinstance(result, WorkerDied):
            assert list(piece) == [13]
            found[13] = "died"
        else:
            found |= zip(piece, result, strict=True)
    expected: dict[int, object] = {n: 2 * n for piece in pieces for n in piece if n != 13}
    assert found == (expected | {13: "died"} if poison else expected)


def test_an_error_of_a_worker_is_raised() -> None:
    with pytest.raises(TypeError):
        list(engine.inline().run(sum, [["a"]]))  # type: ignore[arg-type]


@pytest.mark.toolchain
def test_interrupted(folder: Path) -> None:
    process = start("--shapes", "grid.toml", "--out", "out.csv", folder=folder)
    wait_for_rows(folder / "out.csv.journal", process, 1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in error
    assert "Traceback" not in error


def test_help_says_how() -> None:
    done = subprocess.run(
        [*command("--help")], capture_output=True, text=True, check=True, cwd=HERE.parents[1]
    )
    assert "--dask" in done.stdout
    assert "examples:" in done.stdout
