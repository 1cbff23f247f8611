"""Tensors of a graph: their shape, type and what their integers stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError

Array = npt.NDArray[Any]

ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "int32": 4, "int64": 8, "float32": 4}
)


@dataclass(frozen=True)
class TensorScale:
    """What the integers of a tensor stand for: ``scale * (integer - zero_point)``.

    Attributes
    ----------
    scales, zero_points
        One for the whole tensor, or one per channel along ``axis``.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    def __post_init__(self) -> None:
        if not self.scales or len(self.scales) != len(self.zero_points):
            raise InputError(
                f"{len(self.scales)} scales with {len(self.zero_points)} zero points in a tensor"
            )
        if not all(np.isfinite(scale) and scale > 0 for scale in self.scales):
            raise InputError("a scale of a tensor is not a positive number")

    @property
    def scale(self) -> float:
        """The first, and of an activation the only one."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The first, and of an activation the only one."""
        return self.zero_points[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """An array that a node makes or reads.

    Attributes
    ----------
    name
        Unique in the graph.
    shape
        As the file or builder says, the batch of 1 included: ``(1, y, x, ch)``.
    dtype
        A key of `ITEM_BYTES`.
    scale
        None for float32 and for tensors without.
    constant
        Weights, biases: lives in flash.
    data
        Contents of a constant where they are known.
    state
        Lives in RAM from the start to the end, over inferences: nobody makes it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: TensorScale | None = None
    constant: bool = False
    data: Array | None = field(default=None, repr=False)
    state: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in ITEM_BYTES:
            raise InputError(f"tensor {self.name}: elements of type {self.dtype!r}")
        if any(side < 1 for side in self.shape):
            raise InputError(f"tensor {self.name}: a side below 1 in its shape {self.shape}")
        if self.data is not None and (
            self.data.dtype != np.dtype(self.dtype) or self.data.shape != self.shape
        ):
            raise InputError(
                f"tensor {self.name}: data {self.data.dtype}{self.data.shape}, "
                f"declared {self.dtype}{self.shape}"
            )

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in memory, without alignment."""
        return self.elements * ITEM_BYTES[self.dtype]
