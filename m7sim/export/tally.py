"""Counts of one source file, and their sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from itertools import zip_longest
from typing import Any

# Program (or "" for a file that was read) and address (or block) → times each way was gone; None:
# never reached
Branches = dict[tuple[str, int], tuple[int | None, ...]]


@dataclass
class FileCoverage:
    """Counts of one source file.

    ``lines`` is line → times run; ``functions`` is name → (line, times entered); ``branches`` is
    line → outcomes by branch.
    """

    lines: dict[int, int] = field(default_factory=dict)
    functions: dict[str, tuple[int, int]] = field(default_factory=dict)
    branches: dict[int, Branches] = field(default_factory=dict)

    def add(self, other: FileCoverage) -> None:
        """Add the counts of another run."""
        for line, ran in other.lines.items():
            self.lines[line] = self.lines.get(line, 0) + ran
        for name, (line, entered) in other.functions.items():
            first, before = self.functions.get(name, (line, 0))
            self.functions[name] = (min(first, line), before + entered)
        for line, branches in other.branches.items():
            own = self.branches.setdefault(line, {})
            for key, counts in branches.items():
                pairs = zip_longest(own.get(key, ()), counts)
                own[key] = tuple(_sum(a, b) for a, b in pairs)

    @property
    def totals(self) -> Totals:
        """How much there is, and how much of it ran."""
        ways = [n for branches in self.branches.values() for way in branches.values() for n in way]
        return Totals(
            lines=len(self.lines),
            lines_hit=sum(1 for n in self.lines.values() if n),
            functions=len(self.functions),
            functions_hit=sum(1 for _, n in self.functions.values() if n),
            branches=len(ways),
            branches_hit=sum(1 for n in ways if n),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return {
            "lines": sorted(self.lines.items()),
            "functions": sorted((name, *counts) for name, counts in self.functions.items()),
            "branches": [
                (line, *key, counts)
                for line, branches in sorted(self.branches.items())
                for key, counts in sorted(branches.items())
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FileCoverage:
        """Return the counts that `to_dict` gave."""
        branches: dict[int, Branches] = {}
        for line, program, number, counts in data["branches"]:
            branches.setdefault(line, {})[program, number] = tuple(counts)
        return cls(
            lines=dict(data["lines"]),
            functions={name: (line, entered) for name, line, entered in data["functions"]},
            branches=branches,
        )


@dataclass(frozen=True)
class Totals:
    """What there is, and what of it ran."""

    lines: int = 0
    lines_hit: int = 0
    functions: int = 0
    functions_hit: int = 0
    branches: int = 0
    branches_hit: int = 0

    @classmethod
    def sum(cls, parts: Iterable[Totals]) -> Totals:
        return cls(
            *(sum(column) for column in zip(astuple(cls()), *map(astuple, parts), strict=True))
        )

    def __str__(self) -> str:
        parts = []
        for what in ("lines", "functions", "branches"):
            parts.append(f"{getattr(self, what + '_hit')} of {getattr(self, what)} {what}")
        return ", ".join(parts)


def _sum(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b
