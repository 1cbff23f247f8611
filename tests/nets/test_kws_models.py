"""The keyword-spotting networks against the published tables and independent counts of them."""

from __future__ import annotations

import pytest

from m7sim.errors import InputError, TableError
from m7sim.nets.kws import equal_ops
from m7sim.nets.kws.models import KINDS, SIZES, Model, _Builder, ds_cnn, hello_edge
from m7sim.ops.recurrent import CellType, RecurrentShape

# Weights and biases, largest activations, multiply-accumulates. Counted apart from this program;
# the MACs of DNN, CNN, DS-CNN and Basic LSTM are those of published model files as well.
COUNTS = {
    "DNN S": (79_644, 394, 79_200),
    "DNN M": (198_924, 512, 198_144),
    "DNN L": (495_744, 872, 494_424),
    "CNN S": (69_238, 9_760, 2_498_304),
    "CNN M": (178_444, 20_992, 8_633_856),
    "CNN L": (476_206, 21_664, 12_636_672),
    "Basic LSTM S": (62_316, 962, 2_961_800),
    "Basic LSTM M": (195_180, 1_346, 9_398_024),
    "Basic LSTM L": (492_620, 1_866, 23_872_224),
    "LSTM S": (78_516, 970, 1_909_176),
    "LSTM M": (196_732, 1_890, 9_468_360),
    "LSTM L": (495_768, 2_990, 24_012_256),
    "GRU S": (78_090, 712, 1_896_048),
    "GRU M": (198_762, 1_240, 9_558_000),
    "GRU L": (498_012, 1_690, 24_112_800),
    "CRNN S": (75_432, 4_330, 1_498_848),
    "CRNN M": (189_032, 10_730, 3_798_432),
    "CRNN L": (485_004, 14_544, 9_629_104),
    "DS-CNN S": (22_604, 16_000, 2_656_768),
    "DS-CNN M": (135_032, 54_180, 9_816_384),
    "DS-CNN L": (410_700, 86_940, 28_327_812),
}
# Printed values that do not equal the recomputed ones to rounding, and the largest difference.
OPS_BEYOND_ROUNDING = {"DNN M": 0.6, "Basic LSTM S": 0.75}  # in units of the last digit
KB_BEYOND_ROUNDING = {"CNN L": 0.071, "CRNN S": 0.063}
MODELS = {model.name: model for model in hello_edge().models}


def test_there_are_seven_kinds_in_three_sizes() -> None:
    assert [(m.kind, m.size) for m in hello_edge().models] == [(k, s) for k in KINDS for s in SIZES]


@pytest.mark.parametrize("name", COUNTS)
def test_weights_activations_and_macs(name: str) -> None:
    model = MODELS[name]
    assert (model.weight_bytes, model.activation_bytes, model.macs) == COUNTS[name]


@pytest.mark.parametrize("model", hello_edge().models, ids=lambda m: m.name)
def test_memory_and_ops_equal_the_printed_tables(model: Model) -> None:
    assert model.published is not None
    digits = abs(model.ops - model.published.ops) / model.published.ops_digit
    assert digits <= OPS_BEYOND_ROUNDING.get(model.name, 0.5)
    assert model.name not in OPS_BEYOND_ROUNDING or digits > 0.5, "no exception any more"
    error_kb = abs(model.memory_bytes / 1000 - model.published.memory_kb)
    assert error_kb <= KB_BEYOND_ROUNDING.get(model.name, 0.05 + 1e-9)
    assert model.name not in KB_BEYOND_ROUNDING or error_kb > 0.05, "no exception any more"


def test_networks_of_a_size_fit_its_limits() -> None:
    limits = {"S": (80, 6e6), "M": (200, 20e6), "L": (500, 80e6)}
    for model in hello_edge().models:
        kb, ops = limits[model.size]
        assert model.memory_bytes / 1000 <= kb + 0.05
        assert model.ops <= ops


def test_same_padding_puts_the_odd_zero_behind() -> None:
    first, *rest = (s.shape for s in MODELS["DS-CNN M"].steps if s.name in ("conv1", "dw1", "pw1"))
    assert (first.pad_y, first.pad_x, first.out_shape) == (4, 1, (25, 10, 172))
    assert (rest[0].pad_y, rest[0].pad_x, rest[0].out_shape) == (1, 0, (13, 5, 172))
    assert rest[1].kernel == (1, 1)


def test_where_the_largest_activations_are() -> None:
    def place(name: str) -> str:
        return max(MODELS[name].steps, key=lambda step: step.live_bytes).name

    assert [place(f"CNN {size}") for size in SIZES] == ["conv2"] * 3
    assert [place(f"DS-CNN {size}") for size in SIZES] == ["dw1"] * 3
    assert [place(f"CRNN {size}") for size in SIZES] == ["conv1", "conv1", "gru1"]


def test_a_recurrent_layer_hands_on_every_frame_only_to_another_one() -> None:
    one, two = (s.shape for s in MODELS["CRNN S"].steps if s.name.startswith("gru"))
    assert (one.out_shape, two.in_shape, two.out_shape) == ((20, 1, 60), (20, 1, 60), (1, 1, 60))
    assert one.in_len == 4 * 48


def test_the_five_networks() -> None:
    chosen = equal_ops.load()
    ops = [each.model.ops for each in chosen.candidates]
    assert len(ops) == 5
    assert (max(ops) - min(ops)) / (max(ops) + min(ops)) <= 0.03
    less, more = chosen.pair
    assert less.model.steps == MODELS["DS-CNN M"].steps
    assert (less.accuracy_percent, more.accuracy_percent) == (94.9, None)
    for each in chosen.candidates:
        assert each.features % 4 == 0
        assert each.layers >= less.layers
        assert each.model.memory_bytes <= 200_000


def test_the_family_contains_the_small_and_large_ones() -> None:
    small = ds_cnn(layers=5, features=64, first_stride=(2, 2), second_stride=(1, 1), name="x")
    large = ds_cnn(layers=6, features=276, first_stride=(2, 1), second_stride=(2, 2), name="x")
    assert small.steps == MODELS["DS-CNN S"].steps
    assert large.steps == MODELS["DS-CNN L"].steps


def test_impossible_sizes_and_layers_are_refused() -> None:
    sizes = {"op": CellType.GRU, "frames": 4, "in_len": 3, "cells": 5}
    with pytest.raises(InputError, match="4 outputs of 5 cells"):
        RecurrentShape(**sizes, out_len=4)
    with pytest.raises(InputError, match="3 outputs of 4 frames"):
        RecurrentShape(**sizes, out_len=5, out_frames=3)
    with pytest.raises(InputError, match="below 1"):
        RecurrentShape(**{**sizes, "cells": 0}, out_len=0)
    with pytest.raises(TableError, match="no such layer"):
        _Builder(49, 10, {}, where="x").add({"dens": 3})
