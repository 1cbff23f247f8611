"""Which object goes where when all costs are known: a 0-1 program for a solver.

    minimise    sum of cost[o, r] x[o, r]  +  sum of cost[(o, r), (p, s)] x[o, r] x[p, s]
    subject to  each object lies in one of its regions,
                the objects of a region are not larger than its room,
                those of the TCMs together not larger than a budget, if there is one.

A product becomes a variable of its own, as usual. The solver is OR-Tools CP-SAT (the extra
``memmap``), with one worker, a fixed seed and a limit in its own measure of work, so that the
answer is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from m7sim.errors import InputError
from m7sim.memmap.candidates import Candidate, Space

DETERMINISTIC_SECONDS: Final = 5.0
Places = Mapping[str, str]
Pair = tuple[str, str]  # an object and a region


@dataclass(frozen=True)
class Costs:
    """What a place costs, in whole units (cycles or pJ), against any common zero.

    Attributes
    ----------
    alone
        By object and region; what is missing costs nothing.
    together
        What two places cost beyond the sum of both, by pair of places.
    """

    alone: Mapping[Pair, int]
    together: Mapping[tuple[Pair, Pair], int] = field(default_factory=dict)

    def of(self, places: Places) -> int:
        """Return the cost of a map."""
        total = sum(self.alone.get(place, 0) for place in places.items())
        for (a, b), cost in self.together.items():
            if places.get(a[0]) == a[1] and places.get(b[0]) == b[1]:
                total += cost
        return total


def assign(
    space: Space,
    costs: Costs,
    *,
    forced: Places | None = None,
    barred: Iterable[Pair] = (),
    seen: Sequence[Places] = (),
) -> dict[str, str] | None:
    """Return the cheapest map, or None if there is none.

    Among equally cheap maps the one that moves least is taken.

    Parameters
    ----------
    space
        Objects, the regions each may lie in, and the room there.
    forced
        Places that must be taken.
    barred
        Places that must not.
    seen
        Maps that are not wanted again.

    Raises
    ------
    InputError
        If OR-Tools is not installed.
    """
    cp_model = open_solver()
    model = cp_model.CpModel()
    variables = _variables(model, space)
    for (name, region), variable in variables.items():
        if forced and forced.get(name, region) != region:
            model.add(variable == 0)
    for pair in barred:
        if pair in variables:
            model.add(variables[pair] == 0)
    for region, room_bytes in space.room_bytes.items():
        model.add(_bytes_in(space, variables, {region}) <= room_bytes)
    if space.tcm_bytes is not None:
        model.add(_bytes_in(space, variables, space.tcm) <= space.tcm_bytes)
    matter = [c.name for c in space.candidates if c.accesses]
    for places in seen:
        model.add(sum(variables[name, places[name]] for name in matter) <= len(matter) - 1)
    moved = sum(v for (name, r), v in variables.items() if r != space.by_name[name].home)
    # A move weighs less than the least cost, so that it only decides between equal ones.
    scale = len(space.candidates) + 1
    total = sum(cost * variables[p] for p, cost in costs.alone.items() if p in variables)
    for (a, b), cost in sorted(costs.together.items()):
        if cost and a in variables and b in variables:
            both = model.new_bool_var("")
            model.add_bool_and(variables[a], variables[b]).only_enforce_if(both)
            model.add_bool_or(variables[a].negated(), variables[b].negated(), both)
            total += cost * both
    model.minimize(total * scale + moved)
    answer = _solve(cp_model, model)
    if answer is None:
        return None
    return {name: region for (name, region), v in variables.items() if answer.boolean_value(v)}


@dataclass(frozen=True)
class Excess:
    """A region that cannot hold what must lie in it."""

    region: str
    objects: tuple[Candidate, ...]  # largest first
    room_bytes: int
    over_bytes: int


def least_excess(space: Space) -> tuple[Excess, ...]:
    """Return where objects do not fit when they are spread so that the fewest bytes are too many.

    Empty if everything fits.

    Raises
    ------
    InputError
        If OR-Tools is not installed.
    """
    cp_model = open_solver()
    model = cp_model.CpModel()
    variables = _variables(model, space)
    everything = sum(c.size_bytes for c in space.candidates)
    over = {}
    for region, room_bytes in space.room_bytes.items():
        over[region] = model.new_int_var(0, everything + abs(min(room_bytes, 0)), "")
        model.add(_bytes_in(space, variables, {region}) <= room_bytes + over[region])
    moved = sum(v for (name, r), v in variables.items() if r != space.by_name[name].home)
    model.minimize(sum(over.values()) * (len(space.candidates) + 1) + moved)
    answer = _solve(cp_model, model)
    if answer is None:  # cannot be: any map is allowed
        return ()
    found = []
    for region, variable in over.items():
        if bytes_over := int(answer.value(variable)):
            there = [
                space.by_name[name]
                for (name, r), v in variables.items()
                if r == region and answer.boolean_value(v)
            ]
            there.sort(key=lambda c: (-c.size_bytes, c.name))
            found.append(Excess(region, tuple(there), space.room_bytes[region], bytes_over))
    return tuple(found)


def open_solver() -> Any:
    """Return OR-Tools' ``cp_model``.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise InputError(
            "finding the best placement needs OR-Tools",
            do="Install it: pip install 'm7sim[memmap]'",
        ) from error
    return cp_model


def _variables(model: Any, space: Space) -> dict[Pair, Any]:
    """Return a variable for each place, exactly one of which is taken by an object."""
    variables: dict[Pair, Any] = {}
    for candidate in space.candidates:
        for region in candidate.choices:
            variables[candidate.name, region] = model.new_bool_var(f"{candidate.name}@{region}")
        model.add_exactly_one(variables[candidate.name, r] for r in candidate.choices)
    return variables


def _bytes_in(space: Space, variables: Mapping[Pair, Any], regions: Iterable[str]) -> Any:
    inside = set(regions)
    return sum(
        space.by_name[name].size_bytes * variable
        for (name, region), variable in variables.items()
        if region in inside
    )


def _solve(cp_model: Any, model: Any) -> Any:
    """Return the solver with its answer, or None if there is none."""
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1  # more would make the result depend on the machine
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = DETERMINISTIC_SECONDS
    status = solver.solve(model)
    return solver if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None
