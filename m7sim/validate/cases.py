"""Cases: a program, how it is started, and what a chip took for it; one TOML file each.

The keys are described in ``FIDELITY.md`` beside this file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m7sim.board.schema import Key, Reader, suggestion
from m7sim.errors import InputError, TableError
from m7sim.validate.bands import CODE_CLASSES

SCHEMA = 1
RESET = "reset"
_TABLES = (".board.toml", ".core.toml")

_DTYPES = (
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
)  # fmt: skip

_CASE = {
    "schema": Key(int), "name": Key(str, required=False),
    "elf": Key(str), "entry": Key(object, required=False), "start": Key(str, required=False),
    "arguments": Key(list, required=False), "command_line": Key(str, required=False),
    "before": Key(list, required=False), "repeat": Key(int, required=False),
    "measure": Key(str, required=False),
    "max_instructions": Key(int, required=False),
    "board": Key(str), "core": Key(str, required=False), "clock_hz": Key(int, required=False),
    "icache": Key(bool, required=False), "dcache": Key(bool, required=False),
    "place": Key(str, required=False),
    "measured": Key(dict), "class": Key(str, required=False), "calibration": Key(bool),
    "recompiled": Key(bool, required=False),
    "source": Key(str), "commit": Key(str, required=False), "notes": Key(str, required=False),
}  # fmt: skip
_MEASURED = {
    "cycles": Key(object, required=False),
    "ms": Key(object, required=False),
    "plus_minus_cycles": Key(object, required=False),
    "plus_minus_ms": Key(object, required=False),
}
_ARGUMENT = {
    "value": Key(object, required=False), "symbol": Key(str, required=False),
    "dtype": Key(str, required=False), "shape": Key(object, required=False),
    "fill": Key(object, required=False), "values": Key(list, required=False),
    "seed": Key(int, required=False), "low": Key(object, required=False),
    "high": Key(object, required=False), "place": Key(str, required=False),
    "address": Key(int, required=False), "alignment_bytes": Key(int, required=False),
}  # fmt: skip
_BUFFER_ONLY = sorted(set(_ARGUMENT) - {"value", "symbol"})
DEFAULT_ALIGNMENT_BYTES = 8


@dataclass(frozen=True)
class Argument:
    """A number, the address of a symbol, or a buffer.

    ``array`` is what the buffer holds before each call. It lies at ``address`` if that is given,
    else wherever ``place`` (a region, or ``auto``) has room.
    """

    value: int | float | None = None
    symbol: str = ""
    array: NDArray[Any] | None = None
    place: str = "auto"
    address: int | None = None
    alignment_bytes: int = DEFAULT_ALIGNMENT_BYTES


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison; see `load_case`.

    ``entry`` is None for a run from reset. Before the call of ``entry``, the functions in
    ``before`` are called without arguments; ``repeat`` such rounds are made and the last call
    counts, so 1 with nothing before it is a cold call. ``measure`` names a function whose mean
    inclusive cycles per call are compared, instead of the whole call or run. Either
    ``measured_cycles`` or ``measured_ms`` is given; the clock is that of the case, else of its
    board. ``recompiled`` says that another compiler or other options made the measured program from
    the same source.
    """

    path: Path
    name: str
    elf: Path
    entry: str | int | None
    arguments: tuple[Argument, ...]
    command_line: str
    before: tuple[str, ...]
    measure: str
    repeat: int
    max_instructions: int | None
    board: str
    core: str
    clock_hz: int | None
    icache: bool | None
    dcache: bool | None
    measured_cycles: float | None
    measured_ms: float | None
    plus_minus_cycles: float
    plus_minus_ms: float
    code_class: str
    calibration: bool
    recompiled: bool
    source: str
    commit: str
    notes: str

    def run_key(self) -> tuple[Any, ...]:
        """Return what two cases share if one run serves both; they differ in ``measure``."""
        return (
            self.elf, self.entry, self.command_line, self.before, self.repeat,
            self.max_instructions, self.board, self.core, self.clock_hz, self.icache, self.dcache,
            tuple(_argument_key(argument) for argument in self.arguments),
        )  # fmt: skip


def _argument_key(argument: Argument) -> tuple[Any, ...]:
    array = argument.array
    content = None if array is None else (array.dtype.str, array.shape, array.tobytes())
    return (
        argument.value, argument.symbol, content, argument.place, argument.address,
        argument.alignment_bytes,
    )  # fmt: skip


def case_files(folder: Path) -> list[Path]:
    """Return the case files in a folder and below it, by name.

    Tables of boards and cores may lie among them as ``*.board.toml`` and ``*.core.toml``.

    Raises
    ------
    InputError
        If there is no such folder, or no case in it.
    """
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), do="Give a folder of case files")
    files = sorted(
        path
        for path in folder.rglob("*.toml")
        if path.is_file() and not path.name.endswith(_TABLES)
    )
    if not files:
        raise InputError("no case file (*.toml) in this folder", where=str(folder))
    return files


def load_case(path: Path) -> Case:
    """Read and check one case file.

    Raises
    ------
    TableError
        If it breaks the schema: an unknown, missing or wrongly typed key, a value out of range.
    InputError
        If the file or its ELF cannot be read.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"not valid TOML: {error}", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    return _Loader(path).case(data)


class _Loader:
    def __init__(self, path: Path) -> None:
        self.path, self.reader = path, Reader(str(path), {})

    def _wrong(self, what: str, key: str, do: str = "") -> TableError:
        return TableError(what, where=f"{self.path}: {key}", do=do)

    def case(self, data: Any) -> Case:
        row = self.reader.table(data, _CASE, "top level")
        if row["schema"] != SCHEMA:
            raise self._wrong(f"schema {row['schema']}, expected {SCHEMA}", "schema")
        elf = self.path.parent / row["elf"]
        if not elf.is_file():
            raise InputError(
                f"the ELF {row['elf']} does not exist", where=f"{self.path}: elf",
                do="Its path is relative to the case file",
            )  # fmt: skip
        if not row["source"].strip():
            raise self._wrong("missing source", "source", "Say where the measurement stands")
        repeat = row.get("repeat", 1)
        if repeat < 1:
            raise self._wrong("must be at least 1", "repeat")
        code_class = row.get("class", "")
        if code_class and code_class not in CODE_CLASSES:
            do = suggestion(code_class, CODE_CLASSES)
            raise self._wrong(f"unknown class of code {code_class!r}", "class", do)
        return Case(
            path=self.path,
            name=row.get("name", self.path.stem),
            elf=elf,
            entry=self._entry(row),
            arguments=self._arguments(row),
            command_line=row.get("command_line", ""),
            before=self._names(row.get("before", [])),
            measure=row.get("measure", ""),
            repeat=repeat,
            max_instructions=row.get("max_instructions"),
            board=row["board"],
            core=row.get("core", "cortex_m7"),
            clock_hz=row.get("clock_hz"),
            icache=row.get("icache"),
            dcache=row.get("dcache"),
            **self._measured(row["measured"]),
            code_class=code_class,
            calibration=row["calibration"],
            recompiled=row.get("recompiled", False),
            source=row["source"],
            commit=row.get("commit", ""),
            notes=row.get("notes", ""),
        )

    def _entry(self, row: Mapping[str, Any]) -> str | int | None:
        entry, start = row.get("entry"), row.get("start")
        if (entry is None) == (start is None):
            raise self._wrong(
                "one of entry and start is needed", "entry",
                'Give entry = "function" or start = "reset"',
            )  # fmt: skip
        if start is not None:
            if start != RESET:
                raise self._wrong(f"{start!r} is no start", "start", f'Only "{RESET}" is one')
            for key in ("arguments", "before", "repeat"):
                if key in row:
                    raise self._wrong(f"{key} does not go with a run from reset", key)
            return None
        if "command_line" in row or "max_instructions" in row:
            raise self._wrong("goes with a run from reset only", "command_line, max_instructions")
        if isinstance(entry, bool) or not isinstance(entry, str | int):
            raise self._wrong("expected a function's name or address", "entry")
        return entry

    def _names(self, names: list[Any]) -> tuple[str, ...]:
        if not all(isinstance(name, str) for name in names):
            raise self._wrong("expected names of functions", "before")
        return tuple(names)

    def _measured(self, data: Any) -> dict[str, Any]:
        row = self.reader.table(data, _MEASURED, "[measured]")
        given = [key for key in ("cycles", "ms") if key in row]
        if len(given) != 1:
            what = "missing measured value" if not given else "both cycles and ms are given"
            raise self._wrong(what, "[measured]", "Give cycles = … or ms = …")
        cycles, ms = (self._number(row.get(key), f"measured.{key}") for key in ("cycles", "ms"))
        if (cycles or ms or 0) <= 0:
            raise self._wrong("must be above 0", f"measured.{given[0]}")
        spread = {
            key: self._number(row.get(key), f"measured.{key}") or 0.0
            for key in ("plus_minus_cycles", "plus_minus_ms")
        }
        return {"measured_cycles": cycles, "measured_ms": ms, **spread}

    def _number(self, value: Any, key: str) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise self._wrong(f"{value!r} is no number of at least 0", key)
        return float(value)

    def _arguments(self, row: Mapping[str, Any]) -> tuple[Argument, ...]:
        place = row.get("place", "auto")
        return tuple(
            self._argument(data, f"[[arguments]] {index + 1}", place)
            for index, data in enumerate(row.get("arguments", ()))
        )

    def _argument(self, data: Any, where: str, place: str) -> Argument:
        row = self.reader.table(_positive(data), _ARGUMENT, where)
        kinds = [key for key in ("value", "symbol", "dtype") if key in row]
        if len(kinds) != 1:
            raise self._wrong("one of value, symbol and dtype is needed", where)
        if kinds[0] != "dtype":
            if extra := [key for key in _BUFFER_ONLY if key in row]:
                raise self._wrong(f"{extra[0]} belongs to buffers (dtype = …)", where)
            value = data.get("value")
            if value is not None and (isinstance(value, bool) or not _is_number(value)):
                raise self._wrong(f"{value!r} is no number", f"{where}.value")
            return Argument(value=value, symbol=row.get("symbol", ""))
        if "place" in row and "address" in row:
            raise self._wrong("both place and address are given", where)
        return Argument(
            array=self._array({**row, **data}, where),
            place=row.get("place", place),
            address=row.get("address"),
            alignment_bytes=row.get("alignment_bytes", DEFAULT_ALIGNMENT_BYTES),
        )

    def _array(self, row: Mapping[str, Any], where: str) -> NDArray[Any]:
        if row["dtype"] not in _DTYPES:
            do = suggestion(row["dtype"], _DTYPES)
            raise self._wrong(f"unknown dtype {row['dtype']!r}", f"{where}.dtype", do)
        dtype: np.dtype[Any] = np.dtype(row["dtype"])
        contents = [key for key in ("fill", "values", "seed") if key in row]
        if len(contents) != 1:
            raise self._wrong("one of fill, values and seed is needed", where)
        try:
            if "values" in row:
                array = np.array(row["values"], dtype)
                return array.reshape(row["shape"]) if "shape" in row else array
            if "shape" not in row:
                raise self._wrong("missing key 'shape'", where)
            if "fill" in row:
                return np.full(row["shape"], np.array(row["fill"], dtype))
            return _random(dtype, row)
        except (ValueError, TypeError, OverflowError) as error:
            raise self._wrong(f"no such buffer: {error}", where) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _positive(data: Any) -> Any:
    """Hide the sign of numbers that may have one from a check made for sizes and counts."""
    if not isinstance(data, dict):
        return data
    signed = ("value", "fill", "low", "high")
    return {k: abs(v) if k in signed and _is_number(v) else v for k, v in data.items()}


def _random(dtype: np.dtype[Any], row: Mapping[str, Any]) -> NDArray[Any]:
    generator = np.random.default_rng(row["seed"])
    array: NDArray[Any]
    if dtype.kind == "f":
        low, high = row.get("low", -1.0), row.get("high", 1.0)
        array = generator.uniform(low, high, row["shape"]).astype(dtype)
        return array
    limits = np.iinfo(dtype)
    low, high = row.get("low", limits.min), row.get("high", limits.max)
    array = generator.integers(low, high, row["shape"], dtype=dtype, endpoint=True)
    return array
