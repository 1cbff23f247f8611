"""The same program prints the same lines on m7sim and on QEMU's Cortex-M7."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import m7sim
from m7sim import toolchain
from m7sim.ops.kernels import kernel_includes, kernel_sources

pytestmark = [pytest.mark.toolchain, pytest.mark.qemu]

KERNELS = 17


def build(script: str) -> Path:
    board = toolchain.firmware_dir() / "board"
    return toolchain.build(
        [
            board / "startup.c",
            board / "syscalls.c",
            *kernel_sources(),
            Path(__file__).parent / "kernels_main.c",
        ],
        linker_script=board / script,
        include=kernel_includes(),
        link_flags=("-nostartfiles", "-Wl,--gc-sections"),
    )


def qemu() -> str:
    path = shutil.which("qemu-system-arm")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("qemu-system-arm is missing")
        pytest.skip("qemu-system-arm is missing")
    return path


def test_kernels_give_the_same_on_qemu() -> None:
    command = [qemu(), "-M", "mps2-an500", "-nographic", "-semihosting"]
    reference = subprocess.run(
        [*command, "-kernel", str(build("mps2-an500.ld"))],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    ours = m7sim.load(build("stm32f746.ld")).run()
    assert ours.exit_code == 0
    lines = ours.console.decode().splitlines()
    assert lines == reference.stdout.splitlines()
    assert len(lines) == KERNELS


def test_naive_and_optimised_forms_agree() -> None:
    hashes = {}
    for line in m7sim.load(build("stm32f746.ld")).run().console.decode().splitlines():
        name, status, digest = line.split()
        assert status == "0", line
        hashes[name] = digest
    for name in ("depthwise", "fc", "fc_x4", "max_pool", "ave_pool"):
        assert hashes[name] == hashes[f"{name}_naive"]
