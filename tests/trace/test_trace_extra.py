"""Registers that are recorded with every block because somebody asked for them."""

from __future__ import annotations

import numpy as np
import pytest

from m7sim.isa.registers import LR, S0, SP
from m7sim.machine.engine import Engine
from m7sim.trace import capture as capture_module
from m7sim.trace.battery import CODE_ADDRESS, programs
from m7sim.trace.capture import Capture
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.rig import END_ADDRESS, RAM_ADDRESS, RAM_BYTES, make_engine, run_captured

PROGRAMS = {program.name: program.code for program in programs()}
EXTRA = (4, 11, SP, LR, S0 + 16, S0 + 31)

# 1: vmov s16, r4; adds r4, #1; cmp r4, #3; bne 1b; push {r4}; b 2f; 2: bx lr
COUNTS = bytes.fromhex("08ee104a 0134 032c fad1 10b4 ffe7 7047")


class Recorder:
    """A capture on an engine, run several times."""

    def __init__(self, code: bytes, capacity_blocks: int = 64) -> None:
        self.engine: Engine = make_engine(code)
        self.chunks: list[Chunk] = []
        self.capture = Capture(
            self.engine, lambda _: None, on_chunk=self.chunks.append,
            capacity_blocks=capacity_blocks,
        )  # fmt: skip
        self.capture.attach()

    def run(self) -> tuple[list[int], list[int], list[list[int]]]:
        """Return block addresses, resolved addresses, and the values of each block."""
        self.chunks.clear()
        self.engine.write_register("sp", RAM_ADDRESS + RAM_BYTES)
        self.engine.write_register("lr", END_ADDRESS | 1)
        self.capture.before_run()
        self.engine.run(CODE_ADDRESS, END_ADDRESS)
        self.capture.after_run()
        plan, sources = self.capture.plan(), self.capture.blocks.sources
        blocks = [int(b) for chunk in self.chunks for b in chunk.blocks]
        resolved = [int(a) for chunk in self.chunks for a in resolve(chunk, plan)]
        flat = np.concatenate([chunk.values for chunk in self.chunks]).tolist()
        values = [[flat.pop(0) for _ in range(plan.values[b])] for b in blocks]
        assert not flat
        return [sources[b].address for b in blocks], resolved, values


@pytest.mark.parametrize("capacity", [1, 3, 64])
@pytest.mark.parametrize("asked", [False, True], ids=["direct", "asked"])
def test_what_is_recorded(capacity: int, asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if asked:
        monkeypatch.setattr(capture_module, "locate_registers", lambda _engine: 0)
    recorder = Recorder(COUNTS, capacity)
    recorder.capture.also_record(EXTRA)
    recorder.engine.write_register("r4", 0)
    recorder.engine.write_register("r11", 0xB0B)
    recorder.engine.write_register("s31", 0x31)
    recorder.engine.write_register("s16", 0x16)
    addresses, _, values = recorder.run()
    loop, push, leave = (CODE_ADDRESS + offset for offset in (0, 10, 14))
    assert addresses == [loop, loop, loop, push, leave]
    top, lr = RAM_ADDRESS + RAM_BYTES, END_ADDRESS | 1
    assert [each[: len(EXTRA)] for each in values] == [
        [0, 0xB0B, top, lr, 0x16, 0x31],
        [1, 0xB0B, top, lr, 0, 0x31],
        [2, 0xB0B, top, lr, 1, 0x31],
        [3, 0xB0B, top, lr, 2, 0x31],
        [3, 0xB0B, top - 4, lr, 2, 0x31],
    ]


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_addresses_stay_as_they_are(name: str) -> None:
    plain = run_captured(PROGRAMS[name])
    recorder = Recorder(PROGRAMS[name], 7)
    recorder.capture.also_record(EXTRA)
    _, resolved, _ = recorder.run()
    assert resolved == plain.addresses.tolist()


def test_asking_may_change_between_runs() -> None:
    recorder = Recorder(COUNTS)
    recorder.engine.write_register("r4", 0)
    plain = recorder.run()
    for extra in (EXTRA, (), (SP,), EXTRA):
        recorder.capture.also_record(extra)
        recorder.engine.write_register("r4", 0)
        addresses, resolved, values = recorder.run()
        assert (addresses, resolved) == plain[:2]
        assert [each[len(extra) :] for each in values] == plain[2]
        known = len(recorder.capture.blocks)
    assert known == 3 * 3  # a block per place and question: asked again, none is new
