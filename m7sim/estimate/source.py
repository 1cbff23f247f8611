"""Where the points behind an estimate come from: the table of the package, or one of a sweep.

The table of the package is small: compressed CSV, one line per point with operation, kernel,
placement, sizes, cycles and energy, and a JSON header beside it that says how it was made.
``tools/estimate-table`` makes both anew.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m7sim import toolchain
from m7sim.board import Board
from m7sim.characterize import table
from m7sim.characterize.library import OURS
from m7sim.characterize.point import canonical, digest, model_version
from m7sim.core import Core
from m7sim.errors import InputError
from m7sim.estimate.sizes import SIZES
from m7sim.ops import kernels

SCHEMA_VERSION = 1
SUFFIX = ".csv.gz"
SHIPPED = Path(__file__).parent / "tables" / "ours-stm32f746.csv.gz"
REMAKE = "tools/estimate-table"
SETTING = ("kernels", "cflags", "board", "clock_hz", "core", "start")
"""What is the same for all points of an estimator; labels of the characterization table."""
_COLUMNS = ("op", "variant", "placement", *SIZES, "cycles", "energy_nj")


@dataclass(frozen=True)
class Points:
    """Measured points of one setting.

    Attributes
    ----------
    path
        The table.
    rows
        Each with op, variant, placement, sizes, cycles and energy (None if unknown).
    setting
        Values of `SETTING`.
    stale
        What has changed since the table was made and bears on its figures, in words.
    changed
        Whether only the simulator's own sources have changed since.
    """

    path: Path
    rows: tuple[Mapping[str, Any], ...]
    setting: Mapping[str, Any]
    header: Mapping[str, Any]
    stale: tuple[str, ...]
    changed: bool

    @property
    def shipped(self) -> bool:
        """Whether this is the table of the package."""
        return self.path == SHIPPED


def read(path: str | Path | None = None, **wanted: Any) -> Points:
    """Read points of one setting from a table; default the one of the package.

    Parameters
    ----------
    wanted
        Values of `SETTING` to choose by, where a table holds several.

    Raises
    ------
    InputError
        If the file is no table, has no such points, or has points of several settings.
    """
    rows, header, where = _rows(path)
    wanted = {name: value for name, value in wanted.items() if value is not None}
    settings = list(dict.fromkeys(tuple(row[name] for name in SETTING) for row in rows))
    fitting = [
        s for s in settings
        if all(dict(zip(SETTING, s, strict=True))[name] == v for name, v in wanted.items())
    ]  # fmt: skip
    if not fitting:
        asked = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise InputError(
            f"no verified points{f' of {asked}' if asked else ''}",
            where=str(where),
            do=f"There are: {'; '.join(map(_words, settings)) or 'none'}",
        )
    if len(fitting) > 1:
        raise InputError(
            f"points of {len(fitting)} settings, an estimate needs one",
            where=str(where),
            do=f"Choose with --board, --kernels, --cflags, --clock or --warm among: "
            f"{'; '.join(map(_words, fitting))}",
        )
    setting = dict(zip(SETTING, fitting[0], strict=True))
    chosen = tuple(r for r in rows if all(r[name] == setting[name] for name in SETTING))
    stale, changed = _changes(header, setting)
    return Points(where, chosen, setting, header, stale, changed)


def _words(setting: tuple[Any, ...]) -> str:
    kernels, cflags, board, clock_hz, core, start = setting
    flags = f" {cflags}" if cflags else ""
    return f"{kernels}{flags} on {board} at {clock_hz / 1e6:g} MHz, {core}, {start}"


def _rows(path: str | Path | None) -> tuple[list[dict[str, Any]], dict[str, Any], Path]:
    where = SHIPPED if path is None else Path(path)
    if where.name.endswith(SUFFIX):
        rows, header = _read_compact(where)
        return rows, header, where
    where = table.out_path(where)
    found = table.read(where)
    names = ("op", "variant", "placement", *SIZES, "cycles", "energy_nj", *SETTING)
    return [{name: row[name] for name in names} for row in found.ok], dict(found.header), where


# The compact form ------------------------------------------------------------------------------


def _read_compact(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    try:
        header = json.loads(table.header_path(path).read_text(encoding="utf-8"))
        if header["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"an estimation table of schema version {header['schema_version']}",
                where=str(path),
                do=f"Make it again with: {REMAKE}",
            )
        rows = []
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                numbers = {name: int(row[name]) for name in (*SIZES, "cycles")}
                energy = float(row["energy_nj"]) if row["energy_nj"] else None
                labels = {name: row[name] for name in ("op", "variant", "placement")}
                rows.append({**labels, **numbers, "energy_nj": energy, **header["setting"]})
        if len(rows) != header["rows"]:
            raise ValueError(f"{len(rows)} rows")
    except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise InputError("not an estimation table", where=str(path)) from error
    return rows, header


def write(
    path: Path, rows: Sequence[Mapping[str, Any]], made_by: Mapping[str, Any]
) -> dict[str, Any]:
    """Write rows of one setting in the compact form, and its header; return the header.

    Parameters
    ----------
    path
        Ends on `SUFFIX`.
    made_by
        Header of the sweep that the rows are of.
    """
    setting = {name: rows[0][name] for name in SETTING}
    header = {
        "schema_version": SCHEMA_VERSION,
        "command": made_by["command"],
        "versions": made_by["versions"],
        "setting": setting,
        "seed": made_by["sweep"]["seed"],
        "rows": len(rows),
        **stamp(setting),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a name and a time in it, equal rows are equal bytes.
    path.write_bytes(gzip.compress(pack(rows, setting).encode(), mtime=0))
    text = json.dumps(header, indent=2, ensure_ascii=False) + "\n"
    table.header_path(path).write_text(text, encoding="utf-8")
    return header


def pack(rows: Iterable[Mapping[str, Any]], setting: Mapping[str, Any]) -> str:
    """Return rows of one setting as CSV: energy to 5 digits, in the given order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        if any(row[name] != setting[name] for name in SETTING):
            raise InputError("points of several settings cannot be packed into one table")
        energy = "" if row["energy_nj"] is None else f"{row['energy_nj']:.5g}"
        writer.writerow([*(row[name] for name in _COLUMNS[:-1]), energy])
    return text.getvalue()


def stamp(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells whether a table of a setting is still that of this m7sim."""
    board = Board.load(setting["board"])
    if board.clock_hz != setting["clock_hz"]:
        board = board.override(clock_hz=setting["clock_hz"])
    core = Core.load(setting["core"].replace("-", "_"))  # a name is a file name with hyphens
    found: dict[str, Any] = {
        "model": model_version(),
        "boards": {board.name: digest(canonical(board))},
        "core": digest(canonical(core.tables)),
    }
    if setting["kernels"] == OURS:
        found["kernels"] = kernel_sources_digest()
    return found


def kernel_sources_digest() -> str:
    """Return a hash of the sources of our kernels, what they include, and how they are compiled."""
    firmware = toolchain.firmware_dir()
    files = {path for folder in kernels.kernel_includes() for path in folder.glob("*.h")}
    files |= {*kernels.kernel_sources()}
    found = hashlib.sha256(" ".join(kernels.FLAGS).encode())
    for path in sorted(files):
        found.update(str(path.relative_to(firmware)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _changes(header: Mapping[str, Any], setting: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Return what has changed in words, and whether the simulator's own sources have."""
    try:
        now = stamp(setting)
    except InputError:  # a board or core of a file that is not at hand: nothing to compare with
        return (), False
    board = setting["board"]
    compared = {
        f"the board {board}": (header.get("boards", {}).get(board), now["boards"].get(board)),
        f"the core table {setting['core']}": (header.get("core"), now["core"]),
        "the kernels": (header.get("kernels"), now.get("kernels")),
    }
    # A header of a sweep says which libraries it took, not what their sources were.
    stale = [w for w, (then, is_now) in compared.items()
             if isinstance(then, str) and is_now is not None and then != is_now]  # fmt: skip
    compiler = header.get("versions", {}).get("compiler")
    if compiler and setting["kernels"] == OURS:
        try:
            if toolchain.compiler_version() != compiler:
                stale.append("the compiler")
        except InputError:
            pass  # none here: the table is all there is
    return tuple(stale), header.get("model") != now["model"]
