"""Search: every network of a small space, or those that an optimiser proposes in a large one.

Without training nobody knows how accurate a network is. What stands in for what it can learn is
its Ops, as on paper: the front is of networks for which no other has at least as many Ops at no
more energy and no more RAM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.estimate import Estimator
from m7sim.nets.search import proposals
from m7sim.nets.search.evaluate import Costs, evaluate
from m7sim.nets.search.front import Pair, misleading, pareto, rank_correlation, spread
from m7sim.nets.search.space import Candidate, Space

TRIALS = 5_000
BATCH = 250

Bools = npt.NDArray[np.bool_]
Tell = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a network may take; None: anything.

    Attributes
    ----------
    latency_s, energy_j
        Of one inference.
    ram_bytes
        For activations and scratch.
    flash_bytes
        For weights and code.
    """

    latency_s: float | None = None
    energy_j: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None

    def excess(self, costs: Costs, *, clock_hz: int, code_bytes: int) -> npt.NDArray[np.float64]:
        """Return by how much each limit is exceeded, relative: float64[candidate, limit].

        What fits is 0 or less.
        """
        pairs = (
            (costs.cycles / clock_hz, self.latency_s),
            (costs.energy_nj * 1e-9, self.energy_j),
            (costs.ram_bytes, self.ram_bytes),
            (costs.weight_bytes + code_bytes, self.flash_bytes),
        )
        columns = [values / limit - 1 for values, limit in pairs if limit is not None]
        return np.stack(columns, axis=1) if columns else np.zeros((len(costs), 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """Candidates with their costs.

    Attributes
    ----------
    exhaustive
        Whether these are all networks of the space.
    code_bytes
        Of the kernels, the same for all.
    extrapolate
        Whether candidates outside what the table covers count.
    """

    space: Space
    limits: Limits
    candidates: tuple[Candidate, ...]
    costs: Costs = field(repr=False)
    exhaustive: bool
    clock_hz: int
    board: str
    code_bytes: int
    extrapolate: bool

    @property
    def latency_s(self) -> npt.NDArray[np.float64]:
        """Time of one inference."""
        return self.costs.cycles / self.clock_hz

    @cached_property
    def within(self) -> Bools:
        """Whether each candidate is within all limits, and its costs are known."""
        excess = self.limits.excess(self.costs, clock_hz=self.clock_hz, code_bytes=self.code_bytes)
        known = self.costs.inside | self.extrapolate
        return np.asarray((excess <= 0).all(axis=1) & known)

    @cached_property
    def front(self) -> npt.NDArray[np.int64]:
        """Candidates within the limits that no other one beats, by falling Ops."""
        numbers = np.flatnonzero(self.within)
        costs = self.costs
        columns = np.stack(
            [-costs.ops[numbers], costs.energy_nj[numbers], costs.ram_bytes[numbers]], axis=1
        ).astype(np.float64)
        return numbers[pareto(columns)]

    @cached_property
    def misleading(self) -> list[Pair]:
        """Pairs within the limits whose Ops are near-equal and whose energy is not."""
        numbers = np.flatnonzero(self.within)
        pairs = misleading(self.costs.ops[numbers], self.costs.energy_nj[numbers])
        return [Pair(int(numbers[p.frugal]), int(numbers[p.wasteful]), p.ratio) for p in pairs]

    @cached_property
    def rank_correlation(self) -> float:
        """Rank correlation of Ops and energy over the candidates within the limits."""
        return rank_correlation(self.costs.ops[self.within], self.costs.energy_nj[self.within])

    @cached_property
    def spread(self) -> float:
        """Typical ratio of most to least energy at near-equal Ops, within the limits."""
        return spread(self.costs.ops[self.within], self.costs.energy_nj[self.within])

    @cached_property
    def winners(self) -> dict[str, int]:
        """Members of the front that stand out, by what they stand out for."""
        if not len(self.front):
            return {}
        costs, front = self.costs, self.front
        chosen = {
            "most Ops": int(front[0]),
            "least energy per Op": int(front[np.argmin(costs.energy_nj[front] / costs.ops[front])]),
            "least RAM per Op": int(front[np.argmin(costs.ram_bytes[front] / costs.ops[front])]),
        }
        middle = int(front[len(front) // 2])
        if middle not in chosen.values():
            chosen["middle of the front"] = middle
        unique: dict[int, str] = {}
        for why, number in chosen.items():
            unique[number] = f"{unique[number]}, {why}" if number in unique else why
        return {why: number for number, why in unique.items()}

    @property
    def to_confirm(self) -> list[int]:
        """Candidates worth a full run: the winners and the most misleading pair."""
        pairs = [n for pair in self.misleading[:1] for n in (pair.frugal, pair.wasteful)]
        return list(dict.fromkeys([*self.winners.values(), *pairs]))


def run(
    space: Space,
    limits: Limits,
    estimator: Estimator,
    *,
    trials: int = TRIALS,
    seed: int = 0,
    code_bytes: int = 0,
    extrapolate: bool = False,
    on_batch: Tell | None = None,
) -> Found:
    """Estimate all networks of a space, or as many as an optimiser may try.

    Parameters
    ----------
    trials
        If the space is not larger, all of it is gone through; else NSGA-II of Optuna proposes so
        many different networks.
    seed
        Of the optimiser; the same seed gives the same networks.
    code_bytes
        Of the kernels, on top of the weights.
    extrapolate
        Whether candidates outside what the table covers count; else they are left out.
    on_batch
        Told how many of how many candidates are done.

    Raises
    ------
    InputError
        If the estimator has no energy or no points for an operation, or the space is larger than
        ``trials`` and Optuna is not installed.
    """
    if trials < 1:
        raise InputError(f"{trials} trials", do="Give 1 or more.")
    exhaustive = space.size <= trials
    clock_hz = estimator.clock_hz

    def cost(batch: list[Candidate]) -> Costs:
        return evaluate(space, batch, estimator)

    candidates: list[Candidate] = []
    parts: list[Costs] = []
    if exhaustive:
        everything = list(space)
        for start in range(0, len(everything), BATCH):
            batch = everything[start : start + BATCH]
            parts.append(cost(batch))
            candidates += batch
            if on_batch:
                on_batch(len(candidates), len(everything))
    else:
        proposer = proposals.Proposer(space, trials=trials, seed=seed)
        while len(candidates) < trials:
            batch = proposer.ask(min(proposer.population, trials - len(candidates)))
            if not batch:
                break
            costs = cost(batch)
            excess = limits.excess(costs, clock_hz=clock_hz, code_bytes=code_bytes)
            if not extrapolate:
                excess = np.column_stack([excess, (~costs.inside).astype(np.float64)])
            proposer.tell(costs, excess)
            parts.append(costs)
            candidates += batch
            if on_batch:
                on_batch(len(candidates), trials)
    costs = Costs.joined(parts)
    if np.isnan(costs.energy_nj).any():
        raise InputError("the table has no energy", where=str(estimator.points.path))
    return Found(
        space=space,
        limits=limits,
        candidates=tuple(candidates),
        costs=costs,
        exhaustive=exhaustive,
        clock_hz=clock_hz,
        board=str(estimator.points.setting["board"]),
        code_bytes=code_bytes,
        extrapolate=extrapolate,
    )
