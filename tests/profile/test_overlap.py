"""Recording and accounting at the same time: the same results, and errors that come out."""

from __future__ import annotations

import signal
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest

import m7sim
from m7sim import toolchain
from m7sim.profile import live, worker
from m7sim.profile.accounts import Accounts
from m7sim.profile.result import RunResult
from m7sim.session import Firmware, Interrupted

pytestmark = pytest.mark.toolchain

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def elf() -> Path:
    return toolchain.build(
        [DATA / "overlap.c"],
        linker_script=DATA.parent.parent / "data" / "session.ld",
        flags=("-O2", "-g3", "-ffreestanding", "-fno-optimize-sibling-calls"),
        link_flags=("-nostdlib",),
    )


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every full chunk handed over, and many of them full."""
    monkeypatch.setattr(live, "CHUNK_BLOCKS", 64)
    monkeypatch.setattr(live, "SHARED_CHUNK_BLOCKS", 16)


@pytest.fixture
def two_cores(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "spare_core", lambda: True)


def everything(result: RunResult, firmware: Firmware) -> dict[str, Any]:
    assert result.profile is not None
    return {
        "cycles": result.cycles,
        "stalls": result.stalls,
        "statistics": result.statistics,
        "functions": result.profile.functions,
        "lines": result.profile.lines,
        "rows": result.rows,
        "samples": firmware.read("samples", 128),  # of CYCCNT, taken by the firmware itself
    }


def outcome(elf: Path) -> dict[str, Any]:
    firmware = m7sim.load(elf)
    try:
        return everything(firmware.run(), firmware)
    finally:
        firmware.close()


def test_the_same_with_and_without_a_thread(
    elf: Path, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    account = Accounts.account

    def noted(self: Accounts, *arguments: Any) -> None:
        threads.append(threading.get_ident())
        account(self, *arguments)

    monkeypatch.setattr(Accounts, "account", noted)
    monkeypatch.setattr(worker, "spare_core", lambda: False)
    alone = outcome(elf)
    assert set(threads) == {threading.get_ident()}
    monkeypatch.setattr(worker, "spare_core", lambda: True)
    for _ in range(3):
        threads.clear()
        assert outcome(elf) == alone
        others = sum(thread != threading.get_ident() for thread in threads)
        assert 100 < others < len(threads)  # chunks went both ways
    monkeypatch.setattr(live, "CHUNK_BLOCKS", 1 << 15)
    assert outcome(elf) == alone
    assert alone["stalls"]["dcache_sram"] > 0
    samples = alone["samples"]
    words = [int.from_bytes(samples[i : i + 4], "little") for i in range(0, 128, 4)]
    assert words == sorted(set(words))
    assert 0.9 * alone["cycles"] < words[-1] < alone["cycles"]


def test_saved_and_replayed(elf: Path, two_cores: None, tmp_path: Path) -> None:
    firmware = m7sim.load(elf)
    live_result = firmware.run(trace=tmp_path / "t.npz")
    replayed = m7sim.replay(tmp_path / "t.npz")
    assert everything(replayed, firmware) == everything(live_result, firmware)


def test_two_at_once(elf: Path, two_cores: None) -> None:
    expected = outcome(elf)
    results: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: results.append(outcome(elf))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [expected, expected]


def test_two_objects_by_turns(elf: Path, two_cores: None) -> None:
    one, two = m7sim.load(elf), m7sim.load(elf)
    alone = [one.call("work", 3000, seed).cycles for seed in range(3)]
    mixed = [(one.call("work", 3000, s).cycles, two.call("work", 3000, s).cycles) for s in range(3)]
    assert mixed == [(c, c) for c in alone]
    one.close()
    two.close()


class Wrong(Exception):
    pass


def test_an_error_in_the_thread_ends_the_run(
    elf: Path, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endless run: it ends only because the error comes out."""
    firmware = m7sim.load(elf)
    expected = everything(firmware.run(), firmware)
    account = Accounts.account
    calls = 0

    def third_goes_wrong(self: Accounts, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            assert threading.current_thread() is not threading.main_thread()
            raise Wrong("third chunk")
        account(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Accounts, "account", third_goes_wrong)
        with pytest.raises(Wrong, match="third chunk") as raised:
            firmware.run(entry="forever")
    names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert "third_goes_wrong" in names
    assert calls == 3  # nothing is accounted for behind it
    assert everything(firmware.run(), firmware) == expected  # nothing of it is left


def test_ctrl_c_counts_what_was_handed_over(elf: Path, two_cores: None) -> None:
    firmware = m7sim.load(elf)
    firmware.call("work", 100, 1)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(Interrupted) as stop:
        firmware.run(entry="forever")
    timer.join()
    result = stop.value.result
    assert result.instructions == firmware._ready().capture.instructions > 1000
    assert result.cycles == result.issue_cycles + sum(result.stalls.values())


def test_a_limit_on_cycles_stops_at_the_same_place(elf: Path, two_cores: None) -> None:
    ends = {m7sim.load(elf).run(entry="forever", max_cycles=30_000).cycles for _ in range(3)}
    assert len(ends) == 1


def test_close_ends_the_thread(elf: Path, two_cores: None) -> None:
    firmware = m7sim.load(elf)
    before = set(threading.enumerate())
    firmware.run()
    (thread,) = (t for t in threading.enumerate() if t.name == worker.NAME and t not in before)
    firmware.close()
    assert not thread.is_alive()
