"""Counts, least squares and the smooth correction, each against something independent."""

from __future__ import annotations

import numpy as np
import pytest

from m7sim.estimate.counts import counts
from m7sim.estimate.nnls import nnls
from m7sim.estimate.sizes import SIZES, Cache, Sizes, taps_inside
from m7sim.estimate.smooth import Smooth
from m7sim.ops import registry
from m7sim.ops.shapes import OpType

CACHE = Cache(4096, 32, 4)


def test_taps_inside_are_those_a_loop_finds() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        size, kernel, stride, out = (int(n) for n in rng.integers(1, 12, 4))
        pad = int(rng.integers(0, kernel))
        windows = [
            [0 <= o * stride - pad + tap < size for tap in range(kernel)] for o in range(out)
        ]
        inside, whole = taps_inside(
            *(np.array([n], dtype=np.int64) for n in (size, kernel, stride, pad, out))
        )
        assert inside[0] == sum(map(sum, windows))
        assert whole[0] == sum(map(all, windows))


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        ("conv", {"size": 9, "in_ch": 7, "out_ch": 5, "kernel": 3}),
        ("conv", {"size": 8, "in_ch": 8, "out_ch": 6, "kernel": 5, "stride": 2}),
        ("1x1", {"in_y": 3, "in_x": 5, "in_ch": 10, "out_ch": 9}),
    ],
)
def test_steps_of_a_product_hold_all_multiply_accumulates(op: str, shape: dict[str, int]) -> None:
    made = registry.get(op).shape(**shape)
    names, matrix = counts(made.op, Sizes.of([made]), CACHE)
    count = dict(zip(names, matrix[0], strict=True))
    macs = 16 * count["2x2 steps of four"] + 4 * count["2x2 steps of one"]
    macs += 8 * count["odd channel, steps of four"] + 2 * count["odd channel, steps of one"]
    macs += 4 * count["odd pixel, steps of four"] + count["odd pixel, steps of one"]
    assert macs == made.macs


@pytest.mark.parametrize("op", registry.OPS)
def test_counts_of_every_operation_are_finite_and_named_once(op: str) -> None:
    made = registry.get(op).shape()
    names, matrix = counts(made.op, Sizes.of([made, made]), CACHE)
    assert matrix.shape == (2, len(names))
    assert len(set(names)) == len(names)
    assert np.all(np.isfinite(matrix))
    assert np.all(matrix >= 0)


def test_lines_that_crowd_a_set_are_counted() -> None:
    """256 channels: taps of a 3x3 window 256 bytes apart meet in 4 of the 32 sets."""
    sizes = dict.fromkeys(SIZES, 1) | {"kernel_y": 3, "kernel_x": 3}
    few = {**sizes, "in_ch": 32, "out_ch": 32}
    many = {**sizes, "in_ch": 256, "out_ch": 256}
    names, matrix = counts(OpType.DEPTHWISE, Sizes.of([few, many]), CACHE)
    at_worst = matrix[:, names.index("crowded lines at worst")]
    assert at_worst[0] == 0
    assert at_worst[1] == 64 * 6  # 9 taps: 3 in the first set, twice as many with the column's


@pytest.mark.parametrize("price", [0.0, 0.05])
def test_least_squares_fulfil_the_conditions_of_a_minimum(price: float) -> None:
    """Karush, Kuhn and Tucker: no gradient where a cost is used, none downhill where it is not."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        matrix = rng.normal(size=(40, 12)) * 10.0 ** rng.integers(-3, 4, 12)
        target = rng.normal(size=40)
        found = nnls(matrix, target, price=price)
        gradient = (matrix.T @ (matrix @ found - target)) / np.linalg.norm(matrix, axis=0) + price
        assert np.all(found >= 0)
        assert np.all(np.abs(gradient[found > 0]) < 1e-6)
        assert np.all(gradient[found == 0] > -1e-6)


def test_least_squares_find_costs_that_are_there() -> None:
    rng = np.random.default_rng(3)
    matrix = rng.uniform(1, 100, size=(60, 8))
    costs = np.array([3.0, 0, 7.5, 0, 0, 1.25, 0, 0])
    assert nnls(matrix, matrix @ costs) == pytest.approx(costs, abs=1e-5)


def test_smooth_correction_follows_a_smooth_function_and_ignores_noise() -> None:
    rng = np.random.default_rng(4)
    at, new = rng.uniform(0, 4, size=(200, 2)), rng.uniform(0.5, 3.5, size=(50, 2))
    smooth = Smooth.fit(at, 0.1 * np.sin(at[:, 0]))
    assert np.max(np.abs(smooth(new) - 0.1 * np.sin(new[:, 0]))) < 0.02
    noise = Smooth.fit(at, rng.normal(scale=0.1, size=200))
    assert np.std(noise(new)) < 0.03
    assert np.all(np.abs(smooth(np.full((1, 2), 99.0))) < 1e-6)  # far from all points: nothing
