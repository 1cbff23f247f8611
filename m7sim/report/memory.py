"""A network's memory: footprint, plan and fit, as text and as a document."""

from __future__ import annotations

from typing import Any

from m7sim.board import Board
from m7sim.nets.graph import Graph
from m7sim.nets.memory import Footprint, footprint
from m7sim.report.document import SCHEMA_VERSION
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.units import format_count

_SHOWN = 8


def report(graph: Graph, board: Board, *, style: Style = PLAIN) -> str:
    """Return the memory report of a graph on a board; see `m7sim.nets.memory.footprint`."""
    return render(footprint(graph, board), style=style)


def render(found: Footprint, *, style: Style = PLAIN) -> str:
    """Return the report for people."""
    console = open_console(style)
    grid = open_grid()
    grid.add_row("network", found.name)
    grid.add_row("board", found.board)
    grid.add_row("by the rule", _rule(found))
    grid.add_row("peak", _peak(found))
    grid.add_row("order", _order(found))
    grid.add_row("plan", _plan(found))
    grid.add_row("fits", _verdict(found))
    if not found.code.known:
        grid.add_row(
            "not known", "code and stack: there is no cross compiler; they count as 0 here"
        )
    if found.left_out:
        names = ", ".join(f"{name} ({n})" for name, n in found.left_out.items())
        grid.add_row("left out", f"weights, code and scratch of what is not supported: {names}")
    console.print(grid)
    console.print()
    _needs(console, found)
    _fits(console, found)
    _code(console, found)
    return text_of(console)


def _rule(found: Footprint) -> str:
    share = found.activations.size_bytes / max(found.rule_bytes, 1)
    return (
        f"{_bytes(found.rule_bytes)} = weights {_bytes(found.weight_bytes)} + "
        f"concurrent activations {_bytes(found.activations.size_bytes)} ({100 * share:.1f} %)"
    )


def _peak(found: Footprint) -> str:
    parts = found.activations.parts
    shown = ", ".join(f"{name} {_bytes(size)}" for name, size in parts[:_SHOWN])
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return f"at {found.activations.step}: {shown}{more}"


def _order(found: Footprint) -> str:
    ordering = found.ordering
    certain = "no order is better" if ordering.optimal else "the best found"
    saved = ordering.given_peak_bytes - ordering.peak_bytes
    if not saved:
        return f"as given ({certain})"
    return (
        f"another than given: {_bytes(ordering.peak_bytes)} instead of "
        f"{_bytes(ordering.given_peak_bytes)} at the peak, scratch included ({certain})"
    )


def _plan(found: Footprint) -> str:
    plan = found.plan
    gap = (
        "the lower bound"
        if plan.arena_bytes == plan.lower_bound_bytes
        else f"{100 * plan.gap:.1f} % above the lower bound of {_bytes(plan.lower_bound_bytes)}"
    )
    best = ", no plan is smaller" if plan.optimal and plan.gap else ""
    return (
        f"arena of {_bytes(plan.arena_bytes)}, {gap}{best}; {len(plan.buffers)} buffers placed "
        f"{plan.method}, aligned to {plan.alignment_bytes} bytes"
    )


def _verdict(found: Footprint) -> str:
    parts = []
    for purpose in dict.fromkeys(memory.purpose for memory in found.memories):
        memories = [memory for memory in found.memories if memory.purpose == purpose]
        places = [" + ".join(memory.names) for memory in memories if memory.fits]
        if places:
            parts.append(f"{purpose} in {' or '.join(places)}")
        else:
            missing = min(-memory.spare_bytes for memory in memories)
            parts.append(f"NOT: {purpose} lack {_bytes(missing)} bytes even in the largest memory")
    return "; ".join(parts)


def _needs(console: Any, found: Footprint) -> None:
    code = found.code
    kernels, libraries = sum(code.kernels.values()), sum(code.libraries.values())
    rows = [
        ("flash", "weights, biases, scales", _bytes(found.weight_bytes)),
        ("", f"{len(code.kernels)} functions of the kernels", _bytes(kernels)),
        ("", f"{len(code.libraries)} of libraries", _bytes(libraries)),
        ("", "constants, padding", _bytes(code.rest_bytes)),
        ("", "in all", _bytes(found.flash_bytes)),
        ("RAM", "arena: activations, scratch", _bytes(found.plan.arena_bytes)),
        ("", f"(largest scratch {_bytes(found.scratch_bytes)})", ""),
        ("", "stack (linker script)", _bytes(found.stack_bytes)),
        ("", "in all", _bytes(found.ram_bytes)),
    ]
    print_table(console, "What it needs (application and start-up on top)", _NEEDS, rows)


_NEEDS = ("memory", "what", ">bytes")


def _fits(console: Any, found: Footprint) -> None:
    rows = [
        (
            " + ".join(memory.names),
            memory.purpose,
            _bytes(memory.size_bytes),
            _bytes(memory.need_bytes),
            "fits" if memory.fits else "does NOT fit",
            f"{_bytes(memory.spare_bytes)} left" if memory.fits
            else f"{_bytes(-memory.spare_bytes)} missing",
        )
        for memory in found.memories
    ]  # fmt: skip
    columns = ("memory", "for", ">bytes", ">needed", "so it", ">by bytes")
    print_table(console, f"Where it goes on the {found.board}", columns, rows)


def _code(console: Any, found: Footprint) -> None:
    code = found.code
    rows = [
        (name, "library" if name in code.libraries else "kernel", _bytes(size))
        for name, size in sorted(
            (*code.kernels.items(), *code.libraries.items()), key=lambda item: -item[1]
        )
    ]
    if rows:
        print_table(console, "Code that the linker keeps", ("function", "of", ">bytes"), rows)


def _bytes(size_bytes: int) -> str:
    return format_count(size_bytes)


def document(found: Footprint) -> dict[str, Any]:
    """Return the JSON document of a footprint."""
    plan, ordering = found.plan, found.ordering
    return {
        "schema_version": SCHEMA_VERSION,
        "network": found.name,
        "board": found.board,
        "weight_bytes": found.weight_bytes,
        "concurrent_activation_bytes": found.activations.size_bytes,
        "rule_bytes": found.rule_bytes,
        "peak_step": found.activations.step,
        "peak_tensors": dict(found.activations.parts),
        "scratch_bytes": found.scratch_bytes,
        "flash_bytes": found.flash_bytes,
        "ram_bytes": found.ram_bytes,
        "stack_bytes": found.stack_bytes,
        "order": {
            "steps": [step.name for step in ordering.flow.steps],
            "peak_bytes": ordering.peak_bytes,
            "given_peak_bytes": ordering.given_peak_bytes,
            "given_activation_bytes": found.given_activations_bytes,
            "optimal": ordering.optimal,
        },
        "plan": {
            "arena_bytes": plan.arena_bytes,
            "lower_bound_bytes": plan.lower_bound_bytes,
            "alignment_bytes": plan.alignment_bytes,
            "method": plan.method,
            "optimal": plan.optimal,
            "buffers": [
                {
                    "name": buffer.name,
                    "kind": buffer.kind,
                    "tensors": list(buffer.tensors),
                    "size_bytes": buffer.size_bytes,
                    "offset_bytes": offset,
                    "first_step": buffer.first_step,
                    "last_step": buffer.last_step,
                }
                for buffer, offset in zip(plan.buffers, plan.offsets_bytes, strict=True)
            ],
        },
        "code": {
            "kernels_bytes": dict(found.code.kernels),
            "libraries_bytes": dict(found.code.libraries),
            "rest_bytes": found.code.rest_bytes,
            "total_bytes": found.code.total_bytes,
            "known": found.code.known,
        },
        "memories": [
            {
                "regions": list(memory.names),
                "purpose": memory.purpose,
                "size_bytes": memory.size_bytes,
                "need_bytes": memory.need_bytes,
                "spare_bytes": memory.spare_bytes,
                "fits": memory.fits,
            }
            for memory in found.memories
        ],
        "fits": found.fits,
        "left_out": dict(found.left_out),
    }
