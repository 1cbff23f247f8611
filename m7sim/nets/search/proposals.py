"""Networks that a multi-objective optimiser proposes (Optuna's NSGA-II, the extra ``networks``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.nets.search.evaluate import Costs
from m7sim.nets.search.space import Candidate, Space

_POPULATION = range(20, 101)
_GENERATIONS = 20
_TRIES = 20  # proposals for a new network before the space counts as used up


class Proposer:
    """Asks for new candidates a generation at a time, and tells what they cost.

    Attributes
    ----------
    population
        Candidates in a generation.

    Raises
    ------
    InputError
        If Optuna is not installed.
    """

    def __init__(self, space: Space, *, trials: int, seed: int) -> None:
        self.population = min(max(trials // _GENERATIONS, _POPULATION[0]), _POPULATION[-1])
        try:
            import optuna
        except ImportError as error:
            raise InputError(
                f"a space of {space.size:,} networks is searched by Optuna".replace(",", " "),
                where=space.path,
                do="Install it: pip install 'm7sim[networks]', or set --trials to its size.",
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._optuna = space, optuna
        sampler = optuna.samplers.NSGAIISampler(population_size=self.population, seed=seed)
        self._study = optuna.create_study(
            directions=["maximize", "minimize", "minimize"], sampler=sampler
        )
        self._open: list[Any] = []
        self._known: dict[Candidate, tuple[list[float], list[float]]] = {}
        self._asked: list[Candidate] = []

    def ask(self, count: int) -> list[Candidate]:
        """Return so many new candidates; fewer if new ones are hard to find."""
        self._open, self._asked = [], []
        for _ in range(_TRIES * count):
            if len(self._asked) == count:
                break
            trial = self._study.ask()
            candidate = self._suggest(trial)
            if candidate in self._known:
                values, excess = self._known[candidate]
                self._finish(trial, values, excess)
            elif candidate in self._asked:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._open.append(trial)
                self._asked.append(candidate)
        return list(self._asked)

    def tell(self, costs: Costs, excess: npt.NDArray[np.float64]) -> None:
        """Say what the candidates of the last `ask` cost, and by how much they exceed limits."""
        for i, (trial, candidate) in enumerate(zip(self._open, self._asked, strict=True)):
            values = [float(costs.ops[i]), float(costs.energy_nj[i]), float(costs.ram_bytes[i])]
            self._known[candidate] = values, excess[i].tolist()
            self._finish(trial, *self._known[candidate])

    def _finish(self, trial: Any, values: list[float], excess: list[float]) -> None:
        for number, value in enumerate(excess):
            trial.set_constraint(f"limit{number}", value)
        self._study.tell(trial, values)

    def _suggest(self, trial: Any) -> Candidate:
        space = self._space
        layers = _choose(trial, "layers", space.layers)
        if space.free:
            features = tuple(
                _choose(trial, f"features{i + 1}", space.features) for i in range(layers)
            )
        else:
            features = (_choose(trial, "features", space.features),) * layers
        names = ("first_kernel", "first_stride", "block_kernel", "block_stride")
        windows = [
            choices[_choose(trial, name, tuple(range(len(choices))))]
            for name, choices in zip(names, space.windows, strict=True)
        ]
        return Candidate(features, *windows)


def _choose(trial: Any, name: str, choices: tuple[int, ...]) -> int:
    """Choose by position, so that the optimiser knows which choices are neighbours."""
    at: int = trial.suggest_int(name, 0, len(choices) - 1)
    return choices[at]
