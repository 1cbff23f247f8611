"""Search: the space's schema, the front against brute force, limits, full runs."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from m7sim import cli
from m7sim.errors import InputError, TableError
from m7sim.estimate import Estimator
from m7sim.nets.search import confirm, search, space
from m7sim.nets.search.evaluate import evaluate
from m7sim.nets.search.front import misleading, pareto, rank_correlation, spread
from m7sim.report import search as report

SPACE = """\
name = "small"
family = "q7"
input = [49, 10]
classes = 12
[space]
layers = { from = 3, to = 5 }
features = { from = 16, to = 64, step = 16 }
first_stride = [[2, 2], [2, 1]]
block_stride = [[1, 1], [2, 2]]
"""


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def small(file: Path) -> space.Space:
    return space.load(file)


# The space ------------------------------------------------------------------------------------


def test_size_is_the_number_of_networks(small: space.Space) -> None:
    everything = list(small)
    assert len(everything) == len(set(everything)) == small.size == 3 * 4 * 2 * 2
    free = dataclasses.replace(small, free=True)
    assert len(set(free)) == free.size == (4**3 + 4**4 + 4**5) * 4


def test_published_ds_cnn_is_in_it(small: space.Space) -> None:
    """DS-CNN-S and -M of arXiv 1711.07128: MACs, and weights with biases of q7."""
    s = space.Candidate((64,) * 5, (10, 4), (2, 2), (3, 3), (1, 1))
    assert s in set(small)
    for candidate, macs, weights in (
        (s, 2_656_768, 22_604),
        (space.Candidate((172,) * 5, (10, 4), (2, 1), (3, 3), (2, 2)), 9_816_384, 135_032),
    ):
        totals = small.graph(candidate).totals
        assert (totals.macs, totals.weight_bytes) == (macs, weights)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layers = ", "leyers = ", "Did you mean layers"),
        ('family = "q7"', 'family = "q15"', "Use q7 or s8"),
        ("to = 5", "to = 500", "whole number from 1 to 64"),
        ("from = 3", "from = 9", "Use a list"),
        ("[[2, 2], [2, 1]]", "[2, 2]", "two whole numbers"),
        ("[[2, 2], [2, 1]]", "[]", "list of pairs"),
        ("classes = 12", "classes = true", "whole number"),
        ("classes = 12", "", "classes is missing"),
        ("[space]", "space = 3\n[other]", "unknown"),
        ("name =", "name", "not valid TOML"),
    ],
)
def test_broken_spaces_are_told(file: Path, old: str, new: str, message: str) -> None:
    file.write_text(SPACE.replace(old, new))
    with pytest.raises(TableError, match=message):
        space.load(file)


def test_missing_space(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of: keywords"):
        space.load(tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot be read"):
        space.load(tmp_path)


def test_space_of_the_package() -> None:
    assert space.load("keywords").size == 9 * 66 * 3 * 2


# The front ------------------------------------------------------------------------------------


def test_front_equals_brute_force() -> None:
    columns = np.random.default_rng(1).integers(0, 12, (300, 3)).astype(np.float64)

    def beaten(i: int) -> bool:
        better = (columns <= columns[i]).all(axis=1) & (columns < columns[i]).any(axis=1)
        twin = (columns[:i] == columns[i]).all(axis=1).any()
        return bool(better.any() or twin)

    assert set(pareto(columns)) == {i for i in range(300) if not beaten(i)}


def test_misleading_pairs_are_near_in_ops_and_far_in_energy() -> None:
    ops = np.array([1000, 1005, 1008, 2000, 2004, 5000])
    energy = np.array([10.0, 30.0, 12.0, 10.0, 11.0, 99.0])
    pairs = misleading(ops, energy)
    assert [(p.frugal, p.wasteful) for p in pairs] == [(0, 1), (3, 4)]
    assert pairs[0].ratio == pytest.approx(3.0)
    assert rank_correlation(ops, energy) < 1
    assert rank_correlation(ops, ops) == pytest.approx(1.0)
    assert spread(ops, energy) == pytest.approx(2.5)


def test_costs_add_up_over_layers(small: space.Space, estimator: Estimator) -> None:
    candidates = list(itertools.islice(small, 5))
    costs = evaluate(small, candidates, estimator)
    for i, candidate in enumerate(candidates):
        shapes = [node.shape for node in small.graph(candidate).nodes if node.shape]
        one = [estimator.estimate(shape, extrapolate=True) for shape in shapes]
        assert costs.cycles[i] == pytest.approx(sum(e.cycles for e in one))
        assert costs.energy_nj[i] == pytest.approx(sum(e.energy_nj or 0.0 for e in one))
        assert costs.ops[i] == sum(shape.ops for shape in shapes)


def test_limits_hold_and_nothing_is_thrown_away(small: space.Space, estimator: Estimator) -> None:
    limits = search.Limits(latency_s=0.025, energy_j=9e-3, ram_bytes=16_500, flash_bytes=30_000)
    found = search.run(small, limits, estimator, code_bytes=6_000)
    costs = found.costs
    expected = (
        (costs.cycles / found.clock_hz <= 0.025)
        & (costs.energy_nj <= 9e6)
        & (costs.ram_bytes <= 16_500)
        & (costs.weight_bytes + 6_000 <= 30_000)
        & costs.inside
    )
    assert found.exhaustive
    assert 0 < expected.sum() < len(costs)
    assert (found.within == expected).all()
    assert set(found.front) <= set(np.flatnonzero(expected))
    assert set(found.to_confirm) <= set(np.flatnonzero(expected))
    none = search.run(small, search.Limits(ram_bytes=10), estimator)
    assert not len(none.front)
    assert "No network" in report.render(none)


def test_nothing_within_limits(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "none.svg"
    options = ["--max-ram", "1KiB", "--no-confirm", "--figure", str(picture)]
    assert cli.main(["search", str(file), *options]) == 1
    assert "No network is within the limits" in capsys.readouterr().out
    assert not picture.exists()


def test_optimiser_finds_most_of_the_front_and_repeats_itself(
    small: space.Space, estimator: Estimator
) -> None:
    """It finds far more of the front than so many networks at random would."""
    pytest.importorskip("optuna")
    free = dataclasses.replace(small, free=True, layers=(3, 4))
    limits = search.Limits(ram_bytes=16_500)
    whole = search.run(free, limits, estimator, trials=free.size)
    part = search.run(free, limits, estimator, trials=400)
    assert whole.exhaustive
    assert not part.exhaustive
    assert len(set(part.candidates)) == len(part.candidates) == 400
    again = search.run(free, limits, estimator, trials=400)
    assert again.candidates == part.candidates
    front = {whole.candidates[n] for n in whole.front}
    found = len(front & set(part.candidates)) / len(front)
    assert found > 1.5 * 400 / free.size  # by chance it would be 1.0 of it


def test_large_space_without_optuna(
    small: space.Space, estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match="searched by Optuna"):
        search.run(small, search.Limits(), estimator, trials=10)


# Full runs ------------------------------------------------------------------------------------


@pytest.mark.toolchain
@pytest.mark.parametrize("family", ["q7", "s8"])
def test_winners_run_as_estimated(file: Path, estimator: Estimator, family: str) -> None:
    file.write_text(SPACE.replace('"q7"', f'"{family}"').replace("to = 64", "to = 32"))
    found = search.run(space.load(file), search.Limits(latency_s=0.03), estimator)
    confirmed = confirm.confirm(found, found.to_confirm[:2])
    for one in confirmed:
        assert one.matches
        assert abs(one.cycles_error) < 0.10
        assert abs(one.energy_error) < 0.10
        assert one.arena_bytes == found.costs.ram_bytes[one.number]
    text = report.render(found, confirmed)
    assert "Where Ops mislead" in text
    assert "Every layer's output equals the NumPy model." in text


@pytest.mark.toolchain
def test_command(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, table = tmp_path / "front.png", tmp_path / "all.csv"
    options = ["--max-latency", "40ms", "--max-ram", "32KiB", "--max-flash", "64KiB"]
    outputs = ["--figure", str(picture), "--csv", str(table), "--json"]
    assert cli.main(["search", str(file), *options, "--max-energy", "4mJ", *outputs]) == 0
    doc = json.loads(capsys.readouterr().out)
    assert doc["exhaustive"]
    assert doc["limits"]["ram_bytes"] == 32 * 1024
    assert doc["limits"]["energy_j"] == pytest.approx(0.004)
    assert len(doc["front"]) <= doc["within_limits"] <= doc["candidates"] == 48
    assert doc["misleading"][0]["energy_ratio"] > 1
    assert len(list(csv.DictReader(table.read_text().splitlines()))) == 48
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert doc["confirmed"]
    assert all(one["matches_model"] for one in doc["confirmed"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--max-ram", "lots"], "not a size"),
        (["--max-energy", "5"], "not an energy"),
        (["--max-latency", "5"], "not a time"),
    ],
)
def test_bad_limits(
    file: Path, option: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["search", str(file), *option]) == 2
    assert message in capsys.readouterr().err
