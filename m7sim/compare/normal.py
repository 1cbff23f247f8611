"""Instructions without what a mere shift of addresses changes, so that the rest can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

Pairs = list[tuple[int | None, int | None]]

# Entries of the table that the best pairing is searched in; above, equal parts are found first.
LARGEST_TABLE = 200_000

_WIDTH = re.compile(r"\.[wn]$")
_LITERAL = re.compile(r"\[pc(?:, #-?\w+)?\]|(?P<section>=\.[\w.]+)\+0x[0-9a-f]+")
_IMMEDIATE = re.compile(r"#-?\w+")
_TARGET = re.compile(r"(?P<name>[^\s,+]+)(?:\+0x[0-9a-f]+)?$")
_BRANCH = re.compile(r"(?:bl?|cbn?z|b(?:eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))$")


@dataclass(frozen=True)
class Code:
    """One side to align: an instruction per entry.

    ``keys`` is what each is wherever it stands, ``lines`` and ``loops`` are numbers that both sides
    agree on.
    """

    keys: Sequence[str]
    lines: Sequence[int]
    loops: Sequence[int]

    def __len__(self) -> int:
        return len(self.keys)


def mnemonic(text: str) -> str:
    """Return the mnemonic without the width of its encoding."""
    return _WIDTH.sub("", text.split(None, 1)[0]) if text else ""


def keys(texts: Sequence[str], function: str) -> list[str]:
    """Return for each instruction of a function what it is wherever it stands.

    Left out are the width of the encoding, distances to targets within the function and to
    literals, and the two halves of an address or constant that MOVW and MOVT make.
    """
    found: list[str] = []
    halves: dict[str, int] = {}  # register -> place of the last MOVW to it
    for place, text in enumerate(texts):
        name = mnemonic(text)
        operands = text.split(None, 1)[1] if " " in text else ""
        if _BRANCH.match(name) and (target := _TARGET.search(operands)):
            if target["name"] == function or target["name"].lstrip("#").startswith("0x"):
                operands = f"{operands[: target.start()]}->"
        elif name == "adr":
            operands = _IMMEDIATE.sub("#", operands)
        else:
            operands = _LITERAL.sub(lambda m: m["section"] or "[pc]", operands)
        register = operands.split(",", 1)[0]
        if name == "movw":
            halves[register] = place
        elif name == "movt":
            operands = _IMMEDIATE.sub("#", operands)
            if register in halves:
                low = halves.pop(register)
                found[low] = _IMMEDIATE.sub("#", found[low])
        found.append(f"{name} {operands}".rstrip())
    return found


def align(before: Code, after: Code) -> Pairs:
    """Return which instruction became which; None stands for no counterpart.

    Both orders are kept, and only instructions of one loop are paired: as many equal ones as can
    be, then those with the same mnemonic, rather of the same line than not.
    """
    head = 0
    while head < min(len(before), len(after)) and _same(before, head, after, head):
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and _same(
        before, len(before) - 1 - tail, after, len(after) - 1 - tail
    ):
        tail += 1
    end_b, end_a = len(before) - tail, len(after) - tail
    pairs: Pairs = [(i, i) for i in range(head)]
    pairs += _between(before, head, end_b, after, head, end_a)
    pairs += zip(range(end_b, len(before)), range(end_a, len(after)), strict=True)
    return pairs


def _same(before: Code, b: int, after: Code, a: int) -> bool:
    return before.keys[b] == after.keys[a] and before.loops[b] == after.loops[a]


def _between(before: Code, b0: int, b1: int, after: Code, a0: int, a1: int) -> Pairs:
    if (b1 - b0) * (a1 - a0) <= LARGEST_TABLE:
        return _best(before, b0, b1, after, a0, a1)
    sides = (
        [(before.loops[b], before.keys[b]) for b in range(b0, b1)],
        [(after.loops[a], after.keys[a]) for a in range(a0, a1)],
    )
    pairs: Pairs = []
    matcher = SequenceMatcher(None, sides[0], sides[1], autojunk=False)
    for what, i0, i1, j0, j1 in matcher.get_opcodes():
        if what == "equal":
            pairs += zip(range(b0 + i0, b0 + i1), range(a0 + j0, a0 + j1), strict=True)
        elif (i1 - i0) * (j1 - j0) <= LARGEST_TABLE:
            pairs += _best(before, b0 + i0, b0 + i1, after, a0 + j0, a0 + j1)
        else:
            pairs += ((b, None) for b in range(b0 + i0, b0 + i1))
            pairs += ((None, a) for a in range(a0 + j0, a0 + j1))
    return pairs


def _best(before: Code, b0: int, b1: int, after: Code, a0: int, a1: int) -> Pairs:
    """Return the pairing of the greatest likeness in all."""
    n, m = b1 - b0, a1 - a0
    names = (
        [key.split(" ", 1)[0] for key in before.keys[b0:b1]],
        [key.split(" ", 1)[0] for key in after.keys[a0:a1]],
    )
    table = [[0] * (m + 1) for _ in range(n + 1)]  # of what comes from here on
    for i in range(n - 1, -1, -1):
        row, below = table[i], table[i + 1]
        name, key = names[0][i], before.keys[b0 + i]
        line, loop = before.lines[b0 + i], before.loops[b0 + i]
        for j in range(m - 1, -1, -1):
            most = max(below[j], row[j + 1])
            if names[1][j] == name and after.loops[a0 + j] == loop:
                like = _likeness(key == after.keys[a0 + j], line == after.lines[a0 + j])
                most = max(most, below[j + 1] + like)
            row[j] = most
    pairs: Pairs = []
    i = j = 0
    while i < n and j < m:
        b, a = b0 + i, a0 + j
        if names[0][i] == names[1][j] and before.loops[b] == after.loops[a]:
            like = _likeness(before.keys[b] == after.keys[a], before.lines[b] == after.lines[a])
            if table[i][j] == table[i + 1][j + 1] + like:
                pairs.append((b, a))
                i, j = i + 1, j + 1
                continue
        if table[i][j] == table[i + 1][j]:
            pairs.append((b, None))
            i += 1
        else:
            pairs.append((None, a))
            j += 1
    pairs += ((b0 + rest, None) for rest in range(i, n))
    pairs += ((None, a0 + rest) for rest in range(j, m))
    return pairs


def _likeness(same_key: bool, same_line: bool) -> int:
    """Weigh two instructions of one mnemonic."""
    return (7 if same_key else 3) + same_line
