"""The keyword-spotting networks: their layers, memory and work.

Counting is that of the paper they are from: 1 MAC is 2 Ops, a rectified output 1 Op more, an input
of the average pooling 1 Op, and a recurrent cell some elementwise Ops per frame. Memory is weights
and biases of one byte, and the largest number of bytes that are live at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from m7sim.errors import TableError
from m7sim.ops.recurrent import CellType, RecurrentShape
from m7sim.ops.reference import Pair
from m7sim.ops.shapes import OpType, Shape

SIZES = ("S", "M", "L")
KINDS = ("DNN", "CNN", "Basic LSTM", "LSTM", "GRU", "CRNN", "DS-CNN")
BYTES_PER_KB = 1000  # as in the paper
_SEPARABLE_KERNEL = (3, 3)

AnyShape = Shape | RecurrentShape


@dataclass(frozen=True, kw_only=True)
class Step:
    """One layer at work.

    Attributes
    ----------
    name
        Such as ``conv1`` or ``dw2``.
    live_bytes
        Activations in memory while it runs: its inputs, outputs and state, and what else is needed
        later. A rectifier works in place.
    elementwise_ops
        Operations of recurrent cells beside the matrices.
    """

    name: str
    shape: AnyShape
    live_bytes: int
    elementwise_ops: int = 0

    @property
    def weight_bytes(self) -> int:
        """Weights and biases."""
        return self.shape.weight_bytes + self.shape.bias_bytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.shape.macs

    @property
    def ops(self) -> int:
        """All operations."""
        return self.shape.ops + self.elementwise_ops


@dataclass(frozen=True, kw_only=True)
class Printed:
    """What is published of a network; ``ops_digit`` is the worth of the last digit of ``ops``."""

    accuracy_percent: float
    memory_kb: float
    ops: int
    ops_digit: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network by its steps in order of execution."""

    kind: str
    size: str
    steps: tuple[Step, ...]
    published: Printed | None = None

    @property
    def name(self) -> str:
        """Kind and size."""
        return f"{self.kind} {self.size}".strip()

    @cached_property
    def weight_bytes(self) -> int:
        """Weights and biases."""
        return sum(step.weight_bytes for step in self.steps)

    @cached_property
    def activation_bytes(self) -> int:
        """Largest activations that are live at once."""
        return max(step.live_bytes for step in self.steps)

    @property
    def memory_bytes(self) -> int:
        """Weights and activations."""
        return self.weight_bytes + self.activation_bytes

    @property
    def activation_percent(self) -> float:
        """Share of the activations in the memory."""
        return 100 * self.activation_bytes / self.memory_bytes

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(step.macs for step in self.steps)

    @cached_property
    def ops(self) -> int:
        """Operations of one inference."""
        return sum(step.ops for step in self.steps)


@dataclass(frozen=True, kw_only=True)
class Marked:
    """The networks that a published figure shows, and the range of their activations in %."""

    models: tuple[Model, ...]
    low_percent: float
    high_percent: float


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Networks of a file, with where they are from; ``marked`` are those of figure 5."""

    models: tuple[Model, ...]
    source: str
    published_source: str
    marked: Marked

    def find(self, kind: str, size: str) -> Model:
        """Return a network; KeyError if there is none."""
        for model in self.models:
            if (model.kind, model.size) == (kind, size):
                return model
        raise KeyError(f"{kind} {size}")


@cache
def hello_edge() -> Collection:
    """Return the 21 networks of arXiv 1711.07128."""
    path = Path(__file__).parent / "hello_edge.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    counts = table["elementwise"]
    models = []
    for entry in table["model"]:
        builder = _Builder(entry["frames"], table["coefficients"], counts, where=path.name)
        for layer in entry["layers"]:
            builder.add(layer)
        models.append(
            Model(
                kind=entry["kind"],
                size=entry["size"],
                steps=builder.finish(table["classes"]),
                published=Printed(**entry["published"]),
            )
        )
    figure = table["figure_5"]
    chosen = tuple(m for m in models if m.kind in figure["kinds"] and m.size == figure["size"])
    return Collection(
        models=tuple(models),
        source=table["source"],
        published_source=table["published_source"],
        marked=Marked(
            models=chosen,
            low_percent=figure["low_percent"],
            high_percent=figure["high_percent"],
        ),
    )


def ds_cnn(
    *, layers: int, features: int, first_stride: Pair, second_stride: Pair, name: str,
    frames: int = 49, coefficients: int = 10, classes: int = 12,
) -> Model:  # fmt: skip
    """Make a network of a convolution and ``layers - 1`` separable ones, all of equal features.

    Parameters
    ----------
    first_stride, second_stride
        Of the first convolution and of the first separable one, ``(time, frequency)``.
    """
    builder = _Builder(frames, coefficients, {}, where=name)
    builder.add({"conv": features, "kernel": [10, 4], "stride": first_stride, "padding": "same"})
    for number in range(layers - 1):
        builder.add({"separable": features, "stride": (1, 1) if number else second_stride})
    builder.add({"pool": "average"})
    return Model(kind=name, size="", steps=builder.finish(classes))


class _Builder:
    """Layers one after the other, each on the output of the last."""

    def __init__(
        self, frames: int, coefficients: int, elementwise: Mapping[str, Any], *, where: str
    ) -> None:
        self.image = (frames, coefficients, 1)
        self.elementwise = elementwise
        self.where = where
        self.steps: list[Step] = []
        self.numbers: dict[str, int] = {}
        self.cells: list[RecurrentShape] = []

    @property
    def length(self) -> int:
        """Number of elements of the last output."""
        y, x, channels = self.image
        return y * x * channels

    def add(self, layer: Mapping[str, Any]) -> None:
        """Add a layer of the file."""
        if not {"lstm", "gru"} & layer.keys():
            self._end_of_cells()
        match layer:
            case {"conv": features, "kernel": kernel, "stride": stride, "padding": padding}:
                self._conv(features, kernel, stride, same=padding == "same")
            case {"separable": features, "stride": stride}:
                self._separable(features, stride)
            case {"fc": units}:
                self._fc(units, rectify=True)
            case {"linear": units}:
                self._fc(units, rectify=False)
            case {"lstm": cells}:
                self._recurrent("lstm", cells, layer.get("projection", 0))
            case {"gru": cells}:
                self._recurrent("gru", cells, 0)
            case {"pool": "average"}:
                size = (self.image[0], self.image[1])
                shape = Shape.pool(
                    OpType.AVE_POOL, size, self.image[2], kernel=size, stride=size
                )  # fmt: skip
                self._plain("pool", shape)
            case _:
                raise TableError(f"no such layer: {dict(layer)}", where=self.where)

    def finish(self, classes: int) -> tuple[Step, ...]:
        """Return the steps, after adding the output layer."""
        self._end_of_cells()
        self._fc(classes, rectify=False, name="output")
        return tuple(self.steps)

    def _named(self, stem: str) -> str:
        self.numbers[stem] = self.numbers.get(stem, 0) + 1
        return f"{stem}{self.numbers[stem]}"

    def _plain(self, name: str, shape: Shape) -> None:
        """Add a step whose live data are its input and output."""
        self.steps.append(Step(name=name, shape=shape, live_bytes=shape.in_bytes + shape.out_bytes))
        self.image = shape.out_shape

    def _rectified(self, name: str, shape: Shape) -> None:
        self._plain(name, shape)
        relu = Shape.relu((shape.out_y, shape.out_x), shape.out_ch)
        self.steps.append(Step(name=f"{name} relu", shape=relu, live_bytes=relu.out_bytes))

    def _conv(self, features: int, kernel: Sequence[int], stride: Sequence[int], *, same: bool
              ) -> None:  # fmt: skip
        size = (self.image[0], self.image[1])
        pad, out = _same(size, kernel, stride) if same else ((0, 0), None)
        shape = Shape.conv(
            size, self.image[2], features, kernel=_pair(kernel), stride=_pair(stride),
            pad=pad, out_size=out,
        )  # fmt: skip
        self._rectified(self._named("conv"), shape)

    def _separable(self, features: int, stride: Sequence[int]) -> None:
        size = (self.image[0], self.image[1])
        pad, out = _same(size, _SEPARABLE_KERNEL, stride)
        depthwise = Shape.depthwise(
            size, self.image[2], kernel=_SEPARABLE_KERNEL, stride=_pair(stride), pad=pad,
            out_size=out,
        )  # fmt: skip
        self._rectified(self._named("dw"), depthwise)
        size = (self.image[0], self.image[1])
        self._rectified(
            self._named("pw"), Shape.conv(size, self.image[2], features, kernel=(1, 1))
        )  # fmt: skip

    def _fc(self, units: int, *, rectify: bool, name: str = "") -> None:
        shape = Shape.fully_connected(self.length, units)
        (self._rectified if rectify else self._plain)(name or self._named("fc"), shape)

    def _recurrent(self, kind: str, cells: int, projection: int) -> None:
        op = CellType.GRU if kind == "gru" else CellType.LSTM
        frames, in_len = self.image[0], self.image[1] * self.image[2]
        if projection:
            op = CellType.PROJECTED_LSTM
        if self.cells:  # the one before hands over every frame
            self.cells[-1] = RecurrentShape(**{**vars(self.cells[-1]), "out_frames": frames})
        self.cells.append(
            RecurrentShape(
                op=op, frames=frames, in_len=in_len, cells=cells, out_len=projection or cells
            )
        )
        self.image = (frames, 1, projection or cells)

    def _end_of_cells(self) -> None:
        """Add the recurrent layers met since; they run frame by frame, one behind the other.

        Live are the whole input sequence, the gates of the layer that runs, the outputs of its
        cells before a projection, and the states of the other layers.
        """
        if not self.cells:
            return
        in_bytes = self.cells[0].in_bytes
        for shape in self.cells:
            others = sum(other.cells for other in self.cells if other is not shape)
            unprojected = shape.cells if shape.op is CellType.PROJECTED_LSTM else 0
            key = shape.op.value.replace(" ", "_")
            self.steps.append(
                Step(
                    name=self._named(shape.op.value.split()[-1]),
                    shape=shape,
                    live_bytes=in_bytes + shape.gate_rows + unprojected + others,
                    elementwise_ops=self.elementwise[key] * shape.cells * shape.frames,
                )
            )
        self.image = (1, 1, self.cells[-1].out_len)
        self.cells = []


def _pair(sides: Sequence[int]) -> Pair:
    return sides[0], sides[1]


def _same(size: Pair, kernel: Sequence[int], stride: Sequence[int]) -> tuple[Pair, Pair]:
    """Return padding in front and output size: as many windows as strides begin in the image."""
    pads, outs = [], []
    for n, k, s in zip(size, kernel, stride, strict=True):
        out = -(-n // s)
        pads.append(max((out - 1) * s + k - n, 0) // 2)
        outs.append(out)
    return _pair(pads), _pair(outs)
