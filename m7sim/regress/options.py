"""From options, configuration and markers to `Settings`; every mistake is one clear message."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from m7sim import __version__
from m7sim.board import Board
from m7sim.errors import InputError
from m7sim.regress.limits import HARD, Limit, format_limits, parse_limits
from m7sim.regress.metrics import check_metric, known_names
from m7sim.regress.optiontable import OPTIONS
from m7sim.regress.settings import Settings
from m7sim.regress.shelf import GIT
from m7sim.units import format_hz, hertz

KEYS = tuple(name.replace("-", "_") for name, _, _ in OPTIONS)
# Of the marker m7: one value, or several that multiply the test.
_ONE = ("board", "clock", "compiler", "placement")
_SEVERAL = {"boards": "board", "clocks": "clock", "compilers": "compiler", "flags": "flags",
            "placements": "placement"}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One of the ways in which a test is run: an id such as ``stm32h743-Os``, and what to set."""

    id: str
    changes: Mapping[str, Any]

    def apply(self, settings: Settings) -> Settings:
        return replace(settings, **self.changes)


def settings_from(values: Mapping[str, Any], **fixed: Any) -> Settings:
    """Return settings from texts by key (without the prefix ``m7_``); None is not given.

    Raises
    ------
    InputError
        If a value cannot be read; the message names the option.
    """
    given = {key: value for key, value in values.items() if value not in (None, "")}
    chosen: dict[str, Any] = dict(fixed)
    for key in ("board", "core", "compiler", "placement", "strict", "sanitize", "require_compiler"):
        if key in given:
            chosen[key] = given[key]
    if "clock" in given:
        chosen["clock_hz"] = _read(hertz, given["clock"], "m7_clock")
    if "flags" in given:
        chosen["flags"] = tuple(shlex.split(given["flags"]))
    chosen["hard"] = {**HARD, **parse_limits(given.get("limits", ""), "m7_limits")}
    chosen["soft"] = parse_limits(given.get("soft_limits", ""), "m7_soft_limits")
    return Settings(**chosen)


def header(settings: Settings) -> str:
    """Return in one line what firmware runs on and how it is judged."""
    board = Board.load(settings.board).override(clock_hz=settings.clock_hz)
    parts = [
        f"core {settings.core} {board.revision}",
        f"board {board.name} at {format_hz(board.clock_hz)}",
        f"placement {settings.placement or 'as linked'}",
        f"limits {format_limits(settings.hard)}",
        f"m7sim {__version__}",
    ]
    return "m7: " + ", ".join(parts)


def check_keys(given: Iterable[str]) -> None:
    """Refuse keys of a configuration file that begin with ``m7_`` and mean nothing."""
    known = [f"m7_{key}" for key in (*KEYS, "baseline_dir")]
    for key in given:
        if key.startswith("m7_") and key not in known:
            do = known_names(key, known)
            raise InputError(f"no key {key!r}", where="configuration of pytest", do=do)


def check_session(options: Mapping[str, Any], arguments: Iterable[str]) -> None:
    """Refuse options that contradict each other, by their names in pytest.

    Raises
    ------
    InputError
        Which they are, and what to do.
    """
    place = options.get("m7_baseline") or ""
    writes = options.get("m7_update") or options.get("m7_prune")
    if writes and place.startswith(GIT):
        raise InputError("a commit cannot be written to", where=f"--m7-baseline {place}")
    if writes and options.get("m7_compare"):
        raise InputError("--m7-compare reports only; --m7-update and --m7-prune write")
    if place and not writes and not place.startswith(GIT) and not Path(place).exists():
        raise InputError("no such folder or file", where=f"--m7-baseline {place}")
    chosen = [f"--{name}".replace("_", "-") for name in ("deselect", "lf") if options.get(name)]
    chosen += ["-k"] * bool(options.get("keyword")) + ["-m"] * bool(options.get("markexpr"))
    chosen += [argument for argument in arguments if "::" in argument]
    if options.get("m7_prune") and chosen:
        do = "Run whole files: what does not run looks like what is no longer there"
        raise InputError(f"--m7-prune with {', '.join(chosen)}", do=do)


def in_ci() -> bool:
    """Whether this is a run of continuous integration, which must not skip what it should test."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def variants(marks: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> list[Variant]:
    """Return the ways to run a test, from the arguments of its markers ``m7``, the closest first.

    Raises
    ------
    InputError
        For an unknown keyword, or a list that is empty.
    """
    merged: dict[str, Any] = {}
    for arguments, keywords in reversed(marks):
        if arguments:
            raise InputError(f"the marker m7 takes keywords only, not {arguments[0]!r}")
        for key, value in keywords.items():
            if key not in _ONE and key not in _SEVERAL:
                known = [*_ONE, *(k for k in _SEVERAL if k not in _ONE)]
                raise InputError(f"the marker m7 has no {key!r}", do=known_names(key, known))
            merged.pop(_SEVERAL.get(key, key), None)
            merged[key] = value
    axes: list[list[Variant]] = []
    for key, value in merged.items():
        several = key in _SEVERAL and not isinstance(value, str)
        values = list(value) if several else [value]
        if not values:
            raise InputError(f"the marker m7: {key} is empty")
        axes.append([_variant(_SEVERAL.get(key, key), each, shown=several) for each in values])
    return [_joined(parts) for parts in itertools.product(*axes)]


def budget(marks: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> dict[str, Limit]:
    """Return the budget of a test, from the arguments of its markers ``m7_budget``.

    Raises
    ------
    InputError
        For an unknown metric, or a budget that is no number.
    """
    where = "marker m7_budget"
    limits: dict[str, Limit] = {}
    for arguments, keywords in reversed(marks):
        if arguments or not keywords:
            raise InputError("wants metrics such as cycles=12000", where=where)
        for name, value in keywords.items():
            check_metric(name, where)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise InputError(f"{name}={value!r} is no number of 0 or more", where=where)
            limits[name] = Limit("most", float(value))
    return limits


def _variant(key: str, value: Any, *, shown: bool) -> Variant:
    if key == "clock":
        hz = _read(hertz, str(value), "marker m7, clock")
        return Variant(_short(str(value)) if shown else "", {"clock_hz": hz})
    if key == "flags":
        words = shlex.split(value) if isinstance(value, str) else [str(word) for word in value]
        text = "".join(words).removeprefix("-") or "none"
        return Variant(_short(text) if shown else "", {"flags": tuple(words)})
    return Variant(_short(str(value)) if shown else "", {key: str(value)})


def _joined(parts: Sequence[Variant]) -> Variant:
    changes: dict[str, Any] = {}
    for part in parts:
        changes |= part.changes
    return Variant("-".join(part.id for part in parts if part.id), changes)


def _short(text: str) -> str:
    """Return the part of a path or a text that fits a test's id."""
    return text.rsplit("/", 1)[-1].replace(" ", "")


def _read(read: Callable[[str], int], text: str, where: str) -> int:
    try:
        return read(str(text))
    except InputError as error:
        raise InputError(error.what, where=where) from error
