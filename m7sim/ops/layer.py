"""A layer: a shape with its shifts and weights, and what it computes by the NumPy model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from m7sim.errors import InputError
from m7sim.ops import reference
from m7sim.ops.reference import Int8
from m7sim.ops.shapes import CONVOLUTIONS, MAX_SHIFT, WEIGHTED, OpType, Shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One step of a network.

    Attributes
    ----------
    name
        Name in reports.
    shape
        Operation type and sizes.
    weights
        int8 in the shape ``shape.weight_shape`` (plain order, also for x4 kernels), else None.
    bias
        int8, one per output channel, else None.
    bias_shift, out_shift
        Left shift of the bias and right shift of the accumulator, 0 to 31 bits.
    form
        Which kernel to use (`m7sim.ops.kernels.kernel_forms`); "" for the usual one.
    """

    name: str
    shape: Shape
    weights: Int8 | None = None
    bias: Int8 | None = None
    bias_shift: int = 0
    out_shift: int = 0
    form: str = ""

    def __post_init__(self) -> None:
        expected = self.shape.weight_shape
        found = None if self.weights is None else self.weights.shape
        if found != expected:
            raise InputError(
                f"layer {self.name}: weights of shape {found}, needed {expected}",
                do="Reshape them to the plain order.",
            )
        biases = None if self.bias is None else self.bias.shape
        if biases != ((self.shape.out_ch,) if expected else None):
            raise InputError(f"layer {self.name}: bias of shape {biases}")
        if not (0 <= self.bias_shift <= MAX_SHIFT and 0 <= self.out_shift <= MAX_SHIFT):
            raise InputError(f"layer {self.name}: a shift outside 0 to {MAX_SHIFT}")
        for array in (self.weights, self.bias):
            if array is not None and array.dtype != np.int8:
                raise InputError(f"layer {self.name}: {array.dtype} parameters, needed int8")

    def forward(self, x: Int8) -> Int8:
        """Compute the layer by the NumPy model.

        Parameters
        ----------
        x
            int8 of ``shape.in_elements`` elements; reshaped to ``shape.in_shape``.

        Returns
        -------
        int8 of ``shape.out_shape``.

        Raises
        ------
        InputError
            If the input has another number of elements.
        """
        shape = self.shape
        if x.size != shape.in_elements:
            raise InputError(
                f"layer {self.name}: input of {x.size} elements, needed {shape.in_shape}"
            )
        image = x.reshape(shape.in_shape)
        if shape.op in WEIGHTED:
            out = self._weighted(image)
        elif shape.op is OpType.RELU:
            out = reference.relu(image)
        elif shape.op is OpType.SOFTMAX:
            out = reference.softmax(image)
        else:
            pool = reference.max_pool if shape.op is OpType.MAX_POOL else reference.ave_pool
            out = pool(
                image,
                kernel=shape.kernel,
                stride=shape.stride,
                pad=shape.pad,
                out_size=(shape.out_y, shape.out_x),
            )
        return out.reshape(shape.out_shape)

    def _weighted(self, image: Int8) -> Int8:
        shape = self.shape
        assert self.weights is not None  # checked with the shape at construction
        assert self.bias is not None
        if shape.op in CONVOLUTIONS:
            function = reference.depthwise if shape.op is OpType.DEPTHWISE else reference.conv
            return function(
                image,
                self.weights,
                self.bias,
                bias_shift=self.bias_shift,
                out_shift=self.out_shift,
                stride=shape.stride,
                pad=shape.pad,
                out_size=(shape.out_y, shape.out_x),
            )
        return reference.fully_connected(
            image, self.weights, self.bias, bias_shift=self.bias_shift, out_shift=self.out_shift
        )
