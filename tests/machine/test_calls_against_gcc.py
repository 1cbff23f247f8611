"""Calls against gcc: it compiled what notes the bytes of each argument and returns one of them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m7sim.machine import Machine

pytestmark = pytest.mark.toolchain


class CNumber:
    """A C scalar and its bytes by Python's struct module: the oracle."""

    def __init__(self, name: str, code: str, values: st.SearchStrategy[Any]) -> None:
        self.name, self.code, self.values = name, code, values

    def data(self, value: Any) -> bytes:
        return struct.pack("<" + self.code, value)


def _int(name: str, code: str, bits: int, signed: bool) -> CNumber:
    low = -(1 << bits - 1) if signed else 0
    return CNumber(name, code, st.integers(low, low + (1 << bits) - 1))


NUMBERS = [
    _int("int8_t", "b", 8, True), _int("uint8_t", "B", 8, False),
    _int("int16_t", "h", 16, True), _int("uint16_t", "H", 16, False),
    _int("int32_t", "i", 32, True), _int("uint32_t", "I", 32, False),
    _int("int64_t", "q", 64, True), _int("uint64_t", "Q", 64, False),
    CNumber("float", "f", st.floats(width=32, allow_nan=False)),
    CNumber("double", "d", st.floats(allow_nan=False)),
    CNumber("bool", "?", st.booleans()),
]  # fmt: skip
BY_NAME = {number.name: number for number in NUMBERS}


class CRecord:
    """A struct of scalars; padding is not compared."""

    def __init__(self, name: str, **fields: str) -> None:
        self.name = name
        self.fields = {field: BY_NAME[kind] for field, kind in fields.items()}
        self.values = st.fixed_dictionaries({f: n.values for f, n in self.fields.items()})

    def definition(self) -> str:
        members = " ".join(f"{n.name} {f};" for f, n in self.fields.items())
        return f"typedef struct {{ {members} }} {self.name};"

    def data(self, value: dict[str, Any]) -> bytes:
        return b"".join(n.data(value[f]) for f, n in self.fields.items())


RECORDS = [
    CRecord("one_byte", a="uint8_t"),
    CRecord("three_bytes", a="uint8_t", b="int8_t", c="uint8_t"),
    CRecord("two_words", a="int32_t", b="uint32_t"),
    CRecord("five_words", a="int32_t", b="int32_t", c="int32_t", d="int32_t", e="int32_t"),
    CRecord("with_long", a="int8_t", b="int64_t"),
    CRecord("mixed", a="float", b="int16_t"),
    CRecord("hfa1", x="float"),
    CRecord("hfa2", x="float", y="float"),
    CRecord("hfa3", x="float", y="float", z="float"),
    CRecord("hfa4", x="float", y="float", z="float", w="float"),
    CRecord("hfa2d", x="double", y="double"),
    CRecord("hfa4d", x="double", y="double", z="double", w="double"),
    CRecord("five_floats", a="float", b="float", c="float", d="float", e="float"),
    CRecord("float_double", a="float", b="double"),
]
Kind = CNumber | CRecord
KINDS: dict[str, Kind] = {k.name: k for k in [*NUMBERS, *RECORDS]}

CHOSEN = [
    ["int32_t"] * 6, ["int32_t", "int64_t", "int32_t"], ["int64_t"] * 3,
    ["int32_t", "int32_t", "int32_t", "int64_t", "int32_t"],
    ["int8_t", "int16_t", "bool", "uint8_t"],
    ["int32_t"] * 5 + ["int8_t", "int16_t", "int64_t"], ["float"] * 18, ["double"] * 9,
    ["float", "double", "float", "double", "float"], ["float"] * 15 + ["double", "float", "float"],
    ["int32_t", "float", "int64_t", "double", "int32_t", "int32_t", "float"],
    ["one_byte", "three_bytes", "two_words"], ["int32_t", "int32_t", "five_words"],
    ["five_words", "five_words"], ["int32_t", "with_long", "int32_t"], ["mixed", "hfa2", "hfa4"],
    ["hfa3", "hfa2d", "float"], ["hfa4d", "hfa4d", "float"], ["hfa4"] * 5, ["five_floats", "float"],
    ["float_double", "float"], ["hfa1", "float", "hfa1"], ["two_words"] * 3, ["with_long"] * 3,
    ["int32_t", "hfa4", "hfa4", "hfa4", "hfa4d", "hfa2", "float"], ["uint64_t", "bool"], ["hfa2d"],
    ["int32_t", "three_bytes", "three_bytes", "three_bytes", "three_bytes"], ["hfa4d"],
    ["five_words"],
]  # fmt: skip


def _signatures() -> list[tuple[list[str], int]]:
    """Return (argument types, position of the one that is returned); the same each time."""
    draw = random.Random(746)
    signatures = [(kinds, i % len(kinds)) for i, kinds in enumerate(CHOSEN)]
    for _ in range(60):
        kinds = draw.choices(list(KINDS), k=draw.randint(1, 9))
        signatures.append((kinds, draw.randrange(len(kinds))))
    return signatures


SIGNATURES = _signatures()


def _program() -> str:
    lines = ["#include <stdint.h>", "#include <stdbool.h>", "#include <string.h>"]
    lines += [record.definition() for record in RECORDS]
    lines += [
        "uint8_t noted[512]; uint32_t count;",
        "static inline void note(const void *p, uint32_t n) "
        "{ memcpy(noted + count, p, n); count += n; }",
    ]
    for index, (kinds, returned) in enumerate(SIGNATURES):
        parameters = ", ".join(f"{kind} p{i}" for i, kind in enumerate(kinds))
        body = []
        for i, kind in enumerate(kinds):
            record = KINDS[kind]
            parts = (
                [f"p{i}.{f}" for f in record.fields] if isinstance(record, CRecord) else [f"p{i}"]
            )
            body += [f"note(&{part}, sizeof {part});" for part in parts]
        lines.append(
            f"{kinds[returned]} f{index}({parameters}) "
            f"{{ count = 0; {' '.join(body)} return p{returned}; }}"
        )
    table = ", ".join(f"f{i}" for i in range(len(SIGNATURES)))
    lines.append(f"void *const keep[] = {{ {table} }};")
    lines.append("int main(void) { return keep[0] == 0; }")
    return "\n".join(lines)


@pytest.fixture(scope="module", params=["hard", "softfp"])
def machine(request: pytest.FixtureRequest, build: Any, board: Any) -> Machine:
    from m7sim.elf import Image

    fpu = [f"-mfloat-abi={request.param}", "-mfpu=fpv5-sp-d16"]
    flags = [f"-Wl,--undefined={name}" for name in ("keep", "noted", "count")]
    flags.append("-fno-ipa-icf")  # equal functions would become one, under one name
    image = Image.load(build(_program(), *flags, fpu=fpu))
    assert image.attributes.hard_float == (request.param == "hard")
    return Machine(image, board)


@settings(
    max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(data=st.data())
def test_gcc_sees_what_was_passed(machine: Machine, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(SIGNATURES) - 1))
    check(machine, index, lambda kind: data.draw(kind.values))


@pytest.mark.parametrize("index", range(len(SIGNATURES)))
def test_every_signature(machine: Machine, index: int) -> None:
    draw = random.Random(index)

    def value(kind: Kind) -> Any:
        if isinstance(kind, CRecord):
            return {name: value(number) for name, number in kind.fields.items()}
        size = struct.calcsize(kind.code)
        if kind.code == "?":
            return draw.random() < 0.5
        if kind.code in "fd":
            return struct.unpack("<f", struct.pack("<f", draw.uniform(-1e6, 1e6)))[0]
        return struct.unpack("<" + kind.code, draw.randbytes(size))[0]

    check(machine, index, value)


def check(machine: Machine, index: int, make: Callable[[Kind], Any]) -> None:
    kinds, returned = SIGNATURES[index]
    values = [make(KINDS[kind]) for kind in kinds]
    result = machine.call(f"f{index}", *values)
    wanted = b"".join(KINDS[kind].data(v) for kind, v in zip(kinds, values, strict=True))
    count = int.from_bytes(machine.read(machine.image.symbol("count").address, 4), "little")
    assert machine.read(machine.image.symbol("noted").address, count) == wanted, (kinds, values)
    kind = KINDS[kinds[returned]]
    assert kind.data(result.value) == kind.data(values[returned])


POINTERS = (Path(__file__).parent / "programs" / "pointers.c").read_text()


@pytest.fixture
def pointers(start: Callable[..., Machine]) -> Machine:
    return start(POINTERS, "-Wl,--undefined=keep")


def test_arrays_in_out_and_both(pointers: Machine) -> None:
    x = np.arange(-50, 50, dtype=np.int16)
    assert pointers.call("total", x, 100).value == x.sum()
    pointers.call("doubled", x, 100)
    assert np.array_equal(x, np.arange(-100, 100, 2))
    out = np.zeros(7, np.float32)
    pointers.call("to", np.arange(7, dtype=np.float32), out, 7)
    assert out.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert pointers.call("matrix", np.arange(6, dtype=np.int32).reshape(2, 3)).value == 5


def test_structs_by_pointer_and_value(pointers: Machine) -> None:
    data = np.array([1, 2, 3], np.int16)
    job: dict[str, Any] = {"data": data, "n": 3, "scale": 2.0, "in": {"a": 11}}
    assert pointers.call("scale", job).value == 11
    assert data.tolist() == [2, 4, 6]
    assert job["in"] == {"a": 11, "b": 3}
    assert job["tag"].tolist() == [0, 9, 0, 0]
    assert job["data"] is data
    assert pointers.call("peek", {"data": data, "tag": [0, 0, 0, 30]}).value == 34
    value = pointers.call("twice", {"n": 4, "scale": 0.5, "in": {"a": 1, "b": 2}}).value
    assert (value["n"], value["scale"], value["in"]) == (8, 1.0, {"a": 3, "b": 2})


def test_struct_objects(pointers: Machine) -> None:
    import ctypes
    from types import SimpleNamespace

    class Job(ctypes.Structure):
        _fields_ = (("n", ctypes.c_uint32), ("scale", ctypes.c_float))

    assert pointers.call("twice", Job(21, 1.0)).value["n"] == 42
    assert pointers.call("twice", SimpleNamespace(n=1)).value["n"] == 2


def test_text_null_functions_enums(pointers: Machine) -> None:
    assert pointers.call("length", "twelve chars").value == 12
    assert pointers.call("length", b"abc\0def").value == 3
    text = bytearray(b"abc\0")
    pointers.call("shout", text)
    assert text == b"ABC\0"
    assert pointers.call("next", "RED").value == 5
    assert pointers.call("next", 5).value == 1
    assert pointers.call("apply", "length", "four").value == 4
    assert pointers.call("is_null", None).value == 1
    assert pointers.call("sum", 3, 1.5, 2.5, 3.0).value == 7


def test_the_same_array_twice_is_the_same_memory(pointers: Machine) -> None:
    a = np.zeros(4, np.int32)
    assert pointers.call("same", a, a).value == 7
    assert a[0] == 7
    assert pointers.call("same", a.copy(), a).value == 7


def test_placement(pointers: Machine) -> None:
    x = np.zeros(100, np.uint8)

    def region(**options: Any) -> str:
        address = pointers.call("where", x, **options).value
        found = pointers.board.region_at(address)
        assert found is not None
        return found.name

    assert region() == "DTCM"
    assert region(place="SRAM1") == "SRAM1"
    assert region(place={"p": "SRAM2"}) == "SRAM2"
    assert region(place={0: "FLASH"}) == "FLASH"
    assert pointers.call("where", x, alignment_bytes=1024).value % 1024 == 0
    x = np.zeros(100_000, np.uint8)
    assert region() == "SRAM1"
    first = pointers.call("where", x).value
    assert pointers.call("where", x).value == first  # freed after the call


def test_persistent_buffers(pointers: Machine) -> None:
    buffer = pointers.alloc(np.arange(10, dtype=np.int16), "SRAM1")
    assert pointers.call("total", buffer, 10).value == 45
    pointers.call("doubled", buffer, 10)
    assert buffer.read().tolist() == list(range(0, 20, 2))
    buffer.write(np.ones(10, np.int16))
    assert pointers.call("total", buffer.address, 10).value == 10
    buffer.free()
    stale = pointers.alloc(np.zeros(4, np.uint8))
    pointers.reset()
    from m7sim.errors import InputError

    with pytest.raises(InputError, match="before the last reset"):
        stale.read()


def test_stack_bytes_and_persistent_globals(pointers: Machine) -> None:
    shallow, deeper = (pointers.call("deep", n).stack_bytes for n in (1, 11))
    assert 0 < shallow < deeper < 4096
    assert 70 <= (deeper - shallow) / 10 <= 160  # 100 bytes a level, some of it inlined
    assert [pointers.call("static_count").value for _ in range(3)] == [1, 2, 3]


def test_without_debug_information(start: Callable[..., Machine]) -> None:
    from m7sim.errors import InputError

    machine = start(POINTERS, "-Wl,--undefined=keep", "-g0")
    assert machine.image.prototype("total") is None
    assert machine.call("total", np.array([3, -5], np.int16), 2).value == -2
    x = np.array([4], np.int16)
    machine.call("doubled", x, 1)
    assert x[0] == 8
    with pytest.raises(InputError, match="no debug information"):
        machine.call("total", 1.5)
