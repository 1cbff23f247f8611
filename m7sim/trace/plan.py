"""How the addresses of one block are found: which registers to read, and what to add up.

Every access gets the cheapest of three ways:

* registers at block *entry*, when the address is linear in them;
* registers at block *exit* as well: a base that a load produced is often still in its register,
  or in one that differs from it by a constant, when the block ends;
* a *site*: an instruction hook that reads the registers on the spot. Predicated accesses are
  always sites, because the hook fires only when the access happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.instruction import Instruction
from m7sim.isa.registers import PC
from m7sim.trace.linear import (
    EXIT,
    MASK,
    Form,
    ReadWord,
    Walk,
    atom_form,
    conditional,
    walk,
)

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Site:
    """An instruction whose address is computed by a hook, from registers as they are there."""

    address: int
    constant: int
    terms: tuple[tuple[int, int], ...]  # (register, coefficient), at most two


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """What to record for a block, and how to add it up.

    ``access`` has one entry per instruction with memory: a form over entry and exit registers, or
    the address of the site instruction.
    """

    entry: tuple[int, ...]
    exit: tuple[int, ...]
    access: tuple[Form | int, ...]
    sites: tuple[Site, ...]


def plan_block(
    instructions: list[Instruction],
    data: bytes,
    read_constant: ReadWord,
    *,
    entry: tuple[int, ...] | None = None,
) -> BlockPlan:
    """Choose how each address of a block is reconstructed.

    ``entry``, when given, are the entry registers that were already recorded (for the executed
    part of a block that did not end); an access that would need others becomes a site.
    """
    result = walk(instructions, data, read_constant)
    choices: list[Form | int] = []
    sites: list[Site] = []
    used_exits: set[int] = set()
    for instruction, form in zip(instructions, result.access, strict=True):
        memory = instruction.memory
        if memory is None or form is None:
            continue
        solved = None if conditional(instruction) else _solve(form, result, used_exits)
        if solved is not None and entry is not None:
            needed = {atom for atom, _ in solved.terms if atom < EXIT}
            solved = solved if needed <= set(entry) else None
        if solved is None:
            sites.append(Site(instruction.address, memory.address.constant, memory.address.terms))
            choices.append(instruction.address)
        else:
            used_exits |= {atom for atom, _ in solved.terms if atom >= EXIT}
            choices.append(solved)
    atoms = {atom for c in choices if isinstance(c, Form) for atom, _ in c.terms}
    return BlockPlan(
        entry=tuple(sorted(a for a in atoms if a < EXIT)) if entry is None else entry,
        exit=tuple(sorted(a - EXIT for a in atoms if a >= EXIT)),
        access=tuple(choices),
        sites=tuple(sites),
    )


def _solve(form: Form, result: Walk, preferred: set[int]) -> Form | None:
    """Replace opaque values by exit registers; None when one does not survive."""
    for opaque in form.opaque:
        coefficient = form.coefficient(opaque)
        candidates = [
            register
            for register in range(PC)
            if result.final[register].opaque == [opaque]
            and result.final[register].coefficient(opaque) & 1
        ]
        if not candidates:
            return None
        register = min(candidates, key=lambda r: (EXIT + r not in preferred, r))
        final = result.final[register]
        odd = final.coefficient(opaque)
        factor = coefficient * pow(odd, -1, MASK + 1)  # exit = odd × opaque + rest
        # form − (coefficient / odd) × final + (coefficient / odd) × exit: the opaque value cancels
        form = form.plus(final, -factor).plus(atom_form(EXIT + register), factor)
    return form


class PlanArrays(NamedTuple):
    """The plans of all blocks as columns, for :func:`m7sim.trace.chunk.resolve`."""

    access_first: I32  # [blocks + 1] first access of each block
    values: I32  # [blocks] values recorded per execution: entry registers, then exit registers
    constant: U32  # [accesses]
    site: NDArray[np.int64]  # [accesses] address of the site instruction, -1 for none
    term_first: I32  # [accesses + 1]
    term_value: I32  # [terms] index into the values recorded for the block
    term_coefficient: I32  # [terms]


def plan_arrays(plans: list[BlockPlan]) -> PlanArrays:
    """Lay out the plans of all blocks, in order of block id."""
    access_first, term_first = [0], [0]
    constants: list[int] = []
    sites: list[int] = []
    term_value: list[int] = []
    coefficients: list[int] = []
    for plan in plans:
        index = {register: i for i, register in enumerate(plan.entry)}
        index |= {EXIT + register: len(plan.entry) + i for i, register in enumerate(plan.exit)}
        for choice in plan.access:
            form = choice if isinstance(choice, Form) else Form()
            sites.append(choice if isinstance(choice, int) else -1)
            constants.append(form.constant)
            for atom, coefficient in form.terms:
                term_value.append(index[atom])
                coefficients.append(coefficient)
            term_first.append(len(term_value))
        access_first.append(len(constants))
    return PlanArrays(
        access_first=np.array(access_first, np.int32),
        values=np.array([len(p.entry) + len(p.exit) for p in plans], np.int32),
        constant=np.array(constants, np.uint32),
        site=np.array(sites, np.int64),
        term_first=np.array(term_first, np.int32),
        term_value=np.array(term_value, np.int32),
        term_coefficient=np.array(coefficients, np.uint32).view(np.int32),
    )
