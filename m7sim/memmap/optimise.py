"""The best map: which object goes where for the fewest cycles or the least energy.

1. *Survey*: starting from a map with nothing in TCM, each object is moved alone to each region and
   the trace timed again; for those that gain most, also two at a time, since caches make costs
   interact.
2. *Solve*: a 0-1 program on these costs (`assignment.assign`).
3. *Refine*: the answer is timed; around the best map known, what each of its moves is worth and
   what each other move would gain is timed again, and the program asked for new answers: as it
   is, with one object forced in, with one kept out. If none is better, objects are swapped one for
   one. Until nothing is better, or the number of timings is used up.
4. *Prune*: moves that are worth next to nothing are taken back.

Whatever is reported was timed; the program's own costs only propose. Nothing depends on chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from m7sim.errors import InputError
from m7sim.memmap.assignment import Costs, Pair, assign
from m7sim.memmap.baselines import greedy_maps, slowest
from m7sim.memmap.candidates import Candidate, Space
from m7sim.memmap.judge import Judge, Places

PAIRED: Final = 8  # objects that are also moved two at a time
LOOKED_AT: Final = 40  # objects that are not in TCM, around the best map of a round
ANSWERS: Final = 3
FORCED: Final = 12  # proposals of each kind in a round
SWAPS: Final = 40
SMALLER: Final = (2, 4)  # parts of the TCM that are tried as well
ROUNDS: Final = 8
PRUNINGS: Final = 3
WORTH: Final = 5e-4  # of the cost: moves that gain less, all together, are taken back
SLACKS: Final = (0, 64, 128, 256, 512, 1024, 2048)  # bytes for the linker's veneers


@dataclass(frozen=True)
class Survey:
    """Costs of single and double moves from a map with nothing in TCM, against that map."""

    slow: Places
    slow_cost: int
    costs: Costs

    def gain(self, candidate: Candidate) -> tuple[int, str]:
        """Return the most that moving an object alone saves, and where to."""
        moved = [
            (-self.costs.alone.get((candidate.name, region), 0), region)
            for region in candidate.choices
            if region != self.slow[candidate.name]
        ]
        return max(moved, key=lambda m: m[0], default=(0, ""))


@dataclass(frozen=True)
class Around:
    """What single changes of a map cost.

    Attributes
    ----------
    costs
        For the program.
    worth
        What the map loses when an object goes back to where it was without TCM.
    gains
        What it gains when one more object comes in, by object and region.
    """

    costs: Costs
    worth: dict[str, int]
    gains: dict[Pair, int]


class Search:
    """Looks for the best map of a space; keeps what it has timed for the next budget."""

    def __init__(self, space: Space, judge: Judge) -> None:
        self.space, self.judge = space, judge
        self.survey = self._look_around()

    def best(
        self, *, tcm_bytes: int | None = None, starts: Sequence[Places] = (), rounds: int = ROUNDS
    ) -> Places:
        """Return the cheapest map found.

        Parameters
        ----------
        tcm_bytes
            Limit on what the candidates take of TCM.
        starts
            Maps that the answer must not be worse than.
        rounds
            Most rounds of refinement.

        Raises
        ------
        InputError
            If no map is allowed (`best.check_space` says why), or OR-Tools is missing.
        """
        space = self.space.limit(tcm_bytes)
        roomy, first = self.opening(space)
        best = self._cheapest(space, [*starts, *first, *self._smaller(roomy)])
        for _ in range(rounds):
            if not self.judge.left:
                break
            better = self._better(roomy, best)
            if better is None:
                break
            best = better
        simple = [c for c in self.judge.costs(first) if c is not None]
        return self._pruned(space, best, at_most=min(simple, default=None))

    def opening(self, space: Space) -> tuple[Space, list[Places]]:
        """Return the two greedy maps and the program's, and the space that all of them fit into.

        What the linker adds is not known beforehand: for it, room is taken off the ITCM in steps.
        """
        maps: list[Places] = []
        for slack_bytes in SLACKS:
            tight = space.tighter(slack_bytes)
            answer = assign(tight, self.survey.costs)
            if answer is None:
                break
            maps = [*greedy_maps(tight, self.survey.slow), answer]
            if None not in self.judge.costs(maps) or not self.judge.left:
                return tight, maps
        return space, maps or [self.survey.slow]

    def _smaller(self, space: Space) -> list[Places]:
        """Return maps for less TCM: what comes in last may do harm where it shares a cache."""
        most = sum(room for name, room in space.room_bytes.items() if name in space.tcm)
        limit = most if space.tcm_bytes is None else min(space.tcm_bytes, most)
        found: list[Places] = []
        for part in SMALLER:
            small = space.limit(limit // part)
            answer = assign(small, self.survey.costs)
            if answer is not None:
                found += [answer, *greedy_maps(small, self.survey.slow)]
        return found

    def _better(self, space: Space, best: Places) -> Places | None:
        """Return a cheaper map near the best one, or None."""
        around = self._around(space, best)
        cost = self.judge.cost(best)
        assert cost is not None
        for proposals in (self._proposals(space, best, around), self._swaps(space, best, around)):
            found = self._cheapest(space, [best, *proposals])
            now = self.judge.cost(found)
            if now is not None and now < cost:
                return found
        return None

    def _cheapest(self, space: Space, maps: Sequence[Places]) -> Places:
        """Return the cheapest of those that are allowed, the first of equals."""
        allowed = [places for places in maps if space.holds(places)]
        costs = self.judge.costs(allowed)
        known = [(c, n) for n, c in enumerate(costs) if c is not None]
        if not known:
            raise InputError("no map could be timed", do="Allow more timings")
        return allowed[min(known)[1]]

    def _look_around(self) -> Survey:
        slow = slowest(self.space)
        cost = self.judge.cost(slow)
        if cost is None:
            raise InputError("the map without TCM cannot be laid out")
        alone = self._alone(slow, cost)
        survey = Survey(slow, cost, Costs(alone))
        return Survey(slow, cost, Costs(alone, self._together(survey)))

    def _alone(self, slow: Places, cost: int) -> dict[Pair, int]:
        """Time each object in each of its regions; those with most accesses first."""
        order = sorted(self.space.candidates, key=lambda c: (-c.accesses, c.name))
        places = [
            (c.name, region)
            for c in order
            for region in c.choices
            if c.accesses and region != slow[c.name]
        ]
        places = places[: self.judge.limit // 2]
        costs = self.judge.costs([{**slow, name: region} for name, region in places])
        return {p: c - cost for p, c in zip(places, costs, strict=True) if c is not None}

    def _together(self, survey: Survey) -> dict[tuple[Pair, Pair], int]:
        """Time the objects that gain most two at a time, each in its best place."""
        gains = [(*survey.gain(c), c) for c in self.space.candidates]
        gains = sorted((g for g in gains if g[0] > 0), key=lambda g: (-g[0], g[2].name))
        chosen = [(c.name, region) for _, region, c in gains[:PAIRED]]
        pairs = list(combinations(chosen, 2))[: self.judge.limit // 6]
        costs = self.judge.costs([{**survey.slow, **dict(pair)} for pair in pairs])
        alone = survey.costs.alone
        return {
            (a, b): cost - survey.slow_cost - alone[a] - alone[b]
            for (a, b), cost in zip(pairs, costs, strict=True)
            if cost is not None
        }

    def _around(self, space: Space, best: Places) -> Around:
        """Time the best map without each of its moves, and with each that it does not make."""
        slow = self.survey.slow
        matter = [c for c in space.candidates if c.accesses]
        inside = [c.name for c in matter if best[c.name] != slow[c.name]]
        outside = sorted(
            ((gain, c.name, region) for c in matter for gain, region in [self.survey.gain(c)]
             if best[c.name] == slow[c.name] and region),
            key=lambda o: (-o[0], o[1]),
        )[:LOOKED_AT]  # fmt: skip
        changes = [(name, slow[name]) for name in inside]
        changes += [(name, region) for _, name, region in outside]
        # those that add may be more than is allowed, as long as the memories hold them
        costs = self.judge.costs([{**best, name: region} for name, region in changes])
        whole = self.judge.cost(best)
        assert whole is not None
        deltas = {p: c - whole for p, c in zip(changes, costs, strict=True) if c is not None}
        alone = dict(self.survey.costs.alone)
        alone |= {p: delta for p, delta in deltas.items() if p[1] != slow[p[0]]}
        worth = {name: delta for (name, r), delta in deltas.items() if r == slow[name]}
        alone |= {(name, best[name]): -gain for name, gain in worth.items()}
        # what two objects do to each other is in these, but for two that are both outside
        known = {*inside, *(name for name, _ in deltas)}
        together = {
            (a, b): cost
            for (a, b), cost in self.survey.costs.together.items()
            if not (a[0] in known and b[0] in known)
        }
        gains = {(n, r): -delta for (n, r), delta in deltas.items() if r != slow[n]}
        return Around(Costs(alone, together), worth, gains)

    def _proposals(self, space: Space, best: Places, around: Around) -> list[Places]:
        """Return maps that the program likes when told what moves are worth around the best one."""
        seen = [best]
        found = []
        for _ in range(ANSWERS):
            answer = assign(space, around.costs, seen=seen)
            if answer is None:
                break
            seen.append(answer)
            found.append(answer)
        for name, region in sorted(around.gains, key=lambda p: (-around.gains[p], p))[:FORCED]:
            found += filter(None, [assign(space, around.costs, forced={name: region})])
        for name in sorted(around.worth, key=lambda n: (around.worth[n], n))[:FORCED]:
            found += filter(None, [assign(space, around.costs, barred=[(name, best[name])])])
        return found

    def _swaps(self, space: Space, best: Places, around: Around) -> list[Places]:
        """Return the best map with one object for another in TCM, or one more, likely ones first.

        Costs around the best map are off where two objects meet in a set of a cache.
        """
        slow = self.survey.slow
        found = []
        for (name, region), gain in around.gains.items():
            found.append((gain, name, "", {**best, name: region}))
            for other, worth in around.worth.items():
                places = {**best, name: region, other: slow[other]}
                found.append((gain - worth, name, other, places))
        allowed = [swap for swap in found if space.holds(swap[3])]
        allowed.sort(key=lambda swap: (-swap[0], swap[1], swap[2]))
        return [places for *_, places in allowed[:SWAPS]]

    def _pruned(self, space: Space, best: Places, *, at_most: int | None) -> Places:
        """Take back moves that are worth next to nothing, the least one first.

        The simple maps' cost is not exceeded.
        """
        homes = space.linked
        cost = self.judge.cost(best)
        assert cost is not None
        allowed = cost + int(WORTH * cost)
        if at_most is not None:
            allowed = max(min(allowed, at_most), cost)
        for _ in range(PRUNINGS):
            moved = [c.name for c in space.candidates if best[c.name] != homes[c.name]]
            backs = {name: {**best, name: homes[name]} for name in moved}
            backs = {name: places for name, places in backs.items() if space.holds(places)}
            costs = self.judge.costs(list(backs.values()))
            known = {n: c for n, c in zip(backs, costs, strict=True) if c is not None}
            before = best
            for name in sorted(known, key=lambda n: (known[n], n)):
                places = {**best, name: homes[name]}
                now = self.judge.cost(places) if known[name] <= allowed else None
                if now is not None and now <= allowed and space.holds(places):
                    best = places
            if best is before:
                break
        return best
