"""Branches of a run: how often each was executed, taken, and predicted wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from m7sim.isa.code import Code
from m7sim.timing.result import BranchCounts

if TYPE_CHECKING:
    from m7sim.profile.attribution import Source


@dataclass(frozen=True)
class BranchCost:
    """One branch instruction.

    ``penalty_cycles`` is the refill after its wrong predictions; those cycles are charged to the
    instructions that came after, so they are part of other lines and functions as well.
    """

    address: int
    text: str
    function: str
    file: str
    line: int
    executed: int
    taken: int
    mispredicted: int
    penalty_cycles: int


def branch_costs(image: Source, code: Code, counts: BranchCounts) -> tuple[BranchCost, ...]:
    """Return the branches that were executed, the costliest wrong predictions first.

    Blocks may overlap: rows of one address become one branch. Equal costs are in order of address.
    """
    rows = np.flatnonzero(counts.executed)
    address, first, group = np.unique(
        code.arrays().address[rows], return_index=True, return_inverse=True
    )
    sums = np.zeros((len(address), 4), np.int64)
    columns = (counts.executed, counts.taken, counts.mispredicted, counts.penalty_cycles)
    np.add.at(sums, group, np.stack([column[rows] for column in columns], axis=1))
    branches = []
    for k, at in enumerate(address.tolist()):
        line, function = image.line_at(at), image.function_at(at)
        executed, taken, mispredicted, penalty = sums[k].tolist()
        branches.append(
            BranchCost(
                address=at,
                text=code.instructions[int(rows[first[k]])].text,
                function=function.name if function else "",
                file=line.file if line else "",
                line=line.line if line else 0,
                executed=executed,
                taken=taken,
                mispredicted=mispredicted,
                penalty_cycles=penalty,
            )
        )
    return tuple(sorted(branches, key=lambda b: (-b.penalty_cycles, -b.mispredicted, b.address)))
