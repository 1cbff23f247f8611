"""How often the lines, functions and branches of a program ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from m7sim.export.sites import BranchSite, Sites
from m7sim.profile.attribution import Profile

Copy = tuple[int, tuple[int, ...]]


class Outcomes(NamedTuple):
    """A branch and how often it went each way; None: never reached."""

    site: BranchSite
    counts: tuple[int | None, ...]


class Executed:
    """Counts of one run, for `Sites` of its program."""

    def __init__(self, sites: Sites, profile: Profile) -> None:
        self._sites = sites
        self._costs = profile.instructions
        self._executions = dict(
            zip(self._costs.address.tolist(), self._costs.executions.tolist(), strict=True)
        )
        self._branches = {b.address: (b.executed, b.taken) for b in profile.branches}

    def lines(self) -> dict[str, dict[int, int]]:
        """Return how often each line ran, by file; 0 for lines that did not.

        Within one copy of a function (its own code, or one place that it was inlined into), a line
        ran as often as that of its instructions which ran most; the copies add up. A line whose
        own code went away ran as often as the instruction at which it would begin.
        """
        image, files = self._sites.image, self._sites.files
        counts = {file: dict.fromkeys(lines, 0) for file, lines in self._sites.lines.items()}
        if image.line_table is None:
            return counts
        names = image.line_table.files
        file_of, line_of = image.line_table.indices(self._costs.address)
        own = np.array([name in files for name in names] + [False])
        most: dict[tuple[str, int, Copy], int] = {}
        for k in np.flatnonzero(own[file_of]):
            key = (names[file_of[k]], int(line_of[k]), self._copy(int(self._costs.address[k])))
            most[key] = max(most.get(key, 0), int(self._costs.executions[k]))
        for (file, line), places in self._sites.beginnings.items():
            counts.setdefault(file, {})[line] = 0
            for at in places:
                key = (file, line, self._copy(at, (file, line)))
                most[key] = max(most.get(key, 0), self._executions.get(at, 0))
        for (file, line, _), ran in most.items():
            counts[file][line] = counts[file].get(line, 0) + ran
        return counts

    def _copy(self, address: int, statement: tuple[str, int] | None = None) -> Copy:
        """Return which copy of a function an address is in: its own code, or which inlined one.

        At the beginning of a ``statement`` there may already be the code of a function that it
        calls: the statement itself is in the copy around that.
        """
        image = self._sites.image
        chain = image.inline_chain(address)
        while chain and (chain[0].file, chain[0].line) == statement:
            chain = chain[1:]
        symbol = image.function_at(address)
        main = -1 if symbol is None else self._sites.function_key(symbol.name, symbol.address)
        # Each place that a function was inlined into has an object of its own, kept by the image.
        return main, tuple(id(call) for call in chain)

    def functions(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Return line of definition and number of entries of each function, by file and name.

        Functions of one file that have the same name (overloads) get their line appended to it.
        """
        entered: dict[tuple[str, str, int], int] = {}
        for e in self._sites.entrances:
            key = (e.file, e.name, e.line)
            entered[key] = entered.get(key, 0) + self._executions.get(e.address, 0)
        alike = Counter((file, name) for file, name, _ in entered)
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for (file, name, line), count in entered.items():
            unique = name if alike[file, name] == 1 else f"{name}:{line}"
            found.setdefault(file, {})[unique] = (line, count)
        return found

    def branches(self) -> Iterator[Outcomes]:
        """Yield how often each branch went each way: taken and not taken, or one per target."""
        for site in self._sites.branches:
            ran = self._executions.get(site.address, 0)
            if not ran:
                yield Outcomes(site, (None,) * (len(site.targets) or 2))
            elif site.targets:
                yield Outcomes(site, self._by_target(site, ran))
            else:
                executed, taken = self._branches.get(site.address, (ran, 0))
                yield Outcomes(site, (taken, executed - taken))

    def _by_target(self, site: BranchSite, ran: int) -> tuple[int, ...]:
        """Entries of each target that no other branch and nothing before it accounts for."""
        counts = []
        for target in site.targets:
            count = self._executions.get(target.address, 0)
            for address in target.branches:
                count -= self._taken(address)
            if target.before is not None:
                count -= self._executions.get(target.before, 0)
                count += self._taken(target.before) if target.before_branches else 0
            counts.append(min(max(count, 0), ran))
        return tuple(counts)

    def _taken(self, address: int) -> int:
        return self._branches.get(address, (0, 0))[1]
