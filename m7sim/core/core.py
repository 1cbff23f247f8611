"""A core: its table as read and checked, ready to be compiled for the timing kernels."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from m7sim.core.parameters import Parameters
from m7sim.core.schema import Provenance, Reader, Tables, nearest
from m7sim.core.table import CoreTable, compile_table, pair_reasons
from m7sim.errors import TableError

_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True)
class Core:
    """A validated core table.

    Attributes
    ----------
    path
        File it was read from.
    tables
        Its rows, each with source and confidence.
    changed
        Names of parameters set by ``with_parameters``.
    """

    path: Path
    tables: Tables
    changed: tuple[str, ...] = ()

    @classmethod
    def load(cls, name_or_path: str | Path = "cortex_m7") -> Core:
        """Read and check a core table.

        Parameters
        ----------
        name_or_path
            Name of a table that comes with the package, or the path of a TOML file.

        Raises
        ------
        TableError
            If there is no such table, it is not TOML, or anything in it is unknown, missing or
            out of range.
        """
        path = _find(name_or_path)
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TableError(f"cannot be read as TOML: {error}", where=str(path)) from error
        return cls(path, Reader(document, path.name).tables())

    @property
    def name(self) -> str:
        return self.tables.name

    @property
    def parameters(self) -> Parameters:
        """The structural parameters as plain numbers."""
        return Parameters(**{name: row.value for name, row in self.tables.parameters.items()})

    @property
    def reasons(self) -> tuple[str, ...]:
        """Names behind the codes of ``CoreTable.pair``."""
        return pair_reasons(self.tables)

    def table(self) -> CoreTable:
        """Compile to plain arrays for the timing kernels."""
        return compile_table(self.tables)

    def with_parameters(self, **values: int) -> Core:
        """Return the same core with some structural parameters set otherwise (what-if, ablation).

        Raises
        ------
        TableError
            If a parameter does not exist or its value is not a whole number from 0 up.
        """
        rows = dict(self.tables.parameters)
        for name, value in values.items():
            if name not in rows:
                raise TableError(
                    f"unknown parameter {name!r}", where=self.name, do=nearest(name, rows)
                )
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise TableError(
                    f"{value!r} is not a whole number from 0 up", where=f"{self.name}: {name}"
                )
            changed = Provenance(("own",), "guess", f"set by the caller, was {rows[name].value}")
            rows[name] = replace(rows[name], value=value, provenance=changed)
        names = dict.fromkeys((*self.changed, *values))
        return Core(self.path, replace(self.tables, parameters=rows), tuple(names))


def _find(name_or_path: str | Path) -> Path:
    named = _FOLDER / f"{name_or_path}.toml"
    if named.parent == _FOLDER and named.is_file():
        return named
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = sorted(p.stem for p in _FOLDER.glob("*.toml"))
    raise TableError(
        f"there is no core {str(name_or_path)!r}", do=nearest(str(name_or_path), known)
    )
