"""Graphs made in Python, a call per operation.

How to use it::

    net = Builder("DS-CNN-S")
    x = net.input((49, 10, 1))
    x = net.conv(x, 64, kernel=(10, 4), stride=2)
    for _ in range(4):
        x = net.depthwise(x, kernel=3)
        x = net.conv(x, 64, kernel=1)
    x = net.ave_pool(x)             # over the whole image
    x = net.softmax(net.fc(x, 12))
    graph = net.finish(x)           # a design; m7sim.nets.work.seeded(graph) can be run

Each call returns the name of the tensor that it makes. Padding is ``"same"`` (output size is input
size over stride, rounded up, as TensorFlow pads), ``"valid"`` (none) or a pair of zeros in front.
Rectifiers are part of the operation before them in the s8 family: only its clamp changes, so they
cost nothing; ``relu`` makes one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from m7sim.errors import InputError
from m7sim.nets.graph import OPAQUE, RESHAPE, Graph, Node, Tensor, Work
from m7sim.ops import registry
from m7sim.ops.shapes import Family, OpType, Shape

Pair = tuple[int, int]
Padding = str | int | Pair
SAME, VALID = "same", "valid"
STEMS = {
    OpType.CONV: "conv",
    OpType.POINTWISE: "pointwise",
    OpType.DEPTHWISE: "depthwise",
    OpType.FULLY_CONNECTED: "fc",
    OpType.MAX_POOL: "pool",
    OpType.AVE_POOL: "pool",
    OpType.RELU: "relu",
    OpType.ADD: "add",
    OpType.SOFTMAX: "softmax",
}
"""What nodes without a name are called, with a number behind it."""


def pair(value: int | Sequence[int], what: str = "a size") -> Pair:
    """Return ``(y, x)`` from one number or two."""
    sides = (value, value) if isinstance(value, int) else tuple(value)
    if len(sides) != 2 or not all(isinstance(n, int) for n in sides):
        raise InputError(f"{what} is {value!r}", do="Give one whole number or two: y, x.")
    return int(sides[0]), int(sides[1])


def padded(size: Pair, kernel: Pair, stride: Pair, padding: Padding) -> tuple[Pair, Pair]:
    """Return zeros in front and output size, each ``(y, x)``.

    Raises
    ------
    InputError
        If the padding has another name, or the window does not fit.
    """
    ends = []
    front = () if isinstance(padding, str) else pair(padding, "a padding")
    for axis, (side, window, step) in enumerate(zip(size, kernel, stride, strict=True)):
        if step < 1 or window < 1:
            raise InputError(f"a window of {window} with a stride of {step}")
        if padding == SAME:
            out = -(-side // step)
            ends.append((max((out - 1) * step + window - side, 0) // 2, out))
        elif padding == VALID:
            ends.append((0, (side - window) // step + 1))
        elif front:
            ends.append((front[axis], (side + 2 * front[axis] - window) // step + 1))
        else:
            raise InputError(f"padding {padding!r}", do="Use same, valid, or zeros in front: y, x.")
        if ends[-1][1] < 1:
            raise InputError(f"a window of {window} does not fit an image of {side}")
    return (ends[0][0], ends[1][0]), (ends[0][1], ends[1][1])


class Builder:
    """Makes a graph, an operation at a time, in order of execution."""

    def __init__(self, name: str, *, family: Family = Family.S8, origin: str = "") -> None:
        self.name, self.family, self.origin = name, family, origin
        self._tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []
        self._inputs: list[str] = []
        self._counts: dict[str, int] = {}

    def input(self, shape: Sequence[int], *, name: str = "") -> str:
        """Add an input of shape ``(y, x, ch)`` or ``(length,)``."""
        tensor = self._tensor(name or self._unique("input"), tuple(shape))
        self._inputs.append(tensor)
        return tensor

    def conv(
        self,
        x: str,
        out_ch: int,
        *,
        kernel: int | Pair = 3,
        stride: int | Pair = 1,
        padding: Padding = SAME,
        name: str = "",
    ) -> str:
        """Add a convolution."""
        size, ch = self._image(x)
        sides, step = pair(kernel), pair(stride)
        pad, out = padded(size, sides, step, padding)
        shape = Shape.conv(
            size, ch, out_ch, kernel=sides, stride=step, pad=pad, out_size=out, family=self.family
        )
        return self.add(shape, x, name=name)

    def depthwise(
        self,
        x: str,
        *,
        kernel: int | Pair = 3,
        stride: int | Pair = 1,
        padding: Padding = SAME,
        multiplier: int = 1,
        name: str = "",
    ) -> str:
        """Add a depthwise convolution."""
        size, ch = self._image(x)
        sides, step = pair(kernel), pair(stride)
        pad, out = padded(size, sides, step, padding)
        shape = Shape.depthwise(
            size, ch, kernel=sides, stride=step, pad=pad, out_size=out,
            multiplier=multiplier, family=self.family,
        )  # fmt: skip
        return self.add(shape, x, name=name)

    def fc(self, x: str, out_len: int, *, name: str = "") -> str:
        """Add a fully connected layer."""
        length = self._tensors[self._known(x)].elements
        return self.add(Shape.fully_connected(length, out_len, family=self.family), x, name=name)

    def max_pool(self, x: str, **window: int | Pair | Padding) -> str:
        """Add a maximum pooling; the window is that of `ave_pool`."""
        return self._pool(OpType.MAX_POOL, x, **window)  # type: ignore[arg-type]

    def ave_pool(self, x: str, **window: int | Pair | Padding) -> str:
        """Add an average pooling: ``kernel`` (default the whole image), ``stride``, ``padding``."""
        return self._pool(OpType.AVE_POOL, x, **window)  # type: ignore[arg-type]

    def relu(self, x: str, *, name: str = "") -> str:
        """Add a rectifier of its own."""
        return self._elementwise(OpType.RELU, (x,), name)

    def softmax(self, x: str, *, name: str = "") -> str:
        """Add a softmax over the channels."""
        return self._elementwise(OpType.SOFTMAX, (x,), name)

    def residual(self, x: str, y: str, *, name: str = "") -> str:
        """Add the sum of two tensors of one shape."""
        return self._elementwise(OpType.ADD, (x, y), name)

    def reshape(self, x: str, shape: Sequence[int], *, name: str = "") -> str:
        """Give a tensor another shape, without moving anything."""
        made = self._tensor(name or self._unique(RESHAPE), tuple(shape))
        self._nodes.append(Node(name=made, op=RESHAPE, inputs=(self._known(x),), outputs=(made,)))
        return made

    def opaque(self, inputs: Sequence[str], shape: Sequence[int], *, source: str) -> str:
        """Add an operation that only the memory planner knows: ``source`` is its name."""
        made = self._tensor(self._unique(source.lower()), tuple(shape))
        read = tuple(self._known(x) for x in inputs)
        self._nodes.append(Node(name=made, op=OPAQUE, inputs=read, outputs=(made,), source=source))
        return made

    def custom(
        self, work: Work, inputs: Sequence[str], shape: Sequence[int], *, name: str = ""
    ) -> str:
        """Add an operation that brings its own `Work`, with an int8 output of a shape."""
        made = self._tensor(name or self._unique(work.type), tuple(shape))
        read = tuple(self._known(x) for x in inputs)
        self._nodes.append(Node(name=made, op=work.type, inputs=read, outputs=(made,), work=work))
        return made

    def add(self, shape: Shape, *inputs: str, name: str = "", work: Work | None = None) -> str:
        """Add any operation of the registry by its shape."""
        made = name or self._unique(STEMS[shape.op])
        read = tuple(self._known(x) for x in inputs)
        out = self._tensor(made, shape.out_shape)
        op = registry.name_of(shape)
        self._nodes.append(
            Node(name=made, op=op, inputs=read, outputs=(out,), shape=shape, work=work)
        )
        return out

    def finish(self, *outputs: str, classes: Sequence[str] = (), seeded: bool = False) -> Graph:
        """Return the graph; ``seeded`` if works that were given have weights from a seed.

        Raises
        ------
        InputError
            If it is not a sound one.
        """
        return Graph(
            name=self.name,
            tensors=dict(self._tensors),
            nodes=tuple(self._nodes),
            inputs=tuple(self._inputs),
            outputs=tuple(outputs),
            origin=self.origin,
            classes=tuple(classes),
            seeded=seeded,
        )

    def shape_of(self, x: str) -> tuple[int, ...]:
        """Return a tensor's shape without the batch."""
        return self._tensors[self._known(x)].shape[1:]

    def _pool(
        self,
        op: OpType,
        x: str,
        *,
        kernel: int | Pair | None = None,
        stride: int | Pair | None = None,
        padding: Padding = VALID,
        name: str = "",
    ) -> str:
        size, ch = self._image(x)
        sides = size if kernel is None else pair(kernel)
        step = sides if stride is None else pair(stride)
        pad, out = padded(size, sides, step, padding)
        shape = Shape.pool(
            op, size, ch, kernel=sides, stride=step, pad=pad, out_size=out, family=self.family
        )
        return self.add(shape, x, name=name)

    def _elementwise(self, op: OpType, inputs: tuple[str, ...], name: str) -> str:
        size, ch = self._image(inputs[0])
        shape = Shape.elementwise(op, size, ch, family=self.family)
        return self.add(shape, *inputs, name=name)

    def _image(self, x: str) -> tuple[Pair, int]:
        sides = self.shape_of(x)
        if len(sides) == 1:
            return (1, 1), sides[0]
        if len(sides) != 3:
            raise InputError(f"tensor {x} of shape {sides} is no image (y, x, ch)")
        return (sides[0], sides[1]), sides[2]

    def _known(self, x: str) -> str:
        if x not in self._tensors:
            raise InputError(f"no tensor {x!r}", where=self.name)
        return x

    def _tensor(self, name: str, sides: tuple[int, ...]) -> str:
        if name in self._tensors:
            raise InputError(f"two tensors are called {name!r}", where=self.name)
        dtype = "int16" if self.family is Family.Q15 else "int8"
        self._tensors[name] = Tensor(name=name, shape=(1, *sides), dtype=dtype)
        return name

    def _unique(self, stem: str) -> str:
        self._counts[stem] = self._counts.get(stem, 0) + 1
        return f"{stem}{self._counts[stem]}"
