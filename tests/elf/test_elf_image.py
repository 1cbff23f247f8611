"""Segments, symbols, functions, code ranges and contents against nm, readelf and objdump."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from m7sim.elf import Image
from m7sim.errors import ElfError

pytestmark = pytest.mark.toolchain

MACHINE = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")
Gnu = Callable[..., str]
Build = Callable[..., Path]


def test_segments_are_those_of_readelf(elf: Path, gnu: Gnu) -> None:
    image = Image.load(elf)
    rows = re.findall(
        r"LOAD\s+(0x\w+) (0x\w+) (0x\w+) (0x\w+) (0x\w+) (...)", gnu("readelf", "-lW", elf)
    )
    assert len(rows) == len(image.segments)
    contents = elf.read_bytes()
    for (offset, vma, lma, size, memory, flags), segment in zip(rows, image.segments, strict=True):
        start = int(offset, 16)
        assert segment.data == contents[start : start + int(size, 16)]
        assert (segment.vma, segment.lma) == (int(vma, 16), int(lma, 16))
        assert segment.memory_bytes == int(memory, 16)
        assert (segment.executable, segment.writable) == ("E" in flags, "W" in flags)


def test_image_says_what_the_file_is(elf: Path, gnu: Gnu) -> None:
    image = Image.load(elf)
    assert image.path == str(elf)
    assert image.sha256 == hashlib.sha256(elf.read_bytes()).hexdigest()
    assert f"0x{image.entry:x}" in gnu("readelf", "-h", elf)
    assert image.entry & 1


def test_symbols_are_those_of_nm(elf: Path, gnu: Gnu) -> None:
    image = Image.load(elf)
    listed = {
        (row[-1], int(row[0], 16))
        for row in (line.split() for line in gnu("nm", "-n", elf).splitlines())
        if row[1] not in "UN" and not row[-1].startswith("$")
    }
    assert {(s.name, s.address) for s in image.symbols} == listed
    assert not any(s.address & 1 for s in image.symbols if s.kind == "function")


def test_symbol_sizes_kinds_and_bindings_are_those_of_readelf(elf: Path, gnu: Gnu) -> None:
    image = Image.load(elf)
    kinds = {"FUNC": "function", "OBJECT": "object", "NOTYPE": "notype"}
    expected = set()
    for line in gnu("readelf", "-sW", elf).splitlines():
        row = line.split()
        if len(row) == 8 and row[3] in kinds and row[6] != "UND" and row[7][0] != "$":
            address = int(row[1], 16) & ~(row[3] == "FUNC")
            expected.add((row[7], address, int(row[2], 0), kinds[row[3]], row[4].lower()))
    found = {(s.name, s.address, s.size_bytes, s.kind, s.binding) for s in image.symbols}
    assert found == expected


def test_every_instruction_belongs_to_the_function_nm_says(
    elf: Path, gnu: Gnu, instruction_addresses: Callable[[Path], list[int]]
) -> None:
    image = Image.load(elf)
    sized = []
    for line in gnu("nm", "-nS", elf).splitlines():
        row = line.split()
        if len(row) == 4 and row[2] in "tTwW":
            sized.append((int(row[0], 16), int(row[0], 16) + int(row[1], 16), row[3]))
    checked = 0
    for address in instruction_addresses(elf):
        around = [(high - low, name) for low, high, name in sized if low <= address < high]
        if not around:
            continue
        smallest = min(around)[0]
        found = image.function_at(address)
        assert found is not None
        assert found.name in [name for size, name in around if size == smallest]
        checked += 1
    assert checked > 50


def test_functions_at_agrees_with_function_at(elf: Path) -> None:
    image = Image.load(elf)
    low, high = image.code_ranges()[0][0], image.code_ranges()[-1][1]
    addresses = np.arange(max(low - 8, 0), min(high + 8, low + 40_000), 2)
    for address, index in zip(addresses.tolist(), image.functions_at(addresses), strict=True):
        one = image.function_at(address)
        assert (None if index < 0 else image.functions[index]) == one


def test_bit_0_does_not_matter_for_function_at(placed: Path) -> None:
    image = Image.load(placed)
    main = image.symbol("main")
    assert image.function_at(main.address | 1) == image.function_at(main.address) == main


def test_code_ranges_hold_exactly_what_objdump_disassembles(
    elf: Path, instruction_addresses: Callable[[Path], list[int]], gnu: Gnu
) -> None:
    image = Image.load(elf)
    ranges = image.code_ranges()
    assert ranges == sorted(ranges)
    code = {a for low, high in ranges for a in range(low, high, 2)}
    assert set(instruction_addresses(elf)) <= code
    data = set()
    for line in gnu("objdump", "-d", elf).splitlines():
        if match := re.match(r"\s+([0-9a-f]+):\t[0-9a-f ]+\t\.(word|short)", line):
            data.add(int(match[1], 16))
    assert data
    assert not data & code


def test_aliases_are_ordered_global_local_weak(placed: Path) -> None:
    image = Image.load(placed)
    handler = image.symbol("NMI_Handler")
    found = image.function_at(handler.address)
    assert handler.binding == "weak"
    assert found is not None
    assert found.name == "Default_Handler"


def test_a_label_without_type_or_size_is_a_function_up_to_the_next(placed: Path) -> None:
    image = Image.load(placed)
    label = image.symbol("untyped")
    assert (label.kind, label.size_bytes) == ("function", 0)  # .thumb_func sets the type
    assert image.function_at(label.address + 2) == label


NESTED = """
__asm__(".section .text\\n.syntax unified\\n.thumb\\n"
        ".global around\\n.type around,%function\\naround: nop\\nnop\\n"
        ".global inside\\n.type inside,%function\\ninside: nop\\nnop\\n.size inside, 4\\n"
        "nop\\nbx lr\\n.size around, . - around\\n"
        ".global unsized\\n.type unsized,%function\\nunsized: nop\\nbx lr\\n"
        ".global label\\nlabel: nop\\nb .\\n"
        ".global last\\n.type last,%function\\nlast: b .\\n");
int main(void) { return 0; }
"""


def test_nested_and_unsized_functions(build: Build) -> None:
    image = Image.load(build(NESTED, *MACHINE, "-nostdlib", "-Wl,-e,main"))
    start = image.symbol("around").address
    names = [getattr(image.function_at(start + 2 * i), "name", None) for i in range(11)]
    assert names == ["around"] * 2 + ["inside"] * 2 + ["around"] * 2 + [
        "unsized", "unsized", "label", "label", "last",
    ]  # fmt: skip


def test_read_gives_contents_zeros_and_none(placed: Path, gnu: Gnu, tmp_path: Path) -> None:
    image = Image.load(placed)
    data = image.symbol("initialised")
    assert image.read(data.address, 12) == b"".join(v.to_bytes(4, "little") for v in (11, 22, 33))
    zeroed = image.symbol("zeroed")
    assert image.read(zeroed.address, zeroed.size_bytes) == bytes(20)
    assert image.read(data.address, 12 + 20) == image.read(data.address, 12) + bytes(20)
    assert image.read(zeroed.address + 12, 100) is None
    assert image.read(0x6000_0000, 1) is None
    binary = tmp_path / "text.bin"
    gnu("objcopy", "-O", "binary", "-j", ".text", placed, binary)
    text = next(s for s in image.sections if s.name == ".text")
    assert image.read(text.address, text.size_bytes) == binary.read_bytes()


def test_load_address_of_data_is_in_flash(placed: Path) -> None:
    image = Image.load(placed)
    data = next(s for s in image.segments if s.writable)
    assert data.vma == 0x2000_0000
    assert 0x0800_0000 < data.lma < 0x0801_0000
    assert data.memory_bytes > len(data.data)


def test_vector_table_by_section(placed: Path) -> None:
    assert Image.load(placed).vector_table == 0x0800_0000


VECTORS = """
extern void start(void);
__attribute__((section(".first"), used)) void *const %s[] = {(void *)0x20010000, (void *)start};
void start(void) { for (;;) {} }
"""


@pytest.mark.parametrize("name", ["__Vectors", "g_pfnVectors", "__isr_vector", "anything"])
def test_vector_table_by_symbol_or_by_looks(build: Build, name: str) -> None:
    source = VECTORS % name
    script = Path(__file__).parent / "programs" / "vectors.ld"
    flags = ("-nostdlib", "-Wl,-e,start", f"-T{script}", "-Wl,--no-warn-rwx-segments")
    image = Image.load(build(source, *MACHINE, *flags))
    assert image.has_vector_table
    assert image.vector_table == image.symbol(name).address


def test_no_vector_table(printing: Path) -> None:
    image = Image.load(printing)
    assert not image.has_vector_table
    assert image.vector_table is None


def test_unknown_symbol_names_the_nearest(placed: Path) -> None:
    with pytest.raises(ElfError, match=r"no symbol 'fastr'\. Did you mean .*faster") as caught:
        Image.load(placed).symbol("fastr")
    assert caught.value.exit_code == 2
    assert caught.value.where == str(placed)


def test_ambiguous_local_symbol_is_refused(build: Build) -> None:
    one = (
        "static __attribute__((noinline)) int twin(int a) { return a * %d + *(volatile int *)a; }\n"
    )
    other = "int call(int a) { return twin(a); }\n"
    image = Image.load(
        build(
            one % 3 + "extern int call(int); int main(void) { return twin(1) + call(4); }\n",
            one % 5 + other, *MACHINE, "-O1", "-fno-ipa-cp", "-nostdlib", "-Wl,-e,main",
        )
    )  # fmt: skip
    with pytest.raises(ElfError, match="2 local symbols are called 'twin'"):
        image.symbol("twin")


def test_stripped_program_is_usable(printing: Path, gnu: Gnu, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.elf"
    gnu("strip", "-s", "-o", stripped, printing)
    image = Image.load(stripped)
    assert image.symbols == image.functions == ()
    assert image.function_at(image.entry) is None
    assert image.functions_at(np.array([image.entry])).tolist() == [-1]
    assert image.line_at(image.entry) is None
    assert image.inline_chain(image.entry) == ()
    assert image.prototype(image.entry) is None
    assert image.code_ranges()
    with pytest.raises(ElfError, match="has no symbols; do not strip"):
        image.symbol("main")


@pytest.mark.parametrize(
    ("flags", "hard", "single"),
    [
        (("-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"), True, True),
        (("-mfloat-abi=hard", "-mfpu=fpv5-d16"), True, False),
        (("-mfloat-abi=softfp", "-mfpu=fpv5-sp-d16"), False, True),
        (("-mfloat-abi=soft",), False, False),
    ],
)
def test_attributes(
    build: Build, gnu: Gnu, flags: tuple[str, ...], hard: bool, single: bool
) -> None:
    source = "float f(float a) { return a * 2.5f; }\nint main(void) { return f(2) > 3; }\n"
    elf = build(source, "-mcpu=cortex-m7", "-mthumb", *flags, "-nostdlib", "-Wl,-e,main", "-lgcc")
    attributes = Image.load(elf).attributes
    assert attributes.hard_float == hard
    assert attributes.fp_single_only == single
    assert (attributes.architecture, attributes.profile) == ("v7E-M", "M")
    shown = gnu("readelf", "-A", elf)
    assert f'Tag_CPU_name: "{attributes.cpu_name}"' in shown
    assert ("Tag_FP_arch" in shown) == (attributes.fp_architecture not in ("", "none"))
    assert attributes.compiler in gnu("readelf", "-p", ".comment", elf)
    assert attributes.compiler.startswith("GCC")


def test_loading_a_newlib_program_is_fast_and_leaves_debug_information_alone(
    printing: Path,
) -> None:
    start = time.process_time()
    image = Image.load(printing)
    assert image.function_at(image.symbol("printf").address) is not None
    assert image.code_ranges()
    assert time.process_time() - start < 0.5
    assert "debug" not in image._elf.__dict__
