"""Saved traces: identical when read back, refused when damaged."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from m7sim.errors import InputError
from m7sim.trace.battery import programs
from m7sim.trace.chunk import Chunk, resolve
from m7sim.trace.rig import Captured, run_captured
from m7sim.trace.store import TraceWriter, load_trace, save_trace

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
    assert header["schema_version"] == 2
    assert header["elf"] == {"name": "fw.elf", "sha256": "ab" * 32, "entry": 0x0800_0001}
    assert header["run"] == {"arguments": "a b"}
    assert set(header["tools"]) == {"m7sim", "unicorn", "capstone"}


def test_numpy_opens_it(saved: Path) -> None:
    with np.load(saved) as members:
        assert json.loads(members["header"].tobytes())["schema"] == "m7sim.trace"
        assert members["chunk0/blocks"].dtype == np.int32


def test_same_run_same_bytes(captured: Captured, saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.npz"
    save_trace(again, captured.capture, IMAGE, captured.chunks, {"arguments": "a b"})
    assert again.read_bytes() == saved.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npz", "trace.npz"]


def test_chunks_are_read_one_at_a_time(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    take = zipfile.ZipFile.open

    def noting(self: zipfile.ZipFile, name: Any, *arguments: Any, **options: Any) -> Any:
        read.append(name)
        return take(self, name, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "open", noting)
    with load_trace(saved) as trace:
        assert not any(name.startswith("chunk") for name in read)
        next(trace.chunks())
        assert {name.split("/")[0] for name in read if name.startswith("chunk")} == {"chunk0"}


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
    header = np.frombuffer(b'{"schema": "m7sim.trace", "schema_version": 9}', np.uint8)
    rewrite(saved, header=header)
    expect_refused(saved, "schema version 9")


@pytest.mark.parametrize(
    "members",
    [
        {"chunk1__blocks": np.array([0, 99], np.int32)},
        {"chunk1__blocks": np.array([-1], np.int32)},
        {"chunk1__values": np.zeros(1, np.uint32)},
        {"chunk1__values": None},
        {"chunk1__site_pc": np.zeros(0, np.uint32)},
        {"chunk1__blocks": np.zeros(2, np.int64)},
        {"chunk1__blocks": np.array([None], object)},
        {"plan_term_value": None},
        {"plan_values": np.zeros(1, np.int32)},
        {"plan_access_first": np.array([0, 5, 2], np.int32)},
        {"block_data": np.zeros(10, np.uint8)},
        {"block_address": np.zeros(1, np.uint32)},
    ],
)
def test_damage_is_noticed(saved: Path, members: dict[str, Any]) -> None:
    rewrite(saved, **members)
    with pytest.raises(InputError):
        list(load_trace(saved).chunks())


def test_unwritable(captured: Captured, tmp_path: Path) -> None:
    writer = TraceWriter(captured.capture, IMAGE, {})
    with pytest.raises(InputError, match="cannot write the trace"):
        writer.save(tmp_path / "no" / "such" / "folder.npz")


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
