"""The q7 keyword networks of the first public kernels, and the CIFAR-10 ones, as graphs.

Shifts that the weight files do not hold are those of ARM-software/ML-KWS-for-MCU@8151349, as are
the order of the layers and the average at the end of DS-CNN, which no pooling kernel computes: the
sum of each channel, shifted to the left and divided once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m7sim.errors import InputError
from m7sim.nets import cifar10 as cifar
from m7sim.nets.builder import Builder
from m7sim.nets.graph import Graph
from m7sim.nets.load import Sample
from m7sim.nets.network import Network
from m7sim.nets.work import LayerWork
from m7sim.ops.calls import KernelCall
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Activations, Int8
from m7sim.ops.shapes import Family, Shape

CLASSES = (
    *("silence", "unknown", "yes", "no", "up", "down"),
    *("left", "right", "on", "off", "stop", "go"),
)
DNN_SHIFTS = ((1, 7), (2, 8), (2, 9), (0, 6))  # bias to the left, output to the right
MEAN_LEFT_SHIFT = 2
DS_BLOCKS = (2, 3, 4, 5)


@dataclass(frozen=True)
class MeanWork:
    """Mean of each channel over an image, shifted to the left, towards zero, saturated."""

    pixels: int
    channels: int
    left_shift: int

    type = "mean"
    macs = 0
    weight_bytes = 0
    scratch_bytes = 0
    function = "m7nn_mean"

    @property
    def ops(self) -> int:
        """An addition per element."""
        return self.pixels * self.channels

    def forward(self, *inputs: Activations) -> Activations:
        """Compute it by the NumPy model."""
        sums = inputs[0].reshape(self.pixels, self.channels).astype(np.int64).sum(axis=0)
        scaled = np.abs(sums << self.left_shift) // self.pixels * np.sign(sums)
        found: Activations = np.clip(scaled, -128, 127).astype(np.int8).reshape(1, 1, -1)
        return found

    def prepare(self, *inputs: Activations) -> KernelCall:
        """Lay out the C call."""
        data = np.ascontiguousarray(inputs[0]).reshape(self.pixels, self.channels).copy()
        out: Int8 = np.zeros((1, 1, self.channels), np.int8)
        return KernelCall(
            function=self.function,
            parameters={
                "in": data,
                "pixels": self.pixels,
                "ch": self.channels,
                "left_shift": self.left_shift,
                "out": out,
            },
            output=out,
            returns_status=False,
        )


def load(path: Path) -> Graph:
    """Read a q7 network from an ``.npz`` of weights and ``param_*`` numbers.

    Raises
    ------
    InputError
        If the file is none of the known networks, or its sizes do not belong together.
    """
    arrays = cifar.read_arrays(path)
    if {"conv1_wt", "final_fc_wt"} <= arrays.keys():
        reader = _ds_cnn
    elif {"ip1_wt", "ip4_wt"} <= arrays.keys():
        reader = _dnn
    elif {"conv3_wt", "ip1_wt"} <= arrays.keys():
        return of_network(cifar.load(path))
    else:
        raise InputError(
            "no known network in it",
            where=str(path),
            do="Known are q7 weights of DS-CNN and DNN for keywords, and of CIFAR-10 networks.",
        )
    try:
        return reader(arrays, path)
    except InputError as error:
        error.where = error.where or str(path)
        raise
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"sizes that do not belong together: {error}", where=str(path)) from error


def of_network(network: Network) -> Graph:
    """Return a chain of layers as a graph."""
    net = Builder(network.name, family=network.layers[0].shape.family, origin=network.origin)
    x = net.input(network.layers[0].shape.in_shape)
    for layer in network.layers:
        x = net.add(layer.shape, x, name=layer.name, work=LayerWork(layer))
    return net.finish(x, classes=network.classes, seeded=network.seeded)


def cifar10(weights: str | None, image: str | None) -> tuple[Graph, Sample]:
    """Return the CIFAR-10 network and its input, as the command line names them."""
    network, x, name = cifar.choose(weights, image)
    return of_network(network), Sample(inputs=(x,), name=name)


def _dnn(arrays: cifar.Arrays, path: Path) -> Graph:
    frames = _number(arrays, "NUM_FRAMES", path) * _number(arrays, "NUM_MFCC_COEFFS", path)
    net = Builder("DNN", family=Family.Q7, origin=str(path))
    x = net.input((frames,))
    length = frames
    for index, shifts in enumerate(DNN_SHIFTS, start=1):
        bias = cifar.int8_array(arrays, f"ip{index}_bias", path)
        shape = Shape.fully_connected(length, bias.size)
        layer = _layer(f"fc{index}", shape, arrays, f"ip{index}", shifts, path, form="plain")
        x = net.add(shape, x, name=layer.name, work=LayerWork(layer))
        if index < len(DNN_SHIFTS):
            x = _rectified(net, x, shape, index)
        length = bias.size
    return net.finish(x, classes=CLASSES)


def _ds_cnn(arrays: cifar.Arrays, path: Path) -> Graph:
    size = (_number(arrays, "NUM_FRAMES", path), _number(arrays, "NUM_MFCC_COEFFS", path))
    net = Builder("DS-CNN", family=Family.Q7, origin=str(path))
    x = net.input((*size, 1))
    channels = _number(arrays, "CONV1_OUT_CH", path)

    def pair(stem: str) -> tuple[int, int]:
        return _number(arrays, f"{stem}Y", path), _number(arrays, f"{stem}X", path)

    def shifts(stem: str) -> tuple[int, int]:
        left = _number(arrays, f"{stem}_BIAS_LSHIFT", path)
        return left, _number(arrays, f"{stem}_OUT_RSHIFT", path)

    shape = Shape.conv(
        size, 1, channels, kernel=pair("CONV1_K"), stride=pair("CONV1_S"), pad=pair("CONV1_P"),
        out_size=pair("CONV1_OUT_"),
    )  # fmt: skip
    layer = _layer("conv1", shape, arrays, "conv1", shifts("CONV1"), path)
    x = net.add(shape, x, name="conv1", work=LayerWork(layer))
    x = _rectified(net, x, shape, 1)
    size, number = (shape.out_y, shape.out_x), 1
    for block in DS_BLOCKS:
        stem = f"CONV{block}_DS"
        across = Shape.depthwise(
            size, channels, kernel=pair(f"{stem}_K"), stride=pair(f"{stem}_S"),
            pad=pair(f"{stem}_P"), out_size=size,
        )  # fmt: skip
        through = Shape.conv(size, channels, channels, kernel=(1, 1))
        for kind, short, one in (("DS", "ds", across), ("PW", "pw", through)):
            name, number = f"conv{block}_{short}", number + 1
            layer = _layer(name, one, arrays, name, shifts(f"CONV{block}_{kind}"), path)
            x = net.add(one, x, name=name, work=LayerWork(layer))
            x = _rectified(net, x, one, number)
    mean = MeanWork(size[0] * size[1], channels, MEAN_LEFT_SHIFT)
    x = net.custom(mean, [x], (1, 1, channels), name="mean")
    out = _number(arrays, "OUT_DIM", path)
    shape = Shape.fully_connected(channels, out)
    layer = _layer("fc", shape, arrays, "final_fc", shifts("FINAL_FC"), path, form="plain")
    x = net.add(shape, x, name="fc", work=LayerWork(layer))
    return net.finish(x, classes=CLASSES)


def _rectified(net: Builder, x: str, shape: Shape, number: int) -> str:
    relu = Shape.relu((shape.out_y, shape.out_x), shape.out_ch)
    name = f"relu{number}"
    return net.add(relu, x, name=name, work=LayerWork(Layer(name=name, shape=relu)))


def _layer(
    name: str,
    shape: Shape,
    arrays: cifar.Arrays,
    stem: str,
    shifts: tuple[int, int],
    path: Path,
    form: str = "",
) -> Layer:
    return Layer(
        name=name,
        shape=shape,
        weights=cifar.int8_array(arrays, f"{stem}_wt", path).reshape(shape.weight_shape or ()),
        bias=cifar.int8_array(arrays, f"{stem}_bias", path),
        bias_shift=shifts[0],
        out_shift=shifts[1],
        form=form,
    )


def _number(arrays: cifar.Arrays, name: str, path: Path) -> int:
    found = arrays.get(f"param_{name}")
    if found is None or found.ndim or found.dtype.kind not in "iu":
        raise InputError(f"no number param_{name} in it", where=str(path))
    return int(found)
