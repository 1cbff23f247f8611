"""Every operation m7sim can characterize, by name: parameters, work, data, oracle, kernels.

How to use it::

    from m7sim.ops import registry

    op = registry.get("conv")                       # InputError with the nearest name
    shape = op.shape(size=16, in_ch=32, out_ch=32)  # InputError for what cannot be
    shape.ops, shape.macs, shape.macs_per_output, shape.weight_bytes, shape.bytes_moved, shape.label
    op.variants(shape)                              # usable kernels, the usual one first
    op.obstacles(shape)                             # every kernel, and why it cannot run the shape
    work = op.workload(shape, seed=0)               # the same bytes on every machine
    call = work.call("fast")                        # KernelCall: function, arguments, output
    firmware = session.load(registry.elf(cflags=("-O2",)), board="stm32f746")
    result = firmware.call(call.function, *call.arguments,
                           place={name: "FLASH" for name in call.constant_names})
    work.check(call)                                # output equal to work.expected

``call.returns_status``: the kernel returns 0, or -1 if it refuses the shape. ``call.scratch_bytes``
is the size of its buffer. ``op.parameters_of(shape)`` gives the full set of parameters of a shape,
which is the key of a table row; ``op.shape(**op.parameters_of(shape)) == shape``. In ``op.shape``,
the names in ``SHORTHANDS`` set two sides at once (``kernel=3``, ``stride``, ``pad``, ``size``).

A ``conv`` with a 1x1 kernel, stride 1 and no padding is the operation ``1x1``: ``name_of(shape)``
says so, and ``conv`` gives such a shape, for sweeps over the kernel's side.

Variants come with the usual one first, which is the fastest of those designs that were measured on
silicon; ``select`` of the maximum pooling is faster, and comes later for that reason. Names without
an ending are of the q7 family, ``_q15`` has 16-bit activations, ``_s8`` has offsets and scales per
channel.

Counting: 1 MAC is 2 Ops; a pooling output is ``kernel_y * kernel_x`` Ops; each element of a
rectifier, an addition or a softmax is 1 Op (the exponentials of a softmax are not counted).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from m7sim.errors import InputError
from m7sim.ops import workloads
from m7sim.ops.kernels import KERNELS, form_obstacles, kernel_forms
from m7sim.ops.kernels import kernel_elf as elf
from m7sim.ops.shapes import POOLS, WEIGHTED, Family, OpType, Shape
from m7sim.ops.workloads import Workload

__all__ = ["OPS", "Op", "Parameter", "SHORTHANDS", "Workload", "elf", "get", "name_of"]

SHORTHANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {f"{side}": (f"{stem}_y", f"{stem}_x") for side, stem in (
        ("size", "in"), ("kernel", "kernel"), ("stride", "stride"), ("pad", "pad"))}
)  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One number of a shape.

    Attributes
    ----------
    name, meaning
        As a person writes it, and what it is.
    default
        None: derived from the others, as ``meaning`` says.
    minimum, maximum
        Inclusive.
    """

    name: str
    default: int | None
    minimum: int
    maximum: int
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Op:
    """An operation.

    Attributes
    ----------
    name
        In tables and on the command line.
    type, family
        What it computes, and on which numbers.
    parameters
        What a shape of it is made from.
    ops_formula, macs_formula
        How work is counted, for people; `Shape` does it.
    """

    name: str
    type: OpType
    family: Family
    parameters: tuple[Parameter, ...]
    ops_formula: str
    macs_formula: str

    @property
    def kernels(self) -> Mapping[str, str]:
        """C function by variant, the usual one first."""
        return MappingProxyType(KERNELS[self.family, self.type])

    def shape(self, **values: int) -> Shape:
        """Make a shape; parameters that are not given have their defaults.

        Raises
        ------
        InputError
            If a parameter is unknown, out of range, or the shape impossible.
        """
        return _BUILDERS[self.type](self, self._complete(values))

    def parameters_of(self, shape: Shape) -> dict[str, int]:
        """Return all parameters of a shape, in the order of ``parameters``."""
        found = {
            "in_len": shape.in_ch,
            "out_len": shape.out_ch,
            "length": shape.in_ch,
            "ch": shape.in_ch,
            "multiplier": shape.out_ch // shape.in_ch,
        }
        return {p.name: found.get(p.name, getattr(shape, p.name, 0)) for p in self.parameters}

    def variants(self, shape: Shape) -> tuple[str, ...]:
        """Return the kernel variants that can run a shape, the usual (fastest) one first."""
        return kernel_forms(shape)

    def obstacles(self, shape: Shape) -> dict[str, str]:
        """Return every kernel variant, and why it cannot run the shape ("" if it can)."""
        return form_obstacles(shape)

    def workload(self, shape: Shape, *, seed: int = 0) -> Workload:
        """Make inputs, weights and scales from a seed."""
        return workloads.make(shape, seed=seed)

    def _complete(self, values: Mapping[str, int]) -> dict[str, int | None]:
        known = {p.name: p for p in self.parameters}
        shorthands = {s: pair for s, pair in SHORTHANDS.items() if pair[0] in known}
        given: dict[str, int] = {}
        for name, value in values.items():
            for full in shorthands.get(name, (name,)):
                if full not in known:
                    raise InputError(
                        f"{self.name} has no parameter {name!r}",
                        do=_nearest(name, [*known, *shorthands]),
                    )
                if full in given:
                    raise InputError(f"{self.name}: {full} is given twice")
                given[full] = _integer(self.name, known[full], value)
        return {p.name: given.get(p.name, p.default) for p in self.parameters}


def get(name: str) -> Op:
    """Return an operation by name.

    Raises
    ------
    InputError
        If there is none; the message names the nearest.
    """
    if name not in OPS:
        raise InputError(f"no operation {name!r}", do=_nearest(name, list(OPS)))
    return OPS[name]


def name_of(shape: Shape) -> str:
    """Return the name of the operation a shape belongs to.

    Raises
    ------
    InputError
        If no kernel of ours computes it.
    """
    for op in OPS.values():
        if (op.type, op.family) == (shape.op, shape.family):
            return op.name
    raise InputError(f"no {shape.op.value} of the {shape.family.value} family")


def _integer(op: str, parameter: Parameter, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{op}: {parameter.name} is {value!r}, needed a whole number")
    if not parameter.minimum <= value <= parameter.maximum:
        raise InputError(
            f"{op}: {parameter.name} is {value}",
            do=f"Use {parameter.minimum} to {parameter.maximum}.",
        )
    return value


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}Known: {', '.join(known)}."


Values = dict[str, int | None]


def _pair(values: Values, stem: str) -> tuple[int, int]:
    y, x = values[f"{stem}_y"], values[f"{stem}_x"]
    assert y is not None  # these have defaults
    assert x is not None
    return y, x


def _one(values: Values, name: str) -> int:
    value = values[name]
    assert value is not None
    return value


def _window(values: Values, *, same: bool) -> dict[str, tuple[int, int]]:
    """Return kernel, stride, padding and, where it is given, the output size."""
    kernel, stride = _pair(values, "kernel"), _pair(values, "stride")
    derived = [(side - 1) // 2 if same else 0 for side in kernel]
    pad = [
        derived[i] if (given := values[f"pad_{axis}"]) is None else given
        for i, axis in enumerate("yx")
    ]
    window = {"kernel": kernel, "stride": stride, "pad": (pad[0], pad[1])}
    outs = values["out_y"], values["out_x"]
    if outs[0] is not None and outs[1] is not None:
        window["out_size"] = (outs[0], outs[1])
    elif outs != (None, None):
        raise InputError("out_y and out_x go together", do="Give both or none.")
    return window


def _conv(op: Op, v: Values) -> Shape:
    window, size = _window(v, same=True), _pair(v, "in")
    in_ch, out_ch = _one(v, "in_ch"), _one(v, "out_ch")
    return Shape.conv(size, in_ch, out_ch, **window, family=op.family)


def _pointwise(op: Op, v: Values) -> Shape:
    size = _pair(v, "in")
    return Shape.conv(size, _one(v, "in_ch"), _one(v, "out_ch"), kernel=(1, 1), family=op.family)


def _depthwise(op: Op, v: Values) -> Shape:
    multiplier = v.get("multiplier") or 1
    return Shape.depthwise(
        _pair(v, "in"),
        _one(v, "ch"),
        **_window(v, same=True),
        multiplier=multiplier,
        family=op.family,
    )


def _pool(op: Op, v: Values) -> Shape:
    window = _window(v, same=False)
    return Shape.pool(op.type, _pair(v, "in"), _one(v, "ch"), **window, family=op.family)


def _fully_connected(op: Op, v: Values) -> Shape:
    return Shape.fully_connected(_one(v, "in_len"), _one(v, "out_len"), family=op.family)


def _elementwise(op: Op, v: Values) -> Shape:
    size = (1, 1) if "length" in v else _pair(v, "in")
    channels = _one(v, "length" if "length" in v else "ch")
    return Shape.elementwise(op.type, size, channels, family=op.family)


_BUILDERS: dict[OpType, Callable[[Op, Values], Shape]] = {
    OpType.CONV: _conv,
    OpType.POINTWISE: _pointwise,
    OpType.DEPTHWISE: _depthwise,
    OpType.FULLY_CONNECTED: _fully_connected,
    OpType.MAX_POOL: _pool,
    OpType.AVE_POOL: _pool,
    OpType.RELU: _elementwise,
    OpType.ADD: _elementwise,
    OpType.SOFTMAX: _elementwise,
}

_SIDE, _CHANNELS, _LENGTH = 512, 4096, 65536


def _sides(
    stem: str, default: int | None, minimum: int, maximum: int, what: str
) -> list[Parameter]:
    return [
        Parameter(f"{stem}_{axis}", default, minimum, maximum, f"{what} along {axis}")
        for axis in "yx"
    ]


def _windows(kernel: int, stride: int, pad: str, *, pad_default: int | None) -> list[Parameter]:
    return [
        *_sides("kernel", kernel, 1, 64, "side of the window"),
        *_sides("stride", stride, 1, 64, "step between windows"),
        *_sides("pad", pad_default, 0, 63, f"zeros in front of the image ({pad})"),
        *_sides("out", None, 1, _SIDE, "outputs (default what fits with equal padding behind)"),
    ]


def _parameters(kind: OpType, family: Family) -> tuple[Parameter, ...]:
    image = _sides("in", 16, 1, _SIDE, "size of the input image")
    channels = Parameter("ch", 32, 1, _CHANNELS, "channels")
    in_out = [
        Parameter("in_ch", 32, 1, _CHANNELS, "input channels"),
        Parameter("out_ch", 32, 1, _CHANNELS, "output channels"),
    ]
    same = "default (kernel - 1) / 2"
    match kind:
        case OpType.CONV:
            return (*image, *in_out, *_windows(3, 1, same, pad_default=None))
        case OpType.POINTWISE:
            return (*image, *in_out)
        case OpType.DEPTHWISE:
            many = Parameter("multiplier", 1, 1, 64, "output channels per input channel")
            more = [many] if family is Family.S8 else []
            return (*image, channels, *more, *_windows(3, 1, same, pad_default=None))
        case OpType.MAX_POOL | OpType.AVE_POOL:
            return (*image, channels, *_windows(3, 2, "default none", pad_default=0))
        case OpType.FULLY_CONNECTED:
            return (
                Parameter("in_len", 256, 1, _LENGTH, "inputs"),
                Parameter("out_len", 64, 1, _LENGTH, "outputs"),
            )
        case OpType.SOFTMAX:
            return (Parameter("length", 10, 1, _LENGTH, "classes"),)
        case _:
            return (*image, channels)


def _formulas(kind: OpType) -> tuple[str, str]:
    if kind in POOLS:
        return "outputs * kernel_y * kernel_x", "0"
    if kind not in WEIGHTED:
        return "outputs", "0"
    depth = {OpType.DEPTHWISE: "kernel_y * kernel_x", OpType.FULLY_CONNECTED: "in_len"}
    depth |= {OpType.POINTWISE: "in_ch", OpType.CONV: "kernel_y * kernel_x * in_ch"}
    return "2 * MACs", f"outputs * {depth[kind]}"


_NAMES = {
    OpType.CONV: "conv",
    OpType.POINTWISE: "1x1",
    OpType.DEPTHWISE: "depthwise",
    OpType.FULLY_CONNECTED: "fc",
    OpType.MAX_POOL: "max_pool",
    OpType.AVE_POOL: "ave_pool",
    OpType.RELU: "relu",
    OpType.ADD: "add",
    OpType.SOFTMAX: "softmax",
}


def _all() -> dict[str, Op]:
    found = {}
    for family, kind in KERNELS:
        name = _NAMES[kind] + ("" if family is Family.Q7 else f"_{family.value}")
        ops, macs = _formulas(kind)
        found[name] = Op(
            name=name,
            type=kind,
            family=family,
            parameters=_parameters(kind, family),
            ops_formula=ops,
            macs_formula=macs,
        )
    return found


OPS: Mapping[str, Op] = MappingProxyType(_all())
"""Operations by name; a name without an ending is of the q7 family."""
