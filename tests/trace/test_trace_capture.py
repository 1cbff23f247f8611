"""Limits, stops, faults: how a capture ends."""

from __future__ import annotations

import ctypes
import itertools
import random
import signal
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from m7sim.errors import InputError
from m7sim.isa import UndecodableError
from m7sim.trace import blocks, direct
from m7sim.trace import capture as capture_module
from m7sim.trace.battery import CODE_ADDRESS, programs
from m7sim.trace.blocks import BlockSource, it_conditions
from m7sim.trace.capture import Capture
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.oracle import MemoryWatch
from m7sim.trace.plan import Site
from m7sim.trace.rig import END_ADDRESS, ITCM_ADDRESS, Captured, make_engine, run_captured
from m7sim.trace.sites import MOST_RANGES, SiteHooks
from m7sim.trace.tables import HashTable, State

PROGRAMS = {program.name: program for program in programs()}

WILD = bytes.fromhex("fee7")  # b .
# movs r1, #0; ldr r2, [r0]; movs r3, #1; ldr r4, [r1, r0]; str r4, [r2]; bx lr
LOADS = bytes.fromhex("0021 0268 0123 0c58 1460 7047")


def texts(captured: Captured) -> list[str]:
    code = captured.capture.code
    spans = (code.blocks[b] for b in captured.blocks.tolist())
    return [i.text for first, n in spans for i in code.instructions[first : first + n]]


def test_instruction_limit_ends_a_wild_loop() -> None:
    captured = run_captured(WILD, max_instructions=1000)
    assert captured.outcome.end == "stopped"
    assert captured.capture.stop_reason == "instructions"
    assert captured.capture.instructions == captured.blocks.size == 1000


@pytest.mark.parametrize("limit", [0, 1, 5, 10, 11, 30])
def test_instruction_limit_is_at_a_block_boundary(limit: int) -> None:
    program = PROGRAMS["indexed"].code
    whole = run_captured(program)
    limited = run_captured(program, max_instructions=limit)
    counts = np.array([count for _, count in whole.capture.code.blocks])
    total = counts[whole.blocks].cumsum()
    n = int(np.searchsorted(total, limit, side="right"))
    np.testing.assert_array_equal(limited.blocks, whole.blocks[:n])
    assert limited.capture.instructions == (total[n - 1] if n else 0)
    np.testing.assert_array_equal(limited.addresses, whole.addresses[: limited.addresses.size])


def test_limit_that_is_not_reached() -> None:
    captured = run_captured(PROGRAMS["indexed"].code, max_instructions=10_000)
    assert captured.outcome.end == "until"
    assert captured.capture.stop_reason is None


def test_fault_in_mid_block() -> None:
    ram = (0x5555_5554).to_bytes(4, "little")  # nothing there
    code = bytes.fromhex("4ff00050") + LOADS  # mov.w r0, #0x20000000
    captured = run_captured(code, ram)
    assert captured.outcome.end == "memory"
    assert captured.outcome.register("pc") == CODE_ADDRESS + 12
    assert len(texts(captured)) == captured.capture.instructions == 5
    assert texts(captured)[-1].startswith("ldr")
    assert captured.addresses.tolist() == [0x2000_0000, 0x2000_0000]


def test_fault_at_the_first_instruction() -> None:
    captured = run_captured(bytes.fromhex("4ff0a040 00e0 00bf 0168 7047"))
    # mov.w r0, #0x50000000; b; nop; ldr r1, [r0]
    assert captured.outcome.end == "memory"
    assert len(texts(captured)) == captured.capture.instructions == 2
    assert captured.addresses.size == 0


# mov.w r0, #0x20000000; ldr r2, [r0]; movs r1, #0; cmp r1, #0; itttt eq; ldreq r3, [r2]
# ldreq r5, [r3]; moveq r2, #7; streq r2, [r0, #4]; bx lr
FAULT_IN_IT_BLOCK = bytes.fromhex("4ff00050 0268 0021 0029 01bf 1368 1d68 0722 4260 7047")


def test_fault_in_an_it_block() -> None:
    """The engine runs on to the end of the IT block; the trace must not."""
    ram = (0x2000_0100).to_bytes(4, "little") + bytes(252) + (0x5555_5554).to_bytes(4, "little")
    captured = run_captured(FAULT_IN_IT_BLOCK, ram)
    assert captured.outcome.end == "memory"
    assert captured.outcome.register("pc") == CODE_ADDRESS + 14
    assert captured.outcome.register("r2") == 0x2000_0100
    assert len(texts(captured)) == captured.capture.instructions == 6
    assert captured.addresses.tolist() == [0x2000_0000, 0x2000_0100]


def test_run_after_a_fault_in_an_it_block() -> None:
    engine = make_engine(FAULT_IN_IT_BLOCK, bytes(4) + b"\x01" * 256)
    engine.write(ITCM_ADDRESS, (0x5555_5554).to_bytes(4, "little"))
    assert engine.run(CODE_ADDRESS, END_ADDRESS).pc == CODE_ADDRESS + 14
    engine.write(CODE_ADDRESS, bytes.fromhex("0720 0821 0922 7047"))  # movs r0, #7 …
    assert engine.run(CODE_ADDRESS, END_ADDRESS).kind == "until"
    assert [engine.read_register(f"r{i}") for i in range(3)] == [7, 8, 9]
    engine.close()


def test_fault_in_mid_transfer() -> None:
    """A register that a faulting LDM has overwritten already does not stand for its old value."""
    # mov.w r0, #0x20000000; ldr r1, [r0]; ldr r2, [r1]; ldr r3, [r0, #4]; ldm r3, {r1, r2}
    code = bytes.fromhex("4ff00050 0168 0a68 4368 93e80600 7047")
    ram = b"".join(word.to_bytes(4, "little") for word in (0x2000_0040, 0x2000_FFFC))
    captured = run_captured(code, ram)
    assert captured.outcome.end == "memory"
    assert captured.addresses.tolist() == [0x2000_0000, 0x2000_0040, 0x2000_0004]


class _Enough(BaseException):
    pass


@pytest.mark.parametrize("capacity", [7, 1 << 16])
def test_signals(capacity: int, thumb_programs: ModuleType) -> None:
    """Signals that are served, and one that ends the run: always between two blocks."""
    rng = random.Random(3)
    ram = thumb_programs.pointers(rng)
    # movw r8, #n; add.w r8, r8, r8 … subs.w r8, #1; bne: a loop around predicated and chasing
    # accesses
    body = bytes.fromhex("0168 0a68 1368 0029 08bf 1468 1568 0130 0138 02f10402")
    code = bytes.fromhex("4ff00050 4ff6ff78 08eb0808") + body
    distance = -(len(body) + 4 + 4) // 2
    code += bytes.fromhex("b8f10108") + (0xD100 | distance & 0xFF).to_bytes(2, "little")
    code += bytes.fromhex("7047")
    whole = run_captured(code, ram)
    engine = make_engine(code, ram)
    chunks: list[Chunk] = []
    capture = Capture(engine, lambda _a: None, on_chunk=chunks.append, capacity_blocks=capacity)
    capture.attach()
    served: list[int] = []

    def handler(number: int, frame: object) -> None:
        if frame is None:  # else it was not served by the run
            served.append(number)
            if len(served) % 2 == 0:
                raise _Enough

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    pc, ends = CODE_ADDRESS, 0
    try:
        while True:
            try:
                capture.before_run()
                try:
                    engine.run(pc, END_ADDRESS)
                    break
                finally:
                    capture.after_run()
            except _Enough:
                ends += 1
                pc = engine.read_pc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    engine.close()
    assert ends >= 1
    assert capture.instructions == whole.capture.instructions
    # Ids are by order of first appearance, which ends do not change.
    np.testing.assert_array_equal(np.concatenate([c.blocks for c in chunks]), whole.blocks)
    addresses = [resolve(chunk, capture.plan()) for chunk in chunks]
    np.testing.assert_array_equal(np.concatenate(addresses), whole.addresses)


def test_stops_by_another_thread() -> None:
    """They take effect between two blocks."""
    # movw r0, #65535; add.w r0, r0, r0 (twice); push {r1}; pop {r1}; subs r0, #1; bne; bx lr
    code = bytes.fromhex("4ff6ff70 00eb0000 00eb0000 02b4 02bc 0138 fbd1 7047")
    whole = run_captured(code)
    engine = make_engine(code)
    chunks: list[Chunk] = []
    capture = Capture(engine, lambda _a: None, on_chunk=chunks.append)
    capture.attach()
    done = threading.Event()

    def nag() -> None:
        while not done.wait(0.0005):
            engine.stop()

    thread = threading.Thread(target=nag)
    thread.start()
    capture.before_run()
    pc, stops = CODE_ADDRESS, 0
    while (stop := engine.run(pc, END_ADDRESS)).kind != "until":
        assert stop.kind == "stopped"
        pc, stops = stop.pc, stops + 1
    done.set()
    thread.join()
    capture.after_run()
    engine.close()
    assert stops >= 1
    assert capture.instructions == whole.capture.instructions
    np.testing.assert_array_equal(np.concatenate([c.blocks for c in chunks]), whole.blocks)


def test_error_of_the_consumer_ends_the_run_and_comes_out() -> None:
    engine = make_engine(WILD)
    seen: list[int] = []

    def refuse(chunk: Chunk) -> None:
        seen.append(chunk.blocks.size)
        raise ValueError("enough")

    capture = Capture(engine, lambda _address: None, on_chunk=refuse, capacity_blocks=64)
    capture.attach()
    capture.before_run()
    stop = engine.run(CODE_ADDRESS, END_ADDRESS)
    assert stop.kind == "stopped"
    with pytest.raises(ValueError, match="enough"):
        capture.after_run()
    assert seen == [64]
    engine.close()


def test_stop_from_the_consumer() -> None:
    engine = make_engine(WILD)
    chunks: list[Chunk] = []

    def third(chunk: Chunk) -> None:
        chunks.append(chunk)
        if len(chunks) == 3:
            capture.stop("cycles")

    capture = Capture(engine, lambda _address: None, on_chunk=third, capacity_blocks=10)
    capture.attach()
    capture.before_run()
    assert engine.run(CODE_ADDRESS, END_ADDRESS).kind == "stopped"
    capture.after_run()
    assert capture.stop_reason == "cycles"
    assert [chunk.blocks.size for chunk in chunks] == [10, 10, 10]
    assert capture.instructions == 30
    engine.close()


def test_second_run_notices_code_written_in_between() -> None:
    engine = make_engine(bytes.fromhex("01207047"))  # movs r0, #1; bx lr
    chunks: list[Chunk] = []
    capture = Capture(engine, lambda _address: None, on_chunk=chunks.append)
    capture.attach()
    for code in ("01207047", "02207047", "01207047"):
        engine.write(CODE_ADDRESS, bytes.fromhex(code))
        capture.before_run()
        engine.run(CODE_ADDRESS, END_ADDRESS)
        capture.after_run()
    assert [chunk.blocks.tolist() for chunk in chunks] == [[0], [1], [0]]
    assert capture.code.instructions[2].text.replace(" ", "").endswith("#2")
    engine.close()


def test_detached_capture_sees_nothing() -> None:
    engine = make_engine(PROGRAMS["predicated_both"].code)
    chunks: list[Chunk] = []
    capture = Capture(engine, lambda _address: None, on_chunk=chunks.append)
    capture.attach()
    capture.detach()
    capture.before_run()
    engine.run(CODE_ADDRESS, END_ADDRESS)
    capture.after_run()
    assert chunks == []
    engine.close()


def test_finished_blocks_can_be_had_in_mid_run() -> None:
    """As for a clock that firmware reads: everything but the block that is executing."""
    program = PROGRAMS["predicated_both"].code
    whole = run_captured(program)
    engine = make_engine(program)
    chunks: list[Chunk] = []
    capture = Capture(engine, lambda _a: None, on_chunk=chunks.append)
    capture.attach()

    class Clock(MemoryWatch):
        def _note(self, address: int, size: int, *, store: bool) -> None:
            super()._note(address, size, store=store)
            capture.deliver_finished()

    Clock(engine)
    capture.before_run()
    assert engine.run(CODE_ADDRESS, END_ADDRESS).kind == "until"
    capture.after_run()
    engine.close()
    assert len(chunks) > 3
    addresses = np.concatenate([resolve(chunk, capture.plan()) for chunk in chunks])
    np.testing.assert_array_equal(np.concatenate([c.blocks for c in chunks]), whole.blocks)
    np.testing.assert_array_equal(addresses, whole.addresses)


def test_undecodable_code_that_faults_is_the_machines_to_tell() -> None:
    captured = run_captured(bytes.fromhex("0120 ffde"))  # movs; permanently undefined
    assert captured.outcome.end in ("instruction", "exception")


def test_undecodable_code_that_executes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: BlockSource) -> object:
        raise UndecodableError("no such instruction", where=f"{source.address:#x}")

    monkeypatch.setattr(blocks, "decode_block", refuse)
    with pytest.raises(InputError, match="no such instruction"):
        run_captured(PROGRAMS["indexed"].code)
    with pytest.raises(InputError, match="no such instruction"):  # a single block
        run_captured(bytes.fromhex("01207047"))


def test_it_conditions_from_epsr() -> None:
    assert it_conditions(0x0100_0000) == ()
    # ITSTATE 0b0000_0100 after itt eq has done two of three: one condition left
    assert it_conditions(0x0100_0000 | (0x08 >> 2) << 10) == (0,)
    assert it_conditions(0x0100_0000 | (0x1E >> 2) << 10 | 2 << 25) == (1, 1, 1)
    assert it_conditions((0xC5 >> 2) << 10 | 1 << 25) == (12, 12, 13, 12)[:4]


class FakeEngine:
    def __init__(self) -> None:
        self.hooks: dict[int, tuple[int, int]] = {}
        self.deleted = 0

    def hook_add_native(
        self, kind: str, function_address: int, user_data: int, begin: int = 1, end: int = 0
    ) -> int:
        assert kind == "code"
        number = len(self.hooks) + self.deleted
        self.hooks[number] = begin, end
        return number

    def hook_del(self, hook: int) -> None:
        del self.hooks[hook]
        self.deleted += 1


def test_sites_are_covered_by_few_disjoint_ranges() -> None:
    engine = FakeEngine()
    sites = SiteHooks(engine, State())
    rng = np.random.default_rng(1)
    addresses = (0x0800_0000 + 2 * rng.integers(0, 1 << 17, 3000)).tolist()
    for address in addresses:
        sites.install((Site(address, 0, ((0, 1),)),), tuple(range(16)))
    ranges = sorted(engine.hooks.values())
    assert len(ranges) <= MOST_RANGES
    assert sites.ranges == ranges
    assert all(a[1] < b[0] for a, b in itertools.pairwise(ranges))
    assert all(any(low <= address <= high for low, high in ranges) for address in addresses)
    assert engine.deleted < 100  # the engine walks deleted hooks too
    assert not sites.install((Site(addresses[0], 0, ((0, 1),)),), tuple(range(16)))


def test_hash_table() -> None:
    state = State()
    table = HashTable(state, 0, 1, 2)
    rng = np.random.default_rng(2)
    addresses = (2 * rng.integers(0, 1 << 31, 5000)).tolist()
    known = {address: i for i, address in enumerate(addresses)}
    for address, value in known.items():
        table.put(address, value)
    table.put(addresses[0], -5)
    known[addresses[0]] = -5
    assert all(table.get(address) == value for address, value in known.items())
    assert table.get(0x1001_0000 + 1) is None


def test_host_call_sees_registers_before_the_host_changes_them() -> None:
    # mov.w r0, #0x20000000; ldr r0, [r0]; ldr r1, [r0]; bkpt; ldr r2, [r0]; bx lr
    code = bytes.fromhex("4ff00050 0068 0168 abbe 0268 7047")
    engine = make_engine(code, (0x2000_0100).to_bytes(4, "little"))
    chunks: list[Chunk] = []
    capture = Capture(engine, lambda _address: None, on_chunk=chunks.append)
    capture.attach()
    capture.before_run()
    stop = engine.run(CODE_ADDRESS, END_ADDRESS)
    assert (stop.kind, stop.pc) == ("exception", CODE_ADDRESS + 8)
    capture.before_host_call()
    engine.write_register("r0", 0x2000_0200)
    assert engine.run(stop.pc + 2, END_ADDRESS).kind == "until"
    capture.after_run()
    engine.close()
    (chunk,) = chunks
    expected = [0x2000_0000, 0x2000_0100, 0x2000_0200]
    assert resolve(chunk, capture.plan()).tolist() == expected
    assert capture.blocks.plans[0].exit == (0,)
    assert capture.instructions == 6


_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)


@pytest.mark.parametrize("kind", ["block", "code"])
@pytest.mark.parametrize("name", ["predicated_both", "pointer_chase", "page_crossing"])
def test_stops_from_outside_do_not_disturb(name: str, kind: str) -> None:
    """A signal stops the engine between a block's report and its execution, or at a hook."""
    program = PROGRAMS[name].code
    whole = run_captured(program)
    engine = make_engine(program)
    addresses: list[np.ndarray] = []
    capture = Capture(
        engine,
        lambda _address: None,
        on_chunk=lambda chunk: addresses.append(resolve(chunk, capture.plan())),
    )
    capture.attach()
    events = 0

    def stop_at_every_other(_uc: int, address: int, _size: int, _data: int) -> None:
        nonlocal events
        # Where nothing is hooked, the engine does not look whether to stop; and at the head of a
        # loop a block that did not end looks like one that did (see m7sim.trace.capture).
        hooked = {site.address for plan in capture.blocks.plans for site in plan.sites}
        heads = {instruction.target for instruction in capture.code.instructions}
        if kind == "code" and address not in hooked - heads:
            return
        events += 1
        if events % 2:
            engine.stop()

    callback = _HOOK(stop_at_every_other)
    engine.hook_add_native(kind, ctypes.cast(callback, ctypes.c_void_p).value or 0, 0)
    engine.flush_translations()
    capture.before_run()
    pc, stops = CODE_ADDRESS, 0
    while (stop := engine.run(pc, END_ADDRESS)).kind != "until":
        assert stop.kind == "stopped"
        capture.unexecuted_block()
        pc, stops = stop.pc, stops + 1
    capture.after_run()
    engine.close()
    assert stops >= 1
    assert capture.instructions == whole.capture.instructions
    np.testing.assert_array_equal(np.concatenate(addresses), whole.addresses)


class _NoEngine:
    handle = 0

    def read_register(self, _name: str) -> int:
        return 0

    def write_register(self, _name: str, _value: int) -> None:
        return


def test_registers_are_found_in_the_engine() -> None:
    engine = make_engine(WILD)
    engine.write_register("r3", 0x1234)
    address = direct.locate_registers(engine)
    if Path("/proc/self/mem").exists():
        assert address
        words = (ctypes.c_uint32 * 15).from_address(address)
        assert (words[3], words[13]) == (0x1234, engine.read_register("sp"))
    engine.close()


def test_registers_that_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_known", set())
    assert direct.locate_registers(_NoEngine()) == 0


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_asking_the_engine_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What machines without /proc do."""
    direct_ones = run_captured(PROGRAMS[name].code, capacity_blocks=3)
    monkeypatch.setattr(capture_module, "locate_registers", lambda _engine: 0)
    asked = run_captured(PROGRAMS[name].code, capacity_blocks=3)
    for one, other in zip(direct_ones.chunks, asked.chunks, strict=True):
        np.testing.assert_array_equal(one.blocks, other.blocks)
        np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(direct_ones.addresses, asked.addresses)


def test_registers_in_a_wrong_place_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.zeros(16, np.uint32)
    monkeypatch.setattr(capture_module, "locate_registers", lambda _engine: words.ctypes.data)
    with pytest.raises(RuntimeError, match="where they were found"):
        run_captured(PROGRAMS["indexed"].code)
