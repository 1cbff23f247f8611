"""What a board consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PAGE_BYTES = 4096  # regions begin and end on it: the timing model looks regions up by page

RegionKind = Literal[
    "itcm", "dtcm", "sram", "flash", "flash_itcm", "peripheral", "system", "external", "core"
]
WritePolicy = Literal["none", "wt", "wbwa"]
ACCESSES = ("line_fill", "read", "write", "beat")
TCM_KINDS = ("itcm", "dtcm")
FLASH_KINDS = ("flash", "flash_itcm")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a value comes from and how sure it is."""

    source: str
    confidence: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of the memory map with one kind of memory behind it.

    Latencies are in core cycles: lost by an access that misses the cache until its own 64 bits
    are there (the rest of the line follows, a beat each); lost by a read of up to 32 bits that no
    cache serves; for which a write of up to 32 bits that goes to the bus keeps the memory busy.
    Each further 32 bits take half a beat.
    """

    name: str
    start: int
    size_bytes: int
    kind: RegionKind
    cacheable: bool
    write_policy: WritePolicy
    executable: bool
    writable: bool
    mapped: bool  # False: only when asked for
    alias_of: str  # name of the region with the same bytes, or ""
    line_fill_cycles: int
    read_latency_cycles: int
    write_latency_cycles: int
    provenance: Provenance
    beat_cycles: int = 1  # each further 64 bits of the same transfer

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.start + self.size_bytes

    @property
    def tcm(self) -> bool:
        return self.kind in TCM_KINDS

    @property
    def device(self) -> bool:
        """Whether accesses are Device or Strongly-ordered: registers, not memory."""
        return self.kind in ("peripheral", "core")

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end

    def __str__(self) -> str:
        return f"{self.name} 0x{self.start:08x}-0x{self.end - 1:08x}"


@dataclass(frozen=True, slots=True)
class Cache:
    """Geometry of an L1 cache, and whether it is switched on."""

    size_bytes: int
    ways: int
    line_bytes: int
    enabled: bool

    @property
    def sets(self) -> int:
        return self.size_bytes // (self.ways * self.line_bytes)


@dataclass(frozen=True, slots=True)
class Art:
    """The flash accelerator in front of a region: whole flash lines, least recently used out."""

    lines: int
    line_bytes: int
    enabled: bool
    prefetch: bool  # of the next line


@dataclass(frozen=True, slots=True)
class WaitStates:
    """Clock that one flash wait state is good for, from a supply voltage upwards."""

    from_mv: int
    hz_per_wait_state: int


@dataclass(frozen=True, slots=True)
class ReadyRule:
    """Bits of a status register that follow bits written to a control register."""

    register: int
    set_mask: int
    ready_mask: int
    ready_register: int
    reset_value: int
