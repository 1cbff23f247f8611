"""Checks of TOML tables that grids and manifests share; every message says where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from m7sim.board.schema import suggestion
from m7sim.errors import TableError

_NAMES = {int: "a number", str: "text", list: "a list", dict: "a table", bool: "true or false"}
Kinds = type | tuple[type, ...]


def check_keys(
    data: Any, keys: Mapping[str, Kinds], needed: Iterable[str], where: str
) -> dict[str, Any]:
    """Return a table after checking its keys and types.

    Raises
    ------
    TableError
        For a key that is unknown (with the nearest valid one), missing or of another type.
    """
    if not isinstance(data, dict):
        raise TableError("expected a table", where=where, do=f"Keys: {', '.join(keys)}")
    for name, value in data.items():
        if name not in keys:
            raise TableError(f"unknown key {name!r}", where=where, do=suggestion(name, keys))
        check_type(value, keys[name], f"{where}: {name}")
    for name in needed:
        if name not in data:
            raise TableError(f"missing key {name!r}", where=where)
    return data


def check_type(value: Any, kinds: Kinds, where: str) -> None:
    """Raise TableError if a value is of none of the types; a bool is no number."""
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    if (isinstance(value, bool) and bool not in wanted) or not isinstance(value, wanted):
        expected = " or ".join(_NAMES.get(kind, kind.__name__) for kind in wanted)
        raise TableError(f"{value!r} is not {expected}", where=where)


def strings(value: Any, where: str) -> list[str]:
    """Return a list of texts after checking that it is one."""
    check_type(value, list, where)
    for item in value:
        check_type(item, str, where)
    return list(value)
