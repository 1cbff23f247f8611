"""The benchmark runs, and the pages show what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RATES = ("bare", "capture", "live_tcm", "live_cached", "replay")


def shown(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    start = text.index("```text\n", text.index("<!-- bench -->"))
    return text[start : text.index("\n```\n", start)].splitlines()


@pytest.mark.toolchain
def test_bench_measures_every_column() -> None:
    command = [sys.executable, ROOT / "tools" / "bench", "fc", "qsort", "--json", "--runs=1"]
    done = subprocess.run(
        [*command, "--instructions=200000"], capture_output=True, text=True, check=True
    )
    workloads = json.loads(done.stdout)["workloads"]
    assert [row["name"] for row in workloads] == ["fc", "qsort"]
    for row in workloads:
        assert all(row[rate] > 0 for rate in RATES)
        assert row["rss_mb"] > 50
        assert 0 < row["trace_bytes_per_instruction"] < 4


def test_bench_names_what_it_does_not_know() -> None:
    command = [sys.executable, ROOT / "tools" / "bench", "sorting"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no workload sorting; there are conv3x3," in done.stderr


def test_pages_show_one_run_of_all_workloads() -> None:
    table = shown("README.md")
    assert table == shown("m7sim/timing/SPEED.md")
    names = [line.split()[0] for line in table[2:]]
    assert len(names) >= 12 + 2
    assert {"conv3x3", "conv1x1", "qsort", "printf", "median"} <= set(names)
