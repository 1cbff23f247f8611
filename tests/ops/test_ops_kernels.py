"""Every kernel on the simulated core, byte for byte against the NumPy model."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from m7sim import toolchain
from m7sim.nets import cifar10
from m7sim.ops import Layer, OpType, Shape, kernel_forms, prepare, registry

pytestmark = pytest.mark.toolchain

TINY = {
    OpType.CONV: {"size": 4, "in_ch": 4, "out_ch": 4},
    OpType.POINTWISE: {"size": 4, "in_ch": 4, "out_ch": 4},
    OpType.FULLY_CONNECTED: {"in_len": 8, "out_len": 4},
    OpType.SOFTMAX: {"length": 10},
}
thorough = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
side = st.integers(1, 9)
kernel_side = st.integers(1, 5)
stride = st.integers(1, 3)
pad = st.integers(0, 3)
channels = st.integers(1, 9)
out_shift = st.integers(0, 14)
bias_shift = st.integers(0, 8)
longer = st.integers(0, 1)  # outputs beyond the symmetric padding
seeds = st.integers(0, 2**31)


def int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        return rng.choice(np.array([-128, 127], dtype=np.int8), shape)
    if kind == 1:
        return np.full(shape, -128, dtype=np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def weighted_layer(shape: Shape, bias_shift: int, out_shift: int, seed: int) -> Layer:
    rng = np.random.default_rng(seed)
    return Layer(
        name="layer",
        shape=shape,
        weights=int8(rng, *(shape.weight_shape or ())),
        bias=int8(rng, shape.out_ch),
        bias_shift=bias_shift,
        out_shift=out_shift,
    )


def check(run, layer: Layer, seed: int) -> None:
    x = int8(np.random.default_rng(seed + 1), *layer.shape.in_shape)
    expected = layer.forward(x)
    for form in kernel_forms(layer.shape):
        got = run(prepare(layer, x, form=form))
        assert (got == expected).all(), form


def window(op, in_size, in_ch, out_ch, kernel, stride, pad, longer) -> Shape:
    out = [
        (n + 2 * p - k) // s + 1 + longer
        for n, k, s, p in zip(in_size, kernel, stride, pad, strict=True)
    ]
    assume(min(out) > 0)
    options = {"kernel": kernel, "stride": stride, "pad": pad, "out_size": (out[0], out[1])}
    if op is OpType.DEPTHWISE:
        return Shape.depthwise(in_size, in_ch, **options)
    return Shape.conv(in_size, in_ch, out_ch, **options)


pairs = st.tuples
convolution = st.fixed_dictionaries(
    {
        "in_size": pairs(side, side),
        "kernel": pairs(kernel_side, kernel_side),
        "stride": pairs(stride, stride),
        "pad": pairs(pad, pad),
        "longer": longer,
    }
)


@thorough
@given(convolution, channels, channels, bias_shift, out_shift, seeds)
def test_conv_of_any_channels(run, sizes, in_ch, out_ch, bias_shift, out_shift, seed):
    shape = window(OpType.CONV, in_ch=in_ch, out_ch=out_ch, **sizes)
    check(run, weighted_layer(shape, bias_shift, out_shift, seed), seed)


@thorough
@given(convolution, st.integers(1, 4), st.integers(1, 4), bias_shift, out_shift, seeds)
def test_conv_fast(run, sizes, in_quads, out_pairs, bias_shift, out_shift, seed):
    shape = window(OpType.CONV, in_ch=4 * in_quads, out_ch=2 * out_pairs, **sizes)
    assert "fast" in kernel_forms(shape)
    check(run, weighted_layer(shape, bias_shift, out_shift, seed), seed)


@thorough
@given(convolution, channels, bias_shift, out_shift, seeds)
def test_conv_rgb(run, sizes, out_ch, bias_shift, out_shift, seed):
    shape = window(OpType.CONV, in_ch=3, out_ch=out_ch, **sizes)
    assert "rgb" in kernel_forms(shape)
    check(run, weighted_layer(shape, bias_shift, out_shift, seed), seed)


@thorough
@given(side, side, st.integers(1, 4), st.integers(1, 4), bias_shift, out_shift, seeds)
def test_conv_1x1(run, in_y, in_x, in_quads, out_pairs, bias_shift, out_shift, seed):
    shape = Shape.conv((in_y, in_x), 4 * in_quads, 2 * out_pairs, kernel=(1, 1))
    assert kernel_forms(shape)[0] == "1x1"
    check(run, weighted_layer(shape, bias_shift, out_shift, seed), seed)


@thorough
@given(convolution, st.integers(1, 13), bias_shift, out_shift, seeds)
def test_depthwise(run, sizes, ch, bias_shift, out_shift, seed):
    shape = window(OpType.DEPTHWISE, in_ch=ch, out_ch=ch, **sizes)
    check(run, weighted_layer(shape, bias_shift, out_shift, seed), seed)


@thorough
@given(st.integers(1, 41), st.integers(1, 14), bias_shift, out_shift, seeds)
def test_fully_connected(run, in_len, out_len, bias_shift, out_shift, seed):
    layer = weighted_layer(Shape.fully_connected(in_len, out_len), bias_shift, out_shift, seed)
    check(run, layer, seed)


@pytest.mark.parametrize(("bias_shift", "out_shift"), [(31, 31), (31, 0), (24, 24), (0, 31)])
def test_shifts_up_to_31_wrap_alike(run, bias_shift, out_shift):
    for shape in (Shape.fully_connected(9, 7), Shape.conv((3, 3), 4, 2, kernel=(2, 2))):
        for seed in range(4):
            check(run, weighted_layer(shape, bias_shift, out_shift, seed), seed)


@thorough
@given(
    st.sampled_from([OpType.MAX_POOL, OpType.AVE_POOL]),
    pairs(side, side),
    st.integers(1, 13),
    pairs(kernel_side, kernel_side),
    pairs(stride, stride),
    pairs(pad, pad),
    seeds,
)
def test_pools(run, op, in_size, ch, kernel, stride, pad, seed):
    padding = (min(pad[0], kernel[0] - 1), min(pad[1], kernel[1] - 1))
    shape = Shape.pool(op, in_size, ch, kernel=kernel, stride=stride, pad=padding)
    assert ("optimised" in kernel_forms(shape)) == (padding[1] < stride[1])
    check(run, Layer(name="pool", shape=shape), seed)


@thorough
@given(st.integers(1, 40), st.integers(0, 6), seeds)
def test_relu_and_softmax(run, length, flatten, seed):
    x = int8(np.random.default_rng(seed), length) >> flatten
    for shape in (Shape.relu((1, 1), length), Shape.softmax(length)):
        layer = Layer(name="layer", shape=shape)
        for form in kernel_forms(shape):
            assert (run(prepare(layer, x, form=form)) == layer.forward(x)).all(), form


def test_a_vector_of_length_0_is_left_alone(machine):
    data = np.array([-5, 5], np.int8)
    for name in ("m7nn_relu", "m7nn_relu_naive"):
        machine.call(name, data, 0)
    for name in ("m7nn_softmax", "m7nn_softmax_naive"):
        machine.call(name, data, 0, data.copy())
    assert data.tolist() == [-5, 5]


def refusals() -> list[tuple[str, Shape, dict[int, int]]]:
    """Kernel form, a good shape, and arguments (by position) that make it a bad one."""
    image = Shape.conv((4, 4), 4, 4, kernel=(3, 3), pad=(1, 1))
    colour = Shape.conv((4, 4), 3, 4, kernel=(3, 3), pad=(1, 1))
    point = Shape.conv((4, 4), 4, 4, kernel=(1, 1))
    depth = Shape.depthwise((4, 4), 4, kernel=(3, 3), pad=(1, 1))
    largest = Shape.pool(OpType.MAX_POOL, (4, 4), 4, kernel=(3, 3), stride=(2, 2))
    average = Shape.pool(OpType.AVE_POOL, (4, 4), 4, kernel=(3, 3), stride=(2, 2))
    vector = Shape.fully_connected(8, 4)
    cases = [("fast", image, {3: 3}), ("fast", image, {5: 3}), ("rgb", colour, {3: 4})]
    cases += [("1x1", point, {10: 2}), ("1x1", point, {8: 1}), ("1x1", point, {16: 3})]
    cases += [(form, depth, {5: 3}) for form in ("optimised", "naive")]
    for form in ("basic", "fast", "naive"):
        cases += [(form, image, {position: 0}) for position in (1, 2, 3, 5, 6, 7, 10, 11, 16, 17)]
        cases += [(form, image, {8: -1}), (form, image, {13: 32}), (form, image, {14: -1})]
    for form in ("plain", "x4", "naive", "x4 naive"):
        cases += [(form, vector, {2: 0}), (form, vector, {3: -4}), (form, vector, {6: 32})]
    for form in ("optimised", "naive"):
        for shape in (largest, average):
            cases += [(form, shape, {position: 0}) for position in (1, 2, 3, 4, 5, 8, 9, 11, 12)]
            cases += [(form, shape, {11: 3}), (form, shape, {12: 3}), (form, shape, {6: 3})]
        cases.append((form, average, {4: 257}))
    cases += [("optimised", shape, {6: 2}) for shape in (largest, average)]
    return cases


def test_bad_shapes_are_refused_and_nothing_is_written(machine):
    for form, shape, changes in refusals():
        if shape.weight_shape is None:
            layer = Layer(name="layer", shape=shape)
        else:
            layer = weighted_layer(shape, 0, 0, 0)
        call = prepare(layer, np.ones(shape.in_elements, np.int8), form=form)
        arguments = [changes.get(n, argument) for n, argument in enumerate(call.arguments)]
        call.output[...] = 99
        result = machine.call(call.function, *arguments)
        assert result.value == -1, (form, shape, changes)
        assert (call.output == 99).all()


def test_kernels_that_pack_in_c(run_packing_in_c):
    shapes = (
        Shape.conv((5, 4), 5, 3, kernel=(3, 2), pad=(1, 1)),
        Shape.conv((5, 4), 3, 4, kernel=(3, 3), pad=(1, 1)),
        Shape.depthwise((5, 4), 9, kernel=(3, 3), pad=(1, 1)),
    )
    for shape in shapes:
        check(run_packing_in_c, weighted_layer(shape, 2, 7, 1), 1)


@pytest.mark.parametrize("weights", ["cifar10_m7_q7", "cifar10_cmsis_example_5_6_0_q7"])
def test_real_network_layer_by_layer(run, models, weights):
    network = cifar10.load(models / "legacy_q7" / f"{weights}.npz", softmax=True)
    images = models / "legacy_q7" / "cifar10_cmsis_example_5_6_0_q7.npz"
    for x in cifar10.load_images(images, network):
        for layer, expected in zip(network.layers, network.forward(x), strict=True):
            x = run(prepare(layer, x))
            assert (x == expected).all(), layer.name


def test_seeded_network_runs_on_every_form(run):
    network = cifar10.seeded(channels=(8, 4, 4))
    x = cifar10.seeded_image()
    for layer, expected in zip(network.layers, network.forward(x), strict=True):
        for form in kernel_forms(layer.shape):
            assert (run(prepare(layer, x, form=form)) == expected).all(), (layer.name, form)
        x = expected


def test_prepared_parameters_are_those_of_the_headers():
    headers = sorted((toolchain.firmware_dir() / "include").glob("m7nn*.h"))
    text = "".join(header.read_text() for header in headers)
    for op in registry.OPS.values():
        work = op.workload(op.shape(**TINY.get(op.type, {"size": 4, "ch": 4})))
        assert set(work.variants) == set(op.kernels) - {"rgb", "multi"}, op.name
        for variant in work.variants:
            call = work.call(variant)
            prototype = re.search(rf"\b{call.function}\(([^)]*)\)", text)
            assert prototype, call.function
            names = [re.split(r"[ *]", part.strip())[-1] for part in prototype[1].split(",")]
            assert list(call.parameters) == names, call.function
