"""The CIFAR-10 network on the simulated board: answers, costs beside silicon, documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m7sim import cli
from m7sim.nets import cifar10, published, run
from m7sim.report import network

pytestmark = pytest.mark.toolchain

# FC outputs of the NumPy model for two CIFAR-10 test images.
SCORES = {
    0: ("dog", [-20, -2, -1, 46, -13, 47, 6, -7, -26, -30]),
    1: ("ship", [48, 30, -25, -37, -31, -49, -43, -43, 127, 14]),
}


@pytest.fixture(scope="module")
def seeded_run() -> run.NetworkRun:
    return run.run(cifar10.seeded(), cifar10.seeded_image(), image_name="seeded")


@pytest.mark.parametrize("index", [0, 1])
def test_real_weights_and_images(models: Path, index: int) -> None:
    weights = models / "legacy_q7" / "cifar10_m7_q7.npz"
    images = models / "legacy_q7" / "cifar10_cmsis_example_5_6_0_q7.npz"
    net, image, name = cifar10.choose(str(weights), f"{images}:{index}")
    done = run.run(net, image, image_name=name)
    answer, scores = SCORES[index]
    assert done.answer == answer
    assert done.scores.tolist() == scores
    assert all(layer.matches for layer in done.layers)


def test_total_and_layers_beside_silicon(seeded_run: run.NetworkRun) -> None:
    silicon = published.cifar10()
    assert network.fits(seeded_run, silicon)
    assert seeded_run.total.ms == pytest.approx(silicon.total_ms, rel=0.15)
    by_name = {layer.name: layer.ms for layer in seeded_run.layers}
    for row in silicon.rows:
        if row.name.startswith("conv"):
            assert sum(by_name[n] for n in row.layers) == pytest.approx(row.ms, rel=0.20)


def test_every_cycle_has_a_cause(seeded_run: run.NetworkRun) -> None:
    for layer in (*seeded_run.layers, seeded_run.total):
        assert layer.cycles == layer.issue_cycles + sum(layer.stalls.values())


def test_pooling_is_the_slowest_per_operation(seeded_run: run.NetworkRun) -> None:
    rates = {layer.name: layer.mops_per_s for layer in seeded_run.layers}
    assert min(rates, key=rates.__getitem__).startswith("pool")


def test_the_same_run_costs_the_same(seeded_run: run.NetworkRun) -> None:
    again = run.run(cifar10.seeded(), cifar10.seeded_image(), image_name="seeded")
    assert again.layers == seeded_run.layers


def test_command_writes_document_and_picture(tmp_path: Path) -> None:
    figure, output = tmp_path / "layers.png", tmp_path / "run.json"
    code = cli.main(["net", "cifar10", "--json", "-o", str(output), "--figure", str(figure)])
    assert code == 0
    document = json.loads(output.read_text())
    assert document["schema_version"] == 1
    assert document["weights_are_made_up"] is True
    wanted = {"name", "type", "macs", "ops", "instructions", "cycles", "ms", "stalls"}
    assert all(wanted <= set(layer) for layer in document["layers"])
    assert document["total"]["ops"] == sum(layer["ops"] for layer in document["layers"])
    assert figure.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_report_says_that_weights_are_made_up(seeded_run: run.NetworkRun) -> None:
    text = network.render(seeded_run, published.cifar10())
    assert "made up" in text
    assert "measured" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "no-such.npz"], "no-such.npz"),
        (["--image", "no-such.npz"], "no-such.npz"),
    ],
)
def test_bad_files_are_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["net", "cifar10", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_image_that_is_not_there_is_named(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = models / "legacy_q7" / "cifar10_cmsis_example_5_6_0_q7.npz"
    weights = models / "legacy_q7" / "cifar10_m7_q7.npz"
    code = cli.main(["net", "cifar10", "--weights", str(weights), "--image", f"{images}:7"])
    assert code == 2
    assert "no image 7" in capsys.readouterr().err
