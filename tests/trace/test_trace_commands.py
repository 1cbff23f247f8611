"""Traces on the command line: what they cost is told, a replay is the run again, bad files."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import m7sim
from m7sim import cli, toolchain
from m7sim.trace.battery import programs
from m7sim.trace.chunk import Chunk
from m7sim.trace.packing import first_slots
from m7sim.trace.rig import run_captured
from m7sim.trace.store import load_trace
from m7sim.trace.writer import TraceWriter

DATA = Path(__file__).parents[1] / "data"


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must fail with exit code 2 and one message; return that."""

    def run(*arguments: str | Path) -> str:
        capsys.readouterr()
        assert cli.main([*map(str, arguments)]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        return message

    return run


@pytest.fixture(scope="module")
def elf() -> Path:
    return toolchain.build(
        [DATA / "session.c"],
        linker_script=DATA / "session.ld",
        flags=("-O2", "-g3", "-ffreestanding", "-fno-optimize-sibling-calls"),
        link_flags=("-nostdlib",),
    )


@pytest.fixture
def trace(elf: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.npz"
    m7sim.load(elf).run(trace=path)
    return path


def output_of(path: Path, *arguments: str | Path) -> str:
    assert cli.main([*map(str, arguments), "-o", str(path)]) == 0
    return path.read_text("utf-8")


@pytest.mark.toolchain
def test_size_of_the_trace_is_in_the_report(elf: Path, tmp_path: Path) -> None:
    trace, report = tmp_path / "run.npz", tmp_path / "report"
    document = json.loads(output_of(report, "run", "--json", "--trace", trace, elf))
    assert document["trace_bytes"] == trace.stat().st_size
    each = document["trace_bytes"] / document["instructions"]
    assert document["trace_bytes_per_instruction"] == each
    text = output_of(report, "run", "--trace", trace, elf)
    row = next(line for line in text.splitlines() if line.startswith("trace "))
    assert f"{each:.2g} bytes per instruction" in row
    without = json.loads(output_of(report, "run", "--json", elf))
    assert without["trace_bytes"] is without["trace_bytes_per_instruction"] is None
    assert "bytes per instruction" not in output_of(report, "run", elf)


@pytest.mark.toolchain
def test_replay_reports_what_run_did(elf: Path, trace: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    ran = json.loads(output_of(report, "run", "--json", elf))
    replayed = json.loads(output_of(report, "replay", "--json", trace))
    assert replayed["stop_reason"] == "replay"
    assert replayed["trace_bytes"] == trace.stat().st_size
    differing = {key for key in ran if ran[key] != replayed[key]}
    assert differing == {
        "stop_reason", "message", "exit_code", "console", "trace_bytes",
        "trace_bytes_per_instruction",
    }  # fmt: skip
    text = output_of(report, "replay", trace)
    assert "replayed from" in text
    slower = output_of(report, "replay", "--clock", "50MHz", "--elf", elf, trace)
    assert "stm32f746 at 50 MHz" in slower


@pytest.mark.toolchain
def test_calls_for_progress(trace: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    result = m7sim.replay(trace, on_chunk=lambda *told: seen.append(told))
    chunks = len(seen)
    assert seen == [(i, chunks, result.instructions) for i in range(chunks)]


@pytest.mark.toolchain
def test_cut_trace(trace: Path, refused: Refused) -> None:
    whole = trace.read_bytes()
    trace.write_bytes(whole[: len(whole) // 2])
    assert "not a trace, or a damaged one. Record it again" in refused("replay", trace)


@pytest.mark.toolchain
def test_trace_whose_chunks_are_damaged(trace: Path, refused: Refused) -> None:
    """The code is sound; what is wrong is met half-way through the replay."""
    with np.load(trace) as old:
        content = {name: old[name] for name in old.files}
    content["group0/blocks"] = np.array([0x80], np.uint8)
    np.savez(trace, **content)
    assert "group 0 of its chunks is damaged" in refused("replay", trace)


def test_files_that_are_no_traces(tmp_path: Path, refused: Refused) -> None:
    assert "no such trace" in refused("replay", tmp_path / "none.npz")
    other = tmp_path / "other.npz"
    np.savez(other, x=np.zeros(3))
    assert "not a trace" in refused("replay", other)


def test_trace_of_the_version_before(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "old.npz"
    header = b'{"schema": "m7sim.trace", "schema_version": 2}'
    np.savez(path, header=np.frombuffer(header, np.uint8))
    message = refused("replay", path)
    assert "schema version 2" in message
    assert "m7sim run --trace" in message


@pytest.mark.toolchain
def test_folder_that_is_not_there(elf: Path, tmp_path: Path, refused: Refused) -> None:
    message = refused("run", "--trace", tmp_path / "no" / "t.npz", elf)
    assert "cannot write the trace: No such file or directory" in message


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Columns of 100 MB are written and read with a few."""
    program = next(p for p in programs() if p.name == "pointer_chase")
    captured = run_captured(program.code)
    first = first_slots(captured.capture.plan().values)
    blocks = np.resize(captured.blocks, 1 << 16)
    size = int((first[blocks + 1] - first[blocks]).sum())
    random = np.random.default_rng(1)
    none: Any = np.zeros(0, np.int32)
    image = SimpleNamespace(path="fw.elf", sha256="ab" * 32, entry=1)
    raw_bytes = 0

    def chunk() -> Chunk:
        values = np.arange(size, dtype=np.uint32)
        values[::7] = random.integers(1 << 32, size=values[::7].size, dtype=np.uint32)
        return Chunk(blocks, values, none, none.view(np.uint32), none.view(np.uint32))

    tracemalloc.start()
    try:
        writer = TraceWriter(captured.capture, image, {}, tmp_path / "t.npz")
        while raw_bytes < 100_000_000:
            made = chunk()
            writer.add(made)
            raw_bytes += made.stored_bytes
        writer.save()
        writing_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        with load_trace(tmp_path / "t.npz") as saved:
            read_bytes = sum(chunk.stored_bytes for chunk in saved.chunks())
        reading_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read_bytes == raw_bytes
    assert writing_bytes < 30_000_000
    assert reading_bytes < 40_000_000
