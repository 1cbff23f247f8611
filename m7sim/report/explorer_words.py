"""Cliffs in words: what changed between two shapes that cost so differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from m7sim.board import Board
from m7sim.ops.kernels import form_obstacles
from m7sim.ops.shapes import OpType, Shape
from m7sim.units import format_bytes

if TYPE_CHECKING:
    from m7sim.report.explorer import Cliff

_SHOWN = 4


def typical(cliffs: Sequence[Cliff]) -> Cliff:
    """Return the one in the middle by height."""
    return sorted(cliffs, key=lambda c: abs(c.change))[len(cliffs) // 2]


def spread_of(dimension: str, cliffs: Sequence[Cliff]) -> str:
    """Say where cliffs are and how high: ``in_ch 3 to 4, 7 to 8 (12 of them): -40 to -12 %``."""
    where = [f"{c.before.value} to {c.after.value}" for c in cliffs[:_SHOWN]]
    if len(cliffs) > _SHOWN:
        where.append(f"… ({len(cliffs)} such steps)")
    low, high = (100 * f(c.change for c in cliffs) for f in (min, max))
    many = f"{low:+.0f} to {high:+.0f} %" if f"{low:.0f}" != f"{high:.0f}" else f"{low:+.0f} %"
    return f"{dimension} {', '.join(where)}: {many}"


def explain(cliffs: Sequence[Cliff], board: Board, unit: str) -> str:
    """Say what changed at a typical one of some cliffs of a kind."""
    cliff = typical(cliffs)
    reasons = []
    if cliff.kernel_changed:
        reasons.append(_kernel(cliff))
    reasons += [_part(cliff, part, board, unit) for part in cliff.main_parts]
    return "; ".join(reasons)


def _kernel(cliff: Cliff) -> str:
    old, new = cliff.before.row["variant"], cliff.after.row["variant"]
    obstacle = form_obstacles(cliff.after.shape).get(old, "")
    if not obstacle:
        before = form_obstacles(cliff.before.shape).get(new, "")
        return f"kernel {new} instead of {old}" + (f" ({new} {before})" if before else "")
    return f"kernel {new} instead of {old} ({old} {obstacle})"


def _part(cliff: Cliff, part: str, board: Board, unit: str) -> str:
    old, new = cliff.before.parts[part], cliff.after.parts[part]
    said = {
        "issue": _issue, "unaligned": _unaligned, "data cache": _data_cache, "bank conflict": _bank,
        "mispredict": _mispredict,
    }.get(part)  # fmt: skip
    why = said(cliff, board) if said else ""
    return f"{part} {old:.2f} to {new:.2f} cycles/{unit}" + (f", {why}" if why else "")


def _issue(cliff: Cliff, board: Board) -> str:
    old, new = (
        step.row["instructions"] / (step.shape.macs or step.shape.ops)
        for step in (cliff.before, cliff.after)
    )
    pairs = [step.row["dual_issued"] / step.row["instructions"] for step in
             (cliff.before, cliff.after)]  # fmt: skip
    if abs(new / old - 1) > 0.02:
        return f"{old:.2f} to {new:.2f} instructions"
    return f"{100 * pairs[0]:.0f} to {100 * pairs[1]:.0f} % of the instructions paired"


def _unaligned(cliff: Cliff, board: Board) -> str:
    what, row_bytes = _rows(cliff.after.shape)
    rest = row_bytes % 4
    if cliff.after.parts["unaligned"] > cliff.before.parts["unaligned"]:
        if rest:
            return f"{what} are {row_bytes} bytes long, {rest} more than a multiple of 4"
        return "words are read from addresses that are no multiple of 4"
    if not rest:
        return f"{what} are {row_bytes} bytes long, a multiple of 4"
    return "fewer words are read from addresses that are no multiple of 4"


def _rows(shape: Shape) -> tuple[str, int]:
    """Return what is read word by word, and how long it is in bytes."""
    if shape.op in (OpType.CONV, OpType.POINTWISE, OpType.FULLY_CONNECTED):
        return "rows of weights", shape.macs_per_output
    return "pixels", shape.in_ch * shape.activation_bytes


def _data_cache(cliff: Cliff, board: Board) -> str:
    size = board.dcache.size_bytes
    old, new = (step.row["weight_bytes"] for step in (cliff.before, cliff.after))
    held = f"the D-cache of {format_bytes(size)}"
    if old <= size < new:
        return f"weights ({format_bytes(new)}) no longer fit {held}"
    if new <= size < old:
        return f"weights ({format_bytes(new)}) fit {held}"
    works = [step.shape.macs or step.shape.ops for step in (cliff.before, cliff.after)]
    misses = [1e3 * step.row["dcache_misses"] / work for step, work in
              zip((cliff.before, cliff.after), works, strict=True)]  # fmt: skip
    return (
        f"{misses[0]:.1f} to {misses[1]:.1f} misses per thousand, {format_bytes(new)} of weights "
        f"against {held}"
    )


def _bank(cliff: Cliff, board: Board) -> str:
    if cliff.after.parts["bank conflict"] > cliff.before.parts["bank conflict"]:
        return "loads that would pair meet in one memory bank: columns are a multiple of 8 bytes"
    return "loads that pair are in different memory banks"


def _mispredict(cliff: Cliff, board: Board) -> str:
    works = [step.shape.macs or step.shape.ops for step in (cliff.before, cliff.after)]
    rates = [1e3 * step.row["branches_mispredicted"] / work for step, work in
             zip((cliff.before, cliff.after), works, strict=True)]  # fmt: skip
    return f"{rates[0]:.1f} to {rates[1]:.1f} mispredicted branches per thousand"
