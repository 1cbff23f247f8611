"""Lines and inlined calls against addr2line, on every instruction."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from m7sim.elf import Image, Line

pytestmark = pytest.mark.toolchain

PROGRAMS = Path(__file__).parent / "programs"
Gnu = Callable[..., str]
Build = Callable[..., Path]
Addresses = Callable[[Path], list[int]]
Frame = tuple[str, str, int]  # function, file, line

_NOTHING = ("", 0)


def addr2line(gnu: Gnu, path: Path, addresses: list[int]) -> dict[int, list[Frame]]:
    """Return frames by address, innermost first; file "" and line 0 stand for unknown."""
    text = gnu("addr2line", "-afi", "-e", path, stdin="\n".join(map(hex, addresses)))
    frames: dict[int, list[Frame]] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("0x"):
            current = frames[int(line, 16)] = []
            continue
        file, _, number = next(lines).split(" (disc")[0].rpartition(":")
        known = file != "??" and number.isdigit() and number != "0"
        where = (os.path.normpath(file), int(number)) if known else _NOTHING
        current.append((line, *where))
    return frames


def ours(image: Image, address: int) -> list[Frame]:
    chain = image.inline_chain(address)
    function = image.function_at(address)
    line = image.line_at(address)
    names = [call.function for call in chain] + [function.name if function else "??"]
    places = [(line.file, line.line) if line else _NOTHING]
    places += [(call.file, call.line) for call in chain]
    return [(name, *place) for name, place in zip(names, places, strict=True)]


def decoded_lines(gnu: Gnu, path: Path) -> dict[int, int]:
    """Return the last line number that objdump's dump of the table gives for an address."""
    found = {}
    for line in gnu("objdump", "--dwarf=decodedline", path).splitlines():
        if match := re.match(r"\S+\s+(\d+)\s+(0x[0-9a-f]+)", line):
            found[int(match[2], 16)] = int(match[1])
    return found


def test_lines_and_inlined_calls_are_those_of_addr2line(
    printing: Path, gnu: Gnu, instruction_addresses: Addresses
) -> None:
    compare_with_addr2line(printing, gnu, instruction_addresses)


@pytest.mark.parametrize("flag", ["-flto", "-gz", "-ffunction-sections"])
def test_other_ways_to_build_agree_with_addr2line(
    build: Build, gnu: Gnu, instruction_addresses: Addresses, flag: str
) -> None:
    flags = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", "-g3", "-O3")
    elf = build("inlines.c", *flags, "--specs=rdimon.specs", "-Wl,--gc-sections", flag)
    compare_with_addr2line(elf, gnu, instruction_addresses)


def compare_with_addr2line(elf: Path, gnu: Gnu, instruction_addresses: Addresses) -> None:
    image = Image.load(elf)
    addresses = instruction_addresses(elf)
    expected = addr2line(gnu, elf, addresses)
    dump = decoded_lines(gnu, elf)
    overruled = 0
    for address in addresses:
        mine, theirs = ours(image, address), expected[address]
        if theirs[0][2] == 0 and mine[0][2]:
            # addr2line 2.40 loses lines right behind a unit in assembly; the dump has them
            overruled += 1
            assert address not in dump or dump[address] == mine[0][2]
            continue
        assert [frame[1:] for frame in mine] == [frame[1:] for frame in theirs], hex(address)
        assert [f[0] for f in mine[:-1]] == [f[0] for f in theirs[:-1]], hex(address)
    assert overruled < 20
    deepest = max(len(image.inline_chain(address)) for address in addresses)
    assert deepest >= 2


def test_code_at_0_is_told_from_discarded_functions(
    build: Build, variant: tuple[str, str], placed: Path, gnu: Gnu, tmp_path: Path
) -> None:
    """Link ITCM elsewhere, where nothing discarded is: lines and chains must be the same."""
    moved_to = 0x1000_0000
    script = tmp_path / "moved.ld"
    text = (PROGRAMS / "layout.ld").read_text()
    script.write_text(text.replace("ORIGIN = 0x00000000", f"ORIGIN = {moved_to:#x}"))
    flags = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", "-nostdlib",
             "-ffunction-sections", "-Wl,--gc-sections", "-Wl,-u,kept", *variant)  # fmt: skip
    other = build("startup.S", "itcm.c", "other.c", *flags, f"-T{script}")
    here, there = Image.load(placed), Image.load(other)
    low, high = next((s.address, s.end) for s in here.sections if s.name == ".itcm")
    assert low == 0
    addresses = range(low, high, 2)
    expected = addr2line(gnu, other, [a + moved_to for a in addresses])
    for address in addresses:
        mine = ours(here, address)
        assert mine == ours(there, address + moved_to)
        function = here.function_at(address)
        if function is not None and address < function.address + function.size_bytes - 8:
            assert mine == expected[address + moved_to]
    assert any(here.inline_chain(address) for address in addresses)


def test_lines_in_flash_are_those_of_addr2line(
    placed: Path, gnu: Gnu, instruction_addresses: Addresses
) -> None:
    image = Image.load(placed)
    addresses = [a for a in instruction_addresses(placed) if a >= 0x0800_0000]
    expected = addr2line(gnu, placed, addresses)
    for address in addresses:
        assert [f[1:] for f in ours(image, address)] == [f[1:] for f in expected[address]]
    assert any(str(image.line_at(a)).endswith("startup.S:19") for a in addresses)


def test_line_table_gives_the_same_as_line_at(printing: Path) -> None:
    image = Image.load(printing)
    table = image.line_table
    assert table is not None
    low, high = image.code_ranges()[0][0], image.code_ranges()[-1][1]
    addresses = np.arange(low - 4, high + 4, 2)
    files, lines = table.indices(addresses)
    assert files.dtype == lines.dtype == np.int32
    for address, file, line in zip(addresses.tolist(), files, lines, strict=True):
        expected = None if file < 0 else Line(table.files[file], int(line))
        assert image.line_at(address) == expected
    assert (lines[files < 0] == 0).all()


def test_source_text(placed: Path) -> None:
    image = Image.load(placed)
    line = image.line_at(image.symbol("main").address)
    assert line is not None
    assert line.file == str(PROGRAMS / "itcm.c")
    expected = (PROGRAMS / "itcm.c").read_text().splitlines()
    assert image.source_text(line.file, line.line) == expected[line.line - 1]
    assert image.source_text(line.file, 0) is None
    assert image.source_text(line.file, 100_000) is None
    assert image.source_text("/no/such/file.c", 1) is None


def test_relative_paths_become_absolute(build: Build, gnu: Gnu, tmp_path: Path) -> None:
    source = tmp_path / "inner" / "one.c"
    source.parent.mkdir()
    source.write_text("int main(void) { return 5; }\n")
    relative = os.path.relpath(source)
    for version in ("4", "5"):
        elf = build(relative, "-mcpu=cortex-m7", "-mthumb", f"-gdwarf-{version}", "-nostdlib",
                    "-Wl,-e,main")  # fmt: skip
        image = Image.load(elf)
        line = image.line_at(image.symbol("main").address)
        assert line is not None
        assert line.file == str(source)


def test_without_debug_information(build: Build) -> None:
    elf = build("int main(void) { return 5; }\n", "-mcpu=cortex-m7", "-mthumb", "-nostdlib",
                "-Wl,-e,main")  # fmt: skip
    image = Image.load(elf)
    assert not image.has_debug
    assert image.line_at(image.entry) is None
    assert image.line_table is None
    assert image.inline_chain(image.entry) == ()
    assert image.prototype("main") is None
