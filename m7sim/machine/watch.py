"""Ctrl-C while native code runs.

Python runs signal handlers between its own instructions, hence not during minutes of native
execution. The C-level handler, though, writes a byte to a wake-up socket at once; a thread that
sleeps on it stops the engine, which brings the main thread back to Python, where the handler runs
and ``KeyboardInterrupt`` is raised. Execution itself stays in the calling thread.

Such a stop comes anywhere. While execution is recorded, the thread therefore asks the recorder to
return to Python at a block boundary instead, and handlers are held back until execution has ended
there: a handler that raises in the middle of a callback would leave half a record.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Iterator

_RETRY_S = 0.02  # a stop that came before the engine had started has no effect: try again


class _Shared:
    """What the thread sees; it must not keep the engine alive."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.lock = threading.Lock()
        self.running = False
        self.interrupted = False
        self.receive, self.send = socket.socketpair()
        self.send.setblocking(False)

    def close(self) -> None:
        self.send.close()  # ends the thread, which closes the other end


class InterruptWatch:
    """Stops the engine when a signal arrives during :meth:`armed`."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._shared: _Shared | None = None
        self._stop = stop
        self.held: list[int] = []  # signals whose handlers wait for `serve`
        self._finalizer: weakref.finalize[..., InterruptWatch] | None = None

    @contextlib.contextmanager
    def armed(self, ask: Callable[[], None] | None = None) -> Iterator[None]:
        """Watch for signals; does nothing outside the main thread, where none arrive.

        With ``ask``, that is called (in another thread, repeatedly) instead of stopping the
        engine, and handlers wait for :meth:`serve`.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        shared = self._shared or self._begin()
        handlers = _hold(self.held) if ask else {}
        before = signal.set_wakeup_fd(shared.send.fileno(), warn_on_full_buffer=False)
        with shared.lock:
            shared.stop = ask or self._stop
            shared.running = True
        try:
            yield
        finally:
            with shared.lock:
                shared.running = False
                shared.stop = self._stop
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def serve(self) -> None:
        """Call the handlers that were held back; they may raise."""
        while self.held:
            number = self.held.pop(0)
            handler = signal.getsignal(number)
            if callable(handler):
                handler(number, None)

    def take(self) -> bool:
        """Return whether a signal has stopped the engine since the last call."""
        shared = self._shared
        if shared is None:
            return False
        with shared.lock:
            interrupted, shared.interrupted = shared.interrupted, False
        return interrupted

    def close(self) -> None:
        if self._finalizer is not None:
            self._finalizer()

    def _begin(self) -> _Shared:
        shared = self._shared = _Shared(self._stop)
        self._finalizer = weakref.finalize(self, shared.close)
        threading.Thread(target=_watch, args=(shared,), daemon=True, name="m7sim-signals").start()
        return shared


def _hold(held: list[int]) -> dict[int, Callable[..., object]]:
    """Replace all handlers by one that notes the signal; return them, that of Ctrl-C last."""
    found = {number: signal.getsignal(number) for number in signal.valid_signals()}
    handlers: dict[int, Callable[..., object]] = {
        int(number): handler for number, handler in found.items() if callable(handler)
    }
    if signal.SIGINT in handlers:
        handlers[signal.SIGINT] = handlers.pop(signal.SIGINT)
    for number in handlers:
        signal.signal(number, lambda number, _frame: held.append(number))
    return handlers


def _watch(shared: _Shared) -> None:
    with shared.receive:
        while shared.receive.recv(64):
            while True:
                with shared.lock:
                    if not shared.running:
                        break
                    shared.interrupted = True
                    shared.stop()
                threading.Event().wait(_RETRY_S)
