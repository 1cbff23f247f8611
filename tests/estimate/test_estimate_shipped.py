"""The table of the package: how good its estimates are, and whether it is still so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from m7sim import toolchain
from m7sim.estimate import Estimator
from m7sim.estimate.model import summary
from m7sim.estimate.remeasure import remeasure, shape_of
from m7sim.estimate.sizes import SIZES
from m7sim.ops import registry
from m7sim.ops.shapes import Shape

MEDIAN, P95 = 0.03, 0.08
# Kernels that miss the 8 %. Which lines of image and weights share a set of the 4 KiB cache depends
# on where the arrays lie, which sizes do not tell; this one goes through both for each channel.
BEYOND = {("depthwise_s8", "optimised", "flash+sram"): 0.12}


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


@pytest.fixture(scope="module")
def checked(estimator: Estimator) -> list[dict[str, Any]]:
    return estimator.check()


def test_held_out_points_of_each_kernel(checked: list[dict[str, Any]]) -> None:
    found = {(e["op"], e["variant"], e["placement"]): e for e in checked}
    assert {op for op, _, _ in found} == set(registry.OPS)
    assert {place for _, _, place in found} == {"flash+sram", "flash+dtcm"}
    for key, each in found.items():
        cycles = each["cycles"]
        assert each["points"] >= 30, key
        assert cycles["median"] <= MEDIAN, (key, cycles)
        assert cycles["p95"] <= BEYOND.get(key, P95), (key, cycles)
        assert each["energy"]["median"] <= MEDIAN, key
    for key in BEYOND:
        assert found[key]["cycles"]["p95"] > P95, f"{key} is no exception any more"


def test_held_out_points_of_each_operation(checked: list[dict[str, Any]]) -> None:
    errors: dict[tuple[str, str], list[float]] = {}
    for each in checked:
        errors.setdefault((each["op"], each["placement"]), []).extend(each["errors"])
    for op, found in errors.items():
        figures = summary(found)
        assert figures["median"] <= MEDIAN, (op, figures)
        assert figures["p95"] <= P95, (op, figures)


def test_the_table_is_of_this_board_core_compiler_and_kernels(estimator: Estimator) -> None:
    """If this fails: make it again with tools/estimate-table."""
    assert estimator.points.stale == ()


def test_the_table_covers_layers_of_known_networks(estimator: Estimator) -> None:
    """Of image classification, keyword spotting, anomaly detection and visual wake words."""
    layers: list[tuple[str, dict[str, int]]] = [
        ("conv", {"size": 32, "in_ch": 3, "out_ch": 32, "kernel": 5}),
        ("conv", {"size": 16, "in_ch": 32, "out_ch": 32, "kernel": 5}),
        ("conv_s8", {"size": 32, "in_ch": 16, "out_ch": 16, "kernel": 3}),
        ("conv_s8", {"size": 8, "in_ch": 64, "out_ch": 64, "kernel": 3}),
        ("depthwise_s8", {"in_y": 25, "in_x": 5, "ch": 64, "kernel": 3}),
        ("depthwise_s8", {"size": 6, "ch": 128, "kernel": 3}),
        ("1x1_s8", {"in_y": 25, "in_x": 5, "in_ch": 64, "out_ch": 64}),
        ("1x1_s8", {"size": 3, "in_ch": 256, "out_ch": 256}),
        ("fc_s8", {"in_len": 640, "out_len": 128}),
        ("ave_pool_s8", {"size": 8, "ch": 64, "kernel": 8}),
        ("max_pool", {"size": 16, "ch": 32, "kernel": 3}),
        ("relu", {"size": 16, "ch": 32}),
        ("add_s8", {"size": 16, "ch": 32}),
        ("softmax_s8", {"length": 12}),
    ]
    for op, values in layers:
        one = estimator.estimate(registry.get(op).shape(**values))
        assert one.cycles_error < 0.15, (op, values)


def _draw(rng: np.random.Generator, op: str) -> Shape:
    """Return a shape that is no point of the grid but by chance."""
    size, kernel = int(rng.integers(5, 12)), int(rng.integers(2, 6))
    wide, deep = 4 * int(rng.integers(2, 16)), 4 * int(rng.integers(2, 16))
    values = {
        "conv": {"size": size, "in_ch": wide, "out_ch": deep, "kernel": 3},
        "conv_s8": {"size": size, "in_ch": wide + size % 3, "out_ch": deep, "kernel": 3},
        "1x1": {"size": size, "in_ch": wide, "out_ch": deep},
        "1x1_s8": {"size": size, "in_ch": wide, "out_ch": deep},
        "depthwise": {"size": size, "ch": wide, "kernel": 3},
        "depthwise_s8": {"size": size, "ch": wide, "kernel": 3},
        "fc": {"in_len": 7 * wide, "out_len": deep},
        "fc_s8": {"in_len": 7 * wide, "out_len": deep},
        "max_pool": {"size": size + kernel, "ch": wide, "kernel": min(kernel, 3)},
        "ave_pool_s8": {"size": size + kernel, "ch": wide, "kernel": min(kernel, 3)},
        "add_s8": {"size": size, "ch": wide},
    }[op]
    return registry.get(op).shape(**values)


@pytest.mark.toolchain
def test_new_shapes_off_the_grid(estimator: Estimator) -> None:
    """Shapes drawn at random, measured now: the errors promised of held-out points hold."""
    rng = np.random.default_rng(11)
    ops = ("conv", "conv_s8", "1x1", "1x1_s8", "depthwise", "depthwise_s8", "fc", "fc_s8",
           "max_pool", "ave_pool_s8", "add_s8")  # fmt: skip
    shapes = [_draw(rng, op) for op in ops for _ in range(4)]
    ones = [estimator.estimate(shape, placement="flash+sram") for shape in shapes]
    rows = [
        {"op": one.op, "variant": one.variant, "placement": one.placement,
         **{name: getattr(one.shape, name) for name in SIZES}}
        for one in ones
    ]  # fmt: skip
    measured = remeasure(rows, estimator.points.setting)
    assert {m["status"] for m in measured} == {"ok"}
    errors = [one.cycles / m["cycles"] - 1 for one, m in zip(ones, measured, strict=True)]
    energy = [one.energy_nj / m["energy_nj"] - 1 for one, m in zip(ones, measured, strict=True)]
    assert np.median(np.abs(errors)) <= MEDIAN, errors
    assert np.quantile(np.abs(errors), 0.95) <= P95, errors
    assert np.median(np.abs(energy)) <= MEDIAN, energy
    kept = [abs(e) <= one.cycles_error for e, one in zip(errors, ones, strict=True)]
    assert np.mean(kept) >= 0.8, kept


@pytest.mark.toolchain
def test_rows_measured_again_are_equal(estimator: Estimator) -> None:
    """If this fails: make the table again with tools/estimate-table."""
    points = estimator.points
    if points.header["versions"]["compiler"] != toolchain.compiler_version():
        pytest.fail("the table was made with another compiler")
    by_kernel: dict[tuple[str, str, str], list[int]] = {}
    for number, row in enumerate(points.rows):
        if row["cycles"] < 200_000:
            key = (row["op"], row["variant"], row["placement"])
            by_kernel.setdefault(key, []).append(number)
    rng = np.random.default_rng(7)
    chosen = [points.rows[int(rng.choice(found))] for found in by_kernel.values()]
    again = remeasure(chosen, points.setting, seed=points.header["seed"])
    for row, now in zip(chosen, again, strict=True):
        where = (row["op"], row["variant"], shape_of(row).label)
        assert now["status"] == "ok", where
        assert now["cycles"] == row["cycles"], where
        assert float(f"{now['energy_nj']:.5g}") == row["energy_nj"], where
