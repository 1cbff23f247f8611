"""Room for buffers: what of each memory the image and the stack leave free.

Buffers go downwards from the top of what is free, away from a heap that grows upwards behind the
image's data. Nothing is ever moved.
"""

from __future__ import annotations

from dataclasses import dataclass

from m7sim.board import Board, Region
from m7sim.elf import Image
from m7sim.errors import InputError
from m7sim.units import format_bytes

AUTO = "auto"
DEFAULT_ALIGNMENT_BYTES = 8
DEFAULT_STACK_BYTES = 8192
RED_ZONE_BYTES = 1024  # below the stack's limit: kept free, to notice an overflow

# Linker symbols that tell where the stack may end: ours and CMSIS's, newlib's.
STACK_LIMIT_SYMBOLS = ("__StackLimit", "__stack_limit", "_stack_limit")


@dataclass(frozen=True, slots=True)
class Span:
    """Addresses from ``start`` up to, not including, ``end``."""

    start: int
    end: int


class Placement:
    """Occupied spans of each region; spans taken for buffers can be given back.

    Parameters
    ----------
    stack_top
        Where the stack of calls begins.

    Attributes
    ----------
    stack : Span
        Room of the stack.
    red_zone : Span
        Kept free below it.
    stack_floor : int
        End of what the image has below the stack, or the start of its memory.
    """

    def __init__(self, board: Board, image: Image, stack_top: int) -> None:
        self._board = board
        self._fixed = [
            Span(start, start + size)
            for segment in image.segments
            for start, size in (
                (segment.vma, segment.memory_bytes),
                (segment.lma, len(segment.data)),
            )
            if size
        ]
        self.stack, self.red_zone = self._stack(image, stack_top)
        self._fixed += [self.stack, self.red_zone]
        self._taken: list[Span] = []

    def _stack(self, image: Image, top: int) -> tuple[Span, Span]:
        region = self._board.region_at(top - 1)
        low = region.start if region is not None else 0
        below = [span.end for span in self._fixed if low < span.end <= top]
        floor = max([low, *below])
        self.stack_floor = floor
        limits = [image.symbol(n).address for n in STACK_LIMIT_SYMBOLS if image.has_symbol(n)]
        limit = next((a for a in limits if floor <= a < top), max(floor, top - DEFAULT_STACK_BYTES))
        return Span(limit, top), Span(max(floor, limit - RED_ZONE_BYTES), limit)

    def take(
        self, size_bytes: int, *, place: str, alignment_bytes: int, writable: bool, where: str
    ) -> Span:
        """Find room and take it.

        Parameters
        ----------
        place
            Name of a region, or ``auto``: DTCM while it fits, then the SRAMs in order of address.
        writable
            Whether the firmware writes to it.
        where
            For the message of an error.

        Raises
        ------
        InputError
            If the region is unknown, unsuitable, or lacks room (the message says how much).
        """
        if alignment_bytes < 1 or alignment_bytes & (alignment_bytes - 1):
            raise InputError(f"alignment of {alignment_bytes} bytes", where=where, do="Use 2**n")
        regions = self._candidates(place, writable, where)
        for region in regions:
            span = self._fit(region, size_bytes, alignment_bytes)
            if span is not None:
                self._taken.append(span)
                return span
        region = max(regions, key=self._largest_gap)
        gap = self._largest_gap(region)
        raise InputError(
            f"no room for {format_bytes(size_bytes)} ({size_bytes} bytes) in {region.name}: "
            f"{gap} bytes free in one piece, {size_bytes - gap} missing",
            where=where,
            do="Choose another region (place=…) or a smaller buffer",
        )

    @property
    def taken(self) -> tuple[Span, ...]:
        """Spans that are taken for buffers now."""
        return tuple(self._taken)

    def give_back(self, span: Span) -> None:
        self._taken.remove(span)

    def clear(self) -> None:
        self._taken.clear()

    def _candidates(self, place: str, writable: bool, where: str) -> list[Region]:
        if place == AUTO:
            return [
                region
                for kind in ("dtcm", "sram")
                for region in self._board.regions
                if region.kind == kind and region.mapped and not region.alias_of
            ]
        region = self._board.region(place)
        if region.device or not region.mapped:
            raise InputError(f"{region.name} is no memory for buffers", where=where)
        if writable and not region.writable:
            raise InputError(
                f"{region.name} is read-only",
                where=where,
                do="Only what a const pointer points to can lie there",
            )
        return [region]

    def _occupied(self, region: Region) -> list[Span]:
        """Return what is taken of a region, through whichever of its addresses."""
        memory = region.alias_of or region.name
        spans = []
        for other in self._board.regions:
            if (other.alias_of or other.name) == memory:
                shift = region.start - other.start
                spans += [
                    Span(span.start + shift, span.end + shift)
                    for span in (*self._fixed, *self._taken)
                    if span.end > other.start and span.start < other.end
                ]
        return sorted(spans, key=lambda span: span.start)

    def _gaps(self, region: Region) -> list[Span]:
        gaps, place = [], region.start
        for span in self._occupied(region):
            if span.start > place:
                gaps.append(Span(place, span.start))
            place = max(place, span.end)
        if place < region.end:
            gaps.append(Span(place, region.end))
        return gaps

    def _largest_gap(self, region: Region) -> int:
        return max((gap.end - gap.start for gap in self._gaps(region)), default=0)

    def _fit(self, region: Region, size_bytes: int, alignment_bytes: int) -> Span | None:
        # Address 0 is NULL: leave it out where a region begins there.
        for gap in reversed(self._gaps(region)):
            start = (gap.end - size_bytes) & -alignment_bytes
            if start >= max(gap.start, 1) and start + size_bytes <= gap.end:
                return Span(start, start + max(size_bytes, 1))
        return None
