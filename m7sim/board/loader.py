"""Reads a board from TOML and checks it whole."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, get_args

from m7sim.board.parts import (
    ACCESSES,
    PAGE_BYTES,
    TCM_KINDS,
    Art,
    Cache,
    Provenance,
    ReadyRule,
    Region,
    RegionKind,
    WaitStates,
    WritePolicy,
)
from m7sim.board.schema import Key, Reader, provenance, suggestion
from m7sim.errors import TableError

SCHEMA = 1

_TOP = {
    "schema": Key(int), "name": Key(str), "title": Key(str), "core": Key(str),
    "cpuid": Key(dict), "double_precision": Key(dict), "ram_ecc": Key(dict),
    "sources": Key(dict), "clock": Key(dict),
    "icache": Key(dict), "dcache": Key(dict), "region": Key(list), "latency": Key(list),
    "ready": Key(list, required=False), "art": Key(dict, required=False),
    "wait_states": Key(list, required=False),
}  # fmt: skip
_CLOCK = {"hz": int, "flash_wait_states": int, "apb1_hz": int, "apb2_hz": int}
_ART = {"lines": int, "line_bytes": int, "enabled": bool, "prefetch": bool}
_WAIT_STATES = {"from_mv": Key(int), "hz_per_wait_state": Key(int), **provenance()}
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


class Loader:
    """One board table, checked as it is read."""

    def __init__(self, data: dict[str, Any], path: str) -> None:
        self.path = path
        self.reader = Reader(path, {})
        self.data = self.reader.table(data, _TOP, "top level")
        if data["schema"] != SCHEMA:
            raise TableError(f"schema {data['schema']}, expected {SCHEMA}", where=path)
        self.reader = Reader(path, data["sources"])
        self.provenance: dict[str, Provenance] = {}

    def board(self) -> dict[str, Any]:
        """Return the fields of a `Board`."""
        clock = self._values("clock", _CLOCK, {"supply_mv": int})
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
            "art": Art(**self._values("art", _ART)) if "art" in self.data else None,
            "supply_mv": clock.get("supply_mv", 0),
            "wait_state_rows": self._wait_states(clock),
            "provenance": self.provenance,
        }

    def _value(self, data: Any, kind: type, where: str) -> Any:
        value, origin = self.reader.value(data, kind, where)
        self.provenance[where] = Provenance(*origin)
        return value

    def _values(
        self, section: str, keys: Mapping[str, type], optional: Mapping[str, type] | None = None
    ) -> dict[str, Any]:
        optional = optional or {}
        known = {name: Key(dict) for name in keys}
        known |= {name: Key(dict, required=False) for name in optional}
        table = self.reader.table(self.data[section], known, f"[{section}]")
        kinds = dict(keys) | dict(optional)
        return {
            n: self._value(table[n], kind, f"{section}.{n}")
            for n, kind in kinds.items()
            if n in table
        }

    def _wait_states(self, clock: Mapping[str, Any]) -> tuple[WaitStates, ...]:
        rows = []
        for index, data in enumerate(self.data.get("wait_states", ())):
            where = f"[[wait_states]] {index + 1}"
            row = self.reader.table(data, _WAIT_STATES, where)
            self.provenance[f"wait_states.{row['from_mv']}"] = Provenance(
                *self.reader.sourced(row, where)
            )
            if not row["hz_per_wait_state"]:
                raise TableError("no clock per wait state", where=f"{self.path}: {where}")
            rows.append(WaitStates(row["from_mv"], row["hz_per_wait_state"]))
        rows.sort(key=lambda row: -row.from_mv)
        if rows and "supply_mv" not in clock:
            raise TableError("[[wait_states]] without clock.supply_mv", where=self.path)
        return tuple(rows)

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
            elif access == "beat":
                cycles[access] = 1
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
            beat_cycles=cycles["beat"],
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
