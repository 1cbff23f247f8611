"""Outputs of published networks, computed by the NumPy model from their published weights."""

from __future__ import annotations

import numpy as np
import pytest

from m7sim.nets import cifar10
from m7sim.ops import Layer, Shape

IMAGES = "legacy_q7/cifar10_cmsis_example_5_6_0_q7.npz"
EXAMPLE = "legacy_q7/cifar10_cmsis_example_5_3_0_q7.npz"

CIFAR10 = [
    ("cifar10_cmsis_example_5_6_0_q7", 0, "cat", [3, 0, -3, 9, -2, 1, 0, -3, 1, -5]),
    ("cifar10_cmsis_example_5_6_0_q7", 1, "ship", [3, 19, -7, -6, -10, -16, -4, -15, 27, 8]),
    ("cifar10_m7_q7", 0, "dog", [-20, -2, -1, 46, -13, 47, 6, -7, -26, -30]),
    ("cifar10_m7_q7", 1, "ship", [48, 30, -25, -37, -31, -49, -43, -43, 127, 14]),
    ("cifar10_m4_q7", 0, "cat", [-20, -14, 5, 47, -10, 25, 12, -25, -11, -7]),
    ("cifar10_m4_q7", 1, "ship", [38, 63, -32, -27, -28, -48, -41, -29, 102, 2]),
]


@pytest.mark.parametrize(("weights", "image", "answer", "output"), CIFAR10)
def test_cifar10_networks_on_two_pictures(models, weights, image, answer, output):
    network = cifar10.load(models / "legacy_q7" / f"{weights}.npz")
    x = cifar10.load_images(models / IMAGES, network)[image]
    last = network.forward(x)[-1]
    assert last.ravel().tolist() == output
    assert network.answer(last) == answer


def test_reference_outputs_shipped_with_the_models(models):
    network = cifar10.load(models / IMAGES)
    expected = np.load(models / "legacy_q7" / "cifar10_cmsis_example_5_6_0_ref_out.npz")["fc_out"]
    images = cifar10.load_images(models / IMAGES, network)
    got = [network.forward(x)[-1].ravel() for x in images]
    assert (np.array(got) == expected).all()


@pytest.mark.parametrize(
    ("weights", "x4", "output"),
    [
        ("cifar10_cmsis_example_5_3_0_q7", True, [-1, -18, 6, 2, 24, -10, 13, -6, -6, -5]),
        ("cifar10_cmsis_example_5_3_0_q7", False, [-2, -13, 17, 12, 12, -5, -1, -7, -6, -5]),
        ("cifar10_m7_q7", True, [-5, -14, 11, 17, 20, -22, 15, -15, -5, -1]),
    ],
)
def test_example_input_with_both_readings_of_its_last_layer(models, weights, x4, output):
    network = cifar10.load(models / "legacy_q7" / f"{weights}.npz", x4=x4)
    (x,) = cifar10.load_images(models / EXAMPLE, network)
    assert network.forward(x)[-1].ravel().tolist() == output


def keyword_layer(arrays, name: str, parameter: str, shape: Shape) -> Layer:
    return Layer(
        name=name,
        shape=shape,
        weights=arrays[f"{name}_wt"].reshape(shape.weight_shape),
        bias=arrays[f"{name}_bias"],
        bias_shift=int(arrays[f"param_{parameter}_BIAS_LSHIFT"]),
        out_shift=int(arrays[f"param_{parameter}_OUT_RSHIFT"]),
    )


def keyword_layers(arrays) -> list[Layer]:
    """DS-CNN-S up to its average pooling: 49x10 coefficients, five 64-channel blocks at 25x5."""
    first = Shape.conv((49, 10), 1, 64, kernel=(10, 4), stride=(2, 2), pad=(4, 1), out_size=(25, 5))
    layers = [keyword_layer(arrays, "conv1", "CONV1", first)]
    for block in (2, 3, 4, 5):
        depthwise = Shape.depthwise((25, 5), 64, kernel=(3, 3), pad=(1, 1))
        pointwise = Shape.conv((25, 5), 64, 64, kernel=(1, 1))
        for kind, shape in (("ds", depthwise), ("pw", pointwise)):
            layers.append(
                keyword_layer(arrays, f"conv{block}_{kind}", f"CONV{block}_{kind.upper()}", shape)
            )
    return layers


def test_depthwise_separable_keyword_network(models):
    arrays = np.load(models / "legacy_q7" / "kws_ds_cnn_s_q7.npz")
    clip = np.load(models / "legacy_q7" / "kws_wav_sample_features.npz")
    x = clip["mfcc49_q1"].astype(np.int8)
    for layer in keyword_layers(arrays):
        x = np.maximum(layer.forward(x), 0)
    sums = x.astype(np.int64).sum(axis=(0, 1)) << 2
    pooled = (sums // 125).astype(np.int8)  # its own pooling; sums are not negative here
    fc = keyword_layer(arrays, "final_fc", "FINAL_FC", Shape.fully_connected(64, 12))
    out = fc.forward(pooled).ravel()
    expected = [-128, -18, -86, -60, -72, -68, 17, 127, -69, -98, -99, -86]
    assert out.tolist() == expected == clip["ds_cnn_s_q7_fc_out"].tolist()


def test_fully_connected_keyword_network(models):
    arrays = np.load(models / "legacy_q7" / "kws_dnn_s_q7.npz")
    clip = np.load(models / "legacy_q7" / "kws_wav_sample_features.npz")
    x = clip["mfcc25_q2"].astype(np.int8).ravel()
    for number, (bias_shift, out_shift) in enumerate(((1, 7), (2, 8), (2, 9), (0, 6)), start=1):
        bias = arrays[f"ip{number}_bias"]
        shape = Shape.fully_connected(x.size, bias.size)
        layer = Layer(
            name=f"ip{number}",
            shape=shape,
            weights=arrays[f"ip{number}_wt"].reshape(shape.weight_shape),
            bias=bias,
            bias_shift=bias_shift,
            out_shift=out_shift,
        )
        x = layer.forward(x).ravel()
        if number < 4:
            x = np.maximum(x, 0)
    expected = [-107, 54, -72, -44, -18, -39, 3, 92, 30, -44, -40, -26]
    assert x.tolist() == expected == clip["dnn_s_q7_fc_out"].tolist()
