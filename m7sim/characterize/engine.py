"""Where the measurements of a sweep run: here, in processes of this machine, or on a Dask cluster.

All three are a `concurrent.futures.Executor` (Dask's client offers one), so the sweep knows only
one way to hand out work. Work that was in a process that died is handed out again, one piece at a
time, so that a point that kills its worker is found and the others are not lost with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar

from m7sim.errors import InputError

Work = TypeVar("Work")
Done = TypeVar("Done")

IN_FLIGHT = 3  # pieces handed out per worker: one runs, the next wait at its door
DEATHS = 3  # of a worker, in a row, while it alone held a piece
CONNECT_S = 10
POLL_S = 5
DESERTED_S = 60  # long enough for a worker to be restarted


class WorkerDied(Exception):
    """The process that held this piece died, each time it was tried."""


@dataclass(frozen=True)
class Engine:
    """How to (re)open the executor, and how many pieces of work it is handed at a time."""

    name: str
    workers: int
    in_flight: int
    open: Callable[[], contextlib.AbstractContextManager[Executor]]
    count_workers: Callable[[Executor], int] = lambda executor: 1

    def run(
        self, function: Callable[[Sequence[Work]], Done], pieces: Sequence[Sequence[Work]]
    ) -> Iterator[tuple[Sequence[Work], Done | WorkerDied]]:
        """Apply a function to each piece; yield piece and result in the order of finishing.

        A piece whose worker died comes back in parts, and as `WorkerDied` when it has but one item
        and its worker died `DEATHS` times.
        """
        waiting = deque((piece, 0) for piece in pieces)
        while waiting:
            with self.open() as executor:
                yield from self._feed(executor, function, waiting)

    def _feed(
        self,
        executor: Executor,
        function: Callable[[Sequence[Work]], Done],
        waiting: deque[tuple[Sequence[Work], int]],
    ) -> Iterator[tuple[Sequence[Work], Done | WorkerDied]]:
        """Hand out what waits until nothing does, or the executor is broken."""
        running: dict[Future[Done], tuple[Sequence[Work], int]] = {}
        broken = False
        try:
            while running or (waiting and not broken):
                broken = broken or not self._hand_out(executor, function, waiting, running)
                alone = len(running) == 1
                finished = self._wait(executor, running)
                for future in finished:
                    piece, deaths = running.pop(future)
                    error = _error_of(future, self.name)
                    if error is None:
                        yield piece, future.result()
                        continue
                    # A pool that breaks fails all that is in it; Dask only what it gave up on.
                    broken = broken or isinstance(error, BrokenProcessPool)
                    deaths += 1
                    if len(piece) > 1:
                        waiting.extendleft(([item], deaths) for item in reversed(piece))
                    elif alone and deaths >= DEATHS:
                        yield piece, WorkerDied(_first_line(error))
                    else:
                        waiting.appendleft((piece, deaths))
        finally:
            for future in running:
                future.cancel()

    def _wait(self, executor: Executor, running: Iterable[Future[Done]]) -> set[Future[Done]]:
        """Return the futures that are done; InputError if nobody is left to do any."""
        deserted_s = 0
        while True:
            finished, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
            if finished:
                return finished
            deserted_s = 0 if self.count_workers(executor) else deserted_s + POLL_S
            if deserted_s >= DESERTED_S:
                raise InputError(
                    f"the {self.name} has had no worker for {deserted_s} s",
                    do="See why they ended, start others, and run the same command again to go on",
                )

    def _hand_out(
        self,
        executor: Executor,
        function: Callable[[Sequence[Work]], Done],
        waiting: deque[tuple[Sequence[Work], int]],
        running: dict[Future[Done], tuple[Sequence[Work], int]],
    ) -> bool:
        """Fill the executor; False if it is broken. A piece with deaths behind it runs alone."""
        while waiting:
            suspects = waiting[0][1] or any(deaths for _, deaths in running.values())
            if running and (suspects or len(running) >= self.in_flight):
                break
            piece, deaths = waiting.popleft()
            try:
                running[executor.submit(function, piece)] = piece, deaths
            except BrokenProcessPool:
                waiting.appendleft((piece, deaths))
                return False
        return True


class Inline(Executor):
    """Runs work at once, in this process."""

    def submit(self, function: Callable[..., Any], /, *given: Any, **options: Any) -> Future[Any]:
        """Run it now; the future is finished."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*given, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def inline() -> Engine:
    """Return the engine of this process alone."""
    return Engine("this process", 1, 1, lambda: contextlib.nullcontext(Inline()))


def processes(jobs: int) -> Engine:
    """Return an engine of so many processes on this machine.

    They are spawned, not forked: the simulator's threads and compiled code do not survive a fork.
    """
    if jobs < 1:
        raise InputError(f"{jobs} jobs", do="Give 1 or more")
    if jobs == 1:
        return inline()

    @contextlib.contextmanager
    def opened() -> Iterator[Executor]:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker)
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    return Engine(f"{jobs} processes", jobs, IN_FLIGHT * jobs, opened)


def dask(address: str) -> Engine:
    """Return the engine of the Dask cluster whose scheduler has this address.

    Raises
    ------
    InputError
        If dask.distributed is not installed, nothing answers, or the cluster has no worker.
    """
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "a Dask cluster needs dask.distributed, which is not installed",
            do="Install it with: pip install 'm7sim[sweeps]'",
        ) from error

    def connect() -> Any:
        try:
            return distributed.Client(  # type: ignore[no-untyped-call]
                address, timeout=CONNECT_S, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers: {_first_line(error)}",
                where=address,
                do="Start one with: dask scheduler; and workers with: dask worker ADDRESS",
            ) from error

    with connect() as client:  # now, not after the kernels were built
        installed = client.run(metadata.version, "m7sim", on_error="return")
        workers = len(installed)
    missing = [name for name, found in installed.items() if not isinstance(found, str)]
    if missing:
        do = "Install the same version there, with: pip install m7sim"
        raise InputError(
            f"m7sim is not installed for the worker {missing[0]}", where=address, do=do
        )
    if not workers:
        do = f"Start one with: dask worker {address} --nthreads 1"
        raise InputError("the Dask cluster has no worker", where=address, do=do)

    @contextlib.contextmanager
    def opened() -> Iterator[Executor]:
        with connect() as client:
            executor = client.get_executor(pure=False)
            try:
                yield executor
            finally:
                executor.shutdown(wait=False)  # what is left, after an error, nobody waits for

    def count(executor: Any) -> int:
        return len(executor._client.scheduler_info()["workers"])

    return Engine(f"Dask cluster at {address}", workers, IN_FLIGHT * workers, opened, count)


def _begin_worker() -> None:
    """Leave Ctrl-C to the sweep, and end when the sweep is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _error_of(future: Future[Any], name: str) -> BaseException | None:
    """Return how a worker died, or None if it did not; raise everything else."""
    try:
        error = future.exception()
    except CancelledError as cancelled:
        raise InputError(
            f"the connection to the {name} was lost", do="Run the same command again to go on"
        ) from cancelled
    # KilledWorker is of a library that is not imported for this.
    if error is None or isinstance(error, BrokenProcessPool):
        return error
    if type(error).__name__ == "KilledWorker":
        return error
    raise error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
