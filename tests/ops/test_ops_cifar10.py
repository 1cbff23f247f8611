"""The CIFAR-10 network as data: its table, its seeded weights, its files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from m7sim.errors import InputError
from m7sim.nets import cifar10, published
from m7sim.nets.network import Network
from m7sim.ops import Layer, OpType, Shape

# name, output, weights, Ops: arXiv 1801.06601, Table 1
TABLE = [
    ("conv1", (32, 32, 32), 2_400, 4_915_200),
    ("pool1", (16, 16, 32), 0, 73_728),
    ("conv2", (16, 16, 32), 25_600, 13_107_200),
    ("pool2", (8, 8, 32), 0, 18_432),
    ("conv3", (8, 8, 64), 51_200, 6_553_600),
    ("pool3", (4, 4, 64), 0, 9_216),
    ("fc", (1, 1, 10), 10_240, 20_480),
]


def test_layer_table_is_the_published_one():
    network = cifar10.seeded()
    rows = [
        (layer.name, layer.shape.out_shape, layer.shape.weights, layer.shape.ops)
        for layer in network.layers
        if layer.shape.op is not OpType.RELU
    ]
    assert rows == TABLE
    assert network.weights == 89_440
    rectified = sum(la.shape.ops for la in network.layers if la.shape.op is OpType.RELU)
    assert (network.ops - rectified, rectified) == (24_697_856, 45_056)
    assert network.macs == 12_298_240
    assert network.seeded


def test_published_rows_cover_every_layer_and_add_up():
    table = published.cifar10()
    names = [name for row in table.rows for name in row.layers]
    assert names == [layer.name for layer in cifar10.seeded().layers]
    assert sum(row.ms for row in table.rows) == pytest.approx(table.total_ms)
    assert table.total_ops == sum(row[3] for row in TABLE)
    assert table.clock_hz == 216_000_000
    assert table.confidence == "measured"
    assert table.source


def test_seeded_weights_are_the_same_everywhere():
    digest = hashlib.sha256(cifar10.seeded_image().tobytes())
    for layer in cifar10.seeded().layers:
        if layer.weights is not None and layer.bias is not None:
            digest.update(layer.weights.tobytes())
            digest.update(layer.bias.tobytes())
    assert digest.hexdigest()[:16] == "7af4643dd3038bc9"
    assert not np.array_equal(cifar10.seeded_image(), cifar10.seeded_image(seed=1))


def test_seeded_activations_are_alive_in_every_layer():
    network = cifar10.seeded()
    for layer, out in zip(network.layers, network.forward(cifar10.seeded_image()), strict=True):
        assert 5 < out.astype(float).std() < 80, layer.name
        assert (np.abs(out.astype(int)) >= 127).mean() < 0.05, layer.name


def test_layers_must_fit_each_other():
    relu = Layer(name="relu", shape=Shape.relu((2, 2), 3))
    softmax = Layer(name="softmax", shape=Shape.softmax(11))
    with pytest.raises(InputError, match="relu gives"):
        Network(name="n", origin="here", seeded=True, layers=(relu, softmax), classes=())


def written(folder: Path, **changes: object) -> Path:
    """A complete weight file of the small shape, with some arrays changed or left out."""
    channels = (4, 2, 4)
    depths = (75, 100, 50, 64)
    arrays: dict[str, object] = {"mean_data": np.full(3072, 120, np.int16)}
    for name, out_ch, depth in zip(
        ("conv1", "conv2", "conv3", "ip1"), (*channels, 10), depths, strict=True
    ):
        arrays[f"{name}_wt"] = np.ones(out_ch * depth, np.int8)
        arrays[f"{name}_bias"] = np.zeros(out_ch, np.int8)
        for kind in ("BIAS_L", "OUT_R"):
            arrays[f"param_{name.upper()}_{kind}SHIFT"] = np.int32(7)
    arrays.update(changes)
    path = folder / "weights.npz"
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_a_weight_file_round_trips(tmp_path):
    network = cifar10.load(written(tmp_path))
    assert [la.shape.op for la in network.layers if la.name.startswith("pool")] == [
        OpType.MAX_POOL,
        OpType.AVE_POOL,
        OpType.AVE_POOL,
    ]
    assert not network.seeded
    np.save(tmp_path / "image.npy", np.full((32, 32, 3), 130, np.uint8))
    (x,) = cifar10.load_images(tmp_path / "image.npy", network)
    assert (x == 10).all()
    assert len(network.forward(x)) == 10
    chosen = cifar10.load(written(tmp_path), pools=cifar10.TIMED_POOLS, softmax=True)
    assert chosen.layers[-1].name == "softmax"
    assert chosen.layers[5].shape.op is OpType.MAX_POOL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv2_wt": None}, "no array 'conv2_wt'"),
        ({"param_IP1_OUT_RSHIFT": None}, "no array 'param_IP1_OUT_RSHIFT'"),
        ({"conv2_wt": np.ones(7, np.int8)}, "conv2_wt has 7 weights"),
        ({"conv1_wt": np.ones(300, np.int16)}, "conv1_wt is int16, needed int8"),
        ({"ip1_bias": np.ones(9, np.int8)}, "9 outputs, needed 10"),
        ({"mean_data": np.ones(5, np.int16)}, "mean_data has 5 values"),
        ({"param_CONV1_OUT_RSHIFT": np.int32(32)}, "shift outside 0 to 31"),
    ],
)
def test_bad_weight_files_say_what_is_wrong(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        cifar10.load(written(tmp_path, **changes))


def test_bad_files_and_images_say_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="not a file of arrays"):
        cifar10.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(InputError, match="not a file of arrays"):
        cifar10.load(tmp_path / "text.npz")
    network = cifar10.load(written(tmp_path))
    for name, array in (
        ("float", np.zeros((32, 32, 3))),
        ("size", np.zeros((31, 32, 3), np.uint8)),
        ("empty", np.zeros((0, 32, 32, 3), np.uint8)),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(InputError, match="array of shape"):
            cifar10.load_images(tmp_path / f"{name}.npy", network)
    (tmp_path / "text.npy").write_text("no")
    with pytest.raises(InputError, match="not an image array"):
        cifar10.load_images(tmp_path / "text.npy", network)
    with pytest.raises(InputError, match="no images_u8"):
        cifar10.load_images(written(tmp_path), network)
    np.save(tmp_path / "pixels.npy", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(InputError, match="does not say how pixels"):
        cifar10.load_images(tmp_path / "pixels.npy", cifar10.seeded())
    np.save(tmp_path / "inputs.npy", np.zeros((32, 32, 3), np.int8))
    assert len(cifar10.load_images(tmp_path / "inputs.npy", cifar10.seeded())) == 1
