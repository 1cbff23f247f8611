"""The board: what memory lies where, how fast it is, and what caches stand before it."""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from m7sim.board.loader import Loader
from m7sim.board.parts import FLASH_KINDS, Art, Cache, Provenance, ReadyRule, Region, WaitStates
from m7sim.board.schema import suggestion
from m7sim.errors import InputError, TableError


@dataclass(frozen=True)
class Board:
    """A chip around the core, from one TOML file; see :meth:`load`."""

    name: str
    title: str
    core: str
    cpuid: int
    double_precision: bool  # the FPU executes FPv5-D16, else FPv5-SP-D16
    ram_ecc: bool  # error-correcting codes on the TCMs
    clock_hz: int
    flash_wait_states: int
    apb1_hz: int
    apb2_hz: int
    icache: Cache
    dcache: Cache
    regions: tuple[Region, ...]  # ascending, no overlap
    ready_rules: tuple[ReadyRule, ...]
    art: Art | None  # None: no accelerator
    supply_mv: int  # 0: not told
    wait_state_rows: tuple[WaitStates, ...]  # falling voltage; empty: not told
    provenance: dict[str, Provenance]  # "clock.hz", "FLASH.line_fill" … -> where it comes from

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """Load a board by chip name (``stm32f746``) or from a TOML file.

        Raises
        ------
        InputError
            If there is no such board; the message names the nearest one.
        TableError
            If the table breaks its schema: unknown or missing key, wrong type, value without
            source, overlapping regions, memory without latency.
        """
        path = _find(name_or_path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise TableError(f"not valid TOML: {error}", where=str(path)) from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", where=str(path)) from error
        return cls(**Loader(data, str(path)).board())

    @property
    def revision(self) -> str:
        """Revision of the core, such as ``r1p2``, from its CPUID."""
        return f"r{self.cpuid >> 20 & 15}p{self.cpuid & 15}"

    @cached_property
    def _starts(self) -> list[int]:
        return [region.start for region in self.regions]

    def region_at(self, address: int) -> Region | None:
        """Return the region that holds an address, or None."""
        index = bisect_right(self._starts, address) - 1
        return self.regions[index] if index >= 0 and address in self.regions[index] else None

    def nearest_region(self, address: int) -> Region:
        """Return the region with the least distance to an address."""
        return min(
            self.regions,
            key=lambda r: 0 if address in r else min(abs(address - r.start), abs(address - r.end)),
        )

    def region(self, name: str) -> Region:
        """Return a region by name, in any case; InputError with the nearest name otherwise."""
        for region in self.regions:
            if region.name == name.upper():
                return region
        known = [region.name for region in self.regions]
        raise InputError(f"no region {name!r}", where=self.name, do=suggestion(name.upper(), known))

    def map_regions(self, *names: str) -> Self:
        """Return this board with external memories switched on (``FMC1``, ``SDRAM1`` …)."""
        chosen = {self.region(name).name for name in names}
        regions = (replace(r, mapped=r.mapped or r.name in chosen) for r in self.regions)
        return replace(self, regions=tuple(regions))

    def override(
        self,
        *,
        clock_hz: int | None = None,
        supply_mv: int | None = None,
        flash_wait_states: int | None = None,
        icache: bool | None = None,
        dcache: bool | None = None,
        art: bool | None = None,
        prefetch: bool | None = None,
    ) -> Self:
        """Return this board with another clock or supply, or with a cache switched on or off.

        The wait states of the flash follow clock and supply unless they are given; with them, what
        the flash costs. A cache that is off stays off whatever the firmware does.

        Raises
        ------
        InputError
            For a clock or supply that the chip's table does not have.
        """
        i = self.icache if icache is None else replace(self.icache, enabled=icache)
        d = self.dcache if dcache is None else replace(self.dcache, enabled=dcache)
        clock = self.clock_hz if clock_hz is None else clock_hz
        if clock <= 0:
            raise InputError(f"clock of {clock} Hz", where=self.name, do="Give a positive clock")
        supply = self.supply_mv if supply_mv is None else supply_mv
        if flash_wait_states is not None:
            states = flash_wait_states
        elif clock_hz is None and supply_mv is None:
            states = self.flash_wait_states
        else:
            states = self._wait_states(clock, supply)
        accelerator = self.art
        if accelerator is not None:
            if art is not None:
                accelerator = replace(accelerator, enabled=art)
            if prefetch is not None:
                accelerator = replace(accelerator, prefetch=prefetch)
        return replace(
            self, clock_hz=clock, supply_mv=supply, icache=i, dcache=d, art=accelerator,
            flash_wait_states=states, regions=self._with_wait_states(states),
        )  # fmt: skip

    def _wait_states(self, clock_hz: int, supply_mv: int) -> int:
        if not self.wait_state_rows:
            return self.flash_wait_states
        for row in self.wait_state_rows:
            if supply_mv >= row.from_mv:
                return -(-clock_hz // row.hz_per_wait_state) - 1
        raise InputError(
            f"no flash wait states for {supply_mv} mV",
            where=self.name,
            do=f"Give at least {self.wait_state_rows[-1].from_mv} mV",
        )

    def _with_wait_states(self, states: int) -> tuple[Region, ...]:
        """Return the regions with what a flash access takes at other wait states."""
        if states < 0:
            raise InputError(f"{states} flash wait states", where=self.name, do="Give 0 or more")
        more = states - self.flash_wait_states

        def slower(region: Region) -> Region:
            if more == 0 or region.kind not in FLASH_KINDS:
                return region
            fill, read = region.line_fill_cycles + more, region.read_latency_cycles + more
            return replace(region, line_fill_cycles=max(fill, 0), read_latency_cycles=max(read, 0))

        return tuple(slower(region) for region in self.regions)


def board_names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("*.toml"))


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if text.endswith(".toml") or "/" in text or "\\" in text:
        path = Path(text)
        if not path.is_file():
            raise InputError("no such file", where=text, do="Give a board's name or TOML file")
        return path
    known = board_names()
    if text.lower() not in known:
        raise InputError(f"no board {text!r}", do=suggestion(text.lower(), known))
    return Path(__file__).parent / f"{text.lower()}.toml"
