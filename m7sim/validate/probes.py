"""Probes: facts about the core, each with the experiment that shows it.

A fact says how many cycles something takes, who measured or documented it, and of which grade that
is. Its probe is a piece of assembly that is run at n and at 2n copies; the difference, divided by
n, is what one copy takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from m7sim.board import Board

GRADES = {
    "V": "vendor document",
    "M": "measured on silicon by a third party",
    "C": "compiler or scheduler model",
    "2nd": "second-hand quote",
    "I": "inference",
}
TEMPLATES = {"straight": 8, "fenced": 4, "loop": 20}  # and how many copies n are by default
PAIR_COPIES = 2
FP_FENCES = 6  # further than a result or a block of the FPU reaches (VMLA to VMUL: 6)
TOLERANCE_CYCLES = 0.05


FEATURES: Mapping[str, Callable[[Board], bool]] = {
    "double_precision": lambda board: board.double_precision,
    "tcm_ecc": lambda board: board.ram_ecc,
    "tcm_without_ecc": lambda board: not board.ram_ecc,
}


@dataclass(frozen=True)
class Probe:
    """An experiment: ``text`` is one copy, run ``copies`` times and twice as often.

    ``template`` names a file of ``firmware/probes``; ``fences`` and ``offset_bytes`` are for the
    templates that know them; ``applies`` names features a board must have.
    """

    id: str
    text: str
    template: str = "fenced"
    setup: str = ""
    data: str = ""
    copies: int = 4
    fences: int = 1
    offset_bytes: int = 0
    applies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fact:
    """What a copy of the probe of the same id takes, less ``subtract_cycles`` for what is known."""

    id: str
    meaning: str
    grade: str
    expected_cycles: float
    subtract_cycles: float
    tolerance_cycles: float
    source: str
    choice: str
    probe: Probe


@dataclass(frozen=True)
class Kind:
    """A kind of instruction in the pairing matrix."""

    name: str
    label: str
    text: str
    setup: str
    figure: bool
    fp: bool
    cycles: int

    def as_older(self) -> str:
        return self.text.format(d="r0", f="s0")

    def as_younger(self) -> str:
        return self.text.format(d="r1", f="s1")


@dataclass(frozen=True)
class NotMeasured:
    """A fact that no probe can show, and why."""

    id: str
    grade: str
    reason: str


@dataclass(frozen=True)
class Facts:
    """Everything in the tables.

    ``probes`` has those of the facts and, after them, those that only the matrix picture needs.
    """

    facts: tuple[Fact, ...]
    probes: tuple[Probe, ...]
    kinds: Mapping[str, Kind]
    exceptions: Mapping[str, str]
    not_measured: tuple[NotMeasured, ...]
    features: Mapping[str, str]

    def why_not(self, probe: Probe, board: Board) -> str:
        """Say why a probe does not apply to a board; "" when it does."""
        lacking = [name for name in probe.applies if not FEATURES[name](board)]
        return "; ".join(self.features[name] for name in lacking)

    def of_board(self, board: Board) -> tuple[Probe, ...]:
        """Return the probes that apply to a board."""
        return tuple(probe for probe in self.probes if not self.why_not(probe, board))


def pair_id(older: str, younger: str) -> str:
    """Return the id of a cell of the pairing matrix."""
    return f"pair.{older}.{younger}"
