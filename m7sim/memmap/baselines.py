"""Maps to compare the best one with: nothing in TCM, and what is accessed most in it."""

from __future__ import annotations

from collections.abc import Callable

from m7sim.errors import InputError
from m7sim.memmap.assignment import Costs, assign
from m7sim.memmap.candidates import Candidate, Space
from m7sim.memmap.judge import Places


def slowest(space: Space) -> Places:
    """Return the map with the fewest bytes in TCM: "all in flash and SRAM, behind the caches".

    What lies in flash or SRAM as linked stays there.

    Raises
    ------
    InputError
        If there is no map at all, or OR-Tools is missing.
    """
    costs = {
        (c.name, region): c.size_bytes
        for c in space.candidates
        for region in c.choices
        if region in space.tcm
    }
    places = assign(space, Costs(costs))
    if places is None:
        raise InputError("no map is possible")
    return places


def greedy_maps(space: Space, slow: Places) -> list[Places]:
    """Return the greedy maps: by accesses a byte, and by accesses."""
    return [
        greedy(space, slow, key=lambda c: c.density),
        greedy(space, slow, key=lambda c: float(c.accesses)),
    ]


def greedy(space: Space, slow: Places, *, key: Callable[[Candidate], float]) -> Places:
    """Fill the TCMs with the objects that come first by a key, skipping those that do not fit."""
    places = dict(slow)
    for candidate in sorted(space.candidates, key=lambda c: (-key(c), c.name)):
        if not candidate.accesses:
            continue
        for region in candidate.choices:
            if region in space.tcm and space.holds({**places, candidate.name: region}):
                places[candidate.name] = region
                break
    return places
