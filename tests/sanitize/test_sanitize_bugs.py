"""Seeded kernel bugs: each is told once, with the right kind, at the right line; fixed, nothing.

The sources in ``bugs`` say themselves what is expected: ``/* BUG: kind */`` stands on the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m7sim import toolchain
from m7sim.errors import M7Error
from m7sim.sanitize import Finding, Rules
from m7sim.session import Firmware, load

pytestmark = pytest.mark.toolchain

FOLDER = Path(__file__).parent / "bugs"
SOURCES = sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.S")])
LEVELS = ("-O1", "-O2", "-Os")
FLAGS = ("-g3", "-ffunction-sections", "-fdata-sections")
BUG = re.compile(r"/\* BUG: (\w+) \*/")


@dataclass(frozen=True)
class Case:
    """How the function is called in which a bug is."""

    arguments: Callable[[], tuple[Any, ...]]
    rules: Rules = field(default_factory=Rules)
    faults: bool = False  # the machine does not survive it


def bytes_of(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int8)


def words_of(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int32)


CASES = {
    "adds_to_output": Case(
        lambda: (bytes_of(5), np.zeros(5, np.int32), 5), Rules(outputs=("out",))
    ),
    "clobbered_r7": Case(lambda: (words_of(5), 5)),
    "clobbered_s16": Case(lambda: (np.ones(3, np.float32), 3)),
    "code_in_ram": Case(lambda: (7,)),
    "const_write": Case(lambda: (bytes_of(6), 6)),
    "corrupted_return": Case(lambda: (6,), faults=True),
    "dangling_stack": Case(lambda: (3,)),
    "global_overrun": Case(lambda: (9,)),
    "jump_into_table": Case(lambda: (3,)),
    "misaligned_stack": Case(lambda: (3,)),
    "off_by_one_read": Case(lambda: (bytes_of(9), 9)),
    "runs_over_end": Case(lambda: (3,)),
    "simd_over_read": Case(lambda: (bytes_of(11), 11)),
    "stack_overflow": Case(lambda: (20_000,), faults=True),
    "table_in_flash": Case(lambda: (3,), faults=True),
    "unaligned_ldrd": Case(lambda: (bytes_of(16).view(np.uint8), 3)),
    "unaligned_vldr": Case(lambda: (bytes_of(8).view(np.uint8),)),
    "unbalanced_stack": Case(lambda: (3, 4)),
    "uninitialised_accumulator": Case(lambda: (bytes_of(8), 8)),
    "wild_call": Case(lambda: (3,)),
    "write_past_end": Case(lambda: (words_of(3).view(np.int16), np.zeros(6, np.int16), 6)),
}


def firmware(*flags: str) -> Firmware:
    elf = toolchain.build(
        SOURCES,
        linker_script=toolchain.firmware_dir() / "board" / "stm32f746.ld",
        flags=(*FLAGS, *flags),
        keep=sorted(CASES),
    )
    return load(elf, board="stm32f746", time=False)


@pytest.fixture(scope="module", params=LEVELS)
def broken(request: pytest.FixtureRequest) -> Firmware:
    """All functions, with their bugs."""
    return firmware(request.param)


@pytest.fixture(scope="module", params=LEVELS)
def fixed(request: pytest.FixtureRequest) -> Firmware:
    """The same, put right."""
    return firmware(request.param, "-DFIXED")


def seeded(name: str) -> tuple[str, int, str]:
    """Return file, line and kind of the bug that a source says it has."""
    (path,) = (source for source in SOURCES if source.stem == name)
    (found,) = (
        (path.name, number, match[1])
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := BUG.search(line))
    )
    return found


def findings(firmware: Firmware, name: str) -> tuple[tuple[Finding, ...], bool]:
    """Call a function; return what was found, and whether it came back."""
    case = CASES[name]
    firmware.reset()
    try:
        return firmware.call(name, *case.arguments(), sanitize=case.rules).findings, True
    except M7Error as error:
        return error.findings, False


def test_every_source_is_called() -> None:
    assert sorted(CASES) == [source.stem for source in sorted(SOURCES, key=lambda s: s.stem)]
    assert len(CASES) >= 12


@pytest.mark.parametrize("name", sorted(CASES))
def test_bug_is_found_at_its_line(broken: Firmware, name: str) -> None:
    found, returned = findings(broken, name)
    assert [(Path(each.file).name, each.line, each.kind) for each in found] == [seeded(name)]
    assert returned != CASES[name].faults


def test_the_neighbour_of_the_overrun_table_is_a_variable(broken: Firmware) -> None:
    table = broken.image.symbol("global_overrun_table")
    neighbour = broken.image.symbol("global_overrun_neighbour")
    assert (table.address + table.size_bytes, neighbour.kind) == (neighbour.address, "object")


@pytest.mark.parametrize("name", sorted(CASES))
def test_without_the_bug_nothing_is_found(fixed: Firmware, name: str) -> None:
    assert findings(fixed, name) == ((), True)
