"""Figure 4: two networks of nearly equal Ops by type of operation, as Ops and as run time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m7sim.characterize.grid import GridPoint
from m7sim.characterize.table import Table
from m7sim.nets.kws import equal_ops
from m7sim.nets.kws.equal_ops import EqualOps
from m7sim.report.figures import costs, fig3
from m7sim.report.figures.common import Analysis, Claim, Sheet, caption, print_claims
from m7sim.report.figures.costs import TYPE_LABELS, TYPES, Costs
from m7sim.report.layout import Style, open_console, print_table, text_of

TITLE = "types of operation as Ops and as run time"
SWEEP = fig3.SWEEP  # the same measurements

_SLOW = "depthwise"


@dataclass(frozen=True)
class Figure4(Analysis):
    """Two networks with their costs: the one with fewer depthwise Ops first."""

    table: Table
    chosen: EqualOps
    costs: tuple[Costs, Costs]

    @property
    def title(self) -> str:
        return f"Figure 4: {TITLE}"

    @property
    def caption(self) -> str:
        return f"{caption(self.table)}; sum over layers"

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        return (Sheet("", fig3.type_rows(self.costs)),)

    @property
    def time_ratio(self) -> float:
        """Run time of the second network over that of the first."""
        less, more = self.costs
        return more.total.time_ms / less.total.time_ms

    @property
    def claims(self) -> tuple[Claim, ...]:
        less, more = self.costs
        names = f"{more.candidate.name} against {less.candidate.name}"
        ops = [each.share(_SLOW, "ops") for each in self.costs]
        times = [each.share(_SLOW, "time_ms") for each in self.costs]
        low, high = self.chosen.pair_time_ratio
        throughput = 100 * (1 - more.total.mops_per_s / less.total.mops_per_s)
        extra = more.total.time_ms - less.total.time_ms
        deep = more.by_type[_SLOW].time_ms - less.by_type[_SLOW].time_ms
        slow = max(each.by_type[_SLOW].mops_per_s for each in self.costs)
        pointwise = min(each.by_type["1x1"].mops_per_s for each in self.costs)
        found = [
            Claim(
                f"{names}: a larger depthwise share of Ops",
                f"{ops[1]:.1f} against {ops[0]:.1f} %",
                ops[1] > ops[0],
            ),
            Claim(
                "depthwise takes at least twice its share of Ops in time, in both",
                f"{times[0]:.1f}, {times[1]:.1f} %",
                all(t >= 2 * o for t, o in zip(times, ops, strict=True)),
            ),
            Claim(
                "depthwise alone takes more than the difference in run time",
                f"{deep:.1f} of {extra:.1f} ms",
                deep >= extra > 0,
            ),
            Claim(
                "since depthwise is at least 3 times slower by Op than 1x1",
                f"at most {slow:.0f} against at least {pointwise:.0f} MOps/s",
                pointwise >= 3 * slow,
            ),
        ]
        if fig3.published_hardware(self.table, self.chosen):
            claim = Claim(
                f"run time is {low:g} to {high:g} times as long (published: 30 %)",
                f"{self.time_ratio:.2f}; throughput {throughput:.0f} % lower",
                low <= self.time_ratio <= high,
            )
            found.insert(1, claim)
        return tuple(found)

    def draw(self, paths: Sequence[Path]) -> None:
        from m7sim.report.figures import fig4_draw

        fig4_draw.draw(self, paths)

    def render(self, *, style: Style) -> str:
        console = open_console(style)
        console.print(self.caption, soft_wrap=True)
        console.print()
        columns = ["*type"]
        for each in self.costs:
            columns += [f">{each.candidate.name} MOps", ">%", ">ms", ">%", ">MOps/s"]
        rows = []
        for op in TYPES:
            row = [TYPE_LABELS[op]]
            for each in self.costs:
                part = each.by_type[op]
                row += [
                    f"{part.ops / 1e6:.2f}", f"{each.share(op, 'ops'):.1f}",
                    f"{part.time_ms:.2f}", f"{each.share(op, 'time_ms'):.1f}",
                    f"{part.mops_per_s:.0f}",
                ]  # fmt: skip
            rows.append(row)
        total = ["total"]
        for each in self.costs:
            whole = each.total
            total += [
                f"{whole.ops / 1e6:.2f}", "100", f"{whole.time_ms:.2f}", "100",
                f"{whole.mops_per_s:.0f}",
            ]  # fmt: skip
        print_table(console, self.title, columns, [*rows, total])
        print_claims(console, self.claims)
        return text_of(console)


def points() -> list[GridPoint]:
    """Return the layers that figure 3 measures, of which this one shows two networks."""
    return fig3.points()


def analyse(table: Table | None) -> Figure4:
    """Make the figure from measurements of `points`.

    Raises
    ------
    CheckError
        If a layer could not be measured.
    """
    assert table is not None  # this figure has points
    chosen = equal_ops.load()
    less, more = costs.costs(chosen.pair, table)
    return Figure4(table, chosen, (less, more))
