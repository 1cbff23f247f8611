"""A network as a chain of layers, and its forward pass by the NumPy model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Int8


@dataclass(frozen=True, kw_only=True, eq=False)
class InputRule:
    """How pixels become the int8 input: ``clip((((pixel - mean) << left) + half) >> right)``.

    Attributes
    ----------
    mean
        Subtracted from the pixels; of the image's shape, or one value per channel.
    left_shift, right_shift
        Scaling; ``half`` is ``1 << (right_shift - 1)``, or 0 without a right shift.
    """

    mean: npt.NDArray[np.int64]
    left_shift: int = 0
    right_shift: int = 0

    def apply(self, pixels: npt.NDArray[np.uint8]) -> Int8:
        """Return the int8 input for an image of pixels ``[y, x, ch]``."""
        half = (1 << self.right_shift) >> 1
        centred = pixels.astype(np.int64) - self.mean
        scaled = ((centred << self.left_shift) + half) >> self.right_shift
        result: Int8 = np.clip(scaled, -128, 127).astype(np.int8)
        return result


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Layers run one after the other.

    Attributes
    ----------
    name
        Name in reports.
    origin
        Where the weights come from, for people: a file, or the seed that made them.
    seeded
        Whether the weights were made up from a seed (then the answers mean nothing).
    layers
        In order of execution.
    classes
        Names of the outputs.
    input_rule
        How pixels become the input; None if the file does not say.
    """

    name: str
    origin: str
    seeded: bool
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    input_rule: InputRule | None = None

    def __post_init__(self) -> None:
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.shape.out_elements != after.shape.in_elements:
                raise InputError(
                    f"{self.name}: {before.name} gives {before.shape.out_shape}, "
                    f"{after.name} takes {after.shape.in_shape}",
                    where=self.origin,
                )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.shape.macs for layer in self.layers)

    @property
    def ops(self) -> int:
        """Operations of one inference, all layers."""
        return sum(layer.shape.ops for layer in self.layers)

    @property
    def weights(self) -> int:
        """Number of weights (bytes), biases not counted."""
        return sum(layer.shape.weights for layer in self.layers)

    def forward(self, x: Int8) -> list[Int8]:
        """Compute every layer's output by the NumPy model, in order.

        Raises
        ------
        InputError
            If the input does not fit the first layer.
        """
        outputs = []
        for layer in self.layers:
            x = layer.forward(x)
            outputs.append(x)
        return outputs

    def answer(self, output: Int8) -> str:
        """Return the name of the class with the largest output (the first of equals)."""
        return self.classes[int(np.argmax(output))]
