"""Libraries of kernels: ours, and those that a manifest describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from m7sim import toolchain
from m7sim.board import Board
from m7sim.characterize.call import Call, Held, Ref, Value
from m7sim.characterize.placement import ACTIVATIONS, SCRATCH, WEIGHTS, Placement
from m7sim.ops import calls, kernels
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Activations
from m7sim.ops.shapes import Shape

OURS = "ours"


class Library(Protocol):
    """Kernels that can be built, and called for a workload. Picklable: workers get a copy."""

    @property
    def name(self) -> str:
        """Short name, for the table."""
        ...

    def variants(self, shape: Shape) -> Mapping[str, str]:
        """Return every form of kernel for a shape's operation and why it cannot run the shape.

        The reason is "" where the form can.
        """
        ...

    def build(
        self,
        board: Board,
        placement: Placement,
        cflags: tuple[str, ...],
        keep: Sequence[str] = (),
    ) -> Path:
        """Compile and link for a board, all kernels or those named; ToolError if that fails."""
        ...

    def functions(self, shape: Shape, variant: str) -> Sequence[str]:
        """Return the functions that a call of a variant needs."""
        ...

    def call(self, layer: Layer, inputs: Sequence[Activations], variant: str) -> Call:
        """Lay out the call that computes a layer by a variant."""
        ...

    def digest(self, shape: Shape, variant: str) -> str:
        """Return a hash of what, besides ELF and workload, decides about a call."""
        ...


class Ours:
    """The kernels of ``firmware/kernels/nn``."""

    name = OURS

    def variants(self, shape: Shape) -> Mapping[str, str]:
        """Return forms and obstacles."""
        return kernels.form_obstacles(shape)

    def build(
        self,
        board: Board,
        placement: Placement,
        cflags: tuple[str, ...],
        keep: Sequence[str] = (),
    ) -> Path:
        """Build all kernels or some."""
        return toolchain.build(
            kernels.kernel_sources(),
            linker_script=placement.linker_script(board),
            flags=(*kernels.FLAGS, *cflags),
            include=kernels.kernel_includes(),
            keep=list(keep) or kernels.kernel_names(),
        )

    def functions(self, shape: Shape, variant: str) -> Sequence[str]:
        """Return the kernel's name."""
        return [kernels.KERNELS[shape.family, shape.op][variant]]

    def call(self, layer: Layer, inputs: Sequence[Activations], variant: str) -> Call:
        """Lay out a call as `m7sim.ops.calls` does."""
        made = calls.prepare(layer, *inputs, form=variant)
        arguments: list[Value] = []
        arrays: dict[str, Held] = {}
        output = ""
        for name, given in made.parameters.items():
            if not isinstance(given, np.ndarray):
                arguments.append(given)
                continue
            arrays[name] = Held(given, _group(name))
            arguments.append(Ref(name))
            if given is made.output:
                output = name
        return Call(
            function=made.function,
            arguments=arguments,
            arrays=arrays,
            output=output,
            returns=kernels.OK if made.returns_status else None,
        )

    def digest(self, shape: Shape, variant: str) -> str:
        """Return nothing: the package's own sources are in the version of the model."""
        return ""


def _group(parameter: str) -> str:
    if parameter in calls.CONSTANTS:
        return WEIGHTS
    return SCRATCH if parameter in calls.SCRATCH else ACTIVATIONS


def find(name: str) -> Library:
    """Return the library ``ours``, or the one whose manifest is at a path.

    Raises
    ------
    InputError
        If there is no such file.
    TableError
        If the manifest breaks its schema.
    """
    if name == OURS:
        return Ours()
    from m7sim.characterize.manifest import Manifest

    return Manifest.load(name)
