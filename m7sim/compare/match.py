"""Which function, line and loop of one snapshot is which of another."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from difflib import SequenceMatcher

from m7sim.compare.normal import Pairs, mnemonic
from m7sim.compare.snapshot import NOWHERE, Detail, FunctionRecord, SourceLine

# What GCC appends to the names of the copies and parts that it makes of a function.
_CLONE = re.compile(r"\.(?:constprop|isra|part|cold|lto_priv|localalias)(?:\.\d+)?")

SAME_CODE = 0.85  # share of equal mnemonics from which the names of functions do not matter
SIMILAR_FUNCTION = 0.65  # mean likeness of code and name from which functions are one
NAME_EXTENDED = 0.9  # likeness of kernel and kernel_fast
SIMILAR_LOOP = 0.5  # share of cycles on the same lines from which loops are one
SIMILAR_LINE = 0.5  # share of equal characters from which two lines in one place are one
MOST_SEARCHED = 30  # functions or loops of a side that are looked at for likeness, costliest first
LONGEST_SEARCH = 400  # instructions beyond which a function's name is what tells


def functions(
    before: Sequence[FunctionRecord],
    after: Sequence[FunctionRecord],
    entries: tuple[str, str] = ("", ""),
) -> Pairs:
    """Return pairs of indices; None stands for no counterpart.

    Functions are one if they have the same name and file, or the same name, or the same name
    before what a compiler appends; if they are the two ``entries``, where each run began; or else
    if their code and names are alike.
    """
    match = _Matching(len(before), len(after))
    for key in (_name_and_file, _name, _stem):
        match.equal([key(f) for f in before], [key(f) for f in after])
    match.equal(
        ["" if f.name == entries[0] else f"before {f.name}" for f in before],
        ["" if f.name == entries[1] else f"after {f.name}" for f in after],
    )
    match.similar(lambda b, a: _likeness(before[b], after[a]), SIMILAR_FUNCTION)
    return match.all_pairs()


def _name_and_file(f: FunctionRecord) -> Hashable:
    return f.name, f.file


def _name(f: FunctionRecord) -> Hashable:
    return f.name


def _stem(f: FunctionRecord) -> Hashable:
    return _CLONE.sub("", f.name)


def _likeness(one: FunctionRecord, other: FunctionRecord) -> float:
    """Return 1 for the same code and the same name, 0 for nothing in common."""
    if one.detail is None or other.detail is None:
        return 0.0
    codes = [
        [mnemonic(i.text) for i in detail.instructions] for detail in (one.detail, other.detail)
    ]
    if max(map(len, codes)) > LONGEST_SEARCH:
        return 0.0
    matcher = SequenceMatcher(None, codes[0], codes[1], autojunk=False)
    code = matcher.ratio() if matcher.quick_ratio() >= SIMILAR_FUNCTION / 2 else 0.0
    return max(code if code >= SAME_CODE else 0.0, (code + _name_likeness(one, other)) / 2)


def _name_likeness(one: FunctionRecord, other: FunctionRecord) -> float:
    short, long = sorted((one.name, other.name), key=len)
    if long.startswith(f"{short}_"):
        return NAME_EXTENDED
    return SequenceMatcher(None, short, long, autojunk=False).ratio()


def lines(before: Sequence[SourceLine], after: Sequence[SourceLine]) -> Pairs:
    """Return pairs of lines of one function; numbers may have shifted and texts changed a bit."""
    match = _Matching(len(before), len(after))
    files = dict.fromkeys(line.file for line in before)
    for file in files:
        sides = [_in_order(side, file) for side in (before, after)]
        matcher = SequenceMatcher(
            None, [_content(before[i]) for i in sides[0]], [_content(after[i]) for i in sides[1]],
            autojunk=False,
        )  # fmt: skip
        for what, b0, b1, a0, a1 in matcher.get_opcodes():
            if what == "equal":
                for b, a in zip(sides[0][b0:b1], sides[1][a0:a1], strict=True):
                    match.pair(b, a)
            elif what == "replace" and (b1 - b0) * (a1 - a0) <= MOST_SEARCHED**2:
                _pair_changed(match, before, after, sides[0][b0:b1], sides[1][a0:a1])
    # What moved to another place or file.
    match.equal([line.text or line for line in before], [line.text or line for line in after])
    return match.all_pairs()


def _in_order(side: Sequence[SourceLine], file: str) -> list[int]:
    found = [i for i, line in enumerate(side) if line.file == file]
    return sorted(found, key=lambda i: (side[i].line, side[i].inlined))


def _content(line: SourceLine) -> Hashable:
    return line.text or line.line


def _pair_changed(
    match: _Matching,
    before: Sequence[SourceLine],
    after: Sequence[SourceLine],
    b_side: Sequence[int],
    a_side: Sequence[int],
) -> None:
    a_left = list(a_side)
    for b in b_side:
        for place, a in enumerate(a_left):
            if _like(before[b].text, after[a].text) >= SIMILAR_LINE:
                match.pair(b, a)
                del a_left[: place + 1]
                break


def _like(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def loops(before: Detail, after: Detail, line_pairs: Pairs) -> Pairs:
    """Return pairs of loops: of one line and depth, or of one line; the costliest ones first.

    Compilers make several loops of one; the costliest of each line are paired. Without lines, the
    depth is what tells. What is left is paired if most cycles were spent on the same lines.
    """
    match = _Matching(len(before.loops), len(after.loops))
    number_before = {b: n for n, (b, _) in enumerate(line_pairs) if b is not None}
    number_after = {a: n for n, (_, a) in enumerate(line_pairs) if a is not None}
    lines = (
        [number_before.get(loop.line, NOWHERE) for loop in before.loops],
        [number_after.get(loop.line, NOWHERE) for loop in after.loops],
    )
    depths = [[depth(side, n) for n in range(len(side.loops))] for side in (before, after)]
    cycles = _loop_cycles(before), _loop_cycles(after)

    def pair(b_key: Callable[[int], Hashable], a_key: Callable[[int], Hashable]) -> None:
        match.equal(
            [b_key(n) for n in range(len(before.loops))],
            [a_key(n) for n in range(len(after.loops))],
            order=(lambda b: -cycles[0][b], lambda a: -cycles[1][a]),
        )

    pair(lambda b: (lines[0][b], depths[0][b]), lambda a: (lines[1][a], depths[1][a]))
    pair(lambda b: lines[0][b], lambda a: lines[1][a])
    shares = _line_shares(before, number_before), _line_shares(after, number_after)
    match.similar(lambda b, a: _overlap(shares[0][b], shares[1][a]), SIMILAR_LOOP)
    return match.all_pairs()


def depth(detail: Detail, loop: int) -> int:
    """Return how many loops there are around a loop."""
    found = 0
    while (loop := detail.loops[loop].parent) >= 0:
        found += 1
    return found


def _loop_cycles(detail: Detail) -> list[int]:
    cycles = [0] * len(detail.loops)
    for instruction in detail.instructions:
        if instruction.loop >= 0:
            cycles[instruction.loop] += instruction.cost.cycles
    return cycles


def _line_shares(detail: Detail, numbers: dict[int, int]) -> list[dict[int, float]]:
    """Return for each loop the share of its cycles by number of the line that both sides have."""
    shares: list[dict[int, float]] = [{} for _ in detail.loops]
    cycles = _loop_cycles(detail)
    for i in detail.instructions:
        if i.loop >= 0 and i.line in numbers and cycles[i.loop]:
            line = numbers[i.line]
            part = i.cost.cycles / cycles[i.loop]
            shares[i.loop][line] = shares[i.loop].get(line, 0.0) + part
    return shares


def _overlap(one: dict[int, float], other: dict[int, float]) -> float:
    return sum(min(share, other.get(line, 0.0)) for line, share in one.items())


class _Matching:
    """Pairs of indices, each index at most once."""

    def __init__(self, n_before: int, n_after: int) -> None:
        self.after_of: dict[int, int] = {}
        self._before = list(range(n_before))
        self._after = list(range(n_after))

    def pair(self, b: int, a: int) -> None:
        self.after_of[b] = a
        self._before.remove(b)
        self._after.remove(a)

    def equal(
        self,
        before: Sequence[Hashable],
        after: Sequence[Hashable],
        *,
        order: tuple[Callable[[int], int], Callable[[int], int]] | None = None,
    ) -> None:
        """Pair what is left by equal keys, in order."""
        waiting: dict[Hashable, list[int]] = {}
        for a in sorted(self._after, key=order[1]) if order else self._after:
            waiting.setdefault(after[a], []).append(a)
        for b in sorted(self._before, key=order[0]) if order else list(self._before):
            if same := waiting.get(before[b]):
                self.pair(b, same.pop(0))

    def similar(self, likeness: Callable[[int, int], float], least: float) -> None:
        """Pair what is left by likeness, the most alike first; the first few of a long list."""
        found = [
            (-like, b, a)
            for b in self._before[:MOST_SEARCHED]
            for a in self._after[:MOST_SEARCHED]
            if (like := likeness(b, a)) >= least
        ]
        for _, b, a in sorted(found):
            if b in self._before and a in self._after:
                self.pair(b, a)

    def all_pairs(self) -> Pairs:
        """Return all pairs, those of ``before`` first in its order."""
        n_before = len(self.after_of) + len(self._before)
        pairs: Pairs = [(b, self.after_of.get(b)) for b in range(n_before)]
        return pairs + [(None, a) for a in self._after]
