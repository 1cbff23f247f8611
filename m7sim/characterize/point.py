"""One point of a sweep, and the hash of everything that its measurement depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import m7sim
from m7sim.board import Board
from m7sim.characterize.library import Library
from m7sim.characterize.placement import Placement
from m7sim.core import Core
from m7sim.ops.shapes import Shape

COLD, WARM = "cold", "warm"
STARTS = (COLD, WARM)

# Packages and modules of which a measurement does not depend.
_NOT_IN_MODEL = {
    "cli.py", "__main__.py", "commands", "report", "validate", "nets", "memmap", "export",
    "estimate", "compare", "regress", "sanitize", "pytest_plugin.py", "_firmware", "__pycache__",
}  # fmt: skip
_HARNESS = {"call.py", "expressions.py", "layouts.py", "library.py", "manifest.py",
            "manifest_kernel.py", "measure.py", "operands.py", "placement.py"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Setup:
    """What many points share: a built ELF on a board.

    Attributes
    ----------
    content_sha256
        Hash of what the ELF loads, whatever its debug information says of files and options.
    elf
        Its bytes, compressed by zlib: a worker may be on another machine.
    limit_instructions
        Of one call.
    """

    library: Library
    board: Board
    core: Core
    content_sha256: str
    elf: bytes = field(repr=False)
    limit_instructions: int
    model: str

    @cached_property
    def digest(self) -> str:
        """Hash of ELF, board, core and model."""
        return digest(
            self.content_sha256, canonical(self.board), canonical(self.core.tables), self.model
        )


@dataclass(frozen=True, eq=False)
class Point:
    """A shape on a setup, by a variant of a kernel, with its arrays in certain memories."""

    setup: Setup
    shape: Shape
    variant: str
    placement: Placement
    start: str
    seed: int

    @cached_property
    def content_hash(self) -> str:
        """Hash of everything that the measurement depends on, the limit excepted."""
        return digest(
            self.setup.digest,
            canonical(self.shape),
            self.variant,
            repr(self.placement.where),
            self.setup.library.digest(self.shape, self.variant),
            self.start,
            str(self.seed),
        )


def digest(*parts: str) -> str:
    """Return a SHA-256 over texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def canonical(value: Any) -> str:
    """Return a text of plain data that is the same in every process, unlike ``repr`` of a set."""
    if is_dataclass(value):
        inner = ",".join(f"{f.name}={canonical(getattr(value, f.name))}" for f in fields(value))
        return f"{type(value).__name__}({inner})"
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{k!r}:{canonical(v)}' for k, v in value.items()))}}}"
    if isinstance(value, set | frozenset):
        return f"{{{','.join(sorted(map(canonical, value)))}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(canonical, value))}]"
    if isinstance(value, str | int | float | bool | None | Enum):
        return repr(value)
    raise TypeError(f"{type(value).__name__} has no canonical text")


@cache
def model_version() -> str:
    """Return a hash of the package's sources and tables that decide about a measurement.

    The engine's version is in it too. Boards and cores are not: a `Setup` hashes the one it uses.
    """
    root = Path(m7sim.__file__).parent
    found = hashlib.sha256(f"unicorn {version('unicorn')}".encode())
    for path in sorted([*root.rglob("*.py"), *(root / "energy").rglob("*.toml")]):
        relative = path.relative_to(root)
        if relative.parts[0] in _NOT_IN_MODEL:
            continue
        if relative.parts[0] == "characterize" and relative.name not in _HARNESS:
            continue
        found.update(str(relative).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def tool_versions() -> dict[str, str]:
    """Return the versions of what makes a table."""
    return {
        "m7sim": m7sim.__version__,
        **{name: version(name) for name in ("unicorn", "numpy", "numba")},
    }
