"""Placing buffers with a constraint solver (OR-Tools CP-SAT, the extra ``networks``)."""

from __future__ import annotations

from collections.abc import Sequence

DETERMINISTIC_SECONDS = 10.0
"""The solver's own measure of work, about seconds: the same plan on every machine."""


def solve(
    sizes: Sequence[int], lifetimes: Sequence[tuple[int, int]], offsets: Sequence[int], bound: int
) -> tuple[list[int], bool] | None:
    """Find offsets with a lower end than given ones, or prove that there are none.

    Parameters
    ----------
    sizes
        In units of the alignment.
    lifetimes
        First and last step, inclusive.
    offsets
        A plan to start from.
    bound
        What the end cannot be below.

    Returns
    -------
    Offsets and whether no plan is smaller; None if OR-Tools is not installed or finds nothing in
    its time.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        return None
    end = max(o + s for o, s in zip(offsets, sizes, strict=True))
    model = cp_model.CpModel()
    arena = model.new_int_var(bound, end, "arena")
    places, across, along = [], [], []
    for i, (size, (first, last)) in enumerate(zip(sizes, lifetimes, strict=True)):
        place = model.new_int_var(0, end - size, f"offset{i}")
        model.add(place + size <= arena)
        model.add_hint(place, offsets[i])
        places.append(place)
        across.append(model.new_fixed_size_interval_var(place, size, f"bytes{i}"))
        along.append(model.new_fixed_size_interval_var(first, last - first + 1, f"steps{i}"))
    model.add_no_overlap_2d(along, across)
    model.add_hint(arena, end)
    model.minimize(arena)
    engine = cp_model.CpSolver()
    engine.parameters.num_workers = 1  # more would make the result depend on the machine
    engine.parameters.random_seed = 1
    engine.parameters.max_deterministic_time = DETERMINISTIC_SECONDS
    status = engine.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return [int(engine.value(place)) for place in places], bool(status == cp_model.OPTIMAL)
