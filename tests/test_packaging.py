"""The wheel holds everything it needs: tables, firmware sources, entry point."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run outside the checkout, with the wheel's content before the installed package."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_is_what_runs(unpacked_wheel: Path) -> None:
    done = run(unpacked_wheel, "-c", "import m7sim; print(m7sim.__file__)")
    assert str(unpacked_wheel) in done.stdout


def test_tables_and_doctor_work_from_the_wheel(unpacked_wheel: Path) -> None:
    done = run(unpacked_wheel, "-m", "m7sim", "doctor")
    assert done.returncode == 0, done.stderr
    assert "as expected" in done.stdout


@pytest.mark.toolchain
def test_kernels_build_from_the_wheel(unpacked_wheel: Path) -> None:
    code = "from m7sim.ops.kernels import kernel_elf; print(kernel_elf())"
    done = run(unpacked_wheel, "-c", code)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes()[:4] == b"\x7fELF"
