"""Reconstructed addresses against memory hooks, on random programs."""

from __future__ import annotations

import random
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from m7sim.isa.code import NO_ACCESS
from m7sim.jit import plain
from m7sim.trace import chunk as chunks
from m7sim.trace.battery import CODE_ADDRESS, programs
from m7sim.trace.oracle import Access, differences
from m7sim.trace.rig import (
    CODE_BYTES,
    ITCM_ADDRESS,
    ITCM_BYTES,
    RAM_ADDRESS,
    RAM_BYTES,
    run_captured,
    run_plain,
    run_watched,
)

PROGRAMS = {program.name: program for program in programs()}


def _before_the_fault(seen: list[Access]) -> list[Access]:
    """Cut off the instruction that faulted, and what the engine did behind it in an IT block."""
    for i, access in enumerate(seen):
        last = access.address + access.size_bytes - 1
        writable = ((RAM_ADDRESS, RAM_BYTES), (ITCM_ADDRESS, ITCM_BYTES))
        memory = writable if access.store else (*writable, (CODE_ADDRESS, CODE_BYTES))
        if any(start <= access.address and last < start + size for start, size in memory):
            continue
        while i and seen[i - 1].pc == access.pc:
            i -= 1
        return seen[:i]
    return seen


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), capacity=st.sampled_from([1, 2, 3, 7, 4096]))
@example(seed=54819, capacity=1)  # a base loaded before the access that faults with write-back
def test_random_programs(thumb_programs: ModuleType, seed: int, capacity: int) -> None:
    rng = random.Random(seed)
    ram = thumb_programs.pointers(rng)
    code = thumb_programs.Generator(rng).program()
    unhooked = run_plain(code, ram)
    captured = run_captured(code, ram, capacity_blocks=capacity)
    watched, seen = run_watched(code, ram)
    assert captured.outcome.end == unhooked.end == watched.end
    if unhooked.end == "until":
        assert not unhooked.difference(captured.outcome)
        assert not unhooked.difference(watched)
    else:  # it faulted: the access that did so is not part of the trace
        seen = _before_the_fault(seen)
        assert captured.outcome.register("pc") == unhooked.register("pc")
    assert not differences(captured.accesses(), seen)


def test_generator_reaches_the_end_mostly(thumb_programs: ModuleType) -> None:
    """Else the property above would say little."""
    ends = []
    for seed in range(40):
        rng = random.Random(seed)
        ram = thumb_programs.pointers(rng)
        ends.append(run_plain(thumb_programs.Generator(rng).program(), ram).end)
    assert ends.count("until") > 30


@pytest.mark.parametrize("name", sorted(PROGRAMS))
@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_chunk_boundaries_do_not_matter(name: str, capacity: int) -> None:
    whole = run_captured(PROGRAMS[name].code)
    pieces = run_captured(PROGRAMS[name].code, capacity_blocks=capacity)
    assert all(chunk.blocks.size <= capacity for chunk in pieces.chunks)
    np.testing.assert_array_equal(whole.blocks, pieces.blocks)
    np.testing.assert_array_equal(whole.addresses, pieces.addresses)


@pytest.mark.parametrize("name", ["derived", "pointer_chase", "predicated_both", "page_crossing"])
def test_unjitted_resolve_agrees(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    captured = run_captured(PROGRAMS[name].code)
    monkeypatch.setattr(chunks, "_resolve", plain(chunks._resolve))
    plan = captured.capture.plan()
    again = np.concatenate([chunks.resolve(chunk, plan) for chunk in captured.chunks])
    np.testing.assert_array_equal(captured.addresses, again)


def test_failed_predicated_access_is_in_the_trace() -> None:
    captured = run_captured(PROGRAMS["predicated_both"].code)
    code = captured.capture.code
    rows = [
        code.instructions[first + i]
        for first, count in (code.blocks[b] for b in captured.blocks.tolist())
        for i in range(count)
        if code.instructions[first + i].memory
    ]
    assert len(rows) == len(captured.addresses)
    failed = {i.text for i, a in zip(rows, captured.addresses, strict=True) if a == NO_ACCESS}
    happened = {i.text for i, a in zip(rows, captured.addresses, strict=True) if a != NO_ACCESS}
    both = failed & happened
    assert len(both) >= 5
    assert all(i.predicated for i in rows if i.text in failed)


def test_cheap_ways_are_taken() -> None:
    """A loop over arrays needs its two pointers and nothing else."""
    captured = run_captured(PROGRAMS["indexed"].code)
    assert all(not plan.sites and not plan.exit for plan in captured.capture.blocks.plans)
    loop = max(captured.capture.blocks.plans, key=lambda plan: len(plan.entry))
    assert loop.entry == (0, 1)
    derived = run_captured(PROGRAMS["derived"].code)
    tables = max(derived.capture.blocks.plans, key=lambda plan: len(plan.steps))
    assert len(tables.steps) >= 15
    assert (tables.entry, tables.exit, tables.sites) == ((0, 1, 2, 7), (), ())
    chase = run_captured(PROGRAMS["pointer_chase"].code)
    assert any(plan.exit for plan in chase.capture.blocks.plans)


def test_overwritten_code_becomes_new_blocks() -> None:
    captured = run_captured(PROGRAMS["overwritten"].code)
    sources = captured.capture.blocks.sources
    at = [source for source in sources if source.address == 0x2000_0C00]
    assert len(at) == len({source.data for source in at}) == 2
    ids = [i for i, source in enumerate(sources) if source.address == 0x2000_0C00]
    order = [b for b in captured.blocks.tolist() if b in ids]
    first, second = ids
    assert order == [first, first, second] * 2
