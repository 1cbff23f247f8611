"""The order of the packages, and where third-party libraries are met."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import m7sim

ROOT = Path(m7sim.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# A package imports only from those left of it.
ORDER = (
    "errors", "units", "cache", "jit", "toolchain", "elf", "board", "isa", "core", "machine",
    "trace", "timing", "energy", "profile", "sanitize", "session", "compare", "regress", "validate",
    "ops", "characterize", "estimate", "nets", "memmap", "report", "export", "commands", "cli",
    "__main__", "pytest_plugin",
)  # fmt: skip

ONE_PLACE = {"unicorn", "capstone", "elftools", "numba"}
MAX_LINES = 400


def package_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Dotted names of all modules that a file imports, inside functions as well."""
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            yield node.module
            if node.module == "m7sim":
                yield from (f"m7sim.{alias.name}" for alias in node.names)


def test_packages_import_only_leftwards() -> None:
    wrong = []
    for path in FILES:
        own = package_of(path)
        if own == "__init__":
            continue  # the package itself: lazy, and right of everything it names
        assert own in ORDER, f"{own} has no place in the order"
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "m7sim" or len(parts) == 1 or parts[1] == "__version__":
                continue
            if ORDER.index(parts[1]) > ORDER.index(own):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


@pytest.mark.parametrize("library", sorted(ONE_PLACE))
def test_library_is_imported_in_one_file(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in FILES
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert len(users) == 1, f"{library} is imported in {sorted(users)}"


def test_modules_are_short() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in FILES}
    assert not {name: n for name, n in lengths.items() if n > MAX_LINES}


@pytest.mark.parametrize("command", ["import m7sim", "import m7sim.cli; m7sim.cli.parser()"])
def test_light_imports(command: str) -> None:
    """``--help`` must not pay for the jit compiler, the engine or NumPy."""
    heavy = "numba numpy unicorn capstone elftools rich matplotlib"
    code = f"{command}; import sys; print(*[m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
