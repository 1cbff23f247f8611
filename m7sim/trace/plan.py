"""How the addresses of one block are found: which registers to read, and what to add up.

Every access gets the cheapest of three ways:

* registers at block *entry*, when the address is a pure function of them: linear, or by way of
  *steps* (and, shift, multiply …: see :mod:`m7sim.trace.pure`);
* registers at block *exit* as well: a base that a load produced is often still in its register,
  or in one that differs from it by a constant, when the block ends;
* a *site*: an instruction hook that reads the registers on the spot. Predicated accesses are
  always sites, because the hook fires only when the access happens.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.instruction import Instruction
from m7sim.trace.form import DERIVED, EXIT, MASK, OPAQUE, Form, Step, atom_form
from m7sim.trace.linear import ReadWord, Walk, conditional, walk

OWN = DERIVED << 1  # atoms of a plan: what its steps compute

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

    ``access`` has one entry per instruction with memory: a form over entry registers, exit
    registers and results of ``steps``, or the address of the site instruction. Steps are over the
    same registers and over steps before them. ``extra`` are registers that are recorded at entry
    as well, before the others, because somebody else asked for them.
    """

    entry: tuple[int, ...]
    exit: tuple[int, ...]
    access: tuple[Form | int, ...]
    sites: tuple[Site, ...]
    steps: tuple[Step, ...] = ()
    extra: tuple[int, ...] = ()

    @property
    def at_entry(self) -> tuple[int, ...]:
        """All registers recorded at entry, in order."""
        return self.extra + self.entry


def plan_block(
    instructions: list[Instruction],
    data: bytes,
    read_constant: ReadWord,
    *,
    entry: tuple[int, ...] | None = None,
    lost: Collection[int] = (),
    extra: tuple[int, ...] = (),
) -> BlockPlan:
    """Choose how each address of a block is reconstructed.

    ``entry``, when given, are the entry registers that were already recorded (for the executed
    part of a block that did not end); an access that would need others becomes a site. ``lost``
    are registers that do not hold at exit what the instructions made them.
    """
    result = walk(instructions, data, read_constant)
    solver = _Solver(result, entry, lost)
    choices: list[Form | int] = []
    sites: list[Site] = []
    atoms: set[int] = set()
    for instruction, form in zip(instructions, result.access, strict=True):
        memory = instruction.memory
        if memory is None or form is None:
            continue
        solved = None if conditional(instruction) else solver.solve(form)
        if solved is None:
            sites.append(Site(instruction.address, memory.address.constant, memory.address.terms))
            choices.append(instruction.address)
        else:
            atoms |= solver.needs(solved)
            solver.used_exits |= {atom for atom in atoms if EXIT <= atom < OPAQUE}
            choices.append(solved)
    used = sorted(atom for atom in atoms if atom >= OWN)
    renamed = {atom: OWN + i for i, atom in enumerate(used)}
    steps = [list(solver.steps)[atom - OWN] for atom in used]
    return BlockPlan(
        entry=tuple(sorted(a for a in atoms if a < EXIT)) if entry is None else entry,
        exit=tuple(sorted(a - EXIT for a in atoms if EXIT <= a < OPAQUE)),
        access=tuple(_renamed(c, renamed) if isinstance(c, Form) else c for c in choices),
        sites=tuple(sites),
        steps=tuple(
            Step(s.operation, _renamed(s.a, renamed), _renamed(s.b, renamed)) for s in steps
        ),
        extra=extra,
    )


def _renamed(form: Form, atoms: dict[int, int]) -> Form:
    return Form(form.constant, tuple((atoms.get(atom, atom), c) for atom, c in form.terms))


class _Solver:
    """Replaces what only the walk knows by exit registers and by steps over known values."""

    def __init__(self, result: Walk, entry: Collection[int] | None, lost: Collection[int]) -> None:
        self.result, self.entry, self.lost = result, entry, lost
        self.steps: dict[Step, int] = {}
        self.used_exits: set[int] = set()
        self._known: dict[int, Form | None] = {}

    def solve(self, form: Form) -> Form | None:
        """Return the form over recorded registers and own steps; None when there is none."""
        for atom in form.unknown:
            if atom not in self._known:
                self._known[atom] = self._derived(atom) or self._survivor(atom)
            known = self._known[atom]
            if known is None:
                return None
            coefficient = form.coefficient(atom)
            form = form.plus(atom_form(atom), -coefficient).plus(known, coefficient)
        return form if self._recorded(form) else None

    def _recorded(self, form: Form) -> bool:
        return self.entry is None or all(a in self.entry for a, _ in form.terms if a < EXIT)

    def _derived(self, atom: int) -> Form | None:
        if atom < DERIVED:
            return None
        step = self.result.steps[atom - DERIVED]
        a, b = self.solve(step.a), self.solve(step.b)
        if a is None or b is None:
            return None
        number = self.steps.setdefault(Step(step.operation, a, b), len(self.steps))
        return atom_form(OWN + number)

    def _survivor(self, atom: int) -> Form | None:
        """Find a register that at exit is the atom, but for a factor and recorded registers."""
        candidates = [
            register
            for register, final in enumerate(self.result.final)
            if register not in self.lost
            and final.unknown == [atom]
            and final.coefficient(atom) & 1
            and self._recorded(final)
        ]
        if not candidates:
            return None
        register = min(candidates, key=lambda r: (EXIT + r not in self.used_exits, r))
        final = self.result.final[register]
        inverse = pow(final.coefficient(atom), -1, MASK + 1)  # exit = odd × atom + rest
        rest = final.plus(atom_form(atom), -final.coefficient(atom))
        return Form().plus(atom_form(EXIT + register), inverse).plus(rest, -inverse)

    def needs(self, form: Form) -> set[int]:
        """Return the recorded registers and own steps that a form needs, directly or not."""
        found: set[int] = set()
        todo = [atom for atom, _ in form.terms]
        steps = list(self.steps)
        while todo:
            atom = todo.pop()
            if atom in found:
                continue
            found.add(atom)
            if atom >= OWN:
                step = steps[atom - OWN]
                todo += [atom for atom, _ in step.a.terms + step.b.terms]
        return found


class PlanArrays(NamedTuple):
    """The plans of all blocks as columns, for :func:`m7sim.trace.chunk.resolve`."""

    access_first: I32  # [blocks + 1] first access of each block
    # [blocks] values recorded per execution: extra and entry registers, then exit registers
    values: I32
    constant: U32  # [accesses]
    site: NDArray[np.int64]  # [accesses] address of the site instruction, -1 for none
    term_first: I32  # [accesses + 1]
    # [terms] index into the values recorded for the block, followed by the results of its steps
    term_value: I32
    term_coefficient: I32  # [terms]
    step_first: I32  # [blocks + 1] first step of each block
    step_operation: I32  # [steps], of m7sim.trace.pure
    operand_constant: U32  # [2 × steps]: first and second operand of each step, as accesses are
    operand_term_first: I32  # [2 × steps + 1]
    operand_term_value: I32
    operand_term_coefficient: I32


def plan_arrays(plans: list[BlockPlan]) -> PlanArrays:
    """Lay out the plans of all blocks, in order of block id."""
    access_first, step_first = [0], [0]
    sites: list[int] = []
    operations: list[int] = []
    addresses, operands = _Forms(), _Forms()
    for plan in plans:
        atoms = [*plan.entry, *(EXIT + register for register in plan.exit)]
        atoms += [OWN + i for i in range(len(plan.steps))]
        index = {atom: i for i, atom in enumerate(atoms, len(plan.extra))}
        for choice in plan.access:
            sites.append(choice if isinstance(choice, int) else -1)
            addresses.add(choice if isinstance(choice, Form) else Form(), index)
        for step in plan.steps:
            operations.append(step.operation)
            operands.add(step.a, index)
            operands.add(step.b, index)
        access_first.append(len(sites))
        step_first.append(len(operations))
    return PlanArrays(
        np.array(access_first, np.int32),
        np.array([len(p.at_entry) + len(p.exit) for p in plans], np.int32),
        np.array(addresses.constants, np.uint32),
        np.array(sites, np.int64),
        *addresses.terms(),
        np.array(step_first, np.int32),
        np.array(operations, np.int32),
        np.array(operands.constants, np.uint32),
        *operands.terms(),
    )


class _Forms:
    """Forms as columns."""

    def __init__(self) -> None:
        self.constants: list[int] = []
        self._first, self._values, self._coefficients = [0], [0] * 0, [0] * 0

    def add(self, form: Form, index: dict[int, int]) -> None:
        self.constants.append(form.constant)
        self._values += [index[atom] for atom, _ in form.terms]
        self._coefficients += [coefficient for _, coefficient in form.terms]
        self._first.append(len(self._values))

    def terms(self) -> tuple[I32, I32, I32]:
        """Return where the terms of each form begin, their values and coefficients."""
        return (
            np.array(self._first, np.int32),
            np.array(self._values, np.int32),
            np.array(self._coefficients, np.uint32).view(np.int32),
        )
