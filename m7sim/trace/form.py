"""Linear forms over register snapshots.

A form is ``constant + Σ coefficient × atom`` modulo 2**32. An atom is the value of a core register
at the entry of the block (its number, 0 … 14), a register at the exit of the block
(``EXIT`` + number), a value that nothing describes, such as a loaded word (``OPAQUE`` + running
number), or what a step computes from two forms (``DERIVED`` + running number).
"""

from __future__ import annotations

from dataclasses import dataclass

MASK = 0xFFFF_FFFF
EXIT = 32
OPAQUE = 64
DERIVED = 1 << 20


@dataclass(frozen=True, slots=True)
class Form:
    constant: int = 0
    terms: tuple[tuple[int, int], ...] = ()  # (atom, coefficient), by atom, no zero coefficients

    def plus(self, other: Form, factor: int = 1) -> Form:
        """Return ``self + factor × other``."""
        sums = dict(self.terms)
        for atom, coefficient in other.terms:
            sums[atom] = (sums.get(atom, 0) + factor * coefficient) & MASK
        terms = tuple(sorted((atom, c) for atom, c in sums.items() if c))
        return Form((self.constant + factor * other.constant) & MASK, terms)

    def coefficient(self, atom: int) -> int:
        return dict(self.terms).get(atom, 0)

    @property
    def unknown(self) -> list[int]:
        """Its opaque and derived atoms."""
        return [atom for atom, _ in self.terms if atom >= OPAQUE]


@dataclass(frozen=True, slots=True)
class Step:
    """An operation of `m7sim.trace.pure` on two forms; a derived atom is its result."""

    operation: int
    a: Form
    b: Form


def atom_form(atom: int) -> Form:
    return Form(0, ((atom, 1),))


def constant(value: int) -> Form:
    return Form(value & MASK)
