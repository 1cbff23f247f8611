"""The code of a recording at other addresses, with the veneers that a linker would add."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.isa.code import Code, CodeArrays
from m7sim.isa.decode import decode
from m7sim.isa.instruction import Branch, Instruction
from m7sim.memmap.branches import PIPELINE_BYTES, Branches
from m7sim.memmap.layout import VENEER_BYTES, Layout
from m7sim.memmap.recording import Recording, Spans, Step

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

# ldr.w pc, [pc, #-0]; the address follows it: what GNU ld makes for Armv7-M
_VENEER: Final = bytes.fromhex("5ff800f0")
# BL and B.W of Thumb-2 reach from -16 MiB to +16 MiB - 2 (Armv7-M ARM A7.7.12, A7.7.18)
_REACH_BYTES: Final = 1 << 24


class MovedCode(Code):
    """Code whose columns are given instead of being made from instructions."""

    def __init__(
        self, instructions: list[Instruction], blocks: list[tuple[int, int]], arrays: CodeArrays
    ) -> None:
        super().__init__()
        self.instructions, self.blocks, self._arrays = instructions, blocks, arrays


class Rows(NamedTuple):
    """All variants of a recording as code, at the recorded addresses.

    Attributes
    ----------
    instructions, blocks, arrays
        As of ``Code``.
    row_span, target_span
        Span of each instruction, and of the target of each direct branch (else 0).
    """

    instructions: list[Instruction]
    blocks: list[tuple[int, int]]
    arrays: CodeArrays
    row_span: I64
    target_span: I64


def rows_of(recording: Recording) -> Rows:
    """Give every variant rows of its own."""
    code = recording.code
    base, chosen = code.arrays(), recording.blocks
    count = base.block_count[chosen].astype(np.int64)
    first = np.cumsum(count) - count
    rows = np.repeat(base.block_first[chosen] - first, count) + np.arange(int(count.sum()))
    columns = {
        name: getattr(base, name)[rows]
        for name in CodeArrays._fields
        if not name.startswith(("block_", "read_", "write_"))
    }
    for kind, fields in (
        ("read", ("read_reg", "read_role")), ("write", ("write_reg", "write_result")),
    ):  # fmt: skip
        starts = getattr(base, f"{kind}_first").astype(np.int64)
        sizes = np.diff(starts)[rows]
        behind = np.concatenate(([0], np.cumsum(sizes)))
        places = np.repeat(starts[rows] - behind[:-1], sizes) + np.arange(int(sizes.sum()))
        columns[f"{kind}_first"] = behind.astype(np.int32)
        columns |= {name: getattr(base, name)[places] for name in fields}
    arrays = CodeArrays(
        **columns, block_first=first.astype(np.int32), block_count=count.astype(np.int32),
        block_address=base.block_address[chosen], block_bytes=base.block_bytes[chosen],
    )  # fmt: skip
    instructions = [code.instructions[row] for row in rows.tolist()]
    blocks = list(zip(first.tolist(), count.tolist(), strict=True))
    target = np.maximum(arrays.target, 0)
    return Rows(
        instructions, blocks, arrays,
        recording.spans.at(arrays.address.astype(np.int64)), recording.spans.at(target),
    )  # fmt: skip


class Veneers(NamedTuple):
    """Which variants call through a veneer, and the blocks of these.

    ``need`` is the block of the veneer by variant, -1: none; ``target`` the recorded address that
    the variant's last instruction goes to, if it does.
    """

    need: I32
    target: I64
    regions: dict[str, int]  # how many lie in a region


def find_veneers(
    rows: Rows, branches: Branches, spans: Spans, delta: I64, board: Board
) -> tuple[Veneers, list[tuple[str, int]]]:
    """Find calls that a direct branch no longer reaches.

    Parameters
    ----------
    branches
        All of the program.
    delta
        int64[span]: how far each moves.

    Returns
    -------
    tuple
        The veneers, and the region and the recorded target of each.
    """
    a = rows.arrays
    last = a.block_first + a.block_count - 1
    direct = np.isin(a.branch[last], (Branch.CALL, Branch.DIRECT, Branch.CONDITIONAL))
    target = np.where(direct, a.target[last], -1)
    here = a.address[last].astype(np.int64) + delta[rows.row_span[last]]
    there = target + delta[rows.target_span[last]]
    need = np.full(len(last), -1, np.int32)
    known: dict[tuple[str, int], int] = {}
    for k in np.flatnonzero((target >= 0) & _beyond(here, there)).tolist():
        need[k] = len(last) + known.setdefault(
            _key(int(here[k]), int(target[k]), board), len(known)
        )
    here = branches.source + delta[spans.at(branches.source)]
    there = branches.target + delta[spans.at(branches.target)]
    for k in np.flatnonzero(_beyond(here, there)).tolist():
        known.setdefault(_key(int(here[k]), int(branches.target[k]), board), len(known))
    regions: dict[str, int] = {}
    for name, _ in known:
        regions[name] = regions.get(name, 0) + 1
    return Veneers(need, target, regions), list(known)


def _beyond(here: I64, there: I64) -> NDArray[np.bool_]:
    far = there - here - PIPELINE_BYTES
    beyond: NDArray[np.bool_] = (far < -_REACH_BYTES) | (far >= _REACH_BYTES)
    return beyond


def _key(here: int, target: int, board: Board) -> tuple[str, int]:
    region = board.region_at(here)
    return region.name if region else "", target


def move(
    rows: Rows, delta: I64, layout: Layout, places: list[tuple[str, int]]
) -> tuple[MovedCode, list[int]]:
    """Return the code at its new addresses, the veneers behind it, and their addresses."""
    a = rows.arrays
    shift = delta[rows.row_span]
    target = np.where(a.target >= 0, a.target + delta[rows.target_span], a.target)
    address = a.address.astype(np.int64) + shift
    block_shift = shift[a.block_first] if len(a.block_first) else np.zeros(0, np.int64)
    moved = a._replace(
        address=address.astype(np.uint32), target=target,
        block_address=(a.block_address.astype(np.int64) + block_shift).astype(np.uint32),
    )  # fmt: skip
    if not places:
        return MovedCode(rows.instructions, rows.blocks, moved), []
    extra = Code()
    at: list[int] = []
    used: dict[str, int] = {}
    for region, _ in places:
        at.append(layout.veneer_addresses[region] + VENEER_BYTES * used.get(region, 0))
        used[region] = used.get(region, 0) + 1
        extra.add_block([decode(_VENEER, at[-1])])
    n = len(rows.instructions)
    blocks = rows.blocks + [(first + n, count) for first, count in extra.blocks]
    arrays = _joined(moved, extra.arrays())
    return MovedCode(rows.instructions + extra.instructions, blocks, arrays), at


def _joined(a: CodeArrays, b: CodeArrays) -> CodeArrays:
    columns: dict[str, NDArray[np.integer]] = {}
    for name in CodeArrays._fields:
        one, other = getattr(a, name), getattr(b, name)
        if name in ("read_first", "write_first"):
            other, one = other + one[-1], one[:-1]
        elif name == "block_first":
            other = other + len(a.address)
        columns[name] = np.concatenate([one, other.astype(one.dtype)])
    return CodeArrays(**columns)  # type: ignore[arg-type]


class Stream:
    """Turns the steps of a recording into what a timer takes under another map."""

    def __init__(
        self, recording: Recording, rows: Rows, delta: I64, veneers: Veneers, at: list[int]
    ) -> None:
        # modulo 4 GiB; the last one, -1, is of an access that did not happen
        self._delta = (np.append(delta, 0) & 0xFFFF_FFFF).astype(np.uint32)
        self._still = not delta.any()
        self._veneers, self._any = veneers, bool(at)
        self._literal = np.array([address + PIPELINE_BYTES for address in at], np.uint32)
        self._n = len(rows.blocks)
        self._address = rows.arrays.block_address.astype(np.int64)
        memory = np.concatenate(([0], np.cumsum(rows.arrays.mem_kind != 0)))
        first = rows.arrays.block_first
        self._accesses = memory[first + rows.arrays.block_count] - memory[first]
        self._last = -1
        self.inserted = 0

    def blocks(self, step: Step) -> tuple[I32, NDArray[np.uint32]]:
        """Return the blocks of a step and the addresses of their accesses."""
        address = step.address
        if not self._still:
            address = address + self._delta[step.span]
        if not self._any or not len(step.blocks):
            return step.blocks, address
        before = np.concatenate(([self._last], step.blocks[:-1]))
        self._last = int(step.blocks[-1])
        need = np.where(before >= 0, self._veneers.need[before], -1)
        gone = self._address[step.blocks] == self._veneers.target[before]
        places = np.flatnonzero((need >= 0) & gone)
        if not len(places):
            return step.blocks, address
        self.inserted += len(places)
        counted = np.cumsum(self._accesses[step.blocks])
        at = np.where(places > 0, counted[places - 1], 0)
        new = need[places]
        blocks = np.insert(step.blocks, places, new)
        return blocks, np.insert(address, at, self._literal[new - self._n])


def shifts(layout: Layout, recording: Recording) -> I64:
    """Return how far each span moves: int64[span]."""
    piece = recording.spans.piece
    moved: I64 = np.where(piece >= 0, layout.delta[piece], 0).astype(np.int64)
    return moved


def moved_event_value(value: int, recording: Recording, delta: I64) -> int:
    """Return the new address of the memory that a cache operation by address concerns."""
    span = int(recording.spans.at(np.array([value], np.int64))[0])
    return (value + int(delta[span])) & 0xFFFF_FFFF
