"""Figures 1 and 2 hold what the paper says, by the CSV files that lie behind the pictures."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest

from m7sim import cli
from m7sim.characterize import sweep, table
from m7sim.errors import CheckError
from m7sim.nets import published as networks
from m7sim.report import figures
from m7sim.report.figures import doc, published
from m7sim.report.layout import PLAIN

pytestmark = pytest.mark.toolchain
MARKDOWN = Path(figures.__file__).parents[1] / "FIGURES.md"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Both figures as the command makes them."""
    out = tmp_path_factory.mktemp("figures")
    text = out / "text.txt"
    code = cli.main(["figures", "1", "2", "--out", str(out), "--jobs", "1", "-o", str(text)])
    return SimpleNamespace(code=code, out=out, text=text.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def analyses(drawn: SimpleNamespace) -> list[figures.Analysis]:
    found = []
    for number, figure in figures.FIGURES.items():
        swept = table.read(drawn.out / f"fig{number}_sweep.csv")
        found.append(figure.analyse(swept, published.beside(swept)))
    return found


# Figure 1 --------------------------------------------------------------------------------------


@pytest.fixture
def types(drawn: SimpleNamespace) -> dict[str, dict[str, float]]:
    return {
        row["op"]: {k: float(v) for k, v in row.items() if k != "op" and v}
        for row in rows(drawn.out / "fig1.csv")
    }


def test_figure_1_is_of_the_network_of_the_paper(types: dict[str, dict[str, float]]) -> None:
    ops = {op: row["ops"] for op, row in types.items()}
    assert ops == {"conv": 24_576_000, "fc": 20_480, "relu": 45_056, "max_pool": 101_376}


def test_figure_1_order_of_throughput(types: dict[str, dict[str, float]]) -> None:
    mops = {op: row["throughput_mops_per_s"] for op, row in types.items()}
    assert max(mops, key=lambda op: mops[op]) in ("conv", "fc")
    assert 4.5 <= mops["conv"] / mops["max_pool"] <= 6.5
    assert 0.35 <= mops["relu"] / mops["conv"] <= 0.5
    assert types["conv"]["throughput_relative_to_conv"] == 1


def test_figure_1_power_is_flat_and_energy_follows(types: dict[str, dict[str, float]]) -> None:
    powers = [row["mean_power_mw"] for row in types.values()]
    mean = sum(powers) / len(powers)
    assert all(abs(power / mean - 1) <= 0.06 for power in powers)
    for row in types.values():
        product = row["energy_per_op_relative_to_conv"] * row["throughput_relative_to_conv"]
        assert product == pytest.approx(1, abs=0.06)
        # nJ per Op is mW over MOps/s
        expected = row["mean_power_mw"] / row["throughput_mops_per_s"]
        assert row["energy_per_op_nj"] == pytest.approx(expected, rel=1e-6)


def test_figure_1_is_within_10_percent_of_silicon(types: dict[str, dict[str, float]]) -> None:
    for op, row in types.items():
        mops, error = row["throughput_mops_per_s"], row["throughput_error_percent"]
        inside = row["published_low_mops_per_s"] <= mops <= row["published_high_mops_per_s"]
        assert inside or abs(error) <= 10, op
        assert error == pytest.approx(100 * (mops / row["published_throughput_mops_per_s"] - 1))
    assert types["conv"]["published_throughput_mops_per_s"] == pytest.approx(254.9, abs=0.1)
    assert types["max_pool"]["published_throughput_mops_per_s"] == pytest.approx(46.1, abs=0.1)


def test_figure_1_optimised_kernels_gain(drawn: SimpleNamespace) -> None:
    gains = {row["op"]: row for row in rows(drawn.out / "fig1_gains.csv")}
    assert list(gains) == ["conv", "fc", "relu", "max_pool", "total"]
    for op, row in gains.items():
        assert float(row["throughput_gain"]) >= 1.9, op
        gain = float(row["naive_time_ms"]) / float(row["optimised_time_ms"])
        assert float(row["throughput_gain"]) == pytest.approx(gain)
    assert gains["fc"]["published_throughput_gain"] == ""


# Figure 2 --------------------------------------------------------------------------------------


@pytest.fixture
def shapes(drawn: SimpleNamespace) -> list[dict[str, str]]:
    return rows(drawn.out / "fig2.csv")


def mops_of(shapes: list[dict[str, str]], **wanted: str) -> Iterator[float]:
    for row in shapes:
        if all(row[name] == value for name, value in wanted.items()):
            yield float(row["throughput_mops_per_s"])


def test_figure_2_has_several_hundred_shapes(shapes: list[dict[str, str]]) -> None:
    assert len(shapes) >= 500
    assert {row["op"] for row in shapes} == {"conv", "1x1", "fc", "depthwise"}


@pytest.mark.parametrize(("op", "series"), [("1x1", "1x1"), ("fc", "fully connected")])
def test_figure_2_curves_saturate(shapes: list[dict[str, str]], op: str, series: str) -> None:
    curve: dict[int, list[float]] = {}
    for row in shapes:
        if row["series"] == series and row["out_ch"] == "32":
            key = int(row["macs_per_output"])
            curve.setdefault(key, []).append(float(row["throughput_mops_per_s"]))
    settled = [median(v) for macs, v in curve.items() if macs >= 100]
    assert median(curve[min(curve)]) < 0.7 * median(settled)
    assert max(settled) <= 1.25 * min(settled)


def test_figure_2_order_of_operations(shapes: list[dict[str, str]]) -> None:
    best = {op: max(mops_of(shapes, op=op)) for op in ("1x1", "conv", "fc", "depthwise")}
    middle = {op: median(mops_of(shapes, op=op)) for op in best}
    assert max(best, key=lambda op: best[op]) == "1x1"
    for each in (best, middle):
        assert min(each, key=lambda op: each[op]) == "depthwise"
        assert each["1x1"] >= 3 * each["depthwise"]


def test_figure_2_pointwise_is_above_convolution_at_equals(shapes: list[dict[str, str]]) -> None:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in shapes:
        key = row["macs_per_output"], row["out_ch"]
        for_op = found.setdefault(key, {})
        for_op[row["op"]] = max(float(row["throughput_mops_per_s"]), for_op.get(row["op"], 0))
    pairs = [ops for ops in found.values() if {"1x1", "conv"} <= ops.keys()]
    assert len(pairs) >= 40
    assert sum(ops["1x1"] > ops["conv"] for ops in pairs) >= 0.9 * len(pairs)


def test_figure_2_published_points(drawn: SimpleNamespace) -> None:
    points = rows(drawn.out / "fig2_published.csv")
    assert [round(float(p["published_mops_per_s"])) for p in points] == [156, 306, 290, 205]
    for point in points:
        mops = float(point["throughput_mops_per_s"])
        low, high = (float(point[f"published_{side}_mops_per_s"]) for side in ("low", "high"))
        assert low <= mops <= high or abs(float(point["error_percent"])) <= 10, point["name"]


def test_figure_2_fully_connected_against_convolution(drawn: SimpleNamespace) -> None:
    groups = {row["convolution"]: row for row in rows(drawn.out / "fig2_fc_against_conv.csv")}
    three = groups["3 channels"]
    assert three["fc_faster"] == three["pairs"]
    assert three["conv_largest_stall"] == "unaligned"
    fours = [row for name, row in groups.items() if name.startswith("4n channels")]
    assert len(fours) == 4
    for row in fours:  # the paper's order does not hold: instructions, and weights read once
        assert row["fc_faster"] == "0"
        assert float(row["fc_instructions_per_mac"]) > float(row["conv_instructions_per_mac"])


# What the command says and writes -----------------------------------------------------------------


def test_every_claim_but_one_holds(analyses: list[figures.Analysis]) -> None:
    broken = [c.text for analysis in analyses for c in analysis.claims if not c.holds]
    assert len(broken) == 1
    assert broken[0].startswith("fully connected is above convolution")


def test_text_and_files(drawn: SimpleNamespace) -> None:
    assert drawn.code == 0
    for number in (1, 2):
        assert f"Figure {number}: " in drawn.text
        png = (drawn.out / f"fig{number}.png").read_bytes()
        svg = (drawn.out / f"fig{number}.svg").read_text(encoding="utf-8")
        assert png.startswith(b"\x89PNG")
        assert "<svg" in svg
        assert "<dc:date>" not in svg
    assert "stm32f746 at 216 MHz" in drawn.text
    assert "…" not in drawn.text
    assert max(map(len, drawn.text.splitlines())) < 400


def test_columns_name_their_units(drawn: SimpleNamespace) -> None:
    no_unit = {"op", "name", "shape", "series", "variant", "convolution"}
    counts = re.compile(r"layers|ops|macs|cycles|out_ch|macs_per_output|pairs|fc_faster")
    unit = re.compile(
        r"_(ms|mw|nj|mops_per_s|percent|gain|stall)$|_relative_to_conv$|_per_mac$|_per_s$"
    )
    for path in drawn.out.glob("fig?*.csv"):
        if path.name.endswith("_sweep.csv"):
            continue
        for name in rows(path)[0]:
            assert name in no_unit or counts.fullmatch(name) or unit.search(name), name


def test_second_run_measures_nothing_and_writes_the_same(
    drawn: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p.read_bytes() for p in drawn.out.iterdir() if p.name.startswith("fig1")}
    outcomes = []
    real = sweep.run
    monkeypatch.setattr(
        sweep, "run", lambda *a, **k: outcomes.append(real(*a, **k)) or outcomes[-1]
    )
    assert cli.main(["figures", "1", "--out", str(drawn.out), "--jobs", "1"]) == 0
    assert [each.measured for each in outcomes] == [0]
    assert before == {p.name: p.read_bytes() for p in drawn.out.iterdir() if p.name in before}


def test_page_is_of_today(analyses: list[figures.Analysis]) -> None:
    """If not: m7sim figures 1 2 --update-doc m7sim/report/FIGURES.md"""
    text = MARKDOWN.read_text(encoding="utf-8")
    assert doc.put(text, analyses) == text


def test_placements_on_the_page_are_of_today(tmp_path: Path) -> None:
    grid = tmp_path / "published.toml"
    convolutions = [(32, 3, 32), (16, 32, 32), (8, 32, 64)]
    sweeps = [
        f'[[sweep]]\nop = "conv"\nsize = {s}\nin_ch = {i}\nout_ch = {o}\nkernel = 5\n'
        for s, i, o in convolutions
    ]
    fc = '[[sweep]]\nop = "fc"\nin_len = 1024\nout_len = 10\n'
    grid.write_text("schema = 1\n" + "".join(sweeps) + fc, encoding="utf-8")
    text = MARKDOWN.read_text(encoding="utf-8")
    stated = re.findall(r"\(`([^`]+)`.*?\) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", text)
    assert [row[0] for row in stated] == ["flash+auto", "sram", "sram,weights=dtcm"]
    places = [word for row in stated for word in ("--placement", row[0])]
    out = tmp_path / "out.csv"
    assert cli.main(["characterize", "--shapes", str(grid), *places, "--out", str(out)]) == 0
    swept = table.read(out).ok
    for place, *mops in stated:
        found = [r["ops_per_s"] / 1e6 for r in swept if r["placement"] == place]
        assert [float(m) for m in mops] == pytest.approx(found, abs=1), place


def test_other_hardware_has_nothing_published_beside_it(
    drawn: SimpleNamespace, tmp_path: Path
) -> None:
    for number, figure in figures.FIGURES.items():
        swept = table.read(drawn.out / f"fig{number}_sweep.csv")
        slower = table.Table(
            tuple(row | {"clock_hz": 100_000_000, "energy_nj": None, "mean_power_mw": None,
                         "energy_per_op_nj": None} for row in swept.rows),
            swept.header,
        )  # fmt: skip
        assert published.beside(slower) is None
        analysis = figure.analyse(slower, published.beside(slower))
        assert not any("within 10 %" in claim.text for claim in analysis.claims)
        picture = tmp_path / f"fig{number}.png"
        analysis.draw([picture])
        assert picture.stat().st_size > 10_000
        assert "100 MHz" in analysis.render(style=PLAIN)
        assert all(sheet.text() or not sheet.rows for sheet in analysis.sheets)


def test_a_claim_can_fail(drawn: SimpleNamespace) -> None:
    swept = table.read(drawn.out / "fig1_sweep.csv")
    changed = [
        row | ({"time_ms": row["time_ms"] / 3} if row["op"] == "max_pool" else {})
        for row in swept.rows
    ]
    analysis = figures.FIGURES[1].analyse(table.Table(tuple(changed), swept.header), None)
    assert any("max pool is 4.5" in c.text and not c.holds for c in analysis.claims)


def test_a_missing_layer_is_an_error(drawn: SimpleNamespace) -> None:
    swept = table.read(drawn.out / "fig1_sweep.csv")
    broken = [
        row | ({"status": "no_fit", "reason": "too large"} if row["op"] == "fc" else {})
        for row in swept.rows
    ]
    with pytest.raises(CheckError, match="too large"):
        figures.FIGURES[1].analyse(table.Table(tuple(broken), swept.header), None)


def test_published_points_follow_from_published_times() -> None:
    """Two tables of one paper: run times by layer, and by type."""
    known, layers = published.load(), {row.name: row.ms for row in networks.cifar10().rows}
    kilo_ops = {"conv1": 4915.2, "conv2": 13107.2, "conv3": 6553.6, "fc": 20.48}
    points = dict(zip(kilo_ops, known.points, strict=True))
    for name, point in points.items():
        assert point.mops_per_s == pytest.approx(kilo_ops[name] / layers[name], rel=1e-3)
        assert point.low_mops_per_s <= point.mops_per_s <= point.high_mops_per_s
    pools = sum(layers[f"pool{k}"] for k in (1, 2, 3))
    assert known.types["max_pool"].ms == pytest.approx(pools)
    convolutions = sum(layers[f"conv{k}"] for k in (1, 2, 3)) - known.types["relu"].ms
    assert known.types["conv"].ms == pytest.approx(convolutions)
    assert {e.confidence for e in known.expectations} == {"inferred"}


def test_unknown_figure_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["figures", "9"]) == 2
    assert "no figure 9" in capsys.readouterr().err


def test_without_matplotlib_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["figures", "1", "--out", str(tmp_path / "new")]) == 2
    assert "m7sim[figures]" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
