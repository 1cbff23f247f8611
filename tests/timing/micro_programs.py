"""Micro-programs: assembled text, timed without running it, cycles told by difference.

Straight-line text executes once per block; blocks end where the decoder says so. Unless a test
says otherwise code lies in ITCM and data in DTCM, so only the core is seen.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from m7sim.board import Board
from m7sim.core import Core
from m7sim.isa.code import Code
from m7sim.isa.decode import decode_range
from m7sim.isa.instruction import Instruction
from m7sim.timing import Timer, Timing

ITCM = 0x0000_0100
DTCM = 0x2000_0000
AS_FLAGS = ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16")

# Issues alone in one cycle, so nothing before it pairs or waits with what comes after it.
FENCE = "ldrd r10, r11, [r12]"
FENCE_ADDRESS = DTCM + 0x800


@functools.lru_cache(maxsize=1024)
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
    """Cut after each instruction that ends a block and before each target of a branch."""
    targets = {i.target for i in instructions}
    blocks: list[list[Instruction]] = [[]]
    for instruction in instructions:
        if instruction.address in targets:
            blocks.append([])
        blocks[-1].append(instruction)
        if instruction.ends_block:
            blocks.append([])
    return [block for block in blocks if block]


class Program:
    """Decoded text with its blocks, ready to be timed in any order of execution."""

    def __init__(self, text: str, at: int = ITCM) -> None:
        self.code = Code()
        for block in split_blocks(decode_range(assemble(text), at)):
            self.code.add_block(block)

    def time(
        self,
        path: Sequence[int],
        addresses: Sequence[int] = (),
        *,
        board: Board | None = None,
        core: Core | None = None,
    ) -> Timing:
        timer = Timer((core or default_core()).table(), board or default_board(), self.code)
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
    assert (timing.row_issue_cycles <= timing.executions).all()


def straight(
    text: str, addresses: Sequence[int] = (), *, at: int = ITCM, board: Board | None = None,
    core: Core | None = None,
) -> Timing:  # fmt: skip
    """Time text that runs through once; branches in it are not taken."""
    program = Program(text, at)
    path = list(range(len(program.code.blocks)))
    return program.time(path, addresses, board=board, core=core)


def cost(
    text: str, addresses: Sequence[int] = (), *, copies: int = 20, board: Board | None = None,
    core: Core | None = None,
) -> float:  # fmt: skip
    """Cycles of one copy of ``text`` in a long row of copies: difference of n and 2n of them.

    ``addresses`` are those of one copy. Registers stay as written, so a copy can depend on the one
    before it.
    """
    cycles = [
        straight("\n".join([text] * n), list(addresses) * n, board=board, core=core).cycles
        for n in (copies, 2 * copies)
    ]
    return (cycles[1] - cycles[0]) / copies


def fenced_cost(text: str, addresses: Sequence[int] = (), *, core: Core | None = None) -> float:
    """Cycles of ``text`` between instructions that issue alone, after a while without work."""
    quiet_cycles = 12  # nothing of the copy before is in flight any more
    quiet = "\n".join(["nop.w"] * (2 * quiet_cycles))
    return cost(f"{text}\n{FENCE}\n{quiet}", [*addresses, FENCE_ADDRESS], core=core) - (
        1 + quiet_cycles
    )


def latency(producer: str, consumer: str, addresses: Sequence[int] = ()) -> float:
    """Cycles from the issue of the producer to that of the consumer."""
    return fenced_cost(f"{producer}\n{consumer}", addresses) - 1


def loop_cost(body: str, at: int = ITCM, *, core: Core | None = None) -> float:
    """Cycles of an iteration of a block whose last instruction branches to its start."""
    program = Program(body, at)
    assert len(program.code.blocks) == 1
    n = 200
    cycles = [program.time([0] * (k * n), core=core).cycles for k in (1, 2)]
    return (cycles[1] - cycles[0]) / n
