"""The registry: names, parameters, work, data that is the same everywhere, kernels that fit."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from m7sim.errors import InputError
from m7sim.ops import Family, OpType, Shape, registry

NAMES = [
    *("conv", "1x1", "depthwise", "fc", "max_pool", "ave_pool", "relu", "add", "softmax"),
    "fc_q15",
    *("conv_s8", "1x1_s8", "depthwise_s8", "fc_s8", "max_pool_s8", "ave_pool_s8"),
    *("relu_s8", "add_s8", "softmax_s8"),
]
# First bytes of a hash over everything a workload consists of.
DIGEST = "56907465e2d48d80"


def test_every_operation_is_there():
    assert list(registry.OPS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shape_and_its_parameters_say_the_same(name):
    op = registry.get(name)
    for changes in ({}, {op.parameters[0].name: 7}):
        shape = op.shape(**changes)
        values = op.parameters_of(shape)
        assert list(values) == [p.name for p in op.parameters]
        assert op.shape(**values) == shape
        assert changes.items() <= values.items()
        assert (shape.op, shape.family) == (op.type, op.family)
        assert registry.name_of(shape) == name
        for parameter in op.parameters:
            assert parameter.minimum <= values[parameter.name] <= parameter.maximum
            assert parameter.meaning


@pytest.mark.parametrize("name", NAMES)
def test_outputs_of_a_workload_are_alive(name):
    op = registry.get(name)
    work = op.workload(op.shape())
    expected = work.expected
    assert expected.shape == work.shape.out_shape
    limit = np.iinfo(expected.dtype)
    if op.type is not OpType.SOFTMAX:
        spread = expected.astype(float).std() / -limit.min
        assert 0.08 < spread < 0.6, spread
        saturated = ((expected == limit.min) | (expected == limit.max)).mean()
        assert saturated < 0.06
    assert op.workload(op.shape(), seed=1).inputs[0].tobytes() != work.inputs[0].tobytes()


def test_workloads_are_the_same_everywhere():
    digest = hashlib.sha256()
    for op in registry.OPS.values():
        call = op.workload(op.shape(), seed=3).call()
        for argument in call.arguments:
            given = argument if isinstance(argument, np.ndarray) else np.array(argument, "<i8")
            digest.update(np.ascontiguousarray(given).tobytes())
    assert digest.hexdigest()[:16] == DIGEST


def test_work_of_published_layers():
    conv = registry.get("conv").shape(size=32, in_ch=3, out_ch=32, kernel=5)
    assert (conv.ops, conv.macs_per_output, conv.weight_bytes) == (4_915_200, 75, 2400)
    assert conv == Shape.conv((32, 32), 3, 32, kernel=(5, 5), pad=(2, 2))
    assert conv.bytes_moved == 3072 + 2400 + 32 + 32_768
    pool = registry.get("max_pool").shape(size=32, ch=32)
    assert (pool.out_shape, pool.ops) == ((16, 16, 32), 73_728)
    fc = registry.get("fc").shape(in_len=1024, out_len=10)
    assert (fc.ops, fc.macs_per_output) == (20_480, 1024)
    wide = registry.get("fc_q15").shape(in_len=1024, out_len=10)
    assert (wide.ops, wide.in_bytes, wide.out_bytes) == (20_480, 2048, 20)
    assert registry.get("add").shape(size=4, ch=8).in_bytes == 256
    s8 = registry.get("conv_s8").shape(size=8, in_ch=4, out_ch=6)
    assert (s8.weight_bytes, s8.bias_bytes) == (216, 72)
    assert registry.get("fc_s8").shape(in_len=8, out_len=6).bias_bytes == 24
    assert registry.get("relu").shape(size=4, ch=8).ops == 128
    assert registry.get("softmax").shape(length=10).ops == 10


def test_parameters_of_a_window():
    op = registry.get("conv")
    assert op.shape(kernel=5).pad == (2, 2)
    assert op.shape(kernel_y=5, kernel_x=3).pad == (2, 1)
    assert op.shape(kernel=3, stride_x=2, pad=0).out_shape == (14, 7, 32)
    assert op.shape(size=8, kernel=3, stride=2, pad=0, out_y=4, out_x=4).out_shape[:2] == (4, 4)
    assert registry.name_of(op.shape(kernel=1)) == "1x1"
    assert registry.name_of(registry.get("conv_s8").shape(kernel=1)) == "1x1_s8"
    assert registry.get("depthwise_s8").shape(ch=4, multiplier=3).out_ch == 12
    assert (
        registry.get("conv").shape(size=32, in_ch=3, kernel=5).label == "32x32x3 5x5/1+2 32x32x32"
    )
    assert registry.get("fc").shape(in_len=5, out_len=6).label == "1x1x5 1x1x6"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("conv", {"in_chanels": 3}, "no parameter 'in_chanels'"),
        ("conv", {"in_ch": 0}, "in_ch is 0"),
        ("conv", {"in_ch": 4.0}, "needed a whole number"),
        ("conv", {"in_ch": True}, "needed a whole number"),
        ("conv", {"size": 4, "in_y": 3}, "in_y is given twice"),
        ("conv", {"size": 4, "kernel": 9, "pad": 0}, "below 1"),
        ("max_pool", {"kernel": 3, "pad": 3}, "a window without a pixel"),
        ("ave_pool_s8", {"size": 4, "out_y": 9, "out_x": 9}, "a window without a pixel"),
        ("conv", {"out_y": 3}, "out_y and out_x go together"),
        ("fc", {"size": 4}, "no parameter 'size'"),
        ("1x1", {"kernel": 3}, "no parameter 'kernel'"),
        ("depthwise", {"multiplier": 2}, "no parameter 'multiplier'"),
    ],
)
def test_wrong_parameters_say_what_is_wrong(name, values, message):
    with pytest.raises(InputError, match=message):
        registry.get(name).shape(**values)


def test_misspelt_names_get_the_nearest():
    with pytest.raises(InputError) as caught:
        registry.get("conv_8s")
    assert "Did you mean conv_s8?" in caught.value.do
    with pytest.raises(InputError) as caught:
        registry.get("conv").shape(in_chanels=3)
    assert "Did you mean in_ch" in caught.value.do
    with pytest.raises(InputError, match="no conv of the q15 family"):
        registry.name_of(Shape.conv((4, 4), 4, 4, kernel=(3, 3), family=Family.Q15))


def test_variants_and_why_not():
    conv = registry.get("conv")
    odd = conv.shape(in_ch=5, out_ch=7)
    assert conv.variants(odd) == ("basic", "naive")
    assert conv.obstacles(odd)["fast"] == "needs in_ch a multiple of 4 and out_ch of 2"
    assert conv.obstacles(odd)["rgb"] == "needs in_ch 3"
    for op in registry.OPS.values():
        shape = op.shape()
        assert op.variants(shape)[-1].endswith("naive")
        assert list(op.obstacles(shape)) == list(op.kernels)
    many = registry.get("depthwise_s8")
    assert many.variants(many.shape(ch=4, multiplier=2)) == ("naive",)
    assert many.variants(many.shape(ch=4, multiplier=8)) == ("multi", "naive")
    assert many.obstacles(many.shape(kernel=5))["3x3"] == "needs a 3x3 kernel"
    with pytest.raises(InputError, match="no kernel of form 'fast'"):
        conv.workload(odd).call("fast")


def test_a_shape_beyond_any_memory_is_refused():
    fc = registry.get("fc")
    with pytest.raises(InputError, match="needs 4096 MiB"):
        fc.workload(fc.shape(in_len=65536, out_len=65536))


def test_a_call_tells_its_constants_and_scratch():
    conv = registry.get("conv_s8")
    call = conv.workload(conv.shape(size=4, in_ch=5, out_ch=6)).call("optimised")
    assert call.constant_names == ("weights", "bias", "multiplier", "shift")
    assert sum(len(a) for a in map(np.ravel, call.constants)) == 6 * 45 + 3 * 6 * 4
    assert call.scratch_bytes == 2 * (2 * 45 + 23)
    fc = registry.get("fc_s8")
    assert fc.workload(fc.shape()).call().constant_names == ("weights", "bias")


@pytest.mark.toolchain
def test_an_elf_of_other_options_and_boards():
    usual = registry.elf()
    assert registry.elf(cflags=("-Os",)).stat().st_size != usual.stat().st_size
    assert registry.elf(board="stm32h743") != usual
    with pytest.raises(InputError, match="no linker script for board 'stm32f999'"):
        registry.elf(board="stm32f999")
