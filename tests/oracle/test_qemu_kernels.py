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

PROGRAMS = {"kernels_main.c": 17, "kernels_s8_main.c": 22}  # and the lines each prints


def build(script: str, program: str = "kernels_main.c") -> Path:
    board = toolchain.firmware_dir() / "board"
    return toolchain.build(
        [
            board / "startup.c",
            board / "syscalls.c",
            *kernel_sources(),
            Path(__file__).parent / program,
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


@pytest.mark.parametrize("program", PROGRAMS)
def test_kernels_give_the_same_on_qemu(program: str) -> None:
    command = [qemu(), "-M", "mps2-an500", "-nographic", "-semihosting"]
    reference = subprocess.run(
        [*command, "-kernel", str(build("mps2-an500.ld", program))],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    ours = m7sim.load(build("stm32f746.ld", program)).run()
    assert ours.exit_code == 0
    lines = ours.console.decode().splitlines()
    assert lines == reference.stdout.splitlines()
    assert len(lines) == PROGRAMS[program]


FORMS = {
    "kernels_main.c": ("depthwise", "fc", "fc_x4", "max_pool", "ave_pool"),
    "kernels_s8_main.c": ("conv_s8", "depthwise_s8", "fc_s8", "max_pool_s8", "ave_pool_s8",
                          "add_s8", "softmax_s8"),
}  # fmt: skip


@pytest.mark.parametrize("program", FORMS)
def test_naive_and_optimised_forms_agree(program: str) -> None:
    hashes: dict[str, str] = {}
    console = m7sim.load(build("stm32f746.ld", program)).run().console
    for line in console.decode().splitlines():
        name, status, digest = line.split()
        assert status == "0", line
        hashes.setdefault(name, digest)
    for name in FORMS[program]:
        assert hashes[name] == hashes[f"{name}_naive"]
