"""Candidates run in full on the simulated board, beside what was estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from m7sim.nets import execute
from m7sim.nets.memory import code_of, flow_of, functions_of
from m7sim.nets.planner import plan
from m7sim.nets.search.search import Found
from m7sim.nets.search.space import Candidate, Space
from m7sim.nets.work import seeded
from m7sim.ops import workloads


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A candidate that was run.

    Attributes
    ----------
    number
        Of the candidate.
    cycles, energy_nj, matches
        Simulated, and whether every output is that of the NumPy model.
    arena_bytes
        Of the memory plan.
    cycles_error, energy_error
        Of the estimate, relative to the run.
    within
        Whether the run keeps the limits on latency, energy and RAM.
    """

    number: int
    cycles: int
    energy_nj: float
    matches: bool
    arena_bytes: int
    cycles_error: float
    energy_error: float
    within: bool


def confirm(
    found: Found, numbers: Sequence[int], *, on_layer: Callable[[int, int, str], None] | None = None
) -> list[Confirmed]:
    """Run candidates layer by layer and compare with their estimates.

    Raises
    ------
    CheckError
        If a kernel refuses a shape.
    FirmwareError
        If a kernel goes wrong.
    """
    done = []
    for count, number in enumerate(numbers):
        graph = seeded(found.space.graph(found.candidates[number]))

        def tell(_layer: int, _layers: int, _name: str, at: int = count) -> None:
            if on_layer:
                on_layer(at, len(numbers), found.candidates[numbers[at]].name)

        first = graph.nodes[0].shape
        assert first is not None  # every network of a space begins with a convolution
        total = execute.run(
            graph, workloads.make(first).inputs, image_name="made from a seed",
            board=found.board, clock_hz=found.clock_hz, on_layer=tell,
        ).total  # fmt: skip
        energy_nj = total.energy_nj or float("nan")
        arena_bytes = plan(flow_of(graph)).arena_bytes
        limits = found.limits
        taken = (
            (total.cycles / found.clock_hz, limits.latency_s),
            (energy_nj * 1e-9, limits.energy_j),
            (arena_bytes, limits.ram_bytes),
        )
        done.append(
            Confirmed(
                number=number,
                cycles=total.cycles,
                energy_nj=energy_nj,
                matches=total.matches,
                arena_bytes=arena_bytes,
                cycles_error=float(found.costs.cycles[number]) / total.cycles - 1,
                energy_error=float(found.costs.energy_nj[number]) / energy_nj - 1,
                within=all(limit is None or value <= limit for value, limit in taken),
            )
        )
    return done


def code_bytes(space: Space, *, board: str) -> int:
    """Return the size of the kernels that networks of a space are made of.

    Raises
    ------
    ToolError
        If the cross compiler is missing or fails.
    """
    functions: set[str] = set()
    for features in space.features:
        for kernel in space.block_kernel:
            first = Candidate(
                (features, features),
                space.first_kernel[0], space.first_stride[0], kernel, space.block_stride[0],
            )  # fmt: skip
            functions.update(functions_of(space.graph(first).nodes))
    code, _ = code_of(sorted(functions), board=board)
    return code.total_bytes
