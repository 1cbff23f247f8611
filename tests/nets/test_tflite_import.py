"""``.tflite`` files: what is read from them, and what damaged and hostile ones do."""

from __future__ import annotations

import random
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m7sim import cli
from m7sim.errors import InputError, ToolError
from m7sim.nets import lower, tflite_import
from m7sim.nets.graph import Graph, TensorScale
from m7sim.nets.raw import RawModel, RawOp, RawTensor

SUPPORTED = {
    "mlperf_tiny/kws_ref_model": 2_656_768,
    "mlperf_tiny/ad01_int8": 264_192,
    "mlperf_tiny/pretrainedResnet_quant": 12_501_632,
    "mlperf_tiny/vww_96_int8": 7_489_664,
    "arm_ml_examples_kws/ds_cnn_l_quantized": 28_327_812,
    "arm_ml_examples_kws/cnn_m_quantized": 8_633_856,
    "arm_ml_examples_kws/dnn_s_quantized": 79_200,
    "arm_ml_examples_kws/kws_micronet_m_int8": 15_556_352,
    "tflm/person_detect": 7_157_888,
    "tflm/micro_speech_quantized": 336_000,
}
UNSUPPORTED = {
    "arm_ml_examples_kws/basic_lstm_s_quantized": {"LOGISTIC": 147, "TANH": 98, "SPLIT": 49},
    "arm_ml_zoo/ds_cnn_s_int16": {"CONV_2D (int16)": 5, "FULLY_CONNECTED (int16)": 1},
    "tflm/trained_lstm_int8": {"UNIDIRECTIONAL_SEQUENCE_LSTM": 1},
    "tflm/keyword_scrambled_8bit": {"SVDF": 7},
}
PER_FILE_S, FUZZ_S, GROWTH_MB = 1.0, 8.0, 200


def graph_of(data: bytes, *, allow_unsupported: bool = False) -> Graph:
    raw = tflite_import.parse(data, "fuzzed", "fuzzed.tflite")
    return lower.lower(raw, allow_unsupported=allow_unsupported)


def read(models: Path, name: str) -> bytes:
    return (models / f"{name}.tflite").read_bytes()


@pytest.mark.parametrize("name", SUPPORTED)
def test_work_is_what_the_operators_say(models: Path, name: str) -> None:
    graph = graph_of(read(models, name))
    assert graph.totals.macs == SUPPORTED[name]
    assert not graph.unsupported
    assert graph.complete


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_operators_are_listed_all_at_once(models: Path, name: str) -> None:
    data = read(models, name)
    with pytest.raises(InputError) as caught:
        graph_of(data)
    for operator, count in UNSUPPORTED[name].items():
        assert f"{operator} ({count})" in str(caught.value)
    graph = graph_of(data, allow_unsupported=True)
    assert graph.unsupported.items() >= UNSUPPORTED[name].items()
    assert graph.totals.remark.startswith("without ")


def test_padding_is_folded_into_the_convolution_behind_it(models: Path) -> None:
    graph = graph_of(read(models, "mcunet/tinyengine_vww"))
    first = next(node for node in graph.nodes if node.runs)
    assert first.shape is not None
    assert (first.shape.in_shape, first.shape.pad) == ((80, 80, 3), (1, 1))
    assert first.shape.out_shape == (40, 40, 16)
    assert not [node for node in graph.nodes if node.source == "PAD"]


# Damaged and hostile files ---------------------------------------------------------------------


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Return a file with random bytes, or words that often matter, replaced, or cut short."""
    made = bytearray(data)
    kind = rng.random()
    if kind < 0.2:
        return bytes(made[: rng.randrange(len(made))])
    if kind < 0.5:
        for _ in range(rng.randrange(1, 30)):
            made[rng.randrange(len(made))] = rng.randrange(256)
        return bytes(made)
    values = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(2**32), rng.randrange(len(made)))
    for _ in range(rng.randrange(1, 8)):
        near = rng.choice((0, max(len(made) - 6000, 0), rng.randrange(len(made))))
        at = min((near + rng.randrange(6000)) // 4 * 4, len(made) - 4)
        made[at : at + 4] = rng.choice(values).to_bytes(4, "little")
    return bytes(made)


@pytest.mark.parametrize(
    "name", ["mlperf_tiny/kws_ref_model", "tflm/hello_world_int8", "tflm/micro_speech_quantized"]
)
def test_fuzzed_files_parse_or_say_why_not(models: Path, name: str) -> None:
    data, rng = read(models, name), random.Random(name)
    graph_of(data, allow_unsupported=True)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    parsed, messages = 0, []
    end = time.monotonic() + FUZZ_S / 3
    while time.monotonic() < end:
        made, start = mutate(rng, data), time.perf_counter()
        try:
            graph_of(made, allow_unsupported=True)
            parsed += 1
        except InputError as error:
            messages.append(str(error))
        assert time.perf_counter() - start < PER_FILE_S
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < GROWTH_MB << 10
    assert all("fuzzed.tflite" in message for message in messages)
    assert min(parsed, len(messages)) >= 3


@pytest.mark.parametrize("size", [0, 3, 8, 100, 20_000])
def test_truncated_file_is_one_message(models: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "short.tflite"
    path.write_bytes(read(models, "mlperf_tiny/kws_ref_model")[:size])
    with pytest.raises(InputError, match=r"short\.tflite"):
        lower.lower(tflite_import.read(path))


def patched(data: bytes, operator: int, field: int, values: dict[int, int]) -> bytes:
    """Return a file with numbers in an operator's list of inputs (6) or outputs (8) replaced."""
    schema = tflite_import.library()
    model: Any = schema.Model.GetRootAsModel(data, 0)
    table = model.Subgraphs(0).Operators(operator)._tab
    start, made = table.Vector(table.Offset(field)), bytearray(data)
    for index, value in values.items():
        made[start + 4 * index : start + 4 * index + 4] = value.to_bytes(4, "little", signed=True)
    return bytes(made)


def test_cycle_has_no_order(models: Path) -> None:
    data = read(models, "mlperf_tiny/kws_ref_model")
    model = tflite_import.parse(data, "x", "x")
    later = model.ops[5].outputs[0]
    with pytest.raises(InputError, match="no order of execution"):
        graph_of(patched(data, 2, 6, {0: later}))


@pytest.mark.parametrize("index", [10_000, -2, 2**31 - 1])
def test_index_of_no_tensor(models: Path, index: int) -> None:
    data = patched(read(models, "mlperf_tiny/kws_ref_model"), 2, 6, {0: index})
    with pytest.raises(InputError, match="index of a tensor"):
        graph_of(data)


def test_huge_shape_is_refused_before_anything_is_made(models: Path) -> None:
    data = bytearray(read(models, "mlperf_tiny/kws_ref_model"))
    schema = tflite_import.library()
    model: Any = schema.Model.GetRootAsModel(bytes(data), 0)
    table = model.Subgraphs(0).Tensors(0)._tab
    start = table.Vector(table.Offset(4))
    data[start : start + 16] = (2**30).to_bytes(4, "little") * 4
    with pytest.raises(InputError, match="larger than"):
        graph_of(bytes(data))


def chain(length: int, elements: int) -> RawModel:
    """Return a model of many operators that share one large constant."""
    one = TensorScale((1.0,), (0,))
    weights = np.zeros((elements, elements), np.int8)
    tensors = [
        RawTensor(name=f"t{i}", shape=(1, elements), dtype="int8", scale=one)
        for i in range(length + 1)
    ]
    tensors.append(RawTensor(name="w", shape=weights.shape, dtype="int8", scale=one, data=weights))
    options = {"activation": "none", "format": 0}
    ops = [
        RawOp(kind="FULLY_CONNECTED", inputs=(i, length + 1), outputs=(i + 1,), options=options)
        for i in range(length)
    ]
    return RawModel(
        name="chain",
        origin="chain",
        tensors=tuple(tensors),
        ops=tuple(ops),
        inputs=(0,),
        outputs=(length,),
    )


def test_tensor_made_twice() -> None:
    model = chain(2, 16)
    ops = (model.ops[0], replace(model.ops[1], inputs=(0, 3), outputs=(1,)))
    with pytest.raises(InputError, match="two producers"):
        lower.lower(replace(model, ops=ops, outputs=(1,)))


def test_shared_constants_do_not_add_up_without_bound() -> None:
    assert len(lower.lower(chain(3, 16)).nodes) == 3
    with pytest.raises(InputError, match="constants"):
        lower.lower(chain(10_000, 1000))


@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1e38])
def test_absurd_scales_are_one_message(scale: float) -> None:
    model = chain(2, 16)
    options = {"activation": "relu6", "format": 0}
    tensors = [replace(t, scale=TensorScale((scale,), (0,))) for t in model.tensors[:2]]
    ops = [replace(op, options=options) for op in model.ops]
    odd = replace(model, tensors=(*tensors, *model.tensors[2:]), ops=tuple(ops))
    with pytest.raises(InputError, match="chain"):
        lower.lower(odd)


def test_command_says_it_in_one_line(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(b"\0" * 4 + b"TFL3" + b"\xff" * 100)
    assert cli.main(["net", str(path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert cli.main(["net", str(models / "arm_ml_zoo" / "ds_cnn_s_int16.tflite")]) == 2
    message = capsys.readouterr().err
    assert "CONV_2D (int16) (5)" in message
    assert "--allow-unsupported" in message


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tflite", None)
    with pytest.raises(ToolError, match=r"m7sim\[networks\]"):
        tflite_import.parse(b"\0" * 100, "x", "x")
