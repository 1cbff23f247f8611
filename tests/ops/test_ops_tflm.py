"""The s8 NumPy models, byte for byte against the reference operators of TensorFlow Lite Micro."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from m7sim.ops import Family, Layer, OpType, Shape
from m7sim.ops.quantization import (
    AddQuantization,
    Requantization,
    SoftmaxQuantization,
    activation_clamp,
)

WORKER = Path(__file__).parent / "tflm_worker.py"
CASES = 200
S8 = Family.S8
Rng = np.random.Generator


def scale(rng: Rng, low: float = -3.0, high: float = 0.0) -> float:
    return float(np.float32(10.0 ** rng.uniform(low, high)))


def zero(rng: Rng) -> int:
    return int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))


def int8(rng: Rng, *shape: int) -> np.ndarray:
    if rng.integers(6) == 0:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return rng.integers(-128, 128, shape).astype(np.int8)


def same_pad(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return outputs and padding in front, as the operators' SAME padding has them."""
    out = -(-size // stride)
    return out, max((out - 1) * stride + kernel - size, 0) // 2


def window(rng: Rng, *, kernel_up_to: int = 5) -> tuple[dict, dict]:
    """Return the options of a case, and the same as arguments of a shape."""
    padding = str(rng.choice(["SAME", "VALID"]))
    in_size, kernel, stride, out_size, pad = [], [], [], [], []
    for _ in "yx":
        k, s = int(rng.integers(1, kernel_up_to + 1)), int(rng.integers(1, 4))
        n = int(rng.integers(1 if padding == "SAME" else k, 10))
        out, front = same_pad(n, k, s) if padding == "SAME" else ((n - k) // s + 1, 0)
        in_size.append(n)
        kernel.append(k)
        stride.append(s)
        out_size.append(out)
        pad.append(front)
    case = {"padding": padding, "stride": stride, "kernel": kernel}
    case["activation"] = str(rng.choice(["none", "relu", "relu6"]))
    keys = {"kernel": kernel, "stride": stride, "pad": pad, "out_size": out_size}
    return case, {"in_size": tuple(in_size), **{key: tuple(v) for key, v in keys.items()}}


def finish(case: dict, shape: Shape, arrays: dict, layer: Layer) -> tuple[dict, dict, Layer]:
    case["out_shape"] = [1, *shape.out_shape]
    if shape.op is OpType.FULLY_CONNECTED:
        case["out_shape"] = [1, shape.out_ch]
    return case, arrays, layer


def weighted(rng: Rng, case: dict, shape: Shape) -> tuple[dict, dict, Layer]:
    """Weights, bias and scales, with outputs that mostly do not saturate."""
    dense = shape.op is OpType.FULLY_CONNECTED
    channels = 1 if dense else shape.out_ch
    case |= {"in_scale": scale(rng), "in_zero": zero(rng), "out_zero": zero(rng)}
    weight_scales = np.array([scale(rng, -3, -1.5) for _ in range(channels)], np.float32)
    spread = 5000.0 * np.sqrt(shape.macs_per_output) / 60
    typical = case["in_scale"] * float(weight_scales.mean()) * spread
    case["out_scale"] = float(np.float32(typical * rng.choice([0.3, 1.0, 3.0, 30.0])))
    if rng.integers(12) == 0:  # a scale above 1: the shift to the left
        case["out_scale"] = float(np.float32(case["in_scale"] * weight_scales.mean() / 3))
    small = bool(rng.integers(4) == 0)
    if small:  # small sums and powers of two: many sums lie between two outputs
        weight_scales[:] = 2.0**-8
        case |= {"in_scale": 0.25, "out_scale": float(2.0 ** (rng.integers(1, 6) - 10))}
    case["weight_scales"] = [float(s) for s in weight_scales]
    clamp = activation_clamp(case["activation"], case["out_scale"], case["out_zero"])
    weights = int8(rng, *(shape.weight_shape or ()))
    bias = rng.integers(-3000, 3000, shape.out_ch).astype(np.int32)
    if small:
        weights, bias = np.clip(weights, -1, 1), bias // 100
    scales = case["in_scale"], weight_scales, case["out_scale"]
    if dense:  # the product of the two scales is a float there
        product = np.float32(case["in_scale"]) * weight_scales
        scales = 1.0, product, case["out_scale"]
    layer = Layer(
        name="layer",
        shape=shape,
        weights=weights,
        bias=bias,
        quantization=Requantization.from_scales(
            scales, (case["in_zero"], case["out_zero"]), clamp=clamp
        ),
    )
    x = int8(rng, 1, *shape.in_shape)
    order = weights[np.newaxis] if shape.op is OpType.DEPTHWISE else weights
    arrays = {"x": x.reshape(1, -1) if dense else x, "w": order, "b": bias}
    return finish(case, shape, arrays, layer)


def conv(rng: Rng):
    case, sizes = window(rng)
    in_ch, out_ch = (int(n) for n in rng.integers(1, 10, 2))
    shape = Shape.conv(sizes.pop("in_size"), in_ch, out_ch, **sizes, family=S8)
    return weighted(rng, {"op": "conv", **case}, shape)


def depthwise(rng: Rng):
    case, sizes = window(rng)
    ch, multiplier = int(rng.integers(1, 10)), int(rng.choice([1, 1, 2, 3]))
    size = sizes.pop("in_size")
    shape = Shape.depthwise(size, ch, **sizes, multiplier=multiplier, family=S8)
    return weighted(rng, {"op": "depthwise", "multiplier": multiplier, **case}, shape)


def fc(rng: Rng):
    in_len, out_len = int(rng.integers(1, 80)), int(rng.integers(1, 12))
    case = {"op": "fc", "activation": str(rng.choice(["none", "relu", "relu6"]))}
    return weighted(rng, case, Shape.fully_connected(in_len, out_len, family=S8))


def pool(op: OpType, name: str):
    def make(rng: Rng):
        case, sizes = window(rng)
        one, zero_point = scale(rng, -2), zero(rng)
        case |= {"op": name, "in_scale": one, "out_scale": one}
        case |= {"in_zero": zero_point, "out_zero": zero_point}
        shape = Shape.pool(op, sizes.pop("in_size"), int(rng.integers(1, 10)), **sizes, family=S8)
        clamp = activation_clamp(case["activation"], one, zero_point)
        layer = Layer(name="pool", shape=shape, quantization=Requantization(clamp=clamp))
        return finish(case, shape, {"x": int8(rng, 1, *shape.in_shape)}, layer)

    return make


def add(rng: Rng):
    size, ch = tuple(int(n) for n in rng.integers(1, 6, 2)), int(rng.integers(1, 20))
    shape = Shape.elementwise(OpType.ADD, size, ch, family=S8)
    scales = scale(rng, -2), scale(rng, -2), scale(rng, -2)
    if rng.integers(4) == 0:
        scales = 0.25, 0.5, 2.0 ** int(rng.integers(-1, 3))
    zeros = zero(rng), zero(rng), zero(rng)
    kind = str(rng.choice(["none", "relu", "relu6"]))
    case = {"op": "add", "activation": kind, "in_scale": scales[0], "in2_scale": scales[1]}
    case |= {"out_scale": scales[2], "in_zero": zeros[0], "in2_zero": zeros[1]}
    case["out_zero"] = zeros[2]
    clamp = activation_clamp(kind, scales[2], zeros[2])
    quantization = AddQuantization.from_scales(scales, zeros, clamp=clamp)
    layer = Layer(name="add", shape=shape, quantization=quantization)
    arrays = {"x": int8(rng, 1, *shape.in_shape), "y": int8(rng, 1, *shape.in_shape)}
    return finish(case, shape, arrays, layer)


def softmax(rng: Rng):
    size, ch = tuple(int(n) for n in rng.integers(1, 4, 2)), int(rng.integers(1, 40))
    shape = Shape.elementwise(OpType.SOFTMAX, size, ch, family=S8)
    case = {"op": "softmax", "in_scale": scale(rng, -3, 0.5), "in_zero": zero(rng)}
    case |= {"out_scale": 1.0 / 256, "out_zero": -128}
    quantization = SoftmaxQuantization.from_scale(case["in_scale"])
    layer = Layer(name="softmax", shape=shape, quantization=quantization)
    return finish(case, shape, {"x": int8(rng, 1, *shape.in_shape)}, layer)


def relu(rng: Rng):
    size, ch = tuple(int(n) for n in rng.integers(1, 6, 2)), int(rng.integers(1, 20))
    shape = Shape.elementwise(OpType.RELU, size, ch, family=S8)
    one, zero_point, kind = scale(rng, -2), zero(rng), str(rng.choice(["relu", "relu6"]))
    case = {"op": kind, "in_scale": one, "out_scale": one}
    case |= {"in_zero": zero_point, "out_zero": zero_point}
    clamp = activation_clamp(kind, one, zero_point)
    layer = Layer(name="relu", shape=shape, quantization=Requantization(clamp=clamp))
    return finish(case, shape, {"x": int8(rng, 1, *shape.in_shape)}, layer)


MAKERS = {
    "conv": conv,
    "depthwise": depthwise,
    "fc": fc,
    "max_pool": pool(OpType.MAX_POOL, "max_pool"),
    "ave_pool": pool(OpType.AVE_POOL, "ave_pool"),
    "add": add,
    "softmax": softmax,
    "relu": relu,
}


@pytest.mark.parametrize("op", MAKERS)
def test_model_equals_the_reference_interpreter(tmp_path, op):
    rng = np.random.default_rng(sum(op.encode()))
    made = [MAKERS[op](rng) for _ in range(CASES)]
    arrays = {f"{name}{i}": a for i, (_, own, _) in enumerate(made) for name, a in own.items()}
    given, written = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(given, cases=json.dumps([case for case, _, _ in made]), **arrays)
    done = subprocess.run(
        [sys.executable, str(WORKER), str(given), str(written)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = np.load(written)
    alive = 0
    for index, (case, own, layer) in enumerate(made):
        inputs = [own[name][0] for name in ("x", "y") if name in own]
        expected = outputs[f"out{index}"].reshape(layer.shape.out_shape)
        assert (layer.forward(*inputs) == expected).all(), (index, case)
        alive += expected.min() < expected.max()
    assert alive > CASES // 2  # most outputs are not one value throughout
