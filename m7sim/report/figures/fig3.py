"""Figure 3: energy of five networks of nearly equal Ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from m7sim.characterize.grid import GridPoint
from m7sim.characterize.table import Table
from m7sim.nets.kws import equal_ops
from m7sim.nets.kws.equal_ops import EqualOps
from m7sim.report.figures import costs
from m7sim.report.figures.common import (
    Analysis,
    Claim,
    Row,
    Sheet,
    caption,
    print_claims,
    same_hardware,
)
from m7sim.report.figures.costs import TYPES, Costs
from m7sim.report.layout import Style, open_console, print_table, text_of

TITLE = "energy of five DS-CNNs of nearly equal Ops"
SWEEP = "fig3"


@dataclass(frozen=True)
class Figure3(Analysis):
    """The five networks with their costs."""

    table: Table
    chosen: EqualOps
    costs: tuple[Costs, ...]

    @property
    def title(self) -> str:
        return f"Figure 3: {TITLE}"

    @property
    def caption(self) -> str:
        trained = [c.candidate.name for c in self.costs if c.candidate.accuracy_percent is not None]
        return (
            f"{caption(self.table)}; sum over layers; "
            f"accuracy: published, of {', '.join(trained)} only (the others were never trained)"
        )

    @cached_property
    def has_energy(self) -> bool:
        """Whether the currents of the chip are known; if not, run times stand for energies."""
        return all(each.total.energy_nj is not None for each in self.costs)

    @cached_property
    def spread(self) -> float:
        """Largest energy over the smallest, of run times where energies are not known."""
        values = [cost_of(each, energy=self.has_energy) for each in self.costs]
        return max(values) / min(values)

    @cached_property
    def ops_deviation_percent(self) -> float:
        """Largest distance of Ops from the middle of the largest and the smallest."""
        ops = [each.total.ops for each in self.costs]
        return 100 * (max(ops) - min(ops)) / (max(ops) + min(ops))

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        return Sheet("", tuple(map(self._row, self.costs))), Sheet("_types", type_rows(self.costs))

    @property
    def claims(self) -> tuple[Claim, ...]:
        low, high = self.chosen.energy_spread_percent
        tolerance = self.chosen.ops_tolerance_percent
        ordered = sorted(self.costs, key=lambda c: c.share("depthwise", "ops"))
        times = [each.total.time_ms / each.total.ops for each in ordered]
        powers = [p for each in self.costs if (p := each.total.power_mw) is not None]
        found = [
            Claim(
                f"Ops of the five are within {tolerance:g} % of their middle",
                f"{self.ops_deviation_percent:.1f} %",
                self.ops_deviation_percent <= tolerance,
            ),
            Claim(
                "the larger the depthwise share of Ops, the longer an Op takes",
                ", ".join(f"{each.share('depthwise', 'ops'):.1f} %" for each in ordered),
                times == sorted(times),
            ),
        ]
        if published_hardware(self.table, self.chosen):
            what = "energy" if self.has_energy else "run time"
            differs = 100 * (self.spread - 1)
            text = f"{what} differs by {low:g} to {high:g} %"
            found.insert(1, Claim(text, f"{differs:.1f} %", low <= differs <= high))
        if powers:
            spread = 100 * (max(powers) / min(powers) - 1)
            text = "mean power is nearly the same (within 6 %), so energy follows run time"
            found.append(Claim(text, f"{spread:.1f} %", spread <= 6))
        return tuple(found)

    def _row(self, each: Costs) -> Row:
        total, net = each.total, each.candidate
        mean = sum(c.total.ops for c in self.costs) / len(self.costs)
        return {
            "network": net.name,
            "layers": net.layers,
            "features": net.features,
            "first_stride": "x".join(map(str, net.first_stride)),
            "second_stride": "x".join(map(str, net.second_stride)),
            "macs": each.model.macs,
            "ops": total.ops,
            "ops_deviation_percent": 100 * (total.ops / mean - 1),
            "time_ms": total.time_ms,
            "energy_mj": total.energy_mj,
            "mean_power_mw": total.power_mw,
            "throughput_mops_per_s": total.mops_per_s,
            "energy_per_op_nj": None if total.energy_nj is None else total.energy_nj / total.ops,
            "depthwise_ops_percent": each.share("depthwise", "ops"),
            "depthwise_time_percent": each.share("depthwise", "time_ms"),
            "weights_bytes": each.model.weight_bytes,
            "activations_bytes": each.model.activation_bytes,
            "published_accuracy_percent": net.accuracy_percent,
        }

    def draw(self, paths: Sequence[Path]) -> None:
        from m7sim.report.figures import fig3_draw

        fig3_draw.draw(self, paths)

    def render(self, *, style: Style) -> str:
        console = open_console(style)
        console.print(self.caption, soft_wrap=True)
        console.print()
        columns = [
            "*network", "*layers", ">MOps", ">mJ", ">ms", ">MOps/s", ">mW", ">DW/Ops", ">DW/time",
            "*accuracy",
        ]  # fmt: skip
        rows = []
        for each in self.costs:
            total, net = each.total, each.candidate
            rows.append([
                net.name, f"{net.layers} x {net.features}", f"{total.ops / 1e6:.2f}",
                _number(total.energy_mj, ".1f"), f"{total.time_ms:.1f}", f"{total.mops_per_s:.0f}",
                _number(total.power_mw, ".0f"), f"{each.share('depthwise', 'ops'):.1f} %",
                f"{each.share('depthwise', 'time_ms'):.1f} %", accuracy(each),
            ])  # fmt: skip
        print_table(console, self.title, columns, rows)
        print_claims(console, self.claims)
        return text_of(console)


def points() -> list[GridPoint]:
    """Return the layers of the five networks, each shape once."""
    return costs.points(each.model for each in equal_ops.load().candidates)


def analyse(table: Table | None) -> Figure3:
    """Make the figure from measurements of `points`.

    Raises
    ------
    CheckError
        If a layer could not be measured.
    """
    assert table is not None  # this figure has points
    chosen = equal_ops.load()
    return Figure3(table, chosen, costs.costs(chosen.candidates, table))


def published_hardware(table: Table, chosen: EqualOps) -> bool:
    """Say whether the published spread is of the hardware that was measured."""
    return same_hardware(table, chosen.board, chosen.clock_hz)


def cost_of(each: Costs, *, energy: bool) -> float:
    """Return the energy of a network in nJ, or its run time in ms."""
    total = each.total
    return total.energy_nj if energy and total.energy_nj is not None else total.time_ms


def accuracy(each: Costs) -> str:
    """Return the published accuracy, for people."""
    known = each.candidate.accuracy_percent
    return "not trained" if known is None else f"{known:.1f} %"


def type_rows(networks: Sequence[Costs]) -> tuple[Row, ...]:
    """Return Ops, time and energy of networks by type of operation."""
    return tuple(_type_row(each, op) for each in networks for op in TYPES)


def _type_row(each: Costs, op: str) -> Row:
    part = each.by_type[op]
    known = each.total.energy_nj is not None
    return {
        "network": each.candidate.name,
        "op": op,
        "ops": part.ops,
        "ops_percent": each.share(op, "ops"),
        "time_ms": part.time_ms,
        "time_percent": each.share(op, "time_ms"),
        "energy_mj": part.energy_mj,
        "energy_percent": each.share(op, "energy_nj") if known else None,
        "throughput_mops_per_s": part.mops_per_s,
    }


def _number(value: float | None, spec: str) -> str:
    return "" if value is None else format(value, spec)
