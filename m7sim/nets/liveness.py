"""Which buffers live when: all that a memory plan needs to know of a network.

The rule is that of the paper: while a step runs, memory holds its inputs, its outputs and every
other tensor that is still needed later. It follows from the graph and the order of its steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError

Kind = Literal["tensor", "scratch", "copy"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operation, by the activations it touches (weights are no activations).

    Attributes
    ----------
    name
        Name in reports.
    inputs, outputs
        Names of tensors.
    scratch_bytes
        Buffer that the kernel works in.
    view
        The first output is the first input under another shape: nothing moves.
    in_place
        The first output is written over the first input, if that is not needed any more.
    destroys
        The kernel overwrites its first input while it works; if that is needed later, the step
        works on a copy.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scratch_bytes: int = 0
    view: bool = False
    in_place: bool = False
    destroys: bool = False


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Activations of a network and the steps between them, in the order of execution.

    Attributes
    ----------
    name
        Name in reports.
    sizes_bytes
        Of every tensor, by name.
    steps
        In the order of execution.
    inputs, outputs
        Tensors that come from outside (they live from the start) and that must outlast the end.
    """

    name: str
    sizes_bytes: Mapping[str, int]
    steps: tuple[Step, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise InputError(f"{self.name}: no steps")
        made = set(self.inputs)
        for step in self.steps:
            for tensor in step.inputs:
                if tensor not in made:
                    raise InputError(
                        f"{self.name}: {step.name} reads {tensor!r} before it is made",
                        do="Order the steps, and name the network's inputs.",
                    )
            for tensor in step.outputs:
                if tensor in made:
                    raise InputError(f"{self.name}: {tensor!r} is made twice", where=step.name)
                made.add(tensor)
            if step.view and not (step.inputs and step.outputs):
                raise InputError(f"{self.name}: {step.name} is a view of nothing")
        for tensor in (*made, *self.outputs):
            if tensor not in made:
                raise InputError(f"{self.name}: output {tensor!r} is never made")
            if self.sizes_bytes.get(tensor, -1) < 0:
                raise InputError(f"{self.name}: tensor {tensor!r} has no size")

    def reordered(self, order: Sequence[int]) -> Flow:
        """Return the flow with its steps in another order.

        Raises
        ------
        InputError
            If the order is none, or a step reads what is not made yet.
        """
        if sorted(order) != list(range(len(self.steps))):
            raise InputError(f"{self.name}: {list(order)} is not an order of its steps")
        return replace(self, steps=tuple(self.steps[i] for i in order))

    @cached_property
    def storage(self) -> dict[str, str]:
        """Tensor to the tensor whose bytes it shows: itself, or through views the first one."""
        root: dict[str, str] = {name: name for name in self.inputs}
        for step in self.steps:
            for number, tensor in enumerate(step.outputs):
                viewed = step.view and number == 0
                root[tensor] = root[step.inputs[0]] if viewed else tensor
        return root


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """A stretch of memory and the steps in which it is taken.

    Attributes
    ----------
    name
        Of the first tensor in it, or of the step whose scratch it is.
    tensors
        All that share it, one after the other or as views.
    size_bytes
        Without alignment.
    first_step, last_step
        Inclusive.
    kind
        ``tensor``; ``scratch`` of a kernel; ``copy`` of an input that a kernel destroys.
    """

    name: str
    tensors: tuple[str, ...]
    size_bytes: int
    first_step: int
    last_step: int
    kind: Kind = "tensor"

    def meets(self, other: Buffer) -> bool:
        """Return whether both are taken in some step."""
        return self.first_step <= other.last_step and other.first_step <= self.last_step


def buffers(flow: Flow, *, scratch: bool = True) -> tuple[Buffer, ...]:
    """Return the buffers of a flow, in the order in which they come to life.

    Parameters
    ----------
    scratch
        Whether the kernels' scratch buffers and copies are among them.

    Notes
    -----
    A graph input that nothing reads takes no memory: nobody has to keep it.
    """
    first, last = _lifetimes(flow)
    end = len(flow.steps)
    owner = {name: name for name in first}
    extra: list[Buffer] = []
    for at, step in enumerate(flow.steps):
        if step.scratch_bytes:
            extra.append(_single(step.name, step.scratch_bytes, at, "scratch"))
        if not step.inputs:
            continue
        held = owner[flow.storage[step.inputs[0]]]
        dies = last[held] == at
        if step.in_place and not step.view and step.outputs and dies:
            new = flow.storage[step.outputs[0]]
            if flow.sizes_bytes[new] == flow.sizes_bytes[held]:
                owner[new] = held
                last[held] = last[new]
        elif step.destroys and not dies:
            extra.append(_single(step.inputs[0], flow.sizes_bytes[held], at, "copy"))
    members: dict[str, list[str]] = {}
    for tensor, root in flow.storage.items():
        if root in owner:
            members.setdefault(owner[root], []).append(tensor)
    found = [
        Buffer(
            name=name,
            tensors=tuple(tensors),
            size_bytes=flow.sizes_bytes[name],
            first_step=first[name],
            last_step=min(last[name], end - 1),
        )
        for name, tensors in members.items()
        if flow.sizes_bytes[name]
    ]
    found += extra if scratch else []
    return tuple(sorted(found, key=lambda b: (b.first_step, b.kind != "tensor", b.name)))


def occupancy(found: Iterable[Buffer], steps: int, *, alignment: int = 1) -> npt.NDArray[np.int64]:
    """Return the bytes taken in each step, sizes rounded up to a multiple of ``alignment``."""
    taken = np.zeros(steps, dtype=np.int64)
    for buffer in found:
        taken[buffer.first_step : buffer.last_step + 1] += align(buffer.size_bytes, alignment)
    return taken


def align(size_bytes: int, alignment: int) -> int:
    """Round up to a multiple."""
    return -(-size_bytes // alignment) * alignment


def peak_bytes(flow: Flow, *, scratch: bool = False) -> int:
    """Return the maximum of concurrent activations (paper, section 3), in bytes."""
    return int(occupancy(buffers(flow, scratch=scratch), len(flow.steps)).max())


def _single(name: str, size_bytes: int, step: int, kind: Kind) -> Buffer:
    return Buffer(
        name=name, tensors=(), size_bytes=size_bytes, first_step=step, last_step=step, kind=kind
    )


def _lifetimes(flow: Flow) -> tuple[dict[str, int], dict[str, int]]:
    """Return first and last step by storage; the last one is behind the end for outputs."""
    storage, end = flow.storage, len(flow.steps)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for at, step in enumerate(flow.steps):
        for tensor in step.inputs:
            root = storage[tensor]
            first.setdefault(root, 0)  # made by no step so far: an input
            last[root] = at
        for tensor in step.outputs:
            if storage[tensor] == tensor:
                first[tensor] = last[tensor] = at
    for tensor in flow.outputs:
        first.setdefault(storage[tensor], 0)
        last[storage[tensor]] = end
    return first, last
