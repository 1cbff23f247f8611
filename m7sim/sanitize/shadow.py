"""Shadow memory: for every byte of memory, which object owns it and whether it has a value.

A *cell* is an int32 per byte: the number of the object in the layout, and ``HAS_VALUE``. Cells are
found through a table of pages of 4 KiB, so that regions that are the same memory share cells.
Nothing is made for memory that is never touched: the host's zero pages stand in for it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.sanitize.layout import NAMED, Kind, Layout, Object

PAGE_BYTES: Final = 4096
NO_MEMORY, DEVICE = -1, -2  # in place of a page's first cell
HAS_VALUE: Final = 1 << 30
OWNER: Final = (1 << 24) - 1

# What may be done with an object, and what it is.
READ, WRITE, OVERRUN, IS_STACK, IS_ARRAY, IS_VARIABLE, IS_PLAIN, IS_APRON = (
    1, 2, 4, 8, 16, 32, 64, 128,
)  # fmt: skip


class Shadow(NamedTuple):
    """Arrays; kernels are given their addresses."""

    pages: NDArray[np.int64]  # [2**20] first cell of each page, or NO_MEMORY, DEVICE
    cells: NDArray[np.int32]
    flags: NDArray[np.int32]  # [objects]
    reach: NDArray[np.int64]  # [objects, 2]: end, and how far behind it may be read


def make_shadow(board: Board, layout: Layout) -> Shadow:
    """Return shadow memory with every object of a layout in it."""
    pages = np.full(1 << 20, NO_MEMORY, np.int64)
    first: dict[str, int] = {}
    total = 0
    for region in board.regions:
        if not region.mapped:
            continue
        span = slice(region.start // PAGE_BYTES, -(-region.end // PAGE_BYTES))
        count = span.stop - span.start
        if region.device or region.kind == "system":
            pages[span] = DEVICE
            continue
        memory = region.alias_of or region.name
        if memory not in first:
            first[memory] = total
            total += count * PAGE_BYTES
        pages[span] = first[memory] + PAGE_BYTES * np.arange(count)
    objects = layout.objects
    shadow = Shadow(
        pages,
        np.zeros(total, np.int32),
        np.array([_flags(each) for each in objects], np.int32),
        np.array([(each.end, each.end + each.over_read_bytes) for each in objects], np.int64),
    )
    for number, each in enumerate(objects):
        fill(shadow, each.start, each.size_bytes, number | (0 if each.undefined else HAS_VALUE))
    return shadow


def _flags(each: Object) -> int:
    flags = READ * each.readable | WRITE * each.writable
    flags |= OVERRUN * (each.kind in NAMED) | IS_STACK * (each.kind == Kind.STACK)
    flags |= IS_VARIABLE * (each.kind == Kind.VARIABLE)
    plain = "struct" not in each.content and "union" not in each.content
    flags |= IS_APRON * (each.kind == Kind.APRON)
    return flags | IS_ARRAY * (each.kind == Kind.ARRAY) | IS_PLAIN * plain


def spans(shadow: Shadow, address: int, size_bytes: int) -> list[slice]:
    """Return the cells of a stretch of memory, page by page; what is no memory is left out."""
    found: list[slice] = []
    place, end = address, address + size_bytes
    while place < end:
        stop = min(end, (place | PAGE_BYTES - 1) + 1)
        base = int(shadow.pages[place // PAGE_BYTES])
        if base >= 0:
            start = base + place % PAGE_BYTES
            found.append(slice(start, start + stop - place))
        place = stop
    return found


def fill(shadow: Shadow, address: int, size_bytes: int, cell: int) -> None:
    """Set the cells of a stretch of memory."""
    for span in spans(shadow, address, size_bytes):
        shadow.cells[span] = cell


def set_value(shadow: Shadow, address: int, size_bytes: int, *, known: bool) -> None:
    """Note that bytes have a value, or that they have none."""
    for span in spans(shadow, address, size_bytes):
        if known:
            shadow.cells[span] |= HAS_VALUE
        else:
            shadow.cells[span] &= OWNER


def without_value(shadow: Shadow, address: int, size_bytes: int) -> NDArray[np.int64]:
    """Return the offsets of the bytes of a stretch that have no value."""
    cells = [shadow.cells[span] for span in spans(shadow, address, size_bytes)]
    if not cells:
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate(cells) & HAS_VALUE == 0)
