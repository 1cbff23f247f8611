"""What a model file says, before it is known which of it our kernels can do.

Readers of file formats make a `RawModel`, in the vocabulary of TensorFlow Lite; `m7sim.nets.lower`
makes a graph of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from m7sim.errors import InputError
from m7sim.nets.graph import Array, TensorScale

MAX_FILE_BYTES = 64 << 20
MAX_TENSOR_BYTES = 64 << 20
MAX_COUNT = 20_000  # tensors, operators, or numbers in a small vector
MAX_NUMBERS = 300_000  # in all small vectors together
MAX_RANK = 8


@dataclass(frozen=True, kw_only=True)
class RawTensor:
    """A tensor of a file; ``data`` for constants; ``state`` is kept from one run to the next."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: TensorScale | None = None
    data: Array | None = None
    state: bool = False

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class RawOp:
    """An operator: ``CONV_2D`` and so on; indices of tensors, -1 for one that is left out."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RawModel:
    """A graph of a file; ``channels_first`` if its images were turned to channels last."""

    name: str
    origin: str
    tensors: tuple[RawTensor, ...]
    ops: tuple[RawOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    channels_first: bool = False

    def __post_init__(self) -> None:
        everything = [*self.inputs, *self.outputs]
        for op in self.ops:
            everything += [i for i in (*op.inputs, *op.outputs) if i != -1]
        for index in everything:
            if not 0 <= index < len(self.tensors):
                raise InputError(
                    f"an index of a tensor is {index}, there are {len(self.tensors)}",
                    where=self.origin,
                )


def check_shape(shape: tuple[int, ...], item_bytes: int, name: str) -> None:
    """Raise InputError for a shape that cannot be meant, before anything is made of its size."""
    size_bytes = item_bytes
    if len(shape) > MAX_RANK:
        raise InputError(f"tensor {name!r} has {len(shape)} dimensions")
    for side in shape:
        if side < 0:
            raise InputError(f"tensor {name!r} has a side of {side}")
        size_bytes *= max(side, 1)
        if size_bytes > MAX_TENSOR_BYTES:
            raise InputError(
                f"tensor {name!r} of shape {shape} is larger than {MAX_TENSOR_BYTES >> 20} MiB"
            )
