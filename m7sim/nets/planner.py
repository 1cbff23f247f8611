"""Where buffers lie: offsets in one arena, so that none that live at once overlap.

First the published greedy ways, by size and by breadth (Y. Pisarchyk and J. Lee, "Efficient Memory
Management for Deep Neural Net Inference", 2020, arXiv 2001.03288), each of which puts a buffer
into the smallest gap that holds it. If the best is above the lower bound, the buffers at the very
end of the arena are moved to the front of the order and everything is placed again, as long as
that is new. If that does not close the gap either, a constraint solver goes on from there (needs
the extra ``networks``; without it the greedy result stands).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from m7sim.nets.liveness import Buffer, Flow, align, buffers, occupancy

ALIGNMENT_BYTES = 16
"""Of every buffer, as tflite-micro places them; the kernels need 4 at most."""
MAX_ROUNDS = 60
MAX_SOLVED = 400
MAX_PAIRS = 3_000_000
"""Of buffers that live at once; beyond it they are placed by time, without a search."""
_COMPARISONS = 4_000_000  # in the rounds of one plan


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Buffers with their places.

    Attributes
    ----------
    buffers, offsets_bytes
        In the order of the flow; each offset is a multiple of ``alignment_bytes``.
    steps
        Number of steps.
    arena_bytes
        End of the last buffer.
    lower_bound_bytes
        Maximum of concurrent buffers, sizes rounded up to the alignment: no plan can be smaller.
    method
        How it was found: ``by size``, ``by breadth``, ``by lifetime``, ``moved to front``,
        ``solver``, ``by time``.
    optimal
        Whether no plan is smaller.
    """

    buffers: tuple[Buffer, ...]
    offsets_bytes: tuple[int, ...]
    steps: int
    alignment_bytes: int
    arena_bytes: int
    lower_bound_bytes: int
    method: str
    optimal: bool

    @property
    def gap(self) -> float:
        """How far the arena is above the lower bound, relative."""
        if not self.lower_bound_bytes:
            return 0.0
        return self.arena_bytes / self.lower_bound_bytes - 1


@dataclass(frozen=True)
class _Blocks:
    """Buffers as numbers: sizes in units of the alignment, lifetimes, who meets whom."""

    sizes: list[int]
    first: list[int]
    last: list[int]
    meets: list[list[int]]


def plan(
    flow: Flow, *, scratch: bool = True, alignment_bytes: int = ALIGNMENT_BYTES, solve: bool = True
) -> Plan:
    """Place all activations of a flow, and the kernels' scratch buffers, in one arena.

    Parameters
    ----------
    scratch
        Whether scratch buffers and copies lie in the arena as well.
    alignment_bytes
        Of every buffer.
    solve
        Whether a solver may go on where the greedy ways stay above the lower bound.
    """
    return place(
        buffers(flow, scratch=scratch),
        len(flow.steps),
        alignment_bytes=alignment_bytes,
        solve=solve,
    )


def place(
    found: Sequence[Buffer],
    steps: int,
    *,
    alignment_bytes: int = ALIGNMENT_BYTES,
    solve: bool = True,
) -> Plan:
    """Place buffers in one arena; see `plan`."""
    unit = alignment_bytes
    bound = int(occupancy(found, steps, alignment=unit).max()) // unit if found else 0
    few = _pairs(found, steps) <= MAX_PAIRS
    blocks = _blocks(found, unit, pairs=few)
    method, offsets = _greedy(blocks, steps, bound) if few else ("by time", _by_time(blocks))
    end = _end(blocks, offsets)
    if end > bound and few:
        again = _moved_to_front(blocks, offsets, bound)
        if _end(blocks, again) < end:
            method, offsets, end = "moved to front", again, _end(blocks, again)
    proven = end == bound
    if not proven and few and solve and len(found) <= MAX_SOLVED:
        from m7sim.nets import solver

        answer = solver.solve(
            blocks.sizes, list(zip(blocks.first, blocks.last, strict=True)), offsets, bound
        )
        if answer is not None:
            better, proven = answer
            if _end(blocks, better) < end:
                method, offsets, end = "solver", better, _end(blocks, better)
    return Plan(
        buffers=tuple(found),
        offsets_bytes=tuple(offset * unit for offset in offsets),
        steps=steps,
        alignment_bytes=unit,
        arena_bytes=end * unit,
        lower_bound_bytes=bound * unit,
        method=method,
        optimal=proven,
    )


def _pairs(found: Sequence[Buffer], steps: int) -> int:
    """Return about how many pairs of buffers live at once."""
    alive = np.zeros(steps + 1, dtype=np.int64)
    np.add.at(alive, [b.first_step for b in found], 1)
    np.subtract.at(alive, [b.last_step + 1 for b in found], 1)
    at_start = np.cumsum(alive)
    return int(sum(at_start[b.first_step] for b in found))


def _blocks(found: Sequence[Buffer], unit: int, *, pairs: bool) -> _Blocks:
    meets: list[list[int]] = [[] for _ in found]
    running: list[int] = []
    for i in sorted(range(len(found)), key=lambda i: found[i].first_step) if pairs else ():
        running = [j for j in running if found[j].last_step >= found[i].first_step]
        for j in running:
            meets[i].append(j)
            meets[j].append(i)
        running.append(i)
    return _Blocks(
        [align(b.size_bytes, unit) // unit for b in found],
        [b.first_step for b in found],
        [b.last_step for b in found],
        meets,
    )


def _end(blocks: _Blocks, offsets: list[int]) -> int:
    return max((o + s for o, s in zip(offsets, blocks.sizes, strict=True)), default=0)


def _greedy(blocks: _Blocks, steps: int, bound: int) -> tuple[str, list[int]]:
    """Return the best of the greedy ways, the first of equals."""
    everything = range(len(blocks.sizes))
    length = [blocks.last[i] - blocks.first[i] for i in everything]
    orders = {
        "by size": sorted(everything, key=lambda i: (-blocks.sizes[i], -length[i], i)),
        "by breadth": _by_breadth(blocks, steps),
        "by lifetime": sorted(everything, key=lambda i: (-length[i], -blocks.sizes[i], i)),
    }
    best: tuple[str, list[int]] | None = None
    for method, order in orders.items():
        offsets = _first_fit(blocks, order)
        if best is None or _end(blocks, offsets) < _end(blocks, best[1]):
            best = method, offsets
        if _end(blocks, offsets) == bound:
            break
    assert best is not None
    return best


def _by_time(blocks: _Blocks) -> list[int]:
    """Give and take back memory as the steps go, lowest place first; for very many buffers."""
    offsets = [0] * len(blocks.sizes)
    gaps = [(0, sum(blocks.sizes) + 1)]  # start and end, by rising start
    held: list[tuple[int, int]] = []  # last step and buffer
    for i in sorted(range(len(offsets)), key=lambda i: (blocks.first[i], -blocks.sizes[i], i)):
        while held and held[0][0] < blocks.first[i]:
            _, free = heapq.heappop(held)
            _give_back(gaps, offsets[free], offsets[free] + blocks.sizes[free])
        size = blocks.sizes[i]
        at = next(n for n, (start, end) in enumerate(gaps) if end - start >= size)
        start, end = gaps[at]
        offsets[i] = start
        gaps[at : at + 1] = [(start + size, end)] if end - start > size else []
        heapq.heappush(held, (blocks.last[i], i))
    return offsets


def _give_back(gaps: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a gap, and join it with its neighbours."""
    at = bisect_left(gaps, (start, end))
    if at < len(gaps) and gaps[at][0] == end:
        end = gaps.pop(at)[1]
    if at and gaps[at - 1][1] == start:
        start = gaps.pop(at - 1)[0]
        at -= 1
    gaps.insert(at, (start, end))


def _by_breadth(blocks: _Blocks, steps: int) -> list[int]:
    """Return buffers of the step that takes most first, within a step by size."""
    taken = [0] * steps
    alive: list[list[int]] = [[] for _ in range(steps)]
    if sum(blocks.last) - sum(blocks.first) > _COMPARISONS:
        return list(range(len(blocks.sizes)))
    for i, size in enumerate(blocks.sizes):
        for step in range(blocks.first[i], blocks.last[i] + 1):
            taken[step] += size
            alive[step].append(i)
    order: dict[int, None] = {}
    for step in sorted(range(steps), key=lambda s: -taken[s]):
        order |= dict.fromkeys(sorted(alive[step], key=lambda i: -blocks.sizes[i]))
    return list(order)


def _first_fit(blocks: _Blocks, order: Sequence[int]) -> list[int]:
    """Put each buffer into the smallest gap that holds it, between those it meets."""
    offsets = [-1] * len(blocks.sizes)
    for i in order:
        size, end = blocks.sizes[i], 0
        best, narrowest = -1, -1
        there = sorted((offsets[j], blocks.sizes[j]) for j in blocks.meets[i] if offsets[j] >= 0)
        for offset, length in there:
            gap = offset - end
            if gap >= size and (narrowest < 0 or gap < narrowest):
                best, narrowest = end, gap
            end = max(end, offset + length)
        offsets[i] = best if best >= 0 else end
    return offsets


def _moved_to_front(blocks: _Blocks, offsets: list[int], bound: int) -> list[int]:
    """Place again and again, those that stuck out before now first; return the best."""
    order = sorted(range(len(offsets)), key=lambda i: (offsets[i], -blocks.sizes[i]))
    best, seen = offsets, set[tuple[int, ...]]()
    work = sum(map(len, blocks.meets)) + len(offsets)
    for _ in range(min(MAX_ROUNDS, _COMPARISONS // max(work, 1))):
        end = _end(blocks, offsets)
        late = {i for i, offset in enumerate(offsets) if offset + blocks.sizes[i] == end}
        order = [i for i in order if i in late] + [i for i in order if i not in late]
        if tuple(order) in seen:
            break
        seen.add(tuple(order))
        offsets = _first_fit(blocks, order)
        if _end(blocks, offsets) < _end(blocks, best):
            best = offsets
            if _end(blocks, best) == bound:
                break
    return best
