"""Accesses that trap on the core unless they are aligned.

The emulator lets all of them pass. On the core (Armv7-M ARM A3.2.1), accesses of several words and
of the floating-point registers have to be aligned to a word, and exclusive ones to their size,
wherever they go. Other loads and stores may be unaligned in Normal memory, but not in Device or
Strongly-ordered memory, and nowhere once the firmware has set CCR.UNALIGN_TRP.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.isa.code import NO_ACCESS, Code
from m7sim.isa.instruction import Branch, Instruction
from m7sim.isa.registers import NAMES
from m7sim.jit import kernel
from m7sim.sanitize.check import Batch, Context
from m7sim.sanitize.finding import Finding
from m7sim.timing.memorymap import decode_attributes
from m7sim.timing.state import DEVICE

KIND: Final = "unaligned_access"

# What the system map of Armv7-M (B3.1) makes of addresses outside of all memories of a board.
_DEVICE_BY_DEFAULT: Final = (
    (0x4000_0000, 0x6000_0000), (0xA000_0000, 0x1_0000_0000),
)  # fmt: skip
_DEVICE_KINDS: Final = ("peripheral", "system", "core")
_WORD_FORMS: Final = (
    "load_double", "load_multiple", "load_multiple_branch", "store_double", "store_multiple",
    "fp_load", "fp_load_double", "fp_load_multiple",
    "fp_store", "fp_store_double", "fp_store_multiple",
)  # fmt: skip
_EXCLUSIVE: Final = ("load_exclusive", "store_exclusive")
_ANYWHERE, _DEVICE_ONLY = 1, 2
_MOST_FOUND: Final = 4096  # per chunk; what happens so often, happens at few instructions

I64 = NDArray[np.int64]


class _Needs(NamedTuple):
    """Of each access of the plan: the bits that must be 0, and whether in all memory."""

    first: NDArray[np.int32]  # by block, as of the plan
    mask: NDArray[np.uint8]
    strict: NDArray[np.bool_]
    row: NDArray[np.int32]


class _NeedTable:
    """What all accesses of some code need; grows with it."""

    def __init__(self) -> None:
        self._first, self._mask, self._strict, self._row = [0], [0] * 0, [False] * 0, [0] * 0
        self._needs: _Needs | None = None

    def needs(self, code: Code, blocks: int) -> _Needs:
        known = len(self._first) - 1
        if self._needs is None or blocks != known:
            for start, count in code.blocks[known:blocks]:
                for row in range(start, start + count):
                    instruction = code.instructions[row]
                    if instruction.memory is not None:
                        bits, always = alignment(instruction)
                        self._mask.append(bits)
                        self._strict.append(always)
                        self._row.append(row)
                self._first.append(len(self._mask))
            self._needs = _Needs(
                np.array(self._first, np.int32), np.array(self._mask, np.uint8),
                np.array(self._strict, np.bool_), np.array(self._row, np.int32),
            )  # fmt: skip
        return self._needs


_kept: WeakKeyDictionary[Code, _NeedTable] = WeakKeyDictionary()  # from call to call


@kernel
def _search(
    blocks: NDArray[np.int32],
    addresses: NDArray[np.uint32],
    needs: _Needs,
    device: I64,
    everywhere: bool,
    found: I64,
) -> int:
    """Note (block position, instruction row, address, how) of accesses that trap."""
    count = 0
    at = 0
    for position in range(blocks.size):
        block = blocks[position]
        for access in range(needs.first[block], needs.first[block + 1]):
            address = addresses[at]
            at += 1
            if address & needs.mask[access] == 0 or address == NO_ACCESS:
                continue
            how = _ANYWHERE
            if not needs.strict[access] and not everywhere:
                how = 0
                for k in range(device.shape[0]):
                    if device[k, 0] <= address < device[k, 1]:
                        how = _DEVICE_ONLY
            if how != 0:
                if count < found.shape[0]:
                    found[count, 0] = position
                    found[count, 1] = needs.row[access]
                    found[count, 2] = address
                    found[count, 3] = how
                count += 1
    return count


class AlignmentCheck:
    """Finds unaligned accesses that trap."""

    registers: tuple[int, ...] = ()

    def begin(self, context: Context) -> None:
        """Prepare for a run or call."""
        self._context = context
        self._findings: list[Finding] = []
        self._table = _kept.setdefault(context.code, _NeedTable())
        self._found: I64 = np.zeros((_MOST_FOUND, 4), np.int64)

    def feed(self, batch: Batch) -> None:
        """Check the accesses of one chunk."""
        self._look()  # rules are the same for a whole chunk: it ends before they change
        needs = self._table.needs(self._context.code, len(batch.plan.access_first) - 1)
        count = _search(
            batch.chunk.blocks, batch.addresses, needs, self._device, self._traps, self._found
        )
        for position, row, address, how in self._found[: min(count, _MOST_FOUND)].tolist():
            self._tell(batch, position, row, address, how)

    def host_call(self) -> None:
        pass

    def host_wrote(self, address: int, size_bytes: int) -> None:
        pass

    def end(self) -> list[Finding]:
        """Return what was found, in the order it happened.

        Unaligned exclusive accesses do end a run in the emulator: then the instruction is still to
        be executed.
        """
        read = self._context.read_register
        code, pc = self._context.code, read("pc") & ~1
        rows = [row for row, each in enumerate(code.instructions) if each.address == pc]
        for row in rows[:1]:
            instruction = code.instructions[row]
            bits, _ = alignment(instruction)
            if instruction.memory is not None and instruction.klass in _EXCLUSIVE:
                linear = instruction.memory.address
                terms = [times * read(NAMES[register]) for register, times in linear.terms]
                address = (linear.constant + sum(terms)) & 0xFFFF_FFFF
                if address & bits:
                    self._findings.append(self._finding(instruction, address, 0, -1))
        return self._findings

    def _look(self) -> None:
        system = self._context.system
        self._traps = system.traps_unaligned
        regions = system.mpu_regions if system.mpu_on else {}
        self._device = device_spans(self._context.board, regions)

    def _tell(self, batch: Batch, position: int, row: int, address: int, how: int) -> None:
        instruction = self._context.code.instructions[row]
        first = batch.code.block_first[batch.chunk.blocks[position]]
        number = int(batch.instruction_first[position]) + row - int(first)
        self._findings.append(self._finding(instruction, address, how, number))

    def _finding(self, instruction: Instruction, address: int, how: int, number: int) -> Finding:
        memory = instruction.memory
        bits, strict = alignment(instruction)
        if strict:
            why = f"this instruction traps unless aligned to {bits + 1}"
        elif how == _DEVICE_ONLY:
            why = "unaligned accesses to Device memory trap"
        else:
            why = "the firmware has set CCR.UNALIGN_TRP"
        verb = "reads" if memory is not None and memory.load else "writes"
        size_bytes = memory.unit_bytes * memory.count if memory is not None else 0
        what = f"{verb} {size_bytes} bytes at unaligned 0x{address:08x}: {why}"
        return self._context.finding(
            KIND, instruction.address, what,
            address=address, size_bytes=size_bytes, instruction=number,
        )  # fmt: skip


def alignment(instruction: Instruction) -> tuple[int, bool]:
    """Return which low bits of an address should be 0, and whether they must in all memory.

    Source: Armv7-M ARM A3.2.1.
    """
    memory = instruction.memory
    if memory is None or instruction.branch == Branch.TABLE:
        return 0, False
    if instruction.klass in _WORD_FORMS:
        return 3, True
    return memory.unit_bytes - 1, instruction.klass in _EXCLUSIVE


def device_spans(board: Board, mpu: dict[int, tuple[int, int]]) -> I64:
    """Return [start, end) spans of Device and Strongly-ordered memory, int64[n, 2].

    Parameters
    ----------
    mpu
        Region number -> (RBAR, RASR); of overlapping regions the highest counts (B3.5).
    """
    edges = {edge for span in _DEVICE_BY_DEFAULT for edge in span}
    edges |= {edge for region in board.regions for edge in (region.start, region.end)}
    painted: list[tuple[int, int, bool]] = []
    for number in sorted(mpu):
        rbar, rasr = mpu[number]
        if rasr & 1:
            device = decode_attributes(rasr).kind == DEVICE
            painted += [(low, high, device) for low, high in _mpu_spans(rbar, rasr)]
    edges |= {edge for low, high, _ in painted for edge in (low, high)}
    corners = sorted(edges)
    spans = [(low, high) for low, high in pairwise(corners) if _is_device(low, board, painted)]
    return np.array(spans, np.int64).reshape(-1, 2)


def _is_device(address: int, board: Board, painted: list[tuple[int, int, bool]]) -> bool:
    region = board.region_at(address)
    if region is not None and region.tcm:
        return False  # Normal memory whatever the MPU says
    if address < 0xE000_0000:
        for low, high, device in reversed(painted):
            if low <= address < high:
                return device
    if region is not None and region.kind in _DEVICE_KINDS:
        return True
    return any(low <= address < high for low, high in _DEVICE_BY_DEFAULT)


def _mpu_spans(rbar: int, rasr: int) -> list[tuple[int, int]]:
    """Return what an MPU region covers, without its disabled eighths."""
    size = 2 << (rasr >> 1 & 31)
    base = rbar & ~(size - 1) & 0xFFFF_FFE0
    disabled = rasr >> 8 & 0xFF if size >= 256 else 0
    eighth = size // 8
    return [(base + k * eighth, base + (k + 1) * eighth) for k in range(8) if not disabled >> k & 1]


__all__ = ["KIND", "AlignmentCheck", "alignment", "device_spans"]
