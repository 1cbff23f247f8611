"""Ctrl-C, stopping, hooks and observers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim.machine import Machine

pytestmark = pytest.mark.toolchain

LOOP = """
volatile int sink;
__attribute__((noinline)) void forever(void) { for (;;) sink++; }
int main(void) { forever(); }
"""
COUNT = """
int count(int n) { volatile int i = 0; while (i < n) i++; return i; }
int main(void) { return count(3); }
"""


def test_ctrl_c_ends_a_native_run(build: Callable[..., Path]) -> None:
    script = textwrap.dedent(f"""
        from m7sim.board import Board
        from m7sim.elf import Image
        from m7sim.machine import Machine
        machine = Machine(Image.load({str(build(LOOP))!r}), Board.load("stm32f746"))
        print("running", flush=True)
        try:
            machine.run_from_reset()
        except KeyboardInterrupt:
            pc = machine.register("pc")
            print("interrupted in", machine.image.function_at(pc).name, flush=True)
            raise SystemExit(130)
        """)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        time.sleep(0.5)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
    assert (output, errors) == ("interrupted in forever\n", "")
    assert process.returncode == 130
    assert time.monotonic() - sent < 2


def test_a_signal_whose_handler_returns_does_not_disturb(start: Callable[..., Machine]) -> None:
    machine = start(COUNT, "-Wl,--undefined=count")
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        assert machine.call("count", 20_000_000).value == 20_000_000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) >= 2


def test_wakeup_descriptor_is_put_back(start: Callable[..., Machine]) -> None:
    machine = start(COUNT, "-Wl,--undefined=count")
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = signal.set_wakeup_fd(write_end)
    try:
        machine.call("count", 5)
        assert signal.set_wakeup_fd(before) == write_end
    finally:
        signal.set_wakeup_fd(before)
        os.close(read_end)
        os.close(write_end)


def test_stop_from_another_thread(start: Callable[..., Machine]) -> None:
    machine = start(LOOP, "-Wl,--undefined=forever")
    timer = threading.Timer(0.2, machine.stop, args=("enough",))
    timer.start()
    result = machine.call("forever")
    assert (result.value, result.stop.reason, result.stop.detail) == (None, "stopped", "enough")


def test_runs_in_another_thread(start: Callable[..., Machine]) -> None:
    machine = start(COUNT, "-Wl,--undefined=count")
    values: list[int] = []
    thread = threading.Thread(target=lambda: values.append(machine.call("count", 9).value))
    thread.start()
    thread.join()
    assert values == [9]


def test_observers_are_told_in_order(start: Callable[..., Machine]) -> None:
    class Observer:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def before_run(self) -> None:
            self.seen.append("before_run")

        def before_host_call(self) -> None:
            self.seen.append(f"host r0={machine.register('r0'):#x}")

        def after_run(self) -> None:
            self.seen.append("after_run")

    machine = start('#include "m7sim.h"\nint main(void) { m7_semihost(4, "hi"); return 0; }',
                    "-DM7_ARGUMENTS=0")  # fmt: skip
    observer = Observer()
    machine.attach(observer)
    machine.run_from_reset()
    assert observer.seen == ["before_run", "host r0=0x4", "host r0=0x20", "after_run"]
    machine.detach(observer)
    machine.run_from_reset()
    assert len(observer.seen) == 4


def test_native_hooks_count_blocks(start: Callable[..., Machine]) -> None:
    import numpy as np

    from m7sim.jit import native_callback, types

    @native_callback(
        types.void(types.voidptr, types.uint64, types.uint32, types.CPointer(types.int64))
    )
    def count(_engine, _address, _size, state):  # type: ignore[no-untyped-def]
        state[0] += 1

    machine = start(COUNT, "-Wl,--undefined=count")
    counted = np.zeros(1, np.int64)
    machine.call("count", 10)
    hook = machine.engine.hook_add_native("block", count.address, counted.ctypes.data)
    machine.engine.flush_translations()
    machine.call("count", 1000)
    first = int(counted[0])
    assert 1000 <= first <= 3010
    machine.call("count", 2000)
    assert 1000 <= counted[0] - 2 * first <= 3000
    machine.engine.hook_del(hook)
    machine.engine.flush_translations()
    before = int(counted[0])
    machine.call("count", 10)
    assert counted[0] == before
