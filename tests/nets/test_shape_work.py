"""Means and transpositions: the kernels against NumPy, over odd sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from m7sim import toolchain
from m7sim.nets.graph import TensorScale, Work
from m7sim.nets.legacy import MeanWork
from m7sim.nets.lower_ops import NotCovered
from m7sim.nets.raw import RawOp, RawTensor
from m7sim.nets.shape_work import MeanS8, Transpose, mean, transpose
from m7sim.ops import kernels
from m7sim.session import Firmware, load

WORKS: list[tuple[Work, int]] = [
    (Transpose((1, 3, 3, 5), (0, 3, 1, 2)), 45),
    (Transpose((2, 3, 4, 5), (3, 1, 0, 2)), 120),
    (MeanS8((1, 9, 7), 5, 1_300_000_000, -4, -3), 63),
    (MeanS8((6, 5, 1), 128, 2_000_000_000, -3, -128), 30),
    (MeanWork(125, 6, 2), 750),
    (MeanWork(1, 3, 2), 3),
]


@pytest.fixture(scope="module")
def firmware() -> Firmware:
    folder = toolchain.firmware_dir()
    elf = toolchain.build(
        [*sorted((folder / "kernels" / "nets").glob("*.c")), *kernels.kernel_sources()],
        linker_script=folder / "board" / "stm32f746.ld",
        flags=kernels.FLAGS,
        include=[*kernels.kernel_includes(), folder / "kernels" / "nets"],
        keep=sorted({work.function for work, _ in WORKS}),
    )
    return load(Path(elf), board="stm32f746")


@pytest.mark.toolchain
@pytest.mark.parametrize(("work", "elements"), WORKS)
def test_kernels_equal_the_model(firmware: Firmware, work: Work, elements: int) -> None:
    rng = np.random.default_rng(elements)
    for _ in range(3):
        x = rng.integers(-128, 128, elements, dtype=np.int8)
        call = work.prepare(x)
        firmware.call(call.function, *call.arguments)
        assert np.array_equal(call.output.reshape(-1), work.forward(x).reshape(-1))


def raw(shape: tuple[int, ...], scale: float = 0.5, zero: int = 0) -> RawTensor:
    return RawTensor(name="t", shape=shape, dtype="int8", scale=TensorScale((scale,), (zero,)))


def numbers(*values: int) -> RawTensor:
    return RawTensor(name="n", shape=(len(values),), dtype="int32", data=np.array(values, np.int32))


def test_mean_is_the_mean() -> None:
    op = RawOp(kind="MEAN", inputs=(0, 1), outputs=(2,))
    made = mean(op, [raw((1, 7, 5, 3), 0.5, -3), numbers(1, 2)], raw((1, 3), 0.25, 9))
    x = np.random.default_rng(1).integers(-128, 128, (1, 7, 5, 3), dtype=np.int8)
    real = (0.5 * (x.astype(float) + 3)).mean(axis=(1, 2)) / 0.25 + 9
    assert np.abs(made.forward(x) - np.clip(real, -128, 127)).max() < 0.6  # rounded twice


def test_what_is_not_covered_says_so() -> None:
    op = RawOp(kind="MEAN", inputs=(0, 1), outputs=(2,))
    with pytest.raises(NotCovered, match="axes apart"):
        mean(op, [raw((2, 7, 5, 3)), numbers(0, 2)], raw((7, 3)))
    with pytest.raises(NotCovered, match="another size"):
        transpose(op, [raw((2, 3)), numbers(1, 0)], raw((2, 3)))
    with pytest.raises(NotCovered, match="no constant"):
        mean(op, [raw((2, 3)), raw((1,))], raw((2, 3)))
