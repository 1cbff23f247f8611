"""Micro-programs: assembled text, timed without running it, cycles told by difference.

Straight-line text executes once per block; blocks end where the decoder says so. Everything lies
in ITCM and DTCM, so only the core is seen.
"""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.core import Core
from m7sim.isa.code import Code
from m7sim.isa.decode import decode_range
from m7sim.isa.instruction import Instruction
from m7sim.timing import Timer, Timing

ITCM = 0x0000_0100
DTCM = 0x2000_0000
AS_FLAGS = ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16")


@functools.lru_cache(maxsize=512)
def assemble(text: str) -> bytes:
    """Bytes of a Thumb program without relocations."""
    with tempfile.TemporaryDirectory() as folder:
        source, objfile, binary = (Path(folder) / name for name in ("a.s", "a.o", "a.bin"))
        source.write_text(".syntax unified\n.thumb\n.text\n" + text + "\n")
        subprocess.run(["arm-none-eabi-as", *AS_FLAGS, source, "-o", objfile], check=True)
        subprocess.run(
            ["arm-none-eabi-objcopy", "-O", "binary", "-j", ".text", objfile, binary], check=True
        )
        return binary.read_bytes()


def split_blocks(instructions: Sequence[Instruction]) -> list[list[Instruction]]:
    """Cut after each instruction that ends a block."""
    blocks: list[list[Instruction]] = [[]]
    for instruction in instructions:
        blocks[-1].append(instruction)
        if instruction.ends_block:
            blocks.append([])
    return [block for block in blocks if block]


class Program:
    """Decoded text with its blocks, ready to be timed in any order of execution."""

    def __init__(self, text: str, at: int = ITCM) -> None:
        self.code = Code()
        self.by_address: dict[int, int] = {}
        for block in split_blocks(decode_range(assemble(text), at)):
            self.by_address[block[0].address] = self.code.add_block(block)

    def accesses(self, block: int) -> list[Instruction]:
        """Instructions of a block that have a memory operand."""
        first, count = self.code.blocks[block]
        return [i for i in self.code.instructions[first : first + count] if i.memory]

    def time(
        self,
        path: Sequence[int],
        addresses: Sequence[int],
        *,
        board: Board | None = None,
        core: Core | None = None,
        jit: bool = True,
    ) -> Timing:
        timer = Timer(
            (core or default_core()).table(), board or default_board(), self.code, jit=jit
        )
        timer.feed(np.array(path, np.int32), np.array(addresses, np.uint32))
        timing = timer.result()
        check_sums(timing)
        return timing


@functools.cache
def default_core() -> Core:
    return Core.load("cortex_m7")


@functools.cache
def default_board() -> Board:
    return Board.load("stm32f746")


def check_sums(timing: Timing) -> None:
    """Every lost cycle has one cause, in total and by row."""
    assert timing.cycles == timing.issue_cycles + sum(timing.stalls.values())
    assert timing.row_issue_cycles.sum() == timing.issue_cycles
    assert int(timing.row_cycles.sum()) == timing.cycles
    assert timing.instructions == timing.issue_cycles + timing.dual_issued
    assert int(timing.executions.sum()) == timing.instructions
    assert (timing.row_stalls >= 0).all()


def straight(text: str, addresses: Sequence[int] = (), **options: object) -> Timing:
    """Time text that runs through once; branches in it are not taken."""
    program = Program(text)
    path = list(range(len(program.code.blocks)))
    return program.time(path, addresses, **options)  # type: ignore[arg-type]


def cost(text: str, addresses: Sequence[int] = (), *, copies: int = 20, **options: object) -> float:
    """Cycles of one copy of ``text`` in a long row of copies: difference of n and 2n of them.

    ``addresses`` are those of one copy. Numbered registers stay as written, so a copy can depend
    on the one before it.
    """
    timings = [
        straight("\n".join([text] * n), list(addresses) * n, **options)
        for n in (copies, 2 * copies)
    ]
    return (timings[1].cycles - timings[0].cycles) / copies


def loop(body: str, iterations: int, at: int = ITCM, **options: object) -> Timing:
    """Time ``body`` (its last instruction branches back to its start) in TCM."""
    program = Program(body, at)
    assert len(program.code.blocks) == 1
    return program.time([0] * iterations, [], **options)  # type: ignore[arg-type]


def loop_cost(body: str, at: int = ITCM, **options: object) -> float:
    """Cycles of an iteration, in the long run."""
    n = 200
    times = [loop(body, k * n, at, **options).cycles for k in (1, 2)]
    return (times[1] - times[0]) / n


def unique_registers(text: str, n: int) -> str:
    """Repeat ``text`` with ``{a}`` … replaced by registers that rotate, so copies are independent."""
    names = re.findall(r"{(\w)}", text)
    pool = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"]
    out = []
    for k in range(n):
        regs = {
            name: pool[(k * len(set(names)) + j) % 8] for j, name in enumerate(sorted(set(names)))
        }
        out.append(text.format(**regs))
    return "\n".join(out)


def words(*values: int) -> NDArray[np.uint32]:
    return np.array(values, np.uint32)
