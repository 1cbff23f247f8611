"""Saved traces: identical when read back, refused when damaged."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from m7sim.errors import InputError
from m7sim.trace import store, writer
from m7sim.trace.battery import programs
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.rig import Captured, run_captured
from m7sim.trace.store import load_trace
from m7sim.trace.writer import TraceWriter, save_trace

PROGRAMS = {program.name: program for program in programs()}
TRACES = Path(__file__).parents[2] / "traces"
IMAGE = SimpleNamespace(path="/some/where/fw.elf", sha256="ab" * 32, entry=0x0800_0001)


@pytest.fixture(scope="module")
def captured() -> Captured:
    return run_captured(PROGRAMS["predicated_both"].code, capacity_blocks=3)


@pytest.fixture
def saved(captured: Captured, tmp_path: Path) -> Path:
    path = tmp_path / "trace.npz"
    save_trace(path, captured.capture, IMAGE, captured.chunks, {"arguments": "a b"})
    return path


def same(one: Chunk, other: Chunk) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in Chunk.__slots__
    )


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_read_back_is_identical(name: str, tmp_path: Path) -> None:
    captured = run_captured(PROGRAMS[name].code, capacity_blocks=4)
    save_trace(tmp_path / "t.npz", captured.capture, IMAGE, captured.chunks, {})
    with load_trace(tmp_path / "t.npz") as trace:
        assert len(trace) == len(captured.chunks)
        assert all(map(same, trace.chunks(), captured.chunks))
        assert trace.code.instructions == captured.capture.code.instructions
        assert trace.code.blocks == captured.capture.code.blocks
        addresses = [resolve(chunk, trace.plan()) for chunk in trace.chunks()]
        np.testing.assert_array_equal(np.concatenate(addresses), captured.addresses)
        assert trace.header["instructions"] == captured.capture.instructions


def test_header(saved: Path) -> None:
    with load_trace(saved) as trace:
        header = trace.header
    assert header["schema"] == "m7sim.trace"
    assert header["schema_version"] == 3
    assert header["elf"] == {"name": "fw.elf", "sha256": "ab" * 32, "entry": 0x0800_0001}
    assert header["run"] == {"arguments": "a b"}
    assert set(header["tools"]) == {"m7sim", "unicorn", "capstone"}


def test_numpy_opens_it(saved: Path) -> None:
    with np.load(saved) as members:
        assert json.loads(members["header"].tobytes())["schema"] == "m7sim.trace"
        assert members["group0/chunks"].dtype == np.int64


def test_same_run_same_bytes(captured: Captured, saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.npz"
    save_trace(again, captured.capture, IMAGE, captured.chunks, {"arguments": "a b"})
    assert again.read_bytes() == saved.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npz", "trace.npz"]


def test_chunks_are_read_one_group_at_a_time(
    captured: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_CHUNKS", 2)
    path = tmp_path / "t.npz"
    save_trace(path, captured.capture, IMAGE, captured.chunks, {})
    read: list[str] = []
    take = zipfile.ZipFile.read

    def noting(self: zipfile.ZipFile, name: zipfile.ZipInfo, *rest: Any) -> bytes:
        read.append(name.filename)
        return take(self, name, *rest)

    monkeypatch.setattr(zipfile.ZipFile, "read", noting)
    with load_trace(path) as trace:
        assert len(trace) == len(captured.chunks) > 4
        assert not any(name.startswith("group") and "/" in name for name in read)
        next(trace.chunks())
        assert {name.split("/")[0] for name in read if "/" in name} == {"group0"}
        assert all(same(trace.chunk(i), chunk) for i, chunk in enumerate(captured.chunks))
        for index in (-1, len(trace)):
            with pytest.raises(IndexError):
                trace.chunk(index)


def rewrite(path: Path, **members: Any) -> None:
    """Replace members; None drops one."""
    with np.load(path) as old:
        content = {name: old[name] for name in old.files}
    content.update({name.replace("__", "/"): value for name, value in members.items()})
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


def expect_refused(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as told:
        list(load_trace(path).chunks())
    assert told.value.where == str(path)


def test_refused(saved: Path, tmp_path: Path) -> None:
    expect_refused(tmp_path / "none.npz", "no such trace")
    other = tmp_path / "other.npz"
    other.write_bytes(b"not a zip")
    expect_refused(other, "not a trace")
    np.savez(other, x=np.zeros(3))
    expect_refused(other, "not a trace")
    other.write_bytes(saved.read_bytes()[:-100])
    expect_refused(other, "not a trace")


def test_other_version_is_refused(saved: Path) -> None:
    """A trace of the schema before says how to get one of today."""
    header = np.frombuffer(b'{"schema": "m7sim.trace", "schema_version": 2}', np.uint8)
    rewrite(saved, header=header)
    expect_refused(saved, r"schema version 2; this m7sim reads 3\. .* m7sim run --trace FILE")


def header_with(path: Path, **changes: Any) -> np.ndarray[Any, Any]:
    with load_trace(path) as trace:
        header = {**trace.header, **changes}
    return np.frombuffer(json.dumps(header).encode(), np.uint8)


@pytest.mark.parametrize(
    "changes",
    [
        {"instructions": -1},
        {"instructions": "many"},
        {"instructions": None},
        {"chunks": 1 << 60},
        {"chunks": 1.5},
        {"run": []},
        {"elf": None},
    ],
)
def test_wrong_header(saved: Path, changes: dict[str, Any]) -> None:
    rewrite(saved, header=header_with(saved, **changes))
    expect_refused(saved, "damaged")


@pytest.mark.parametrize("header", [b"[]", b"3", b"{", b"\xff", b"[" * 100_000, b""])
def test_header_that_is_none(saved: Path, header: bytes) -> None:
    rewrite(saved, header=np.frombuffer(header, np.uint8))
    expect_refused(saved, "not a trace")


I32, I64, U8, U32 = np.int32, np.int64, np.uint8, np.uint32


@pytest.mark.parametrize(
    "members",
    [
        {"group0__chunks": np.array([2, 0], I64)},  # fewer chunks than the directory says
        {"group0__chunks": None},
        {"group_chunks": np.array([-1], I64)},
        {"group_chunks": np.array([1 << 40], I64)},
        {"group_chunks": np.zeros(1, I64)},
        {"group0__blocks": np.array([1, 99], U8)},  # an unknown block
        {"group0__blocks": np.array([0x80], U8)},  # a number that does not end
        {"group0__blocks": np.array([0xFF] * 9 + [1], U8)},  # one that is too long
        {"group0__blocks": np.array([1], U8)},  # no block behind the gap
        {"group0__blocks": np.zeros(2, I64)},
        {"group0__blocks": np.array([None], object)},
        {"group0__blocks": np.zeros((2, 2), U8)},
        {"group0__values": np.array([7], U8)},  # more bytes than a value has
        {"group0__values": None},
        {"group0__value_bytes": None},
        {"group0__value_bytes": np.zeros(500, U8)},  # more than is asked for
        {"group0__sites": np.array([0, 99], U8)},  # an unknown site
        {"group0__sites": None},
        {"group0__addresses": np.array([1], U8)},
        {"site_pcs": np.zeros(0, U32)},
        {"plan_term_value": None},
        {"plan_values": np.zeros(1, I32)},
        {"plan_access_first": np.array([0, 5, 2], I32)},
        {"block_data": np.zeros(10, U8)},
        {"block_address": np.zeros(1, U32)},
        {"block_first": np.array([-5, 0], I64)},
    ],
)
def test_damage_is_noticed(saved: Path, members: dict[str, Any]) -> None:
    rewrite(saved, **members)
    expect_refused(saved, "damaged")


@pytest.mark.parametrize("size", [(-1, 0), (1 << 40, 0), (0, 1 << 40), (0, -1), (0, 5), (1, 5)])
def test_sizes_that_cannot_be(saved: Path, size: tuple[int, int]) -> None:
    """A file of some kilobytes must not make its reader ask for all memory there is."""
    with load_trace(saved) as trace:
        chunks = np.zeros((len(trace), 2), I64)
    chunks[0] = size
    rewrite(saved, group0__chunks=chunks.reshape(-1))
    expect_refused(saved, "group 0 of its chunks is damaged")


def test_member_that_is_too_large(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by what it claims to unpack to, before it is unpacked."""
    monkeypatch.setattr(store, "MOST_STREAM_BYTES", 1 << 16)
    rewrite(saved, group0__value_bytes=np.zeros(1 << 20, U8))
    unpacked: list[int] = []
    take = zipfile.ZipFile.read

    def noting(self: zipfile.ZipFile, info: zipfile.ZipInfo, *rest: Any) -> bytes:
        unpacked.append(info.file_size)
        return take(self, info, *rest)

    monkeypatch.setattr(zipfile.ZipFile, "read", noting)
    expect_refused(saved, "damaged")
    assert max(unpacked) < 1 << 20


def test_plans_that_lead_outside(saved: Path) -> None:
    with load_trace(saved) as trace:
        plan = trace.plan()
    for name in ("access_first", "step_first", "term_first", "operand_term_first"):
        column = getattr(plan, name)
        for place in {0, column.size // 2, column.size - 1}:
            for shift in (-1000, -1, 1, 1000):
                wrong = column.copy()
                wrong[place] += shift
                copy = saved.with_name("wrong.npz")
                copy.write_bytes(saved.read_bytes())
                rewrite(copy, **{f"plan_{name}": wrong})
                expect_refused(copy, "damaged")
    for name in ("values", "term_value"):
        for wrong_value in (-1, 78, 1 << 30):
            wrong = getattr(plan, name).copy()
            wrong[0] = wrong_value
            copy.write_bytes(saved.read_bytes())
            rewrite(copy, **{f"plan_{name}": wrong})
            expect_refused(copy, "damaged")


def test_flipped_and_cut_files(saved: Path) -> None:
    """Whatever happens to the bytes: the same trace, or a message."""
    with load_trace(saved) as trace:
        chunks = list(trace.chunks())
    whole = saved.read_bytes()
    random = np.random.default_rng(5)
    kept = 0
    for turn in range(300):
        data = bytearray(whole)
        if turn % 3 == 0:
            del data[int(random.integers(len(whole))) :]
        for place in random.integers(len(whole), size=int(random.integers(1, 4))).tolist():
            if place < len(data):
                data[place] ^= 1 << int(random.integers(8))
        saved.write_bytes(data)
        found: list[Chunk] | None = None
        with contextlib.suppress(InputError), load_trace(saved) as trace:
            found = list(trace.chunks())
        if found is not None:
            kept += 1
            assert len(found) == len(chunks)
            assert all(map(same, found, chunks))
    assert kept < 150


def test_memory_events_keep_their_places(
    captured: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_CHUNKS", 2)
    written = TraceWriter(captured.capture, IMAGE, {}, tmp_path / "t.npz")
    for index, chunk in enumerate(captured.chunks):
        for n in range(index % 3):
            written.event("maintenance", (index, n))
        written.add(chunk)
    written.save()
    with load_trace(tmp_path / "t.npz") as trace:
        assert len(trace) > 4
        for index in (*range(len(trace)), 0):
            expected = [("maintenance", (index, n)) for n in range(index % 3)]
            assert trace.events(index) == expected


@pytest.mark.parametrize(
    "event",
    [
        [0, "maintenance", [1]],
        [0, "mpu", [1, 2]],
        [0, "caches", []],
        [0, "storm", [1, 2]],
        [0, "caches", [-1, 0]],
        [0, "caches", [1, 1 << 32]],
        [0, "caches", 3],
        [0, ["caches"], [1, 1]],
        [-1, "caches", [1, 1]],
        [0],
        7,
    ],
)
def test_wrong_memory_events(saved: Path, event: Any) -> None:
    member = np.frombuffer(json.dumps([event]).encode(), np.uint8)
    rewrite(saved, group0__memory_events=member)
    with load_trace(saved) as trace, pytest.raises(InputError, match="memory events of group 0"):
        trace.events(0)


def test_size_is_told(saved: Path, captured: Captured) -> None:
    with load_trace(saved) as trace:
        assert trace.stored_bytes == saved.stat().st_size
        assert trace.instructions == captured.capture.instructions
        assert trace.bytes_per_instruction == trace.stored_bytes / trace.instructions


def test_header_without_the_run(saved: Path) -> None:
    with load_trace(saved) as trace:
        assert trace.run_text("arguments") == "a b"
        with pytest.raises(InputError, match="does not tell the board"):
            trace.run_text("board")
        with pytest.raises(InputError, match="does not tell the clock_hz"):
            _ = trace.clock_hz


def test_unwritable(captured: Captured, tmp_path: Path) -> None:
    """It is told before the run, not after hours of it."""
    for path in (tmp_path / "no" / "such" / "folder.npz", tmp_path, Path("/dev/null")):
        with pytest.raises(InputError, match="cannot write the trace"):
            TraceWriter(captured.capture, IMAGE, {}, path)
    assert list(tmp_path.iterdir()) == []
    assert not Path("/dev/null").is_file()


def test_disk_that_gets_full(
    captured: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_CHUNKS", 1)
    writing = TraceWriter(captured.capture, IMAGE, {}, tmp_path / "t.npz")

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(InputError, match="No space left"):
        writing.add(captured.chunks[0])
    writing.close()
    assert list(tmp_path.iterdir()) == []


def test_given_up(captured: Captured, tmp_path: Path) -> None:
    """Nothing appears under the name, and what was there stays."""
    path = tmp_path / "t.npz"
    path.write_text("before")
    writing = TraceWriter(captured.capture, IMAGE, {}, path)
    writing.add(captured.chunks[0])
    assert path.read_text() == "before"
    writing.close()
    assert [p.name for p in tmp_path.iterdir()] == ["t.npz"]
    assert path.read_text() == "before"


def golden_maker() -> ModuleType:
    path = Path(__file__).with_name("make_golden.py")
    spec = importlib.util.spec_from_file_location("make_golden", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", golden_maker().NAMES)
def test_golden(name: str, tmp_path: Path) -> None:
    """Capture still records what it did; after an intended change, make them again."""
    golden_maker().golden(PROGRAMS[name], tmp_path / "now.npz")
    with load_trace(TRACES / f"{name}.npz") as then, load_trace(tmp_path / "now.npz") as now:
        assert len(then) == len(now) > 0
        assert all(map(same, then.chunks(), now.chunks()))
        for old, new in zip(then.plan(), now.plan(), strict=True):
            np.testing.assert_array_equal(old, new)
        assert then.header["elf"] == now.header["elf"]
