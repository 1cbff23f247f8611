"""Recurrent layers with weights: what they compute, how their kernels are called, seeded ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from m7sim import toolchain
from m7sim.errors import InputError
from m7sim.ops import kernels, reference_recurrent
from m7sim.ops.calls import Argument, KernelCall
from m7sim.ops.kernels import NAIVE, OPTIMISED
from m7sim.ops.recurrent import GATES, PEEPHOLES, CellType, RecurrentShape
from m7sim.ops.reference import Activations, Int8
from m7sim.ops.shapes import MAX_SHIFT
from m7sim.ops.stream import Stream

KERNELS: dict[CellType, dict[str, str]] = {
    CellType.LSTM: {OPTIMISED: "m7nn_lstm", NAIVE: "m7nn_lstm_naive"},
    CellType.PROJECTED_LSTM: {
        OPTIMISED: "m7nn_lstm_projected",
        NAIVE: "m7nn_lstm_projected_naive",
    },
    CellType.GRU: {OPTIMISED: "m7nn_gru", NAIVE: "m7nn_gru_naive"},
}
"""C functions by cell and form, the usual one first."""

FORMS = (OPTIMISED, NAIVE)
PEEPHOLE_SHIFT = 5  # of seeded layers: weights of -4 to 4
TYPICAL = 45.0  # standard deviation of inputs, in steps of int8
_WEIGHT = 40.0  # and of weights
_GATE = 4096.0  # and of gates: 1, which is where sigmoid and tanh are neither flat nor straight


@dataclass(frozen=True, kw_only=True, eq=False)
class RecurrentLayer:
    """A recurrent step of a network.

    Attributes
    ----------
    weights, bias
        int8, ``[gate_rows, joined_len]`` and ``[gate_rows]``; rows i, g, f, o or r, z, n.
    bias_shift, out_shift
        Left shift of the bias, right shift to gates with 12 bits behind the point.
    peepholes, projection
        int8, ``[3, cells]`` and ``[out_len, cells]``; of a projected LSTM, else None.
    form
        Kernel; default the usual one.
    """

    name: str
    shape: RecurrentShape
    weights: Int8
    bias: Int8
    bias_shift: int
    out_shift: int
    peepholes: Int8 | None = None
    peephole_shift: int = 0
    projection: Int8 | None = None
    projection_shift: int = 0
    form: str = OPTIMISED

    def __post_init__(self) -> None:
        shape = self.shape
        projected = shape.op is CellType.PROJECTED_LSTM
        wanted: dict[str, tuple[Int8 | None, tuple[int, ...] | None]] = {
            "weights": (self.weights, (shape.gate_rows, shape.joined_len)),
            "bias": (self.bias, (shape.gate_rows,)),
            "peepholes": (self.peepholes, (PEEPHOLES, shape.cells) if projected else None),
            "projection": (self.projection, (shape.out_len, shape.cells) if projected else None),
        }
        for what, (array, needed) in wanted.items():
            found = None if array is None else array.shape
            if found != needed or (array is not None and array.dtype != np.int8):
                raise InputError(
                    f"layer {self.name}: {what} of shape {found}, needed int8 {needed}"
                )
        shifts = (self.bias_shift, self.out_shift, self.peephole_shift, self.projection_shift)
        if not all(0 <= shift <= MAX_SHIFT for shift in shifts):
            raise InputError(f"layer {self.name}: a shift outside 0 to {MAX_SHIFT}")

    @property
    def type(self) -> str:
        """Name of the kind of operation, for people."""
        return self.shape.op.value

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return self.shape.macs

    @property
    def ops(self) -> int:
        """Operations of one run, elementwise ones not counted."""
        return self.shape.ops

    @property
    def weight_bytes(self) -> int:
        """Weights and biases, without the tables of sigmoid and tanh."""
        return self.shape.weight_bytes + self.shape.bias_bytes

    @property
    def scratch_bytes(self) -> int:
        """Size of the kernel's buffer, states included."""
        return np.dtype(np.int16).itemsize * buffer_elements(self.shape)

    @property
    def function(self) -> str:
        """The C function."""
        return KERNELS[self.shape.op][self.form]

    def forward(self, *inputs: Activations) -> Activations:
        """Compute the layer by the NumPy model.

        Returns
        -------
        Outputs of ``shape.out_shape``: of all frames, or of the last.
        """
        frames = self._checked(*inputs).reshape(self.shape.frames, self.shape.in_len)
        shifts = {"bias_shift": self.bias_shift, "out_shift": self.out_shift}
        if self.shape.op is CellType.GRU:
            outputs = reference_recurrent.gru(frames, self.weights, self.bias, **shifts)
        else:
            outputs = reference_recurrent.lstm(
                frames,
                self.weights,
                self.bias,
                **shifts,
                peepholes=self.peepholes,
                peephole_shift=self.peephole_shift,
                projection=self.projection,
                projection_shift=self.projection_shift,
            )
        return outputs[-self.shape.out_frames :].reshape(self.shape.out_shape)

    def prepare(self, *inputs: Activations, form: str = "") -> KernelCall:
        """Lay out the C call that computes the layer, on a copy of its one input.

        Raises
        ------
        InputError
            If there is no such form, or the input has another size or type.
        """
        shape, chosen = self.shape, form or self.form
        if chosen not in FORMS:
            raise InputError(
                f"layer {self.name} ({shape.op.value}) has no kernel of form {chosen!r}",
                do=f"Use one of: {', '.join(FORMS)}.",
            )
        out = np.zeros(shape.out_shape, np.int8)
        start: dict[str, Argument] = {
            "in": self._checked(*inputs).reshape(shape.in_shape).copy(),
            "frames": shape.frames,
            "in_len": shape.in_len,
            "cells": shape.cells,
        }
        weights: dict[str, Argument] = {
            "weights": np.ascontiguousarray(self.weights),
            "bias": np.ascontiguousarray(self.bias),
            "bias_shift": self.bias_shift,
            "out_shift": self.out_shift,
        }
        if self.peepholes is not None and self.projection is not None:
            start["out_len"] = shape.out_len
            weights |= {
                "peepholes": np.ascontiguousarray(self.peepholes),
                "peephole_shift": self.peephole_shift,
                "projection": np.ascontiguousarray(self.projection),
                "projection_shift": self.projection_shift,
            }
        end: dict[str, Argument] = {
            "out": out,
            "out_frames": shape.out_frames,
            "buffer": np.zeros(buffer_elements(shape), np.int16),
        }
        return KernelCall(
            function=KERNELS[shape.op][chosen],
            parameters=start | weights | end,
            output=out,
            returns_status=True,
        )

    def _checked(self, *inputs: Activations) -> Activations:
        if len(inputs) != 1:
            raise InputError(f"layer {self.name}: {len(inputs)} inputs, needed 1")
        x = inputs[0]
        if x.size != self.shape.in_elements or x.dtype != np.int8:
            raise InputError(
                f"layer {self.name}: input of {x.size} elements of {x.dtype}, needed int8 "
                f"{self.shape.in_shape}"
            )
        return x


@dataclass(frozen=True, kw_only=True, eq=False)
class RecurrentWork:
    """A recurrent layer with an input, from a seed."""

    layer: RecurrentLayer
    input: Int8
    seed: int

    @property
    def shape(self) -> RecurrentShape:
        """Cells and sizes."""
        return self.layer.shape

    @cached_property
    def expected(self) -> Activations:
        """The right output, by the NumPy model."""
        return self.layer.forward(self.input)

    def call(self, variant: str = "") -> KernelCall:
        """Lay out the call of a kernel variant."""
        return self.layer.prepare(self.input, form=variant)

    def check(self, call: KernelCall) -> bool:
        """Return whether a call that was made has written the right output."""
        return bool(np.array_equal(call.output, self.expected))


def make(shape: RecurrentShape, *, seed: int = 0, name: str = "") -> RecurrentWork:
    """Make the work for a shape; the same seed gives the same bytes on every machine."""
    stream = Stream(seed)
    x = stream.normal(shape.in_elements, TYPICAL).reshape(shape.in_shape)
    spread = float(np.sqrt(shape.joined_len)) * TYPICAL
    out_shift = max(round(float(np.log2(spread * _WEIGHT / _GATE))), 0)
    weights = stream.normal(shape.gate_weights, min(_GATE * 2**out_shift / spread, _WEIGHT))
    bias = stream.normal(shape.gate_rows, 12.0)
    extra: dict[str, Int8 | int] = {}
    if shape.op is CellType.PROJECTED_LSTM:
        total = float(np.sqrt(shape.cells)) * TYPICAL
        projection_shift = max(int(total * _WEIGHT / TYPICAL).bit_length() - 1, 0)
        deviation = TYPICAL * 2**projection_shift / total
        extra = {
            "peepholes": stream.normal(shape.peephole_weights, 12.0).reshape(PEEPHOLES, -1),
            "peephole_shift": PEEPHOLE_SHIFT,
            "projection": stream.normal(shape.projection_weights, deviation).reshape(
                shape.out_len, shape.cells
            ),
            "projection_shift": projection_shift,
        }
    layer = RecurrentLayer(
        name=name or shape.op.value,
        shape=shape,
        weights=weights.reshape(shape.gate_rows, shape.joined_len),
        bias=bias,
        bias_shift=out_shift + 5,
        out_shift=out_shift,
        **extra,  # type: ignore[arg-type]
    )
    return RecurrentWork(layer=layer, input=x, seed=seed)


def buffer_elements(shape: RecurrentShape) -> int:
    """Return the size of the kernel's buffer in int16 elements, as the C header has it."""
    total = _joined(shape.joined_len) + _even(GATES[shape.op] * shape.cells) + _even(shape.cells)
    if shape.op is CellType.PROJECTED_LSTM:
        total += _joined(shape.cells) + _even(shape.out_len)
    return total


def _even(count: int) -> int:
    return (count + 1) // 2 * 2


def _joined(length: int) -> int:
    return _even((length + 1) // 2) + _even(length)


def kernel_names() -> list[str]:
    """Return the names of the recurrent kernels."""
    return sorted(name for forms in KERNELS.values() for name in forms.values())


def kernel_elf(*, cflags: tuple[str, ...] = (), board: str = kernels.BOARD) -> Path:
    """Build the recurrent kernels into an ELF of their own, or return the one built before.

    Networks link what they call; measurements of the other kernels belong to an ELF without these.

    Raises
    ------
    ToolError
        If the cross compiler is missing or fails.
    """
    firmware = toolchain.firmware_dir()
    return toolchain.build(
        [*kernels.kernel_sources(), *sorted((firmware / "kernels" / "nets").glob("*.c"))],
        linker_script=firmware / "board" / f"{board}.ld",
        flags=(*kernels.FLAGS, *cflags),
        include=kernels.kernel_includes(),
        keep=kernel_names(),
    )
