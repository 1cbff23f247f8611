"""The kernels of the s8 and q15 families on the simulated core, against the NumPy models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from m7sim.ops import Family, Layer, OpType, Shape, kernel_forms, prepare
from m7sim.ops.quantization import AddQuantization, Requantization, SoftmaxQuantization

pytestmark = pytest.mark.toolchain

S8 = Family.S8
thorough = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
pairs = st.tuples
side, kernel_side, stride, pad = (st.integers(*ends) for ends in ((1, 8), (1, 5), (1, 3), (0, 3)))
channels = st.integers(1, 22)
seeds = st.integers(0, 2**31)
convolution = st.fixed_dictionaries(
    {
        "in_size": pairs(side, side),
        "kernel": pairs(kernel_side, kernel_side),
        "stride": pairs(stride, stride),
        "pad": pairs(pad, pad),
    }
)


def int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    if kind == 1:
        return np.full(shape, -128, np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def clamp(rng: np.random.Generator) -> tuple[int, int]:
    if rng.integers(2):
        return -128, 127
    low, high = sorted(int(n) for n in rng.integers(-128, 128, 2))
    return low, high


def scales(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts, also without a shift and to the left, and a multiplier of 0."""
    multiplier = rng.integers(1 << 30, 1 << 31, count)
    multiplier[rng.integers(20, size=count) == 0] = 0
    shift = rng.choice([-31, -12, -8, -7, -6, -1, 0, 1, 5], count)
    return multiplier.astype(np.int32), shift.astype(np.int32)


def scaling(rng: np.random.Generator, count: int) -> Requantization:
    multiplier, shift = scales(rng, count)
    return Requantization(
        in_offset=int(rng.choice([0, 128, -127, rng.integers(-127, 129)])),
        out_offset=int(rng.integers(-128, 128)),
        multiplier=multiplier,
        shift=shift,
        clamp=clamp(rng),
    )


def check(run, layer: Layer, *inputs: np.ndarray) -> None:
    expected = layer.forward(*inputs)
    for form in kernel_forms(layer.shape):
        got = run(prepare(layer, *inputs, form=form))
        assert (got == expected).all(), form


def check_weighted(run, shape: Shape, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = Layer(
        name="layer",
        shape=shape,
        weights=int8(rng, *(shape.weight_shape or ())),
        bias=rng.integers(-(1 << 16), 1 << 16, shape.out_ch).astype(np.int32),
        quantization=scaling(rng, 1 if shape.op is OpType.FULLY_CONNECTED else shape.out_ch),
    )
    check(run, layer, int8(rng, *shape.in_shape))


def fits(sizes) -> None:
    for n, k, p in zip(sizes["in_size"], sizes["kernel"], sizes["pad"], strict=True):
        assume(n + 2 * p >= k)


@thorough
@given(convolution, channels, channels, seeds)
def test_conv(run, sizes, in_ch, out_ch, seed):
    fits(sizes)
    size = sizes.pop("in_size")
    check_weighted(run, Shape.conv(size, in_ch, out_ch, **sizes, family=S8), seed)


@thorough
@given(convolution, st.integers(1, 5), channels, seeds)
def test_conv_in_groups_of_four(run, sizes, quads, out_ch, seed):
    fits(sizes)
    size = sizes.pop("in_size")
    check_weighted(run, Shape.conv(size, 4 * quads, out_ch, **sizes, family=S8), seed)


@thorough
@given(side, side, st.integers(1, 70), channels, seeds)
def test_pointwise(run, in_y, in_x, in_ch, out_ch, seed):
    shape = Shape.conv((in_y, in_x), in_ch, out_ch, kernel=(1, 1), family=S8)
    assert kernel_forms(shape)[0] == "1x1"
    check_weighted(run, shape, seed)


@thorough
@given(convolution, channels, st.sampled_from([1, 1, 2, 3, 4, 8]), seeds)
def test_depthwise(run, sizes, ch, multiplier, seed):
    fits(sizes)
    size = sizes.pop("in_size")
    shape = Shape.depthwise(size, ch, **sizes, multiplier=multiplier, family=S8)
    assert ("multi" in kernel_forms(shape)) == (multiplier % 4 == 0)
    assert ("optimised" in kernel_forms(shape)) == (multiplier == 1)
    check_weighted(run, shape, seed)


@thorough
@given(pairs(side, side), pairs(stride, stride), st.integers(0, 1), channels, seeds)
def test_depthwise_3x3(run, size, stride, pad, ch, seed):
    assume(min(size) + 2 * pad >= 3)
    window = {"kernel": (3, 3), "stride": stride, "pad": (pad, pad)}
    shape = Shape.depthwise(size, ch, **window, family=S8)
    assert kernel_forms(shape)[0] == "3x3"
    check_weighted(run, shape, seed)


@thorough
@given(st.integers(1, 70), st.integers(1, 14), seeds)
def test_fully_connected(run, in_len, out_len, seed):
    check_weighted(run, Shape.fully_connected(in_len, out_len, family=S8), seed)


@thorough
@given(
    st.sampled_from([OpType.MAX_POOL, OpType.AVE_POOL]),
    pairs(side, side),
    channels,
    pairs(kernel_side, kernel_side),
    pairs(stride, stride),
    pairs(pad, pad),
    seeds,
)
def test_pools(run, op, in_size, ch, kernel, stride, pad, seed):
    rng = np.random.default_rng(seed)
    padding = (min(pad[0], kernel[0] - 1), min(pad[1], kernel[1] - 1))
    shape = Shape.pool(op, in_size, ch, kernel=kernel, stride=stride, pad=padding, family=S8)
    layer = Layer(name="pool", shape=shape, quantization=Requantization(clamp=clamp(rng)))
    check(run, layer, int8(rng, *shape.in_shape))


@pytest.mark.parametrize("value", [-128, 127])
def test_an_average_of_many_does_not_overflow(run, value):
    shape = Shape.pool(OpType.AVE_POOL, (2, 600), 5, kernel=(2, 600), stride=(1, 1), family=S8)
    layer = Layer(name="pool", shape=shape, quantization=Requantization())
    check(run, layer, np.full(shape.in_shape, value, np.int8))


@thorough
@given(st.integers(1, 40), seeds)
def test_add_of_any_scales(run, length, seed):
    rng = np.random.default_rng(seed)
    shape = Shape.elementwise(OpType.ADD, (1, 1), length, family=S8)
    multiplier, shift = scales(rng, 3)
    down = [min(int(s), 0) for s in shift]
    quantization = AddQuantization(
        in_offsets=(int(rng.integers(-127, 129)), int(rng.integers(-127, 129))),
        in_multipliers=(int(multiplier[0]), int(multiplier[1])),
        in_shifts=(down[0], down[1]),
        out_offset=int(rng.integers(-128, 128)),
        out_multiplier=int(multiplier[2]),
        out_shift=max(min(down[2] - 10, -15), -31),
        clamp=clamp(rng),
    )
    layer = Layer(name="add", shape=shape, quantization=quantization)
    check(run, layer, int8(rng, length), int8(rng, length))


@thorough
@given(st.integers(1, 40), st.integers(1, 3), st.floats(-3.0, 0.5), seeds)
def test_softmax(run, length, rows, exponent, seed):
    rng = np.random.default_rng(seed)
    shape = Shape.elementwise(OpType.SOFTMAX, (rows, 1), length, family=S8)
    quantization = SoftmaxQuantization.from_scale(10.0**exponent)
    layer = Layer(name="softmax", shape=shape, quantization=quantization)
    check(run, layer, int8(rng, *shape.in_shape))


@thorough
@given(st.integers(1, 40), seeds)
def test_relu_and_q7_add(run, length, seed):
    rng = np.random.default_rng(seed)
    shape = Shape.elementwise(OpType.RELU, (1, 1), length, family=S8)
    layer = Layer(name="relu", shape=shape, quantization=Requantization(clamp=clamp(rng)))
    check(run, layer, int8(rng, length))
    add = Layer(name="add", shape=Shape.elementwise(OpType.ADD, (1, 1), length))
    check(run, add, int8(rng, length), int8(rng, length))


@thorough
@given(st.integers(1, 41), st.integers(1, 14), st.integers(0, 24), st.integers(0, 20), seeds)
def test_fully_connected_q15(run, in_len, out_len, bias_shift, out_shift, seed):
    rng = np.random.default_rng(seed)
    shape = Shape.fully_connected(in_len, out_len, family=Family.Q15)
    layer = Layer(
        name="layer",
        shape=shape,
        weights=int8(rng, out_len, in_len),
        bias=int8(rng, out_len),
        bias_shift=bias_shift,
        out_shift=out_shift,
    )
    extremes = np.array([-32768, 32767], np.int16)
    x = rng.integers(-32768, 32768, in_len).astype(np.int16)
    check(run, layer, x if rng.integers(2) else rng.choice(extremes, in_len))


def test_bad_arguments_are_refused_and_nothing_is_written(machine):
    def layer(shape: Shape) -> Layer:
        rng = np.random.default_rng(1)
        if shape.weight_shape is None:
            return Layer(name="layer", shape=shape, quantization=Requantization())
        return Layer(
            name="layer",
            shape=shape,
            weights=int8(rng, *shape.weight_shape),
            bias=np.zeros(shape.out_ch, np.int32),
            quantization=scaling(rng, 1 if shape.op is OpType.FULLY_CONNECTED else shape.out_ch),
        )

    sizes = {"kernel": (3, 3), "pad": (1, 1)}
    clamps = {"in_offset": 129, "clamp_min": 128, "clamp_max": 128}
    image = {"in_x": 0, "in_ch": 0, "out_ch": 3, "kernel_y": 0, "pad_x": -1, "stride_x": 0}
    vector = {"in_len": 0, "out_len": 0}
    pool = {"in_x": 0, "ch": 0, "kernel_y": 0, "pad_x": 3, "stride_x": 0, "out_y": 9}
    point = {"kernel_x": 2, "pad_y": 1, "stride_x": 2, "out_y": 3}
    three = {"kernel_x": 2, "kernel_y": 4}
    window = {"kernel": (3, 3), "stride": (2, 2)}
    many = Shape.depthwise((4, 4), 4, **sizes, multiplier=4, family=S8)
    cases: list[tuple[Shape, str, dict[str, int]]] = [
        (Shape.conv((4, 4), 4, 4, kernel=(1, 1), family=S8), "1x1", {**clamps, **point}),
        (Shape.depthwise((4, 4), 4, **sizes, family=S8), "3x3", {**clamps, **image, **three}),
        (many, "multi", {**clamps, **image, "out_ch": 12}),
    ]
    for form in ("optimised", "naive"):
        plain = {name: bad for name, bad in image.items() if name != "out_ch"}
        conv = Shape.conv((4, 4), 4, 4, **sizes, family=S8)
        cases.append((conv, form, {**clamps, **plain, "out_ch": 0}))
        cases.append((Shape.depthwise((4, 4), 4, **sizes, family=S8), form, {**clamps, **image}))
        cases.append((Shape.fully_connected(8, 4, family=S8), form, {**clamps, **vector}))
        for op in (OpType.MAX_POOL, OpType.AVE_POOL):
            shape = Shape.pool(op, (4, 4), 4, **window, family=S8)
            cases.append((shape, form, {"clamp_min": 128, "clamp_max": 128, **pool}))
    largest = Shape.pool(OpType.MAX_POOL, (4, 4), 4, **window, family=S8)
    cases.append((largest, "select", {"clamp_min": 128, "clamp_max": 128, **pool}))
    for shape, form, changes in cases:
        for name, bad in changes.items():
            call = prepare(layer(shape), np.ones(shape.in_elements, np.int8), form=form)
            call.output[...] = 99
            arguments = {**call.parameters, name: bad}
            result = machine.call(call.function, *arguments.values())
            assert result.value == -1, (call.function, name)
            assert (call.output == 99).all()
