"""Error bands: how far the model was from silicon in code of the same class.

The bands come from ``measured.toml`` beside this file, which ``m7sim validate --update-bands``
writes. What class of code a run belongs to is read off the run itself, in validation and elsewhere
by the same function.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

from m7sim.board.schema import Key, Reader, suggestion
from m7sim.errors import InputError, TableError
from m7sim.profile.result import Result

SCHEMA = 1
MEASURED = Path(__file__).parent / "measured.toml"

# Shares above which a run belongs to a class; the first that applies is taken.
MEMORY_SHARE = 0.20
FLOAT_SHARE = 0.05
MULTIPLY_SHARE = 0.05
TAKEN_BRANCHES_SHARE = 0.02

# A time published as 0.2 ms (0.15 to 0.25) says nothing about a band of a few percent.
MAX_ROUNDING = 0.05

CODE_CLASSES: dict[str, str] = {
    "memory": "at least a fifth of the cycles waits for memory behind a bus or a cache",
    "float": "at least one instruction in 20 belongs to the FPU",
    "multiply": "integer code; at least one instruction in 20 multiplies or is packed SIMD",
    "branchy": "other integer code with a taken branch in 50 instructions or less",
    "straight": "other integer code, with longer runs between taken branches",
}

_MEMORY_CAUSES = (
    "icache_refill", "fetch_uncached", "dcache_flash", "dcache_sram", "dcache_external",
    "data_uncached", "peripheral",
)  # fmt: skip
_MULTIPLY_ROWS = (
    "mul", "mla", "mul_long", "mla_long", "parallel_add", "select", "saturating_add",
    "saturating_double", "usad8", "usada8",
)  # fmt: skip


@dataclass(frozen=True)
class Mix:
    """What the class of code depends on, summable over the parts of a run."""

    instructions: int
    cycles: int
    memory_cycles: int
    float_instructions: int
    multiply_instructions: int
    branches_taken: int

    @property
    def code_class(self) -> str:
        """Name of the class, a key of ``CODE_CLASSES``."""
        if self.memory_cycles >= MEMORY_SHARE * self.cycles:
            return "memory"
        if self.float_instructions >= FLOAT_SHARE * self.instructions:
            return "float"
        if self.multiply_instructions >= MULTIPLY_SHARE * self.instructions:
            return "multiply"
        if self.branches_taken >= TAKEN_BRANCHES_SHARE * self.instructions:
            return "branchy"
        return "straight"


def mix(result: Result) -> Mix:
    """Return what decides about the class of a run or call."""
    counts = {row.name: row.instructions for row in result.rows}
    return Mix(
        instructions=result.instructions,
        cycles=result.cycles,
        memory_cycles=sum(result.stalls.get(cause, 0) for cause in _MEMORY_CAUSES),
        float_instructions=sum(n for name, n in counts.items() if name.startswith("fp_")),
        multiply_instructions=sum(counts.get(name, 0) for name in _MULTIPLY_ROWS),
        branches_taken=result.statistics.get("branches_taken", 0),
    )


@dataclass(frozen=True, kw_only=True)
class MeasuredCase:
    """One comparison with silicon as kept in the data file; ``error`` is relative.

    ``instructions`` is None where only a function inside a larger run was measured; ``recompiled``:
    the measured program was made from the same source by another compiler or with other options.
    """

    name: str
    code_class: str
    board: str
    calibration: bool
    measured_cycles: float
    modelled_cycles: float
    instructions: int | None
    source: str
    commit: str = ""
    recompiled: bool = False
    plus_minus_cycles: float = 0.0
    llvm_mca_cycles: float | None = None
    notes: str = ""

    @property
    def error(self) -> float:
        """(modelled - measured) / measured."""
        return self.modelled_cycles / self.measured_cycles - 1

    @property
    def instructions_error(self) -> float | None:
        """The same for one cycle per instruction; None if they were not counted."""
        if self.instructions is None:
            return None
        return self.instructions / self.measured_cycles - 1

    @property
    def llvm_mca_error(self) -> float | None:
        """The same for the estimate of llvm-mca; None without one."""
        if self.llvm_mca_cycles is None:
            return None
        return self.llvm_mca_cycles / self.measured_cycles - 1


@dataclass(frozen=True)
class Summary:
    """Errors of some cases: relative, so 0.01 is 1 %."""

    cases: int
    mape: float
    median: float
    worst: float
    low: float
    high: float


def summarize(errors: Iterable[float]) -> Summary | None:
    """Return mean and median of the absolute errors, and the extremes; None without any.

    ``worst`` is the error with the largest absolute value, with its sign.
    """
    values = list(errors)
    if not values:
        return None
    sizes = [abs(value) for value in values]
    return Summary(
        len(values), fmean(sizes), median(sizes), max(values, key=abs), min(values), max(values)
    )


@dataclass(frozen=True)
class Band:
    """The error band of one class of code; ``summary`` is None when nothing was measured."""

    code_class: str
    boards: tuple[str, ...]
    summary: Summary | None

    @property
    def text(self) -> str:
        """One sentence for people."""
        head = f"class {self.code_class}"
        if self.summary is None:
            return f"{head}: not known, no public measurement of such code was compared"
        s = self.summary
        cases = f"{s.cases} case" + ("s" if s.cases > 1 else "")
        return (
            f"{head}: {100 * s.low:+.1f} … {100 * s.high:+.1f} %, mean {100 * s.mape:.1f} % "
            f"({cases} on {', '.join(self.boards)})"
        )

    def document(self) -> dict[str, Any]:
        """Return the fields for a JSON document."""
        s = self.summary
        return {
            "class": self.code_class,
            "meaning": CODE_CLASSES[self.code_class],
            "cases": s.cases if s else 0,
            "boards": list(self.boards),
            "mape": s.mape if s else None,
            "low": s.low if s else None,
            "high": s.high if s else None,
        }


def band_of(code_class: str, cases: Sequence[MeasuredCase]) -> Band:
    """Return the band of a class from the cases that were published with enough digits."""
    ours = [
        case
        for case in cases
        if case.code_class == code_class
        and case.plus_minus_cycles <= MAX_ROUNDING * case.measured_cycles
    ]
    boards = tuple(sorted({case.board for case in ours}))
    return Band(code_class, boards, summarize(case.error for case in ours))


def applying(result: Result) -> Band:
    """Return the band that applies to a timed run or call."""
    return band_of(mix(result).code_class, measured_cases())


def applying_to_class(code_class: str) -> Band:
    """Return the band of a class of code.

    Raises
    ------
    InputError
        If there is no such class.
    """
    if code_class not in CODE_CLASSES:
        raise InputError(
            f"no class of code {code_class!r}", do=suggestion(code_class, CODE_CLASSES)
        )
    return band_of(code_class, measured_cases())


@cache
def measured_cases() -> tuple[MeasuredCase, ...]:
    """Return the cases that come with the package."""
    return load(MEASURED)


# The data file ---------------------------------------------------------------------------------

_FILE = {"schema": Key(int), "date": Key(str), "core": Key(str), "case": Key(list, required=False)}
_ROW = {
    "name": Key(str), "class": Key(str), "board": Key(str), "calibration": Key(bool),
    "measured_cycles": Key(object), "modelled_cycles": Key(object),
    "instructions": Key(int, required=False),
    "source": Key(str), "commit": Key(str, required=False),
    "recompiled": Key(bool, required=False),
    "plus_minus_cycles": Key(object, required=False),
    "llvm_mca_cycles": Key(object, required=False), "notes": Key(str, required=False),
}  # fmt: skip


def load(path: Path) -> tuple[MeasuredCase, ...]:
    """Read a data file of measured cases.

    Raises
    ------
    TableError
        If it breaks its schema.
    InputError
        If it cannot be read.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"not valid TOML: {error}", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    reader = Reader(str(path), {})
    table = reader.table(data, _FILE, "top level")
    if table["schema"] != SCHEMA:
        raise TableError(f"schema {table['schema']}, expected {SCHEMA}", where=str(path))
    rows = [
        reader.table(row, _ROW, f"[[case]] {i + 1}") for i, row in enumerate(table.get("case", ()))
    ]
    for row in rows:
        if row["class"] not in CODE_CLASSES:
            raise TableError(
                f"unknown class of code {row['class']!r}", where=f"{path}: {row['name']}",
                do=suggestion(row["class"], CODE_CLASSES),
            )  # fmt: skip
    return tuple(_case(row) for row in rows)


def _case(row: Mapping[str, Any]) -> MeasuredCase:
    fields = {"instructions": None, **row}
    return MeasuredCase(code_class=fields.pop("class"), **fields)


def dump(cases: Sequence[MeasuredCase], *, date: str, core: str) -> str:
    """Return the text of a data file that `load` reads."""
    lines = [
        "# What the model gave and what silicon took, case by case. Written by",
        "#   m7sim validate DIR --update-bands FILE",
        "# and not edited by hand. No third-party code: sources are named in `source`.",
        "",
        f"schema = {SCHEMA}",
        f"date = {_quoted(date)}",
        f"core = {_quoted(core)}",
    ]
    for case in cases:
        fields = {
            "name": case.name, "class": case.code_class, "board": case.board,
            "calibration": case.calibration, "recompiled": case.recompiled or None,
            "measured_cycles": case.measured_cycles,
            "plus_minus_cycles": case.plus_minus_cycles or None,
            "modelled_cycles": case.modelled_cycles, "instructions": case.instructions,
            "llvm_mca_cycles": case.llvm_mca_cycles, "source": case.source,
            "commit": case.commit or None, "notes": case.notes or None,
        }  # fmt: skip
        lines += ["", "[[case]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in fields.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.10g}"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
