"""Code that nobody here wrote is modelled to the last instruction: newlib and libgcc."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from functools import cache

import pytest

from m7sim.core import Core
from m7sim.core.coverage import coverage
from m7sim.errors import UnmodelledError

MACHINE = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard")
LINE = re.compile(r" *([0-9a-f]+):\t([0-9a-f ]+?) *\t(\S+)")


@cache
def code_ranges(library: str, fpu: str) -> list[tuple[bytes, int]]:
    """Code of an archive, told from data by objdump (which goes by the mapping symbols)."""
    query = ["arm-none-eabi-gcc", *MACHINE, f"-mfpu={fpu}", f"-print-file-name={library}"]
    path = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    variant = "v7e-m+dp" if fpu == "fpv5-d16" else "v7e-m+fp"
    assert f"thumb/{variant}/hard" in path
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-d", "-z", path], capture_output=True, text=True, check=True
    ).stdout
    ranges: list[tuple[bytearray, int]] = []
    end = None
    for line in listing.splitlines():
        match = LINE.match(line)
        if match is None or match[3].startswith("."):
            end = end if not line or line.endswith(">:") else None
            continue
        address = int(match[1], 16)
        if address != end:
            ranges.append((bytearray(), address))
        for half in match[2].split():
            ranges[-1][0].extend(bytes.fromhex(half)[::-1])
        end = ranges[-1][1] + len(ranges[-1][0])
    return [(bytes(data), address) for data, address in ranges]


@pytest.mark.toolchain
@pytest.mark.parametrize("fpu", ["fpv5-sp-d16", "fpv5-d16"])
@pytest.mark.parametrize("library", ["libc.a", "libm.a", "libgcc.a"])
def test_no_instruction_is_unmodelled(library: str, fpu: str) -> None:
    found = coverage(Core.load(), code_ranges(library, fpu))
    found.require()
    assert found.unmodelled == ()
    assert found.instructions > 10_000
    if fpu == "fpv5-d16" and library == "libm.a":
        assert found.by_class["fp_fma_d"] > 100


def lacking(klass: str) -> Core:
    core = Core.load()
    rows = {name: row for name, row in core.tables.classes.items() if name != klass}
    return replace(core, tables=replace(core.tables, classes=rows))


@pytest.mark.toolchain
def test_a_removed_row_fails_loudly() -> None:
    found = coverage(lacking("clz"), code_ranges("libgcc.a", "fpv5-sp-d16"))
    assert {item.text.split()[0].partition(".")[0][:3] for item in found.unmodelled} == {"clz"}
    with pytest.raises(UnmodelledError) as caught:
        found.require()
    assert f"{len(found.unmodelled)} of {found.instructions} instructions" in str(caught.value)
    assert "class clz has no row in cortex-m7" in str(caught.value)
    assert "first at 0x" in str(caught.value)


def test_bytes_that_do_not_decode_are_unmodelled() -> None:
    found = coverage(Core.load(), [(bytes.fromhex("00bf ffff 00bf"), 0x100)])
    assert found.instructions == 3
    assert [(item.address, item.why) for item in found.unmodelled] == [(0x102, "not decoded")]
    with pytest.raises(UnmodelledError, match=r"ff ff \(not decoded\): 1"):
        found.require()
