"""A network's report: cost by layer, beside the published measurement, and the stall split."""

from __future__ import annotations

from typing import Any

import numpy as np

from m7sim.nets.execute import GraphRun
from m7sim.nets.published import Published
from m7sim.nets.run import LayerRun, NetworkRun
from m7sim.report.document import SCHEMA_VERSION, configuration
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.report.text import render_configuration
from m7sim.units import format_count
from m7sim.validate import bands


def render(run: NetworkRun, published: Published | None, *, style: Style = PLAIN) -> str:
    """Return the report for people; ``published`` is shown beside it when the shapes are its."""
    console = open_console(style)
    console.file.write(render_configuration(run.configuration, style=style))
    grid = open_grid()
    grid.add_row("network", f"{run.network.name}, {run.network.origin}")
    if run.network.seeded:
        grid.add_row("", "The weights are made up: costs are real, the answer means nothing.")
    grid.add_row("input", run.image)
    grid.add_row("answer", f"{run.answer}  (scores {' '.join(str(s) for s in run.scores)})")
    wrong = [layer.name for layer in run.layers if not layer.matches]
    grid.add_row(
        "checked",
        f"outputs that differ from the NumPy model: {', '.join(wrong)}"
        if wrong
        else "every layer's output equals the NumPy model",
    )
    grid.add_row("error band", bands.applying_to_class("multiply").text)
    console.print(grid)
    console.print()
    _layers(console, run)
    if run.total.energy_nj is not None:
        energy_table(console, run)
    stalls_table(console, run)
    if published is not None:
        _beside(console, run, published)
    return text_of(console)


def _layers(console: Any, run: NetworkRun) -> None:
    columns = (
        *("layer", "type", ">kOps", ">instructions", ">cycles", ">ms"),
        *(">MOps/s", ">cycles/MAC", ">IPC"),
    )
    rows = [
        (
            layer.name,
            layer.type,
            format_count(layer.ops / 1e3),
            format_count(layer.instructions),
            format_count(layer.cycles),
            f"{layer.ms:.2f}",
            f"{layer.mops_per_s:.1f}",
            f"{layer.cycles_per_mac:.2f}" if layer.cycles_per_mac else "",
            f"{layer.instructions / layer.cycles:.2f}" if layer.cycles else "",
        )
        for layer in (*run.layers, run.total)
    ]
    print_table(console, "Cost by layer", columns, rows)


def energy_table(console: Any, run: NetworkRun | GraphRun) -> None:
    """Print energy and power by layer."""
    total = run.total.energy_nj or 1.0
    rows = [
        (
            layer.name,
            layer.type,
            f"{(layer.energy_nj or 0.0) * 1e-3:.1f}",
            f"{100 * (layer.energy_nj or 0.0) / total:.1f}",
            f"{layer.pj_per_op:.0f}" if layer.pj_per_op else "",
            f"{layer.mean_power_mw:.0f}" if layer.mean_power_mw else "",
            _power_range(layer),
        )
        for layer in (*run.layers, run.total)
    ]
    columns = ("layer", "type", ">µJ", ">%", ">pJ/Op", ">mW", ">range")
    print_table(console, "Energy by layer (typical chip, 25 C)", columns, rows)


def _power_range(layer: LayerRun) -> str:
    if not layer.ms or layer.energy_low_nj is None or layer.energy_high_nj is None:
        return ""
    return (
        f"{1e-3 * layer.energy_low_nj / layer.ms:.0f}-{1e-3 * layer.energy_high_nj / layer.ms:.0f}"
    )


def stalls_table(console: Any, run: NetworkRun | GraphRun) -> None:
    """Print where the cycles of each layer went."""
    total = run.total
    causes = sorted(total.stalls, key=lambda cause: -total.stalls[cause])
    shown = [c for c in causes if total.stalls[c] >= 0.005 * total.cycles][:6]

    def share(cycles: int, layer: LayerRun) -> str:
        return f"{100 * cycles / layer.cycles:.1f}" if layer.cycles else ""

    rows = []
    for layer in (*run.layers, total):
        other = sum(n for cause, n in layer.stalls.items() if cause not in shown)
        rows.append(
            (
                layer.name,
                share(layer.issue_cycles, layer),
                *(share(layer.stalls.get(cause, 0), layer) for cause in shown),
                share(other, layer),
            )
        )
    columns = ("layer", ">issue", *(f">{c.replace('_', ' ')}" for c in shown), ">other")
    print_table(console, "Where its cycles went, in % of the layer", columns, rows)


def _beside(console: Any, run: NetworkRun, published: Published) -> None:
    by_name = {layer.name: layer for layer in run.layers}
    rows = []
    for row in published.rows:
        ms = sum(by_name[name].ms for name in row.layers)
        rows.append(("+".join(row.layers), f"{ms:.2f}", f"{row.ms:.1f}", _error(ms, row.ms)))
    total_ms = run.total.ms
    rows.append(
        (
            "total",
            f"{total_ms:.2f}",
            f"{published.total_ms:.1f}",
            _error(total_ms, published.total_ms),
        )
    )
    print_table(
        console,
        "Beside silicon (STM32F746ZG, 216 MHz, other kernels of the same design)",
        ("layers", ">modelled ms", ">measured ms", ">error %"),
        rows,
    )
    console.print(f"measured: {published.source}", soft_wrap=True)


def _error(modelled: float, measured: float) -> str:
    return f"{100 * (modelled / measured - 1):+.1f}"


def fits(run: NetworkRun, published: Published) -> bool:
    """Say whether the published table is about a network of these shapes."""
    return (
        run.total.ops - sum(layer.ops for layer in run.layers if layer.type in {"relu", "softmax"})
        == published.total_ops
    )


def document(run: NetworkRun, published: Published | None) -> dict[str, Any]:
    """Return the JSON document of a network's run."""
    doc: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "configuration": configuration(run.configuration),
        "network": run.network.name,
        "weights": run.network.origin,
        "weights_are_made_up": run.network.seeded,
        "input": run.image,
        "answer": run.answer,
        "scores": np.asarray(run.scores).tolist(),
        "layers": [layer_document(layer) for layer in run.layers],
        "total": layer_document(run.total),
        "error_band": bands.applying_to_class("multiply").document(),
    }
    total = run.total
    doc["energy"] = None
    if total.energy_nj is not None:
        doc["energy"] = {
            "energy_nj": total.energy_nj,
            "low_nj": total.energy_low_nj,
            "high_nj": total.energy_high_nj,
            "mean_power_mw": total.mean_power_mw,
            "pj_per_op": total.pj_per_op,
            "events": total.events,
        }
    if published is not None:
        by_name = {layer.name: layer for layer in run.layers}
        doc["measured"] = {
            "source": published.source,
            "rows": [
                {
                    "layers": list(row.layers),
                    "modelled_ms": sum(by_name[name].ms for name in row.layers),
                    "measured_ms": row.ms,
                    "error": sum(by_name[name].ms for name in row.layers) / row.ms - 1,
                }
                for row in published.rows
            ],
            "total_measured_ms": published.total_ms,
            "total_error": run.total.ms / published.total_ms - 1,
        }
    return doc


def layer_document(layer: LayerRun) -> dict[str, Any]:
    """Return a layer as it stands in documents."""
    return {
        "name": layer.name,
        "type": layer.type,
        "kernel": layer.kernel,
        "macs": layer.macs,
        "ops": layer.ops,
        "instructions": layer.instructions,
        "cycles": layer.cycles,
        "issue_cycles": layer.issue_cycles,
        "ms": layer.ms,
        "mops_per_s": layer.mops_per_s,
        "cycles_per_mac": layer.cycles_per_mac,
        "stalls": layer.stalls,
        "energy_nj": layer.energy_nj,
        "energy_low_nj": layer.energy_low_nj,
        "energy_high_nj": layer.energy_high_nj,
        "mean_power_mw": layer.mean_power_mw,
        "pj_per_op": layer.pj_per_op,
        "matches_model": layer.matches,
    }
