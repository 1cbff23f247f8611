"""Interpolation of what the counts leave over: simple kriging with an exponential covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

REACHES = (1.0, 3.0)  # in units of the scaled inputs, in which neighbours are about 0.3 apart
NOISES = (0.03, 0.3)  # variance of what is no function of the inputs, as a part of the whole


def distances(a: F64, b: F64) -> F64:
    """Return Euclidean distances, float64[a, b], between points float64[:, input]."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


@dataclass(frozen=True)
class Smooth:
    """A correction that is a smooth function of the inputs; 0 far from all points.

    Attributes
    ----------
    at
        float64[point, input].
    weights
        float64[point].
    reach
        Distance over which points say something about each other; 0 for no correction at all.
    """

    at: F64
    weights: F64
    reach: float

    @classmethod
    def fit(cls, at: F64, values: F64) -> Smooth:
        """Fit to values float64[point] at points float64[point, input].

        Reach and noise are those with the least mean error of a point from all others, which for
        kriging needs no refit. If none is better than no correction, there is none.
        """
        best = cls(at, np.zeros(len(at)), 0.0)
        least = float(np.mean(np.abs(values)))
        apart = distances(at, at)
        for reach in REACHES:
            covariance = np.exp(-apart / reach)
            for noise in NOISES:
                inverse = np.linalg.inv(covariance + noise * np.eye(len(at)))
                weights = inverse @ values
                error = float(np.mean(np.abs(weights / np.diag(inverse))))
                if error < least:
                    least, best = error, cls(at, weights, reach)
        return best

    def __call__(self, at: F64) -> F64:
        """Return the correction at points float64[:, input]."""
        if not self.reach:
            return np.zeros(len(at))
        return np.asarray(np.exp(-distances(at, self.at) / self.reach) @ self.weights)
