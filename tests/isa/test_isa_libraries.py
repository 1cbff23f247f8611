"""Decoding of all of newlib and libgcc against GNU objdump: sizes, mnemonics, nothing undecoded."""

from __future__ import annotations

import re
import subprocess

import pytest

from m7sim.isa import sweep

MACHINE = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard")
LINE = re.compile(r" *([0-9a-f]+):\t([0-9a-f ]+?) *\t(\S+)(?:\t([^@;]*))?")
SHIFTS = ("lsl", "lsr", "asr", "ror", "rrx")

Row = tuple[int, bytes, str]  # address, bytes, mnemonic as we spell it


def objdump_runs(library: str, fpu: str) -> list[list[Row]]:
    """Contiguous instructions of an archive as objdump shows them, data left out."""
    query = ["arm-none-eabi-gcc", *MACHINE, f"-mfpu={fpu}", f"-print-file-name={library}"]
    path = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-d", "-z", path], capture_output=True, text=True, check=True
    ).stdout
    runs: list[list[Row]] = [[]]
    for line in listing.splitlines():
        match = LINE.match(line)
        if match is None or match[3].startswith("."):
            if line and runs[-1] and not line.endswith(">:"):  # a section or data, not a label
                runs.append([])
            continue
        data = b"".join(bytes.fromhex(half)[::-1] for half in match[2].split())
        runs[-1].append((int(match[1], 16), data, spelling(match[3], match[4] or "")))
    return [run for run in runs if run]


def spelling(mnemonic: str, operands: str) -> str:
    """Map objdump's choice among synonyms to ours."""
    base, dot, types = re.sub(r"\.[nw](?=$|\.)", "", mnemonic).partition(".")
    base = re.sub("^neg", "rsb", base)
    base = re.sub("^(ld|st)mia", r"\1m", base)
    base = re.sub("^(ld|st)f[ep]", r"\1cl", base)  # FPA on coprocessor 1
    if operands.startswith("sp!"):
        base = re.sub("^stmdb", "push", re.sub("^ldm(?!db)", "pop", base))
    if base == "add" and re.match(r"\w+, pc, #", operands):
        base = "adr"
    shift = re.search(r", (lsl|lsr|asr|ror|rrx)\b", operands)
    if base.startswith("mov") and shift:
        base = shift[1] + base.removeprefix("mov")
    base = re.sub("^f(ld|st)mia?x", r"f\1miax", base)
    return base + dot + types


@pytest.mark.toolchain
@pytest.mark.parametrize("fpu", ["fpv5-sp-d16", "fpv5-d16"])
@pytest.mark.parametrize("library", ["libc.a", "libm.a", "libgcc.a"])
def test_every_instruction_decodes_as_objdump_says(library: str, fpu: str) -> None:
    total = 0
    for run in objdump_runs(library, fpu):
        total += len(run)
        instructions, undecoded = sweep(b"".join(row[1] for row in run), run[0][0])
        assert not undecoded
        ours = [(i.address, i.size_bytes, i.text.split()[0]) for i in instructions]
        for (address, size_bytes, text), (at, data, name) in zip(ours, run, strict=True):
            mnemonic = re.sub(r"\.w(?=$|\.)", "", text)
            mnemonic = re.sub(r"hs(?=$|\.)", "cs", re.sub(r"lo(?=$|\.)", "cc", mnemonic))
            assert (address, size_bytes, mnemonic) == (at, len(data), name)
    assert total > 10_000
