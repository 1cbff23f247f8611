"""Kernels of other libraries, described by a TOML manifest; ``firmware/examples`` has two.

A manifest names the sources and options of a library and, for each operation, the C function and
how its arguments derive from the shape. An argument is an array (``input``, ``weights``,
``output``, a scratch buffer …), ``null``, an integer expression over the names of the shape, or a
table: a struct by field name, passed by value or by address as the prototype asks.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from m7sim import toolchain
from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.characterize.call import Call
from m7sim.characterize.manifest_kernel import Kernel
from m7sim.characterize.placement import Placement
from m7sim.characterize.schema import Kinds, check_keys, strings
from m7sim.errors import InputError, TableError
from m7sim.ops import kernels
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Activations
from m7sim.ops.shapes import Shape

SCHEMA = 1
_KEYS: dict[str, Kinds] = {
    "schema": int, "name": str, "sources": list, "include": list, "flags": list,
    "defines": list, "struct": dict, "kernel": list,
}  # fmt: skip
_NEEDED = ("schema", "name", "sources", "kernel")


@dataclass(frozen=True)
class Manifest:
    """A library as its manifest describes it.

    Attributes
    ----------
    path
        Of the manifest; the sources are found from its folder.
    data
        The TOML document, checked.
    """

    path: str
    data: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Read and check a manifest.

        Raises
        ------
        InputError
            If there is no such file.
        TableError
            If it is not TOML, or a key, a name or an expression in it is wrong; the message says
            where and names the nearest valid one.
        """
        file = Path(path)
        if not file.is_file():
            raise InputError(
                f"no kernels {str(path)!r}", do="Give ours, or the path of a TOML manifest"
            )
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TableError(f"cannot be read as TOML: {error}", where=str(file)) from error
        check_keys(data, _KEYS, _NEEDED, str(file))
        if data["schema"] != SCHEMA:
            raise TableError(f"schema {data['schema']}, known is {SCHEMA}", where=str(file))
        made = cls(str(file), data)
        for key in ("sources", "include", "flags", "defines"):
            strings(data.get(key, []), f"{file}: {key}")
        names = [(kernel.op, kernel.variant) for kernel in made.kernels]
        for kernel in made.kernels:
            if names.count((kernel.op, kernel.variant)) > 1:
                raise TableError(
                    f"two kernels of variant {kernel.variant!r} for {kernel.op}",
                    where=str(file),
                    do="Give them different variants",
                )
        return made

    @property
    def name(self) -> str:
        """Name of the library."""
        return str(self.data["name"])

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """Each kernel for each operation that it serves."""
        found: list[Kernel] = []
        for number, table in enumerate(self.data["kernel"]):
            where = f"{self.path}: kernel[{number}]"
            found.extend(Kernel.all_of(table, where, self.data.get("struct", {})))
        return tuple(found)

    def variants(self, shape: Shape) -> Mapping[str, str]:
        """Return forms and obstacles; an obstacle is the condition that does not hold."""
        return {
            kernel.variant: kernel.obstacle(shape) for kernel in self.kernels if kernel.fits(shape)
        }

    def build(
        self,
        board: Board,
        placement: Placement,
        cflags: tuple[str, ...],
        keep: Sequence[str] = (),
    ) -> Path:
        """Compile the library's sources with its options; only what is called is kept."""
        flags = self.data.get("flags", list(kernels.FLAGS))
        defines = (f"-D{name}" for name in self.data.get("defines", []))
        needed = ("-g3", "-ffunction-sections", "-fdata-sections")
        return toolchain.build(
            self.sources(),
            linker_script=placement.linker_script(board),
            flags=(*flags, *needed, *defines, *cflags),
            include=[self._folder / folder for folder in self.data.get("include", [])],
            keep=list(keep) or sorted({n for kernel in self.kernels for n in kernel.functions}),
        )

    def call(self, layer: Layer, inputs: Sequence[Activations], variant: str) -> Call:
        """Lay out a call as the manifest says."""
        for kernel in self.kernels:
            if kernel.variant == variant and kernel.fits(layer.shape):
                return kernel.call(layer, inputs)
        raise InputError(f"no kernel {variant!r} for {layer.shape.op.value}", where=self.path)

    def functions(self, shape: Shape, variant: str) -> Sequence[str]:
        """Return the kernel and what tells the size of its scratch buffers."""
        chosen = (k for k in self.kernels if k.variant == variant and k.fits(shape))
        return sorted({name for kernel in chosen for name in kernel.functions})

    def digest(self, shape: Shape, variant: str) -> str:
        """Return a hash of the manifest's entry."""
        tables = [k.table for k in self.kernels if k.variant == variant and k.fits(shape)]
        text = json.dumps([tables, self.data.get("struct", {})], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def _folder(self) -> Path:
        return Path(self.path).parent

    def sources(self) -> list[Path]:
        """Return the files that the patterns of ``sources`` match; InputError if one has none."""
        found: list[Path] = []
        for pattern in self.data["sources"]:
            base, rest = self._folder, pattern
            if Path(pattern).is_absolute():
                base, rest = Path("/"), pattern.lstrip("/")
            files = sorted(base.glob(rest))
            if not files:
                raise InputError(
                    f"no file matches {pattern!r}", where=self.path, do=_nearest(base, rest)
                )
            found.extend(file for file in files if file not in found)
        return found


def _nearest(base: Path, pattern: str) -> str:
    """Say how far the path of a pattern exists, and what is there."""
    for part in Path(pattern).parts:
        if any(sign in part for sign in "*?["):
            break
        if not (base / part).exists():
            names = [path.name for path in base.iterdir()] if base.is_dir() else []
            return f"{base} has no {part!r}. {suggestion(part, names) if names else ''}".strip()
        base = base / part
    return f"Looked in {base}"
