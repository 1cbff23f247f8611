"""What the sanitizer reports: one place in the code that did what it may not do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

# Every kind of finding, and what it means. Rules allow by these names; so they do not change.
KINDS: Final[dict[str, str]] = {
    "out_of_bounds_read": "a load touches bytes beside an array or a variable",
    "out_of_bounds_write": "a store touches bytes beside an array or a variable",
    "const_write": "a store to what the prototype calls const",
    "code_write": "a store to code or to constants",
    "uninitialised_read": "a value is used that nothing has written",
    "unwritten_output": "bytes of an output array were not written",
    "stack_overflow": "the stack goes below its limit",
    "below_sp": "an access to the stack below the stack pointer",
    "wild_read": "a load where there is nothing",
    "wild_write": "a store where there is nothing",
    "unaligned_access": "an access that traps on the core unless it is aligned",
    "wild_jump": "a jump or a return to where no code begins",
    "clobbered_register": "a register that a function has to preserve has changed",
    "misaligned_stack": "the stack pointer is not a multiple of 8 at a call",
    "stack_pointer": "the stack pointer at return differs from that at entry",
    "fault": "the firmware ended by a fault",
}


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong at one line, however often.

    Attributes
    ----------
    kind
        One of `KINDS`.
    what
        What happened, as the end of a sentence that begins with the function:
        ``reads 4 bytes at 0x2000ff40, 2 bytes past the end of array 'x' (…)``.
    pc
        Address of the instruction, the first one if there are several.
    function, file, line
        Where that is, inlined functions resolved; ``""`` and 0 when nothing tells.
    address, size_bytes
        Of the access, for findings that are about one; else 0.
    object
        Array, symbol, section, or register that is concerned; ``""`` for none.
    offset_bytes
        Of the access from the start of the object.
    count
        How often it happened.
    instruction
        Number of the instruction at which it happened first, from 0 in the run or call; -1: not
        known.
    """

    kind: str
    what: str
    pc: int
    function: str = ""
    file: str = ""
    line: int = 0
    address: int = 0
    size_bytes: int = 0
    object: str = ""
    offset_bytes: int = 0
    count: int = 1
    instruction: int = -1

    @property
    def place(self) -> str:
        """``function at file.c:12``, or as much of it as is known."""
        name = self.function or f"0x{self.pc:08x}"
        return f"{name} at {Path(self.file).name}:{self.line}" if self.file else name

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.kind}: {self.place} {self.what}{times}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def fold(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings of one kind about one object at one line as one, in order of appearance.

    Compilers make several instructions of a line; where no line is known, instructions count.
    """
    kept: dict[tuple[str, str, str, int], Finding] = {}
    for finding in findings:
        place = (finding.file, finding.line) if finding.line else ("", finding.pc)
        key = (finding.kind, finding.object, *place)
        old = kept.get(key)
        if old is None:
            kept[key] = finding
            continue
        first, second = old, finding
        if -1 < finding.instruction < old.instruction:
            first, second = finding, old
        kept[key] = replace(first, count=first.count + second.count)
    return tuple(sorted(kept.values(), key=_when))


def _when(finding: Finding) -> tuple[bool, int]:
    return (finding.instruction < 0, finding.instruction)
