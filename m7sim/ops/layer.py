"""A layer: a shape with its weights and scaling, and what it computes by the NumPy model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.ops import reference, reference_s8
from m7sim.ops.quantization import (
    AddQuantization,
    Quantization,
    Requantization,
    SoftmaxQuantization,
)
from m7sim.ops.reference import Activations, Int8
from m7sim.ops.shapes import CONVOLUTIONS, MAX_SHIFT, WEIGHTED, Family, OpType, Shape


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
        One per output channel, else None; int8, and int32 in the s8 family.
    bias_shift, out_shift
        Left shift of the bias and right shift of the accumulator, 0 to 31 bits (q7 and q15).
    quantization
        Offsets and scales of the s8 family, else None.
    form
        Which kernel to use (`m7sim.ops.kernels.kernel_forms`); "" for the usual one.
    """

    name: str
    shape: Shape
    weights: Int8 | None = None
    bias: npt.NDArray[Any] | None = None
    bias_shift: int = 0
    out_shift: int = 0
    quantization: Quantization | None = None
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
        bias_type = np.int32 if self.shape.family is Family.S8 else np.int8
        for array, dtype in ((self.weights, np.int8), (self.bias, bias_type)):
            if array is not None and array.dtype != dtype:
                raise InputError(
                    f"layer {self.name}: {array.dtype} parameters, needed {np.dtype(dtype)}"
                )
        self._check_quantization()

    def _check_quantization(self) -> None:
        shape, quantization = self.shape, self.quantization
        needed: type[Quantization] | None = None
        if shape.family is Family.S8:
            kinds = {OpType.ADD: AddQuantization, OpType.SOFTMAX: SoftmaxQuantization}
            needed = kinds.get(shape.op, Requantization)
        if type(quantization) is not (needed or type(None)):
            raise InputError(
                f"layer {self.name}: {type(quantization).__name__} as quantization of an "
                f"operation that takes {needed.__name__ if needed else 'none'}"
            )
        if isinstance(quantization, Requantization) and shape.op in WEIGHTED:
            found = 0 if quantization.multiplier is None else quantization.multiplier.size
            wanted = shape.out_ch if shape.op in CONVOLUTIONS else 1
            if found != wanted:
                raise InputError(f"layer {self.name}: {found} multipliers, needed {wanted}")

    @property
    def requantization(self) -> Requantization:
        """The quantization of an s8 operation other than an addition or softmax."""
        assert isinstance(self.quantization, Requantization)  # checked at construction
        return self.quantization

    def forward(self, *inputs: Activations) -> Activations:
        """Compute the layer by the NumPy model.

        Parameters
        ----------
        *inputs
            ``shape.inputs`` arrays of ``shape.in_elements`` elements, reshaped to
            ``shape.in_shape``; int8, or int16 in the q15 family.

        Returns
        -------
        Activations of ``shape.out_shape``.

        Raises
        ------
        InputError
            If an input has another number of elements or another type.
        """
        shape = self.shape
        images = [image.reshape(shape.in_shape) for image in self.checked(*inputs)]
        if shape.family is Family.S8:
            return reference_s8.forward(
                shape, images, self.weights, self.bias, self.quantization
            ).reshape(shape.out_shape)
        image = images[0]
        if shape.op in WEIGHTED:
            out = self._weighted(image)
        elif shape.op is OpType.ADD:
            out = reference.add(image, images[1])
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

    def checked(self, *inputs: Activations) -> tuple[Activations, ...]:
        """Return the inputs, after checking their number, size and type."""
        shape = self.shape
        if len(inputs) != shape.inputs:
            raise InputError(f"layer {self.name}: {len(inputs)} inputs, needed {shape.inputs}")
        dtype = np.dtype(np.int16 if shape.family is Family.Q15 else np.int8)
        for x in inputs:
            if x.size != shape.in_elements:
                raise InputError(
                    f"layer {self.name}: input of {x.size} elements, needed {shape.in_shape}"
                )
            if x.dtype != dtype:
                raise InputError(f"layer {self.name}: input of {x.dtype}, needed {dtype}")
        return inputs

    def _weighted(self, image: Activations) -> Activations:
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
