"""MLPerf Tiny and MicroNets on the simulated boards, beside published engines on silicon."""

from __future__ import annotations

from pathlib import Path

import pytest

from m7sim.nets import execute, load, networks_published

pytestmark = [pytest.mark.toolchain, pytest.mark.slow]

FILES = {
    "kws": "mlperf_tiny/kws_ref_model",
    "vww": "mlperf_tiny/vww_96_int8",
    "ic": "mlperf_tiny/pretrainedResnet_quant",
    "ad": "mlperf_tiny/ad01_int8",
}
MICRONETS = {
    "micronet_kws_m": "arm_ml_examples_kws/kws_micronet_m_int8",
    "person": "tflm/person_detect",
}
RATIO_ERROR = 0.20
# The engine nearest to ours in design: no winograd, no restructured graphs, one kernel per layer.
ENGINE = "X-CUBE-AI 7.3, round 1.0"


def run_ms(models: Path, name: str, board: str) -> tuple[networks_published.Known, float]:
    graph = load.load(models / f"{name}.tflite")
    known = networks_published.of(graph)
    assert known is not None
    done = execute.run(graph, load.sample(graph, None).inputs, board=board)
    assert done.total.matches
    return known, done.total.ms


def test_mlperf_tiny_on_the_h7a3_lies_among_the_engines_and_in_their_proportion(
    models: Path,
) -> None:
    found = {key: run_ms(models, name, "stm32h7a3") for key, name in FILES.items()}
    for key, (known, ms) in found.items():
        assert known.key == key
        others = [row.ms for row in known.on("stm32h7a3")]
        assert min(others) < ms < max(others), key
    for key in ("vww", "ic", "ad"):
        one = {row.engine: row.ms for row in found[key][0].on("stm32h7a3")}[ENGINE]
        kws = {row.engine: row.ms for row in found["kws"][0].on("stm32h7a3")}[ENGINE]
        ours = found[key][1] / found["kws"][1]
        assert ours == pytest.approx(one / kws, rel=RATIO_ERROR), key


def test_mlperf_tiny_on_the_f746_keeps_the_proportion(models: Path) -> None:
    found = {key: run_ms(models, name, "stm32f746") for key, name in FILES.items()}
    for key in ("vww", "ic", "ad"):
        rows = found[key][0].on("stm32f746")
        engines = {row.engine: row.ms for row in rows if row.source.startswith("MLPerf")}
        kws = {row.engine: row.ms for row in found["kws"][0].on("stm32f746")}
        ratios = [ms / kws[engine] for engine, ms in engines.items()]
        ours = found[key][1] / found["kws"][1]
        nearest = min(ratios, key=lambda ratio: abs(ours / ratio - 1))
        assert ours == pytest.approx(nearest, rel=RATIO_ERROR), key


@pytest.mark.parametrize("key", MICRONETS)
def test_no_interpreter_makes_networks_faster_than_with_one(models: Path, key: str) -> None:
    known, ms = run_ms(models, MICRONETS[key], "stm32f746")
    (published,) = known.on("stm32f746")
    assert 0.5 < ms / published.ms < 1.0
