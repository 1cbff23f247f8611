from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from m7sim.ops.calls import KernelCall
from m7sim.ops.kernels import OK, kernel_elf


def on_board(elf: Path):
    from m7sim.board import Board
    from m7sim.elf import Image
    from m7sim.machine import Machine

    return Machine(Image.load(elf), Board.load("stm32f746"))


def runner(machine) -> Callable[[KernelCall], np.ndarray]:
    def make(call: KernelCall) -> np.ndarray:
        result = machine.call(call.function, *call.arguments)
        if call.returns_status:
            assert result.value == OK
        return call.output

    return make


@pytest.fixture(scope="session")
def machine():
    """All kernels on a simulated board."""
    return on_board(kernel_elf())


@pytest.fixture(scope="session")
def run(machine) -> Callable[[KernelCall], np.ndarray]:
    """Make a prepared call; return its output, after checking that the kernel took the shape."""
    return runner(machine)


@pytest.fixture(scope="session")
def run_packing_in_c() -> Callable[[KernelCall], np.ndarray]:
    """The same on kernels built without the pack instructions."""
    return runner(on_board(kernel_elf(defines=("M7NN_PKH_IN_C",))))


@pytest.fixture(scope="session")
def firmware():
    """All kernels, executed and counted but not timed."""
    from m7sim.session import load

    return load(kernel_elf(), board="stm32f746", time=False)
