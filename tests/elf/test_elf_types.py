"""Prototypes and structs; sizes and offsets against what the compiler put into the image."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim.elf import CType, Image, Prototype
from m7sim.errors import ElfError

pytestmark = pytest.mark.toolchain


@pytest.fixture
def image(build: Callable[..., Path], variant: tuple[str, str]) -> Image:
    flags = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")
    libraries = ("-nostartfiles", "--specs=nosys.specs", "-Wl,-e,main", "-w")
    return Image.load(build("types.c", *flags, *variant, *libraries))


def prototype(image: Image, name: str) -> Prototype:
    found = image.prototype(name)
    assert found is not None
    assert found.name == name
    return found


def short(kind: CType) -> tuple[str, int, bool]:
    return kind.kind, kind.size_bytes, kind.signed


def test_void_and_no_parameters(image: Image) -> None:
    found = prototype(image, "nothing")
    assert found.result is None
    assert found.parameters == ()
    assert not found.variadic
    assert str(found) == "void nothing(void)"


def test_integers(image: Image) -> None:
    found = prototype(image, "scalars")
    assert found.result is not None
    assert short(found.result) == ("int", 4, True)
    assert found.result.name == "int32_t"
    assert [short(p.type) for p in found.parameters] == [
        ("int", 1, True), ("int", 1, False), ("int", 2, True), ("int", 2, False),
        ("int", 4, True), ("int", 4, False),
    ]  # fmt: skip
    assert [p.name for p in found.parameters] == list("abcdef")
    assert [p.type.name for p in found.parameters[:2]] == ["int8_t", "uint8_t"]


def test_floats_and_wide_integers(image: Image) -> None:
    found = prototype(image, "floats")
    assert found.result is not None
    assert short(found.result) == ("float", 8, True)
    assert [p.type.size_bytes for p in found.parameters] == [4, 8]
    found = prototype(image, "wide")
    assert found.result is not None
    assert short(found.result) == ("int", 8, True)
    assert [short(p.type) for p in found.parameters][1:] == [("int", 8, True), ("int", 8, False)]


def test_bool_and_char(image: Image) -> None:
    found = prototype(image, "truth")
    assert found.result is not None
    assert found.result.kind == "bool"
    assert [short(p.type) for p in found.parameters] == [
        ("bool", 1, False), ("int", 1, False), ("int", 1, True),
    ]  # fmt: skip


def test_pointers(image: Image) -> None:
    found = prototype(image, "pointers")
    kinds = [p.type for p in found.parameters]
    assert {(k.kind, k.size_bytes) for k in kinds} == {("pointer", 4)}
    weights, integers, anything, constant, strings = kinds
    assert weights.name == "weights_t"
    assert weights.target is not None
    assert weights.target.const
    assert short(weights.target) == ("int", 1, True)
    assert integers.target is not None
    assert not integers.target.const
    assert integers.name == "volatile int *"
    assert anything.target is None
    assert constant.name == "const void *"
    assert strings.target is not None
    assert strings.target.target is not None
    assert strings.target.target.name == "char"
    assert found.result is not None
    assert found.result.name == "const char *"


def test_pointer_to_const_void_is_known_to_be_const(image: Image) -> None:
    assert prototype(image, "pointers").parameters[3].type.target_const
    assert not prototype(image, "pointers").parameters[2].type.target_const
    assert prototype(image, "pointers").parameters[0].type.target_const


def test_array_parameters_are_pointers(image: Image) -> None:
    first, out, grid = (p.type for p in prototype(image, "arrays").parameters)
    assert first.kind == out.kind == grid.kind == "pointer"
    assert first.target is not None
    assert first.target.const
    assert grid.target is not None
    assert (grid.target.kind, grid.target.count, grid.target.size_bytes) == ("array", 3, 6)


def test_structs_by_value(image: Image) -> None:
    found = prototype(image, "by_value")
    node, inner, either = (p.type for p in found.parameters)
    assert (node.kind, inner.kind, either.kind) == ("struct", "struct", "union")
    assert found.result is not None
    assert found.result.name == "node_t"
    assert found.result.fields == node.fields


def test_struct_layout_is_the_compilers(image: Image) -> None:
    symbol = image.symbol("layout")
    data = image.read(symbol.address, symbol.size_bytes)
    assert data is not None
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    node = image.struct("node_t")
    names = ("next", "inner", "grid", "color", "word", "bytes", "point", "callback", "flag",
             "wide")  # fmt: skip
    inner = image.struct("struct inner")
    signs = prototype(image, "enums").parameters[1].type
    assert [node.size_bytes, *(node.field(name).offset for name in names)] == words[:11]
    assert [inner.size_bytes, inner.field("value").offset] == words[11:13]
    assert [image.struct("either").size_bytes, node.field("color").type.size_bytes] == words[13:15]
    assert [signs.size_bytes] == words[15:16]
    assert [f.name for f in node.fields] == list(names)


def test_struct_fields(image: Image) -> None:
    node = image.struct("node")
    assert node == image.struct("struct node")
    grid = node.field("grid").type
    assert (grid.kind, grid.count, grid.size_bytes, grid.name) == ("array", 2, 12, "int16_t[2][3]")
    assert grid.target is not None
    assert (grid.target.count, grid.target.size_bytes) == (3, 6)
    following = node.field("next").type
    assert following.target is not None
    assert following.target.fields == node.fields
    assert [f.name for f in node.field("point").type.fields] == ["x", "y"]
    assert node.field("callback").type.name == "void (*)(int, const char *)"
    callback = node.field("callback").type.target
    assert callback is not None
    assert callback.kind == "function"
    assert node.field("word").offset == node.field("bytes").offset
    with pytest.raises(ElfError, match=r"no field 'nxt'\. Its fields: next, inner"):
        node.field("nxt")


def test_enums(image: Image) -> None:
    color, sign = (p.type for p in prototype(image, "enums").parameters)
    assert color.enumerators == (("RED", 0), ("GREEN", 5), ("BLUE", 6))
    assert color.name == "enum color"
    assert not color.signed
    assert sign.enumerators == (("MINUS", -2), ("PLUS", 2))
    assert sign.signed
    assert sign.name == "sign_t"


def test_function_pointers_and_variadic(image: Image) -> None:
    compare, done = (p.type for p in prototype(image, "callbacks").parameters)
    assert compare.name == "int (*)(const void *, const void *)"
    assert done.name == "void (*)(void)"
    assert prototype(image, "variadic").variadic
    assert str(prototype(image, "variadic")) == "int variadic(const char *format, ...)"
    assert not prototype(image, "unprototyped").variadic


def test_qualified_parameters(image: Image) -> None:
    first, second = (p.type for p in prototype(image, "qualified").parameters)
    assert short(first) == ("int", 4, True)
    assert first.const
    assert second.kind == "pointer"
    assert second.const
    assert second.target is not None
    assert not second.target.const


def test_out_of_line_copy_of_an_inlined_function(image: Image) -> None:
    found = image.prototype("both")
    assert found is not None
    assert str(found) == "int both(int first, float second)"


def test_prototype_by_address_and_symbol(image: Image) -> None:
    symbol = image.symbol("floats")
    assert image.prototype(symbol) == image.prototype("floats")
    assert image.prototype(symbol.address | 1) == image.prototype("floats")
    assert image.prototype(symbol.address + 2) is None


@pytest.mark.parametrize("kind", ["weak", "alias"])
def test_prototype_through_an_alias(build: Callable[..., Path], kind: str) -> None:
    attribute = 'weak, alias("first")' if kind == "weak" else 'alias("first")'
    source = (
        "int first(int a, float b) { return a + (int)b; }\n"
        f"int second(int a, float b) __attribute__(({attribute}));\n"
        "int main(void) { return second(1, 2); }\n"
    )
    flags = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", "-g", "-O1")
    image = Image.load(build(source, *flags, "-nostdlib", "-Wl,-e,main"))
    assert str(image.prototype("second")) == "int second(int a, float b)"


def test_clones_have_no_prototype(build: Callable[..., Path]) -> None:
    source = """
__attribute__((noinline)) static int work(int a, int b) { return a * b + *(volatile int *)a; }
int main(void) { return work(*(volatile int *)8, 77); }
"""
    image = Image.load(build(source, "-mcpu=cortex-m7", "-mthumb", "-g", "-O2", "-nostdlib",
                             "-Wl,-e,main"))  # fmt: skip
    clone = next(s for s in image.symbols if s.name.startswith("work."))
    assert image.prototype(clone) is None
    assert image.prototype("main") is not None


def test_bit_fields_are_refused_when_looked_into(image: Image) -> None:
    found = prototype(image, "with_bits")
    assert found.parameters[0].type.name == "struct bits *"
    with pytest.raises(ElfError, match="struct bits has a bit-field 'a'") as caught:
        image.struct("bits")
    assert caught.value.exit_code == 2
    target = found.parameters[0].type.target
    assert target is not None
    with pytest.raises(ElfError, match="bit-field"):
        _ = target.fields


def test_incomplete_struct_is_a_pointer_to_something(image: Image) -> None:
    target = prototype(image, "with_opaque").parameters[0].type.target
    assert target is not None
    assert (target.kind, target.size_bytes, target.fields) == ("struct", 0, ())
    with pytest.raises(ElfError, match="no struct 'opaque'"):
        image.struct("opaque")


def test_types_no_call_can_carry_are_refused(image: Image) -> None:
    with pytest.raises(ElfError, match=r"'complex float' .a complex number. cannot be passed"):
        image.prototype("complex_number")
    target = prototype(image, "with_vector").parameters[0].type
    with pytest.raises(ElfError, match="vector type"):
        _ = target.target


def test_unknown_struct_names_the_nearest(image: Image) -> None:
    with pytest.raises(ElfError, match=r"no struct 'node_tt'\. Did you mean node_t"):
        image.struct("node_tt")


def test_struct_without_debug_information(build: Callable[..., Path]) -> None:
    source = "int main(void) { return 5; }\n"
    image = Image.load(build(source, "-mcpu=cortex-m7", "-mthumb", "-nostdlib", "-Wl,-e,main"))
    with pytest.raises(ElfError, match=r"no debug information, so no structs\. Compile with -g"):
        image.struct("anything")


def test_static_cplusplus_function_at_a_low_address(build: Callable[..., Path]) -> None:
    """Its mangled name is in the symbol table only; discarded code sits at low addresses too."""
    source = """
extern "C" int entry(int);
static inline __attribute__((always_inline)) int inner(int a) { return a * 3; }
namespace n { static __attribute__((noinline)) int hidden(int a) { return inner(a) + 1; } }
int entry(int a) { return n::hidden(a) + n::hidden(a + 1); }
"""
    flags = ("-xc++", "-mcpu=cortex-m7", "-mthumb", "-g", "-O1", "-nostdlib", "-Wl,-e,entry")
    image = Image.load(build(*flags, source))
    hidden = next(s for s in image.symbols if "hidden" in s.name)
    assert str(image.prototype(hidden)).startswith("int ")
    assert [call.function for call in image.inline_chain(hidden.address)] == ["inner"]
