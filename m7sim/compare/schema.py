"""Snapshots as plain lists and dictionaries, and back.

The document has ``schema_version``, ``configuration``, ``totals``, ``sources`` (hashes of
source files), ``compilers`` (with their options; functions give an index) and ``functions``. What
comes in great numbers is written as rows; their columns are:

- ``lines``: file, line, text, inlined function;
- ``loops``: line (row of ``lines``), parent loop, iterations, entries; outer before inner;
- ``instructions``: offset, text, executions, issue cycles, line, loop, stalls by cause.

-1 stands for no line and no loop. A change of the columns is a new ``schema_version``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from m7sim.compare.snapshot import (
    SCHEMA_VERSION,
    Cost,
    Detail,
    FunctionRecord,
    InstructionRecord,
    Loop,
    Snapshot,
    SourceLine,
    Totals,
)
from m7sim.errors import InputError
from m7sim.timing.causes import StallCause

_CAUSES = frozenset(cause.name.lower() for cause in StallCause)


def to_dict(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as plain lists and dictionaries."""
    t = snapshot.totals
    compilers = list(dict.fromkeys(f.compiled for f in snapshot.functions))
    return {
        "schema_version": SCHEMA_VERSION,
        "configuration": dict(snapshot.configuration),
        "totals": {
            "cycles": t.cycles,
            "instructions": t.instructions,
            "issue_cycles": t.issue_cycles,
            "dual_issued": t.dual_issued,
            "stalls": dict(t.stalls),
            "energy_nj": t.energy_nj,
            "stack_bytes": t.stack_bytes,
            "code_bytes": t.code_bytes,
        },
        "sources": dict(snapshot.sources),
        "compilers": compilers,
        "functions": [_function(f, compilers.index(f.compiled)) for f in snapshot.functions],
    }


def _function(f: FunctionRecord, compiler: int) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": f.name,
        "file": f.file,
        "address": f.address,
        "size_bytes": f.size_bytes,
        "compiler": compiler,
        "calls": f.calls,
        "instructions_executed": f.instructions,
        "issue_cycles": f.cost.issue_cycles,
        "stalls": dict(f.cost.stalls),
    }
    if f.detail is not None:
        data["lines"] = [[x.file, x.line, x.text, x.inlined] for x in f.detail.lines]
        data["loops"] = [[x.line, x.parent, x.iterations, x.entries] for x in f.detail.loops]
        data["instructions"] = [
            [x.offset_bytes, x.text, x.executions, x.cost.issue_cycles, x.line, x.loop,
             dict(x.cost.stalls)]
            for x in f.detail.instructions
        ]  # fmt: skip
    return data


class _Reader:
    """Takes values out of a document and says where one is missing or wrong."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise _damaged("is no object", where)
        self._data, self.where = data, where

    def _get(self, key: str) -> Any:
        if key not in self._data:
            raise _damaged(f"{key!r} is missing", self.where)
        return self._data[key]

    def has(self, key: str) -> bool:
        return key in self._data

    def count(self, key: str) -> int:
        return _count(self._get(key), f"{self.where}: {key}")

    def whole(self, key: str) -> int:
        return _whole(self._get(key), f"{self.where}: {key}")

    def text(self, key: str) -> str:
        return _text(self._get(key), f"{self.where}: {key}")

    def optional_count(self, key: str) -> int | None:
        return None if self._get(key) is None else self.count(key)

    def optional_number(self, key: str) -> float | None:
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise _damaged(f"{value!r} is no energy", f"{self.where}: {key}")
        return float(value)

    def part(self, key: str) -> _Reader:
        return _Reader(self._get(key), f"{self.where}: {key}")

    def mapping(self, key: str) -> dict[str, Any]:
        return dict(self.part(key)._data)

    def stalls(self, key: str) -> dict[str, int]:
        return _stalls(self._get(key), f"{self.where}: {key}")

    def rows(self, key: str) -> list[Any]:
        value = self._get(key)
        if not isinstance(value, list):
            raise _damaged("is no list", f"{self.where}: {key}")
        return value


def from_dict(data: object, *, where: str) -> Snapshot:
    """Read what `to_dict` gave; ``where`` opens the messages.

    Raises
    ------
    InputError
        If something is missing, of the wrong kind, or does not sum to what it should.
    """
    top = _Reader(data, where)
    version = top.count("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"snapshot of version {version}; this m7sim reads version {SCHEMA_VERSION}",
            where=where,
            do="Make it again",
        )
    t = top.part("totals")
    compilers = [_text(text, f"{where}: compilers") for text in top.rows("compilers")]
    snapshot = Snapshot(
        configuration=top.mapping("configuration"),
        totals=Totals(
            cycles=t.count("cycles"),
            instructions=t.count("instructions"),
            issue_cycles=t.count("issue_cycles"),
            dual_issued=t.count("dual_issued"),
            stalls=t.stalls("stalls"),
            energy_nj=t.optional_number("energy_nj"),
            stack_bytes=t.optional_count("stack_bytes"),
            code_bytes=t.count("code_bytes"),
        ),
        sources={
            file: _text(value, f"{where}: sources")
            for file, value in top.mapping("sources").items()
        },
        functions=tuple(
            _read_function(_Reader(f, f"{where}: function {n + 1}"), compilers)
            for n, f in enumerate(top.rows("functions"))
        ),
    )
    _check_sums(snapshot, where)
    return snapshot


def _read_function(r: _Reader, compilers: list[str]) -> FunctionRecord:
    name = r.text("name")
    r.where = f"{r.where} ({name})"
    compiler = r.count("compiler")
    _check_index(compiler, len(compilers), f"{r.where}: compiler")
    return FunctionRecord(
        name=name,
        file=r.text("file"),
        address=r.whole("address"),
        size_bytes=r.count("size_bytes"),
        compiled=compilers[compiler],
        calls=r.count("calls"),
        instructions=r.count("instructions_executed"),
        cost=Cost(r.count("issue_cycles"), r.stalls("stalls")),
        detail=_read_detail(r) if r.has("instructions") else None,
    )


def _read_detail(r: _Reader) -> Detail:
    def rows(key: str, *kinds: Callable[[Any, str], Any]) -> list[list[Any]]:
        found = []
        for n, row in enumerate(r.rows(key)):
            where = f"{r.where}: {key}, row {n + 1}"
            if not isinstance(row, list) or len(row) != len(kinds):
                raise _damaged(f"is no row of {len(kinds)} values", where)
            found.append([kind(v, where) for kind, v in zip(kinds, row, strict=True)])
        return found

    lines = rows("lines", _text, _count, _text, _text)
    loops = rows("loops", _whole, _whole, _count, _count)
    code = rows("instructions", _count, _text, _count, _count, _whole, _whole, _stalls)
    for n, row in enumerate(loops):
        _check_index(row[0], len(lines), f"{r.where}: loops, row {n + 1}")
        _check_index(row[1], n, f"{r.where}: loops, row {n + 1}")  # outer before inner
    for n, row in enumerate(code):
        _check_index(row[4], len(lines), f"{r.where}: instructions, row {n + 1}")
        _check_index(row[5], len(loops), f"{r.where}: instructions, row {n + 1}")
    return Detail(
        lines=tuple(SourceLine(*row) for row in lines),
        loops=tuple(Loop(*row) for row in loops),
        instructions=tuple(
            InstructionRecord(offset, text, executions, Cost(issue, stalls), line, loop)
            for offset, text, executions, issue, line, loop, stalls in code
        ),
    )


def _check_sums(snapshot: Snapshot, where: str) -> None:
    t = snapshot.totals
    if t.cycles != t.issue_cycles + sum(t.stalls.values()):
        raise _damaged("the cycles are not issue cycles plus stalls", f"{where}: totals")
    if not snapshot.functions and not snapshot.timed:
        return
    parts = sum(f.cost.cycles for f in snapshot.functions)
    if parts != t.cycles:
        raise _damaged(f"the functions have {parts} of {t.cycles} cycles", where)
    for f in snapshot.functions:
        if f.detail is not None:
            inside = sum(i.cost.cycles for i in f.detail.instructions)
            if inside != f.cost.cycles:
                what = f"the instructions of {f.name} have {inside} of {f.cost.cycles} cycles"
                raise _damaged(what, where)


def _check_index(index: int, n: int, where: str) -> None:
    if not -1 <= index < n:
        raise _damaged(f"{index} is not among the {n} before it", where)


def _whole(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _damaged(f"{value!r} is no whole number", where)
    return value


def _count(value: object, where: str) -> int:
    number = _whole(value, where)
    if number < 0:
        raise _damaged(f"{number} is negative", where)
    return number


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _damaged(f"{value!r} is no text", where)
    return value


def _stalls(value: object, where: str) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise _damaged("is no object of stalls by cause", where)
    for cause in value:
        if cause not in _CAUSES:
            raise _damaged(f"unknown stall cause {cause!r}", where)
    return {cause: _count(cycles, where) for cause, cycles in value.items()}


def _damaged(what: str, where: str) -> InputError:
    return InputError(f"damaged: {what}", where=where, do="Make the snapshot again")
