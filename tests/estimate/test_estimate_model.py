"""Estimates from tables whose costs are known, because they were made up."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from m7sim.errors import InputError
from m7sim.estimate import Estimator, source
from m7sim.estimate.sizes import SIZES
from m7sim.ops import registry
from m7sim.ops.shapes import Shape

SETTING = {
    "kernels": "ours", "cflags": "", "board": "stm32f746", "clock_hz": 216_000_000,
    "core": "cortex-m7", "start": "cold",
}  # fmt: skip


def conv(in_y: int, in_x: int, in_ch: int, out_ch: int, **more: int) -> Shape:
    values = {"in_y": in_y, "in_x": in_x, "in_ch": in_ch, "out_ch": out_ch, **more}
    return registry.get("conv").shape(**values)


def cycles_of(shape: Shape, noise: float = 0.0) -> int:
    """Cycles of a machine with known costs: 20 a step of sixteen, 15 a tap, 100 a pixel."""
    pixels = shape.out_y * shape.out_x
    depth = shape.macs_per_output
    total = 20 * (pixels // 2) * (shape.out_ch // 2) * (depth // 4)
    total += 7 * (pixels % 2) * shape.out_ch * (depth // 4)
    return int((total + 15 * 9 * pixels + 100 * pixels + 500) * (1 + noise))


def estimator(noise: float = 0.0, count: int = 150, energy: bool = True) -> Estimator:
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for _ in range(count):
        y, x = (int(n) for n in rng.integers(4, 30, 2))
        in_ch, out_ch = (4 * int(n) for n in rng.integers(1, 20, 2))
        shape = conv(y, x, in_ch, out_ch)
        cycles = cycles_of(shape, float(rng.normal(scale=noise)))
        rows.append(
            {"op": "conv", "variant": "fast", "placement": "flash+sram",
             **{name: getattr(shape, name) for name in SIZES},
             "cycles": cycles, "energy_nj": 1.8 * cycles if energy else None, **SETTING}
        )  # fmt: skip
    points = source.Points(source.SHIPPED, tuple(rows), SETTING, {}, (), False)
    return Estimator(points)


def test_known_costs_are_found() -> None:
    found = estimator()
    for shape in (conv(11, 13, 24, 40), conv(20, 9, 8, 64), conv(7, 7, 60, 12)):
        one = found.estimate(shape)
        assert one.cycles == pytest.approx(cycles_of(shape), rel=0.01)
        assert one.energy_nj == pytest.approx(1.8 * cycles_of(shape), rel=0.01)
        assert one.mean_power_mw == pytest.approx(1.8 * 216, rel=0.02)
        assert one.cycles_error < 0.02
        assert next(iter(one.cycles_by_count)) == "2x2 steps of four"


def test_stated_errors_are_those_of_new_shapes() -> None:
    """With noise of 4 %, 9 of 10 new shapes lie within the stated error, give or take."""
    found = estimator(noise=0.04, count=300)
    rng = np.random.default_rng(5)
    kept = []
    for _ in range(200):
        y, x = (int(n) for n in rng.integers(5, 29, 2))
        in_ch, out_ch = (4 * int(n) for n in rng.integers(2, 19, 2))
        shape = conv(y, x, in_ch, out_ch)
        one = found.estimate(shape, extrapolate=True)
        truth = cycles_of(shape, float(rng.normal(scale=0.04)))
        kept.append(abs(one.cycles / truth - 1) <= one.cycles_error)
    assert 0.8 <= np.mean(kept) <= 0.98


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (conv(11, 13, 400, 40), r"in_ch is 400, measured are 4 to 76.*--extrapolate"),
        (conv(11, 13, 40, 400), r"out_ch is 400, measured are \d+ to 76"),
        (conv(200, 13, 8, 8), r"in_y is 200, measured are 4 to 29"),
        (conv(11, 13, 24, 40, kernel=5), r"kernel_y is 5, measured are 3 to 3"),
        (conv(11, 13, 24, 40, pad=0), r"pad_y is 0, measured are 1 to 1"),
    ],
)
def test_outside_the_range_is_refused_unless_asked_for(shape: Shape, message: str) -> None:
    found = estimator()
    with pytest.raises(InputError, match=message):
        found.estimate(shape)
    with pytest.raises(InputError, match=message):
        found.predict([conv(11, 13, 24, 40), shape])
    one = found.estimate(shape, extrapolate=True)
    assert one.outside
    inside = found.predict([conv(11, 13, 24, 40), shape], extrapolate=True).inside
    assert inside.tolist() == [True, False]


def test_a_hole_in_the_measured_shapes_is_outside() -> None:
    """Every size is in its range, but nothing near was measured."""
    full = estimator(count=400)
    corner = [r for r in full.points.rows if not (r["in_ch"] > 8 and r["out_ch"] > 8)]
    points = source.Points(source.SHIPPED, tuple(corner), SETTING, {}, (), False)
    shape = conv(8, 8, 68, 68)
    assert full.estimate(shape).outside == ()
    with pytest.raises(InputError, match=r"nearest measured shape, .*, is too different"):
        Estimator(points).estimate(shape)


def test_many_shapes_give_what_one_at_a_time_gives() -> None:
    found = estimator(noise=0.02)
    shapes = [conv(11, 13, 24, 40), conv(20, 9, 8, 64), conv(11, 13, 24, 40)]
    many = found.predict(shapes)
    ones = [found.estimate(shape) for shape in shapes]
    assert many.cycles.tolist() == pytest.approx([one.cycles for one in ones])
    assert many.energy_nj.tolist() == pytest.approx([one.energy_nj for one in ones])
    assert many.cycles_error.tolist() == pytest.approx([one.cycles_error for one in ones])
    assert many.inside.all()


def test_five_thousand_shapes_take_seconds() -> None:
    found = estimator()
    found.estimate(conv(11, 13, 24, 40))  # the fit
    shapes = [conv(4 + n % 25, 4 + n // 25 % 25, 4 + 4 * (n // 625), 40) for n in range(5000)]
    start = time.perf_counter()
    found.predict(shapes, extrapolate=True)
    assert time.perf_counter() - start < 5.0  # a tenth of it on an idle machine


def test_a_table_without_energy_gives_none() -> None:
    one = estimator(energy=False).estimate(conv(11, 13, 24, 40))
    assert one.energy_nj is None
    assert one.energy_error is None
    assert one.mean_power_mw is None


def test_what_the_table_does_not_have_is_named() -> None:
    found = estimator()
    with pytest.raises(InputError, match=r"no points of fc\. There are: conv"):
        found.estimate(registry.get("fc").shape())
    with pytest.raises(InputError, match=r"variant 'fsat'.*Did you mean fast\?"):
        found.estimate(conv(11, 13, 24, 40), variant="fsat")
    with pytest.raises(InputError, match=r"at placement tcm\. There are: flash\+sram"):
        found.estimate(conv(11, 13, 24, 40), placement="tcm")
    with pytest.raises(InputError, match=r"needs in_ch a multiple of 4"):
        found.estimate(conv(11, 13, 25, 40), variant="fast")
