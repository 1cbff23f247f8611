"""Figure 1: throughput, power and energy per Op by type of operation, and the gain of kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m7sim.characterize.table import Table
from m7sim.errors import CheckError
from m7sim.report.figures.common import (
    LABELS,
    Analysis,
    Claim,
    Row,
    Sheet,
    caption,
    known_columns,
    percent,
    print_claims,
)
from m7sim.report.figures.published import Published
from m7sim.report.layout import Style, open_console, print_table, text_of

TITLE = "CIFAR-10 network by type of operation"
GRID = "fig1"
OPS = ("conv", "fc", "relu", "max_pool")  # in the order of the picture
NAIVE = "naive"
OPTIMISED = {"conv": ("rgb", "fast"), "fc": ("x4",), "relu": ("optimised",)}
OPTIMISED["max_pool"] = OPTIMISED["relu"]
REFERENCE = "conv"  # what the others are divided by
TOTAL = "total"
TOLERANCE = 0.10


@dataclass(frozen=True, kw_only=True)
class TypeCost:
    """All layers of a type together; energy is None where the chip's currents are not known."""

    op: str
    layers: int
    ops: int
    ms: float
    energy_nj: float | None

    @property
    def mops_per_s(self) -> float:
        return self.ops / self.ms / 1e3

    @property
    def mean_power_mw(self) -> float | None:
        return self.energy_nj / self.ms / 1e3 if self.energy_nj is not None else None

    @property
    def nj_per_op(self) -> float | None:
        return self.energy_nj / self.ops if self.energy_nj is not None else None


@dataclass(frozen=True)
class Figure1(Analysis):
    """Costs by type, of optimised and of naive kernels."""

    table: Table
    optimised: Mapping[str, TypeCost]
    naive: Mapping[str, TypeCost]
    published: Published | None

    @property
    def title(self) -> str:
        return f"Figure 1: {TITLE}"

    @property
    def caption(self) -> str:
        return caption(self.table)

    def relative(self, op: str, quantity: str) -> float | None:
        """Return a quantity (attribute of `TypeCost`) as a multiple of the convolution's."""
        own, one = (getattr(self.optimised[name], quantity) for name in (op, REFERENCE))
        return own / one if own is not None and one is not None else None

    def gain(self, op: str) -> tuple[float, float | None]:
        """Return how many times better the optimised kernels are: throughput, energy."""
        new, old = self.optimised[op], self.naive[op]
        energy = old.energy_nj / new.energy_nj if old.energy_nj and new.energy_nj else None
        return old.ms / new.ms, energy

    def published_mops(self, op: str) -> tuple[float, float, float] | None:
        """Return the published throughput of a type with its bounds, in MOps/s."""
        known = self.published.types.get(op) if self.published else None
        if known is None:
            return None
        kilo_ops = self.optimised[op].ops / 1e3
        return kilo_ops / known.ms, kilo_ops / known.high_ms, kilo_ops / known.low_ms

    @property
    def power_spread(self) -> float | None:
        """Largest deviation of a type's mean power from the mean over types, as a share."""
        powers = [self.optimised[op].mean_power_mw for op in OPS]
        known = [power for power in powers if power is not None]
        if len(known) < len(OPS):
            return None
        mean = sum(known) / len(known)
        return max(abs(power / mean - 1) for power in known)

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        return Sheet("", tuple(map(self._row, OPS))), Sheet(
            "_gains", tuple(self._gain_row(op) for op in (*OPS, TOTAL))
        )

    def _row(self, op: str) -> Row:
        cost, known = self.optimised[op], self.published_mops(op)
        return {
            "op": op,
            "layers": cost.layers,
            "ops": cost.ops,
            "time_ms": cost.ms,
            "throughput_mops_per_s": cost.mops_per_s,
            "mean_power_mw": cost.mean_power_mw,
            "energy_per_op_nj": cost.nj_per_op,
            "throughput_relative_to_conv": self.relative(op, "mops_per_s"),
            "mean_power_relative_to_conv": self.relative(op, "mean_power_mw"),
            "energy_per_op_relative_to_conv": self.relative(op, "nj_per_op"),
            "published_throughput_mops_per_s": known[0] if known else None,
            "published_low_mops_per_s": known[1] if known else None,
            "published_high_mops_per_s": known[2] if known else None,
            "throughput_error_percent": percent(cost.mops_per_s, known[0]) if known else None,
        }

    def _gain_row(self, op: str) -> Row:
        new, old = self.optimised[op], self.naive[op]
        throughput, energy = self.gain(op)
        known = self.published.gains.get(op) if self.published else None
        return {
            "op": op,
            "naive_time_ms": old.ms,
            "optimised_time_ms": new.ms,
            "throughput_gain": throughput,
            "energy_gain": energy,
            "published_naive_time_ms": known.baseline_ms if known else None,
            "published_optimised_time_ms": known.ms if known else None,
            "published_throughput_gain": known.throughput if known else None,
            "published_energy_gain": known.energy if known else None,
        }

    @property
    def claims(self) -> tuple[Claim, ...]:
        cost = {op: self.optimised[op].mops_per_s for op in OPS}
        slower = cost["conv"] / cost["max_pool"]
        relu = cost["relu"] / cost["conv"]
        fastest = max(cost, key=lambda op: cost[op])
        found = [
            Claim("convolution or fully connected is fastest", LABELS[fastest],
                  fastest in ("conv", "fc")),
            Claim("max pool is 4.5 to 6.5 times slower than convolution", f"{slower:.2f}",
                  4.5 <= slower <= 6.5),
            Claim("ReLU has about 0.4 of convolution's throughput (0.35 to 0.5)", f"{relu:.2f}",
                  0.35 <= relu <= 0.5),
        ]  # fmt: skip
        spread = self.power_spread
        if spread is not None:
            energy = self.relative("max_pool", "nj_per_op") or 0.0
            found += [
                Claim("mean power of the types is within 6 % of their mean",
                      f"{100 * spread:.1f} %", spread <= 0.06),
                Claim("so max pool takes 4.5 to 6.5 times the energy per Op", f"{energy:.2f}",
                      4.5 <= energy <= 6.5),
            ]  # fmt: skip
        for op in OPS:
            known = self.published_mops(op)
            if known:
                inside = known[1] <= cost[op] <= known[2]
                error = percent(cost[op], known[0])
                text = f"{LABELS[op]} within 10 % of {known[0]:.1f} MOps/s or its rounding"
                what = f"{cost[op]:.1f} ({error:+.1f} %{', inside rounding' if inside else ''})"
                found.append(Claim(text, what, inside or abs(error) <= 100 * TOLERANCE))
        return tuple(found)

    def draw(self, paths: Sequence[Path]) -> None:
        from m7sim.report.figures import fig1_draw

        fig1_draw.draw(self, paths)

    def render(self, *, style: Style) -> str:
        console = open_console(style)
        console.print(self.caption, soft_wrap=True)
        console.print()
        rows = []
        for op in (*OPS, TOTAL):
            cost, known = self.optimised[op], self.published_mops(op)
            error = f"{percent(cost.mops_per_s, known[0]):+.1f}" if known else ""
            range_ = ""
            if known:
                wide = known[2] / known[1] > 1.02
                range_ = f"{known[0]:.1f}" + (f" ({known[1]:.0f}-{known[2]:.0f})" if wide else "")
            rows.append([
                LABELS[op], f"{cost.ops / 1e3:.0f}", f"{cost.ms:.2f}", f"{cost.mops_per_s:.1f}",
                range_, error, _digits(cost.mean_power_mw, 0), _digits(cost.nj_per_op, 2),
            ])  # fmt: skip
        columns = ["*type", ">kOps", ">ms", ">MOps/s", ">published", ">error %", ">mW", ">nJ/Op"]
        print_table(console, f"{self.title}, optimised kernels", *known_columns(columns, rows))
        self._print_gains(console)
        print_claims(console, self.claims)
        return text_of(console)

    def _print_gains(self, console: Any) -> None:
        rows = []
        for op in (*OPS, TOTAL):
            throughput, energy = self.gain(op)
            known = self.published.gains.get(op) if self.published else None
            naive_ms, ms = (known.baseline_ms, known.ms) if known else (None, None)
            rows.append([
                LABELS[op], f"{self.naive[op].ms:.2f}", _digits(naive_ms, 2),
                f"{self.optimised[op].ms:.2f}", _digits(ms, 1),
                f"{throughput:.1f}x", f"{known.throughput:.1f}x" if known else "",
                f"{energy:.1f}x" if energy else "", f"{known.energy:.1f}x" if known else "",
            ])  # fmt: skip
        columns = ["*type", ">naive ms", ">paper", ">ours ms", ">paper ", ">throughput"]
        columns += [">paper  ", ">energy", ">paper   "]
        title = "Gain of optimised over naive kernels (the published naive ones are other code)"
        print_table(console, title, *known_columns(columns, rows))


def analyse(table: Table, published: Published | None) -> Figure1:
    """Sum a table of the grid ``fig1`` by type of operation.

    Raises
    ------
    CheckError
        If a layer of it could not be measured.
    """
    rows = [row for row in table.rows if row["op"] in OPS]
    wanted = {op: (*OPTIMISED[op], NAIVE) for op in OPS}
    used = [row for row in rows if row["variant"] in wanted[row["op"]]]
    failed = next((row for row in used if row["status"] != "ok"), None)
    if failed is not None:
        raise CheckError(
            f"a point that figure 1 needs has no figures: {failed['reason']}",
            where=f"{failed['op']} {failed['shape']}",
        )
    optimised = _sums([row for row in used if row["variant"] != NAIVE])
    naive = _sums([row for row in used if row["variant"] == NAIVE])
    return Figure1(table, optimised, naive, published)


def _sums(rows: Sequence[Row]) -> dict[str, TypeCost]:
    found = {op: _sum(op, [row for row in rows if row["op"] == op]) for op in OPS}
    return found | {TOTAL: _sum(TOTAL, rows)}


def _sum(op: str, rows: Sequence[Row]) -> TypeCost:
    if not rows:
        raise CheckError(f"no point of {op} in the table of figure 1")
    energies = [row["energy_nj"] for row in rows]
    return TypeCost(
        op=op,
        layers=len(rows),
        ops=sum(row["ops"] for row in rows),
        ms=sum(row["time_ms"] for row in rows),
        energy_nj=None if None in energies else sum(energies),
    )


def _digits(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
