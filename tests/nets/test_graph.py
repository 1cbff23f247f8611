"""Graphs made in Python and from TOML, and what makes them sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from m7sim.errors import InputError, TableError
from m7sim.nets import design, execute, load, work
from m7sim.nets.builder import Builder, padded
from m7sim.nets.dead_channels import LIMIT, tamed
from m7sim.nets.graph import Graph, Node, Tensor, TensorScale, in_order
from m7sim.ops.layer import Layer
from m7sim.ops.quantization import Requantization
from m7sim.ops.reference_s8 import scaled
from m7sim.ops.shapes import Family, Shape

DS_CNN_S_MACS = 2_656_768  # of the published model of the same shapes


def ds_cnn() -> Graph:
    net = Builder("DS-CNN-S")
    x = net.conv(net.input((49, 10, 1)), 64, kernel=(10, 4), stride=2)
    for _ in range(4):
        x = net.conv(net.depthwise(x, kernel=3), 64, kernel=1)
    return net.finish(net.softmax(net.fc(net.ave_pool(x), 12)))


def residual(*, reads_twice: bool = True) -> Graph:
    """Return a small graph with a branch, an in-place rectifier and a reshape."""
    net = Builder("branches")
    x = net.conv(net.input((8, 8, 4)), 8, name="first")
    y = net.relu(x, name="rectified")
    z = net.residual(net.depthwise(y, name="across"), x if reads_twice else y, name="sum")
    flat = net.reshape(net.max_pool(z, kernel=2, name="pooled"), (4 * 4 * 8,))
    return net.finish(net.fc(flat, 5, name="last"))


def test_work_of_a_design() -> None:
    graph = ds_cnn()
    assert graph.totals.macs == DS_CNN_S_MACS
    assert not graph.complete
    assert graph.tensor(graph.outputs[0]).shape == (1, 1, 1, 12)
    assert graph.tensor("conv1").shape == (1, 25, 5, 64)
    assert {name: len(nodes) for name, nodes in graph.consumers.items()}["conv1"] == 1


def test_padding_is_tensorflows() -> None:
    assert padded((49, 10), (10, 4), (2, 2), "same") == ((4, 1), (25, 5))
    assert padded((96, 96), (3, 3), (2, 2), "same") == ((0, 0), (48, 48))
    assert padded((49, 10), (10, 4), (1, 1), "valid") == ((0, 0), (40, 7))
    assert padded((32, 32), (5, 5), (1, 1), 2) == ((2, 2), (32, 32))
    with pytest.raises(InputError, match="does not fit"):
        padded((3, 3), (5, 5), (1, 1), "valid")


def test_views_share_memory_and_order_is_checked() -> None:
    graph = residual()
    flat = next(node for node in graph.nodes if node.op == "reshape").outputs[0]
    assert graph.storage(flat) == "pooled"
    names = [node.name for node in graph.nodes]
    assert [node.name for node in graph.reordered(names).nodes] == names
    with pytest.raises(InputError, match="before anybody has made it"):
        graph.reordered([names[1], names[0], *names[2:]])
    with pytest.raises(InputError, match="every node once"):
        graph.reordered(names[1:])


def test_unsound_graphs() -> None:
    graph = residual()
    one, two, *others = graph.nodes
    broken: dict[str, tuple[Node, ...]] = {
        "two nodes are called": (one, replace(two, name=one.name), *others),
        "two producers": (one, replace(two, outputs=one.outputs), *others),
        "does not exist": (one, replace(two, inputs=("nothing",)), *others),
        "before anybody has made it": (replace(one, inputs=("last",)), two, *others),
        "needed 512 elements": (one, replace(two, inputs=("input1",)), *others),
    }
    for message, nodes in broken.items():
        with pytest.raises(InputError, match=message):
            replace(graph, nodes=nodes)
    with pytest.raises(InputError, match="nobody makes the output"):
        replace(graph, nodes=graph.nodes[:-1])


def test_order_is_kept_or_found() -> None:
    nodes = residual().nodes
    assert in_order(nodes, ["input1"]) == nodes
    found = in_order(tuple(reversed(nodes)), ["input1"])
    assert [n.name for n in found] == [n.name for n in nodes]
    with pytest.raises(InputError, match="no order of execution"):
        in_order(nodes, [])


def test_tensors_check_themselves() -> None:
    with pytest.raises(InputError, match="below 1"):
        Tensor(name="t", shape=(1, 0))
    with pytest.raises(InputError, match="declared"):
        Tensor(name="t", shape=(2,), data=np.zeros(3, np.int8))
    with pytest.raises(InputError, match="positive"):
        TensorScale((float("nan"),), (0,))


@pytest.mark.toolchain
@pytest.mark.parametrize("reads_twice", [True, False])
def test_branches_and_in_place_kernels_run_bit_exact(reads_twice: bool) -> None:
    graph = work.seeded(residual(reads_twice=reads_twice))
    sample = load.sample(graph, None)
    done = execute.run(graph, sample.inputs)
    wanted = execute.forward(graph, sample.inputs)[graph.outputs[0]]
    assert done.total.matches
    assert np.array_equal(done.outputs[graph.outputs[0]], wanted)


@pytest.mark.toolchain
def test_destructive_pooling_leaves_what_others_read() -> None:
    net = Builder("q7 branches", family=Family.Q7)
    x = net.conv(net.input((8, 8, 4)), 4, name="first")
    small = net.max_pool(x, kernel=3, stride=1, padding=1, name="pooled")
    graph = work.seeded(net.finish(net.residual(x, small)))
    sample = load.sample(graph, None)
    done = execute.run(graph, sample.inputs)
    wanted = execute.forward(graph, sample.inputs)[graph.outputs[0]]
    assert np.array_equal(done.outputs[graph.outputs[0]], wanted)


def test_opaque_nodes_are_left_out_and_said() -> None:
    net = Builder("odd")
    x = net.conv(net.input((8, 8, 4)), 8)
    graph = net.finish(net.opaque([x], (8, 8, 8), source="HARD_SWISH"))
    assert graph.totals.remark == "without HARD_SWISH (1)"
    assert graph.totals.macs == graph.nodes[0].macs
    with pytest.raises(InputError, match=r"HARD_SWISH \(1\)"):
        execute.forward(work.seeded(graph), [np.zeros((1, 8, 8, 4), np.int8)])


# TOML ------------------------------------------------------------------------------------------

DESIGN = """
name = "small"
input = [49, 10, 1]
[[layer]]
op = "conv"
out_ch = 64
kernel = [10, 4]
stride = 2
[[layer]]
op = "depthwise"
name = "across"
[[layer]]
op = "add"
from = ["across", "conv1"]
[[layer]]
op = "ave_pool"
[[layer]]
op = "fc"
out_len = 12
[[layer]]
op = "softmax"
"""


def test_design_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(DESIGN)
    graph = design.read(path)
    assert [node.op for node in graph.nodes] == [
        *("conv_s8", "depthwise_s8", "add_s8", "ave_pool_s8", "fc_s8", "softmax_s8"),
    ]
    assert graph.totals.macs == 320_000 + 72_000 + 768
    assert load.load(path).seeded


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('op = "conv"', 'op = "convv"', "Did you mean"),
        ("out_ch = 64", "outch = 64", "unknown key 'outch'"),
        ("out_ch = 64", "out_ch = 0", "out_ch is 0"),
        ("stride = 2", "stride = [1, 2, 3]", "stride is"),
        ("[49, 10, 1]", "[49, 10]", "sizes"),
        ('"conv1"]', '"nothing"]', "no tensor 'nothing'"),
        ('["across", "conv1"]', '"across"', "two inputs"),
        ("[[layer]]", "[layer", "no TOML"),
    ],
)
def test_design_that_is_wrong_says_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(DESIGN.replace(old, new, 1))
    with pytest.raises((InputError, TableError), match=r".") as caught:
        design.read(path)
    assert message in str(caught.value)


# Channels that are switched off ----------------------------------------------------------------


def dead(bias: list[int], shift: list[int]) -> Layer:
    shape = Shape.conv((1, 1), 4, 2, kernel=(1, 1), family=Family.S8)
    scales = Requantization(
        in_offset=128,
        out_offset=-128,
        multiplier=np.array([1_569_364_972, 1_500_000_000], np.int32),
        shift=np.array(shift, np.int32),
    )
    weights = np.zeros((2, 1, 1, 4), np.int8)
    weights[1] = 5
    return Layer(
        name="l",
        shape=shape,
        weights=weights,
        bias=np.array(bias, np.int32),
        quantization=scales,
    )


def test_enormous_bias_of_a_constant_channel_is_replaced_exactly() -> None:
    layer = dead([LIMIT, 100], [-26, -7])
    made = tamed(layer)
    assert made is not None
    assert made.bias is not None
    assert abs(int(made.bias[0])) < LIMIT
    assert int(made.bias[1]) == 100
    for value in (-128, 0, 127):
        x = np.full((1, 1, 4), value, np.int8)
        assert np.array_equal(made.forward(x), layer.forward(x))


def test_enormous_bias_whose_channel_still_varies_is_not_covered() -> None:
    layer = dead([0, 0], [-8, -23])
    scales = layer.requantization
    assert scales.multiplier is not None
    assert scales.shift is not None
    sums = np.arange(LIMIT, LIMIT + (1 << 24), 4096)
    outputs = scaled(sums, int(scales.multiplier[1]), int(scales.shift[1]))
    edge = int(sums[np.flatnonzero(np.diff(outputs))[0]])
    assert tamed(replace(layer, bias=np.array([0, edge], np.int32))) is None
    assert tamed(replace(layer, bias=np.array([0, 5], np.int32))) is not None
