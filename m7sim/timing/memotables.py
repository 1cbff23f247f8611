"""The tables of the memo: states, paths, and the nodes that lead along them."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.jit import inlined, kernel
from m7sim.timing.causes import N_LOSSES
from m7sim.timing.snapshot import SNAPSHOT_WORDS
from m7sim.timing.state import I8, I64, Record, Records, fields

I32 = NDArray[np.int32]

_I4 = np.dtype(np.int32)
END: Final = 100  # kind of the node that ends a path


NODE: Final = np.dtype(
    [(name, _I4) for name in ("kind", "at", "what", "access", "answer", "alternative")]
)
PATH: Final = np.dtype(
    fields(
        "block",
        "state",  # after it
        "cycles",
        "count",  # how often it was taken since the counts were last added up
        "first_part",
        "parts",
        "next_block",  # that followed last time, and its first node
        "next_node",
    )
)
# One number of what a path cost: row and column of the tally; row -1: a lost pair.
PART: Final = np.dtype([("row", _I4), ("column", _I4), ("amount", I8)])
COUNTS: Final = np.dtype(
    fields(
        "current",  # state of the pipeline, -1: only the state record knows it
        "path",  # taken last, -1: none
        "states",
        "paths",
        "nodes",
        "parts",
        "rest",  # blocks still to be walked without recording
        "window",  # blocks in it so far
        "window_recorded",
        "walked",  # blocks, since the memo was made
        "recorded",
        "repeated",
        "emptied",
    )
)


class Books(NamedTuple):
    """Where costs are written down. The scratch is all zeros between two blocks."""

    tally: Records  # by row
    tally_numbers: I64  # the same as int64[row, column]
    scratch: Records
    scratch_numbers: I64
    executions: I64  # by block


class Memo(NamedTuple):
    """The tables: *counts* of what is in use, states, and for each state and block its paths."""

    counts: Record
    states: I64  # [state, SNAPSHOT_WORDS]
    state_slots: I32  # open addressing; -1: free
    keys: I64  # state << 32 | block; -1: free
    heads: I32  # first node
    nodes: Records
    paths: Records
    parts: Records
    pair_loss: I64  # scratch
    snapshot: I64  # scratch


class Sizes(NamedTuple):
    """Sizes of the tables, powers of two; all full, they take about 60 MB."""

    states: int = 1 << 14
    paths: int = 1 << 16
    nodes: int = 1 << 20
    parts: int = 1 << 20


USUAL_SIZES: Final = Sizes()
NO_SIZES: Final = Sizes(1, 1, 1, 1)


def new_memo(sizes: Sizes = USUAL_SIZES) -> Memo:
    """Make empty tables. Memory is taken as they fill."""
    counts = np.zeros(1, COUNTS)[0]
    counts["current"] = counts["path"] = -1
    return Memo(
        counts=counts,
        states=np.zeros((sizes.states, SNAPSHOT_WORDS), np.int64),
        state_slots=np.full(2 * sizes.states, -1, np.int32),
        keys=np.full(2 * sizes.paths, -1, np.int64),
        heads=np.zeros(2 * sizes.paths, np.int32),
        nodes=np.zeros(sizes.nodes, NODE),
        paths=np.zeros(sizes.paths, PATH),
        parts=np.zeros(sizes.parts, PART),
        pair_loss=np.zeros(N_LOSSES, np.int64),
        snapshot=np.zeros(SNAPSHOT_WORDS, np.int64),
    )


_LOW = 0x7FFF_FFFF
_FACTOR = 0x5851_F42D  # odd, and below 2^31: products stay within 63 bits, as plain Python needs


@inlined
def _mixed(value: int) -> int:
    low = (value ^ (value >> 31)) & _LOW
    mixed = low * _FACTOR
    return mixed ^ (mixed >> 29)


@kernel
def intern(memo: Memo, snapshot: I64) -> int:
    """Return the number of a state, a new one if need be; there must be room."""
    code = 0
    for k in range(snapshot.shape[0]):
        code = _mixed((code & _LOW) + snapshot[k] + k)
    slots = memo.state_slots
    mask = slots.shape[0] - 1
    slot = code & mask
    while slots[slot] >= 0:
        state = slots[slot]
        same = True
        for k in range(snapshot.shape[0]):
            if memo.states[state, k] != snapshot[k]:
                same = False
                break
        if same:
            return int(state)
        slot = (slot + 1) & mask
    state = memo.counts["states"]
    memo.counts["states"] = state + 1
    slots[slot] = state
    for k in range(snapshot.shape[0]):
        memo.states[state, k] = snapshot[k]
    return int(state)


@inlined
def slot_of(keys: I64, state: int, block: int) -> int:
    """Slot of a state and block: theirs, or the free one where they belong."""
    key = (np.int64(state) << np.int64(32)) | np.int64(block)
    mask = keys.shape[0] - 1
    slot = _mixed(int(key)) & mask
    while keys[slot] != key and keys[slot] != -1:
        slot = (slot + 1) & mask
    return int(slot)
