"""The accounting thread on its own: order, bounds, errors, ends."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import traceback

import pytest

from m7sim.profile import worker as module
from m7sim.profile.worker import AHEAD, Worker, spare_core


@pytest.fixture
def worker():
    with Worker(threaded=True) as made:
        yield made


def fail() -> None:
    raise KeyError("from the job")


def alive() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == module.NAME]


def test_jobs_are_done_in_order_in_another_thread(worker: Worker) -> None:
    done: list[int] = []
    threads: set[int] = set()
    for i in range(200):
        worker.put(lambda i=i: (done.append(i), threads.add(threading.get_ident())))
    worker.drain()
    assert done == list(range(200))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_at_once_without_a_thread() -> None:
    worker = Worker(threaded=False)
    done: list[int] = []
    for i in range(5):
        worker.put(lambda i=i: done.append(threading.get_ident()))
        assert len(done) == i + 1
    assert set(done) == {threading.get_ident()}
    with pytest.raises(KeyError, match="from the job"):
        worker.put(fail)
    assert worker._thread is None


def test_few_jobs_wait(worker: Worker) -> None:
    given, done, most = 0, 0, 0

    def job() -> None:
        nonlocal done
        time.sleep(0.002)
        done += 1

    for _ in range(20):
        worker.put(job)
        given += 1
        most = max(most, given - done)
    worker.drain()
    assert done == given
    assert 2 <= most <= AHEAD + 2


def test_an_error_is_raised_once_with_its_traceback(worker: Worker) -> None:
    done: list[int] = []
    release = threading.Event()
    worker.put(release.wait)
    worker.put(fail)
    worker.put(lambda: done.append(1))
    release.set()
    with pytest.raises(KeyError, match="from the job") as raised:
        worker.drain()
    assert "fail" in [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert not done
    worker.put(lambda: done.append(2))  # usable again
    worker.drain()
    assert done == [2]


def test_an_error_is_raised_by_put_as_well(worker: Worker) -> None:
    worker.put(fail)
    deadline = time.monotonic() + 10
    while worker._shared.error is None and time.monotonic() < deadline:
        time.sleep(0.001)
    with pytest.raises(KeyError):
        worker.put(lambda: None)
    worker.drain()


def test_discard_forgets_jobs_and_errors(worker: Worker) -> None:
    done: list[int] = []
    release = threading.Event()
    worker.put(release.wait)
    worker.put(lambda: done.append(1))
    threading.Timer(0.05, release.set).start()
    worker.discard()
    assert not done
    worker.put(fail)
    worker.discard()
    worker.drain()


def thread_of(worker: Worker) -> threading.Thread:
    assert worker._thread is not None
    return worker._thread


def test_close_ends_the_thread_and_may_be_called_twice() -> None:
    worker = Worker(threaded=True)
    worker.close()
    worker.put(lambda: None)
    thread = thread_of(worker)
    assert thread in alive()
    worker.close()
    worker.close()
    assert thread not in alive()
    worker.put(lambda: None)  # starts again
    worker.drain()
    worker.close()


def test_a_forgotten_worker_ends_its_thread() -> None:
    worker = Worker(threaded=True)
    worker.put(lambda: None)
    worker.drain()
    thread = thread_of(worker)
    assert thread in alive()
    del worker
    gc.collect()
    assert thread not in alive()


@pytest.mark.parametrize("job", ["time.sleep(0.3)", "0"])
def test_the_interpreter_ends(job: str) -> None:
    code = f"""
import time
from m7sim.profile.worker import Worker
kept = Worker(threaded=True)
kept.put(lambda: {job})
kept.put(lambda: time.sleep(60))
"""
    if job == "0":
        code = code.replace("60", "0")
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - begin < 20


def test_works_after_a_fork() -> None:
    code = """
import os
from m7sim.profile.worker import Worker
worker = Worker(threaded=True)
worker.put(lambda: None)
worker.drain()
child = os.fork()
done = []
worker.put(lambda: done.append(1))
worker.drain()
worker.close()
assert done == [1]
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
else:
    os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_one_core_means_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert not spare_core()
    assert not Worker().threaded
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {3, 4}, raising=False)
    assert Worker().threaded
    monkeypatch.delattr(module.os, "sched_getaffinity")
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1)
    assert not Worker().threaded
