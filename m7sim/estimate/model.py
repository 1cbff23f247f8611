"""The fit behind an estimate: counts × costs, corrected by what neighbouring points leave over.

One `Group` is one operation by one kernel at one placement. Its cycles are a sum of structural
counts (`m7sim.estimate.counts`), each times a cost of at least 0, fitted to relative errors; what
that leaves over is interpolated over the sizes (`m7sim.estimate.smooth`). Energy likewise. Errors
come from points that were held out: the fit is repeated without each fifth of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from m7sim.estimate.counts import counts
from m7sim.estimate.nnls import nnls
from m7sim.estimate.sizes import SIZES, Cache, Sizes
from m7sim.estimate.smooth import Smooth, distances
from m7sim.ops.shapes import OpType

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDS = 5
SEED = 0
PRICES = (0.003, 0.01, 0.03)  # of a cost, see `nnls`: the more, the fewer counts are used
SHARE_ROOM = 1.5  # see `Fit.by_counts`
MIN_POINTS = 12  # of a group; with fewer nothing can be held out
NEAR = 25  # points around a shape whose held-out errors stand for its own
SHARE = 0.9  # of those errors that the stated one covers
REACH_QUANTILE, REACH_FACTOR = 0.99, 1.5  # how far from its nearest point a shape may lie


@dataclass(frozen=True)
class Fit:
    """Costs by count, and the smooth correction.

    Attributes
    ----------
    shares
        Largest part of any point's value that a count makes, with some room.
    """

    costs: F64
    shares: F64
    smooth: Smooth

    @classmethod
    def of(cls, matrix: F64, at: F64, values: F64, *, price: float) -> Fit:
        """Fit to values float64[point] > 0 from counts and inputs of the points."""
        costs = nnls(matrix / values[:, None], np.ones(len(values)), price=price)
        parts = matrix * costs
        shares = SHARE_ROOM * (parts / values[:, None]).max(axis=0)
        left_over = values / np.maximum(parts.sum(axis=1), 1e-9) - 1.0
        return cls(costs, shares, Smooth.fit(at, left_over))

    def __call__(self, matrix: F64, at: F64) -> F64:
        """Return values, float64[shape]."""
        return np.asarray(self.by_counts(matrix) * np.maximum(1.0 + self.smooth(at), 0.1))

    def by_counts(self, matrix: F64) -> F64:
        """Return what the counts alone give.

        The cost of a count that hardly matters for any measured point is badly known; where it
        would matter most it is held to the share it has been seen to have.
        """
        parts = matrix * self.costs
        limits = parts.sum(axis=1)[:, None] * np.minimum(self.shares, 1.0)
        return np.asarray(np.minimum(parts, limits).sum(axis=1))


@dataclass(frozen=True)
class Predictions:
    """Estimates for many shapes, arrays[shape].

    Attributes
    ----------
    cycles, energy_nj
        Energy is NaN if the table has none.
    cycles_error, energy_error
        Relative error that 9 of 10 held-out points nearby keep.
    inside
        Whether the shape lies inside the measured range.
    """

    cycles: F64
    energy_nj: F64
    cycles_error: F64
    energy_error: F64
    inside: Bools


@dataclass(frozen=True, eq=False)
class Group:
    """Measured points of one operation by one kernel at one placement.

    Attributes
    ----------
    sizes, cycles, energy_nj
        Of the points; energy float64[point], NaN where unknown.
    """

    op: str
    type: OpType
    variant: str
    placement: str
    sizes: Sizes
    cycles: F64
    energy_nj: F64
    cache: Cache

    def __len__(self) -> int:
        return len(self.cycles)

    # Fits ------------------------------------------------------------------------------------

    @cached_property
    def count_names(self) -> tuple[str, ...]:
        """Names of the counts."""
        return counts(self.type, self.sizes, self.cache)[0]

    @cached_property
    def _counts(self) -> F64:
        return counts(self.type, self.sizes, self.cache)[1]

    @cached_property
    def _inputs(self) -> F64:
        return inputs(self.sizes)

    @cached_property
    def has_energy(self) -> bool:
        """Whether every point has an energy."""
        return bool(np.all(np.isfinite(self.energy_nj) & (self.energy_nj > 0)))

    @cached_property
    def price(self) -> float:
        """Price of a cost that serves held-out points best."""
        return _best_price(self._counts, self._inputs, self.cycles)

    @cached_property
    def cycles_fit(self) -> Fit:
        """The fit to all points."""
        return Fit.of(self._counts, self._inputs, self.cycles, price=self.price)

    @cached_property
    def energy_fit(self) -> Fit:
        """The fit to all points."""
        return Fit.of(self._counts, self._inputs, self.energy_nj, price=self.price)

    @cached_property
    def held_out(self) -> F64:
        """Relative error of cycles of each point by a fit that did not see it."""
        return held_out(self._counts, self._inputs, self.cycles)

    @cached_property
    def held_out_energy(self) -> F64:
        """Relative error of energy of each point by a fit that did not see it."""
        if not self.has_energy:
            return np.full(len(self), np.nan)
        return held_out(self._counts, self._inputs, self.energy_nj)

    def cycles_by_count(self, sizes: Sizes) -> dict[str, float]:
        """Return what the counts of one shape add to its cycles, the most first."""
        _, matrix = counts(self.type, sizes, self.cache)
        parts = matrix[0] * self.cycles_fit.costs
        order = np.argsort(-parts)
        return {self.count_names[i]: float(parts[i]) for i in order if parts[i] > 0}

    # Prediction ------------------------------------------------------------------------------

    def predict(self, sizes: Sizes) -> Predictions:
        """Return estimates for shapes, inside the range or not."""
        _, matrix = counts(self.type, sizes, self.cache)
        at = inputs(sizes)
        cycles = np.maximum(self.cycles_fit(matrix, at), 1.0)
        energy = np.full(len(cycles), np.nan)
        if self.has_energy:
            energy = self.energy_fit(matrix, at)
        apart = distances(at, self._inputs)
        near = np.argpartition(apart, min(NEAR, len(self)) - 1, axis=1)[:, :NEAR]
        # Beyond what is usual between points, errors are taken to grow with the distance.
        beyond = np.maximum(1.0, apart.min(axis=1) / self._usual_reach)
        return Predictions(
            cycles=cycles,
            energy_nj=energy,
            cycles_error=_usual_error(self.held_out, near) * beyond,
            energy_error=_usual_error(self.held_out_energy, near) * beyond,
            inside=self._inside_ranges(sizes) & (apart.min(axis=1) <= self.reach),
        )

    def nearest(self, sizes: Sizes, count: int) -> list[tuple[int, float]]:
        """Return index and distance of the points nearest to one shape."""
        apart = distances(inputs(sizes), self._inputs)[0]
        order = np.argsort(apart, kind="stable")[:count]
        return [(int(i), float(apart[i])) for i in order]

    # Coverage --------------------------------------------------------------------------------

    @cached_property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Least and largest of each size, and of ``work``, over the points."""
        columns = [*self.sizes.values.T, work(self.sizes)]
        names = (*SIZES, "work")
        return {n: (int(c.min()), int(c.max())) for n, c in zip(names, columns, strict=True)}

    def outside(self, sizes: Sizes) -> dict[str, tuple[int, int, int]]:
        """Return which sizes of one shape are out of range: value, least, largest."""
        values = [*sizes.values[0].tolist(), int(work(sizes)[0])]
        return {
            name: (value, *self.ranges[name])
            for name, value in zip((*SIZES, "work"), values, strict=True)
            if not self.ranges[name][0] <= value <= self.ranges[name][1]
        }

    @cached_property
    def reach(self) -> float:
        """Largest distance to the nearest point at which a shape still counts as covered."""
        return REACH_FACTOR * self._usual_reach

    @cached_property
    def _usual_reach(self) -> float:
        apart = distances(self._inputs, self._inputs)
        np.fill_diagonal(apart, np.inf)
        return max(float(np.quantile(apart.min(axis=1), REACH_QUANTILE)), 1e-6)

    def _inside_ranges(self, sizes: Sizes) -> Bools:
        columns = np.column_stack([sizes.values, work(sizes)])
        limits = np.array([self.ranges[name] for name in (*SIZES, "work")])
        return np.asarray(((columns >= limits[:, 0]) & (columns <= limits[:, 1])).all(axis=1))


def inputs(sizes: Sizes) -> F64:
    """Return what distances are taken over: sizes by factors of 2, and what loops leave over."""
    logs = np.log2(1.0 + sizes.values)
    pixels = np.log2(sizes.out_y * sizes.out_x)
    classes = [2.0 * (sizes.in_ch % 4 == 0), 2.0 * (sizes.in_ch % 2), 1.0 * (sizes.out_ch % 2)]
    return np.column_stack([logs, pixels, *classes])


def work(sizes: Sizes) -> I64:
    """Return taps × channels over all outputs: multiply-accumulates, or compares and the like."""
    deep = np.where(sizes.out_ch % np.maximum(sizes.in_ch, 1) == 0, 1, sizes.in_ch)
    return np.asarray(
        sizes.out_y * sizes.out_x * sizes.out_ch * sizes.kernel_y * sizes.kernel_x * deep
    )


def held_out(matrix: F64, at: F64, values: F64) -> F64:
    """Return relative errors of points by fits without them, folds drawn with a fixed seed."""
    fold = np.random.default_rng(SEED).permutation(len(values)) % FOLDS
    errors = np.zeros(len(values))
    for number in range(FOLDS):
        out = fold == number
        rest = ~out
        price = _best_price(matrix[rest], at[rest], values[rest])
        fit = Fit.of(matrix[rest], at[rest], values[rest], price=price)
        errors[out] = fit(matrix[out], at[out]) / values[out] - 1.0
    return errors


def _best_price(matrix: F64, at: F64, values: F64) -> float:
    """Return the price with the least error of costs alone on points that it did not see."""
    fold = np.random.default_rng(SEED + 1).permutation(len(values)) % FOLDS
    least, best = np.inf, PRICES[0]
    relative = matrix / values[:, None]
    for price in PRICES:
        errors = []
        for number in range(FOLDS):
            out = fold == number
            costs = nnls(relative[~out], np.ones(int((~out).sum())), price=price)
            errors.append(np.abs(relative[out] @ costs - 1.0))
        # A few bad points must not decide, but they must count.
        error = float(np.mean(np.minimum(np.concatenate(errors), 0.2)))
        if error < least:
            least, best = error, price
    return best


def _usual_error(errors: F64, near: I64) -> F64:
    """Return the error that most points keep: mean of that of those near and that of all.

    Those near alone would promise too much where a cliff, such as the size of the cache, passes
    between them.
    """
    size = np.abs(errors)
    return np.asarray((np.quantile(size[near], SHARE, axis=1) + np.quantile(size, SHARE)) / 2)


def summary(errors: Sequence[float] | F64) -> dict[str, float]:
    """Return median, 95th percentile and largest of absolute errors."""
    sizes = np.abs(np.asarray(errors))
    return {
        "median": float(np.median(sizes)),
        "p95": float(np.quantile(sizes, 0.95)),
        "max": float(sizes.max()),
    }
