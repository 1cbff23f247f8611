"""What of a program's own sources can run: its lines, functions and branches, run or not.

Lines and functions come from the debug information, branches from decoding the code. None of it
depends on a run; `m7sim.export.executed` adds the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from m7sim.elf import Image
from m7sim.elf.inlines import Entrance
from m7sim.isa.decode import sweep
from m7sim.isa.instruction import ALWAYS, Branch, Instruction

_LEAVES = {Branch.DIRECT, Branch.INDIRECT, Branch.RETURN, Branch.TABLE}  # nothing falls through
_CLONES = (".constprop", ".isra", ".lto_priv")  # other code for the same function
_PIECES = (".cold", ".part")  # moved out of a function; no entrance of it


@dataclass(frozen=True, slots=True)
class Target:
    """A place that a table branch jumps to, and the other ways to get there."""

    address: int
    branches: tuple[int, ...]  # addresses of direct branches to it
    before: int | None  # the instruction that runs into it
    before_branches: bool  # and whether that one is itself a branch that may not fall through


@dataclass(frozen=True, slots=True)
class BranchSite:
    """A conditional branch (no targets) or a jump by table."""

    file: str
    line: int
    address: int
    targets: tuple[Target, ...] = ()


class Sites:
    """What can run of the files that ``own`` accepts.

    Parameters
    ----------
    image
        A program with debug information.
    own
        Says of the path of a source file whether it is wanted.
    """

    def __init__(self, image: Image, own: Callable[[str], bool]) -> None:
        self.image = image
        table = image.line_table
        self.all_files: tuple[str, ...] = () if table is None else tuple(table.files)
        self.files = frozenset(filter(own, self.all_files))

    @cached_property
    def _places(self) -> list[tuple[int, str, int, bool]]:
        table = self.image.line_table
        if table is None:
            return []
        own = [file in self.files for file in table.files]
        return [(at, table.files[f], line, code) for at, f, line, code in table.places() if own[f]]

    @cached_property
    def lines(self) -> dict[str, set[int]]:
        """Lines that have code, by file."""
        lines: dict[str, set[int]] = {}
        for _, file, line, has_code in self._places:
            if has_code:
                lines.setdefault(file, set()).add(line)
        return lines

    @cached_property
    def beginnings(self) -> dict[tuple[str, int], list[int]]:
        """Where statements begin on lines that have no code: addresses by file and line."""
        found: dict[tuple[str, int], list[int]] = {}
        for at, file, line, _ in self._places:
            if line not in self.lines.get(file, ()):
                found.setdefault((file, line), []).append(at)
        return found

    @cached_property
    def entrances(self) -> list[Entrance]:
        """Where functions are entered; those without debug information by their symbols."""
        described = self.image.entrances()
        found = [e for e in described if e.file in self.files and e.line > 0]
        known = {e.address for e in described if not e.inlined}
        for symbol in self.image.functions:
            line = self.image.line_at(symbol.address)
            if symbol.address in known or line is None or line.file not in self.files:
                continue
            if any(piece in symbol.name for piece in _PIECES):
                continue
            name = symbol.name
            for clone in _CLONES:
                name = name.partition(clone)[0]
            found.append(Entrance(name, line.file, line.line, symbol.address, False))
        return found

    def function_key(self, name: str, address: int) -> int:
        """Return one number for all pieces of a function: the address of the main one."""
        for piece in _PIECES:
            base = name.partition(piece)[0]
            if base != name and self.image.has_symbol(base):
                mains = [s for s in self.image.functions if s.name == base]
                return mains[0].address if len(mains) == 1 else address
        return address

    @cached_property
    def branches(self) -> list[BranchSite]:
        """Branches with more than one way to go on, by address."""
        functions = self.image.functions
        places = np.array([place[0] for place in self._places], np.int64)
        wanted = np.unique(self.image.functions_at(places)) if len(places) else ()
        found: list[BranchSite] = []
        for index in wanted:
            if index >= 0:
                end = self.image.function_table.end(int(index))
                found += self._branches_of(functions[index].address, end)
        return sorted(found, key=lambda site: site.address)

    def _branches_of(self, start: int, end: int) -> list[BranchSite]:
        code = self._decode(start, end)
        found = []
        for instruction in code:
            if instruction.branch == Branch.NONE:
                continue
            line = self.image.line_at(instruction.address)
            if line is None or line.file not in self.files:
                continue
            if may_fall_through(instruction):
                found.append(BranchSite(line.file, line.line, instruction.address))
            elif targets := self._targets(instruction, start, end):
                ways = tuple(
                    _target(at, code) for at in targets if any(i.address == at for i in code)
                )
                if len(ways) > 1:
                    found.append(BranchSite(line.file, line.line, instruction.address, ways))
        return found

    def _decode(self, start: int, end: int) -> list[Instruction]:
        code: list[Instruction] = []
        for low, high in self.image.code_ranges():
            low, high = max(low, start), min(high, end)
            data = self.image.read(low, high - low) if low < high else None
            if data is not None:
                code += sweep(data, low)[0]
        return code

    def _targets(self, jump: Instruction, start: int, end: int) -> list[int]:
        """Return where a jump by table may go; the table is the data that follows it."""
        loads = jump.branch == Branch.INDIRECT and jump.memory is not None
        if jump.branch != Branch.TABLE and not loads:
            return []
        behind = jump.address + jump.size_bytes
        low = (behind + 3) & ~3 if loads else behind
        ranges = self.image.code_ranges()
        if any(first <= low < last for first, last in ranges):
            return []  # not marked as data: a table elsewhere
        high = min([first for first, _ in ranges if first > low] + [end])
        unit_bytes = 4 if loads else 2 if jump.text.startswith("tbh") else 1
        data = self.image.read(low, (high - low) // unit_bytes * unit_bytes)
        if data is None:
            return []
        entries = np.frombuffer(data, f"<u{unit_bytes}").astype(np.int64)
        if loads:
            if not (entries & 1).all():
                return []  # no addresses of Thumb code: constants
            addresses = entries & ~1
        else:
            addresses = behind + 2 * entries
        return [at for at in np.unique(addresses).tolist() if start <= at < end]


def may_fall_through(branch: Instruction) -> bool:
    """Whether a branch is taken on a condition."""
    return branch.branch == Branch.CONDITIONAL or (
        branch.branch != Branch.NONE and branch.predicated and branch.condition != ALWAYS
    )


def _target(address: int, code: Sequence[Instruction]) -> Target:
    branches = [
        i.address
        for i in code
        if i.target == address and i.branch in (Branch.DIRECT, Branch.CONDITIONAL)
    ]
    before = next((i for i in code if i.address + i.size_bytes == address), None)
    if before is not None and before.branch in _LEAVES and not may_fall_through(before):
        before = None
    return Target(
        address,
        tuple(branches),
        None if before is None else before.address,
        before is not None and may_fall_through(before),
    )
