"""Natural loops of a function, found from the branches that a run took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from m7sim.isa.instruction import ALWAYS, Branch

_NEVER_FALLS = frozenset({Branch.DIRECT, Branch.INDIRECT, Branch.RETURN, Branch.TABLE})
_JUMPS = frozenset({Branch.CONDITIONAL, Branch.DIRECT})
_UNKNOWN_TARGET = frozenset({Branch.TABLE, Branch.INDIRECT})


@dataclass(frozen=True)
class Step:
    """An instruction that executed, as far as the flow of control goes."""

    address: int
    size_bytes: int
    branch: Branch
    target: int  # of a direct branch, else -1
    condition: int
    predicated: bool
    executions: int
    taken: int  # times that a branch was taken


@dataclass(frozen=True)
class NaturalLoop:
    """A loop: indices into the steps; ``header`` is its first one, ``latches`` go back to it."""

    header: int
    latches: tuple[int, ...]
    body: frozenset[int]
    parent: int  # index into the loops, or -1
    iterations: int
    entries: int


@dataclass
class _Flow:
    """Basic blocks; block 0 is a root before all ways into the function."""

    first: list[int]
    last: list[int]
    successors: list[dict[int, int]]  # block -> times

    def predecessors(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.successors]
        for block, after in enumerate(self.successors):
            for successor in after:
                found[successor].append(block)
        return found


def natural_loops(steps: Sequence[Step], entry: int) -> list[NaturalLoop]:
    """Return the loops of one function, outer ones before the ones inside them.

    Parameters
    ----------
    steps
        Its instructions that executed, by address.
    entry
        Address that calls of it jump to.

    Returns
    -------
    list[NaturalLoop]
        Loops with one header are one loop. What goes backwards into the middle of a loop, as
        ``goto`` may, is none.
    """
    if not steps:
        return []
    flow = _flow(steps, entry)
    before = flow.predecessors()
    dominator, order = _dominators(flow, before)
    latches: dict[int, list[int]] = {}
    for block in order:
        for successor in flow.successors[block]:
            if _dominates(dominator, order, successor, block):
                latches.setdefault(successor, []).append(block)
    found = [(header, tails, _body(header, tails, before)) for header, tails in latches.items()]
    found.sort(key=lambda loop: (-len(loop[2]), flow.first[loop[0]]))
    loops: list[NaturalLoop] = []
    for index, (header, tails, body) in enumerate(found):
        around = [i for i in range(index) if header in found[i][2]]
        loops.append(
            NaturalLoop(
                header=flow.first[header],
                latches=tuple(flow.last[tail] for tail in tails),
                body=frozenset(
                    i for block in body for i in range(flow.first[block], flow.last[block] + 1)
                ),
                parent=around[-1] if around else -1,
                **_times(flow, steps, header, tails, body),
            )
        )
    return loops


def innermost(loops: Sequence[NaturalLoop], n_steps: int) -> list[int]:
    """Return for each step the index of the innermost loop around it, or -1."""
    inside = [-1] * n_steps
    for index, loop in enumerate(loops):  # outer before inner
        for step in loop.body:
            inside[step] = index
    return inside


def _times(
    flow: _Flow, steps: Sequence[Step], header: int, tails: Sequence[int], body: frozenset[int]
) -> dict[str, int]:
    """Return iterations and entries.

    A loop that is left from its header, and does not end there, asks before each iteration: its
    header executes once more per entry than its body.
    """
    executed = steps[flow.first[header]].executions
    back = sum(flow.successors[tail][header] for tail in tails)
    leaves = any(successor not in body for successor in flow.successors[header])
    asks_first = leaves and header not in tails and back > 0
    return {
        "iterations": back if asks_first else executed,
        "entries": max(executed - back, 0),
    }


def _flow(steps: Sequence[Step], entry: int) -> _Flow:
    at = {step.address: i for i, step in enumerate(steps)}
    leaders = {at.get(entry, 0), 0}
    for i, step in enumerate(steps):
        follows = at.get(step.address + step.size_bytes)
        if step.branch in _JUMPS and step.taken and step.target in at:
            leaders.add(at[step.target])
        if (step.branch != Branch.NONE or follows is None) and i + 1 < len(steps):
            leaders.add(i + 1)
    first = sorted(leaders)
    last = [*(i - 1 for i in first[1:]), len(steps) - 1]
    block_of = {i: n + 1 for n, i in enumerate(first)}
    flow = _Flow([-1, *first], [-1, *last], [{} for _ in range(len(first) + 1)])
    for block in range(1, len(flow.first)):
        step = steps[flow.last[block]]
        after = flow.successors[block]
        if step.branch in _JUMPS and step.taken and step.target in at:
            after[block_of[at[step.target]]] = step.taken
        follows = at.get(step.address + step.size_bytes)
        falls = _falls(step)
        if follows is not None and falls:
            successor = block_of[follows]
            after[successor] = after.get(successor, 0) + falls
    _add_unknown(flow, steps, block_of[at.get(entry, 0)])
    return flow


def _falls(step: Step) -> int:
    """Return how often execution went on behind a step; a call comes back there."""
    may_fall = step.condition != ALWAYS or step.predicated
    if step.branch == Branch.CONDITIONAL or (step.branch in _NEVER_FALLS and may_fall):
        return step.executions - step.taken
    return 0 if step.branch in _NEVER_FALLS else step.executions


def _add_unknown(flow: _Flow, steps: Sequence[Step], entry: int) -> None:
    """Lead table branches, and else the root, to the blocks that nothing else leads to."""
    reached = {successor for after in flow.successors for successor in after}
    tables = [
        block
        for block in range(1, len(flow.first))
        if steps[flow.last[block]].branch in _UNKNOWN_TARGET
    ]
    flow.successors[0][entry] = 1
    for block in range(1, len(flow.first)):
        if block in reached or block == entry:
            continue
        for source in tables or [0]:
            flow.successors[source][block] = steps[flow.first[block]].executions


def _dominators(flow: _Flow, before: list[list[int]]) -> tuple[dict[int, int], dict[int, int]]:
    """Return immediate dominators and the reverse postorder of what the root reaches.

    The way of Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm".
    """
    postorder: list[int] = []
    seen = {0}
    stack = [(0, iter(flow.successors[0]))]
    while stack:
        block, successors = stack[-1]
        following = next((s for s in successors if s not in seen), None)
        if following is None:
            postorder.append(block)
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(flow.successors[following])))
    order = {block: n for n, block in enumerate(reversed(postorder))}
    dominator = {0: 0}
    changed = True
    while changed:
        changed = False
        for block in order:
            if block == 0:
                continue
            common = -1
            for previous in before[block]:
                if previous in dominator:
                    common = previous if common < 0 else _common(dominator, order, previous, common)
            if dominator.get(block) != common:
                dominator[block] = common
                changed = True
    return dominator, order


def _common(dominator: dict[int, int], order: dict[int, int], one: int, other: int) -> int:
    while one != other:
        while order[one] > order[other]:
            one = dominator[one]
        while order[other] > order[one]:
            other = dominator[other]
    return one


def _dominates(dominator: dict[int, int], order: dict[int, int], upper: int, block: int) -> bool:
    while order[block] > order[upper]:
        block = dominator[block]
    return block == upper


def _body(header: int, tails: Sequence[int], before: list[list[int]]) -> frozenset[int]:
    body = {header}
    waiting = [tail for tail in tails if tail != header]
    while waiting:
        block = waiting.pop()
        if block not in body:
            body.add(block)
            waiting.extend(before[block])
    return frozenset(body)
