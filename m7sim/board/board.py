"""The board: what memory lies where, how fast it is, and what caches stand before it."""

from __future__ import annotations

import itertools
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, get_args

from m7sim.board.schema import Key, Reader, provenance, suggestion
from m7sim.errors import InputError, TableError

SCHEMA = 1
PAGE_BYTES = 4096  # regions begin and end on it: the timing model looks regions up by page

RegionKind = Literal[
    "itcm", "dtcm", "sram", "flash", "flash_itcm", "peripheral", "system", "external", "core"
]
WritePolicy = Literal["none", "wt", "wbwa"]
ACCESSES = ("line_fill", "read", "write")
TCM_KINDS = ("itcm", "dtcm")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a value comes from and how sure it is."""

    source: str
    confidence: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of the memory map with one kind of memory behind it.

    Latencies are first-order, in core cycles lost: a line fill for the access that misses the
    cache; a read or write that no cache serves, beyond an access to a TCM.
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
class ReadyRule:
    """Bits of a status register that follow bits written to a control register."""

    register: int
    set_mask: int
    ready_mask: int
    ready_register: int
    reset_value: int


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
        return cls(**_Loader(data, str(path)).board())

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
        icache: bool | None = None,
        dcache: bool | None = None,
    ) -> Self:
        """Return this board with another clock or with a cache switched on or off."""
        i = self.icache if icache is None else replace(self.icache, enabled=icache)
        d = self.dcache if dcache is None else replace(self.dcache, enabled=dcache)
        clock = self.clock_hz if clock_hz is None else clock_hz
        if clock <= 0:
            raise InputError(f"clock of {clock} Hz", where=self.name, do="Give a positive clock")
        return replace(self, clock_hz=clock, icache=i, dcache=d)


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


_TOP = {
    "schema": Key(int), "name": Key(str), "title": Key(str), "core": Key(str),
    "cpuid": Key(dict), "double_precision": Key(dict), "ram_ecc": Key(dict), "sources": Key(dict), "clock": Key(dict),
    "icache": Key(dict), "dcache": Key(dict), "region": Key(list), "latency": Key(list),
    "ready": Key(list, required=False),
}  # fmt: skip
_CLOCK = {"hz": int, "flash_wait_states": int, "apb1_hz": int, "apb2_hz": int}
_CACHE = {"size_bytes": int, "ways": int, "line_bytes": int, "enabled": bool}
_REGION = {
    "name": Key(str), "start": Key(int), "size_bytes": Key(int), "kind": Key(str),
    "cacheable": Key(bool, required=False), "write_policy": Key(str, required=False),
    "executable": Key(bool, required=False), "writable": Key(bool, required=False),
    "mapped": Key(bool, required=False), "alias_of": Key(str, required=False), **provenance(),
}  # fmt: skip
_LATENCY = {
    "regions": Key(list), "access": Key(str), "cycles": Key(int),
    "low": Key(int, required=False), "high": Key(int, required=False), **provenance(),
}  # fmt: skip
_READY = {
    "register": Key(int), "set_mask": Key(int), "ready_mask": Key(int),
    "ready_register": Key(int, required=False), "reset_value": Key(int, required=False),
    **provenance(),
}  # fmt: skip


class _Loader:
    def __init__(self, data: dict[str, Any], path: str) -> None:
        self.path = path
        self.reader = Reader(path, {})
        self.data = self.reader.table(data, _TOP, "top level")
        if data["schema"] != SCHEMA:
            raise TableError(f"schema {data['schema']}, expected {SCHEMA}", where=path)
        self.reader = Reader(path, data["sources"])
        self.provenance: dict[str, Provenance] = {}

    def board(self) -> dict[str, Any]:
        clock = self._values("clock", _CLOCK)
        caches = {name: self._cache(name) for name in ("icache", "dcache")}
        return {
            "name": self.data["name"],
            "title": self.data["title"],
            "core": self.data["core"],
            "cpuid": self._value(self.data["cpuid"], int, "cpuid"),
            "double_precision": self._value(
                self.data["double_precision"], bool, "double_precision"
            ),
            "ram_ecc": self._value(self.data["ram_ecc"], bool, "ram_ecc"),
            "clock_hz": clock["hz"],
            "flash_wait_states": clock["flash_wait_states"],
            "apb1_hz": clock["apb1_hz"],
            "apb2_hz": clock["apb2_hz"],
            **caches,
            "regions": self._regions(),
            "ready_rules": self._ready(),
            "provenance": self.provenance,
        }

    def _value(self, data: Any, kind: type, where: str) -> Any:
        value, origin = self.reader.value(data, kind, where)
        self.provenance[where] = Provenance(*origin)
        return value

    def _values(self, section: str, keys: Mapping[str, type]) -> dict[str, Any]:
        table = self.reader.table(
            self.data[section], {name: Key(dict) for name in keys}, f"[{section}]"
        )
        return {n: self._value(table[n], kind, f"{section}.{n}") for n, kind in keys.items()}

    def _cache(self, name: str) -> Cache:
        cache = Cache(**self._values(name, _CACHE))
        for key in ("size_bytes", "ways", "line_bytes"):
            value = getattr(cache, key)
            if value <= 0 or value & (value - 1):
                raise TableError(f"{value} is no power of two", where=f"{self.path}: {name}.{key}")
        if cache.sets < 1:
            raise TableError("smaller than one set", where=f"{self.path}: {name}")
        return cache

    def _latencies(self, names: set[str]) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for index, data in enumerate(self.data["latency"]):
            where = f"[[latency]] {index + 1}"
            row = self.reader.table(data, _LATENCY, where)
            origin = Provenance(*self.reader.sourced(row, where))
            place = f"{self.path}: {where}"
            if row["access"] not in ACCESSES:
                raise TableError(
                    f"unknown access {row['access']!r}",
                    where=place,
                    do=suggestion(row["access"], ACCESSES),
                )
            if not row.get("low", 0) <= row["cycles"] <= row.get("high", row["cycles"]):
                raise TableError("cycles outside low … high", where=place)
            for name in row["regions"]:
                if name not in names:
                    raise TableError(
                        f"unknown region {name!r}", where=place, do=suggestion(str(name), names)
                    )
                if (name, row["access"]) in found:
                    raise TableError(f"second {row['access']} latency of {name}", where=place)
                found[name, row["access"]] = row["cycles"]
                self.provenance[f"{name}.{row['access']}"] = origin
        return found

    def _regions(self) -> tuple[Region, ...]:
        rows = []
        for index, data in enumerate(self.data["region"]):
            label = data.get("name", index + 1) if isinstance(data, dict) else index + 1
            where = f"[[region]] {label}"
            row = self.reader.table(data, _REGION, where)
            rows.append((row, Provenance(*self.reader.sourced(row, where))))
        names = [row["name"] for row, _ in rows]
        if twice := {name for name in names if names.count(name) > 1}:
            raise TableError(f"two regions named {twice.pop()}", where=self.path)
        latencies = self._latencies(set(names))
        regions = [self._region(row, origin, latencies) for row, origin in rows]
        regions.sort(key=lambda region: region.start)
        for low, high in itertools.pairwise(regions):
            if low.end > high.start:
                raise TableError(f"regions overlap: {low} and {high}", where=self.path)
        for region in regions:
            if region.alias_of:
                self._check_alias(region, regions)
        return tuple(regions)

    def _region(
        self, row: dict[str, Any], origin: Provenance, latencies: dict[tuple[str, str], int]
    ) -> Region:
        name, place = row["name"], f"{self.path}: [[region]] {row['name']}"
        for key, valid in (("kind", get_args(RegionKind)), ("write_policy", get_args(WritePolicy))):
            value = row.get(key, "none")
            if value not in valid:
                raise TableError(
                    f"unknown {key} {value!r}", where=place, do=suggestion(value, valid)
                )
        if row["start"] % PAGE_BYTES or row["size_bytes"] % PAGE_BYTES or not row["size_bytes"]:
            raise TableError(f"not in whole pages of {PAGE_BYTES} bytes", where=place)
        if row["start"] + row["size_bytes"] > 1 << 32:
            raise TableError("ends beyond 32 bit", where=place)
        cacheable = row.get("cacheable", False)
        cycles = dict.fromkeys(ACCESSES, 0)
        needed = () if row["kind"] in TCM_KINDS else ACCESSES[not cacheable :]
        for access in ACCESSES:
            if (name, access) in latencies:
                cycles[access] = latencies[name, access]
            elif access in needed and not (access == "write" and not row.get("writable", True)):
                raise TableError(f"no [[latency]] row for {access}", where=place)
        self.provenance[name] = origin
        return Region(
            name=name,
            start=row["start"],
            size_bytes=row["size_bytes"],
            kind=row["kind"],
            cacheable=cacheable,
            write_policy=row.get("write_policy", "none"),
            executable=row.get("executable", True),
            writable=row.get("writable", True),
            mapped=row.get("mapped", True),
            alias_of=row.get("alias_of", ""),
            line_fill_cycles=cycles["line_fill"],
            read_latency_cycles=cycles["read"],
            write_latency_cycles=cycles["write"],
            provenance=origin,
        )

    def _check_alias(self, region: Region, regions: list[Region]) -> None:
        place = f"{self.path}: [[region]] {region.name}"
        names = {other.name: other for other in regions}
        other = names.get(region.alias_of)
        if other is None:
            raise TableError(
                f"alias_of unknown region {region.alias_of!r}",
                where=place,
                do=suggestion(region.alias_of, names),
            )
        if other.alias_of or other.size_bytes != region.size_bytes:
            raise TableError(f"cannot be an alias of {other}: other size, or an alias", where=place)

    def _ready(self) -> tuple[ReadyRule, ...]:
        rules = []
        for index, data in enumerate(self.data.get("ready", ())):
            where = f"[[ready]] {index + 1}"
            row = self.reader.table(data, _READY, where)
            self.reader.sourced(row, where)
            rules.append(
                ReadyRule(
                    row["register"],
                    row["set_mask"],
                    row["ready_mask"],
                    row.get("ready_register", row["register"]),
                    row.get("reset_value", 0),
                )
            )
        return tuple(rules)
