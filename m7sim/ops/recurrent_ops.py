"""Registry of the recurrent layers.

It is used as `m7sim.ops.registry` is::

    from m7sim.ops import recurrent_ops

    op = recurrent_ops.get("lstm")                  # InputError with the names there are
    shape = op.shape(frames=49, in_len=10, cells=118)
    work = op.workload(shape, seed=0)               # the same bytes on every machine
    call = work.call("naive")                       # KernelCall; default the optimised form
    elf = recurrent_ops.elf()
    work.check(call)                                # after the call was made

They are apart from the other operations because their shapes are sequences: grids of
``m7sim characterize`` and the estimates drawn from them do not cover them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from m7sim.errors import InputError
from m7sim.ops import recurrent_layer
from m7sim.ops.recurrent import CellType, RecurrentShape
from m7sim.ops.recurrent_layer import FORMS, KERNELS, RecurrentWork
from m7sim.ops.recurrent_layer import kernel_elf as elf
from m7sim.ops.registry import Parameter

__all__ = ["OPS", "RecurrentOp", "elf", "get"]

_FRAMES = Parameter("frames", 16, 1, 4096, "length of the input sequence")
_IN_LEN = Parameter("in_len", 10, 1, 4096, "elements of one input vector")
_CELLS = Parameter("cells", 64, 1, 4096, "cells")
_OUT_LEN = Parameter("out_len", None, 1, 4096, "elements of one output (default half the cells)")
_OUT_FRAMES = Parameter("out_frames", 1, 1, 4096, "outputs: 1 (the last) or as many as frames")


@dataclass(frozen=True, kw_only=True)
class RecurrentOp:
    """A kind of recurrent layer; see `m7sim.ops.registry.Op`."""

    name: str
    type: CellType
    parameters: tuple[Parameter, ...]

    @property
    def kernels(self) -> Mapping[str, str]:
        """C function by variant, the usual one first."""
        return MappingProxyType(KERNELS[self.type])

    def shape(self, **values: int) -> RecurrentShape:
        """Make a shape; parameters that are not given have their defaults.

        Raises
        ------
        InputError
            If a parameter is unknown, out of range, or the shape impossible.
        """
        known = {p.name: p for p in self.parameters}
        for name, value in values.items():
            if name not in known:
                raise InputError(
                    f"{self.name} has no parameter {name!r}", do=f"Known: {', '.join(known)}."
                )
            low, high = known[name].minimum, known[name].maximum
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"{self.name}: {name} is {value}", do=f"Use {low} to {high}.")
        full = {p.name: p.default for p in self.parameters if p.default is not None} | values
        cells = full["cells"]
        projected = self.type is CellType.PROJECTED_LSTM
        full.setdefault("out_len", (cells + 1) // 2 if projected else cells)
        return RecurrentShape(op=self.type, **full)

    def parameters_of(self, shape: RecurrentShape) -> dict[str, int]:
        """Return all parameters of a shape, in the order of ``parameters``."""
        return {p.name: int(getattr(shape, p.name)) for p in self.parameters}

    def variants(self, shape: RecurrentShape) -> tuple[str, ...]:
        """Return the kernel variants that can run a shape: all, the usual one first."""
        return FORMS

    def workload(self, shape: RecurrentShape, *, seed: int = 0) -> RecurrentWork:
        """Make inputs, weights and shifts from a seed."""
        return recurrent_layer.make(shape, seed=seed)


def get(name: str) -> RecurrentOp:
    """Return a recurrent layer by name; InputError if there is none."""
    if name not in OPS:
        raise InputError(f"no recurrent layer {name!r}", do=f"Known: {', '.join(OPS)}.")
    return OPS[name]


def _op(name: str, kind: CellType, *more: Parameter) -> RecurrentOp:
    parameters = (_FRAMES, _IN_LEN, _CELLS, *more, _OUT_FRAMES)
    return RecurrentOp(name=name, type=kind, parameters=parameters)


OPS: Mapping[str, RecurrentOp] = MappingProxyType(
    {
        "lstm": _op("lstm", CellType.LSTM),
        "lstm_projected": _op("lstm_projected", CellType.PROJECTED_LSTM, _OUT_LEN),
        "gru": _op("gru", CellType.GRU),
    }
)
"""Recurrent layers by name."""
