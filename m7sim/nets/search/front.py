"""Which candidates no other one beats, and where Ops mislead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

NEAR_OPS = 0.01
"""Relative difference of Ops up to which two networks count as equal on paper."""
MAX_PAIRS = 5


@dataclass(frozen=True)
class Pair:
    """Two networks of near-equal Ops, and how much more energy the second takes.

    Attributes
    ----------
    frugal, wasteful
        Numbers of the candidates.
    ratio
        Energy of the second over that of the first.
    """

    frugal: int
    wasteful: int
    ratio: float


def pareto(columns: F64) -> I64:
    """Return rows that no other row beats, by rising first column.

    Parameters
    ----------
    columns
        float64[candidate, objective], all to be small. A row is beaten by one that is at most
        equal in all columns and smaller in one; of equal rows the first stays.
    """
    order = np.lexsort(columns.T[::-1])
    kept: list[int] = []
    front = np.empty((0, columns.shape[1]))
    for row in order:
        # Rows come by rising columns, so that only those before can beat this one.
        if len(front) and bool((front <= columns[row]).all(axis=1).any()):
            continue
        kept.append(int(row))
        front = np.vstack([front, columns[row]])
    return np.array(kept, dtype=np.int64)


def misleading(ops: I64, energy: F64, *, near: float = NEAR_OPS) -> list[Pair]:
    """Return pairs of near-equal Ops with the most different energy, the most different first.

    No network is in two pairs.

    Parameters
    ----------
    ops, energy
        By candidate.
    near
        Largest relative difference in Ops.
    """
    order = np.argsort(ops, kind="stable")
    ends = np.searchsorted(ops[order], ops[order] * (1 + near), side="right")
    found = []
    for start, end in enumerate(ends):
        window = order[start:end]
        if len(window) < 2:
            continue
        low, high = window[np.argmin(energy[window])], window[np.argmax(energy[window])]
        found.append(Pair(int(low), int(high), float(energy[high] / energy[low])))
    taken: set[int] = set()
    pairs = []
    for pair in sorted(found, key=lambda p: (-p.ratio, p.frugal, p.wasteful)):
        if not taken & {pair.frugal, pair.wasteful} and pair.ratio > 1:
            pairs.append(pair)
            taken |= {pair.frugal, pair.wasteful}
        if len(pairs) == MAX_PAIRS:
            break
    return pairs


def rank_correlation(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> float:
    """Return Spearman's rank correlation; NaN for less than two values."""
    if len(one) < 2:
        return float("nan")
    ranks = [
        np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other)
    ]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def spread(ops: I64, energy: F64, *, near: float = NEAR_OPS) -> float:
    """Return how much more energy the dearest of near-equal Ops takes than the cheapest.

    The ratio over a window of Ops around every candidate that has company, its median.
    """
    order = np.argsort(ops, kind="stable")
    sorted_ops, sorted_energy = ops[order], energy[order]
    ends = np.searchsorted(sorted_ops, sorted_ops * (1 + near), side="right")
    ratios = [
        sorted_energy[start:end].max() / sorted_energy[start:end].min()
        for start, end in enumerate(ends)
        if end - start > 1
    ]
    return float(np.median(ratios)) if ratios else float("nan")
