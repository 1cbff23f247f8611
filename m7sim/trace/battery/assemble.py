"""Assemble the programs again: ``python -m m7sim.trace.battery.assemble``."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from m7sim.toolchain import MACHINE_FLAGS, find_compiler
from m7sim.trace.battery import CODE_ADDRESS

_HERE = Path(__file__).parent
_GAP_BYTES = 32  # longer runs of zeros are left out


def document() -> dict[str, Any]:
    """Assemble every source; the content of ``programs.json``."""
    return {path.stem: _entry(path) for path in sorted(_HERE.glob("*.s"))}


def text() -> str:
    """Return ``programs.json`` as it should be."""
    return json.dumps(document(), indent=1) + "\n"


def assemble(source: str) -> bytes:
    """Assemble a program for ``CODE_ADDRESS``.

    Raises
    ------
    ToolError
        If there is no cross compiler.
    """
    gcc = find_compiler()
    objcopy = gcc.removesuffix("gcc") + "objcopy"
    with tempfile.TemporaryDirectory() as folder:
        assembly, elf, image = (Path(folder, f"program.{kind}") for kind in ("s", "elf", "bin"))
        assembly.write_text(f".syntax unified\n.thumb\n{source}", encoding="utf-8")
        link = ("-nostdlib", f"-Wl,-Ttext={CODE_ADDRESS:#x},-e,{CODE_ADDRESS:#x},--build-id=none")
        subprocess.run([gcc, *MACHINE_FLAGS, *link, str(assembly), "-o", str(elf)], check=True)
        subprocess.run([objcopy, "-O", "binary", str(elf), str(image)], check=True)
        return image.read_bytes()


def _entry(path: Path) -> dict[str, Any]:
    source = path.read_text("utf-8")
    expect = re.search(r"^@ expect (.*)$", source, re.MULTILINE)
    pairs = (item.split("=") for item in expect[1].split()) if expect else ()
    return {
        "code": _pieces(assemble(source)),
        "expect": {name: int(value, 0) for name, value in pairs},
        "corrupted": "@ corrupted by memory hooks" in source,
    }


def _pieces(code: bytes) -> list[tuple[int, str]]:
    gap = re.compile(rb"\0{%d,}" % _GAP_BYTES)
    pieces: list[tuple[int, str]] = []
    start = 0
    for match in gap.finditer(code):
        pieces.append((start, code[start : match.start()].hex()))
        start = match.end()
    pieces.append((start, code[start:].hex()))
    return pieces


if __name__ == "__main__":
    _HERE.joinpath("programs.json").write_text(text(), encoding="utf-8")
