"""Does a network fit: weights, activations, scratch and code against a board's memories.

Footprint by the paper's rule (section 3): weights + maximum concurrent activations. Beside it, what
the rule leaves out and a board does not: scratch buffers of the kernels, alignment and gaps of the
plan, code, stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from m7sim import toolchain
from m7sim.board import Board, Region
from m7sim.elf import Image
from m7sim.errors import InputError, ToolError
from m7sim.nets import order
from m7sim.nets.graph import CONVERSIONS, VIEWS, Graph, Node
from m7sim.nets.liveness import Flow, Step, buffers, occupancy
from m7sim.nets.planner import ALIGNMENT_BYTES, Plan, plan
from m7sim.ops.kernels import (
    FLAGS,
    KERNELS,
    kernel_forms,
    kernel_includes,
    kernel_sources,
)

STACK_SYMBOL = "__stack_size__"
CODE, ACTIVATIONS = "code and weights", "activations"


def flow_of(graph: Graph) -> Flow:
    """Return what a memory plan needs to know of a graph.

    Conversions from float32 at the start and to it at the end are the host's: on the board the
    network begins and ends with integers. A conversion in the middle counts as a step. What is kept
    from one inference to the next lives all the time.
    """
    states = [name for name, tensor in graph.tensors.items() if tensor.state]
    outside, results = [*graph.inputs, *states], [*graph.outputs, *states]
    steps: list[Step] = []
    sizes: dict[str, int] = {}
    for node in graph.nodes:
        ends = _ends(graph, node)
        if ends == "input":
            outside = [t for t in outside if t not in node.inputs] + list(node.outputs)
        elif ends == "output":
            results = [t for t in results if t not in node.outputs] + list(node.inputs)
        else:
            steps.append(_step(graph, node))
        sizes |= {t: graph.tensor(t).bytes for t in (*node.inputs, *node.outputs)}
    sizes |= {t: graph.tensor(t).bytes for t in outside}
    if not steps:
        raise InputError(f"{graph.name}: nothing in it runs on the board", where=graph.origin)
    return Flow(
        name=graph.name,
        sizes_bytes=sizes,
        steps=tuple(steps),
        inputs=tuple(dict.fromkeys(outside)),
        outputs=tuple(dict.fromkeys(results)),
    )


def _ends(graph: Graph, node: Node) -> str:
    """Say whether a node is a conversion at the start or the end of a graph."""
    if node.op not in CONVERSIONS:
        return ""
    if all(t in graph.inputs and len(graph.consumers[t]) == 1 for t in node.inputs):
        return "input"
    last = all(t in graph.outputs and not graph.consumers[t] for t in node.outputs)
    return "output" if last else ""


def _step(graph: Graph, node: Node) -> Step:
    inputs = tuple(t for t in node.inputs if not graph.tensor(t).constant)
    return Step(
        name=node.name,
        inputs=inputs,
        outputs=node.outputs,
        scratch_bytes=node.scratch_bytes,
        view=node.op in VIEWS and bool(inputs),
        in_place=node.in_place,
        destroys=node.destroys_input,
    )


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The step at which activations take most.

    Attributes
    ----------
    size_bytes
        Maximum of concurrent activations, without scratch, alignment and gaps.
    step
        Name of the step, the first of equals.
    parts
        Tensors that live then, the largest first: name and bytes.
    """

    size_bytes: int
    step: str
    parts: tuple[tuple[str, int], ...]


def peak(flow: Flow) -> Peak:
    """Return the maximum of concurrent activations by the paper's rule."""
    found = buffers(flow, scratch=False)
    taken = occupancy(found, len(flow.steps))
    at = int(np.argmax(taken))
    alive = [b for b in found if b.first_step <= at <= b.last_step]
    parts = sorted(((b.name, b.size_bytes) for b in alive), key=lambda p: (-p[1], p[0]))
    return Peak(size_bytes=int(taken[at]), step=flow.steps[at].name, parts=tuple(parts))


@dataclass(frozen=True, kw_only=True)
class Code:
    """What the linker keeps for the kernels of a network.

    Attributes
    ----------
    kernels
        Function and bytes, with the functions of ours that they call.
    libraries
        The same for the C library and the compiler's.
    rest_bytes
        Constants, literals and padding between functions.
    known
        False if there is no cross compiler to ask; all is 0 then.
    """

    kernels: Mapping[str, int]
    libraries: Mapping[str, int]
    rest_bytes: int
    known: bool = True

    @property
    def total_bytes(self) -> int:
        """Everything but the weights that lies in flash; start-up and application come on top."""
        return sum(self.kernels.values()) + sum(self.libraries.values()) + self.rest_bytes


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory of the board, or several that lie one behind the other, and what must go into it.

    Attributes
    ----------
    names
        Regions of the board.
    purpose
        `CODE` or `ACTIVATIONS`.
    """

    names: tuple[str, ...]
    purpose: str
    size_bytes: int
    need_bytes: int

    @property
    def spare_bytes(self) -> int:
        """What is left; negative: what is missing."""
        return self.size_bytes - self.need_bytes

    @property
    def fits(self) -> bool:
        """Whether it is enough."""
        return self.spare_bytes >= 0


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Everything a network needs of a board's memories.

    Attributes
    ----------
    weight_bytes
        Weights, biases, multipliers and shifts per channel.
    ordering
        The order of execution, and the peak it saves.
    activations
        Maximum of concurrent activations in that order (the paper's rule).
    given_activations_bytes
        The same in the order given.
    scratch_bytes
        Largest scratch buffer of a kernel.
    plan
        Places of activations and scratch.
    stack_bytes
        What the linker script sets apart.
    left_out
        How often each operation occurs whose code, weights and scratch are not known.
    """

    name: str
    board: str
    weight_bytes: int
    ordering: order.Ordering
    activations: Peak
    given_activations_bytes: int
    scratch_bytes: int
    plan: Plan
    code: Code
    stack_bytes: int
    left_out: Mapping[str, int]
    memories: tuple[Memory, ...]

    @property
    def rule_bytes(self) -> int:
        """Footprint by the paper's rule: weights + maximum concurrent activations."""
        return self.weight_bytes + self.activations.size_bytes

    @property
    def flash_bytes(self) -> int:
        """Weights and code."""
        return self.weight_bytes + self.code.total_bytes

    @property
    def ram_bytes(self) -> int:
        """Arena and stack."""
        return self.plan.arena_bytes + self.stack_bytes

    @property
    def fits(self) -> bool:
        """Whether some flash and some RAM of the board are large enough."""
        purposes = {m.purpose for m in self.memories}
        return all(any(m.fits for m in self.memories if m.purpose == p) for p in purposes)

    @cached_property
    def activations_by_step(self) -> npt.NDArray[np.int64]:
        """Bytes of activations in each step, without scratch."""
        flow = self.ordering.flow
        return occupancy(buffers(flow, scratch=False), len(flow.steps))


def footprint(
    graph: Graph,
    board: Board,
    *,
    reorder: bool = True,
    alignment_bytes: int = ALIGNMENT_BYTES,
) -> Footprint:
    """Find out what a network needs of a board's memories.

    Parameters
    ----------
    reorder
        Whether to look for the order of execution with the smallest peak.
    alignment_bytes
        Of every buffer in the arena.

    Raises
    ------
    InputError
        If nothing of the graph runs on the board, or there is no linker script for the board.

    Notes
    -----
    Without the cross compiler, code and stack are not known and count as 0.
    """
    flow = flow_of(graph)
    given = order.best(flow) if reorder else as_given(flow)
    made = plan(given.flow, alignment_bytes=alignment_bytes)
    try:
        code, stack_bytes = code_of(functions_of(graph.nodes), board=board.name)
    except ToolError:
        code, stack_bytes = Code(kernels={}, libraries={}, rest_bytes=0, known=False), 0
    weight_bytes = graph.totals.weight_bytes
    return Footprint(
        name=graph.name,
        board=board.name,
        weight_bytes=weight_bytes,
        ordering=given,
        activations=peak(given.flow),
        given_activations_bytes=peak(flow).size_bytes,
        scratch_bytes=max(step.scratch_bytes for step in flow.steps),
        plan=made,
        code=code,
        stack_bytes=stack_bytes,
        left_out=graph.unsupported,
        memories=memories(board, weight_bytes + code.total_bytes, made.arena_bytes, stack_bytes),
    )


def as_given(flow: Flow) -> order.Ordering:
    """Return the order of a flow as it is, without a search."""
    bytes_ = int(occupancy(buffers(flow), len(flow.steps)).max())
    return order.Ordering(flow, tuple(range(len(flow.steps))), bytes_, bytes_, False, 0)


def functions_of(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Return the C functions that the nodes call."""
    found = set()
    for node in nodes:
        if node.work is not None:
            found.add(node.work.function)
        elif node.shape is not None and (forms := kernel_forms(node.shape)):
            found.add(KERNELS[node.shape.family, node.shape.op][forms[0]])
    return tuple(sorted(found))


def code_of(functions: Sequence[str], *, board: str) -> tuple[Code, int]:
    """Link the kernels, and nothing else, for a board, and return their sizes.

    Parameters
    ----------
    functions
        C functions that are called.
    board
        Name of a board with a linker script.

    Returns
    -------
    Sizes, and the bytes that the linker script sets apart for the stack.

    Raises
    ------
    InputError
        If there is no linker script for the board.
    ToolError
        If the cross compiler is missing or fails.
    """
    script = toolchain.firmware_dir() / "board" / f"{board}.ld"
    if not script.exists():
        raise InputError(f"no linker script for board {board!r}", do="Use a board that has one.")
    more = sorted((toolchain.firmware_dir() / "kernels" / "nets").glob("*.c"))
    elf = toolchain.build(
        [*more, *kernel_sources()],
        linker_script=script,
        flags=FLAGS,
        include=kernel_includes(),
        keep=sorted(functions),
    )
    image = Image.load(elf)
    kernels: dict[str, int] = {}
    libraries: dict[str, int] = {}
    for symbol in image.functions:
        line = image.line_at(symbol.address)
        own = line is not None and "/kernels/" in line.file
        (kernels if own else libraries)[symbol.name] = symbol.size_bytes
    flash_bytes = sum(len(segment.data) for segment in image.segments)
    named = sum(kernels.values()) + sum(libraries.values())
    stack = image.symbol(STACK_SYMBOL).address if image.has_symbol(STACK_SYMBOL) else 0
    rest = max(flash_bytes - named, 0)
    return Code(kernels=kernels, libraries=libraries, rest_bytes=rest), stack


def memories(
    board: Board, flash_bytes: int, arena_bytes: int, stack_bytes: int
) -> tuple[Memory, ...]:
    """Compare needs with each memory of a board, and with neighbours taken together.

    The arena must lie in one piece; the stack may lie elsewhere, but counts where the arena takes
    all RAM there is.
    """
    regions = [r for r in board.regions if r.mapped and not r.alias_of]
    flash = [r for r in regions if r.kind == "flash"]
    ram = [r for r in regions if r.kind in ("dtcm", "sram") and r.writable]
    return (
        *_memories(flash, CODE, flash_bytes, flash_bytes),
        *_memories(ram, ACTIVATIONS, arena_bytes, arena_bytes + stack_bytes),
    )


def _memories(
    regions: Sequence[Region], purpose: str, each_bytes: int, together_bytes: int
) -> list[Memory]:
    """Return each region, then neighbours taken together."""
    runs: list[list[Region]] = []
    for region in regions:
        if runs and runs[-1][-1].end == region.start:
            runs[-1].append(region)
        else:
            runs.append([region])
    found: list[tuple[tuple[str, ...], int, int]] = [
        ((r.name,), r.size_bytes, each_bytes) for r in regions
    ]
    found += [
        (tuple(r.name for r in run), sum(r.size_bytes for r in run), together_bytes)
        for run in runs
        if len(run) > 1
    ]
    return [
        Memory(names=names, purpose=purpose, size_bytes=size, need_bytes=need)
        for names, size, need in found
    ]
