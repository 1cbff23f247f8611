"""Limits: how much worse than its baseline, or how large at all, a metric may be.

| text | meaning |
| --- | --- |
| ``1%`` | up to 1 % more than the baseline |
| ``+16`` | up to 16 more than the baseline |
| ``12000`` | up to 12 000, whatever the baseline says |
| ``off`` | not looked at |
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from m7sim.errors import InputError
from m7sim.regress.metrics import METRICS, Number, check_metric
from m7sim.units import format_count

_NUMBER = re.compile(r"\d[\d_]*(?:\.\d+)?(?:[eE]\d+)?")
_FORMS = "Write 1% (over the baseline), +16 (over the baseline), 12000 (at most), or off"


@dataclass(frozen=True)
class Limit:
    """One limit; ``kind`` is ``percent``, ``plus``, ``most`` or ``off``."""

    kind: str
    value: float = 0.0

    @classmethod
    def parse(cls, text: str | Number, where: str) -> Limit:
        """Return the limit that a text or a number means.

        Raises
        ------
        InputError
            If it is none.
        """
        if isinstance(text, (int, float)) and not isinstance(text, bool):
            if text >= 0:
                return cls("most", float(text))
            raise InputError(f"limit {text} is negative", where=where, do=_FORMS)
        word = str(text).replace(" ", "")
        if word == "off":
            return cls("off")
        number = word.removeprefix("+").removesuffix("%")
        if not _NUMBER.fullmatch(number) or (word[0] == "+" and word[-1] == "%"):
            raise InputError(f"limit {text!r} cannot be read", where=where, do=_FORMS)
        kind = "plus" if word[0] == "+" else "percent" if word[-1] == "%" else "most"
        return cls(kind, float(number))

    def most(self, before: Number | None) -> float | None:
        """Return the largest value that is allowed; None if there is no such thing."""
        if self.kind == "most":
            return self.value
        if self.kind == "off" or before is None:
            return None
        return before + (self.value if self.kind == "plus" else before * self.value / 100)

    def __str__(self) -> str:
        match self.kind:
            case "percent":
                return f"{self.value:g} %"
            case "plus":
                return f"+{self.value:g}"
            case "most":
                return f"at most {format_count(self.value)}"
        return "off"


ZERO = Limit("percent", 0.0)
OFF = Limit("off")
ANYTHING = Limit("plus", math.inf)
Limits = Mapping[str, Limit]
LimitsGiven = str | Mapping[str, str | Number]
HARD: dict[str, Limit] = dict.fromkeys(METRICS, ZERO)  # runs are deterministic


def parse_limits(given: LimitsGiven, where: str) -> dict[str, Limit]:
    """Return limits by metric, from ``cycles=1% stack_bytes=512`` or from a mapping.

    Raises
    ------
    InputError
        For an unknown metric or a limit that cannot be read.
    """
    if isinstance(given, Mapping):
        pairs = [(str(name), value) for name, value in given.items()]
    else:
        pairs = []
        for part in re.split(r"[\s,]+", given.strip()):
            name, sign, value = part.partition("=")
            if part and not (sign and value):
                raise InputError(f"{part!r} is no limit", where=where, do="Write it like cycles=1%")
            if part:
                pairs.append((name, value))
    limits = {}
    for name, value in pairs:
        check_metric(name, where)
        limits[name] = Limit.parse(value, f"{where}, {name}")
    return limits


def format_limits(limits: Limits) -> str:
    """Return limits in one line, those of the same value together."""
    by_text: dict[str, list[str]] = {}
    for name in METRICS:
        if name in limits:
            by_text.setdefault(str(limits[name]), []).append(name)
    if len(by_text) == 1 and len(next(iter(by_text.values()))) == len(METRICS):
        return next(iter(by_text))
    return ", ".join(f"{' '.join(names)} {text}" for text, names in by_text.items())
