from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from m7sim.ops.kernels import OK, KernelCall, kernel_elf

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def models() -> Path:
    """Folder with the published weights; a missing one is an error only in CI."""
    folder = Path(os.environ.get("M7SIM_MODELS", ROOT.parent / "shared" / "models"))
    if not (folder / "legacy_q7").is_dir():
        message = f"no models in {folder}; set M7SIM_MODELS"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def machine():
    """All kernels on a simulated board."""
    from m7sim.board import Board
    from m7sim.elf import Image
    from m7sim.machine import Machine

    return Machine(Image.load(kernel_elf()), Board.load("stm32f746"))


@pytest.fixture(scope="session")
def run(machine) -> Callable[[KernelCall], np.ndarray]:
    """Make a prepared call; return its output, after checking that the kernel took the shape."""

    def make(call: KernelCall) -> np.ndarray:
        result = machine.call(call.function, *call.arguments)
        if call.returns_status:
            assert result.value == OK
        return call.output

    return make


@pytest.fixture(scope="session")
def firmware():
    """All kernels, with timing: for what a call costs."""
    import m7sim

    return m7sim.load(kernel_elf(), board="stm32f746")
