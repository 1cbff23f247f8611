"""What a check looks at: the costs of a run or a call, by a name that carries the unit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from m7sim.errors import InputError

if TYPE_CHECKING:
    from m7sim.profile.result import Result

Number = int | float
Totals = dict[str, Number]

ENERGY_DIGITS = 6  # more than the model knows, fewer than differ between machines


@dataclass(frozen=True)
class Metric:
    """A cost; less is better."""

    name: str
    meaning: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric("cycles", "at the core clock"),
        Metric("instructions", "executed"),
        Metric("stack_bytes", "deepest use below the stack pointer at entry; calls only"),
        Metric("code_bytes", "size of every function that was executed, each counted once"),
        Metric("energy_nj", "core and memories; only for boards with current data"),
    )
}


def check_metric(name: str, where: str) -> None:
    """Refuse a name that is no metric, with the nearest one that is."""
    if name not in METRICS:
        raise InputError(f"no metric {name!r}", where=where, do=known_names(name, METRICS))


def known_names(name: str, known: Iterable[str]) -> str:
    """Return advice naming what a person may have meant, and everything there is."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    there_are = f"There are: {', '.join(names)}"
    return f"Did you mean {close[0]}? {there_are}" if close else there_are


def measure(result: Result) -> Totals:
    """Return the costs of a run or a call.

    Raises
    ------
    InputError
        If it was executed without timing.
    """
    from m7sim.compare.record import code_bytes  # late: loads NumPy

    if result.profile is None:
        raise InputError("the result has no cycles to check", do="Leave time=False out")
    totals: Totals = {"cycles": result.cycles, "instructions": result.instructions}
    stack_bytes = getattr(result, "stack_bytes", None)
    if stack_bytes is not None:
        totals["stack_bytes"] = stack_bytes
    totals["code_bytes"] = code_bytes(result.profile)
    if result.energy is not None:
        totals["energy_nj"] = float(f"{result.energy.energy_nj:.{ENERGY_DIGITS}g}")
    return totals
