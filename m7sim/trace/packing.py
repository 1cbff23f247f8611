"""Groups of chunks as streams of bytes: what the predictors of `m7sim.trace.predict` got wrong.

A group starts with predictors that know nothing, so each can be read without those before it.
Within a group chunks are read one after the other.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m7sim.trace.chunk import Chunk
from m7sim.trace.predict import (
    CARRY_WORDS,
    CONTEXTS,
    GAP,
    I32,
    I64,
    MOST_VARINT_BYTES,
    READ,
    READ_BYTES,
    SLOT_WORDS,
    SOUND,
    U8,
    U32,
    decode_blocks,
    decode_values,
    encode_blocks,
    encode_values,
    read_varints,
    write_varints,
)
from m7sim.trace.predict_sites import decode_sites, encode_sites

VARINT_STREAMS = ("blocks", "values", "sites", "addresses")
STREAMS = (*VARINT_STREAMS, "value_bytes", "address_bytes")
# Of a chunk; files that claim more are refused, so that damaged ones cannot ask for any memory.
MOST_BLOCKS, MOST_EVENTS, MOST_VALUES = 1 << 18, 1 << 19, 1 << 20


class _Learned:
    """What the predictors have learned in a group; grows with the code of the run."""

    def __init__(self, *, gap: int) -> None:
        self.after: I32 = np.zeros(1, np.int32)
        self.after_block: I32 = np.zeros(1, np.int32)
        self.after_site: I32 = np.zeros(1, np.int32)
        self.slots: U32 = np.zeros((1, SLOT_WORDS), np.uint32)
        self.site_slots: U32 = np.zeros((1, SLOT_WORDS), np.uint32)
        self.block_contexts: I32 = np.zeros(CONTEXTS, np.int32)
        self.value_contexts: U32 = np.zeros(CONTEXTS, np.uint32)
        self.address_contexts: U32 = np.zeros(CONTEXTS, np.uint32)
        carries: I64 = np.zeros((4, CARRY_WORDS), np.int64)
        carries[:, GAP] = gap
        self.block_carry, self.value_carry, self.site_carry, self.address_carry = carries

    def cover(self, first_slot: I64, n_sites: int, *, spare: int = 1) -> None:
        """Make room for all blocks and sites met so far, times ``spare``."""
        ids, n_slots = first_slot.size - 1, int(first_slot[-1])
        if ids > self.after.size:
            self.after = _longer(self.after, spare * ids)
            self.after_block = _longer(self.after_block, spare * ids)
        if n_slots > len(self.slots):
            self.slots = _longer(self.slots, spare * n_slots)
        if n_sites > self.after_site.size:
            self.after_site = _longer(self.after_site, spare * n_sites)
            self.site_slots = _longer(self.site_slots, spare * n_sites)


class Sites:
    """Numbers of the instructions whose events were recorded, in the order they were met."""

    def __init__(self) -> None:
        self.pcs: list[int] = []
        self._sorted: U32 = np.zeros(0, np.uint32)
        self._order: I32 = np.zeros(0, np.int32)

    def numbers(self, pcs: U32) -> I32:
        """Return the number of each address; unknown ones are added."""
        new = np.setdiff1d(pcs, self._sorted)
        if new.size:
            self.pcs += new.tolist()
            known = np.array(self.pcs, np.uint32)
            self._order = np.argsort(known).astype(np.int32)
            self._sorted = known[self._order]
        return self._order[np.searchsorted(self._sorted, pcs)]


class Packer:
    """Packs chunks, group after group.

    Attributes
    ----------
    sites : Sites
        Numbers of sites; the same in all groups.
    blocks : int
        Executions of blocks in the group so far.
    """

    def __init__(self) -> None:
        self.sites = Sites()
        self._told: I64 = np.empty(0, np.int64)
        self._bytes: U8 = np.empty(0, np.uint8)
        self._begin()

    def _begin(self) -> None:
        self.blocks = 0
        self._learned = _Learned(gap=0)
        self._streams = {name: bytearray() for name in STREAMS}
        self._counts: list[int] = []

    @property
    def chunks(self) -> int:
        """Chunks in the group so far."""
        return len(self._counts) // 2

    @property
    def size_bytes(self) -> int:
        """Bytes in the group so far."""
        return sum(map(len, self._streams.values()))

    def add(self, chunk: Chunk, first_slot: I64) -> None:
        """Pack a chunk.

        Parameters
        ----------
        chunk
            Its blocks are known, and it has as many values as they have slots.
        first_slot
            int64[ids + 1]: first slot of each block met so far.

        Raises
        ------
        ValueError
            If the chunk is larger than a file may hold, or its columns contradict each other.
        """
        _check(chunk, first_slot.size - 1)
        events = chunk.site_block.size
        numbers = self.sites.numbers(chunk.site_pc)
        learned = self._learned
        learned.cover(first_slot, len(self.sites.pcs), spare=2)
        told = self._room(2 * (chunk.blocks.size + events))
        n = encode_blocks(
            chunk.blocks, learned.block_carry, learned.after, learned.block_contexts, told
        )
        self._varints("blocks", told[:n])
        self._values(
            "values", "value_bytes", chunk.blocks, chunk.values, first_slot, learned.value_carry,
            learned.slots, learned.value_contexts,
        )  # fmt: skip
        if events:
            n = encode_sites(
                chunk.blocks, chunk.site_block, numbers, learned.site_carry, learned.after_block,
                learned.after_site, told,
            )  # fmt: skip
            self._varints("sites", told[:n])
            one_slot_each = np.arange(len(self.sites.pcs) + 1)
            self._values(
                "addresses", "address_bytes", numbers, chunk.site_address, one_slot_each,
                learned.address_carry, learned.site_slots, learned.address_contexts,
            )  # fmt: skip
        self._counts += [chunk.blocks.size, events]
        self.blocks += chunk.blocks.size

    def _values(
        self, name: str, name_bytes: str, blocks: I32, values: U32, first_slot: I64, carry: I64,
        slots: U32, contexts: U32,
    ) -> None:  # fmt: skip
        told, extra = self._room(values.size), self._bytes
        n, n_bytes = encode_values(blocks, values, first_slot, carry, slots, contexts, told, extra)
        if n < 0:
            raise ValueError("a chunk has not as many values as its blocks record")
        self._streams[name_bytes] += extra[:n_bytes].tobytes()
        self._varints(name, told[:n])

    def _varints(self, name: str, numbers: I64) -> None:
        n = write_varints(numbers, self._bytes)
        self._streams[name] += self._bytes[:n].tobytes()

    def _room(self, numbers: int) -> I64:
        """Return room for so many numbers; behind ``_bytes``, there is for them as bytes."""
        if numbers > self._told.size:
            self._told = np.empty(numbers, np.int64)
            self._bytes = np.empty(MOST_VARINT_BYTES * numbers, np.uint8)
        return self._told

    def finish(self) -> dict[str, NDArray[Any]]:
        """Return the group and begin the next one.

        Returns
        -------
        dict
            ``chunks``: int64, blocks and events of each chunk; the rest uint8 streams, those
            without a byte left out.
        """
        members = {"chunks": np.array(self._counts, np.int64)}
        streams = {n: np.frombuffer(s, np.uint8) for n, s in self._streams.items() if s}
        self._begin()
        return {**members, **streams}


def unpack(
    counts: I64, streams: Mapping[str, U8], first_slot: I64, site_pcs: U32
) -> Iterator[Chunk]:
    """Decode the chunks of a group one at a time.

    Parameters
    ----------
    counts
        Blocks and events of each chunk.
    streams
        By name, as a `Packer` made them; missing ones are empty.
    first_slot
        int64[ids + 1]: first slot of each block.
    site_pcs
        Address of each site.

    Raises
    ------
    ValueError
        If the streams are damaged. Nothing is read or written outside them.
    """
    learned = _Learned(gap=-1)
    ids = first_slot.size - 1
    learned.cover(first_slot, site_pcs.size)
    after_site = learned.after_site[: site_pcs.size]  # decoders take ids below its size
    one_slot_each = np.arange(site_pcs.size + 1)
    empty = np.zeros(0, np.uint8)
    value_bytes, address_bytes = (
        streams.get(name, empty) for name in ("value_bytes", "address_bytes")
    )
    told = {name: _numbers(streams.get(name, empty)) for name in VARINT_STREAMS}
    for n_blocks, n_events in counts.reshape(-1, 2).tolist():
        if not (0 <= n_blocks <= MOST_BLOCKS and 0 <= n_events <= MOST_EVENTS):
            raise ValueError("size of a chunk")
        if (n_blocks and not ids) or (n_events and not n_blocks):
            raise ValueError("size of a chunk")
        blocks: I32 = np.zeros(n_blocks, np.int32)
        n_values = decode_blocks(
            told["blocks"], learned.block_carry, learned.after, learned.block_contexts, first_slot,
            blocks,
        )  # fmt: skip
        if not 0 <= n_values <= MOST_VALUES:
            raise ValueError("blocks")
        values: U32 = np.zeros(n_values, np.uint32)
        done = decode_values(
            blocks, values, first_slot, learned.value_carry, learned.slots, learned.value_contexts,
            told["values"], value_bytes,
        )  # fmt: skip
        if done != SOUND:
            raise ValueError("values")
        event_block, sites = np.zeros(n_events, np.int32), np.zeros(n_events, np.int32)
        addresses: U32 = np.zeros(n_events, np.uint32)
        if n_events:
            done = decode_sites(
                blocks, event_block, sites, learned.site_carry, learned.after_block, after_site,
                told["sites"],
            )  # fmt: skip
            if done != SOUND:
                raise ValueError("sites")
            done = decode_values(
                sites, addresses, one_slot_each, learned.address_carry, learned.site_slots,
                learned.address_contexts, told["addresses"], address_bytes,
            )  # fmt: skip
            if done != SOUND:
                raise ValueError("addresses")
        yield Chunk(blocks, values, event_block, site_pcs[sites], addresses)
    used = (
        (learned.block_carry[READ], told["blocks"]),
        (learned.value_carry[READ], told["values"]),
        (learned.value_carry[READ_BYTES], value_bytes),
        (learned.site_carry[READ], told["sites"]),
        (learned.address_carry[READ], told["addresses"]),
        (learned.address_carry[READ_BYTES], address_bytes),
    )
    if any(read != stream.size for read, stream in used):
        raise ValueError("more than the chunks of the group")


def _numbers(data: U8) -> I64:
    numbers: I64 = np.empty(data.size, np.int64)
    n = read_varints(data, numbers)
    if n < 0:
        raise ValueError("numbers")
    return numbers[:n]


def _check(chunk: Chunk, ids: int) -> None:
    """Raise ValueError for a chunk that cannot be packed."""
    blocks, events = chunk.blocks, chunk.site_block
    sizes = blocks.size, events.size, chunk.values.size
    if any(map(operator.gt, sizes, (MOST_BLOCKS, MOST_EVENTS, MOST_VALUES))):
        raise ValueError("a chunk is too long for a trace file")
    if blocks.size and not 0 <= blocks.min() <= blocks.max() < ids:
        raise ValueError("a chunk has an unknown block")
    if not events.size == chunk.site_pc.size == chunk.site_address.size:
        raise ValueError("the event columns of a chunk differ in length")
    if events.size and not (
        events[0] >= 0 and events[-1] < blocks.size and (np.diff(events) >= 0).all()
    ):
        raise ValueError("the events of a chunk are not in order")


def first_slots(values: Sequence[int] | NDArray[Any]) -> I64:
    """Return where the slots of each block begin, from how many values each records."""
    first = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=first[1:])
    return first


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    grown = np.zeros((length, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
