"""What llvm-mca says about straight-line code, where it is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

from m7sim.profile.result import Result

_NAMES = ("llvm-mca", "llvm-mca-19", "llvm-mca-18", "llvm-mca-17", "llvm-mca-16", "llvm-mca-14")
_OPTIONS = ("-mtriple=thumbv7em-none-eabihf", "-mcpu=cortex-m7", "-iterations=1", "-json")
_TIMEOUT_S = 30.0
# It crashes on some wide forms (llvm-project issue 97020); the narrow spelling means the same.
_WIDE = re.compile(r"^(\w+)\.w\b")


@cache
def find_mca() -> str | None:
    """Return the path of llvm-mca, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def straight_line(result: Result) -> tuple[str, ...] | None:
    """Return the instructions of a call that executed each of them once, in order; else None."""
    if result.profile is None:
        return None
    costs = result.profile.instructions
    if not len(costs.executions) or costs.executions.max() > 1:
        return None
    if result.statistics.get("branches_taken", 0) > 1:  # the return may count as one
        return None
    return costs.text


def estimate_cycles(instructions: Sequence[str]) -> int | None:
    """Return the cycles llvm-mca gives for one pass; None without it or if it refuses."""
    tool = find_mca()
    if tool is None:
        return None
    text = "\n".join(_WIDE.sub(r"\1", line) for line in instructions) + "\n"
    try:
        done = subprocess.run(
            [tool, *_OPTIONS], input=text, capture_output=True, text=True,
            timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    try:
        (region,) = json.loads(done.stdout)["CodeRegions"]
        summary = region["SummaryView"]
        cycles, counted = summary["TotalCycles"], summary["Instructions"]
    except (ValueError, KeyError, TypeError):
        return None
    return int(cycles) if counted == len(instructions) else None
