"""The example project of firmware/examples/ci: it passes, and a slower kernel does not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from m7sim import toolchain
from m7sim.export.lcov import Coverage

pytestmark = pytest.mark.toolchain

KERNEL = "fir_q15.c"
LOOP = "for (int k = 0; k < n_taps; k += 2) {"
# What a person might do: say it without the register that carries a pair over. And one load more.
FORGETS = ("sum1 = __smlad(h, x12, sum1);", "sum1 = __smlad(h, two(x + i + k + 1), sum1);")
EXTRA = "x12 = *(const volatile int16x2_t *)(x + i + k + 1);"
FURTHER = (LOOP, f"{LOOP}\n            {EXTRA}")
TOO_FAR = ("two(x + i + k + 3)", "two(x + i + k + 4)")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder, env=env | {"COLUMNS": "100"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def made_with(folder: Path) -> str:
    (baseline,) = (folder / "m7_baselines").glob("*.json")
    tests = json.loads(baseline.read_text())["tests"]
    (compiler,) = {
        e["measured_on"]["compiler"] for checks in tests.values() for e in checks.values()
    }
    return str(compiler).partition(" ")[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy; where the compiler is another one than that of the baseline, with one of its own."""
    folder = tmp_path / "ci"
    shutil.copytree(toolchain.firmware_dir() / "examples" / "ci", folder)
    if toolchain.compiler_version().partition(" ")[2] != made_with(folder):
        assert run(folder, "--m7-update").returncode == 0
    return folder


def edit(project: Path, change: tuple[str, str]) -> int:
    """Change the kernel once; return the first line that differs."""
    path = project / KERNEL
    before = path.read_text()
    assert before.count(change[0]) == 1 or change is FURTHER
    after = before.replace(*change, 1)
    path.write_text(after)
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next(n for n, (old, new) in enumerate(pairs, 1) if old != new)


def line_of(project: Path, text: str) -> int:
    lines = (project / KERNEL).read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if text in line)


def test_it_passes_as_its_workflow_runs_it(project):
    workflow = (project / ".github" / "workflows" / "kernels.yml").read_text()
    (command,) = re.findall(r"bin/pytest (--\S.*)", workflow)
    done = run(project, *command.split())
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    suite = ET.parse(project / "junit.xml").getroot()
    names = {p.get("name") for p in suite.iter("property")}
    assert any("cycles" in str(name) for name in names)
    assert "2 checks" in (project / "m7sim.md").read_text()
    coverage = Coverage.from_file(project / "m7sim.info")
    assert [Path(file).name for file in coverage.files] == [KERNEL]
    assert coverage.totals.lines_hit > 0.8 * coverage.totals.lines
    for made in ("junit.xml", "m7sim.md", "m7sim.info"):
        assert made in workflow


def test_the_test_has_about_ten_lines(project):
    lines = (project / "test_fir_q15.py").read_text().partition("@pytest")[2].splitlines()
    assert len(lines) <= 11


def test_an_extra_load_in_the_inner_loop_is_named(project):
    number = edit(project, FURTHER)
    done = run(project, "-k", "32")
    assert done.returncode == 1
    assert re.search(r"over its limits?: cycles", done.stdout)
    assert f"loop at {KERNEL}:{line_of(project, LOOP)}" in done.stdout
    assert f"{KERNEL}:{number} `{EXTRA}`" in done.stdout.replace("\n        ", " ")


def test_the_readme_shows_what_happens(project):
    edit(project, FORGETS)
    done = run(project, "-k", "32")
    if toolchain.compiler_version().partition(" ")[2] != made_with(project):
        assert done.returncode in (0, 1)  # another compiler may see what the person did not
        return
    assert done.returncode == 1
    assert f"loop at {KERNEL}:{line_of(project, LOOP)}" in done.stdout
    blocks = re.findall(r"(?m)(?:^    .*\n|^\n)+", (project / "README.md").read_text())
    (shown,) = [block for block in blocks if "E   " in block]
    told = {line.rstrip() for line in done.stdout.splitlines()}
    for line in shown.splitlines():
        assert line[4:].rstrip() in told | {"", "…"}, line


def test_reading_too_far_is_named(project):
    number = edit(project, TOO_FAR)
    done = run(project, "-k", "32")
    assert done.returncode == 1
    assert "finding" in done.stdout
    assert f"{KERNEL}:{number}" in done.stdout or f"{KERNEL}:10" in done.stdout
