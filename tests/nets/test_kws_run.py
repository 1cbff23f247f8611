"""Keyword-spotting networks with seeded weights on the board, every layer equal to its oracle."""

from __future__ import annotations

import numpy as np
import pytest

from m7sim import cli
from m7sim.errors import InputError
from m7sim.nets import execute, load, memory
from m7sim.nets.kws import graphs
from m7sim.nets.kws.models import KINDS, SIZES, hello_edge

pytestmark = pytest.mark.toolchain
MODELS = {model.name: model for model in hello_edge().models}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_runs_bit_exact(kind: str) -> None:
    model = MODELS[f"{kind} S"]
    graph = graphs.seeded(model)
    assert graph.totals.macs == model.macs
    assert graph.totals.weight_bytes == model.weight_bytes
    sample = load.sample(graph, None)
    done = execute.run(graph, sample.inputs, placement="flash+auto")
    assert [layer.name for layer in done.layers] == [step.name for step in model.steps]
    assert all(layer.matches for layer in done.layers)
    assert done.total.macs == model.macs
    assert 1.2 < done.total.cycles / model.macs < 2.2
    assert len(np.unique(done.scores)) > 6  # the answers mean nothing, but they are alive


@pytest.mark.parametrize("kind", ["Basic LSTM", "LSTM", "GRU"])
def test_cells_cost_about_the_same_by_mac_in_small_and_middle(kind: str) -> None:
    per_mac = []
    for size in "SM":
        model = MODELS[f"{kind} {size}"]
        graph = graphs.seeded(model)
        done = execute.run(graph, load.sample(graph, None).inputs, placement="flash+auto")
        assert done.total.matches
        per_mac.append(done.total.cycles / model.macs)
    assert per_mac[1] == pytest.approx(per_mac[0], rel=0.1)


def test_layers_in_a_row_cost_what_figure_3_adds_up() -> None:
    """DS-CNN M with caches warm from layer to layer: figure 3 starts each layer cold."""
    graph = graphs.seeded(MODELS["DS-CNN M"])
    done = execute.run(graph, load.sample(graph, None).inputs, placement="flash+auto")
    assert done.total.matches
    assert done.total.ms == pytest.approx(74.66, rel=0.01)


@pytest.mark.parametrize("kind", ["DNN", "CNN", "DS-CNN"])
def test_largest_activations_are_those_of_the_graph(kind: str) -> None:
    """Counted again by the liveness of tensors, for networks without recurrent layers."""
    for size in SIZES:
        model = MODELS[f"{kind} {size}"]
        found = memory.peak(memory.flow_of(graphs.seeded(model)))
        assert found.size_bytes == model.activation_bytes


def test_networks_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert graphs.named("basic-lstm-s").name == "Basic LSTM S"
    assert graphs.named("DS_CNN_L").name == "DS-CNN L"
    with pytest.raises(InputError, match="no keyword-spotting network 'rnn-s'"):
        graphs.named("rnn-s")
    assert cli.main(["net", "kws:dnn-s"]) == 0
    assert "DNN S" in capsys.readouterr().out
