"""Recurrent layers: their sizes and work.

A layer takes a sequence of vectors and runs its cells once for each. Gates are products of the
vector joined with the last output, by rows of weights; the rest is elementwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from m7sim.errors import InputError


class CellType(StrEnum):
    """What the cells compute; the value is the name shown to people."""

    LSTM = "lstm"
    PROJECTED_LSTM = "projected lstm"
    """with peepholes, and a matrix that maps the outputs of the cells to fewer"""
    GRU = "gru"


GATES = {CellType.LSTM: 4, CellType.PROJECTED_LSTM: 4, CellType.GRU: 3}
PEEPHOLES = 3
MACS_TO_OPS = 2


@dataclass(frozen=True, kw_only=True)
class RecurrentShape:
    """A recurrent layer with its sizes.

    Attributes
    ----------
    op
        What the cells compute.
    frames
        Length of the input sequence.
    in_len
        Elements of one input vector.
    cells
        Number of cells.
    out_len
        Elements of one output vector: ``cells``, or what the projection gives.
    out_frames
        ``frames``, or 1: the last output only.
    """

    op: CellType
    frames: int
    in_len: int
    cells: int
    out_len: int
    out_frames: int = 1

    def __post_init__(self) -> None:
        if min(self.frames, self.in_len, self.cells, self.out_len) < 1:
            raise InputError(f"a size below 1 in {self}")
        if self.op is not CellType.PROJECTED_LSTM and self.out_len != self.cells:
            raise InputError(
                f"{self.out_len} outputs of {self.cells} cells of type {self.op.value}",
                do="Only a projection has fewer outputs than cells.",
            )
        if self.out_frames not in (1, self.frames):
            raise InputError(f"{self.out_frames} outputs of {self.frames} frames")

    @property
    def gate_rows(self) -> int:
        """Rows of the matrix that makes the gates."""
        return GATES[self.op] * self.cells

    @property
    def joined_len(self) -> int:
        """Columns of that matrix: an input vector and the last output."""
        return self.in_len + self.out_len

    @property
    def gate_weights(self) -> int:
        """Weights of the gates."""
        return self.gate_rows * self.joined_len

    @property
    def peephole_weights(self) -> int:
        """Weights from cell states to gates, one each."""
        return PEEPHOLES * self.cells if self.op is CellType.PROJECTED_LSTM else 0

    @property
    def projection_weights(self) -> int:
        """Weights of the projection, which has no bias."""
        return self.cells * self.out_len if self.op is CellType.PROJECTED_LSTM else 0

    @property
    def weights(self) -> int:
        """All weights, biases not counted."""
        return self.gate_weights + self.peephole_weights + self.projection_weights

    @property
    def weight_bytes(self) -> int:
        """Size of the weights, one byte each."""
        return self.weights

    @property
    def bias_bytes(self) -> int:
        """Size of the biases, one byte for each row of the gates."""
        return self.gate_rows

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the matrices over all frames; peepholes are elementwise."""
        return self.frames * (self.gate_weights + self.projection_weights)

    @property
    def ops(self) -> int:
        """Operations of the matrices: 2 per MAC."""
        return MACS_TO_OPS * self.macs

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Input as an array shape, ``(frames, 1, in_len)``."""
        return self.frames, 1, self.in_len

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Output as an array shape."""
        return self.out_frames, 1, self.out_len

    @property
    def in_elements(self) -> int:
        """Number of input elements, all frames."""
        return self.frames * self.in_len

    @property
    def out_elements(self) -> int:
        """Number of output elements."""
        return self.out_frames * self.out_len

    @property
    def in_bytes(self) -> int:
        """Size of the input."""
        return self.in_elements

    @property
    def out_bytes(self) -> int:
        """Size of the output."""
        return self.out_elements

    @property
    def label(self) -> str:
        """Sizes in a few characters, such as ``49x10 118``: frames, inputs, cells, outputs."""
        projected = f"-{self.out_len}" if self.out_len != self.cells else ""
        return f"{self.frames}x{self.in_len} {self.cells}{projected}"
