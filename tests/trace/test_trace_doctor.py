"""``m7sim doctor``, and the battery it runs."""

from __future__ import annotations

from importlib import resources

import pytest

from m7sim.trace import doctor, oracle
from m7sim.trace.battery import Program, assemble, programs
from m7sim.trace.capture import Capture
from m7sim.trace.chunk import Chunk
from m7sim.trace.doctor import run_doctor


def test_all_well() -> None:
    checks = run_doctor()
    assert len(checks) >= 18
    assert [check for check in checks if not check.ok] == []


def test_forced_memory_hooks_show_the_corruption() -> None:
    """Fails when the engine is repaired: then the work-around and this check can go."""
    checks = run_doctor(force_memory_hooks=True)
    assert all(check.ok for check in checks)
    shown = {check.name for check in checks if "corruption shown as expected" in check.detail}
    assert shown == {"predicated_load", "predicated_store", "predicated_both", "nested_ite"}
    load = next(check for check in checks if check.name == "predicated_load")
    assert "r2 is 0x0, should be 0x9" in load.detail
    assert "r3 is 0x0, should be 0x7" in load.detail


def test_wrong_address_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Capture._deliver

    def shifted(self: Capture) -> None:
        inner = self.on_chunk
        assert inner is not None

        def pass_on(chunk: Chunk) -> None:
            chunk.values[:] += 4
            inner(chunk)

        self.on_chunk = pass_on
        take(self)
        self.on_chunk = inner

    monkeypatch.setattr(Capture, "_deliver", shifted)
    checks = {check.name: check for check in run_doctor()}
    assert not checks["indexed"].ok
    assert "the memory hooks saw" in checks["indexed"].detail


def test_wrong_result_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Program("wrong", bytes.fromhex("01207047"), {"r0": 2}, False)  # movs r0, #1; bx lr
    monkeypatch.setattr(doctor, "programs", lambda: [wrong])
    (check,) = run_doctor()
    assert not check.ok
    assert check.detail == "r0 is 0x1, should be 0x2"


def test_differences_are_told() -> None:
    load = oracle.Access(0x100, 0x2000_0000, 8, False)
    halves = [
        oracle.Access(0x100, 0x2000_0000, 4, False),
        oracle.Access(0x100, 0x2000_0004, 4, False),
    ]
    assert oracle.differences([load], halves) == []
    assert "not seen" in oracle.differences([load], halves[:1])[0]
    assert "seen by the memory hooks only" in oracle.differences([], halves)[0]
    assert "saw 0x00000100: load" in oracle.differences([load], halves[1:])[0]
    other = oracle.Access(0x102, 0x2000_0000, 8, False)
    assert len(oracle.differences([other] * 9, [load] * 9)) == 5


@pytest.mark.toolchain
def test_battery_is_what_its_sources_say() -> None:
    shipped = resources.files("m7sim.trace.battery").joinpath("programs.json").read_text("utf-8")
    assert shipped == assemble.text(), "run python -m m7sim.trace.battery.assemble"


def test_battery_has_every_kind() -> None:
    names = {program.name for program in programs()}
    assert {"predicated_store", "table_branch", "itcm_copy", "exclusive", "unaligned"} <= names
