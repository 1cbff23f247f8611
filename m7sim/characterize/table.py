"""The characterization table: its columns, and how it is written to and read from a file.

A table is a Parquet file (or CSV, by the name's ending) with a JSON header, ``NAME.json``.
Neither holds a time, a host or an order of finishing: the same sweep gives the same bytes.

For other parts of the package: ``read(path)`` gives a `Table`; ``table.rows`` are dictionaries by
column name, ``table.ok`` those whose result was verified, ``table.column(name)`` a NumPy array.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.timing.causes import StallCause

SCHEMA_VERSION = 1
OK = "ok"
PARQUET, CSV = ".parquet", ".csv"
METADATA_KEY = b"m7sim"

# What a point can be instead of measured; the reason is in the column of that name.
STATUSES = {
    OK: "verified: the output equals the oracle's",
    "wrong_result": "the output differs from the oracle's",
    "refused": "the kernel returned an error status",
    "unsupported": "the library has no such kernel for this shape",
    "no_fit": "arrays or code do not fit the memory",
    "fault": "the code faulted, overflowed its stack or jumped wild",
    "limit": "the limit of instructions was reached",
    "compile_error": "the kernels did not compile or link with these options",
    "unmodelled": "an instruction has no row in the core table",
    "bad_input": "a shape, a manifest entry or an argument cannot be used",
    "error": "an error of m7sim",
    "died": "the process that measured it died",
}


@dataclass(frozen=True)
class Column:
    """A column: its type (``str``, ``int``, ``float`` or ``bool``), unit in the name, meaning."""

    name: str
    type: str
    meaning: str


SHAPE_COLUMNS = (
    "in_y", "in_x", "in_ch", "out_y", "out_x", "out_ch",
    "kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x",
)  # fmt: skip
STALL_COLUMNS = tuple(f"stall_{cause.name.lower()}_cycles" for cause in StallCause)
STATISTICS = (
    "branches", "branches_taken", "branches_mispredicted",
    "icache_misses", "dcache_misses", "dcache_write_backs", "art_misses",
    "bank_conflicts",
)  # fmt: skip

LABEL_COLUMNS = (
    Column("op", "str", "operation, as in --ops"),
    Column("family", "str", "representation of the numbers"),
    Column("shape", "str", "sizes in a few characters"),
    *(Column(name, "int", "size, y and x apart") for name in SHAPE_COLUMNS),
    Column("kernels", "str", "library"),
    Column("variant", "str", "form of the kernel"),
    Column("placement", "str", "where code and arrays lie"),
    Column("cflags", "str", "compiler options on top of the library's"),
    Column("board", "str", "board"),
    Column("clock_hz", "int", "core clock"),
    Column("core", "str", "core"),
    Column("start", "str", "cold: caches and predictors empty; warm: after one call before"),
    Column("seed", "int", "of the data"),
)
RESULT_COLUMNS = (
    Column("status", "str", "ok, or what went wrong"),
    Column("reason", "str", "what went wrong in a sentence; empty if nothing did"),
    Column("verified", "bool", "whether the output was compared with the oracle and is equal"),
    Column("function", "str", "C function that was called"),
    Column("regions", "str", "memory of each array"),
    Column("macs", "int", "multiply-accumulates"),
    Column("ops", "int", "operations"),
    Column("macs_per_output", "int", "multiply-accumulates that make one output element"),
    Column("instructions", "int", "executed"),
    Column("cycles", "int", "total"),
    Column("issue_cycles", "int", "in which something was issued; the rest are stalls"),
    Column("dual_issued", "int", "instructions issued beside an older one"),
    Column("time_ms", "float", "at the clock"),
    Column("ops_per_s", "float", "operations a second"),
    Column("cycles_per_mac", "float", "for operations with multiply-accumulates"),
    Column("cycles_per_op", "float", ""),
    *(
        Column(name, "int", cause.meaning)
        for name, cause in zip(STALL_COLUMNS, StallCause, strict=True)
    ),
    *(Column(name, "int", "count") for name in STATISTICS),
    Column("line_fill_bytes", "int", "read by the caches from the memories behind them"),
    Column("in_bytes", "int", "size of the inputs"),
    Column("weight_bytes", "int", "size of weights, biases and scales"),
    Column("out_bytes", "int", "size of the output"),
    Column("scratch_bytes", "int", "size of the scratch buffers"),
    Column("stack_bytes", "int", "largest depth of the stack"),
    Column("mean_power_mw", "float", "power while it runs"),
    Column("energy_nj", "float", "energy of one call"),
    Column("energy_per_op_nj", "float", ""),
    Column("content_hash", "str", "of everything that the measurement depends on"),
)
COLUMNS = LABEL_COLUMNS + RESULT_COLUMNS
NAMES = tuple(column.name for column in COLUMNS)
_DTYPES = {"str": object, "int": np.float64, "float": np.float64, "bool": np.bool_}


@dataclass(frozen=True)
class Table:
    """Rows of a sweep in the order of its grid, and the header that says how they were made."""

    rows: tuple[dict[str, Any], ...]
    header: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> tuple[dict[str, Any], ...]:
        """Rows whose result was verified."""
        return tuple(row for row in self.rows if row["status"] == OK)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column of the verified rows; numbers as float64, NaN where there is none."""
        kind = {column.name: column.type for column in COLUMNS}[name]
        values = [row[name] for row in self.ok]
        if kind in ("int", "float"):
            values = [np.nan if value is None else value for value in values]
        return np.array(values, dtype=_DTYPES[kind])


def out_path(out: str | Path) -> Path:
    """Return the table's file for what was given as ``--out``: a file, or a folder for it.

    Raises
    ------
    InputError
        If the name ends on something that is no format.
    """
    path = Path(out)
    if path.suffix == "" or path.is_dir():
        return path / f"characterize{PARQUET}"
    if path.suffix not in (PARQUET, CSV):
        raise InputError(
            f"no table format {path.suffix!r}", where=str(path), do=f"Use {PARQUET} or {CSV}"
        )
    return path


def header_path(path: Path) -> Path:
    """Return the file of the header that belongs to a table."""
    return path.with_name(f"{path.name}.json")


def check_format(path: Path) -> None:
    """Raise InputError now if this format cannot be written in the end."""
    if path.suffix == PARQUET:
        _arrow()


def write(path: Path, rows: Sequence[Mapping[str, Any]], header: Mapping[str, Any]) -> None:
    """Write table and header; each is complete or not there at all.

    Raises
    ------
    InputError
        If it cannot be written, or pyarrow is missing.
    """
    text = json.dumps(header, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    data = _csv(rows) if path.suffix == CSV else _parquet(rows, header)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
        _replace(header_path(path), text.encode())
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=str(path)) from error


def read(path: str | Path) -> Table:
    """Return the table of a file.

    Raises
    ------
    InputError
        If the file is missing, damaged, or not a table of this version.
    """
    path = out_path(path)
    if not path.is_file():
        raise InputError("no such table", where=str(path), do="Make one with: m7sim characterize")
    rows, header = _read_csv(path) if path.suffix == CSV else _read_parquet(path)
    version = header.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"a table of schema version {version}, this m7sim reads {SCHEMA_VERSION}",
            where=str(path),
            do="Make it again with: m7sim characterize",
        )
    return Table(rows=tuple(rows), header=header)


# Formats ------------------------------------------------------------------------------------


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            "Parquet files need pyarrow, which is not installed",
            do="Install it with: pip install 'm7sim[sweeps]'; or end --out with .csv",
        ) from error
    return pyarrow


def _parquet(rows: Sequence[Mapping[str, Any]], header: Mapping[str, Any]) -> bytes:
    arrow = _arrow()
    kinds = {
        "str": arrow.string(), "int": arrow.int64(), "float": arrow.float64(), "bool": arrow.bool_()
    }  # fmt: skip
    schema = arrow.schema(
        [arrow.field(c.name, kinds[c.type], metadata={"meaning": c.meaning}) for c in COLUMNS],
        metadata={METADATA_KEY: json.dumps(header).encode()},
    )
    columns = [arrow.array([row[c.name] for row in rows], type=kinds[c.type]) for c in COLUMNS]
    sink = io.BytesIO()
    arrow.parquet.write_table(arrow.table(columns, schema=schema), sink)
    return sink.getvalue()


def _read_parquet(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    arrow = _arrow()
    try:
        found = arrow.parquet.read_table(path)
        header = json.loads(found.schema.metadata[METADATA_KEY])
        rows = found.select(list(NAMES)).to_pylist()
    except (arrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError("not a characterization table", where=str(path)) from error
    return rows, header


def _csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(NAMES)
    for row in rows:
        writer.writerow("" if row[name] is None else row[name] for name in NAMES)
    return text.getvalue().encode()


def _read_csv(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    try:
        header = json.loads(header_path(path).read_text(encoding="utf-8"))
        with path.open(encoding="utf-8", newline="") as file:
            rows = [
                {c.name: _value(row[c.name], c.type) for c in COLUMNS}
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "not a characterization table, or its header is missing", where=str(path)
        ) from error
    return rows, header


def _value(text: str, kind: str) -> Any:
    if kind == "str":
        return text
    if text == "":
        return None
    if kind == "bool":
        return text == "True"
    return int(text) if kind == "int" else float(text)


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
