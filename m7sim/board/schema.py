"""Checks for board tables: every key known, every type right, every value with a source."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from m7sim.errors import TableError

CONFIDENCES = ("measured", "documented", "inferred", "guess", "calibrated")
PROVENANCE_KEYS = {"source": str, "confidence": str, "note": str}


def suggestion(name: str, valid: Iterable[str]) -> str:
    """Return "Did you mean …?" with the nearest valid name, or the list of all."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else "Valid: " + ", ".join(names)


@dataclass(frozen=True)
class Key:
    """A key of a table: its type, and whether it may be left out."""

    kind: type
    required: bool = True


@dataclass(frozen=True)
class Reader:
    """Reads tables of one file; each message names the file and the key."""

    path: str
    sources: Mapping[str, Any]

    def table(self, data: Any, keys: Mapping[str, Key], where: str) -> dict[str, Any]:
        """Return ``data`` after checking its keys and types.

        Raises
        ------
        TableError
            For an unknown, missing or wrongly typed key.
        """
        place = f"{self.path}: {where}"
        if not isinstance(data, dict):
            raise TableError("expected a table", where=place, do=f"Keys: {', '.join(keys)}")
        for name in data:
            if name not in keys:
                raise TableError(f"unknown key {name!r}", where=place, do=suggestion(name, keys))
        for name, key in keys.items():
            if name not in data:
                if key.required:
                    raise TableError(f"missing key {name!r}", where=place, do=_needed(name))
                continue
            check_type(data[name], key.kind, f"{place}.{name}")
        return data

    def sourced(self, data: Mapping[str, Any], where: str) -> tuple[str, str, str]:
        """Check and return ``source``, ``confidence`` and ``note`` of a row."""
        place = f"{self.path}: {where}"
        source = data.get("source", "")
        if not isinstance(source, str) or not source.strip():
            raise TableError("missing source", where=place, do=_needed("source"))
        key = source.split()[0].rstrip(":;,")
        if key not in self.sources:
            raise TableError(
                f"source {source!r} does not begin with a key of [sources]",
                where=place,
                do=suggestion(key, self.sources),
            )
        confidence = data.get("confidence", "")
        if confidence not in CONFIDENCES:
            raise TableError(
                f"confidence {confidence!r} is not one of {', '.join(CONFIDENCES)}", where=place
            )
        return source, str(confidence), str(data.get("note", ""))

    def value(self, data: Any, kind: type, where: str) -> tuple[Any, tuple[str, str, str]]:
        """Read ``{ value = …, source = …, confidence = … }``."""
        keys = {"value": Key(kind), **provenance()}
        row = self.table(data, keys, where)
        return row["value"], self.sourced(row, where)


def provenance() -> dict[str, Key]:
    return {name: Key(kind, required=False) for name, kind in PROVENANCE_KEYS.items()}


def check_type(value: Any, kind: type, where: str) -> None:
    """Refuse a value of another type (a bool is no int here)."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TableError(
            f"{value!r} is a {type(value).__name__}, expected {kind.__name__}", where=where
        )
    if isinstance(value, int) and value < 0:
        raise TableError(f"{value} is negative", where=where)


def _needed(name: str) -> str:
    if name == "source":
        return 'Every value says where it comes from: add source = "…"'
    return f"Add {name} = …"
