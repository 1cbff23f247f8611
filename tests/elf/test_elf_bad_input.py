"""Every unusable file is one ElfError that says what, where and what to do."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from m7sim.elf import Image
from m7sim.errors import ElfError

Build = Callable[..., Path]
Gnu = Callable[..., str]

MAIN = "int main(void) { return 5; }\n"
MACHINE = ("-mcpu=cortex-m7", "-mthumb", "-nostdlib", "-Wl,-e,main")


def refused(path: Path | str, match: str) -> ElfError:
    with pytest.raises(ElfError, match=match) as caught:
        Image.load(path)
    error = caught.value
    assert error.exit_code == 2
    assert error.where == str(path)
    assert error.do
    assert "\n" not in str(error)
    return error


def header(
    *, bits: int = 1, order: int = 1, kind: int = 2, machine: int = 40, programs: int = 0
) -> bytes:
    """Return the 52-byte header of a 32-bit ELF."""
    magic = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    return magic + struct.pack(
        "<HHIIIIIHHHHHH", kind, machine, 1, 0x8001, 52, 0, 0, 52, 32, programs, 40, 0, 0
    )


def load_segment(*, offset: int = 84, size: int = 4, memory: int = 4, flags: int = 5) -> bytes:
    return struct.pack("<8I", 1, offset, 0x8000, 0x8000, size, memory, flags, 4)


def written(tmp_path: Path, contents: bytes) -> Path:
    path = tmp_path / "bad.elf"
    path.write_bytes(contents)
    return path


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.elf", "no such file")


def test_directory(tmp_path: Path) -> None:
    refused(tmp_path, "cannot be read: Is a directory")


def test_empty_file(tmp_path: Path) -> None:
    refused(written(tmp_path, b""), "the file is empty")


def test_text_file(tmp_path: Path) -> None:
    refused(written(tmp_path, b":10000000000001\n" * 20), "not an ELF file")


@pytest.mark.parametrize("size", [1, 3, 4, 5, 17, 51])
def test_truncated_header(tmp_path: Path, size: int) -> None:
    refused(written(tmp_path, header()[:size]), "truncated: the ELF header has 52 bytes")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"bits": 2}, "a 64-bit ELF"),
        ({"order": 2}, "a big-endian ELF"),
        ({"bits": 7}, "class or byte order unknown"),
        ({"machine": 62}, "not Arm code .ELF machine 62"),
        ({"kind": 1}, "a relocatable object, not a program"),
        ({"kind": 3}, "a position-independent or shared object"),
        ({"kind": 4}, "a core dump"),
        ({"kind": 99}, "not an executable .ELF type 99"),
        ({}, "nothing to load"),
        ({"programs": 1}, "truncated: the program header table should end at byte 84"),
    ],
)
def test_wrong_header(tmp_path: Path, change: dict[str, int], match: str) -> None:
    refused(written(tmp_path, header(**change)), match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"size": 400, "memory": 400}, "truncated: the segment at 0x00008000 should end at"),
        ({"offset": 0xFFFF_FFF0}, "truncated: the segment at 0x00008000"),
        ({"memory": 2}, "damaged: the segment at 0x00008000"),
        ({"memory": 0xFFFF_FFF0}, "damaged: the segment at 0x00008000"),
        ({"flags": 4}, "no executable segment"),
        ({"size": 0}, "nothing to load"),
    ],
)
def test_wrong_segment(tmp_path: Path, change: dict[str, int], match: str) -> None:
    contents = header(programs=1) + load_segment(**change) + b"\xfe\xe7\xfe\xe7"
    refused(written(tmp_path, contents), match)


def test_smallest_good_file(tmp_path: Path) -> None:
    path = written(tmp_path, header(programs=1) + load_segment() + b"\xfe\xe7\xfe\xe7")
    image = Image.load(path)
    assert image.read(0x8000, 4) == b"\xfe\xe7\xfe\xe7"
    assert image.code_ranges() == [(0x8000, 0x8004)]
    assert image.attributes.compiler == ""


@pytest.mark.toolchain
def test_relocatable_object(tmp_path: Path, gnu: Gnu) -> None:
    source = tmp_path / "one.c"
    source.write_text(MAIN)
    gnu("gcc", "-mcpu=cortex-m7", "-mthumb", "-c", source, "-o", tmp_path / "one.o")
    assert "Link it first" in str(refused(tmp_path / "one.o", "a relocatable object"))


@pytest.mark.toolchain
def test_big_endian_program(build: Build) -> None:
    refused(build(MAIN, *MACHINE, "-mbig-endian"), "a big-endian ELF")


@pytest.mark.toolchain
def test_program_of_the_host(tmp_path: Path) -> None:
    host = Path("/bin/ls").resolve()
    if host.read_bytes()[:5] != b"\x7fELF\x02":
        pytest.skip("the host's programs are not 64-bit ELF files")
    refused(host, "a 64-bit ELF; Cortex-M7 is a 32-bit core")


@pytest.mark.toolchain
def test_arm_mode_program(build: Build) -> None:
    elf = build(MAIN, "-mcpu=cortex-a8", "-marm", "-nostdlib", "-Wl,-e,main")
    error = refused(elf, r"Arm-mode code at 0x0000\w{4} \(main\); Cortex-M7 executes Thumb only")
    assert "-mthumb" in error.do


@pytest.mark.toolchain
def test_stripped_arm_mode_program(build: Build, gnu: Gnu, tmp_path: Path) -> None:
    elf = build(MAIN, "-mcpu=cortex-a8", "-marm", "-nostdlib", "-Wl,-e,main")
    gnu("strip", "-s", "-o", tmp_path / "arm.elf", elf)
    refused(tmp_path / "arm.elf", "the entry 0x0000.... is Arm-mode code and no Thumb code")


@pytest.mark.toolchain
def test_thumb_program_with_one_arm_function(build: Build) -> None:
    mixed = MAIN + '__attribute__((target("arm"))) int armed(int a) { return a + 1; }\n'
    elf = build(mixed, "-mcpu=cortex-a8", "-mthumb", "-nostdlib", "-Wl,-e,main")
    refused(elf, r"Arm-mode code at 0x0000\w{4} \(armed\)")


@pytest.mark.toolchain
def test_entry_without_thumb_bit_is_fine_in_a_thumb_program(build: Build) -> None:
    image = Image.load(build(MAIN, *MACHINE[:-1], "-Wl,-e,0x8000"))
    assert image.entry == 0x8000


@pytest.mark.toolchain
def test_truncated_section_is_named(build: Build, tmp_path: Path) -> None:
    contents = bytearray(build(MAIN, *MACHINE, "-g").read_bytes())
    table = struct.unpack_from("<I", contents, 32)[0]
    count = struct.unpack_from("<H", contents, 48)[0]
    size_at = table + (count - 1) * 40 + 20  # size of the last section, .shstrtab
    struct.pack_into("<I", contents, size_at, len(contents))
    refused(written(tmp_path, bytes(contents)), "truncated: the section .shstrtab should end")


def explore(image: Image) -> None:
    """Ask for everything an image can give; each question may be refused."""
    addresses = [a for low, high in image.code_ranges() for a in range(low, high, 64)][:60]
    for address in [*addresses, 0, image.entry]:
        image.function_at(address)
        for question in (image.line_at, image.inline_chain):
            with suppress(ElfError):
                question(address)
    for function in image.functions[:30]:
        with suppress(ElfError):
            found = image.prototype(function.address)
            for parameter in found.parameters if found else ():
                _ = parameter.type.target and parameter.type.target.kind
    image.read(image.entry & ~1, 16)
    _ = image.attributes, image.vector_table
    with suppress(ElfError):
        _ = image.struct("node_t").fields


def outcome(path: Path) -> str:
    try:
        image = Image.load(path)
    except ElfError as error:
        return str(error)
    explore(image)
    return "fine"


@pytest.fixture(scope="module")
def victim(build: Build) -> bytes:
    flags = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", "-g", "-O1")
    elf = build("types.c", *flags, "-nostartfiles", "--specs=nosys.specs", "-Wl,-e,main", "-w")
    assert outcome(elf) == "fine"
    return elf.read_bytes()


@pytest.mark.toolchain
def test_truncated_anywhere_is_refused(victim: bytes, tmp_path: Path) -> None:
    generator = random.Random(1)
    sizes = {*range(0, 64, 4), *range(len(victim) - 32, len(victim))}
    sizes |= {generator.randrange(len(victim)) for _ in range(160)}
    for size in sorted(sizes):
        assert outcome(written(tmp_path, victim[:size])) != "fine", size


@pytest.mark.toolchain
@pytest.mark.parametrize("where", ["headers", "sections", "anywhere"])
def test_damaged_bytes_never_give_another_error(victim: bytes, tmp_path: Path, where: str) -> None:
    generator = random.Random(where)
    table = struct.unpack_from("<I", victim, 32)[0]
    places = {
        "headers": range(52 + 3 * 32),
        "sections": range(table, len(victim)),
        "anywhere": range(len(victim)),
    }[where]
    seen = set()
    for _ in range(60):
        damaged = bytearray(victim)
        for _ in range(generator.choice((1, 2, 8))):
            damaged[generator.choice(places)] = generator.randrange(256)
        seen.add(outcome(written(tmp_path, bytes(damaged))))
    assert len(seen) > 1


@pytest.mark.toolchain
@pytest.mark.parametrize("name", [".debug_info", ".debug_abbrev", ".debug_line", ".debug_str",
                                  ".ARM.attributes", ".symtab", ".strtab"])  # fmt: skip
def test_damaged_sections_never_give_another_error(
    build: Build, victim: bytes, tmp_path: Path, name: str
) -> None:
    section = next(s for s in Image.load(written(tmp_path, victim)).sections if s.name == name)
    generator = random.Random(name)
    for _ in range(25):
        damaged = bytearray(victim)
        for _ in range(generator.choice((1, 4, 40))):
            place = section.offset + generator.randrange(section.size_bytes)
            damaged[place] = generator.randrange(256)
        outcome(written(tmp_path, bytes(damaged)))


@pytest.mark.toolchain
def test_symbols_outside_of_their_section_claim_no_code(victim: bytes, tmp_path: Path) -> None:
    damaged = bytearray(victim)
    before = Image.load(written(tmp_path, victim))
    table = next(s for s in before.sections if s.name == ".symtab")
    for row in range(table.offset, table.offset + table.size_bytes, 16):
        damaged[row + 7] |= 0x60  # values
        damaged[row + 11] |= 0x60  # sizes
    image = Image.load(written(tmp_path, bytes(damaged)))
    inside = [(s.address, s.end) for s in image.sections if s.executable]
    for low, high in image.code_ranges():
        assert any(a <= low < high <= b for a, b in inside)
    assert image.functions == ()
