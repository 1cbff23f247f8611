"""Liveness, order of execution and placement: against brute force and by properties."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m7sim.errors import InputError
from m7sim.nets import order, planner
from m7sim.nets.liveness import Buffer, Flow, Step, buffers, occupancy, peak_bytes

SEEDS = st.integers(0, 10**6)


def random_flow(seed: int, steps: int, *, width: int = 3, flags: bool = True) -> Flow:
    """A graph of random edges with views, steps in place and kernels that destroy their input."""
    rng = random.Random(seed)
    sizes, made, there = {"in": rng.randint(1, 64) * 4}, [], ["in"]
    for i in range(steps):
        inputs = rng.sample(there[-6:], rng.randint(1, min(len(there), width, 6)))
        kind = rng.choice(["", "", "view", "in_place", "destroys"]) if flags else ""
        shared = kind in ("view", "in_place")
        sizes[f"t{i}"] = sizes[inputs[0]] if shared else rng.randint(1, 64) * 4
        made.append(
            Step(
                name=f"s{i}",
                inputs=tuple(inputs),
                outputs=(f"t{i}",),
                scratch_bytes=rng.choice([0, 0, 20]),
                view=kind == "view",
                in_place=kind == "in_place",
                destroys=kind == "destroys",
            )
        )
        there.append(f"t{i}")
    read = {tensor for step in made for tensor in step.inputs}
    outputs = tuple(tensor for tensor in there if tensor not in read)
    return Flow(
        name="random", sizes_bytes=sizes, steps=tuple(made), inputs=("in",), outputs=outputs
    )


def chain(*sizes: int, **flags: bool) -> Flow:
    names = [f"t{i}" for i in range(len(sizes))]
    steps = tuple(
        Step(name=f"s{i}", inputs=(names[i],), outputs=(names[i + 1],), **flags)
        for i in range(len(sizes) - 1)
    )
    return Flow(
        name="chain",
        sizes_bytes=dict(zip(names, sizes, strict=True)),
        steps=steps,
        inputs=("t0",),
        outputs=(names[-1],),
    )


# The rule -------------------------------------------------------------------------------------


def test_feed_forward_is_the_largest_input_and_output() -> None:
    assert peak_bytes(chain(490, 8000, 8000, 64, 12)) == 16000


def test_residual_keeps_its_shortcut_alive() -> None:
    flow = Flow(
        name="residual",
        sizes_bytes={"x": 100, "a": 30, "b": 40, "y": 40},
        steps=(
            Step(name="conv1", inputs=("x",), outputs=("a",)),
            Step(name="conv2", inputs=("a",), outputs=("b",)),
            Step(name="add", inputs=("b", "x"), outputs=("y",)),
        ),
        inputs=("x",),
        outputs=("y",),
    )
    assert occupancy(buffers(flow), 3).tolist() == [130, 170, 180]


def test_dense_edges_accumulate() -> None:
    sizes = {"t0": 8} | {f"t{i}": 8 for i in range(1, 5)}
    steps = tuple(
        Step(name=f"s{i}", inputs=tuple(f"t{j}" for j in range(i)), outputs=(f"t{i}",))
        for i in range(1, 5)
    )
    flow = Flow(name="dense", sizes_bytes=sizes, steps=steps, inputs=("t0",), outputs=("t4",))
    assert occupancy(buffers(flow), 4).tolist() == [16, 24, 32, 40]


def test_in_place_and_views_share_and_a_needed_input_does_not() -> None:
    assert peak_bytes(chain(64, 64, 64, in_place=True)) == 64
    assert peak_bytes(chain(64, 64, 64, view=True)) == 64
    flow = Flow(
        name="needed",
        sizes_bytes={"x": 64, "r": 64, "y": 64},
        steps=(
            Step(name="relu", inputs=("x",), outputs=("r",), in_place=True),
            Step(name="add", inputs=("r", "x"), outputs=("y",)),
        ),
        inputs=("x",),
        outputs=("y",),
    )
    assert [b.tensors for b in buffers(flow)] == [("r",), ("x",), ("y",)]


def test_a_destroyed_input_that_is_needed_takes_a_copy() -> None:
    flow = Flow(
        name="pool",
        sizes_bytes={"x": 64, "p": 16, "y": 64},
        steps=(
            Step(name="pool", inputs=("x",), outputs=("p",), destroys=True),
            Step(name="merge", inputs=("x", "p"), outputs=("y",)),
        ),
        inputs=("x",),
        outputs=("y",),
    )
    assert occupancy(buffers(flow), 2).tolist() == [64 + 16 + 64, 64 + 16 + 64]
    assert peak_bytes(flow) == 144


def test_an_output_lives_to_the_end() -> None:
    flow = Flow(
        name="early exit",
        sizes_bytes={"x": 8, "early": 8, "a": 8, "y": 8},
        steps=(
            Step(name="head", inputs=("x",), outputs=("early",)),
            Step(name="a", inputs=("x",), outputs=("a",)),
            Step(name="y", inputs=("a",), outputs=("y",), in_place=True),
        ),
        inputs=("x",),
        outputs=("early", "y"),
    )
    assert occupancy(buffers(flow), 3).tolist() == [16, 24, 16]


def test_broken_flows_are_refused() -> None:
    step = Step(name="s", inputs=("b",), outputs=("a",))
    with pytest.raises(InputError, match="before it is made"):
        Flow(name="n", sizes_bytes={"a": 1, "b": 1}, steps=(step,), inputs=(), outputs=("a",))
    with pytest.raises(InputError, match="has no size"):
        Flow(name="n", sizes_bytes={"b": 1}, steps=(step,), inputs=("b",), outputs=("a",))
    with pytest.raises(InputError, match="not an order"):
        chain(1, 2, 3).reordered([0, 0])


# Order ----------------------------------------------------------------------------------------


def all_orders(flow: Flow) -> list[Flow]:
    found = []
    for order_ in itertools.permutations(range(len(flow.steps))):
        try:
            found.append(flow.reordered(order_))
        except InputError:
            continue
    return found


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_order_equals_brute_force(seed: int) -> None:
    flow = random_flow(seed, 6)
    found = order.best(flow)
    assert found.optimal
    assert found.peak_bytes == peak_bytes(found.flow, scratch=True)
    assert found.peak_bytes == min(peak_bytes(f, scratch=True) for f in all_orders(flow))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_beam_is_a_valid_order_and_never_worse_than_given(seed: int) -> None:
    flow = random_flow(seed, 12)
    found, exact = order.best(flow, max_states=0), order.best(flow)
    assert found.peak_bytes == peak_bytes(found.flow, scratch=True)
    assert exact.peak_bytes <= found.peak_bytes <= found.given_peak_bytes
    assert exact.peak_bytes == peak_bytes(exact.flow, scratch=True)


def test_long_branches_are_done_one_after_the_other() -> None:
    """Four branches that shrink: breadth first needs all four large middles, depth first one."""
    sizes, steps = {"x": 16}, []
    for depth in range(2):
        for branch in range(4):
            source = "x" if depth == 0 else f"b{branch}.0"
            name = f"b{branch}.{depth}"
            sizes[name] = (1000, 10)[depth]
            steps.append(Step(name=name, inputs=(source,), outputs=(name,)))
    sizes["y"] = 16
    last = tuple(f"b{branch}.1" for branch in range(4))
    steps.append(Step(name="join", inputs=last, outputs=("y",)))
    flow = Flow(name="n", sizes_bytes=sizes, steps=tuple(steps), inputs=("x",), outputs=("y",))
    found = order.best(flow)
    assert found.given_peak_bytes == 16 + 4 * 1000
    assert found.peak_bytes == 16 + 3 * 10 + 1000
    assert found.optimal


# Placement ------------------------------------------------------------------------------------


def check(plan: planner.Plan) -> None:
    for a, b in itertools.combinations(range(len(plan.buffers)), 2):
        one, two = plan.buffers[a], plan.buffers[b]
        if one.meets(two):
            low, high = plan.offsets_bytes[a], plan.offsets_bytes[b]
            assert low + one.size_bytes <= high or high + two.size_bytes <= low, (one, two)
    for buffer, offset in zip(plan.buffers, plan.offsets_bytes, strict=True):
        assert offset >= 0
        assert offset % plan.alignment_bytes == 0
        assert offset + buffer.size_bytes <= plan.arena_bytes
    assert plan.lower_bound_bytes <= plan.arena_bytes


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.integers(1, 40), st.sampled_from([1, 4, 16, 32]))
def test_no_two_live_buffers_overlap(seed: int, steps: int, alignment: int) -> None:
    flow = random_flow(seed, steps)
    plan = planner.plan(flow, alignment_bytes=alignment, solve=False)
    check(plan)
    aligned = occupancy(buffers(flow), steps, alignment=alignment).max()
    assert plan.lower_bound_bytes == aligned


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 40))
def test_very_many_buffers_are_placed_by_time(seed: int, steps: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "MAX_PAIRS", 0)
        plan = planner.plan(random_flow(seed, steps))
    check(plan)
    assert plan.method == "by time"
    assert plan.arena_bytes <= sum(b.size_bytes + plan.alignment_bytes for b in plan.buffers)


@pytest.mark.parametrize("shape", ["chain", "star"])
def test_huge_graphs_take_seconds(shape: str) -> None:
    """20 000 steps one after the other; and 20 000 results that all live to the end."""
    if shape == "chain":
        flow = chain(*([64] * 20_001))
    else:
        names = tuple(f"t{i}" for i in range(20_000))
        flow = Flow(
            name="star",
            sizes_bytes=dict.fromkeys(("x", *names), 64),
            steps=tuple(Step(name=n, inputs=("x",), outputs=(n,)) for n in names),
            inputs=("x",),
            outputs=names,
        )
    begin = time.process_time()
    plan = planner.plan(order.best(flow).flow)
    assert time.process_time() - begin < 5
    assert plan.gap == 0


def needs_solver() -> planner.Plan:
    """An instance in which all greedy ways stay above the bound."""
    for seed in range(200):
        flow = random_flow(seed, 30, width=2)
        if planner.plan(flow, solve=False).gap > 0:
            return planner.plan(flow)
    raise AssertionError("no instance is hard enough")


def test_solver_closes_the_gap_or_proves_it() -> None:
    pytest.importorskip("ortools")
    plan = needs_solver()
    check(plan)
    assert plan.optimal
    assert plan == needs_solver()


def test_without_the_solver_the_greedy_plan_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ortools.sat.python", None)
    plan = needs_solver()
    check(plan)
    assert not plan.optimal


def test_nothing_to_place() -> None:
    assert planner.place((), 3).arena_bytes == 0


def test_two_buffers_that_do_not_meet_share() -> None:
    pair = [
        Buffer(name=n, tensors=(n,), size_bytes=64, first_step=i, last_step=i)
        for i, n in enumerate("ab")
    ]
    assert planner.place(pair, 2).arena_bytes == 64


def nas_like(seed: int, cells: int = 4) -> Flow:
    """Cells of randomly wired nodes that also read the cell before the last, as in found nets."""
    rng = random.Random(seed)
    sizes, steps = {"x": 32 * 32 * 16}, []
    before, last = "x", "x"
    for cell in range(cells):
        size = 32 * 32 * 16 >> cell
        nodes = [before, last]
        for node in range(5):
            name = f"c{cell}.n{node}"
            sizes[name] = size // rng.choice([1, 1, 2, 4])
            inputs = tuple(dict.fromkeys(rng.choices(nodes, k=2)))
            steps.append(Step(name=name, inputs=inputs, outputs=(name,)))
            nodes.append(name)
        name = f"c{cell}.out"
        sizes[name] = size
        loose = [n for n in nodes[2:] if not any(n in step.inputs for step in steps)]
        steps.append(Step(name=name, inputs=tuple(loose), outputs=(name,)))
        before, last = last, name
    return Flow(
        name=f"nas{seed}", sizes_bytes=sizes, steps=tuple(steps), inputs=("x",), outputs=(last,)
    )


@pytest.mark.parametrize("seed", range(8))
def test_nas_like_graphs_stay_within_5_percent(seed: int) -> None:
    found = order.best(nas_like(seed))
    plan = planner.plan(found.flow)
    check(plan)
    assert plan.gap <= 0.05
    assert found.peak_bytes <= found.given_peak_bytes
