"""What a run or a call gives back: its configuration, its totals and its profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from m7sim.energy import Energy
from m7sim.machine.marshal import CallBuffer
from m7sim.profile.attribution import Profile


@dataclass(frozen=True)
class RowUse:
    """How much a row of the core table was used, and how sure that row is."""

    name: str
    confidence: str
    source: str
    instructions: int


@dataclass(frozen=True)
class Configuration:
    """What was simulated; every number that belongs to the memories is printable text."""

    elf: str
    elf_sha256: str
    compiler: str
    entry: str
    arguments: str
    board: str
    clock_hz: int
    core: str
    core_revision: str
    memories: tuple[str, ...]
    caches: tuple[str, ...]
    warm: bool
    timed: bool
    not_modelled: tuple[str, ...]
    guessed_parameters: tuple[str, ...] = ()  # of the core, with their values
    versions: Mapping[str, str] = field(default_factory=dict)
    power: str = ""  # the operating point, or why there is neither power nor energy


@dataclass(frozen=True)
class Result:
    """Totals of a run or a call.

    ``cycles == issue_cycles + sum(stalls.values())``. ``dual_issued`` counts the instructions that
    issued beside an older one. When only execution was asked for (``time=False``), the cycles are
    0, ``stalls`` is empty and ``profile`` is None. ``energy`` is None without timing, and without
    current data for the board's chip and clock; ``configuration.power`` says why. ``findings``
    (`m7sim.sanitize.Finding`) and ``usage`` (`m7sim.sanitize.Usage`) are there when the sanitizer
    was asked.
    """

    configuration: Configuration
    instructions: int
    cycles: int
    issue_cycles: int
    dual_issued: int
    stalls: dict[str, int]
    profile: Profile | None
    statistics: dict[str, int]
    rows: tuple[RowUse, ...]
    energy: Energy | None = field(default=None, kw_only=True)
    findings: tuple[Any, ...] = field(default=(), kw_only=True)
    usage: Any = field(default=None, kw_only=True)

    @property
    def ipc(self) -> float:
        """Instructions per cycle."""
        return self.instructions / self.cycles if self.cycles else 0.0

    @property
    def dual_issue_share(self) -> float:
        """Share of the issue cycles in which two instructions issued."""
        return self.dual_issued / self.issue_cycles if self.issue_cycles else 0.0

    @property
    def time_ms(self) -> float:
        """Time at the board's clock, in milliseconds."""
        return 1e3 * self.cycles / self.configuration.clock_hz


@dataclass(frozen=True)
class RunResult(Result):
    """A run from reset or from an entry point.

    ``stop_reason`` is ``exit`` (semihosting), ``return``, ``max_instructions``, ``max_cycles``,
    ``fault`` or ``interrupted``; ``message`` is the sentence for people. ``exit_code`` is the
    firmware's own, or None when it did not get that far. ``trace_bytes`` is the size of the trace
    file that was written or replayed, if any.
    """

    stop_reason: str
    message: str
    exit_code: int | None
    console: bytes
    trace_bytes: int | None = None

    @property
    def trace_bytes_per_instruction(self) -> float | None:
        """Size of the trace file, its code included, by instructions."""
        if self.trace_bytes is None or not self.instructions:
            return None
        return self.trace_bytes / self.instructions


@dataclass(frozen=True)
class CallResult(Result):
    """A call of one function. Arrays passed as arguments hold what the function wrote.

    ``buffers`` is the memory that arrays, structs and texts had during the call.
    """

    value: Any
    stack_bytes: int
    buffers: tuple[CallBuffer, ...] = ()
