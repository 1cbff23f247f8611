"""Snapshots of real code against the binary utilities, and what they leave out."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import m7sim
from m7sim.compare import Snapshot, compare, snapshot
from m7sim.compare.comparison import Comparison
from m7sim.compare.record import shortest

pytestmark = pytest.mark.toolchain

SOURCE = """\
#include <stdint.h>
static const uint16_t weights[5] = {1, 4, 6, 4, 1};
uint32_t total;
__attribute__((noinline)) static uint32_t tap(const uint16_t *p, uint32_t k)
{
    return (uint32_t)p[k] * weights[k];
}
__attribute__((noinline)) uint32_t filter(const uint16_t *in, uint16_t *out, uint32_t n)
{
    for (uint32_t i = 0; i + 5 <= n; i++) {
        uint32_t sum = 0;
        for (uint32_t k = 0; k < 5; k++)
            sum += tap(in + i, k);
        out[i] = (uint16_t)(sum >> 4);
        if (sum & 1)
            total += sum;
    }
    return total;
}
void Reset_Handler(void) { for (;;) {} }
"""
N = 40


@pytest.fixture(scope="module")
def elf(build) -> Path:
    return build("filter.c", SOURCE, "-fno-unroll-loops", "-O1")


@pytest.fixture(scope="module")
def result(elf: Path):
    x = np.random.default_rng(5).integers(0, 1000, N).astype(np.uint16)
    return m7sim.load(elf).call("filter", x, np.zeros_like(x), N)


@pytest.fixture(scope="module")
def taken(result) -> Snapshot:
    return snapshot(result)


def test_totals_are_those_of_the_result(taken: Snapshot, result) -> None:
    t = taken.totals
    assert (t.cycles, t.instructions, t.issue_cycles) == (
        result.cycles, result.instructions, result.issue_cycles,
    )  # fmt: skip
    assert dict(t.stalls) == result.stalls
    assert t.stack_bytes == result.stack_bytes
    assert t.energy_nj == pytest.approx(result.energy.energy_nj, rel=1e-5)
    assert sum(f.cost.cycles for f in taken.functions) == t.cycles
    assert sum(f.instructions for f in taken.functions) == t.instructions


def test_code_bytes_are_the_symbols_that_nm_lists(taken: Snapshot, elf: Path) -> None:
    command = ["arm-none-eabi-nm", "-S", str(elf)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sizes = {
        line.split()[3]: int(line.split()[1], 16)
        for line in listed.splitlines()
        if len(line.split()) == 4
    }
    assert {f.name for f in taken.functions} == {"filter", "tap"}
    assert taken.totals.code_bytes == sizes["filter"] + sizes["tap"]


def test_lines_are_those_of_addr2line(taken: Snapshot, elf: Path) -> None:
    for f in taken.functions:
        assert f.detail is not None
        addresses = [f"{f.address + i.offset_bytes:#x}" for i in f.detail.instructions]
        command = ["arm-none-eabi-addr2line", "-e", str(elf), *addresses]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        expected = [Path(line.split(" ")[0]).name for line in told.splitlines()]
        assert [str(f.detail.lines[i.line]) for i in f.detail.instructions] == expected
        source = SOURCE.splitlines()
        for line in f.detail.lines:
            assert line.text == source[line.line - 1].strip()


def test_instructions_are_those_of_objdump(taken: Snapshot, elf: Path) -> None:
    command = ["arm-none-eabi-objdump", "-d", str(elf)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = {}
    for line in listing.splitlines():
        if found := re.match(r" *([0-9a-f]+):\t[0-9a-f ]+\t(\S+)(?:\t([^@]*))?", line):
            rows[int(found[1], 16)] = (found[2], (found[3] or "").split("@")[0].strip())
    n_branches = n_literals = 0
    for f in taken.functions:
        assert f.detail is not None
        for i in f.detail.instructions:
            name, operands = rows[f.address + i.offset_bytes]
            mine = i.text.split(None, 1)
            name = re.sub(r"\.[nw]$", "", name)
            if operands.startswith("sp!"):
                name = {"stmdb": "push", "ldmia": "pop"}[name]
            assert mine[0].removesuffix(".w") == name, i.text
            if target := re.search(r"<(\S+)>", operands):
                assert mine[1].split(", ")[-1] == target[1]
                n_branches += 1
            elif "[pc" in operands:
                assert re.search(r"=(weights|total)$", mine[1]), i.text
                n_literals += 1
    assert n_branches >= 4
    assert n_literals >= 2


def test_loops_are_those_of_the_source(taken: Snapshot) -> None:
    filter_ = next(f for f in taken.functions if f.name == "filter")
    assert filter_.detail is not None
    outer, inner = filter_.detail.loops
    assert filter_.detail.lines[outer.line].line == 10
    assert filter_.detail.lines[inner.line].line == 12
    assert (outer.parent, inner.parent) == (-1, 0)
    assert (outer.iterations, outer.entries) == (N - 4, 1)
    assert (inner.iterations, inner.entries) == (5 * (N - 4), N - 4)
    calls = [i for i in filter_.detail.instructions if i.text == "bl tap"]
    assert [(i.executions, i.loop) for i in calls] == [(5 * (N - 4), 1)]
    tap = next(f for f in taken.functions if f.name == "tap")
    assert tap.calls == 5 * (N - 4)
    assert tap.detail is not None
    assert tap.detail.loops == ()


def test_saved_it_is_small_and_knows_no_folder(taken: Snapshot, elf: Path) -> None:
    saved = json.dumps(taken.to_dict())
    assert len(saved) < 8000
    assert str(elf.parent) not in saved
    assert not re.search(r'"/|[A-Za-z]:\\\\', saved)
    assert Snapshot.from_dict(json.loads(saved)) == taken


def test_two_calls_give_the_same_bytes(elf: Path, taken: Snapshot) -> None:
    x = np.random.default_rng(5).integers(0, 1000, N).astype(np.uint16)
    again = snapshot(m7sim.load(elf).call("filter", x, np.zeros_like(x), N))
    assert json.dumps(again.to_dict()) == json.dumps(taken.to_dict())


def test_what_does_not_fit_keeps_its_costs(result, taken: Snapshot) -> None:
    small = snapshot(result, detail_instructions=1)
    assert [f.detail is None for f in small.functions] == [False, True]
    assert [f.name for f in small.left_out] == [taken.functions[1].name]
    assert small.totals == taken.totals
    done: Comparison = compare(small, taken)
    assert done.delta_cycles == 0
    assert done.equal
    assert Snapshot.from_dict(small.to_dict()) == small


def test_cycles_by_instruction_are_those_of_the_profile(result, taken: Snapshot) -> None:
    expected = Counter(
        dict(
            zip(
                result.profile.instructions.address.tolist(),
                result.profile.instructions.cycles.tolist(),
                strict=True,
            )
        )
    )
    found = Counter(
        {
            f.address + i.offset_bytes: i.cost.cycles
            for f in taken.functions
            if f.detail
            for i in f.detail.instructions
        }
    )
    assert found == expected


def test_execution_without_cycles_can_be_compared(elf: Path) -> None:
    x = np.zeros(N, np.uint16)
    sides = [
        snapshot(m7sim.load(elf, time=False).call("filter", x[:n], x[:n].copy(), n))
        for n in (20, N)
    ]
    assert not sides[0].timed
    assert Snapshot.from_dict(sides[0].to_dict()) == sides[0]
    done = compare(*sides)
    assert done.functions == ()
    assert done.after.totals.instructions > done.before.totals.instructions


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["/a/k.c", "/a/m.c"], ["k.c", "m.c"]),
        (["/a/x/k.c", "/a/y/k.c", "/b/h.h"], ["x/k.c", "y/k.c", "h.h"]),
        (["/p/s/k.c", "/q/s/k.c"], ["p/s/k.c", "q/s/k.c"]),
        (["C:\\p\\k.c", "k.c"], ["p/k.c", "k.c"]),
        (["/k.c"], ["k.c"]),
        ([], []),
    ],
)
def test_files_are_as_short_as_they_can_be(files: list[str], expected: list[str]) -> None:
    assert [shortest(files)[file] for file in files] == expected
