"""Work per shape: numbers of the published layer tables."""

from __future__ import annotations

import numpy as np
import pytest

from m7sim.errors import InputError
from m7sim.ops import Layer, OpType, Shape, kernel_forms, prepare
from m7sim.ops.kernels import buffer_elements


def test_counts_of_the_first_convolution():
    shape = Shape.conv((32, 32), 3, 32, kernel=(5, 5), pad=(2, 2))
    assert (shape.op, shape.out_shape) == (OpType.CONV, (32, 32, 32))
    assert (shape.macs_per_output, shape.macs, shape.ops) == (75, 2_457_600, 4_915_200)
    assert (shape.weights, shape.weight_shape) == (2400, (32, 5, 5, 3))
    assert buffer_elements(shape) == 150


def test_counts_of_pooling_rectifier_and_fully_connected():
    pool = Shape.pool(OpType.MAX_POOL, (32, 32), 32, kernel=(3, 3), stride=(2, 2))
    assert (pool.out_shape, pool.ops, pool.macs) == ((16, 16, 32), 73_728, 0)
    assert Shape.relu((16, 16), 32).ops == 8192
    fc = Shape.fully_connected(1024, 10)
    assert (fc.ops, fc.macs_per_output, fc.weights) == (20_480, 1024, 10_240)
    assert Shape.softmax(10).ops == 10


def test_counts_of_a_keyword_network_block():
    depthwise = Shape.depthwise((25, 5), 64, kernel=(3, 3), pad=(1, 1))
    assert (depthwise.macs, depthwise.macs_per_output) == (25 * 5 * 64 * 9, 9)
    pointwise = Shape.conv((25, 5), 64, 64, kernel=(1, 1))
    assert pointwise.op is OpType.POINTWISE
    assert pointwise.macs == 25 * 5 * 64 * 64
    assert Shape.conv((25, 5), 64, 64, kernel=(1, 1), stride=(2, 2)).op is OpType.CONV


def test_forms_follow_the_channel_rules():
    def forms(in_ch: int, out_ch: int) -> tuple[str, ...]:
        return kernel_forms(Shape.conv((8, 8), in_ch, out_ch, kernel=(3, 3)))

    assert forms(3, 32) == ("rgb", "basic", "naive")
    assert forms(4, 2) == ("fast", "basic", "naive")
    assert forms(4, 3) == forms(5, 4) == ("basic", "naive")
    assert kernel_forms(Shape.conv((8, 8), 4, 2, kernel=(1, 1)))[0] == "1x1"
    wide = Shape.pool(OpType.MAX_POOL, (8, 8), 4, kernel=(3, 3), stride=(1, 1), pad=(1, 1))
    assert kernel_forms(wide) == ("naive",)


def test_bad_shapes_and_layers_are_refused():
    with pytest.raises(InputError, match="below 1"):
        Shape.conv((2, 2), 3, 4, kernel=(5, 5))
    with pytest.raises(InputError, match="not a pooling"):
        Shape.pool(OpType.RELU, (2, 2), 3, kernel=(1, 1), stride=(1, 1))
    shape = Shape.fully_connected(8, 3)
    weights, bias = np.zeros((3, 8), np.int8), np.zeros(3, np.int8)
    with pytest.raises(InputError, match=r"needed \(3, 8\)"):
        Layer(name="fc", shape=shape, weights=weights.T.copy(), bias=bias)
    with pytest.raises(InputError, match="bias of shape"):
        Layer(name="fc", shape=shape, weights=weights)
    with pytest.raises(InputError, match="shift outside"):
        Layer(name="fc", shape=shape, weights=weights, bias=bias, out_shift=32)
    with pytest.raises(InputError, match="needed int8"):
        Layer(name="fc", shape=shape, weights=weights.astype(np.int16), bias=bias)
    layer = Layer(name="fc", shape=shape, weights=weights, bias=bias)
    with pytest.raises(InputError, match="no kernel of form 'fast'"):
        prepare(layer, np.zeros(8, np.int8), form="fast")
    for function in (layer.forward, lambda x: prepare(layer, x)):
        with pytest.raises(InputError, match="7 elements"):
            function(np.zeros(7, np.int8))
