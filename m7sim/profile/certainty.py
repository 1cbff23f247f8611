"""How sure the timing is: which rows of the core table a run used, and what backs them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from m7sim.core import Core
from m7sim.isa.classes import CLASSES
from m7sim.isa.code import Code
from m7sim.profile.result import RowUse

# From well backed to not at all.
RANK = ("measured", "documented", "calibrated", "inferred", "guess")


def backing(core: Core, name: str) -> tuple[str, str]:
    """Return confidence and sources of a class: those of its least certain part.

    A class has its own row (slots, units) and refers to rows of the latency matrix.
    """
    row = core.tables.classes[name]
    parts = [row.provenance]
    parts += [
        core.tables.latencies[latency].provenance
        for latency in (row.latency, row.latency_early)
        if latency is not None
    ]
    worst = max(parts, key=lambda p: RANK.index(p.confidence))
    return worst.confidence, ", ".join(worst.source)


def row_uses(core: Core, code: Code, executions: NDArray[np.int64]) -> tuple[RowUse, ...]:
    """Return the rows that executed instructions used, most executed first."""
    klass = code.arrays().klass[: len(executions)]
    counts = np.zeros(len(CLASSES), np.int64)
    np.add.at(counts, klass, executions)
    order = np.argsort(-counts, kind="stable")
    return tuple(
        RowUse(CLASSES[k], *backing(core, CLASSES[k]), int(counts[k])) for k in order if counts[k]
    )


def guessed_parameters(core: Core) -> tuple[str, ...]:
    """Return the structural parameters that nothing public supports, with their values."""
    return tuple(
        f"{name} = {row.value}"
        for name, row in core.tables.parameters.items()
        if row.provenance.confidence == "guess"
    )
