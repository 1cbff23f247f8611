"""Where code and arrays of a point lie: names such as ``flash+sram``, and what they mean.

A placement is a preset, ``what=where`` assignments after it, or assignments alone:
``flash+sram,code=itcm,bias=dtcm``. *What* is ``code``, a group of arrays (``weights`` for all
constants, ``activations``, ``scratch``) or one array by its parameter name; *where* is a kind of
memory (the largest one of the board is taken), the name of a region, or ``auto`` (DTCM while it
fits, then the SRAMs).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from m7sim import toolchain
from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.cache import cache_dir
from m7sim.errors import InputError
from m7sim.machine.placement import AUTO

WEIGHTS, ACTIVATIONS, SCRATCH, CODE = "weights", "activations", "scratch", "code"
GROUPS = (WEIGHTS, ACTIVATIONS, SCRATCH)
KINDS = ("itcm", "dtcm", "sram", "flash", "external")
DEFAULT = "flash+sram"

# Code in flash, as an application links it; constants + everything that is written.
PRESETS: dict[str, dict[str, str]] = {
    "flash+sram": {WEIGHTS: "flash", ACTIVATIONS: "sram", SCRATCH: "sram"},
    "flash+dtcm": {WEIGHTS: "flash", ACTIVATIONS: "dtcm", SCRATCH: "dtcm"},
    "flash+auto": {WEIGHTS: "flash", ACTIVATIONS: AUTO, SCRATCH: AUTO},
    "sram": {WEIGHTS: "sram", ACTIVATIONS: "sram", SCRATCH: "sram"},
    "dtcm": {WEIGHTS: "dtcm", ACTIVATIONS: "dtcm", SCRATCH: "dtcm"},
    "tcm": {WEIGHTS: "dtcm", ACTIVATIONS: "dtcm", SCRATCH: "dtcm", CODE: "itcm"},
    "auto": {WEIGHTS: AUTO, ACTIVATIONS: AUTO, SCRATCH: AUTO},
}

# Where the linker can put all code: memory of the linker scripts by what is asked for.
_CODE_MEMORIES = {"flash": "FLASH", "itcm": "ITCM", "sram": "SRAM1"}
_MEMORY = re.compile(r": ORIGIN = (0x[0-9A-Fa-f]+), LENGTH = (\d+)([KM])")
_UNITS = {"K": 1 << 10, "M": 1 << 20}
_ALL_CODE = "    *(.text .text.*)\n"


@dataclass(frozen=True)
class Placement:
    """A placement by its canonical name.

    Attributes
    ----------
    name
        As a person wrote it, without blanks.
    where
        Memory by group or by array.
    code
        ``flash``, ``itcm`` or ``sram``.
    """

    name: str
    where: tuple[tuple[str, str], ...]
    code: str

    @classmethod
    def parse(cls, text: str) -> Placement:
        """Return the placement that a text names.

        Raises
        ------
        InputError
            For an unknown preset or memory for code, or a malformed assignment.
        """
        name = re.sub(r"\s+", "", text.lower())
        parts = name.split(",")
        where: dict[str, str] = dict(PRESETS[DEFAULT])
        if "=" not in parts[0]:
            if parts[0] not in PRESETS:
                raise InputError(f"no placement {parts[0]!r}", do=suggestion(parts[0], PRESETS))
            where = dict(PRESETS[parts.pop(0)])
        for part in parts:
            what, sign, memory = part.partition("=")
            if not (what and sign and memory):
                raise InputError(
                    f"placement {text!r}: {part!r} is no assignment",
                    do="Write it like flash+sram,code=itcm,bias=dtcm",
                )
            where[what] = memory
        code = where.pop(CODE, "flash")
        if code not in _CODE_MEMORIES:
            raise InputError(
                f"placement {text!r}: code cannot be linked to {code!r}",
                do=suggestion(code, _CODE_MEMORIES),
            )
        return cls(name, tuple(sorted(where.items())), code)

    def regions(self, board: Board, roles: dict[str, str]) -> dict[str, str]:
        """Return the region of each array of a call.

        Parameters
        ----------
        roles
            Group of each array, by its parameter name.

        Raises
        ------
        InputError
            If the placement names an array that the call does not have, or a memory that the board
            does not have.
        """
        chosen = dict(self.where)
        for what in chosen:
            if what not in GROUPS and what not in roles:
                raise InputError(
                    f"placement {self.name!r}: no array {what!r}",
                    do=suggestion(what, (*GROUPS, *roles)),
                )
        return {
            name: region_of(chosen.get(name, chosen.get(group, AUTO)), board)
            for name, group in roles.items()
        }

    def check(self, board: Board) -> None:
        """Raise InputError if the board lacks a memory that is named."""
        for _, memory in self.where:
            region_of(memory, board)

    def linker_script(self, board: Board) -> Path:
        """Return a linker script of the board with all code where it is asked for.

        Raises
        ------
        InputError
            If there is no linker script for the board.
        """
        script = _script_of(board)
        if self.code == "flash":
            return script
        text = script.read_text(encoding="utf-8")
        if text.count(_ALL_CODE) != 1:
            raise InputError("code cannot be moved in this linker script", where=str(script))
        section = "itcm" if self.code == "itcm" else "sram"
        head = f"    __{section}_start__ = .;\n"
        text = text.replace(_ALL_CODE, "").replace(head, head + _ALL_CODE)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        made = cache_dir() / "firmware" / f"{script.stem}-{self.code}-{digest}.ld"
        if not made.exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            half = made.with_suffix(f".{digest}.tmp")
            half.write_text(text, encoding="utf-8")
            half.replace(made)
        return made


def _script_of(board: Board) -> Path:
    """Return the linker script of a board, or one whose memories the board has as well."""
    folder = toolchain.firmware_dir() / "board"
    own = folder / f"{board.name}.ld"
    if own.is_file():
        return own
    scripts = sorted(folder.glob("stm32*.ld")) + sorted(folder.glob("imxrt*.ld"))
    for script in scripts:
        found = _MEMORY.findall(script.read_text(encoding="utf-8"))
        spans = [(int(start, 16), int(size) * _UNITS[unit]) for start, size, unit in found]
        if all(
            (region := board.region_at(start)) is not None
            and region.mapped
            and start + size <= region.end
            for start, size in spans
        ):
            return script
    raise InputError(
        f"no linker script for the memories of the board {board.name}",
        where=str(folder),
        do=f"There are: {', '.join(script.stem for script in scripts)}",
    )


def region_of(memory: str, board: Board) -> str:
    """Return the region for the name of a memory: the largest of a kind, or the one named.

    Raises
    ------
    InputError
        If the board has none; the message names the nearest.
    """
    if memory == AUTO:
        return AUTO
    if memory in KINDS:
        found = [r for r in board.regions if r.kind == memory and r.mapped and not r.alias_of]
        if found:
            return max(found, key=lambda region: region.size_bytes).name
        raise InputError(f"no memory of the kind {memory}", where=board.name)
    known = [r.name for r in board.regions if not r.device]
    if memory.upper() not in known:
        raise InputError(
            f"no memory {memory!r}",
            where=board.name,
            do=suggestion(memory.lower(), [*KINDS, AUTO, *(name.lower() for name in known)]),
        )
    return memory.upper()
