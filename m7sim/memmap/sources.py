"""Which objects stand in the program's own sources, and where."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Final

from m7sim.elf import Image
from m7sim.memmap.attributes import identifier_of
from m7sim.memmap.objects import MemoryObject

_LIBRARIES: Final = frozenset({"newlib", "libgcc", "libgloss", "picolibc", "libstdc++-v3"})
_SOURCE_KINDS: Final = ("code", "const", "data", "zero")


def source_of(image: Image, item: MemoryObject) -> str:
    """Return ``file:line`` of an object in the program's own sources, or ""."""
    found = _declared(image, item)
    if found is None or _is_library(found[0]):
        return ""
    return f"{Path(found[0]).name}:{found[1]}"


def immovable(image: Image, objects: tuple[MemoryObject, ...]) -> frozenset[str]:
    """Return the names of objects that neither an attribute nor a linker script can move alone.

    The linker takes a library's file as a whole. So of a library only a function moves that is
    alone in its file and bears its name. Empty if the program was compiled without debug
    information: then nothing is known.
    """
    if not image.has_debug:
        return frozenset()
    named = [each for each in objects if each.kind in _SOURCE_KINDS]
    files = {each.name: found[0] for each in named if (found := _declared(image, each))}
    together = Counter(files.values())
    return frozenset(
        each.name for each in named if not _moves(each, files.get(each.name, ""), together)
    )


def _moves(item: MemoryObject, file: str, together: Counter[str]) -> bool:
    if not file or not _is_library(file):
        return bool(file)
    stem = PurePosixPath(file).stem.partition("-")[0]  # memcpy-armv7m.S
    return item.kind == "code" and stem == item.name and together[file] == 1


def _declared(image: Image, item: MemoryObject) -> tuple[str, int] | None:
    if item.kind == "code":
        line = image.line_at(item.address)
        return (line.file, line.line) if line else None
    return image.variable_lines.get(identifier_of(item.name))


def _is_library(path: str) -> bool:
    return not _LIBRARIES.isdisjoint(PurePosixPath(path).parts)
