"""Random programs for invariants: every kind of instruction, every kind of memory."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from typing import NamedTuple

import numpy as np
from micro_programs import assemble, default_board, default_core, split_blocks
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.isa.code import NO_ACCESS, Code
from m7sim.isa.decode import decode_range
from m7sim.timing import Timer, Timing
from m7sim.timing.memotables import Sizes

TEXT = """
add.w {a}, {b}, {c}; adds {a}, {a}, #1; eor.w {a}, {b}, {c}, ror #8; mov {a}, {b}
lsl.w {a}, {b}, {c}; movw {a}, #99; movt {a}, #9; ubfx {a}, {b}, #2, #5; bfi {a}, {b}, #3, #4
uxtb.w {a}, {b}; sxtb16 {a}, {b}; rev {a}, {b}; clz {a}, {b}; uadd8 {a}, {b}, {c}
sel {a}, {b}, {c}; ssat {a}, #8, {b}; qadd {a}, {b}, {c}; mul {a}, {b}, {c}
smlad {a}, {b}, {c}, {a}; umlal {a}, {d}, {b}, {c}; udiv {a}, {b}, {c}; cmp {a}, {b}
ldr {a}, [{b}]; ldr {a}, [{b}], #4; ldr {a}, [{b}, {c}, lsl #2]; ldrb {a}, [{b}, {c}]
ldrsh {a}, [{b}]; str {a}, [{b}]; strb {a}, [{b}]; str {a}, [{b}], #4; ldrd {a}, {d}, [r9]
strd {a}, {d}, [r9]; ldm r9!, {{r0-r3}}; stm r9, {{r0-r4}}; push {{r0-r3}}; pop {{r0-r3}}
tst {a}, {b}, lsl #2; vadd.f32 s0, s1, s2; vfma.f32 s3, s4, s5; vmla.f32 s3, s4, s5
vldr s1, [r9]; vstr s3, [r9]; vmov {a}, s3; vdiv.f32 s6, s7, s8; vmov s4, {a}
vcmp.f32 s0, s1; vmrs APSR_nzcv, fpscr; vldm r9, {{s0-s7}}; nop; nop.w; mrs {a}, apsr; dmb
adcs {a}, {b}; vmul.f32 s9, s10, s11; vadd.f64 d0, d1, d2
"""
LINES = [line.strip() for row in TEXT.split("\n") for line in row.split(";") if line.strip()]
ENDS = ("b .", "beq .", "bne .", "bl .", "bx lr", "cbz r0, .+4", "nop", "pop {{r0, pc}}", "bx r3")


class Run(NamedTuple):
    code: Code
    blocks: NDArray[np.int32]
    address: NDArray[np.uint32]


def random_run(seed: int, *, n_blocks: int = 12, n_executed: int = 120, at: int = 0x100) -> Run:
    """Decode a random program and execute its blocks in a random, looping order."""
    rng = np.random.default_rng(seed)
    text = []
    for _ in range(n_blocks):
        for _ in range(int(rng.integers(1, 12))):
            regs = [f"r{k}" for k in rng.permutation(8)[:4]]
            line = LINES[int(rng.integers(len(LINES)))]
            line = line.format(a=regs[0], b=regs[1], c=regs[2], d=regs[3])
            predicable = not line.startswith(("nop", "dmb", "mrs", "vmrs", "adds", "adcs", "rev "))
            if rng.random() < 0.1 and predicable and " " in line:
                name, rest = line.split(" ", 1)
                stem, dot, suffix = name.partition(".")
                text.append(f"it ne\n{stem}ne{dot}{suffix} {rest}")
            else:
                text.append(line)
        text.append(ENDS[int(rng.integers(len(ENDS)))].format())
    code = Code()
    for block in split_blocks(decode_range(assemble("\n".join(text)), at)):
        code.add_block(block)
    path: list[int] = []
    n = len(code.blocks)
    while len(path) < n_executed:
        first = int(rng.integers(n))
        piece = [(first + k) % n for k in range(int(rng.integers(1, 4)))]
        path += piece * int(rng.integers(1, 5))
    blocks = np.array(path[:n_executed], np.int32)
    return Run(code, blocks, _addresses(rng, code, blocks))


def _addresses(
    rng: np.random.Generator, code: Code, blocks: NDArray[np.int32]
) -> NDArray[np.uint32]:
    bases = (0x2000_0000, 0x2000_0000, 0x2001_0000, 0x0800_8000, 0x0000_2000, 0x4002_0000,
             0x0020_8000)  # fmt: skip
    out = []
    for block in blocks:
        first, count = code.blocks[block]
        for row in code.instructions[first : first + count]:
            if row.memory is None:
                continue
            if row.predicated and rng.random() < 0.5:
                out.append(NO_ACCESS)
                continue
            offset = int(rng.integers(0, 64)) * 4
            if row.memory.count == 1 and rng.random() < 0.2:
                offset += int(rng.integers(1, 4))
            out.append(bases[int(rng.integers(len(bases)))] + offset)
    return np.array(out, np.uint32)


def striding(run: Run, seed: int) -> Run:
    """Give every access of every block a base and a stride, as loops have."""
    rng = np.random.default_rng(seed)
    executed = np.zeros(len(run.code.blocks), np.int64)
    per_block = access_counts(run._replace(blocks=np.arange(len(executed), dtype=np.int32)))
    ends = np.concatenate(([0], np.cumsum(per_block)))
    bases = np.array([0x2000_0000, 0x2001_0000, 0x2001_0100, 0x0800_8000, 0x0000_2000])
    base = rng.choice(bases, ends[-1]) + 4 * rng.integers(0, 16, ends[-1])
    stride = rng.choice([0, 0, 4, 4, 8, 1, 32], ends[-1])
    out = []
    for block in run.blocks:
        own = slice(ends[block], ends[block + 1])
        out.append(base[own] + stride[own] * (executed[block] % 64))
        executed[block] += 1
    return run._replace(address=np.concatenate(out).astype(np.uint32))


def access_counts(run: Run) -> NDArray[np.int64]:
    """Accesses of each executed block."""
    per_block = [
        sum(i.memory is not None for i in run.code.instructions[first : first + count])
        for first, count in run.code.blocks
    ]
    return np.array(per_block, np.int64)[run.blocks]


def time_run(
    run: Run,
    *,
    jit: bool = True,
    memo: bool | Sizes = True,
    board: Board | None = None,
    cuts: list[int] | None = None,
) -> tuple[NDArray[np.int64], Timing]:
    """Feed a run, in pieces cut before the given blocks."""
    timer = Timer(default_core().table(), board or default_board(), run.code, jit=jit, memo=memo)
    edges = [0, *sorted(cuts or []), len(run.blocks)]
    ends = np.concatenate(([0], np.cumsum(access_counts(run))))
    cycles = [
        timer.feed(run.blocks[a:b], run.address[ends[a] : ends[b]])
        for a, b in itertools.pairwise(edges)
    ]
    return np.concatenate(cycles), timer.result()


def slower_board(**more: int) -> Board:
    """The board with some latencies of all regions raised."""
    board = default_board()
    regions = tuple(
        dataclasses.replace(r, **{name: getattr(r, name) + n for name, n in more.items()})
        for r in board.regions
    )
    return dataclasses.replace(board, regions=regions)


def digest(cycles: NDArray[np.int64], timing: Timing) -> str:
    """Hash of everything that a run's timing says."""
    parts = [
        cycles, timing.executions, timing.row_issue_cycles, np.ascontiguousarray(timing.row_stalls),
        timing.branches.taken, timing.branches.mispredicted, timing.branches.penalty_cycles,
    ]  # fmt: skip
    text = repr(
        (timing.cycles, timing.pair_losses, timing.icache, timing.dcache, timing.stalls)
    ).encode()
    return hashlib.sha256(text + b"".join(p.tobytes() for p in parts)).hexdigest()
