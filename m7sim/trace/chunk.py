"""A chunk: what a stretch of execution recorded; and the addresses that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import NO_ACCESS
from m7sim.jit import kernel
from m7sim.trace.form import MASK
from m7sim.trace.plan import PlanArrays
from m7sim.trace.pure import evaluate

_NO_ACCESS = np.uint32(NO_ACCESS)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a run: whole blocks in the order of execution.

    Attributes
    ----------
    blocks
        int32[n], ids into the run's ``Code``.
    values
        uint32[…]: per block its entry registers, then its exit registers, as its plan lists them.
    site_block
        int32[e], position in ``blocks`` of each site event; ascending.
    site_pc
        uint32[e], address of the instruction that fired.
    site_address
        uint32[e], the address it accessed.
    """

    blocks: NDArray[np.int32]
    values: NDArray[np.uint32]
    site_block: NDArray[np.int32]
    site_pc: NDArray[np.uint32]
    site_address: NDArray[np.uint32]

    @property
    def stored_bytes(self) -> int:
        return sum(getattr(self, name).nbytes for name in self.__slots__)


def resolve(
    chunk: Chunk, plan: PlanArrays, room: NDArray[np.uint32] | None = None
) -> NDArray[np.uint32]:
    """Reconstruct the start address of every access of a chunk.

    Parameters
    ----------
    room
        Array that the addresses are put into if they fit; without it they get a new one.

    Returns
    -------
    numpy.ndarray
        uint32[m]: for every block in order, for every instruction with memory in row order, its
        start address, or ``NO_ACCESS`` when it is predicated and did not happen.
    """
    count = int(_accesses(chunk.blocks, plan.access_first))
    if room is None or count > room.size:
        room = np.empty(count, np.uint32)
    out = room[:count]
    recorded = plan.values.astype(np.int64) + np.diff(plan.step_first)
    work = np.zeros(int(recorded.max(initial=0)), np.uint32)
    _resolve(
        chunk.blocks, chunk.values, chunk.site_block, chunk.site_pc, chunk.site_address, plan, work,
        out,
    )  # fmt: skip
    return out


@kernel
def _accesses(blocks: NDArray[np.int32], access_first: NDArray[np.int32]) -> int:
    count = 0
    for n in range(blocks.size):
        block = np.uint64(blocks[n])
        count += int(access_first[block + np.uint64(1)]) - int(access_first[block])
    return count


@kernel
def _step(
    block: np.uint64,
    values: NDArray[np.uint32],
    value: np.uint64,
    plan: PlanArrays,
    work: NDArray[np.uint32],
) -> None:
    """Put the values recorded for an execution into ``work``, and behind them those of its steps.

    ``value`` is the position of the first one recorded.
    """
    n = np.int64(plan.values[block])
    for i in range(n):
        work[i] = values[np.int64(value) + i]
    for step in range(plan.step_first[block], plan.step_first[block + np.uint64(1)]):
        a, b = np.int64(0), np.int64(0)
        for operand in range(2 * step, 2 * step + 2):
            total = np.int64(plan.operand_constant[operand])
            for term in range(
                plan.operand_term_first[operand], plan.operand_term_first[operand + 1]
            ):
                total += np.int64(plan.operand_term_coefficient[term]) * np.int64(
                    work[plan.operand_term_value[term]]
                )
                total &= MASK
            a, b = b, total
        work[n] = np.uint32(evaluate(plan.step_operation[step], int(a), int(b)))
        n += 1


@kernel
def _resolve(
    blocks: NDArray[np.int32],
    values: NDArray[np.uint32],
    site_block: NDArray[np.int32],
    site_pc: NDArray[np.uint32],
    site_address: NDArray[np.uint32],
    plan: PlanArrays,
    work: NDArray[np.uint32],
    out: NDArray[np.uint32],
) -> None:
    access_first, n_values, constant = plan.access_first, plan.values, plan.constant
    sites, term_first = plan.site, plan.term_first
    term_value, term_coefficient = plan.term_value, plan.term_coefficient
    n_events = site_block.size
    value = np.uint64(0)  # unsigned indices need no look at their sign
    event = 0
    row = np.uint64(0)
    one = np.uint64(1)
    for n in range(blocks.size):
        block = np.uint64(blocks[n])
        stepped = plan.step_first[block] < plan.step_first[block + one]
        if stepped:
            _step(block, values, value, plan, work)
        access, end = np.uint64(access_first[block]), np.uint64(access_first[block + one])
        while access < end:
            site = sites[access]
            if site < 0:
                address = np.int64(constant[access])
                term, last = np.uint64(term_first[access]), np.uint64(term_first[access + one])
                while term < last:
                    index = np.uint64(term_value[term])
                    operand = work[index] if stepped else values[value + index]
                    address += np.int64(term_coefficient[term]) * np.int64(operand)
                    term += one
                out[row] = np.uint32(address & 0xFFFFFFFF)
            else:
                # Events of instructions that another block needed as sites are passed over.
                while event < n_events and site_block[event] == n and site_pc[event] < site:
                    event += 1
                if event < n_events and site_block[event] == n and site_pc[event] == site:
                    out[row] = site_address[event]
                    event += 1
                else:
                    out[row] = _NO_ACCESS
            access += one
            row += one
        while event < n_events and site_block[event] == n:
            event += 1
        value += np.uint64(n_values[block])
