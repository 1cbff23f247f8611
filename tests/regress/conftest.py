"""A small project with a kernel, and pytest run on it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from _pytest.pytester import SysModulesSnapshot

from m7sim import cache

FIR = """\
#include <stdint.h>

void fir(const int16_t *x, const int16_t *h, int16_t *y, int n, int taps)
{
    for (int i = 0; i < n; i++) {
        int32_t sum = 0;
        for (int k = 0; k < taps; k++)
            sum += x[i + k] * h[k];
        y[i] = (int16_t)(sum >> 15);
    }
}

int twice(int x) { return 2 * x; }
"""
SLOW = ("sum += x[i + k] * h[k];", "sum += x[i + k] * h[k] + (((volatile int16_t *)y)[i] & 0);")
TEST = """\
import numpy as np

def test_fir(m7):
    fw = m7.build("fir.c")
    x, h, y = np.arange(39, dtype=np.int16), np.full(8, 4096, np.int16), np.zeros(32, np.int16)
    r = fw.call("fir", x, h, y, 32, 8)
    np.testing.assert_array_equal(y, np.convolve(x, np.ones(8), "valid") // 8)
    m7.check(r)
"""


class Project:
    """A folder with kernel and test; ``run`` runs pytest in this process."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.source("fir.c", FIR)
        self.test(TEST)

    def source(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def test(self, text: str, name: str = "test_fir.py") -> Path:
        return self.source(name, textwrap.dedent(text))

    def edit(self, old: str, new: str, name: str = "fir.c") -> None:
        path = self.path / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")

    def slow_down(self) -> None:
        """Add one load to the inner loop."""
        self.edit(*SLOW)

    def ini(self, *lines: str) -> None:
        self.source("pytest.ini", "\n".join(["[pytest]", *lines]) + "\n")

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run pytest; return what it printed."""
        done = self.pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
        assert done.ret == code, done.stdout.str() + done.stderr.str()
        return done.stdout.str() + done.stderr.str()

    def update(self, *arguments: str) -> None:
        self.run("--m7-update", "-q", *arguments)

    def baseline(self, name: str = "test_fir") -> Path:
        return self.path / "m7_baselines" / f"{name}.json"


def _all_but_tests(name: str) -> bool:
    return not name.startswith(("test_", "conftest"))


@pytest.fixture
def kept_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep pytester from forgetting what a run in this process imported, and compiled kernels.

    Neither NumPy nor Numba can be imported twice. Pytester gives each test another home.
    """
    monkeypatch.setenv("M7SIM_CACHE", str(cache.cache_dir()))
    monkeypatch.setattr(
        pytest.Pytester,
        "_Pytester__take_sys_modules_snapshot",
        lambda self: SysModulesSnapshot(preserve=_all_but_tests),
    )


@pytest.fixture
def project(
    kept_modules: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Project:
    for name in ("CI", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache, "on_compile", None)
    return Project(pytester)
