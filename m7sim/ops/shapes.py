"""Operation types × shapes, and the work they are counted as.

Counting follows the papers these figures are compared with: 1 MAC is 2 Ops, a pooling output is
``kernel_y * kernel_x`` Ops (9 for 3x3, clipped windows too), and an element of a rectifier, an
addition or a softmax is 1 Op.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from m7sim.errors import InputError
from m7sim.ops.reference import Pair, conv_out_size, pool_out_size, pool_spans

OPS_PER_MAC = 2
MAX_SHIFT = 31


class OpType(StrEnum):
    """What a layer computes; the value is the name shown to people."""

    CONV = "conv"
    POINTWISE = "1x1"
    DEPTHWISE = "depthwise"
    FULLY_CONNECTED = "fc"
    MAX_POOL = "max pool"
    AVE_POOL = "average pool"
    RELU = "relu"
    SOFTMAX = "softmax"
    ADD = "add"


class Family(StrEnum):
    """How numbers are represented: the activations, and with what the weights go along."""

    Q7 = "q7"
    """int8 activations and weights, one power of two per layer"""
    Q15 = "q15"
    """int16 activations, int8 weights, one power of two per layer"""
    S8 = "s8"
    """int8 activations with an offset, a scale per output channel, int32 bias"""


CONVOLUTIONS = frozenset({OpType.CONV, OpType.POINTWISE, OpType.DEPTHWISE})
WEIGHTED = CONVOLUTIONS | {OpType.FULLY_CONNECTED}
POOLS = frozenset({OpType.MAX_POOL, OpType.AVE_POOL})
ELEMENTWISE = frozenset({OpType.RELU, OpType.ADD, OpType.SOFTMAX})


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An operation type with its sizes; images are HWC. Make one with a class method."""

    op: OpType
    in_y: int
    in_x: int
    in_ch: int
    out_y: int
    out_x: int
    out_ch: int
    kernel_y: int = 1
    kernel_x: int = 1
    stride_y: int = 1
    stride_x: int = 1
    pad_y: int = 0
    pad_x: int = 0
    family: Family = Family.Q7

    def __post_init__(self) -> None:
        sizes = (self.in_y, self.in_x, self.in_ch, self.out_y, self.out_x, self.out_ch)
        if min(*sizes, self.kernel_y, self.kernel_x, self.stride_y, self.stride_x) < 1:
            raise InputError(f"a size below 1 in {self}", do="Check kernel and stride.")
        if min(self.pad_y, self.pad_x) < 0:
            raise InputError(f"a negative padding in {self}")
        if self.op is OpType.DEPTHWISE and self.out_ch % self.in_ch:
            raise InputError(
                f"depthwise from {self.in_ch} to {self.out_ch} channels",
                do="Make the output channels a multiple of the input channels.",
            )

    @classmethod
    def conv(
        cls,
        in_size: Pair,
        in_ch: int,
        out_ch: int,
        *,
        kernel: Pair,
        stride: Pair = (1, 1),
        pad: Pair = (0, 0),
        out_size: Pair | None = None,
        family: Family = Family.Q7,
    ) -> Shape:
        """Describe a convolution; pairs are ``(y, x)``.

        A 1x1 kernel with stride 1 and no padding is of type `OpType.POINTWISE`.

        Parameters
        ----------
        out_size
            Default what fits with ``pad`` zeros on both sides, rounded down.

        Raises
        ------
        InputError
            If a size comes out below 1.
        """
        out = out_size or conv_out_size(in_size, kernel, stride, pad)
        pointwise = kernel == stride == (1, 1) and pad == (0, 0) and out == in_size
        op = OpType.POINTWISE if pointwise else OpType.CONV
        return cls._window(op, in_size, in_ch, out, out_ch, kernel, stride, pad, family)

    @classmethod
    def depthwise(
        cls,
        in_size: Pair,
        ch: int,
        *,
        kernel: Pair,
        stride: Pair = (1, 1),
        pad: Pair = (0, 0),
        out_size: Pair | None = None,
        multiplier: int = 1,
        family: Family = Family.Q7,
    ) -> Shape:
        """Describe a depthwise convolution: ``multiplier`` output channels per input channel."""
        out = out_size or conv_out_size(in_size, kernel, stride, pad)
        out_ch = ch * multiplier
        return cls._window(OpType.DEPTHWISE, in_size, ch, out, out_ch, kernel, stride, pad, family)

    @classmethod
    def pool(
        cls,
        op: OpType,
        in_size: Pair,
        ch: int,
        *,
        kernel: Pair,
        stride: Pair,
        pad: Pair = (0, 0),
        out_size: Pair | None = None,
        family: Family = Family.Q7,
    ) -> Shape:
        """Describe a pooling; without ``out_size`` rounded up (``ceil`` mode).

        Raises
        ------
        InputError
            If ``op`` is not a pooling, a size comes out below 1, or a window holds no pixel.
        """
        if op not in POOLS:
            raise InputError(f"{op.value} is not a pooling")
        out = out_size or pool_out_size(in_size, kernel, stride, pad)
        pool_spans(in_size, kernel, stride, pad, out)
        return cls._window(op, in_size, ch, out, ch, kernel, stride, pad, family)

    @classmethod
    def fully_connected(cls, in_len: int, out_len: int, *, family: Family = Family.Q7) -> Shape:
        """Describe a fully connected layer."""
        one = (1, 1)
        return cls._window(
            OpType.FULLY_CONNECTED, one, in_len, one, out_len, one, one, (0, 0), family
        )

    @classmethod
    def elementwise(cls, op: OpType, size: Pair, ch: int, *, family: Family = Family.Q7) -> Shape:
        """Describe a rectifier, an addition of two images, or a softmax over the channels.

        Raises
        ------
        InputError
            If ``op`` is none of these or a size is below 1.
        """
        if op not in ELEMENTWISE:
            raise InputError(f"{op.value} is not elementwise")
        return cls._window(op, size, ch, size, ch, (1, 1), (1, 1), (0, 0), family)

    @classmethod
    def relu(cls, size: Pair, ch: int) -> Shape:
        """Describe a rectifier over an image."""
        return cls.elementwise(OpType.RELU, size, ch)

    @classmethod
    def softmax(cls, length: int) -> Shape:
        """Describe a softmax over a vector."""
        return cls.elementwise(OpType.SOFTMAX, (1, 1), length)

    @classmethod
    def _window(
        cls,
        op: OpType,
        in_size: Pair,
        in_ch: int,
        out_size: Pair,
        out_ch: int,
        kernel: Pair,
        stride: Pair,
        pad: Pair,
        family: Family,
    ) -> Shape:
        return cls(
            op=op,
            in_y=in_size[0],
            in_x=in_size[1],
            in_ch=in_ch,
            out_y=out_size[0],
            out_x=out_size[1],
            out_ch=out_ch,
            kernel_y=kernel[0],
            kernel_x=kernel[1],
            stride_y=stride[0],
            stride_x=stride[1],
            pad_y=pad[0],
            pad_x=pad[1],
            family=family,
        )

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Input as an array shape, ``(y, x, ch)``."""
        return self.in_y, self.in_x, self.in_ch

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Output as an array shape, ``(y, x, ch)``."""
        return self.out_y, self.out_x, self.out_ch

    @property
    def kernel(self) -> Pair:
        """Kernel sides ``(y, x)``."""
        return self.kernel_y, self.kernel_x

    @property
    def stride(self) -> Pair:
        """Strides ``(y, x)``."""
        return self.stride_y, self.stride_x

    @property
    def pad(self) -> Pair:
        """Padding in front, ``(y, x)``."""
        return self.pad_y, self.pad_x

    @property
    def in_elements(self) -> int:
        """Number of elements of one input."""
        return self.in_y * self.in_x * self.in_ch

    @property
    def out_elements(self) -> int:
        """Number of output elements."""
        return self.out_y * self.out_x * self.out_ch

    @property
    def weight_shape(self) -> tuple[int, ...] | None:
        """Shape of the weights in their plain order, or None for an operation without weights."""
        match self.op:
            case OpType.CONV | OpType.POINTWISE:
                return self.out_ch, self.kernel_y, self.kernel_x, self.in_ch
            case OpType.DEPTHWISE:
                return self.kernel_y, self.kernel_x, self.out_ch
            case OpType.FULLY_CONNECTED:
                return self.out_ch, self.in_ch
            case _:
                return None

    @property
    def weights(self) -> int:
        """Number of weights, biases not counted."""
        count = 1
        for side in self.weight_shape or (0,):
            count *= side
        return count

    @property
    def macs_per_output(self) -> int:
        """Multiply-accumulates that make one output element."""
        match self.op:
            case OpType.CONV | OpType.POINTWISE | OpType.FULLY_CONNECTED:
                return self.kernel_y * self.kernel_x * self.in_ch
            case OpType.DEPTHWISE:
                return self.kernel_y * self.kernel_x
            case _:
                return 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run; padding counts, as in the papers."""
        return self.out_elements * self.macs_per_output

    @property
    def ops(self) -> int:
        """Operations of one run: 2 per MAC, window size per pooling output, else 1 per element."""
        if self.op in WEIGHTED:
            return OPS_PER_MAC * self.macs
        return self.out_elements * self.kernel_y * self.kernel_x

    @property
    def inputs(self) -> int:
        """Number of activation inputs: 2 for an addition, else 1."""
        return 2 if self.op is OpType.ADD else 1

    @property
    def activation_bytes(self) -> int:
        """Size of one activation element."""
        return 2 if self.family is Family.Q15 else 1

    @property
    def in_bytes(self) -> int:
        """Size of all inputs."""
        return self.inputs * self.in_elements * self.activation_bytes

    @property
    def out_bytes(self) -> int:
        """Size of the output."""
        return self.out_elements * self.activation_bytes

    @property
    def weight_bytes(self) -> int:
        """Size of the weights alone, one byte each."""
        return self.weights

    @property
    def bias_bytes(self) -> int:
        """Size of the biases and, per output channel, multiplier and shift of the s8 family.

        A fully connected s8 layer has one multiplier and shift, which are arguments.
        """
        if self.op not in WEIGHTED:
            return 0
        if self.family is not Family.S8:
            return self.out_ch
        words = 1 if self.op is OpType.FULLY_CONNECTED else 3
        return 4 * words * self.out_ch

    @property
    def bytes_moved(self) -> int:
        """Inputs, constants and output, each counted once; scratch is not in it."""
        return self.in_bytes + self.weight_bytes + self.bias_bytes + self.out_bytes

    @property
    def label(self) -> str:
        """Sizes in a few characters, such as ``32x32x3 5x5/1+2 32x32x32`` (stride, padding)."""
        ends = ["x".join(map(str, size)) for size in (self.in_shape, self.out_shape)]
        if self.op in WEIGHTED | POOLS and self.op is not OpType.FULLY_CONNECTED:
            s, p = ("x".join(map(str, dict.fromkeys(pair))) for pair in (self.stride, self.pad))
            kernel = f"{self.kernel_y}x{self.kernel_x}"
            return f"{ends[0]} {kernel}/{s}+{p} {ends[1]}"
        return " ".join(dict.fromkeys(ends))
