"""Figure 5: memory for weights and for activations, keyword-spotting networks of seven kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m7sim.characterize.grid import GridPoint
from m7sim.characterize.table import Table
from m7sim.nets.kws.models import BYTES_PER_KB, Collection, Model, Printed, hello_edge
from m7sim.report.figures.common import Analysis, Claim, Row, Sheet, print_claims
from m7sim.report.layout import Style, open_console, print_table, text_of

TITLE = "weights and activations of keyword-spotting networks"
SWEEP = ""
MEMORY_DIGIT_KB = 0.1  # last digit of the printed sizes


@dataclass(frozen=True)
class Figure5(Analysis):
    """Memory and work of the networks, from their layers alone: nothing is measured."""

    networks: Collection

    @property
    def title(self) -> str:
        return f"Figure 5: {TITLE}"

    @property
    def caption(self) -> str:
        return (
            "8-bit weights and biases, and the largest activations that are live at once "
            "(KB of 1000 bytes), recomputed from the layers; networks of "
            f"{self.networks.source}; marked (* or outlined): the four of the paper, by their "
            "range (inferred)"
        )

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        return (Sheet("", tuple(map(self._row, self.networks.models))),)

    @property
    def claims(self) -> tuple[Claim, ...]:
        models, marked = self.networks.models, self.networks.marked
        shares = [model.activation_percent for model in marked.models]
        low, high = marked.low_percent, marked.high_percent
        kb = [abs(memory_error_kb(m)) for m in models]
        digits = [abs(ops_error_digits(m)) for m in models]
        exact_kb = sum(e <= 0.5 * MEMORY_DIGIT_KB + 1e-9 for e in kb)
        exact_ops = sum(e <= 0.5 for e in digits)
        off = [m.name for m, e in zip(models, digits, strict=True) if e > 0.5]
        off_kb = [m.name for m, e in zip(models, kb, strict=True) if e > 0.5 * MEMORY_DIGIT_KB]
        return (
            Claim(
                f"activations are {low:g} to {high:g} % of the memory of the four marked",
                f"{min(shares):.2f} to {max(shares):.1f} %",
                round(min(shares)) >= low and round(max(shares)) <= high,
            ),
            Claim(
                f"memory equals the printed tables (last digit {MEMORY_DIGIT_KB} KB)",
                f"{exact_kb} of {len(models)} to rounding, all within {max(kb):.2f} KB"
                + _listed(off_kb),
                max(kb) < MEMORY_DIGIT_KB,
            ),
            Claim(
                "Ops equal the printed tables",
                f"{exact_ops} of {len(models)} to rounding, all within {max(digits):.1f} of the "
                f"last digit{_listed(off)}",
                max(digits) < 1,
            ),
        )

    def _row(self, model: Model) -> Row:
        printed = printed_of(model)
        return {
            "network": model.name,
            "kind": model.kind,
            "size": model.size,
            "marked": "yes" if model in self.networks.marked.models else "",
            "weights_bytes": model.weight_bytes,
            "activations_bytes": model.activation_bytes,
            "memory_kb": model.memory_bytes / BYTES_PER_KB,
            "activations_percent": model.activation_percent,
            "macs": model.macs,
            "ops": model.ops,
            "published_memory_kb": printed.memory_kb,
            "published_ops": printed.ops,
            "published_accuracy_percent": printed.accuracy_percent,
            "memory_error_kb": memory_error_kb(model),
            "ops_error_percent": 100 * (model.ops / printed.ops - 1),
        }

    def draw(self, paths: Sequence[Path]) -> None:
        from m7sim.report.figures import fig5_draw

        fig5_draw.draw(self, paths)

    def render(self, *, style: Style) -> str:
        console = open_console(style)
        console.print(self.caption, soft_wrap=True)
        console.print()
        columns = [
            "*network", ">weights", ">activ.", ">share %", ">KB", ">printed", ">MACs", ">Ops",
            ">printed",
        ]  # fmt: skip
        rows = []
        for model in self.networks.models:
            printed = printed_of(model)
            rows.append([
                model.name + (" *" if model in self.networks.marked.models else ""),
                f"{model.weight_bytes}", f"{model.activation_bytes}",
                f"{model.activation_percent:.2f}", f"{model.memory_bytes / BYTES_PER_KB:.2f}",
                f"{printed.memory_kb:.1f}", f"{model.macs}", f"{model.ops}", f"{printed.ops}",
            ])  # fmt: skip
        print_table(console, self.title, columns, rows)
        print_claims(console, self.claims)
        return text_of(console)


def points() -> list[GridPoint]:
    """Return what has to be measured: nothing."""
    return []


def analyse(table: Table | None = None) -> Figure5:
    """Make the figure; there is no table behind it."""
    return Figure5(hello_edge())


def printed_of(model: Model) -> Printed:
    """Return what is published of a network of the collection."""
    assert model.published is not None  # of all in the file
    return model.published


def memory_error_kb(model: Model) -> float:
    """Return recomputed minus printed memory in KB."""
    return model.memory_bytes / BYTES_PER_KB - printed_of(model).memory_kb


def ops_error_digits(model: Model) -> float:
    """Return recomputed minus printed Ops, in units of the last printed digit."""
    printed = printed_of(model)
    return (model.ops - printed.ops) / printed.ops_digit


def _listed(names: Sequence[str]) -> str:
    return f" (not to rounding: {', '.join(names)})" if names else ""
