"""Picture of a memory plan: what lies where in the arena, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from m7sim.nets.liveness import occupancy
from m7sim.nets.memory import ACTIVATIONS, Footprint
from m7sim.report.canvas import open_pyplot, save

# Colours that stay apart in print and for colour-blind readers (Okabe and Ito), paled.
_COLOURS = ("#8CB9DC", "#F4CF8B", "#8FCDB8", "#E3BDD3", "#B5DDF4", "#EDB08A", "#F6F0A8")
_SCRATCH, _COPY, _PEAK, _LIMIT = "#B0B0B0", "#707070", "#B2182B", "#444444"
_MAX_NAMED_STEPS = 45
_NEAR = 1.6  # a memory larger than this many arenas is told, not drawn


def draw(found: Footprint, path: Path) -> None:
    """Draw offset over execution step, one rectangle per buffer, the peak and the board's limits.

    Parameters
    ----------
    path
        ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    InputError
        If matplotlib is not installed, or the file cannot be written.
    """
    pyplot = open_pyplot()
    steps = [step.name for step in found.ordering.flow.steps]
    width = float(np.clip(3 + 0.24 * len(steps), 9, 16))
    figure, axes = pyplot.subplots(figsize=(width, 6), layout="constrained")
    _buffers(axes, found, width / (len(steps) + 2))
    _outline(axes, found)
    top = _limits(axes, found, len(steps))
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_ylim(0, top * 1.04 / 1024)
    axes.set_ylabel("place in the arena in KiB")
    _name_steps(axes, steps)
    _title(axes, found)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, frameon=False, loc="outside lower center", ncols=len(labels), fontsize=9
    )
    save(pyplot, figure, path)


def _buffers(axes: Any, found: Footprint, inches_per_step: float) -> None:
    plan, number = found.plan, 0
    labelled = set[str]()
    for buffer, offset in zip(plan.buffers, plan.offsets_bytes, strict=True):
        if buffer.kind == "tensor":
            colour, label = _COLOURS[number % len(_COLOURS)], ""
            number += 1
        else:
            colour = _SCRATCH if buffer.kind == "scratch" else _COPY
            label = "scratch of a kernel" if buffer.kind == "scratch" else "copy of an input"
        steps = buffer.last_step - buffer.first_step + 1
        axes.bar(
            buffer.first_step - 0.5,
            buffer.size_bytes / 1024,
            width=steps,
            bottom=offset / 1024,
            align="edge",
            color=colour,
            edgecolor="white",
            linewidth=0.8,
            label=label if label not in labelled else "",
        )
        labelled.add(label)
        height = buffer.size_bytes / max(plan.arena_bytes, 1)
        room = int(steps * inches_per_step / 0.062)  # characters of this size
        if buffer.kind == "tensor" and height > 0.045 and room >= 3:
            name = buffer.tensors[0] if buffer.tensors else buffer.name
            axes.text(
                buffer.first_step - 0.5 + steps / 2,
                (offset + buffer.size_bytes / 2) / 1024,
                _short(name, room),
                ha="center",
                va="center",
                fontsize=7.5,
                zorder=5,
            )


def _short(name: str, room: int) -> str:
    """Shorten a name to so many characters, keeping the number at its end."""
    if len(name) <= room:
        return name
    stem = name.rstrip("0123456789")
    number = name[len(stem) :]
    return f"{stem[: max(room - 1 - len(number), 0)]}…{number}"


def _outline(axes: Any, found: Footprint) -> None:
    """Draw the sum of what lives in each step, and mark the largest."""
    plan = found.plan
    taken = occupancy(plan.buffers, plan.steps, alignment=plan.alignment_bytes) / 1024
    edges = np.arange(plan.steps + 1) - 0.5
    axes.stairs(taken, edges, color=_PEAK, linewidth=1.3, label="in use", baseline=None)
    at = int(np.argmax(taken))
    axes.plot([at], [taken[at]], "v", color=_PEAK, clip_on=False, markersize=8)
    right = at < plan.steps / 2
    axes.annotate(
        f"peak {taken[at]:.1f} KiB at {found.ordering.flow.steps[at].name}",
        (at, taken[at]),
        (8 if right else -8, 6),
        textcoords="offset points",
        ha="left" if right else "right",
        fontsize=9,
        color=_PEAK,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
    )


def _limits(axes: Any, found: Footprint, steps: int) -> float:
    """Draw the sizes of memories near the arena's; return the top of the picture in bytes."""
    arena = found.plan.arena_bytes
    top = arena * 1.12
    axes.axhline(arena / 1024, color="black", linewidth=0.9, linestyle=":", label="arena")
    for memory in found.memories:
        size = memory.size_bytes
        if memory.purpose != ACTIVATIONS or not 0.25 * arena <= size <= _NEAR * arena:
            continue
        top = max(top, size * 1.04)
        axes.axhline(size / 1024, color=_LIMIT, linewidth=1.2, linestyle="--")
        axes.annotate(
            f"{' + '.join(memory.names)}: {size / 1024:g} KiB"
            f"{'' if memory.fits else ', too small'}",
            (steps - 0.5, size / 1024),
            (-4, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=_LIMIT,
        )
    return top


def _name_steps(axes: Any, steps: list[str]) -> None:
    if len(steps) <= _MAX_NAMED_STEPS:
        short = [name if len(name) <= 22 else f"…{name[-21:]}" for name in steps]
        axes.set_xticks(range(len(steps)), short, rotation=60, ha="right", fontsize=8,
                        rotation_mode="anchor")  # fmt: skip
    else:
        axes.set_xlabel("step of execution")


def _title(axes: Any, found: Footprint) -> None:
    plan = found.plan
    gap = "the lower bound" if not plan.gap else f"{100 * plan.gap:.1f} % above the lower bound"
    sizes = [m for m in found.memories if m.purpose == ACTIVATIONS]
    largest = max(sizes, key=lambda m: m.size_bytes, default=None)
    fit = ""
    if largest is not None:
        fit = f"; RAM of the {found.board}: {largest.size_bytes / 1024:g} KiB"
    axes.set_title(
        f"{found.name}: arena of {plan.arena_bytes / 1024:.1f} KiB, {gap}{fit}", fontsize=11
    )
