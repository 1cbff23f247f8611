"""A trace made ready to be timed many times: spans of memory, and what each access goes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.isa.code import STORE
from m7sim.machine.events import MemoryEvent
from m7sim.memmap.objects import Inventory, MemoryObject
from m7sim.memmap.tracing import SIMILAR, SLOTS, VARIANTS, Accesses, Variants, classify
from m7sim.trace.chunk import resolve
from m7sim.trace.store import SavedTrace

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

KEPT_BYTES: Final = 1 << 27  # longer traces are read again each time
OTHER: Final = " (other)"
_PRIORITY: Final = {"heap": 0, "stack": 1, "array": 3}  # of overlapping objects; the others 2
_TOP: Final = 1 << 32
_FEW: Final = 256
_MOST_INT16: Final = 1 << 15


class Spans(NamedTuple):
    """Stretches of memory from 0 up to 4 GiB without gaps; each moves as a whole."""

    first: I64  # one more than there are: the end
    owner: I32  # object
    piece: I32  # of the inventory, -1: none

    def at(self, addresses: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the span of each address."""
        found: NDArray[np.int64] = np.searchsorted(self.first, addresses, side="right") - 1
        return found


@dataclass(frozen=True)
class Step:
    """A chunk, and what the firmware did to the memory system before it."""

    events: tuple[MemoryEvent, ...]
    blocks: I32  # variants
    address: NDArray[np.uint32]
    span: NDArray[np.integer]  # of each access, -1: did not happen


def make_spans(inventory: Inventory, board: Board) -> tuple[Spans, tuple[MemoryObject, ...]]:
    """Cut the address space into spans.

    Returns
    -------
    tuple
        The spans, and all objects: those of the inventory, then one for what lies nowhere else of
        each region, and one for what lies outside of all regions.
    """
    objects = list(inventory.objects)
    bounds = {0, _TOP}
    for region in board.regions:
        bounds |= {region.start, region.end}
    for each in inventory.pieces:
        bounds |= {each.address, min(each.end, _TOP)}
    first = np.array(sorted(bounds), np.int64)
    owner = np.full(len(first) - 1, len(objects), np.int32)
    piece = np.full(len(first) - 1, -1, np.int32)
    objects.append(MemoryObject("no memory", "other", "", 0, 0, 1, ""))
    for region in board.regions:
        owner[_inside(first, region.start, region.end)] = len(objects)
        name = f"{region.name}{OTHER}"
        objects.append(
            MemoryObject(name, "other", "", region.start, region.size_bytes, 1, region.name)
        )
    order = sorted(
        range(len(inventory.pieces)),
        key=lambda k: _PRIORITY.get(inventory.objects[inventory.pieces[k].owner].kind, 2),
    )
    for k in order:
        each = inventory.pieces[k]
        span = _inside(first, each.address, each.end)
        owner[span], piece[span] = each.owner, k
    return Spans(first, owner, piece), tuple(objects)


def _inside(first: I64, start: int, end: int) -> slice:
    low, high = np.searchsorted(first, (start, end))
    return slice(int(low), int(high))


class Recording:
    """The executed blocks of a saved trace as variants, with the span of each access.

    Attributes
    ----------
    counts, extent
        int64[object, 4]: loads, bytes loaded, stores, bytes stored; int64[object, 2]: lowest
        address accessed and highest end.
    similar
        Executions of blocks that count for a variant which goes to other objects in part.
    kept
        Whether all of it is in memory.
    """

    def __init__(self, saved: SavedTrace, spans: Spans, objects: Sequence[MemoryObject]) -> None:
        self._saved, self.spans = saved, spans
        self.code = saved.code
        arrays = saved.code.arrays()
        memory = np.flatnonzero(arrays.mem_kind != 0)
        before = np.concatenate(([0], np.cumsum(arrays.mem_kind != 0)))
        ends = arrays.block_first + arrays.block_count
        # rows of blocks are consecutive, so are their accesses
        first = np.append(before[arrays.block_first], before[ends[-1]] if len(ends) else 0)
        n_bytes = arrays.mem_unit_bytes[memory].astype(np.int32) * arrays.mem_count[memory]
        self._accesses = Accesses(
            first.astype(np.int32),
            (arrays.mem_kind[memory] == STORE).astype(np.uint8),
            n_bytes.astype(np.int32),
            np.zeros(len(memory), np.int32),
        )
        self.counts = np.zeros((len(objects), 4), np.int64)
        self.extent = np.zeros((len(objects), 2), np.int64)
        self.extent[:, 0] = _TOP
        self._span_type = np.int16 if len(spans.first) < _MOST_INT16 else np.int32
        self._variants = _new_variants(len(arrays.block_first))
        self._steps: list[Step] | None = []
        size_bytes = 0
        for step in self._read():
            if self._steps is not None:
                self._steps.append(step)
                size_bytes += step.blocks.nbytes + step.address.nbytes + step.span.nbytes
                if size_bytes > KEPT_BYTES:
                    self._steps = None
        self._counted = True

    _counted = False

    @property
    def kept(self) -> bool:
        return self._steps is not None

    @property
    def similar(self) -> int:
        return int(self._variants.state[SIMILAR])

    @property
    def blocks(self) -> I32:
        """Block of each variant."""
        return self._variants.block[: self._variants.state[VARIANTS]]

    @property
    def owners(self) -> I32:
        """Object of each access of each variant in order, -1 where none ever happened."""
        v = self._variants
        sizes = np.diff(self._accesses.first)[self.blocks]
        slots = np.repeat(v.slot[: len(sizes)] - np.cumsum(sizes) + sizes, sizes)
        found: I32 = v.owner[slots + np.arange(int(sizes.sum()))]
        return found

    def steps(self) -> Iterator[Step]:
        """Yield the chunks in order."""
        if self._steps is not None:
            yield from self._steps
        else:
            yield from self._read()

    def _read(self) -> Iterator[Step]:
        saved = self._saved
        for index, chunk in enumerate(saved.chunks()):
            events = tuple(MemoryEvent(*event) for event in saved.events(index))
            address = resolve(chunk, saved.plan())
            variant = np.empty(len(chunk.blocks), np.int32)
            span: NDArray[Any] = np.empty(len(address), self._span_type)
            counts = np.zeros_like(self.counts) if self._counted else self.counts
            while not classify(
                chunk.blocks, address, self._accesses, self.spans.first, self.spans.owner,
                self._variants, counts, self.extent, variant, span,
            ):  # fmt: skip
                self._variants = _grown(self._variants, int(np.diff(self._accesses.first).max()))
            yield Step(events, variant, address, span)


def _new_variants(n_blocks: int) -> Variants:
    return Variants(
        np.zeros(8, np.int64), np.full(n_blocks, -1, np.int32), np.zeros(n_blocks, np.int32),
        *(np.zeros(_FEW, np.int32) for _ in range(4)),
    )  # fmt: skip


def _grown(v: Variants, most_slots: int) -> Variants:
    """Double what is full."""
    more = 2 * len(v.block)
    slots = len(v.owner)
    if v.state[SLOTS] + most_slots > slots:
        slots = 2 * slots + most_slots
    if v.state[VARIANTS] < len(v.block):
        more = len(v.block)
    return v._replace(
        following=np.resize(v.following, more), block=np.resize(v.block, more),
        slot=np.resize(v.slot, more), owner=np.resize(v.owner, slots),
    )  # fmt: skip
