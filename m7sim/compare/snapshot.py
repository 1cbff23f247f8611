"""What is kept of a result, to be compared with another one later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 1

Scalar = str | int | bool
NOWHERE = -1  # index of no line, of no loop


@dataclass(frozen=True)
class Cost:
    """Cycles by cause; ``cycles == issue_cycles + sum(stalls.values())``."""

    issue_cycles: int = 0
    stalls: Mapping[str, int] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        return self.issue_cycles + sum(self.stalls.values())


@dataclass(frozen=True)
class Totals:
    """Figures of the whole result.

    ``stack_bytes`` is None for what is no call, ``energy_nj`` without current data for the chip.
    ``code_bytes`` is the size of all functions of which at least one instruction executed, from
    symbol to end: literal pools and paths not taken are included, tables of constants and code
    without a symbol are not. ``energy_nj`` has six digits.
    """

    cycles: int
    instructions: int
    issue_cycles: int
    dual_issued: int
    stalls: Mapping[str, int]
    energy_nj: float | None
    stack_bytes: int | None
    code_bytes: int


@dataclass(frozen=True)
class SourceLine:
    """A line of source; ``file`` is as short as tells it from the others of the result.

    ``text`` is empty where the source was not at hand, ``inlined`` names the function that the line
    is of if that was inlined.
    """

    file: str
    line: int
    text: str
    inlined: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Loop:
    """A natural loop of the code that executed.

    ``line`` is an index into the function's lines (or -1), ``parent`` into its loops (-1: none).
    ``iterations`` and ``entries`` are of the whole run.
    """

    line: int
    parent: int
    iterations: int
    entries: int


@dataclass(frozen=True)
class InstructionRecord:
    """One static instruction that executed, and what it cost over the whole run.

    In ``text``, targets of branches are ``name+0x10`` and literals ``=name`` or ``=0x1234``.
    ``line`` and ``loop`` (the innermost one) are indices into the function's lines and loops, or
    -1.
    """

    offset_bytes: int
    text: str
    executions: int
    cost: Cost
    line: int
    loop: int


@dataclass(frozen=True)
class Detail:
    """What a function consists of; the costs of its instructions sum to that of the function."""

    lines: tuple[SourceLine, ...]
    loops: tuple[Loop, ...]
    instructions: tuple[InstructionRecord, ...]


@dataclass(frozen=True)
class FunctionRecord:
    """A function that executed, and the cost of its own instructions.

    ``detail`` is None where a snapshot leaves it out, to stay small.
    """

    name: str
    file: str
    address: int
    size_bytes: int
    compiled: str  # compiler and options; empty: unknown
    calls: int
    instructions: int
    cost: Cost
    detail: Detail | None


@dataclass(frozen=True)
class Snapshot:
    """A result without what a comparison does not need.

    ``configuration`` is what was simulated; ``sources`` has a short hash of each source file, empty
    where it was not at hand. The costs of ``functions``, costliest first, sum to the totals, except
    for a result without timing, which has none.
    """

    configuration: Mapping[str, Any]
    totals: Totals
    sources: Mapping[str, str]
    functions: tuple[FunctionRecord, ...]

    @property
    def timed(self) -> bool:
        return bool(self.configuration.get("timed", True))

    @property
    def left_out(self) -> tuple[FunctionRecord, ...]:
        """Functions whose lines and instructions were left out to keep the snapshot small."""
        return tuple(f for f in self.functions if f.detail is None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and dictionaries, ready for JSON; see `m7sim.compare.schema`."""
        from m7sim.compare import schema

        return schema.to_dict(self)

    @classmethod
    def from_dict(cls, data: object, *, where: str = "snapshot") -> Snapshot:
        """Read what `to_dict` gave.

        Raises
        ------
        InputError
            If it is damaged, or of a later version.
        """
        from m7sim.compare import schema

        return schema.from_dict(data, where=where)
