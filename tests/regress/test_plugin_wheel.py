"""The plugin from the built wheel, in an environment of its own, outside of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from m7sim import toolchain

pytestmark = [pytest.mark.toolchain, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel; the dependencies come from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    # All packages but our own: what is found there as m7sim can only be the wheel.
    own = Path(sysconfig.get_paths()["purelib"])
    dependencies = folder / "dependencies"
    dependencies.mkdir()
    for package in own.iterdir():
        if "m7sim" not in package.name and package.suffix != ".pth":
            (dependencies / package.name).symlink_to(package)
    (site / "dependencies.pth").write_text(f"{dependencies}\n", encoding="utf-8")
    install = [sys.executable, "-m", "pip", "--python", str(venv), "install", "--no-deps",
               "--no-index", "--quiet", str(wheel)]  # fmt: skip
    subprocess.run(install, check=True, capture_output=True)
    return venv / "bin" / "python"


def run(python: Path, project, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    keep = ("HOME", "M7SIM_CACHE", "XDG_CACHE_HOME", "TMPDIR", "LANG")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    environment["PATH"] = path or os.environ["PATH"]
    return subprocess.run(
        [str(python), "-m", "pytest", "-rs", "-p", "no:hypothesispytest", *arguments],
        cwd=project.path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_wheel_with_and_without_a_compiler(project, python: Path) -> None:
    where = "import m7sim; print(m7sim.__file__)"
    found = subprocess.run([str(python), "-c", where], cwd=project.path, capture_output=True,
                           text=True, check=True)  # fmt: skip
    assert str(python.parents[1]) in found.stdout

    done = run(python, project, "--m7-update")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert project.baseline().exists()
    done = run(python, project)
    assert done.returncode == 0, done.stdout + done.stderr
    project.slow_down()
    done = run(python, project)
    assert done.returncode == 1
    assert "fir.c:8" in done.stdout.partition("what changed")[2]

    # Without the cross compiler what needs it is skipped, or fails where that is asked for.
    elf = toolchain.build([project.path / "fir.c"], keep=["twice"])
    shutil.copy(elf, project.path / "fir.elf")
    project.source("test_elf.py", "def test_elf(m7):\n"
                   "    assert m7.load('fir.elf').call('twice', 4).value == 8\n")  # fmt: skip
    nowhere = str(python.parent)
    done = run(python, project, path=nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout
    assert "Install it with: sudo apt-get install gcc-arm-none-eabi" in done.stdout
    done = run(python, project, "--m7-require-compiler", path=nowhere)
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
