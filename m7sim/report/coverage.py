"""Which instruction classes the code of an ELF consists of, and what in it has none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from m7sim.elf import Image
from m7sim.isa import sweep


@dataclass(frozen=True)
class Unmodelled:
    """A halfword of code at which no known instruction begins."""

    address: int
    data: bytes
    function: str


@dataclass(frozen=True)
class Coverage:
    """Static instructions by class, and what could not be decoded."""

    classes: dict[str, int]
    unmodelled: tuple[Unmodelled, ...]

    @property
    def instructions(self) -> int:
        return sum(self.classes.values())


def cover(image: Image) -> Coverage:
    """Decode all code of an image; a core table has a row for every class or does not load."""
    classes: Counter[str] = Counter()
    unmodelled: list[Unmodelled] = []
    for start, end in image.code_ranges():
        data = image.read(start, end - start)
        if data is None:
            continue  # code that another part of the firmware fills in, at run time
        instructions, undecoded = sweep(data, start)
        classes.update(instruction.klass for instruction in instructions)
        for halfword in undecoded:
            function = image.function_at(halfword.address)
            name = function.name if function else ""
            unmodelled.append(Unmodelled(halfword.address, halfword.data, name))
    return Coverage(dict(classes), tuple(unmodelled))
