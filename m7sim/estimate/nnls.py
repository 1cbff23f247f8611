"""Least squares with coefficients that are not negative, sparse if asked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

TOLERANCE = 1e-9  # on a gradient, as a part of the target's norm
RIDGE = 1e-10  # keeps columns that are sums of others from making the equations singular


def nnls(matrix: F64, target: F64, *, price: float = 0.0) -> F64:
    """Return ``x >= 0`` that minimises ``|matrix @ x - target|² + 2 price |x scaled|``.

    By active sets, as Lawson and Hanson do. SciPy has it without the price; for this one function
    it would triple what an install downloads.

    Parameters
    ----------
    matrix
        float64[row, column]; columns of any scale.
    target
        float64[row].
    price
        Of a coefficient, each scaled by the norm of its column: what a column gains must exceed it.

    Returns
    -------
    float64[column].
    """
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1.0
    scaled = matrix / scale
    columns = matrix.shape[1]
    gram = scaled.T @ scaled + RIDGE * np.eye(columns)
    wanted = scaled.T @ target - price
    limit = TOLERANCE * max(float(np.linalg.norm(target)), 1e-300)
    x = np.zeros(columns)
    chosen = np.zeros(columns, dtype=bool)
    barred = np.zeros(columns, dtype=bool)  # numerically a sum of those chosen
    for _ in range(10 * columns):
        gradient = np.where(chosen | barred, -np.inf, wanted - gram @ x)
        best = int(np.argmax(gradient))
        if gradient[best] <= limit:
            break
        chosen[best] = True
        trial = _solve(gram, wanted, chosen)
        if trial[best] <= 0:
            chosen[best], barred[best] = False, True
            continue
        while np.any(trial[chosen] <= 0):
            falling = chosen & (trial <= 0)
            step = float(np.min(x[falling] / (x[falling] - trial[falling])))
            x = x + step * (trial - x)
            chosen &= x > 1e-14
            x[~chosen] = 0.0
            trial = _solve(gram, wanted, chosen)
        x = trial
        barred[:] = False
    return np.asarray(x / scale)


def _solve(gram: F64, wanted: F64, chosen: npt.NDArray[np.bool_]) -> F64:
    found = np.zeros(len(wanted))
    if chosen.any():
        found[chosen] = np.linalg.solve(gram[np.ix_(chosen, chosen)], wanted[chosen])
    return found
