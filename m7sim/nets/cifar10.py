"""The CIFAR-10 networks of the first public Cortex-M kernels, with real or seeded weights.

The layer table is that of arXiv 1801.06601, Table 1: three 5x5 convolutions, each with a rectifier
and a 3x3 pooling of stride 2, then one fully connected layer. The timed network has 32, 32 and 64
channels and pools by maximum; of the weight files in circulation, those of the same shape average
in the second and third pooling.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from m7sim.errors import InputError
from m7sim.nets.network import InputRule, Network
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Int8, deinterleave_x4
from m7sim.ops.shapes import OpType, Shape
from m7sim.ops.stream import Stream

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SIDE = 32
CHANNELS = (32, 32, 64)
KERNEL, PAD = (5, 5), (2, 2)
POOL_KERNEL, POOL_STRIDE = (3, 3), (2, 2)
MAX, AVE = OpType.MAX_POOL, OpType.AVE_POOL
TIMED_POOLS = (MAX, MAX, MAX)
SEED = 2018
# Shifts of the published weights of the same shape (ARM-software/ML-examples@0bc5caa).
OUT_SHIFTS = (9, 9, 9, 5)
BIAS_SHIFTS = (0, 0, 0, 3)
_TYPICAL_INPUT = 45.0  # standard deviation that the seeded weights aim at in every layer

Arrays = Mapping[str, npt.NDArray[np.generic]]


def seeded(
    *,
    seed: int = SEED,
    channels: tuple[int, int, int] = CHANNELS,
    pools: tuple[OpType, OpType, OpType] = TIMED_POOLS,
    softmax: bool = False,
) -> Network:
    """Make the network with weights from a seed: right in shape and range, without meaning.

    The random bytes come from the raw stream of PCG64, which NumPy keeps stable, so the same seed
    gives the same weights on any machine.
    """
    stream = Stream(seed)
    parameters = []
    for depth, out_ch, shift in zip(
        _depths(channels), (*channels, len(CLASSES)), OUT_SHIFTS, strict=True
    ):
        deviation = min(2.0**shift / np.sqrt(depth), 40.0)
        weights = stream.normal(out_ch * depth, deviation)
        parameters.append((weights, stream.normal(out_ch, 12.0)))
    return Network(
        name="CIFAR-10",
        origin=f"weights made from seed {seed}",
        seeded=True,
        layers=_layers(channels, pools, parameters, BIAS_SHIFTS, OUT_SHIFTS, softmax=softmax),
        classes=CLASSES,
    )


def seeded_image(*, seed: int = SEED) -> Int8:
    """Make an int8 input ``[32, 32, 3]`` from a seed."""
    return Stream(seed + 1).normal(SIDE * SIDE * 3, _TYPICAL_INPUT).reshape(SIDE, SIDE, 3)


def choose(weights: str | None, image: str | None) -> tuple[Network, Int8, str]:
    """Make or load the network and its input as the command line names them.

    Parameters
    ----------
    weights
        An ``.npz`` of weights, or None for seeded ones.
    image
        A file of images, ``FILE:N`` for the one with index N; None for one made from a
        seed.

    Returns
    -------
    The network, its int8 input, and where the input comes from, for people.

    Raises
    ------
    InputError
        If a file cannot be used or has no image N.
    """
    network = seeded() if weights is None else load(Path(weights))
    if image is None:
        return network, seeded_image(), f"made from seed {SEED}"
    name, _, number = image.rpartition(":")
    if not (name and number.isdigit()):
        name, number = image, "0"
    images = load_images(Path(name), network)
    if int(number) >= len(images):
        raise InputError(f"no image {number}: it has {len(images)}, counted from 0", where=name)
    return network, images[int(number)], f"image {number} of {Path(name).name}"


def load(
    path: Path,
    *,
    pools: tuple[OpType, OpType, OpType] | None = None,
    softmax: bool = False,
    x4: bool = True,
) -> Network:
    """Read a network from an ``.npz`` of weights and ``param_*`` shifts.

    Parameters
    ----------
    path
        Arrays ``conv1_wt`` … ``ip1_bias`` (flat int8), ``param_CONV1_OUT_RSHIFT`` and its like, and
        either ``mean_data`` or ``input_mean_shift`` and ``input_right_shift``.
    pools
        Kinds of the three poolings; default maximum in all for files with ``input_right_shift``
        (the later example network), else maximum, average, average.
    softmax
        Add a softmax at the end.
    x4
        Whether ``ip1_wt`` is x4-interleaved, as in all published files.

    Raises
    ------
    InputError
        If the file cannot be read, lacks an array, or its sizes do not belong together.
    """
    arrays = read_arrays(path)
    biases = [int8_array(arrays, name, path) for name in _names("bias")]
    channels = (biases[0].size, biases[1].size, biases[2].size)
    if biases[3].size != len(CLASSES):
        raise InputError(f"{biases[3].size} outputs, needed {len(CLASSES)}", where=str(path))
    parameters = []
    for index, name in enumerate(_names("wt")):
        weights, bias = int8_array(arrays, name, path), biases[index]
        if weights.size != bias.size * _depths(channels)[index]:
            raise InputError(f"{name} has {weights.size} weights", where=str(path))
        if name == "ip1_wt" and x4:
            weights = deinterleave_x4(weights, out_len=bias.size, in_len=weights.size // bias.size)
        parameters.append((weights, bias))
    shifts = {
        kind: tuple(
            int(_get(arrays, f"param_{layer}_{kind}SHIFT", path)[()])
            for layer in ("CONV1", "CONV2", "CONV3", "IP1")
        )
        for kind in ("BIAS_L", "OUT_R")
    }
    kinds = pools or (TIMED_POOLS if "input_right_shift" in arrays else (MAX, AVE, AVE))
    return Network(
        name="CIFAR-10",
        origin=path.name,
        seeded=False,
        layers=_layers(
            channels, kinds, parameters, shifts["BIAS_L"], shifts["OUT_R"], softmax=softmax
        ),
        classes=CLASSES,
        input_rule=_input_rule(arrays, path),
    )


def load_images(path: Path, network: Network) -> list[Int8]:
    """Read images as inputs of a network.

    Parameters
    ----------
    path
        ``.npy`` with pixels (uint8) or inputs (int8), ``[32, 32, 3]`` or a stack of such; or
        ``.npz`` with ``images_u8`` (pixels) or ``img_data`` (an int8 input).
    network
        Its ``input_rule`` turns pixels into inputs.

    Raises
    ------
    InputError
        If the file holds no such image, or pixels come to a network without an input rule.
    """
    if path.suffix == ".npz":
        arrays = read_arrays(path)
        found = [arrays[name] for name in ("images_u8", "img_data") if name in arrays]
        if not found:
            raise InputError("no images_u8 or img_data in it", where=str(path))
        data = found[0]
    else:
        try:
            data = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"not an image array: {error}", where=str(path)) from error
    size = SIDE * SIDE * 3
    if data.dtype not in (np.uint8, np.int8) or data.size == 0 or data.size % size:
        raise InputError(
            f"{data.dtype} array of shape {data.shape}",
            where=str(path),
            do="Give uint8 pixels or int8 inputs of shape [32, 32, 3].",
        )
    images = data.reshape(-1, SIDE, SIDE, 3)
    if images.dtype == np.int8:
        return [image.astype(np.int8) for image in images]
    if network.input_rule is None:
        raise InputError(
            f"{network.origin} does not say how pixels become its input",
            where=str(path),
            do="Give an int8 input, or weights with a mean.",
        )
    return [network.input_rule.apply(image.astype(np.uint8)) for image in images]


def _layers(
    channels: tuple[int, int, int],
    pools: tuple[OpType, OpType, OpType],
    parameters: list[tuple[Int8, Int8]],
    bias_shifts: tuple[int, ...],
    out_shifts: tuple[int, ...],
    *,
    softmax: bool,
) -> tuple[Layer, ...]:
    layers = []
    size, in_ch = (SIDE, SIDE), 3
    for index, (out_ch, pool) in enumerate(zip(channels, pools, strict=True)):
        shape = Shape.conv(size, in_ch, out_ch, kernel=KERNEL, pad=PAD)
        weights, bias = parameters[index]
        number = index + 1
        layers.append(
            Layer(
                name=f"conv{number}",
                shape=shape,
                weights=weights.reshape(shape.weight_shape or ()),
                bias=bias,
                bias_shift=bias_shifts[index],
                out_shift=out_shifts[index],
                form="rgb" if in_ch == 3 else "fast",
            )
        )
        layers.append(Layer(name=f"relu{number}", shape=Shape.relu(size, out_ch)))
        pooled = Shape.pool(pool, size, out_ch, kernel=POOL_KERNEL, stride=POOL_STRIDE)
        layers.append(Layer(name=f"pool{number}", shape=pooled))
        size, in_ch = (pooled.out_y, pooled.out_x), out_ch
    shape = Shape.fully_connected(size[0] * size[1] * in_ch, len(CLASSES))
    weights, bias = parameters[3]
    layers.append(
        Layer(
            name="fc",
            shape=shape,
            weights=weights.reshape(shape.weight_shape or ()),
            bias=bias,
            bias_shift=bias_shifts[3],
            out_shift=out_shifts[3],
            form="x4",
        )
    )
    if softmax:
        layers.append(Layer(name="softmax", shape=Shape.softmax(len(CLASSES))))
    return tuple(layers)


def _depths(channels: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the MACs per output of the four layers with weights."""
    taps = KERNEL[0] * KERNEL[1]
    last = (SIDE // 8) ** 2 * channels[2]
    return taps * 3, taps * channels[0], taps * channels[1], last


def _names(kind: str) -> tuple[str, ...]:
    return tuple(f"{layer}_{kind}" for layer in ("conv1", "conv2", "conv3", "ip1"))


def read_arrays(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise InputError(f"not a file of arrays (.npz): {error}", where=str(path)) from error


def _get(arrays: Arrays, name: str, path: Path) -> npt.NDArray[np.generic]:
    if name not in arrays:
        raise InputError(
            f"no array {name!r} in it",
            where=str(path),
            do="A CIFAR-10 weight file has conv1 to conv3 and ip1, each with wt, bias and shifts.",
        )
    return arrays[name]


def int8_array(arrays: Arrays, name: str, path: Path) -> Int8:
    array = _get(arrays, name, path)
    if array.dtype != np.int8:
        raise InputError(f"{name} is {array.dtype}, needed int8", where=str(path))
    return array.ravel().astype(np.int8)


def _input_rule(arrays: Arrays, path: Path) -> InputRule | None:
    if "mean_data" in arrays:
        mean = arrays["mean_data"].astype(np.int64)
        if mean.size != SIDE * SIDE * 3:
            raise InputError(f"mean_data has {mean.size} values", where=str(path))
        return InputRule(mean=mean.reshape(SIDE, SIDE, 3))
    if "input_right_shift" in arrays:
        shifts = _get(arrays, "input_right_shift", path).astype(np.int64).ravel()
        mean = _get(arrays, "input_mean_shift", path).astype(np.uint8).astype(np.int64).ravel()
        if mean.size != 3 or shifts.size == 0 or (shifts != shifts[0]).any():
            raise InputError("input_mean_shift or input_right_shift is odd", where=str(path))
        return InputRule(mean=mean, left_shift=7, right_shift=int(shifts[0]))
    return None
