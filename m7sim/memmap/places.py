"""From what a person writes to objects and regions: ``weights=DTCM``, ``.text=ITCM``, ``conv_*``.

What is named more narrowly wins: an object over a pattern over a section over a group; of equals,
the one given last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.characterize.placement import KINDS as MEMORY_KINDS
from m7sim.errors import InputError
from m7sim.memmap.objects import Kind, MemoryObject, movable_to

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "code": ("code",),
    "constants": ("const",),
    "variables": ("data", "zero"),
    "arrays": ("array",),
    "all": ("code", "const", "data", "zero", "stack", "heap", "array"),
}
_GROUP, _SECTION, _PATTERN, _NAME = range(4)


def parse_places(texts: Iterable[str]) -> dict[str, str]:
    """Return what goes where of texts such as ``weights=DTCM,.text=ITCM``.

    Raises
    ------
    InputError
        If one is no assignment.
    """
    found: dict[str, str] = {}
    for text in texts:
        for part in text.split(","):
            what, sign, where = (word.strip() for word in part.partition("="))
            if not (what and sign and where):
                raise InputError(
                    f"{part!r} does not say what goes where",
                    where="--place",
                    do="Write it like weights=DTCM or .text=ITCM",
                )
            found.pop(what, None)  # the last one counts, in its place
            found[what] = where
    return found


def region_named(where: str, board: Board) -> str:
    """Return the region for a name or a kind of memory (``dtcm``: the largest of that kind).

    Raises
    ------
    InputError
        If the board has none, or nothing can lie there.
    """
    names = {r.name: r for r in board.regions if not r.device and r.kind != "system"}
    region = names.get(where.upper())
    if region is None and where.lower() in (*MEMORY_KINDS, "flash_itcm"):
        kind = where.lower()
        found = [r for r in names.values() if r.kind == kind and r.mapped]
        region = max(found, key=lambda r: r.size_bytes) if found else None
    if region is None:
        known = [*(name.lower() for name in names), *MEMORY_KINDS]
        raise InputError(
            f"no memory {where!r}", where=board.name, do=suggestion(where.lower(), known)
        )
    if not region.mapped:
        raise InputError(
            f"{region.name} is not connected on this board", where=board.name,
            do="Choose another, or give a board file that maps it",
        )  # fmt: skip
    return region.name


def resolve_places(
    places: Mapping[str, str], objects: Sequence[MemoryObject], board: Board
) -> dict[int, str]:
    """Return the region of each object that is placed, by index.

    Raises
    ------
    InputError
        If a name is unknown (the message has the nearest), or an object cannot lie where it shall.
    """
    best: dict[int, tuple[int, str]] = {}
    for what, where in places.items():
        region = region_named(where, board)
        rank, found = _select(what, objects)
        for k in found:
            each = objects[k]
            if region not in movable_to(_role(each), board):
                if rank == _GROUP or not each.movable:
                    continue
                raise InputError(
                    f"{each.name} cannot lie in {region}: {_why(each, board, region)}", where=what
                )
            if k not in best or best[k][0] <= rank:
                best[k] = rank, region
    return {k: region for k, (_, region) in best.items() if objects[k].movable}


def _select(what: str, objects: Sequence[MemoryObject]) -> tuple[int, list[int]]:
    named = [k for k, o in enumerate(objects) if o.name == what]
    named = named or [k for k, o in enumerate(objects) if what in o.aliases]
    if named:
        if not any(objects[k].movable for k in named):
            raise InputError(f"{what} stays where it is: its place is fixed", where="--place")
        return _NAME, named
    section = [k for k, o in enumerate(objects) if o.section == what]
    if section:
        return _SECTION, section
    if what in GROUPS:
        return _GROUP, [k for k, o in enumerate(objects) if o.kind in GROUPS[what]]
    if any(sign in what for sign in "*?["):
        matched = [
            k for k, o in enumerate(objects)
            if o.movable and any(fnmatchcase(name, what) for name in (o.name, *o.aliases))
        ]  # fmt: skip
        if matched:
            return _PATTERN, matched
    names = {name for o in objects if o.movable for name in (o.name, *o.aliases)}
    names |= {o.section for o in objects if o.section and o.movable} | set(GROUPS)
    many = len(names) > 40
    advice = suggestion(what, names)
    if many and advice.startswith("Valid"):
        advice = "List the objects with m7sim memmap"
    raise InputError(f"no object, section or group {what!r}", where="--place", do=advice)


def _role(each: MemoryObject) -> Kind:
    """Return the kind that decides where it may lie: an array that is only read is a constant."""
    return "const" if each.kind == "array" and each.read_only else each.kind


def _why(each: MemoryObject, board: Board, region: str) -> str:
    if each.kind == "code":
        return "nothing can be executed there"
    return "it is written, which that memory cannot be"
