"""A network's cost layer by layer, run or estimated or both: text, JSON and CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any

import numpy as np

from m7sim.nets import networks_published
from m7sim.nets.estimated import GraphEstimate, LayerEstimate
from m7sim.nets.execute import GraphRun
from m7sim.nets.graph import Graph
from m7sim.nets.load import Sample
from m7sim.nets.run import LayerRun
from m7sim.report import network
from m7sim.report.document import SCHEMA_VERSION, configuration
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.report.text import render_configuration
from m7sim.units import format_bytes, format_count
from m7sim.validate import bands

SHOWN_SCORES = 12


def agrees(run: GraphRun, sample: Sample) -> bool:
    """Say whether every layer equals the model, and the output the one that the file expects."""
    first = next(iter(run.outputs.values()))
    expected = sample.expected
    same = expected is None or bool(np.array_equal(first.reshape(-1), expected.reshape(-1)))
    return run.total.matches and same


def render(
    graph: Graph,
    run: GraphRun | None,
    sample: Sample | None,
    estimate: GraphEstimate | None,
    *,
    style: Style = PLAIN,
) -> str:
    """Return the report for people, of a run, an estimate or both."""
    console = open_console(style)
    if run is not None:
        console.file.write(render_configuration(run.configuration, style=style))
    _head(console, graph, run, sample, estimate)
    if run is not None:
        _layers(console, run)
        _memory(console, run)
        network.stalls_table(console, run)
        if run.total.energy_nj is not None:
            network.energy_table(console, run)
    if estimate is not None:
        _estimate(console, estimate, run)
    if run is not None:
        _beside(console, run)
    return text_of(console)


def _head(
    console: Any,
    graph: Graph,
    run: GraphRun | None,
    sample: Sample | None,
    estimate: GraphEstimate | None,
) -> None:
    totals = graph.totals
    grid = open_grid()
    grid.add_row("network", f"{graph.name}, {graph.origin or 'made in Python'}")
    if graph.seeded:
        grid.add_row("", "The weights are made up: costs are real, the answer means nothing.")
    grid.add_row(
        "work",
        f"{format_count(totals.macs)} MACs, {format_count(totals.ops)} Ops, "
        f"{format_bytes(totals.weight_bytes)} of weights, biases and scales",
    )
    if totals.left_out:
        grid.add_row("left out", f"every total is {totals.remark}, which no kernel computes")
    if run is not None and sample is not None:
        grid.add_row("input", sample.name)
        grid.add_row("answer", f"{run.answer}  (scores {_scores(run)})")
        grid.add_row("placement", run.placement)
        grid.add_row("checked", _checked(run, sample))
        if run.host:
            grid.add_row("outside", f"{', '.join(run.host)}: done by the host, without cost")
        grid.add_row("error band", bands.applying_to_class("multiply").text)
    if estimate is not None:
        grid.add_row("estimated", "from shapes measured one by one, each starting with cold caches")
        if estimate.left_out:
            grid.add_row("", f"without {', '.join(estimate.left_out)}, which the table lacks")
    console.print(grid)
    console.print()


def _scores(run: GraphRun) -> str:
    shown = [f"{score:.3g}" for score in run.scores[:SHOWN_SCORES]]
    more = run.scores.size - len(shown)
    return " ".join(shown) + (f" and {more} more" if more > 0 else "")


def _checked(run: GraphRun, sample: Sample) -> str:
    wrong = [layer.name for layer in run.layers if not layer.matches]
    if wrong:
        return f"outputs that differ from the NumPy model: {', '.join(wrong)}"
    text = "every layer's output equals the NumPy model"
    if sample.expected is None:
        return text
    found = next(iter(run.outputs.values()))
    different = np.count_nonzero(found.reshape(-1) != sample.expected.reshape(-1))
    if different:
        return f"{text}, but {different} of {found.size} outputs differ from those in the file"
    return f"{text}; the answer equals the one in the file"


def _layers(console: Any, run: GraphRun) -> None:
    total = run.total
    rows = [
        (
            layer.name,
            layer.type,
            format_count(layer.macs / 1e3) if layer.macs else "",
            format_count(layer.cycles),
            f"{layer.ms:.3f}" if layer.ms < 10 else f"{layer.ms:.2f}",
            f"{100 * layer.cycles / total.cycles:.1f}" if total.cycles else "",
            f"{layer.cycles_per_mac:.2f}" if layer.cycles_per_mac else "",
            f"{layer.instructions / layer.cycles:.2f}" if layer.cycles else "",
            f"{1e-3 * layer.energy_nj:.1f}" if layer.energy_nj is not None else "",
        )
        for layer in (*run.layers, total)
    ]
    columns = (
        *("layer", "type", ">kMACs", ">cycles", ">ms", ">% of time"),
        *(">cycles/MAC", ">IPC", ">µJ"),
    )
    print_table(console, "Cost by layer", columns, rows)


def traffic(layer: LayerRun) -> dict[str, int]:
    """Return bytes that moved over the bus by memory, from lines and beats; {} if not counted.

    A beat is 8 bytes of flash or 4 of SRAM, and a flash line of 32 bytes 4 beats.
    """
    if not layer.events:
        return {}
    lines, beats = layer.events.get("flash_line", 0.0), layer.events.get("bus_beat", 0.0)
    return {
        "flash_bytes": round(32 * lines),
        "sram_bytes": round(max(beats - 4 * lines, 0.0) * 4),
        "cache_accesses": round(layer.events.get("cache_access", 0.0)),
        "tcm_accesses": round(layer.events.get("tcm_access", 0.0)),
    }


def _memory(console: Any, run: GraphRun) -> None:
    counted = any(layer.events for layer in run.layers)
    rows = []
    for layer in (*run.layers, run.total):
        found = traffic(layer)
        rows.append(
            (
                layer.name,
                format_count(layer.weight_bytes),
                format_count(layer.in_bytes),
                format_count(layer.out_bytes),
                format_count(layer.scratch_bytes),
                *(format_count(n) for n in found.values()),
            )
        )
    columns = [">weights", ">in", ">out", ">scratch"]
    if counted:
        columns += [">from flash", ">SRAM bus", ">cache accesses", ">TCM accesses"]
    print_table(
        console, "Bytes by layer: arrays, and what crossed the bus", ("layer", *columns), rows
    )


def _beside(console: Any, run: GraphRun) -> None:
    """Print what others measured with this network on this chip or its relatives."""
    network_known = networks_published.of(run.network)
    if network_known is None:
        return
    clock_hz, ms = run.configuration.clock_hz, run.total.ms
    rows = [
        (row.engine, row.chip, f"{row.clock_hz / 1e6:g}", f"{row.ms:.2f}",
         f"{row.ms * row.clock_hz / (ms * clock_hz):.2f}")
        for row in sorted(
            network_known.rows, key=lambda row: (row.chip != run.configuration.board, row.chip)
        )
    ]  # fmt: skip
    print_table(
        console,
        f"Published of {network_known.name}; here {ms:.2f} ms at {clock_hz / 1e6:g} MHz",
        ("engine", "chip", ">MHz", ">ms", ">cycles over ours"),
        rows,
    )
    sources = "; ".join(dict.fromkeys(row.source for row in network_known.rows))
    console.print(f"sources: {sources}", soft_wrap=True)


def _estimate(console: Any, estimate: GraphEstimate, run: GraphRun | None) -> None:
    by_name = {layer.name: layer for layer in run.layers} if run is not None else {}
    if run is not None:
        by_name["total"] = run.total
    total = estimate.total
    rows: list[tuple[str, ...]] = []
    for layer in (*estimate.layers, total):
        ran = by_name.get(layer.name)
        if run is None:
            middle = (
                format_count(layer.macs / 1e3) if layer.macs else "",
                f"{layer.cycles_per_mac:.2f}" if layer.cycles_per_mac else "",
                f"{100 * layer.cycles / total.cycles:.1f}" if layer.cycles and total.cycles else "",
            )
        else:
            middle = (
                format_count(ran.cycles) if ran is not None else "",
                _error(layer.cycles, ran.cycles if ran is not None else None),
                _error(layer.energy_nj, ran.energy_nj if ran is not None else None),
            )
        rows.append(
            (
                layer.name,
                layer.type,
                format_count(round(layer.cycles)) if layer.cycles is not None else "?",
                f"{100 * layer.cycles_error:.1f}" if layer.cycles_error is not None else "",
                f"{layer.ms:.3f}" if layer.ms is not None else "?",
                f"{1e-3 * layer.energy_nj:.1f}" if layer.energy_nj is not None else "",
                *middle,
                layer.remark,
            )
        )
    ends: tuple[str, ...] = (">run", ">error %", ">of energy %")
    if run is None:
        ends = (">kMACs", ">cycles/MAC", ">% of time")
    columns: tuple[str, ...] = ("layer", "type", ">cycles", ">± %", ">ms", ">µJ", *ends, "remark")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    where = f"{estimate.board}, {estimate.clock_hz / 1e6:g} MHz"
    print_table(console, f"Estimate by layer ({where})", columns, rows)


def _error(guessed: float | None, ran: float | None) -> str:
    return f"{100 * (guessed / ran - 1):+.1f}" if guessed is not None and ran else ""


def document(
    graph: Graph, run: GraphRun | None, sample: Sample | None, estimate: GraphEstimate | None
) -> dict[str, Any]:
    """Return the JSON document."""
    totals = graph.totals
    doc: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "network": graph.name,
        "origin": graph.origin,
        "weights_are_made_up": graph.seeded,
        "macs": totals.macs,
        "ops": totals.ops,
        "weight_bytes": totals.weight_bytes,
        "unsupported": dict(totals.left_out),
        "run": None,
        "estimate": None,
    }
    if run is not None and sample is not None:
        doc["configuration"] = configuration(run.configuration)
        doc["run"] = {
            "input": sample.name,
            "placement": run.placement,
            "answer": run.answer,
            "scores": run.scores.tolist(),
            "equals_expected": None if sample.expected is None else agrees(run, sample),
            "computed_by_host": list(run.host),
            "layers": [_layer(layer, run.total) for layer in run.layers],
            "total": _layer(run.total, run.total),
            "error_band": bands.applying_to_class("multiply").document(),
        }
        found = networks_published.of(graph)
        doc["published"] = [asdict(row) for row in found.rows] if found is not None else []
    if estimate is not None:
        doc["estimate"] = _estimate_document(estimate, run)
    return doc


def _layer(layer: LayerRun, total: LayerRun) -> dict[str, Any]:
    return {
        **network.layer_document(layer),
        "share_of_time": layer.cycles / total.cycles if total.cycles else None,
        "weight_bytes": layer.weight_bytes,
        "in_bytes": layer.in_bytes,
        "out_bytes": layer.out_bytes,
        "scratch_bytes": layer.scratch_bytes,
        "traffic": traffic(layer),
    }


def _estimate_document(estimate: GraphEstimate, run: GraphRun | None) -> dict[str, Any]:
    def one(layer: LayerEstimate) -> dict[str, Any]:
        return {
            name: getattr(layer, name)
            for name in (
                *("name", "type", "kernel", "macs", "ops", "cycles", "cycles_error"),
                *("energy_nj", "ms", "cycles_per_mac", "remark"),
            )
        }

    total = estimate.total
    error = None
    if run is not None and run.total.cycles and total.cycles is not None:
        error = total.cycles / run.total.cycles - 1
    return {
        "board": estimate.board,
        "clock_hz": estimate.clock_hz,
        "layers": [one(layer) for layer in estimate.layers],
        "total": one(total),
        "left_out": list(estimate.left_out),
        "error_against_run": error,
    }


def table(run: GraphRun | None, estimate: GraphEstimate | None) -> str:
    """Return the layers as CSV, the total in the last line; units are in the names."""
    guessed = {}
    if estimate is not None:
        guessed = {layer.name: layer for layer in (*estimate.layers, estimate.total)}
    rows: list[dict[str, Any]] = []
    for layer in (*run.layers, run.total) if run is not None else ():
        row = _layer(layer, run.total) if run is not None else {}
        stalls, moved = row.pop("stalls"), row.pop("traffic")
        row |= moved | {f"stall_{cause}_cycles": n for cause, n in sorted(stalls.items())}
        rows.append(row)
    names = [row["name"] for row in rows] or list(guessed)
    known = {row["name"]: row for row in rows}
    for name in names:
        row = known.setdefault(name, {})
        if name in guessed:
            one = guessed[name]
            row |= {"name": name, "type": one.type, "macs": one.macs, "ops": one.ops}
            row |= {
                "estimated_cycles": one.cycles,
                "estimated_error": one.cycles_error,
                "estimated_ms": one.ms,
                "estimated_energy_nj": one.energy_nj,
                "remark": one.remark,
            }
    columns = list(dict.fromkeys(key for name in names for key in known[name]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(known[name] for name in names)
    return text.getvalue()
