"""Whether what lies in a memory fits, and by how much it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from m7sim.board import Board, Region
from m7sim.errors import InputError
from m7sim.memmap.objects import MemoryObject
from m7sim.units import format_count

_SHOWN: Final = 6  # objects named in the message of a map that does not fit


@dataclass(frozen=True)
class RegionUse:
    """Room in a memory under a map; a region that shows the same memory has none of its own.

    Static objects, heap (as far as the run used it) and, from the top, stack and arrays.
    """

    name: str
    kind: str
    capacity_bytes: int
    used_bytes: int

    @property
    def free_bytes(self) -> int:
        return self.capacity_bytes - self.used_bytes


class Needs(NamedTuple):
    """By object: its memory ("": it takes no room) and whether it moved; what the heap took."""

    memories: Sequence[str]
    moved: Sequence[bool]
    heap_bytes: int


def check_room(
    board: Board,
    objects: Sequence[MemoryObject],
    needs: Needs,
    low: Mapping[str, int],
    high: Mapping[str, int],
) -> tuple[RegionUse, ...]:
    """Return how full each memory is.

    Parameters
    ----------
    low, high
        By memory: the first offset behind what lies at its start, and the lowest offset of what
        hangs from its end.

    Raises
    ------
    InputError
        If a memory is too small: by how many bytes, and what lies there.
    """
    uses = []
    for region in board.regions:
        if region.alias_of or region.device or region.kind == "system" or not region.mapped:
            continue
        top = high.get(region.name, region.size_bytes)
        used = low.get(region.name, 0) + region.size_bytes - top
        if used > region.size_bytes or top < 0:
            raise _too_big(board, region, used, objects, needs)
        uses.append(RegionUse(region.name, region.kind, region.size_bytes, used))
    return tuple(uses)


def _too_big(
    board: Board, region: Region, used_bytes: int, objects: Sequence[MemoryObject], needs: Needs
) -> InputError:
    sizes = [needs.heap_bytes if o.kind == "heap" else o.size_bytes for o in objects]
    inside = [k for k, memory in enumerate(needs.memories) if memory == region.name]
    inside.sort(key=lambda k: (not needs.moved[k], -sizes[k], objects[k].name))
    named = [f"{objects[k].name} {format_count(sizes[k])}" for k in inside[:_SHOWN]]
    rest = inside[_SHOWN:]
    if rest:
        named.append(f"{len(rest)} others {format_count(sum(sizes[k] for k in rest))}")
    over = format_count(used_bytes - region.size_bytes)
    return InputError(
        f"{format_count(used_bytes)} bytes do not fit into the "
        f"{format_count(region.size_bytes)} of {region.name}: {over} bytes too many "
        f"({', '.join(named)})",
        where=board.name,
        do=f"Leave at least {over} bytes of it elsewhere",
    )
