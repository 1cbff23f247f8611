"""Which object each access of a chunk goes to, and the variants of blocks that follow from it.

A *variant* of a block is the block together with the objects that its accesses go to. Timed under
its own number, its stalls can be told apart from those of the same block working on other objects.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import NO_ACCESS
from m7sim.jit import kernel

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Spans = NDArray[np.integer]  # int16 while there are few, else int32

MOST_VARIANTS: Final = 48  # of one block; further executions count for the most similar one
NOWHERE: Final = -1  # object of an access that has not happened yet
LOADS, LOADED, STORES, STORED = range(4)  # columns of the counts
# words of the state
BLOCK, ACCESS, VARIANTS, SLOTS, SIMILAR = range(5)

_NO_ACCESS = NO_ACCESS


class Variants(NamedTuple):
    """All variants met so far; arrays have room for more."""

    state: I64
    head: I32  # [block] its first variant, -1: none
    number: I32  # [block] how many it has
    following: I32  # [variant] next one of the same block, -1
    block: I32  # [variant]
    slot: I32  # [variant] first of its slots, one for each access
    owner: I32  # [slot] object


class Accesses(NamedTuple):
    """What is static about the accesses of the blocks: `first` by block, the others by access."""

    first: I32
    store: NDArray[np.uint8]
    n_bytes: I32
    last_span: I32  # where it went last


@kernel
def classify(
    blocks: I32, address: NDArray[np.uint32], accesses: Accesses, span_first: I64,
    span_owner: I32, v: Variants, counts: I64, extent: I64, out_variant: I32, out_span: Spans,
) -> bool:  # fmt: skip
    """Find span and variant of all that a chunk executed; False when the variants need more room.

    Called again with more room, it goes on where it was.

    Parameters
    ----------
    blocks, address
        As of `Timer.feed`.
    span_first, span_owner
        First address of each span, ascending from 0; the object it belongs to.
    counts, extent
        int64[object, 4], int64[object, 2]: accesses and bytes; lowest address, highest end.
    out_variant, out_span
        int32[n], and int16[m] or int32[m]: written; -1 for an access that did not happen.
    """
    # taken out of the tuples once: each costs more than a look-up
    state, head, following, slots, owners = v.state, v.head, v.following, v.slot, v.owner
    access_first, stores, sizes, last_span = (
        accesses.first, accesses.store, accesses.n_bytes, accesses.last_span,
    )  # fmt: skip
    room, room_slots = v.block.shape[0], owners.shape[0]
    n, place = state[BLOCK], state[ACCESS]
    while n < blocks.shape[0]:
        block = blocks[n]
        first = access_first[block]
        size = access_first[block + 1] - first
        if state[VARIANTS] >= room or state[SLOTS] + size > room_slots:
            state[BLOCK] = n
            state[ACCESS] = place
            return False
        variant = head[block]
        slot = slots[variant] if variant >= 0 else 0
        same = variant >= 0
        for k in range(size):
            start = np.int64(address[place + k])
            if start == _NO_ACCESS:
                out_span[place + k] = -1
                continue
            span = last_span[first + k]
            if start < span_first[span] or start >= span_first[span + 1]:
                span = np.int32(np.searchsorted(span_first, start, side="right") - 1)
                last_span[first + k] = span
            out_span[place + k] = span
            owner = span_owner[span]
            same = same and owners[slot + k] == owner
            n_bytes = sizes[first + k]
            column = STORES if stores[first + k] else LOADS
            counts[owner, column] += 1
            counts[owner, column + 1] += n_bytes
            extent[owner, 0] = min(extent[owner, 0], start)
            extent[owner, 1] = max(extent[owner, 1], start + n_bytes)
        if not same:
            variant = _variant(v, block, size, out_span, place, span_owner)
            if variant != head[block]:
                _to_front(head, following, block, variant)
        out_variant[n] = variant
        place += size
        n += 1
    state[BLOCK] = 0
    state[ACCESS] = 0
    return True


@kernel
def _to_front(head: I32, following: I32, block: int, variant: int) -> None:
    """Look at a variant first from now on: it is often met again."""
    before = head[block]
    while following[before] != variant:
        before = following[before]
    following[before] = following[variant]
    following[variant] = head[block]
    head[block] = variant


@kernel
def _variant(v: Variants, block: int, size: int, spans: Spans, place: int, span_owner: I32) -> int:
    """Return the variant of a block whose accesses go to these spans."""
    best = -1
    most = -1
    variant = v.head[block]
    while variant >= 0:
        slot = v.slot[variant]
        same = 0
        for k in range(size):
            span = spans[place + k]
            if span < 0 or v.owner[slot + k] < 0 or v.owner[slot + k] == span_owner[span]:
                same += 1
        if same == size:
            for k in range(size):
                if v.owner[slot + k] < 0 and spans[place + k] >= 0:
                    v.owner[slot + k] = span_owner[spans[place + k]]
            return int(variant)
        if same > most:
            most = same
            best = variant
        variant = v.following[variant]
    if v.number[block] >= MOST_VARIANTS:
        v.state[SIMILAR] += 1
        return best
    variant = np.int32(v.state[VARIANTS])
    v.state[VARIANTS] += 1
    slot = np.int32(v.state[SLOTS])
    v.state[SLOTS] += size
    for k in range(size):
        span = spans[place + k]
        v.owner[slot + k] = span_owner[span] if span >= 0 else -1
    v.block[variant] = block
    v.slot[variant] = slot
    v.following[variant] = v.head[block]
    v.head[block] = variant
    v.number[block] += 1
    return int(variant)
