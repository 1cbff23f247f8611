"""Footprint and plan of real models, against published figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m7sim import cli
from m7sim.board import Board
from m7sim.errors import InputError, ToolError
from m7sim.nets import load, memory, order, planner
from m7sim.nets.builder import Builder
from m7sim.nets.graph import Graph
from m7sim.ops.shapes import Family
from m7sim.report import memory as report

MODELS = Path(__file__).parents[3] / "shared" / "models"
KWS = "arm_ml_examples_kws"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="no models on this machine")

# Largest concurrent activations: arXiv 1711.07128, recomputed from its hyper-parameters; CIFAR-10:
# the two buffers of the published example; the others: largest input + output (+ shortcut).
ACTIVATION_BYTES = {
    f"{KWS}/dnn_s_quantized.tflite": 394,
    f"{KWS}/dnn_m_quantized.tflite": 512,
    f"{KWS}/dnn_l_quantized.tflite": 872,
    f"{KWS}/cnn_s_quantized.tflite": 9_760,
    f"{KWS}/cnn_m_quantized.tflite": 20_992,
    f"{KWS}/cnn_l_quantized.tflite": 21_664,
    f"{KWS}/ds_cnn_s_quantized.tflite": 16_000,
    f"{KWS}/ds_cnn_m_quantized.tflite": 54_180,
    f"{KWS}/ds_cnn_l_quantized.tflite": 86_940,
    f"{KWS}/kws_micronet_m_int8.tflite": 86_100,
    "mlperf_tiny/kws_ref_model.tflite": 16_000,
    "mlperf_tiny/ad01_int8.tflite": 640 + 128,
    "mlperf_tiny/pretrainedResnet_quant.tflite": 3 * 32 * 32 * 16,
    "mlperf_tiny/pretrainedResnet_large_int8.tflite": 3 * 32 * 32 * 40,
    "mlperf_tiny/vww_96_int8.tflite": 48 * 48 * (8 + 16),
    "tflm/person_detect.tflite": 48 * 48 * (8 + 16),
    "legacy_q7/cifar10_m7_q7.npz": 40_960,
    "legacy_q7/kws_ds_cnn_s_q7.npz": 16_000,
    "legacy_q7/kws_dnn_s_q7.npz": 394,
}
OTHERS = (
    *("arm_ml_zoo/har_int8.tflite", "mlperf_tiny/str_ww_ref_model.tflite"),
    *("tflm/hello_world_int8.tflite", "tflm/micro_speech_quantized.tflite"),
    *("tflm/trained_lstm_int8.tflite", "tflm/keyword_scrambled_8bit.tflite"),
    *("mcunet/tinyengine_vww.tflite", "arm_ml_zoo/ds_cnn_s_int16.tflite"),
    f"{KWS}/basic_lstm_s_quantized.tflite",
)


def read(name: str) -> Graph:
    return load.load(MODELS / name, allow_unsupported=True)


@pytest.mark.parametrize("name", ACTIVATION_BYTES)
def test_concurrent_activations_are_the_published_ones(name: str) -> None:
    assert memory.peak(memory.flow_of(read(name))).size_bytes == ACTIVATION_BYTES[name]


@pytest.mark.parametrize("name", [*ACTIVATION_BYTES, *OTHERS])
def test_plan_is_within_5_percent_of_the_bound(name: str) -> None:
    plan = planner.plan(order.best(memory.flow_of(read(name))).flow)
    assert plan.lower_bound_bytes <= plan.arena_bytes <= 1.05 * plan.lower_bound_bytes


def densenet() -> Graph:
    """Each layer reads the sum of all before it; the block's input stays to the end."""
    net = Builder("dense")
    made = [net.conv(net.input((32, 32, 3)), 16, kernel=3)]
    for _ in range(5):
        x = made[0]
        for other in made[1:]:
            x = net.residual(x, other)
        made.append(net.conv(x, 16, kernel=3))
    return net.finish(net.fc(net.ave_pool(made[-1]), 10))


@pytest.mark.toolchain
def test_footprint_of_dense_graph_region_by_region() -> None:
    board = Board.load("stm32f746")
    found = memory.footprint(densenet(), board)
    tensor = 32 * 32 * 16
    # Four outputs are kept for the last layer while the sum before it takes two partial ones.
    assert found.activations.size_bytes == (4 + 2) * tensor
    rows = {memory.names: memory for memory in found.memories}
    assert rows["DTCM",].spare_bytes == 64 * 1024 - found.plan.arena_bytes < 0
    assert not rows["DTCM",].fits
    assert rows["SRAM1",].fits
    together = rows["DTCM", "SRAM1", "SRAM2"]
    assert together.size_bytes == 320 * 1024
    assert together.need_bytes == found.plan.arena_bytes + found.stack_bytes
    assert rows["FLASH",].need_bytes == found.weight_bytes + found.code.total_bytes
    assert found.fits
    text = report.render(found)
    missing = f"{-rows['DTCM',].spare_bytes:,} missing".replace(",", " ")
    assert missing in text


@pytest.mark.toolchain
def test_code_is_that_of_the_kernels_in_use() -> None:
    few, stack = memory.code_of(["m7nn_fc_x4"], board="stm32f746")
    more, _ = memory.code_of(["m7nn_fc_x4", "m7nn_conv_fast"], board="stm32f746")
    assert stack == 0x2000
    assert "m7nn_fc_x4" in few.kernels
    assert "m7nn_conv_fast" not in few.kernels
    assert {"m7nn_conv_fast", "m7nn_product_2x2_reordered"} <= set(more.kernels)
    assert "memset" in more.libraries
    assert 0 < few.total_bytes < more.total_bytes < 10_000
    with pytest.raises(InputError, match="no linker script"):
        memory.code_of(["m7nn_fc_x4"], board="nonesuch")


def test_without_a_compiler_code_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ToolError("no compiler")

    monkeypatch.setattr(memory, "code_of", missing)
    found = memory.footprint(densenet(), Board.load("stm32f746"))
    assert found.flash_bytes == found.weight_bytes
    assert "there is no cross compiler" in report.render(found)
    assert not report.document(found)["code"]["known"]


def test_rectifiers_of_q7_share_and_scratch_counts_in_the_arena() -> None:
    net = Builder("q7", family=Family.Q7)
    x = net.relu(net.conv(net.input((8, 8, 4)), 4, kernel=3))
    flow = memory.flow_of(net.finish(x))
    assert memory.peak(flow).size_bytes == 2 * 256
    scratch = 2 * 2 * 9 * 4
    assert planner.plan(flow).arena_bytes == 2 * 256 + scratch


@pytest.mark.toolchain
def test_command_gives_document_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(MODELS / "mlperf_tiny/pretrainedResnet_quant.tflite")
    picture = tmp_path / "plan.png"
    assert cli.main(["net", model, "--memory", "--json", "--figure", str(picture)]) == 0
    doc = json.loads(capsys.readouterr().out)
    assert doc["concurrent_activation_bytes"] == 49_152
    assert doc["plan"]["arena_bytes"] == doc["plan"]["lower_bound_bytes"]
    assert doc["fits"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cli.main(["net", model, "--memory"]) == 0
    text = capsys.readouterr().out
    assert "49 152" in text
    assert "DTCM + SRAM1 + SRAM2" in text
