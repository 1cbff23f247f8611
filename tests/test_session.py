"""Load, run, call: real code through the whole chain."""

from __future__ import annotations

import io
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import m7sim
from m7sim import toolchain
from m7sim.errors import ElfError, FirmwareError, InputError, LimitError
from m7sim.session import Firmware, Interrupted

pytestmark = pytest.mark.toolchain

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def elf() -> Path:
    return toolchain.build(
        [DATA / "session.c"],
        linker_script=DATA / "session.ld",
        flags=("-O2", "-g3", "-ffreestanding", "-fno-optimize-sibling-calls"),
        link_flags=("-nostdlib",),
    )


@pytest.fixture(scope="module")
def firmware(elf: Path) -> Firmware:
    return m7sim.load(elf)


def test_run(elf: Path) -> None:
    console = io.BytesIO()
    result = m7sim.load(elf).run(stdout=console)
    assert console.getvalue() == result.console == b"hello\n"
    assert (result.stop_reason, result.exit_code) == ("exit", 0)
    assert result.cycles == result.issue_cycles + sum(result.stalls.values())
    assert result.instructions - result.dual_issued == result.issue_cycles
    assert 0.3 < result.ipc <= 2
    assert result.profile is not None
    functions = {f.name: f for f in result.profile.functions}
    assert sum(f.self_cycles for f in functions.values()) == result.cycles
    assert functions["fib"].calls == 177
    assert functions["Reset_Handler"].inclusive_cycles == result.cycles
    assert functions["main"].inclusive_cycles <= result.cycles
    for f in functions.values():
        assert f.self_cycles == f.issue_cycles + sum(f.stalls.values())
    hottest = next(line for line in result.profile.lines if "sum += a[i] * b[i]" in line.text)
    assert hottest.function == "dot"


def test_two_runs_are_equal(elf: Path) -> None:
    one, two = m7sim.load(elf).run(), m7sim.load(elf).run()
    again = m7sim.load(elf)
    first, second = again.run(), again.run()
    for other in (two, first, second):
        assert other.cycles == one.cycles
        assert other.stalls == one.stalls
        assert other.profile is not None
        assert one.profile is not None
        assert other.profile.functions == one.profile.functions


def test_cyccnt_is_the_modelled_one(elf: Path) -> None:
    """What the firmware measures around a call is what the profile says of it, about."""
    firmware = m7sim.load(elf)
    result = firmware.run()
    measured = int.from_bytes(firmware.read("measured", 4), "little")
    assert result.profile is not None
    dot = next(f for f in result.profile.functions if f.name == "dot")
    assert dot.inclusive_cycles <= measured <= dot.inclusive_cycles + 60


def test_execution_without_timing(elf: Path) -> None:
    timed, bare = m7sim.load(elf).run(), m7sim.load(elf, time=False).run()
    assert bare.instructions == timed.instructions
    assert bare.console == timed.console
    assert (bare.cycles, bare.stalls, bare.profile) == (0, {}, None)


def test_call_with_arrays(firmware: Firmware) -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-30_000, 30_000, 50).astype(np.int16) for _ in range(2))
    result = firmware.call("dot", a, b, 50)
    expected = int(np.dot(a.astype(np.int64), b.astype(np.int64)))
    assert result.value == (expected + 2**31) % 2**32 - 2**31
    assert result.cycles == result.issue_cycles + sum(result.stalls.values())
    assert result.instructions > 100
    assert result.profile is not None
    assert [f.name for f in result.profile.functions] == ["dot"]
    assert result.profile.functions[0].calls == 1
    assert result.profile.functions[0].inclusive_cycles == result.cycles


def test_call_writes_arrays_and_passes_floats(firmware: Firmware) -> None:
    x = np.linspace(-1, 1, 17, dtype=np.float32)
    y = np.zeros(17, np.float32)
    result = firmware.call("scale", x, y, 1.5, 17)
    assert result.value is None
    np.testing.assert_array_equal(y, x * np.float32(1.5))


def test_recursion_and_stack(firmware: Firmware) -> None:
    small, large = firmware.call("fib", 2), firmware.call("fib", 12)
    assert (small.value, large.value) == (1, 144)
    assert large.stack_bytes > small.stack_bytes > 0
    assert large.profile is not None
    (fib,) = large.profile.functions
    assert fib.inclusive_cycles == fib.self_cycles == large.cycles


def test_warm_and_cold(firmware: Firmware) -> None:
    a = np.arange(64, dtype=np.int16)
    cold = [firmware.call("dot", a, a, 64) for _ in range(2)]
    warm = [firmware.call("dot", a, a, 64, warm=True) for _ in range(3)]
    assert cold[0].cycles == cold[1].cycles
    assert warm[0].cycles < cold[0].cycles
    assert warm[1].cycles == warm[2].cycles
    assert len({r.instructions for r in (*cold, *warm)}) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(4, np.int32), np.zeros(4, np.int16), 4), "int16"),
        ((np.zeros((4, 4), np.int16)[:, ::2], np.zeros(8, np.int16), 4), "contiguous"),
        ((np.zeros(4, np.int16), np.zeros(4, np.int16)), "3"),
        ((np.zeros(4, np.int16), "text", 4), "b"),
        ((np.zeros(4, np.int16), np.zeros(4, np.int16), 1.5), "n"),
    ],
)
def test_wrong_arguments(firmware: Firmware, arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        firmware.call("dot", *arguments)


def test_wrong_function(firmware: Firmware) -> None:
    with pytest.raises(ElfError, match=r"fibb.*fib"):
        firmware.call("fibb", 3)


def test_fault_names_symbol_and_line(firmware: Firmware) -> None:
    with pytest.raises(FirmwareError, match=r"0x30000000.*") as fault:
        firmware.call("unmapped")
    assert "session.c:" in str(fault.value)
    assert firmware.call("fib", 5).value == 5  # and the machine still works


def test_limits(elf: Path) -> None:
    firmware = m7sim.load(elf)
    result = firmware.run(entry="forever", max_instructions=10_000)
    assert result.stop_reason == "max_instructions"
    assert 9_000 < result.instructions <= 10_000
    result = firmware.run(entry="forever", max_cycles=50_000)
    assert result.stop_reason == "max_cycles"
    assert 50_000 <= result.cycles < 150_000


def test_replay_gives_the_same_cycles(elf: Path, tmp_path: Path) -> None:
    trace = tmp_path / "run.npz"
    live = m7sim.load(elf).run(trace=trace)
    replayed = m7sim.replay(trace)
    assert replayed.cycles == live.cycles
    assert replayed.stalls == live.stalls
    assert replayed.instructions == live.instructions
    assert replayed.profile is not None
    assert live.profile is not None
    assert replayed.profile.functions == live.profile.functions
    assert replayed.profile.lines == live.profile.lines


def test_limit_of_a_call(firmware: Firmware) -> None:
    with pytest.raises(
        LimitError, match=r"10 000 instructions.*forever at session.c.*Raise max_in"
    ):
        firmware.call("forever", max_instructions=10_000)
    with pytest.raises(LimitError, match=r"20 000 cycles.*Raise max_cycles"):
        firmware.call("forever", max_cycles=20_000)
    assert firmware.call("fib", 5).value == 5  # without the limit of the call before


def test_arrays_in_flash_cost_more(firmware: Firmware) -> None:
    a = np.arange(400, dtype=np.int16)
    near = firmware.call("dot", a, a, 400, place="DTCM")
    far = firmware.call("dot", a, a, 400, place="FLASH")
    assert near.value == far.value
    assert "dcache_flash" not in near.stalls
    assert far.stalls["dcache_flash"] > 0
    assert far.instructions == near.instructions


def test_results_do_not_depend_on_the_size_of_chunks(elf: Path) -> None:
    """A limit that is not reached makes chunks short; nothing else may change."""
    whole = m7sim.load(elf).run()
    short = m7sim.load(elf).run(max_cycles=10**9)
    assert (short.cycles, short.stalls) == (whole.cycles, whole.stalls)
    assert short.profile is not None
    assert whole.profile is not None
    assert short.profile.functions == whole.profile.functions


def test_ctrl_c(elf: Path) -> None:
    """The result of what was reached comes with the interrupt."""
    firmware = m7sim.load(elf)
    firmware.call("fib", 3)  # everything is compiled now
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(Interrupted) as stop:
        firmware.run(entry="forever")
    timer.join()
    result = stop.value.result
    assert result.stop_reason == "interrupted"
    assert result.instructions > 1000
    assert result.cycles == result.issue_cycles + sum(result.stalls.values())
    assert "forever" in result.message


def test_replay_needs_the_right_program(elf: Path, tmp_path: Path) -> None:
    trace = tmp_path / "run.npz"
    m7sim.load(elf).run(trace=trace)
    other = tmp_path / "other.elf"
    other.write_bytes(elf.read_bytes() + b"\0")
    with pytest.raises(InputError, match="not the program of this trace"):
        m7sim.replay(trace, elf=other)
    with pytest.raises(InputError, match="no such trace"):
        m7sim.replay(tmp_path / "none.npz")


def test_replay_on_another_clock(elf: Path, tmp_path: Path) -> None:
    trace = tmp_path / "run.npz"
    live = m7sim.load(elf, clock_hz=100_000_000).run(trace=trace)
    same, slower = m7sim.replay(trace), m7sim.replay(trace, clock_hz=50_000_000)
    assert same.time_ms == live.time_ms
    assert slower.cycles < live.cycles  # 1 wait state instead of 3
    assert live.time_ms < slower.time_ms < 2 * live.time_ms
