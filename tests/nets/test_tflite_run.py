"""Published models on the simulated board, against vectors of the reference interpreter."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from m7sim import cli
from m7sim.errors import InputError
from m7sim.estimate import Estimator
from m7sim.nets import estimated, execute, legacy, load
from m7sim.report import graph_run

pytestmark = pytest.mark.toolchain

ARM = [f"arm_ml_examples_kws/{kind}_{size}_quantized" for kind in ("dnn", "cnn") for size in "sml"]
SMALL = [
    *ARM,
    "arm_ml_examples_kws/ds_cnn_s_quantized",
    "arm_ml_examples_kws/ds_cnn_m_quantized",
    "arm_ml_examples_kws/kws_micronet_m_int8",
    "arm_ml_zoo/har_int8",
    "mcunet/tinyengine_vww",
    "mlperf_tiny/ad01_int8",
    "mlperf_tiny/kws_ref_model",
    "mlperf_tiny/pretrainedResnet_quant",
    "mlperf_tiny/str_ww_ref_model",
    "mlperf_tiny/vww_96_int8",
    "tflm/hello_world_int8",
    "tflm/micro_speech_quantized",
    "tflm/person_detect",
]
LARGE = ["arm_ml_examples_kws/ds_cnn_l_quantized", "mlperf_tiny/pretrainedResnet_large_int8"]
NAMES = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]
# Answers of the two published q7 networks to the clip "right".
Q7 = {
    "ds_cnn_s": [-128, -18, -86, -60, -72, -68, 17, 127, -69, -98, -99, -86],
    "dnn_s": [-107, 54, -72, -44, -18, -39, 3, 92, 30, -44, -40, -26],
}
# Estimate against run: issue's bounds on median and worst network.
MEDIAN_ERROR, WORST_ERROR = 0.04, 0.10


def vectors(models: Path, name: str) -> Path:
    return models / "ref_vectors" / f"{Path(name).name}.npz"


@pytest.mark.parametrize("name", NAMES)
def test_answers_and_every_layer_are_bit_exact(models: Path, name: str) -> None:
    graph = load.load(models / f"{name}.tflite")
    sample = load.sample(graph, str(vectors(models, name)))
    done = execute.run(graph, sample.inputs)
    assert [layer.name for layer in done.layers if not layer.matches] == []
    assert sample.expected is not None
    assert np.array_equal(done.outputs[graph.outputs[0]], sample.expected)
    total = done.total
    assert total.macs == graph.totals.macs
    assert total.cycles == sum(layer.cycles for layer in done.layers)
    assert all(x.cycles == x.issue_cycles + sum(x.stalls.values()) for x in done.layers)


@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_model_equals_all_vectors(models: Path, name: str) -> None:
    graph = load.load(models / f"{name}.tflite")
    with np.load(vectors(models, name)) as file:
        pairs = list(zip(file["x"], file["y"], strict=True))
    for x, y in pairs:
        found = execute.forward(graph, [x.reshape(graph.tensor(graph.inputs[0]).shape)])
        assert np.array_equal(found[graph.outputs[0]].reshape(-1), y.reshape(-1))


@pytest.mark.parametrize("name", Q7)
def test_legacy_networks_give_their_known_answers(models: Path, name: str) -> None:
    folder = models / "legacy_q7"
    graph = legacy.load(folder / f"kws_{name}_q7.npz")
    with np.load(folder / "kws_wav_sample_features.npz") as file:
        x = file["mfcc49_q1" if name == "ds_cnn_s" else "mfcc25_q2"]
    done = execute.run(graph, [x])
    assert done.scores.tolist() == Q7[name]
    assert done.answer == "right"
    assert done.total.matches


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


def test_estimates_are_near_full_runs(models: Path, estimator: Estimator) -> None:
    errors = {}
    for name in ("mlperf_tiny/kws_ref_model", "mlperf_tiny/ad01_int8", "tflm/person_detect",
                 "mlperf_tiny/pretrainedResnet_quant", "mlperf_tiny/vww_96_int8"):  # fmt: skip
        graph = load.load(models / f"{name}.tflite")
        guess = estimated.estimate(graph, estimator)
        assert not guess.left_out
        done = execute.run(graph, load.sample(graph, None).inputs)
        assert guess.total.cycles is not None
        errors[name] = abs(guess.total.cycles / done.total.cycles - 1)
    assert np.median(list(errors.values())) <= MEDIAN_ERROR
    assert max(errors.values()) <= WORST_ERROR


def test_memory_that_is_too_small_is_named(models: Path) -> None:
    graph = load.load(models / "arm_ml_examples_kws" / "kws_micronet_m_int8.tflite")
    sample = load.sample(graph, None)
    with pytest.raises(InputError, match="does not fit"):
        execute.run(graph, sample.inputs, placement="flash+dtcm")


def test_command_writes_what_it_says(models: Path, tmp_path: Path) -> None:
    model = models / "arm_ml_examples_kws" / "dnn_s_quantized.tflite"
    names = ("run.json", "layers.csv", "layers.svg")
    output, table, picture = (tmp_path / name for name in names)
    source = str(vectors(models, "dnn_s_quantized"))
    arguments = ["net", str(model), "--run", "--estimate", "--input", f"{source}:1", "--json"]
    arguments += ["-o", str(output), "--csv", str(table), "--figure", str(picture)]
    assert cli.main(arguments) == 0
    document = json.loads(output.read_text())
    assert document["macs"] == 79_200
    assert document["run"]["equals_expected"] is True
    assert document["run"]["total"]["cycles"] > 0
    assert abs(document["estimate"]["error_against_run"]) < WORST_ERROR
    shares = [layer["share_of_time"] for layer in document["run"]["layers"]]
    assert sum(shares) == pytest.approx(1.0)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["name"] == "total"
    assert sum(int(row["cycles"]) for row in rows[:-1]) == int(rows[-1]["cycles"])
    assert "<svg" in picture.read_text()


def test_wrong_answer_in_the_file_is_a_failed_check(models: Path, tmp_path: Path) -> None:
    model = models / "tflm" / "hello_world_int8.tflite"
    with np.load(vectors(models, "hello_world_int8")) as file:
        np.savez(tmp_path / "wrong.npz", x=file["x"], y=file["y"] + np.int8(1))
    code = cli.main(
        ["net", str(model), "--input", str(tmp_path / "wrong.npz"), "-o", str(tmp_path / "out")]
    )
    assert code == 1
    assert "differ from those in the file" in " ".join((tmp_path / "out").read_text().split())


def test_estimate_of_what_cannot_be_run(
    models: Path, estimator: Estimator, capsys: pytest.CaptureFixture[str]
) -> None:
    model = models / "tflm" / "trained_lstm_int8.tflite"
    assert cli.main(["net", str(model), "--allow-unsupported"]) == 2
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM (1)" in capsys.readouterr().err
    graph = load.load(model, allow_unsupported=True)
    guess = estimated.estimate(graph, estimator)
    assert guess.left_out == ("unidirectional_sequence_lstm1",)
    assert guess.total.cycles
    text = " ".join(graph_run.render(graph, None, None, guess).split())
    assert "every total is without UNIDIRECTIONAL_SEQUENCE_LSTM (1)" in text
    document = graph_run.document(graph, None, None, guess)
    assert document["unsupported"] == {"UNIDIRECTIONAL_SEQUENCE_LSTM": 1}
