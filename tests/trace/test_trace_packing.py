"""Packed chunks: unpacked they are what they were, whatever they hold; anything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m7sim.jit import plain
from m7sim.trace import packing, predict, predict_sites
from m7sim.trace.battery import programs
from m7sim.trace.chunk import Chunk
from m7sim.trace.packing import Packer, first_slots, unpack
from m7sim.trace.rig import run_captured

PROGRAMS = {program.name: program for program in programs()}
KERNELS = [
    (module, name)
    for module in (packing, predict, predict_sites)
    for name, value in vars(module).items()
    if plain(value) is not value
]

Members = dict[str, np.ndarray[Any, Any]]


def same(one: Chunk, other: Chunk) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in Chunk.__slots__
    )


def packed(
    chunks: list[Chunk], first: np.ndarray[Any, Any]
) -> tuple[Members, np.ndarray[Any, Any]]:
    packer = Packer()
    for chunk in chunks:
        packer.add(chunk, first)
    return packer.finish(), np.array(packer.sites.pcs, np.uint32)


def unpacked(members: Members, first: Any, pcs: Any) -> list[Chunk]:
    streams = {name: members[name] for name in members if name != "chunks"}
    return list(unpack(members["chunks"], streams, first, pcs))


def in_python(function: Callable[[], Any]) -> Any:
    """Call with the Python functions in the place of all kernels."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in KERNELS:
            patch.setattr(module, name, plain(getattr(module, name)))
        return function()


# Few different numbers, so that predictors have something to learn, and the ends of the ranges.
numbers = st.one_of(
    st.sampled_from([0, 1, 4, 8, 0x7F, 0x80, 0x8000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]),
    st.integers(0, 0xFFFF_FFFF),
    st.integers(0, 12),
)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Chunk], np.ndarray[Any, Any]]:
    """Chunks of a program with a few blocks; loops, strides and noise."""
    n_values = draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    first = first_slots(n_values)
    chunks = []
    for _ in range(draw(st.integers(0, 3))):
        loop = draw(st.lists(st.integers(0, len(n_values) - 1), max_size=6))
        blocks = np.array(loop * draw(st.integers(0, 6)), np.int32)
        size = int(np.array(n_values)[blocks].sum()) if blocks.size else 0
        start, step = draw(numbers), draw(numbers)
        values = (start + step * np.arange(size, dtype=np.uint64)).astype(np.uint32)
        for place in draw(st.lists(st.integers(0, max(size - 1, 0)), max_size=5)) if size else []:
            values[place] = draw(numbers)
        events = sorted(
            draw(st.lists(st.integers(0, blocks.size - 1), max_size=20)) if blocks.size else []
        )
        pcs = draw(st.lists(numbers, min_size=1, max_size=3))
        chunks.append(
            Chunk(
                blocks,
                values,
                np.array(events, np.int32),
                np.array([draw(st.sampled_from(pcs)) for _ in events], np.uint32),
                np.array([draw(numbers) for _ in events], np.uint32),
            )
        )
    return chunks, first


@settings(max_examples=150, deadline=None)
@given(runs())
def test_round_trip(run: tuple[list[Chunk], np.ndarray[Any, Any]]) -> None:
    chunks, first = run
    members, pcs = packed(chunks, first)
    found = unpacked(members, first, pcs)
    assert len(found) == len(chunks)
    assert all(map(same, found, chunks))


@settings(max_examples=40, deadline=None)
@given(runs())
def test_python_does_the_same(run: tuple[list[Chunk], np.ndarray[Any, Any]]) -> None:
    chunks, first = run
    members, pcs = packed(chunks, first)
    plainly, _ = in_python(lambda: packed(chunks, first))
    assert members.keys() == plainly.keys()
    assert all(np.array_equal(members[name], plainly[name]) for name in members)
    assert all(map(same, in_python(lambda: unpacked(members, first, pcs)), chunks))


def test_there_are_kernels_to_replace() -> None:
    assert {name for _, name in KERNELS} >= {"encode_values", "decode_sites", "_value_context"}


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_real_programs_in_python(name: str) -> None:
    captured = run_captured(PROGRAMS[name].code, capacity_blocks=16)
    first = first_slots(captured.capture.plan().values)
    members, pcs = packed(captured.chunks, first)
    assert in_python(lambda: packed(captured.chunks, first))[0].keys() == members.keys()
    assert all(map(same, in_python(lambda: unpacked(members, first, pcs)), captured.chunks))


@settings(max_examples=150, deadline=None)
@given(runs(), st.data())
def test_any_bytes(run: tuple[list[Chunk], np.ndarray[Any, Any]], data: st.DataObject) -> None:
    """Streams that nobody packed: refused, or chunks that hold together; in Python as well.

    Python notices an index behind the end of an array, which jitted code does not.
    """
    chunks, first = run
    members, pcs = packed(chunks, first)
    for name in packing.STREAMS:
        stream = members.get(name, np.zeros(0, np.uint8)).tobytes()
        if data.draw(st.booleans(), name):
            stream = data.draw(
                st.one_of(st.binary(max_size=30), st.binary(max_size=5).map(stream.__add__))
            )
        members[name] = np.frombuffer(stream, np.uint8)

    def attempt() -> list[Chunk] | str:
        try:
            return unpacked(members, first, pcs)
        except ValueError as error:
            return str(error)

    jitted, plainly = attempt(), in_python(attempt)
    assert isinstance(jitted, str) == isinstance(plainly, str)
    if isinstance(jitted, str):
        assert jitted == plainly
        return
    assert all(map(same, jitted, plainly))
    for chunk in jitted:
        packing.Packer().add(chunk, first)  # which checks it


def test_what_is_predicted_costs_nothing() -> None:
    """A loop with constant strides, and a walk in circles through random addresses."""
    first = first_slots([2, 1])
    turns = 20_000
    blocks = np.tile(np.array([0, 1], np.int32), turns)
    circle = np.random.default_rng(3).integers(1 << 32, size=50, dtype=np.uint32)
    values = np.empty((turns, 3), np.uint32)
    values[:, 0] = 0x2000_0000 + 4 * np.arange(turns)
    values[:, 1] = 0x2001_0000 - 6 * np.arange(turns)
    values[:, 2] = np.resize(circle, turns)
    none = np.zeros(0, np.uint32)
    chunk = Chunk(blocks, values.reshape(-1), none.view(np.int32), none, none)
    members, _ = packed([chunk], first)
    assert sum(members[name].size for name in members if name != "chunks") < 400


def test_groups_do_not_depend_on_each_other() -> None:
    captured = run_captured(PROGRAMS["pointer_chase"].code, capacity_blocks=8)
    first = first_slots(captured.capture.plan().values)
    packer = Packer()
    groups = []
    for _ in range(2):
        for chunk in captured.chunks:
            packer.add(chunk, first)
        groups.append(packer.finish())
    assert groups[0].keys() == groups[1].keys()
    assert all(np.array_equal(groups[0][name], groups[1][name]) for name in groups[0])


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"blocks": [0, 2]}, "unknown block"),
        ({"blocks": [-1, 0]}, "unknown block"),
        ({"values": [1]}, "not as many values"),
        ({"values": [1, 2, 3]}, "not as many values"),
        ({"site_pc": [1]}, "differ in length"),
        ({"site_block": [1, 0]}, "not in order"),
        ({"site_block": [0, 2]}, "not in order"),
        ({"site_block": [-1, 0]}, "not in order"),
        ({"blocks": [1] * (packing.MOST_BLOCKS + 1)}, "too long"),
    ],
)
def test_chunks_that_contradict_themselves(columns: dict[str, list[int]], match: str) -> None:
    whole = {
        "blocks": [0, 1], "values": [1, 2], "site_block": [0, 1], "site_pc": [8, 8],
        "site_address": [1, 2],
    } | columns  # fmt: skip
    types = {"blocks": np.int32, "site_block": np.int32}
    chunk = Chunk(**{n: np.array(v, types.get(n, np.uint32)) for n, v in whole.items()})
    with pytest.raises(ValueError, match=match):
        Packer().add(chunk, first_slots([1, 1]))


# --- the border of what decoders accept --------------------------------------------------------


def coded(*numbers: int) -> np.ndarray[Any, Any]:
    wide = np.array(numbers, np.int64)
    out = np.empty(predict.MOST_VARINT_BYTES * wide.size, np.uint8)
    return out[: predict.write_varints(wide, out)]


def refused_for(match: str, counts: tuple[int, int], n_sites: int, **streams: Any) -> None:
    """Two blocks, of no and of one value; in Python, where nothing reaches behind an array."""
    first, pcs = first_slots([0, 1]), np.arange(n_sites, dtype=np.uint32)
    for call in (in_python, lambda function: function()):
        with pytest.raises(ValueError, match=f"^{match}$"):
            call(lambda: list(unpack(np.array(counts, np.int64), streams, first, pcs)))


def test_first_unknown_block() -> None:
    refused_for("blocks", (1, 0), 0, blocks=coded(1, 2))


def test_id_that_is_missing() -> None:
    refused_for("blocks", (1, 0), 0, blocks=coded(1))


@pytest.mark.parametrize("n", [5, 6, 7])
def test_value_of_too_many_bytes(n: int) -> None:
    refused_for(
        "values", (1, 0), 0, blocks=coded(1, 1), values=coded(n), value_bytes=np.ones(n, np.uint8)
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_value_that_lacks_a_byte(n: int) -> None:
    extra = np.ones(n - 1, np.uint8)
    refused_for("values", (1, 0), 0, blocks=coded(1, 1), values=coded(n), value_bytes=extra)


def test_first_unknown_site() -> None:
    refused_for("sites", (1, 1), 1, sites=coded(0, 2))


def test_site_that_is_missing() -> None:
    refused_for("sites", (1, 1), 1, sites=coded(0))


def test_more_events_than_told() -> None:
    refused_for("sites", (1, 1), 1, sites=coded(0, 1, 0, 1, 0, 0))


def test_fewer_events_than_told() -> None:
    refused_for("sites", (1, 2), 1, sites=coded(0, 1, 0, 0))


def test_numbers_of_more_than_56_bits() -> None:
    longest = np.array([0xFF] * 7 + [0x7F], np.uint8)
    numbers = np.zeros(20, np.int64)
    for read in (predict.read_varints, plain(predict.read_varints)):
        assert read(longest, numbers) == 1
        assert numbers[0] == (1 << 56) - 1
        for bad in ([0x80] * 8 + [1], [0x80] * 19 + [1], [0x80]):
            assert read(np.array(bad, np.uint8), numbers) == predict.DAMAGED
