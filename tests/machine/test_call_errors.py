"""Calls with wrong arguments: what is said, where, and what to do."""

from __future__ import annotations

import re
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m7sim.errors import ElfError, InputError, M7Error
from m7sim.machine import Machine

pytestmark = pytest.mark.toolchain

TEXT = (Path(__file__).parent / "programs" / "pointers.c").read_text()


@pytest.fixture(scope="module")
def machine(build: Any, board: Any) -> Machine:
    from m7sim.elf import Image

    return Machine(Image.load(build(TEXT, "-Wl,--undefined=keep")), board)


I16 = np.zeros(4, np.int16)
F32 = np.zeros(4, np.float32)
READ_ONLY = np.zeros(4, np.int16)
READ_ONLY.flags.writeable = False
Pair = namedtuple("Pair", "n colour")


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("total", (I16,), r"total: 1 arguments given, 2 expected\. It is: int32_t total\(const"),
        ("total", (I16, 1, 2), r"3 arguments given, 2 expected"),
        ("total", (F32, 1), r"total: argument 1 'x' \(const int16_t \*\): array of float32, "
         r"expected int16 .*astype\(numpy\.int16\)"),
        ("total", (I16.astype(np.uint16), 1), r"array of uint16, expected int16"),
        ("total", (I16.astype(">i2"), 1), r"big-endian"),
        ("total", (np.zeros((4, 4), np.int16)[:, 0], 1), r"not C-contiguous.*ascontiguousarray"),
        ("total", (I16, -1), r"2 'n' \(uint32_t\): -1 does not fit uint32_t.*0 … 4294967295"),
        ("total", (I16, 1 << 32), r"4294967296 does not fit"),
        ("total", (I16, 1.0), r"1\.0 is a float, expected a whole number"),
        ("total", ([1, 2], 2), r"\[1, 2\] is a list, expected a pointer.*NumPy array"),
        ("total", (-4, 2), r"-4 is no 32-bit address"),
        ("total", (b"abcd", 2), r"bytes for a pointer to const int16_t"),
        ("total", (np.array([object()]), 2), r"array of object"),
        ("doubled", (READ_ONLY, 4), r"array is read-only, but the function may write"),
        ("shout", (b"abc\0",), r"what it writes would be lost.*bytearray"),
        ("scale", ({"n": 1, "skale": 2},), r"scale: argument 1 'j' \(job \*\): job has no field "
         r"'skale'.*data, n, scale"),
        ("scale", ({"n": -1},), r"argument 1 'j' \(job \*\)\.n: -1 does not fit"),
        ("scale", ({"tag": [1, 2, 3, 4, 5]},), r"\.tag: 5 elements do not fit"),
        ("scale", ({"data": F32},), r"\.data: array of float32, expected int16"),
        ("scale", ({"scale": "x"},), r"\.scale: 'x' is a str, expected a float"),
        ("scale", ({"scale": 1e39},), r"1e\+39 is too large for float"),
        ("scale", (Pair(1, 2),), r"no field 'colour'"),
        ("scale", (3.5,), r"3\.5 is a float, expected a job.*dict of its fields"),
        ("twice", (7,), r"7 is a int, expected a job.*dict of its fields"),
        ("next", ("BLUE",), r"no 'BLUE' in color.*RED, GREEN"),
        ("apply", ("lenght", "x"), r"no symbol 'lenght'.*length"),
        ("tottal", (), r"no symbol 'tottal'.*total"),
        ("keep", (), r"keep is a variable"),
        ("same", (np.zeros(8, np.int32)[:6], "y"), r"argument 2"),
    ],
)  # fmt: skip
def test_refused(machine: Machine, function: str, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises((InputError, ElfError)) as caught:
        machine.call(function, *arguments)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert caught.value.exit_code == 2
    assert machine.call("static_count").value > 0  # nothing is left behind


def test_overlapping_arrays(machine: Machine) -> None:
    base = np.zeros(8, np.int32)
    with pytest.raises(InputError, match=r"argument 2 'b'.*overlaps another argument"):
        machine.call("same", base[:6], base[2:])


def test_buffers_that_do_not_fit(machine: Machine) -> None:
    large = np.zeros(70_000, np.uint8)
    with pytest.raises(
        InputError, match=r"no room for .*\(70000 bytes\) in DTCM: (\d+) bytes"
    ) as e:
        machine.call("where", large, place="DTCM")
    free, missing = map(
        int, re.findall(r"(\d+) bytes free in one piece, (\d+) missing", str(e.value))[0]
    )
    assert free + missing == 70_000
    assert 40_000 < free < 60_000
    with pytest.raises(InputError, match=r"no room.*SRAM1.*missing"):
        machine.call("where", np.zeros(300_000, np.uint8))
    machine.call("where", np.zeros(free, np.uint8), place="DTCM")
    with pytest.raises(InputError, match="1 missing"):
        machine.call("where", np.zeros(free + 1, np.uint8), place="DTCM", alignment_bytes=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"place": "DTMC"}, "no region 'DTMC'.*DTCM"),
        ({"place": "APB1"}, "APB1 is no memory for buffers"),
        ({"place": "SDRAM1"}, "SDRAM1 is no memory for buffers"),
        ({"place": {"q": "DTCM"}}, "place names no parameter 'q'.*It has: p"),
        ({"alignment_bytes": 3}, "alignment of 3 bytes"),
    ],
)
def test_bad_placement(machine: Machine, options: dict[str, Any], message: str) -> None:
    with pytest.raises(M7Error, match=message):
        machine.call("where", I16, **options)


def test_only_constants_go_to_flash(machine: Machine) -> None:
    with pytest.raises(InputError, match="FLASH is read-only"):
        machine.call("doubled", I16, 4, place="FLASH")
    assert machine.call("total", np.array([2, 3], np.int16), 2, place="FLASH").value == 5


def test_buffers_never_touch_image_or_stack(machine: Machine) -> None:
    spans = [(s.vma, s.vma + s.memory_bytes) for s in machine.image.segments]
    spans.append((machine.placement.stack.start, machine.placement.stack.end))
    for size in (1, 100, 30_000, 50_000, 200_000):
        for place in ("auto", "SRAM1"):
            x = np.zeros(size, np.uint8)
            start = machine.call("where", x, place=place).value
            assert all(start + size <= low or start >= high for low, high in spans)
