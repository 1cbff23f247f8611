"""What the sanitizer is told to accept, and to ask for in addition."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Self

from m7sim.board.schema import suggestion
from m7sim.errors import InputError
from m7sim.sanitize.finding import KINDS, Finding

GUARD_BYTES = 64  # more than any single access (16 registers)
_KEYS = ("over_read_bytes", "outputs", "complete_outputs", "guard_bytes", "allow")


@dataclass(frozen=True)
class Rules:
    """What is allowed beyond the plain rule that nothing may be touched that is not there.

    Attributes
    ----------
    over_read_bytes
        By name of an array argument or a global: bytes behind its end that may be read.
    allow
        ``(function, kind)`` pairs whose findings are dropped; both may hold ``*`` and ``?``.
    outputs
        Array arguments (names, or positions from 0) whose contents are undefined when the
        function is entered: reading one of their bytes before writing it is a finding.
    complete_outputs
        Whether every byte of ``outputs`` has to be written.
    guard_bytes
        Room left on both sides of every array of a sanitized call, so that what goes past one
        array ends up in no other.
    library
        Whether the C library's word-wise string functions may read to the end of the aligned
        word; see ``library.toml``.

    Raises
    ------
    InputError
        For a kind that does not exist, or sizes below 0.
    """

    over_read_bytes: Mapping[str, int] = field(default_factory=dict)
    allow: tuple[tuple[str, str], ...] = ()
    outputs: tuple[str | int, ...] = ()
    complete_outputs: bool = False
    guard_bytes: int = GUARD_BYTES
    library: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.outputs, str):
            object.__setattr__(self, "outputs", (self.outputs,))
        for _, kind in self.allow:
            if not any(fnmatchcase(known, kind) for known in KINDS):
                raise InputError(f"no kind of finding {kind!r}", do=suggestion(kind, list(KINDS)))
        for name, size_bytes in self.over_read_bytes.items():
            if not 0 <= size_bytes <= self.guard_bytes:
                raise InputError(
                    f"over-read of {size_bytes} bytes", where=name,
                    do=f"Give 0 to guard_bytes ({self.guard_bytes})",
                )  # fmt: skip
        if self.guard_bytes < 0:
            raise InputError(f"guard of {self.guard_bytes} bytes")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read rules from a TOML file; its keys are the attributes.

        ``allow`` is an array of tables with ``function``, ``kind`` and, for people, ``why``.

        Raises
        ------
        InputError
            If the file cannot be read or a key or value is wrong.
        """
        where = str(path)
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", where=where) from error
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"not valid TOML: {error}", where=where) from error
        for key in data:
            if key not in _KEYS:
                raise InputError(f"unknown key {key!r}", where=where, do=suggestion(key, _KEYS))
        types = {"over_read_bytes": dict, "outputs": list, "complete_outputs": bool,
                 "guard_bytes": int, "allow": list}  # fmt: skip
        for key, value in data.items():
            if type(value) is not types[key]:
                what = f"{key!r} is {value!r}, not of type {types[key].__name__}"
                raise InputError(what, where=where)
        for name, size_bytes in data.get("over_read_bytes", {}).items():
            if type(size_bytes) is not int:
                raise InputError(f"over_read_bytes of {name!r} is {size_bytes!r}", where=where)
        data["allow"] = _allowed(data.get("allow", []), where)
        data["outputs"] = tuple(data.get("outputs", []))
        return cls(**data)

    def accepts(self, finding: Finding, *functions: str) -> bool:
        """Tell whether a finding is allowed, in its function or in any of others."""
        names = (finding.function, *functions)
        return any(
            fnmatchcase(finding.kind, kind) and any(fnmatchcase(n, name) for n in names)
            for name, kind in self.allow
        )


def parse_allow(text: str) -> tuple[str, str]:
    """Read ``function:kind``; InputError otherwise."""
    function, colon, kind = text.partition(":")
    if not colon or not function or not kind:
        raise InputError(f"{text!r} is not of the form function:kind")
    return function, kind


def _allowed(entries: list[Any], where: str) -> tuple[tuple[str, str], ...]:
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) - {"why"} != {"function", "kind"}:
            raise InputError(
                f"allow has {entry!r}", where=where,
                do="Each [[allow]] has function and kind, and may have why",
            )  # fmt: skip
        if not all(isinstance(value, str) for value in entry.values()):
            raise InputError(f"allow has {entry!r}, not all text", where=where)
    return tuple((entry["function"], entry["kind"]) for entry in entries)


@cache
def library_functions() -> frozenset[str]:
    """Return the C library's functions that read whole aligned words; see ``library.toml``."""
    return frozenset(_library()["word_wise"]["functions"])


def is_library_source(file: str) -> bool:
    """Tell whether a source file belongs to a library that comes with the compiler."""
    folders = set(file.replace("\\", "/").split("/"))
    return not folders.isdisjoint(_library()["sources"]["folders"])


@cache
def _library() -> dict[str, Any]:
    text = Path(__file__).with_name("library.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
