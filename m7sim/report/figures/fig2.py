"""Figure 2: throughput against multiply-accumulates per output, one curve for each operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from m7sim.characterize.table import Table
from m7sim.errors import CheckError
from m7sim.report.figures import compare
from m7sim.report.figures.common import (
    Analysis,
    Claim,
    Row,
    Sheet,
    caption,
    percent,
    print_claims,
)
from m7sim.report.figures.published import Point, Published
from m7sim.report.layout import Style, open_console, print_table, text_of

TITLE = "throughput against MACs per output"
GRID = "fig2"
OPS = ("1x1", "conv", "fc", "depthwise")
TOLERANCE = 0.10

# A curve for each: operation and kernels, and what it is called. Convolutions whose channels are no
# multiple of 4 go through other kernels.
SERIES = {
    "1x1": ("1x1", ("1x1",)),
    "convolution": ("conv", ("fast",)),
    "convolution, 3 channels": ("conv", ("rgb",)),
    "convolution, channels % 4 ≠ 0": ("conv", ("basic",)),
    "fully connected": ("fc", ("x4",)),
    "depthwise": ("depthwise", ("optimised",)),
}


@dataclass(frozen=True)
class Beside:
    """A published point and the row of the same shape."""

    point: Point
    mops_per_s: float

    @property
    def error_percent(self) -> float:
        return percent(self.mops_per_s, self.point.mops_per_s)

    @property
    def holds(self) -> bool:
        return self.point.holds(self.mops_per_s, TOLERANCE)


@dataclass(frozen=True)
class Figure2(Analysis):
    """Throughputs of many shapes."""

    table: Table
    rows: tuple[Row, ...]
    failures: int
    published: Published | None

    @property
    def title(self) -> str:
        return f"Figure 2: {TITLE}"

    @property
    def caption(self) -> str:
        return caption(self.table)

    def series(self, name: str) -> tuple[Row, ...]:
        """Return the rows of a curve."""
        op, variants = SERIES[name]
        return tuple(r for r in self.rows if r["op"] == op and r["variant"] in variants)

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Return MACs per output and the median throughput in MOps/s there."""
        found: dict[int, list[float]] = {}
        for row in self.series(name):
            found.setdefault(row["macs_per_output"], []).append(mops(row))
        return [(macs, median(values)) for macs, values in sorted(found.items())]

    @cached_property
    def beside(self) -> tuple[Beside, ...]:
        """Published points with ours."""
        ours = {(row["op"], row["shape"]): mops(row) for row in self.rows}
        points = self.published.points if self.published else ()
        return tuple(Beside(p, ours[p.op, p.shape]) for p in points if (p.op, p.shape) in ours)

    @cached_property
    def against(self) -> tuple[compare.Group, ...]:
        """Fully connected against convolution at equal MACs per output and equal outputs."""
        return compare.groups(self.rows)

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        return (
            Sheet("", tuple(map(_row, self.rows))),
            Sheet("_published", tuple(map(_beside_row, self.beside))),
            Sheet("_fc_against_conv", tuple(g.row for g in self.against)),
        )

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        found = [self._saturates(name) for name in ("1x1", "convolution", "fully connected")]
        found += self._order()
        for each in self.beside:
            text = f"{each.point.name} within 10 % of {each.point.mops_per_s:.0f} MOps/s"
            low, high = each.point.low_mops_per_s, each.point.high_mops_per_s
            inside = low <= each.mops_per_s <= high
            what = f"{each.mops_per_s:.1f} ({each.error_percent:+.1f} %"
            found.append(Claim(text, what + (", inside rounding)" if inside else ")"), each.holds))
        return tuple(found)

    def _saturates(self, name: str) -> Claim:
        """Rises over the first part, and stays within a quarter above 100 MACs per output."""
        curve = self.curve(name)
        settled = [value for macs, value in curve if macs >= 100]
        first = curve[0][1]
        rise = median(settled) / first
        spread = max(settled) / min(settled)
        return Claim(
            f"{name}: rises, then flat (within 1.25x above 100 MACs per output)",
            f"from {first:.0f}, then {min(settled):.0f}-{max(settled):.0f}",
            rise > 1.1 and spread <= 1.25,
        )

    def _order(self) -> list[Claim]:
        pairs = compare.matched(self.rows, ("1x1", ("1x1",)), ("conv", ("fast", "rgb", "basic")))
        above = sum(mops(a) > mops(b) for a, b in pairs)
        medians = {n: median(map(mops, self.series(n))) for n in ("1x1", "depthwise")}
        best = {n: max(map(mops, self.series(n))) for n in SERIES}
        ratio, best_ratio = (d["1x1"] / d["depthwise"] for d in (medians, best))
        fc = [g for g in self.against if g.pairs]
        holds = sum(g.faster for g in fc)
        total = sum(g.pairs for g in fc)
        return [
            Claim("1x1 is above convolution at equal MACs and outputs (9 of 10 pairs)",
                  f"{above} of {len(pairs)}", above >= 0.9 * len(pairs)),
            Claim("1x1 has the highest throughput", f"{best['1x1']:.0f} MOps/s",
                  best["1x1"] == max(best.values())),
            Claim("depthwise has the lowest: best of each, and medians",
                  f"{best['depthwise']:.0f}, {medians['depthwise']:.0f} MOps/s",
                  best["depthwise"] == min(best.values())
                  and medians["depthwise"] == min(median(map(mops, self.series(n)))
                                                  for n in SERIES)),
            Claim("depthwise is at least 3 times below 1x1: medians, best of each",
                  f"{ratio:.2f}, {best_ratio:.2f}", min(ratio, best_ratio) >= 3),
            Claim("fully connected is above convolution (not forced; see above)",
                  f"{holds} of {total}", total > 0 and holds > total / 2),
        ]  # fmt: skip

    def draw(self, paths: Sequence[Path]) -> None:
        from m7sim.report.figures import fig2_draw

        fig2_draw.draw(self, paths)

    def render(self, *, style: Style) -> str:
        console = open_console(style)
        console.print(self.caption, soft_wrap=True)
        console.print()
        rows = []
        for name in SERIES:
            values = sorted(map(mops, self.series(name)))
            macs = [row["macs_per_output"] for row in self.series(name)]
            rows.append([
                name, str(len(values)), f"{min(macs)}-{max(macs)}", f"{values[0]:.0f}",
                f"{median(values):.0f}", f"{values[-1]:.0f}",
            ])  # fmt: skip
        columns = ["*operation", ">shapes", ">MACs/output", ">least MOps/s", ">median", ">most"]
        print_table(console, self.title, columns, rows)
        if self.failures:
            console.print(f"{self.failures} shapes have no figures; the sweep's table says why.")
            console.print()
        compare.print_groups(console, self.against)
        print_claims(console, self.claims)
        return text_of(console)


def analyse(table: Table, published: Published | None) -> Figure2:
    """Make the figure from a table of the grid ``fig2``.

    Raises
    ------
    CheckError
        If an operation has no point that could be measured.
    """
    figure = Figure2(table, table.ok, len(table.rows) - len(table.ok), published)
    for name in SERIES:
        if not figure.series(name):
            reasons = {row["reason"] for row in table.rows if row["op"] == SERIES[name][0]}
            raise CheckError(f"figure 2 has no point of {name}", do="; ".join(sorted(reasons)))
    return figure


def mops(row: Row) -> float:
    """Return the throughput of a row in MOps/s."""
    return float(row["ops_per_s"]) / 1e6


def series_of(row: Row) -> str:
    """Return the name of the curve a row belongs to."""
    return next(n for n, (op, v) in SERIES.items() if row["op"] == op and row["variant"] in v)


def _row(row: Row) -> Row:
    return {
        "series": series_of(row),
        "op": row["op"],
        "shape": row["shape"],
        "variant": row["variant"],
        "out_ch": row["out_ch"],
        "macs_per_output": row["macs_per_output"],
        "macs": row["macs"],
        "cycles": row["cycles"],
        "throughput_mops_per_s": mops(row),
        "cycles_per_mac": row["cycles_per_mac"],
        "instructions_per_mac": row["instructions"] / row["macs"],
        "mean_power_mw": row["mean_power_mw"],
        "energy_per_op_nj": row["energy_per_op_nj"],
    }


def _beside_row(each: Beside) -> Row:
    p = each.point
    return {
        "name": p.name,
        "op": p.op,
        "shape": p.shape,
        "macs_per_output": p.macs_per_output,
        "published_mops_per_s": p.mops_per_s,
        "published_low_mops_per_s": p.low_mops_per_s,
        "published_high_mops_per_s": p.high_mops_per_s,
        "throughput_mops_per_s": each.mops_per_s,
        "error_percent": each.error_percent,
    }
