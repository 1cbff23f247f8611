"""Fully connected against convolution: where the paper's order holds, and what decides it.

The paper has fully connected above convolution, since convolution pays for im2col. Counted in
instructions that does not follow: a fully connected layer expands each weight for one output
vector, a convolution for two pixels. So the two are compared shape by shape, at equal MACs per
output and equal numbers of outputs, and what each spends is put side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from m7sim.characterize.table import STALL_COLUMNS
from m7sim.report.figures.common import Row
from m7sim.report.layout import print_table

Choice = tuple[str, tuple[str, ...]]  # operation and variants
FC: Choice = ("fc", ("x4",))


@dataclass(frozen=True)
class Group:
    """Convolutions of a kind, each with the fully connected layer of the same size.

    Per-MAC figures are medians over the pairs.
    """

    name: str
    pairs: int
    faster: int  # of the fully connected ones
    conv: Medians
    fc: Medians

    @property
    def row(self) -> Row:
        """Return the group as a row of a table."""
        sides = (("conv", self.conv), ("fc", self.fc))
        return {
            "convolution": self.name,
            "pairs": self.pairs,
            "fc_faster": self.faster,
            **{f"{side}_mops_per_s": m.mops_per_s for side, m in sides},
            **{f"{side}_instructions_per_mac": m.instructions for side, m in sides},
            **{f"{side}_issue_cycles_per_mac": m.issue_cycles for side, m in sides},
            **{f"{side}_stall_cycles_per_mac": m.stall_cycles for side, m in sides},
            **{f"{side}_largest_stall": m.largest_stall for side, m in sides},
            **{f"{side}_largest_stall_cycles_per_mac": m.largest_cycles for side, m in sides},
        }


@dataclass(frozen=True)
class Medians:
    """What one side spends per MAC."""

    mops_per_s: float
    instructions: float
    issue_cycles: float
    stall_cycles: float
    largest_stall: str
    largest_cycles: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Medians:
        """Take the medians over rows."""
        stalls = {c: median(row[c] / row["macs"] for row in rows) for c in STALL_COLUMNS}
        largest = max(stalls, key=lambda column: stalls[column])
        return cls(
            mops_per_s=median(row["ops_per_s"] / 1e6 for row in rows),
            instructions=median(row["instructions"] / row["macs"] for row in rows),
            issue_cycles=median(row["issue_cycles"] / row["macs"] for row in rows),
            stall_cycles=median(
                (row["cycles"] - row["issue_cycles"]) / row["macs"] for row in rows
            ),
            largest_stall=stall_name(largest),
            largest_cycles=stalls[largest],
        )


def stall_name(column: str) -> str:
    """Return the name of a stall cause from its column."""
    return column.removeprefix("stall_").removesuffix("_cycles").replace("_", " ")


def groups(rows: Iterable[Row]) -> tuple[Group, ...]:
    """Return all kinds of convolution with the fully connected layers of the same sizes."""
    rows = tuple(rows)
    found = []
    for name, variants, outputs in _kinds(rows):
        pairs = [
            (fc, conv)
            for fc, conv in matched(rows, FC, ("conv", variants))
            if outputs is None or conv["out_ch"] == outputs
        ]
        if pairs:
            found.append(
                Group(
                    name,
                    len(pairs),
                    sum(fc["ops_per_s"] > conv["ops_per_s"] for fc, conv in pairs),
                    Medians.of([conv for _, conv in pairs]),
                    Medians.of([fc for fc, _ in pairs]),
                )
            )
    return tuple(found)


def _kinds(rows: Iterable[Row]) -> list[tuple[str, tuple[str, ...], int | None]]:
    outputs = sorted({r["out_ch"] for r in rows if r["op"] == "conv" and r["variant"] == "fast"})
    return [
        ("3 channels", ("rgb",), None),
        ("channels % 4 ≠ 0", ("basic",), None),
        *((f"4n channels, {n}", ("fast",), n) for n in outputs),
    ]


def matched(rows: Iterable[Row], one: Choice, other: Choice) -> list[tuple[Row, Row]]:
    """Pair rows of equal MACs per output and equal output channels, the largest image of each."""
    firsts, seconds = (_largest(rows, choice) for choice in (one, other))
    return [(firsts[key], seconds[key]) for key in sorted(firsts.keys() & seconds.keys())]


def _largest(rows: Iterable[Row], choice: Choice) -> dict[tuple[int, int], Row]:
    found: dict[tuple[int, int], Row] = {}
    for row in rows:
        if row["op"] == choice[0] and row["variant"] in choice[1]:
            key = row["macs_per_output"], row["out_ch"]
            if key not in found or found[key]["in_y"] < row["in_y"]:
                found[key] = row
    return found


def print_groups(console: Any, found: Sequence[Group]) -> None:
    """Print where fully connected is above convolution, and what each spends per MAC."""
    rows = [
        [
            g.name, f"{g.faster}/{g.pairs}", f"{g.fc.mops_per_s:.0f}", f"{g.conv.mops_per_s:.0f}",
            f"{g.fc.instructions:.2f}", f"{g.conv.instructions:.2f}",
            f"{g.fc.stall_cycles:.2f}", f"{g.conv.stall_cycles:.2f}", g.conv.largest_stall,
        ]
        for g in found
    ]  # fmt: skip
    columns = [
        "*conv., outputs", ">FC wins", ">FC MOps/s", ">conv", ">FC instr/MAC", ">conv ",
        ">FC stalls/MAC", ">conv  ", "most",
    ]  # fmt: skip
    title = "Fully connected against convolution, at equal MACs per output and outputs (medians)"
    print_table(console, title, columns, rows)
    for sentence in reasons(found):
        console.print(sentence, soft_wrap=True)
    console.print()


def reasons(found: Sequence[Group]) -> list[str]:
    """Say in words where fully connected wins, where not, and what decides it."""
    wins = [g for g in found if 2 * g.faster > g.pairs]
    loses = [g for g in found if 2 * g.faster <= g.pairs]
    said = []
    if wins:
        costs = "; ".join(
            f"{g.name}: {g.conv.largest_cycles:.2f} cycles per MAC on {g.conv.largest_stall}"
            for g in wins
        )
        said.append(
            f"Fully connected wins where the rows of a convolution are unaligned ({costs})."
        )
    if loses:
        fc = max(loses, key=lambda g: g.pairs).fc
        least = min(g.conv.instructions for g in loses)
        most = max(g.conv.instructions for g in loses)
        waits = ""
        if fc.largest_stall.startswith("dcache"):
            waits = (
                "; and it waits longer for weights, each read once "
                f"({fc.largest_cycles:.2f} cycles per MAC on {fc.largest_stall})"
            )
        said.append(
            f"Elsewhere it needs more instructions: {fc.instructions:.2f} per MAC against "
            f"{least:.2f} to {most:.2f} with im2col, since each weight is expanded for one output, "
            f"not for two pixels{waits}."
        )
    return said
