"""Natural loops against their definition, on random flow graphs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from m7sim.compare.loops import Step, innermost, natural_loops
from m7sim.isa.instruction import ALWAYS, Branch

BASE = 0x0800_0000


def step(index: int, branch: Branch = Branch.NONE, target: int = -1, taken: int = 0) -> Step:
    at = -1 if target < 0 else BASE + 2 * target
    condition = 0 if branch == Branch.CONDITIONAL else ALWAYS
    return Step(BASE + 2 * index, 2, branch, at, condition, False, 10, taken)


@st.composite
def programs(draw: st.DrawFn) -> list[Step]:
    """Every instruction executes; conditional branches go both ways, the last one returns."""
    n = draw(st.integers(2, 14))
    steps = []
    for i in range(n - 1):
        kind = draw(st.sampled_from([Branch.NONE, Branch.NONE, Branch.CONDITIONAL, Branch.DIRECT]))
        target = draw(st.integers(0, n - 1)) if kind != Branch.NONE else -1
        steps.append(step(i, kind, target, {Branch.CONDITIONAL: 5, Branch.DIRECT: 10}.get(kind, 0)))
    return [*steps, step(n - 1, Branch.RETURN)]


def edges_of(steps: list[Step]) -> set[tuple[int, int]]:
    edges = set()
    for i, s in enumerate(steps):
        if s.taken:
            edges.add((i, (s.target - BASE) // 2))
        if s.branch in {Branch.NONE, Branch.CONDITIONAL}:
            edges.add((i, i + 1))
    return edges


def reachable(start: int, edges: set[tuple[int, int]], without: int) -> set[int]:
    seen, stack = set(), [] if start == without else [start]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [b for a, b in edges if a == node and b != without]
    return seen


@settings(max_examples=400, deadline=None, derandomize=True)
@given(programs())
def test_loops_are_those_of_the_definition(steps: list[Step]) -> None:
    edges = edges_of(steps)
    if reachable(0, edges, -1) != set(range(len(steps))):
        return  # it did execute, so something unseen leads there; that is for the next test
    found = {loop.header: set(loop.body) for loop in natural_loops(steps, BASE)}
    expected: dict[int, set[int]] = {}
    for tail, header in edges:
        if tail == header or tail not in reachable(0, edges, header):  # header dominates tail
            body = {header}
            stack = [tail]
            while stack:
                node = stack.pop()
                if node not in body:
                    body.add(node)
                    stack += [a for a, b in edges if b == node]
            expected.setdefault(header, set()).update(body)
    assert found == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(programs())
def test_loops_nest_and_innermost_is_the_smallest(steps: list[Step]) -> None:
    loops = natural_loops(steps, BASE)
    for n, loop in enumerate(loops):
        assert loop.parent < n
        if loop.parent >= 0:
            assert loop.body < loops[loop.parent].body
    for i, inside in enumerate(innermost(loops, len(steps))):
        around = [loop for loop in loops if i in loop.body]
        if around:
            assert loops[inside].body == min((x.body for x in around), key=len)
        else:
            assert inside == -1


def test_iterations_of_both_forms() -> None:
    """Tested at the end, the header executes once per iteration; at the top, once more."""
    at_end = [
        Step(BASE, 2, Branch.NONE, -1, ALWAYS, False, 3, 0),
        Step(BASE + 2, 2, Branch.NONE, -1, ALWAYS, False, 30, 0),
        Step(BASE + 4, 2, Branch.CONDITIONAL, BASE + 2, 1, False, 30, 27),
        Step(BASE + 6, 2, Branch.RETURN, -1, ALWAYS, False, 3, 3),
    ]
    (loop,) = natural_loops(at_end, BASE)
    assert (loop.iterations, loop.entries) == (30, 3)
    at_top = [
        Step(BASE, 2, Branch.CONDITIONAL, BASE + 6, 1, False, 33, 3),
        Step(BASE + 2, 2, Branch.NONE, -1, ALWAYS, False, 30, 0),
        Step(BASE + 4, 2, Branch.DIRECT, BASE, ALWAYS, False, 30, 30),
        Step(BASE + 6, 2, Branch.RETURN, -1, ALWAYS, False, 3, 3),
    ]
    (loop,) = natural_loops(at_top, BASE)
    assert (loop.iterations, loop.entries) == (30, 3)


def test_table_branch_leads_to_what_nothing_else_leads_to() -> None:
    """``for (;;) switch (…)``: each case ends with a branch back to the table branch."""
    steps = [
        step(0, Branch.NONE),
        step(1, Branch.TABLE),
        step(2, Branch.DIRECT, 1, 4),
        step(3, Branch.DIRECT, 1, 5),
        step(4, Branch.RETURN),
    ]
    (loop,) = natural_loops(steps, BASE)
    assert loop.header == 1
    assert loop.body == {1, 2, 3}


def test_nothing() -> None:
    assert natural_loops([], BASE) == []
