"""The committed baselines: one JSON file per test module.

Sorted, one total per line, without dates and paths, so that a diff shows what changed and two
machines write the same bytes. The snapshot, which explains a difference later, is one line.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m7sim.errors import InputError
from m7sim.regress.metrics import METRICS, Number

SCHEMA_VERSION = 1
ABOUT = "Costs that m7.check compares with. Written by pytest --m7-update; commit it."
DEFAULT_FOLDER = "m7_baselines"
# What must be equal for numbers to be comparable at all.
TARGET_KEYS = ("board", "core", "clock_hz")


@dataclass
class Entry:
    """The baseline of one check: ``totals`` by metric, and what they were measured on."""

    measured_on: dict[str, Any]
    totals: dict[str, Number]
    snapshot: dict[str, Any] | None = None

    def equals(self, other: Entry) -> bool:
        """Whether nothing differs but the version of m7sim, which alone is no news."""
        own, others = ({**e.measured_on, "m7sim": ""} for e in (self, other))
        return (own, self.totals, self.snapshot) == (others, other.totals, other.snapshot)


@dataclass
class Baseline:
    """Baselines of one test module: entries by test and by name of the check."""

    path: Path
    tests: dict[str, dict[str, Entry]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a file; one that does not exist has no entries.

        Raises
        ------
        InputError
            If it is damaged, or of another version.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(path)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the baseline cannot be read: {error}", where=str(path)) from error
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str, path: Path) -> Baseline:
        """Read the text of a file; see `load`."""
        do = "Restore the file from version control, or delete it and run pytest --m7-update"
        if "\n<<<<<<< " in text or text.startswith("<<<<<<< "):
            do = "Resolve it with either side, then run pytest --m7-update"
            raise InputError("the baseline has merge conflicts", where=str(path), do=do)
        try:
            data = json.loads(text)
        except ValueError as error:
            raise InputError(f"the baseline is damaged: {error}", where=str(path), do=do) from error
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            if isinstance(version, int) and version > SCHEMA_VERSION:
                what = f"the baseline has version {version}, this m7sim reads {SCHEMA_VERSION}"
                raise InputError(what, where=str(path), do="Update m7sim")
            raise InputError("this is no baseline of m7sim", where=str(path), do=do)
        try:
            tests = {
                test: {name: _entry(entry) for name, entry in checks.items()}
                for test, checks in data["tests"].items()
            }
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            what = f"the baseline is damaged: {_reason(error)}"
            raise InputError(what, where=str(path), do=do) from error
        return cls(path, tests)

    def entry(self, test: str, name: str) -> Entry | None:
        return self.tests.get(test, {}).get(name)

    def put(self, test: str, name: str, entry: Entry) -> bool:
        """Store an entry; return whether anything changed."""
        old = self.entry(test, name)
        if old is not None and old.equals(entry):
            return False
        self.tests.setdefault(test, {})[name] = entry
        return True

    def drop(self, test: str, name: str) -> None:
        self.tests[test].pop(name)
        if not self.tests[test]:
            del self.tests[test]

    def text(self) -> str:
        """Return what the file holds."""
        document = {
            "schema_version": SCHEMA_VERSION,
            "about": ABOUT,
            "tests": {
                test: {name: _plain(entry) for name, entry in sorted(checks.items())}
                for test, checks in sorted(self.tests.items())
            },
        }
        return _dump(document, "") + "\n"

    def save(self) -> None:
        """Write the file: complete, or not at all; without entries it is removed.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        try:
            if not self.tests:
                self.path.unlink(missing_ok=True)
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, self.text())
        except OSError as error:
            raise InputError(
                f"cannot write the baseline: {error.strerror}", where=str(self.path)
            ) from error


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is complete or not there at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink(missing_ok=True)
        raise


def _entry(data: Mapping[str, Any]) -> Entry:
    totals = dict(data["totals"])
    for name, value in totals.items():
        if name not in METRICS:
            raise ValueError(f"unknown metric {name!r}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} is no number")
    return Entry(dict(data["measured_on"]), totals, data.get("snapshot"))


def _plain(entry: Entry) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "measured_on": dict(sorted(entry.measured_on.items())),
        "totals": dict(sorted(entry.totals.items())),
    }
    if entry.snapshot is not None:
        plain["snapshot"] = entry.snapshot
    return plain


def _dump(value: Any, indent: str, key: str = "") -> str:
    if not isinstance(value, dict) or key == "snapshot" or not value:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    inner = indent + " "
    lines = [f"{inner}{json.dumps(k, ensure_ascii=False)}: {_dump(v, inner, k)}"
             for k, v in value.items()]  # fmt: skip
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
