"""With pytest-xdist: one baseline file, complete, and the same bytes as without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.toolchain

TESTS = """
import os
import numpy as np
import pytest

@pytest.mark.parametrize("n", [8, 16, 24])
def test_fir(m7, n):
    x, h, y = (np.ones(size, np.int16) for size in (n + 7, 8, n))
    m7.check(m7.build("fir.c").call("fir", x, h, y, n, 8))

@pytest.mark.m7(boards=["stm32f746", "stm32h743"])
def test_twice(m7):
    m7.check(m7.build("fir.c").call("twice", 1))

def test_last(m7):
    m7.check(m7.build("fir.c").call("twice", 1))
    if os.environ.get("CRASH"):
        os._exit(3)
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_XDIST_WORKER")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "-p", "no:cacheprovider",
         *arguments],
        cwd=folder, env=variables | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_workers_write_what_one_process_writes(project) -> None:
    project.test(TESTS)
    project.source("other/test_more.py", TESTS.replace('"fir.c"', '"../fir.c"'))
    options = ("--m7-update", "--m7-coverage=c.info", "--m7-markdown=m.md")
    files = ("m7_baselines/test_fir.json", "other/m7_baselines/test_more.json", "c.info", "m.md")

    project.run(*options)
    alone = [(project.path / name).read_text() for name in files]
    for name in files:
        (project.path / name).unlink()

    done = run(project.path, "-n2", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 passed" in done.stdout
    assert done.stdout.count("baseline of test_fir[8] fir: new") == 2  # once per file
    assert done.stdout.count("m7: core") == 1
    assert [(project.path / name).read_text() for name in files] == alone

    project.slow_down()
    done = run(project.path, "-n2", "--junit-xml=j.xml")
    assert done.returncode == 1
    assert "6 failed, 6 passed" in done.stdout
    assert "m7.check: what changed" in done.stdout  # explained by the worker
    assert 'name="m7.fir.cycles"' in (project.path / "j.xml").read_text()


def test_a_crashed_worker_loses_no_other_baseline(project) -> None:
    project.test(TESTS)
    done = run(project.path, "-n1", "--m7-update", "--max-worker-restart=0", CRASH="1")
    assert done.returncode == 1, done.stdout + done.stderr
    text = project.baseline().read_text()
    assert '"test_fir[24]"' in text
    assert '"test_last"' not in text
    assert "nothing pruned" in run(project.path, "-n1", "--m7-prune", CRASH="1").stdout
