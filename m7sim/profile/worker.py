"""One thread that does the accounting of a run while the run goes on.

The engine and the jitted kernels run without the interpreter lock, so recording the next chunk
and timing the last one overlap on two cores. What is done, and in which order, stays as it is
without the thread; results are the same to the last bit.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType

AHEAD = 2  # jobs that may wait: bounds the memory, and evens out chunks that take long
NAME = "m7sim-accounting"  # of the thread

Job = Callable[[], object]


def spare_core() -> bool:
    """Whether this process may use more than one core."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) > 1
    return (os.cpu_count() or 1) > 1


class _Shared:
    """What the thread sees; it must not keep the owner of the worker alive."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.jobs: deque[Job] = deque()  # the first is being done: empty means all is done
        self.error: BaseException | None = None
        self.closed = False


class Worker:
    """Does jobs one after the other, in the order given, in a thread of its own.

    An exception of a job is raised once, from the next call of `put` or `drain`, with its
    traceback; jobs after it are dropped until then. The thread starts with the first job, and
    ends with `close`, with this object, or with the interpreter.

    Parameters
    ----------
    threaded
        False: jobs are done within `put`. Default: whether there is a core for the thread.
    """

    def __init__(self, threaded: bool | None = None) -> None:
        self.threaded = spare_core() if threaded is None else threaded
        self._shared = _Shared()
        self._thread: threading.Thread | None = None
        self._finalizer: weakref.finalize[..., Worker] | None = None

    def put(self, job: Job) -> None:
        """Have a job done; waits while ``AHEAD`` jobs wait."""
        if not self.threaded:
            job()
            return
        self._raise()
        self._start()
        shared = self._shared
        with shared.changed:
            while len(shared.jobs) > AHEAD:
                shared.changed.wait()
            shared.jobs.append(job)
            shared.changed.notify_all()

    @property
    def behind(self) -> bool:
        """Whether jobs wait."""
        return len(self._shared.jobs) > 1

    def drain(self) -> None:
        """Wait until all jobs are done."""
        self._wait()
        self._raise()

    def discard(self) -> None:
        """Wait until nothing runs any more, and forget what is left, exceptions included."""
        with self._shared.changed:
            while len(self._shared.jobs) > 1:
                self._shared.jobs.pop()
        self._wait()
        self._shared.error = None

    def close(self) -> None:
        """End the thread, after the job that it is doing."""
        if self._finalizer is not None:
            self._finalizer()
        self._thread = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.drain()
        finally:
            self.close()

    def _wait(self) -> None:
        shared = self._shared
        if not shared.jobs:  # only this thread adds to them
            return
        with shared.changed:
            while shared.jobs:
                shared.changed.wait()

    def _raise(self) -> None:
        if self._shared.error is not None:
            self._wait()  # the rest is dropped at once
            error, self._shared.error = self._shared.error, None
            raise error

    def _start(self) -> None:
        # After a fork the thread is gone; it was idle then.
        if self._thread is not None and self._thread.is_alive():
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        self._shared = _Shared()
        # A daemon, or the interpreter would wait for it before it runs the finalizer.
        self._thread = threading.Thread(target=_serve, args=(self._shared,), name=NAME, daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(self, _end, self._shared, self._thread)


def _serve(shared: _Shared) -> None:
    while True:
        with shared.changed:
            while not shared.jobs and not shared.closed:
                shared.changed.wait()
            if shared.closed:
                shared.jobs.clear()
                shared.changed.notify_all()
                return
            job = shared.jobs[0]
        if shared.error is None:
            try:
                job()
            except BaseException as error:  # raised again by the thread that gave the job
                shared.error = error
        del job
        with shared.changed:
            shared.jobs.popleft()
            shared.changed.notify_all()


def _end(shared: _Shared, thread: threading.Thread) -> None:
    with shared.changed:
        shared.closed = True
        shared.changed.notify_all()
    if thread is not threading.current_thread() and thread.is_alive():
        thread.join()
