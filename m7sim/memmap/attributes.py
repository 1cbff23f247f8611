"""What to paste into C sources and into a linker script so that objects lie where a map says.

The names of sections are those of the linker scripts in ``firmware/board``; every object gets one
of its own, so that constants and variables never share one (the compiler refuses that).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from m7sim.board import Board

# By kind of object and memory: how the name of its section begins. What the memory is called
# where two of a kind differ (zeroed data in SRAM2) stands first.
_SECTIONS: Final = {
    ("code", "itcm"): ".itcm.text",
    ("code", "sram"): ".sram.text",
    ("const", "itcm"): ".itcm.rodata",
    ("const", "dtcm"): ".dtcm.rodata",
    ("const", "sram"): ".sram.rodata",
    ("data", "itcm"): ".itcm.data",
    ("data", "dtcm"): ".dtcm.data",
    ("data", "sram"): ".sram.data",
    ("zero", "SRAM2"): ".bss.m7_sram2",
    ("zero", "dtcm"): ".bss.m7_dtcm",
    ("zero", "sram"): ".bss.m7_sram",
}
_LOADED_SRAM: Final = "SRAM1"  # the only SRAM that start-up code copies to


@dataclass(frozen=True)
class Attribute:
    """How one object gets to its place.

    Attributes
    ----------
    name
        Of the object.
    identifier
        Function or variable in the source that the attribute belongs to.
    source
        File and line of it, or "" where debug information does not tell (a library, say).
    attribute
        For the declaration, or "" where none is needed or none helps.
    note
        What else has to be known.
    """

    name: str
    kind: str
    region: str
    identifier: str
    source: str
    attribute: str
    note: str = ""


def section_of(kind: str, region: str, board: Board, name: str) -> str:
    """Return the section that puts an object into a region, or "" if none does.

    Parameters
    ----------
    kind
        Of a `MemoryObject`.
    name
        Of the object, for the end of the section's name.
    """
    memory = board.region(region)
    start = _SECTIONS.get((kind, memory.name)) or _SECTIONS.get((kind, memory.kind), "")
    if (
        memory.kind == "sram"
        and memory.name != _LOADED_SRAM
        and (kind, memory.name) not in _SECTIONS
    ):
        return ""
    return f"{start}.{identifier_of(name)}" if start else ""


def can_be_pasted(kind: str, region: str, board: Board) -> bool:
    """Say whether the linker scripts have a section for a kind of object in a region."""
    if kind in ("stack", "array"):
        return board.region(region).kind != "itcm"  # nothing there is zeroed or set aside at start
    if kind in ("code", "const") and board.region(region).kind == "flash":
        return True
    return bool(section_of(kind, region, board, "x"))


def identifier_of(name: str) -> str:
    """Return the name in the source: without what the compiler or a study put behind it."""
    return name.split("@")[0].split(".")[0] or name


def attributes(
    places: Iterable[tuple[str, str, str]],
    board: Board,
    source_of: Callable[[str], str] = lambda name: "",
) -> tuple[Attribute, ...]:
    """Return what to paste for each object.

    Parameters
    ----------
    places
        Name, kind and new region of each object.
    source_of
        Gives ``file:line`` of an object, or "".
    """
    return tuple(_attribute(*place, board, source_of) for place in places)


def _attribute(
    name: str, kind: str, region: str, board: Board, source_of: Callable[[str], str]
) -> Attribute:
    identifier, source = identifier_of(name), source_of(name)
    section = section_of(kind, region, board, name)
    text, note = "", ""
    if kind == "stack":
        note = f"set __StackTop and __StackLimit to the end of {region} in the linker script"
    elif kind == "array":
        note = f"an argument of the call: the caller's buffer belongs into {region}"
    elif not section:
        note = "take its section attribute away"
    else:
        text = f'__attribute__((section("{section}")))'
        if kind == "code" and not source:
            note = "in a library: by the linker script"
        elif name != identifier and "@" not in name and kind == "code":
            note = f"the compiler's copy {name} goes with it"
        elif name != identifier and kind != "code":
            note = "declared inside a function"
    return Attribute(name, kind, region, identifier, source, text, note)
