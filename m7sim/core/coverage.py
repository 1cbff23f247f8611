"""Which instructions of some code a core table knows, and which not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from m7sim.core.core import Core
from m7sim.errors import UnmodelledError
from m7sim.isa.decode import sweep

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Unmodelled:
    """An instruction without timing: of a class without a row, or not decodable at all."""

    address: int
    text: str
    why: str


@dataclass(frozen=True)
class Coverage:
    """Attributes: ``instructions`` looked at, their number by class, and what is not known."""

    instructions: int
    by_class: Counter[str]
    unmodelled: tuple[Unmodelled, ...]

    def require(self) -> None:
        """Refuse code that is not covered.

        Raises
        ------
        UnmodelledError
            Naming every different instruction without timing and how often it occurs.
        """
        if not self.unmodelled:
            return
        kinds = Counter(f"{item.text} ({item.why})" for item in self.unmodelled)
        named = "; ".join(f"{text}: {times}" for text, times in kinds.most_common(_SHOWN))
        more = f"; and {len(kinds) - _SHOWN} kinds more" if len(kinds) > _SHOWN else ""
        raise UnmodelledError(
            f"{len(self.unmodelled)} of {self.instructions} instructions have no timing: "
            f"{named}{more}",
            where=f"first at 0x{self.unmodelled[0].address:08x}",
        )


def coverage(core: Core, ranges: Iterable[tuple[bytes, int]]) -> Coverage:
    """Decode ranges of code and look up every instruction in a core table.

    Parameters
    ----------
    core
        The core whose rows are asked for.
    ranges
        Pieces of code as (bytes, address); each begins outside an IT block.
    """
    by_class: Counter[str] = Counter()
    unmodelled: list[Unmodelled] = []
    for data, address in ranges:
        instructions, undecoded = sweep(data, address)
        unmodelled += [
            Unmodelled(item.address, item.data.hex(" "), "not decoded") for item in undecoded
        ]
        for found in instructions:
            by_class[found.klass] += 1
            if found.klass not in core.tables.classes:
                why = f"class {found.klass} has no row in {core.name}"
                unmodelled.append(Unmodelled(found.address, found.text, why))
    n = by_class.total() + sum(item.why == "not decoded" for item in unmodelled)
    return Coverage(n, by_class, tuple(unmodelled))
