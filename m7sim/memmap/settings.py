"""A board with single values changed, such as ``dcache.size_bytes=8192``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.errors import InputError
from m7sim.units import hertz, size_bytes

_CACHE: Final = {"size_bytes": int, "ways": int, "line_bytes": int, "enabled": bool}
_PARTS: Final[dict[str, dict[str, type]]] = {
    "icache": _CACHE,
    "dcache": _CACHE,
    "art": {"lines": int, "enabled": bool, "prefetch": bool},
}
_REGION: Final = {
    "size_bytes": int, "line_fill_cycles": int, "read_latency_cycles": int,
    "write_latency_cycles": int, "beat_cycles": int,
}  # fmt: skip
_WHOLE: Final = {"clock_hz": int, "supply_mv": int, "flash_wait_states": int}
_WORDS: Final = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_PAGE_BYTES: Final = 4096


def parse_settings(texts: Iterable[str]) -> dict[str, str]:
    """Return key and value of texts such as ``dcache.size_bytes=8192``.

    Raises
    ------
    InputError
        If one is no assignment.
    """
    found = {}
    for text in texts:
        key, sign, value = (word.strip() for word in text.partition("="))
        if not (key and sign and value):
            raise InputError(
                f"{text!r} sets nothing", where="--set", do="Write it like dcache.size_bytes=8192"
            )
        found[key] = value
    return found


def changed_board(board: Board, settings: Mapping[str, Any]) -> Board:
    """Return a board with values changed.

    Parameters
    ----------
    settings
        By key: ``clock_hz``, ``supply_mv``, ``flash_wait_states``; ``icache.``, ``dcache.`` with
        ``size_bytes``, ``ways``, ``line_bytes``, ``enabled``; ``art.`` with ``lines``,
        ``enabled``, ``prefetch``; the name of a region with ``size_bytes``, ``line_fill_cycles``,
        ``read_latency_cycles``, ``write_latency_cycles``, ``beat_cycles``. Values may be texts.

    Raises
    ------
    InputError
        For an unknown key, a value of the wrong type, or one that is impossible.
    """
    whole = {k: _value(k, v, _WHOLE[k]) for k, v in settings.items() if k in _WHOLE}
    board = board.override(**whole) if whole else board
    for key, value in settings.items():
        if key not in _WHOLE:
            board = _with_part(board, key, value)
    return board


def setting_keys(board: Board) -> list[str]:
    """Return all keys that a board has."""
    regions = [r.name for r in board.regions if not r.device]
    parts = [f"{part}.{name}" for part, keys in _PARTS.items() for name in keys]
    if board.art is None:
        parts = [key for key in parts if not key.startswith("art.")]
    return [*_WHOLE, *parts, *(f"{region}.{name}" for region in regions for name in _REGION)]


def _with_part(board: Board, key: str, value: Any) -> Board:
    part, _, name = key.partition(".")
    kinds = _PARTS.get(part.lower())
    if kinds is None and any(r.name == part.upper() for r in board.regions):
        if name not in _REGION:
            raise _unknown(key, board)
        number = _value(key, value, int)
        if name == "size_bytes" and (number % _PAGE_BYTES or not number):
            raise InputError(f"{number} bytes", where=key, do=f"Give a multiple of {_PAGE_BYTES}")
        return _resized(board, part.upper(), name, number)
    if kinds is None or name not in kinds or getattr(board, part.lower()) is None:
        raise _unknown(key, board)
    changed = replace(getattr(board, part.lower()), **{name: _value(key, value, kinds[name])})
    if part.lower() != "art":
        _check_cache(key, changed)
    return replace(board, **{part.lower(): changed})


def _resized(board: Board, name: str, field: str, number: int) -> Board:
    regions = tuple(
        replace(r, **{field: number})  # type: ignore[arg-type]
        if name in (r.name, r.alias_of if field == "size_bytes" else r.name)
        else r
        for r in board.regions
    )
    for one, other in pairwise(regions):
        if one.end > other.start:
            raise InputError(f"{one.name} would reach into {other.name}", where=board.name)
    return replace(board, regions=regions)


def _check_cache(key: str, cache: Any) -> None:
    size, ways, line = cache.size_bytes, cache.ways, cache.line_bytes
    if size == 0:
        return
    sets = size // (ways * line) if ways and line else 0
    if not sets or sets & (sets - 1) or sets * ways * line != size or line & (line - 1) or line < 8:
        raise InputError(
            f"no cache has {size} bytes in {ways} ways of lines of {line} bytes",
            where=key,
            do="The number of sets and the line must be powers of two",
        )


def _value(key: str, value: Any, kind: type) -> Any:
    if kind is bool:
        found = value if isinstance(value, bool) else _WORDS.get(str(value).lower())
        if found is None:
            raise InputError(f"{value!r} is neither on nor off", where=key)
        return found
    try:
        if key == "clock_hz":
            return hertz(str(value))
        if key.endswith(".size_bytes") and str(value) != "0":
            return size_bytes(str(value))
        number = int(str(value), 0)
    except (InputError, ValueError) as error:
        raise InputError(f"{value!r} is no number", where=key) from error
    if number < 0:
        raise InputError(f"{number} is negative", where=key)
    return number


def _unknown(key: str, board: Board) -> InputError:
    advice = suggestion(key, setting_keys(board))
    if advice.startswith("Valid"):
        advice = "Such as dcache.size_bytes, icache.enabled, art.enabled, flash_wait_states"
    return InputError(f"nothing is called {key!r}", where="--set", do=advice)
