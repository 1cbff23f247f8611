"""Instruction hooks for sites: few ranges instead of many points.

The engine walks the list of all hooks at every hooked instruction, deleted ones included, so
there are at most ``MOST_RANGES`` ranges and few deletions; the callback looks the address up and
returns at once for an instruction that is not a site.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from m7sim.trace import native
from m7sim.trace.plan import Site
from m7sim.trace.tables import HashTable, State

MOST_RANGES = 8
_GRANULE_BYTES = 64  # most loops with sites then have one range: cheaper than two
_DELETIONS_PER_DOUBLING = 4


class HookOwner(Protocol):
    """What this module needs of the engine."""

    def hook_add_native(
        self, kind: str, function_address: int, user_data: int, begin: int = 1, end: int = 0
    ) -> int: ...
    def hook_del(self, hook: int) -> None: ...


class SiteHooks:
    """The site table of the native callback, and the ranges hooked for it."""

    def __init__(self, engine: HookOwner, state: State) -> None:
        self._engine, self._state = engine, state
        self._rows = HashTable(state, native.SITE_KEYS, native.SITE_ROWS, native.SITE_MASK)
        self._table: NDArray[np.int32] = np.zeros((64, native.SITE_WORDS), np.int32)
        self._count = 0
        self._ranges: dict[tuple[int, int], int] = {}  # (first, last address) -> hook
        self._deletions = 0
        state.point(native.SITE_TABLE, self._table)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return sorted(self._ranges)

    def install(self, sites: tuple[Site, ...], register_ids: tuple[int, ...]) -> bool:
        """Make the sites of a block effective; True when hooks changed.

        After a change the block has to be translated again before it executes.
        """
        changed = False
        for site in sites:
            self._enter(site, register_ids)
            changed |= self._cover(site.address)
        return changed

    def remove(self) -> None:
        """Delete all hooks; the table stays."""
        for hook in self._ranges.values():
            self._engine.hook_del(hook)
        self._ranges.clear()

    def _enter(self, site: Site, register_ids: tuple[int, ...]) -> None:
        row = self._rows.get(site.address)
        if row is None:
            if self._count == len(self._table):
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])
                self._state.point(native.SITE_TABLE, self._table)
            row = self._count
            self._count += 1
            self._rows.put(site.address, row)
        words = [site.constant]
        for register, coefficient in site.terms:
            words += [register_ids[register], coefficient]
        words += [0] * (native.SITE_WORDS - 1 - len(words)) + [len(site.terms)]
        self._table[row] = np.array([word & 0xFFFF_FFFF for word in words], np.uint32).view(
            np.int32
        )

    def _cover(self, address: int) -> bool:
        if any(first <= address <= last for first, last in self._ranges):
            return False
        granule = _GRANULE_BYTES << (self._deletions // _DELETIONS_PER_DOUBLING)
        first = address // granule * granule
        wanted, doomed = self._joined((first, first + granule - 1))
        hook = self._engine.hook_add_native(
            "code", native.on_site.address, self._state.address, *wanted
        )
        for old in doomed:
            self._engine.hook_del(self._ranges.pop(old))
            self._deletions += 1
        self._ranges[wanted] = hook
        return True

    def _joined(self, wanted: tuple[int, int]) -> tuple[tuple[int, int], list[tuple[int, int]]]:
        """Return the range to hook and the present ranges it swallows: none may overlap."""

        def gap(other: tuple[int, int]) -> int:
            return max(other[0] - wanted[1], wanted[0] - other[1])

        if len(self._ranges) >= MOST_RANGES:
            nearest = min(self._ranges, key=gap)
            wanted = min(wanted[0], nearest[0]), max(wanted[1], nearest[1])
        doomed = [r for r in self._ranges if r[0] <= wanted[1] and r[1] >= wanted[0]]
        first = min([wanted[0], *(r[0] for r in doomed)])
        last = max([wanted[1], *(r[1] for r in doomed)])
        return (first, last), doomed
