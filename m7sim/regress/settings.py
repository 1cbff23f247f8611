"""What a test session was asked for, by options and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from m7sim.regress.limits import HARD, Limit

DEFAULT_BOARD = "stm32f746"
DEFAULT_CORE = "cortex_m7"
DEFAULT_FLAGS = ("-O2",)


@dataclass(frozen=True)
class Settings:
    """How firmware is built, run and judged.

    Attributes
    ----------
    board, core, clock_hz
        What it runs on; clock None is the board's.
    compiler
        Name or path of the cross compiler; "" is the usual one.
    flags
        Of the compiler, behind those that `m7.build` always gives.
    placement
        Where code and arrays lie, such as ``tcm``; "" is as linked, arrays in DTCM while it fits.
    hard, soft
        Limits by metric: beyond them a check fails, or is pointed out.
    strict
        Improvements fail as well.
    update
        Write baselines instead of failing.
    report_only
        Compare, and never fail because of costs.
    sanitize
        Check every memory access of every call.
    coverage
        Collect which lines and branches ran.
    require_compiler
        A missing cross compiler is an error and no reason to skip.
    explain_markdown
        Also write down in markdown what explains a difference.
    """

    board: str = DEFAULT_BOARD
    core: str = DEFAULT_CORE
    clock_hz: int | None = None
    compiler: str = ""
    flags: tuple[str, ...] = DEFAULT_FLAGS
    placement: str = ""
    hard: Mapping[str, Limit] = field(default_factory=lambda: dict(HARD))
    soft: Mapping[str, Limit] = field(default_factory=dict)
    strict: bool = False
    update: bool = False
    report_only: bool = False
    sanitize: bool = False
    coverage: bool = False
    require_compiler: bool = False
    explain_markdown: bool = False


@dataclass(frozen=True)
class TestPlace:
    """A test: its file, its id within the file, and how pytest calls it."""

    __test__ = False  # not for pytest to collect

    file: Path
    test: str
    nodeid: str
    budget: Mapping[str, Limit] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.file.parent
