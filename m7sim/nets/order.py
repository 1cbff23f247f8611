"""The order of execution in which a branching network needs the least memory.

The memory in use depends only on *which* steps are done, not on their order, so the search runs
over the sets of steps that can be done (closed under predecessors): a path from the empty set to
the full one with the smallest maximum. States are expanded by rising maximum, hence the first way
that arrives is a best one. A ready step that keeps within the maximum so far and leaves no more
memory taken than before is done at once; no order that puts it off can be better, as all it frees
or shares only grows with what is done. Beyond a number of states, a beam of the best ones goes on.

The way over sets of steps is known from irregularly wired networks (B. Ahn et al., "Ordering
Chaos", MLSys 2020, arXiv 2003.02369).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from m7sim.nets.liveness import Flow, peak_bytes

MAX_STATES = 50_000
MAX_STEPS = 1_000
"""Beyond it, the given order stands."""
_EXACT_WORK, _BEAM_WORK = 400_000, 200_000  # states times steps: about a second each

_Peak = tuple[int, int, tuple[int, ...], int]  # peak, bytes left taken, order, ready steps
_State = tuple[int, int, int, tuple[int, ...]]  # done, bytes taken, ready steps, the last steps


@dataclass(frozen=True)
class Ordering:
    """An order of execution.

    Attributes
    ----------
    flow
        With its steps in that order.
    order
        Indices of the steps in the flow that was given.
    peak_bytes, given_peak_bytes
        Maximum of memory in use, in this order and in the one given.
    optimal
        Whether no order is better; else it is the best of a beam.
    states
        Sets of steps that were looked at.
    """

    flow: Flow
    order: tuple[int, ...]
    peak_bytes: int
    given_peak_bytes: int
    optimal: bool
    states: int


def best(flow: Flow, *, scratch: bool = True, max_states: int = MAX_STATES) -> Ordering:
    """Find the order of execution with the smallest maximum of memory in use.

    Parameters
    ----------
    scratch
        Whether the kernels' scratch buffers and copies count.
    max_states
        Where the exact search gives up in favour of a beam, if not before for large networks.

    Notes
    -----
    The given order is kept if nothing is better.
    """
    given, count = peak_bytes(flow, scratch=scratch), len(flow.steps)
    as_given = tuple(range(count))
    if count > MAX_STEPS:
        return Ordering(flow, as_given, given, given, False, 0)
    search = _Search(flow, scratch=scratch)
    if search.lower_bound == given:
        return Ordering(flow, as_given, given, given, True, 0)
    found = search.exact(min(max_states, _EXACT_WORK // count))
    optimal = found is not None
    peak, order = found or search.beam(max(1, _BEAM_WORK // count**2))
    if peak >= given:
        peak, order = given, as_given
    return Ordering(flow.reordered(order), order, peak, given, optimal, search.states)


class _Search:
    """Sets of steps as bit masks, with the memory each step takes and leaves."""

    def __init__(self, flow: Flow, *, scratch: bool) -> None:
        steps, storage, sizes = flow.steps, flow.storage, flow.sizes_bytes
        makers = {tensor: i for i, step in enumerate(steps) for tensor in step.outputs}
        self.readers: dict[str, int] = {}
        for i, step in enumerate(steps):
            for tensor in step.inputs:
                root = storage[tensor]
                self.readers[root] = self.readers.get(root, 0) | 1 << i
        self.sizes = sizes
        self.kept = {storage[tensor] for tensor in flow.outputs}
        self.needs = [
            sum(1 << i for i in {makers[t] for t in step.inputs if t in makers}) for step in steps
        ]
        self.followers: list[list[int]] = [[] for _ in steps]
        for i, needs in enumerate(self.needs):
            for j in _members(needs):
                self.followers[j].append(i)
        self.inputs = [tuple({storage[t]: None for t in step.inputs}) for step in steps]
        self.made = [tuple(t for t in step.outputs if storage[t] == t) for step in steps]
        self.scratch = [step.scratch_bytes if scratch else 0 for step in steps]
        self.shares = ["" for _ in steps]
        self.copies = ["" for _ in steps]
        for i, step in enumerate(steps):
            if not step.inputs or step.view:
                continue
            root = storage[step.inputs[0]]
            if step.in_place:
                if step.outputs and sizes[step.outputs[0]] == sizes[root]:
                    self.shares[i] = root
            elif step.destroys and scratch:
                self.copies[i] = root
        self.full = (1 << len(steps)) - 1
        outside = {storage[t] for t in flow.inputs}
        self.start_bytes = sum(sizes[r] for r in outside if r in self.readers or r in self.kept)
        self.states = 0
        self.lower_bound = max(self._least(i) for i in range(len(steps)))

    def _least(self, i: int) -> int:
        """Return the memory a step takes at the least, whatever the order."""
        taken = sum(self.sizes[r] for r in self.inputs[i]) + self.scratch[i]
        taken += sum(self.sizes[t] for t in self.made[i])
        return taken - (self.sizes[self.shares[i]] if self._may_die(self.shares[i]) else 0)

    def _may_die(self, root: str) -> bool:
        return bool(root) and root not in self.kept

    def _dies(self, root: str, done: int) -> bool:
        return root not in self.kept and not self.readers[root] & ~done

    def _do(self, i: int, done: int, live_bytes: int) -> tuple[int, int]:
        """Return the memory taken while a step runs, and afterwards."""
        after = done | 1 << i
        during = live_bytes + self.scratch[i]
        left = live_bytes
        for tensor in self.made[i]:
            size = self.sizes[tensor]
            during += size
            if tensor in self.readers or tensor in self.kept:
                left += size
        for root in self.inputs[i]:
            if self._dies(root, after):
                left -= self.sizes[root]
        if self.shares[i] and self._dies(self.shares[i], after):
            during -= self.sizes[self.shares[i]]
        if self.copies[i] and not self._dies(self.copies[i], after):
            during += self.sizes[self.copies[i]]
        return during, left

    def _after(self, i: int, done: int, ready: int) -> int:
        """Return the steps that can be done once step ``i`` is, as a mask; ``done`` has it."""
        ready &= ~(1 << i)
        for j in self.followers[i]:
            if not self.needs[j] & ~done:
                ready |= 1 << j
        return ready

    def _start(self) -> _State:
        ready = sum(1 << i for i, needs in enumerate(self.needs) if not needs)
        return self._settle(0, self.start_bytes, ready, self.lower_bound)

    def _settle(self, done: int, live: int, ready: int, peak: int) -> _State:
        """Do all steps that cannot be wrong, and tell which."""
        path: list[int] = []
        again = True
        while again:
            again = False
            for i in _members(ready):
                during, left = self._do(i, done, live)
                if during <= peak and left <= live:
                    done, live, again = done | 1 << i, left, True
                    ready = self._after(i, done, ready)
                    path.append(i)
        return done, live, ready, tuple(path)

    def _step(self, i: int, done: int, live: int, ready: int, peak: int) -> tuple[int, _State]:
        """Do a step and what then cannot be wrong; return the peak and the state."""
        during, left = self._do(i, done, live)
        higher, done = max(peak, during), done | 1 << i
        after, left, ready, more = self._settle(done, left, self._after(i, done, ready), higher)
        return higher, (after, left, ready, (i, *more))

    def exact(self, max_states: int) -> tuple[int, tuple[int, ...]] | None:
        """Return the smallest peak and an order with it, or None beyond a number of states."""
        done, live, ready, path = self._start()
        came_from: dict[int, tuple[int, tuple[int, ...]]] = {done: (0, path)}
        queue = [(self.lower_bound, -done.bit_count(), done, live, ready)]
        closed: set[int] = set()
        best_peak = {done: self.lower_bound}
        while queue:
            peak, _, done, live, ready = heapq.heappop(queue)
            if done in closed:
                continue
            closed.add(done)
            self.states = len(closed)
            if done == self.full:
                return peak, self._path(came_from, done)
            if self.states > max_states:
                return None
            for i in _members(ready):
                higher, (after, left, next_ready, more) = self._step(i, done, live, ready, peak)
                if higher < best_peak.get(after, higher + 1):
                    best_peak[after] = higher
                    came_from[after] = (done, more)
                    heapq.heappush(queue, (higher, -after.bit_count(), after, left, next_ready))
        raise AssertionError("a flow always has an order")

    def _path(
        self, came_from: dict[int, tuple[int, tuple[int, ...]]], done: int
    ) -> tuple[int, ...]:
        parts: list[tuple[int, ...]] = []
        while done:
            done, steps = came_from[done]
            parts.append(steps)
        return tuple(i for steps in reversed(parts) for i in steps)

    def beam(self, width: int) -> tuple[int, tuple[int, ...]]:
        """Return the best peak and order among the ``width`` best sets of each number of steps."""
        levels: list[dict[int, _Peak]] = [{} for _ in range(self.full.bit_count() + 1)]
        done, live, ready, path = self._start()
        levels[done.bit_count()][done] = (self.lower_bound, live, path, ready)
        for level in levels[:-1]:
            kept = sorted(level.items(), key=lambda item: item[1])[:width]
            self.states += len(kept)
            for done, (peak, live, path, ready) in kept:
                for i in _members(ready):
                    higher, (after, left, next_ready, more) = self._step(i, done, live, ready, peak)
                    found = (higher, left, (*path, *more), next_ready)
                    goal = levels[after.bit_count()]
                    if after not in goal or found < goal[after]:
                        goal[after] = found
        peak, _, path, _ = levels[-1][self.full]
        return peak, path


def _members(mask: int) -> Iterator[int]:
    """Go through the numbers of the bits that are set, by rising number."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
