"""Figures 3, 4 and 5 hold what the paper says, by the CSV files that lie behind the pictures."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from m7sim import cli
from m7sim.characterize import sweep, table
from m7sim.errors import CheckError
from m7sim.report import figures
from m7sim.report.figures import doc
from m7sim.report.layout import PLAIN

pytestmark = pytest.mark.toolchain
MARKDOWN = Path(figures.__file__).parents[1] / "FIGURES_NETWORKS.md"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The figures as the command makes them."""
    out = tmp_path_factory.mktemp("figures")
    text = out / "text.txt"
    code = cli.main(["figures", "3", "4", "5", "--out", str(out), "--jobs", "1", "-o", str(text)])
    return SimpleNamespace(code=code, out=out, text=text.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def swept(drawn: SimpleNamespace) -> table.Table:
    return table.read(drawn.out / "fig3_sweep.csv")


def analyses(swept: table.Table) -> list[figures.Analysis]:
    return [each.analyse(swept) for each in figures.NETWORK_FIGURES.values()]


def test_figure_3_energies_differ_by_a_third_at_equal_ops(drawn: SimpleNamespace) -> None:
    found = rows(drawn.out / "fig3.csv")
    ops = [int(row["ops"]) for row in found]
    energies = [float(row["energy_mj"]) for row in found]
    middle = (max(ops) + min(ops)) / 2
    assert len(found) == 5
    assert all(abs(each / middle - 1) <= 0.03 for each in ops)
    assert 1.25 <= max(energies) / min(energies) <= 1.35
    for row, energy in zip(found, energies, strict=True):
        assert energy == pytest.approx(float(row["mean_power_mw"]) * float(row["time_ms"]) / 1e3)
    by_energy_per_op = sorted(found, key=lambda row: float(row["energy_per_op_nj"]))
    by_share = sorted(found, key=lambda row: float(row["depthwise_ops_percent"]))
    assert by_energy_per_op == by_share
    assert [row["published_accuracy_percent"] for row in found] == ["", "", "94.9", "", ""]


def test_figure_3_sums_its_types(drawn: SimpleNamespace) -> None:
    totals = {row["network"]: row for row in rows(drawn.out / "fig3.csv")}
    parts = rows(drawn.out / "fig3_types.csv")
    for name, total in totals.items():
        own = [row for row in parts if row["network"] == name]
        for column in ("ops", "time_ms", "energy_mj"):
            assert sum(float(r[column]) for r in own) == pytest.approx(float(total[column]))
        assert sum(float(row["time_percent"]) for row in own) == pytest.approx(100)


def test_every_layer_was_checked_against_its_oracle(swept: table.Table) -> None:
    assert all(row["verified"] for row in swept.rows)
    assert len(swept.rows) == len({(row["op"], row["shape"]) for row in swept.rows})


def test_figure_4_shows_why(drawn: SimpleNamespace) -> None:
    found = rows(drawn.out / "fig4.csv")
    cost = {(row["network"], row["op"]): row for row in found}
    less, more = dict.fromkeys(row["network"] for row in found)

    def number(name: str, op: str, column: str) -> float:
        return float(cost[name, op][column])

    def total(name: str, column: str) -> float:
        return sum(float(row[column]) for row in found if row["network"] == name)

    assert (less, more) == ("DS-CNN-3", "DS-CNN-4")
    shares = [number(name, "depthwise", "ops_percent") for name in (less, more)]
    assert shares[1] > 3 * shares[0]
    for name, share in zip((less, more), shares, strict=True):
        assert number(name, "depthwise", "time_percent") >= 2 * share
        fast, slow = (number(name, op, "throughput_mops_per_s") for op in ("1x1", "depthwise"))
        assert fast >= 3 * slow
    assert total(more, "ops") == pytest.approx(total(less, "ops"), rel=0.04)
    assert 1.25 <= total(more, "time_ms") / total(less, "time_ms") <= 1.43
    extra = number(more, "depthwise", "time_ms") - number(less, "depthwise", "time_ms")
    assert extra >= total(more, "time_ms") - total(less, "time_ms")


def test_figure_5_activations_of_the_four(drawn: SimpleNamespace) -> None:
    found = rows(drawn.out / "fig5.csv")
    marked = [row for row in found if row["marked"]]
    assert len(found) == 21
    assert [row["kind"] for row in marked] == ["CNN", "LSTM", "CRNN", "DS-CNN"]
    shares = [float(row["activations_percent"]) for row in marked]
    assert round(min(shares)) == 1
    assert 28 <= max(shares) <= 30
    for row in found:
        weights, activations = int(row["weights_bytes"]), int(row["activations_bytes"])
        assert (weights + activations) / 1000 == pytest.approx(float(row["memory_kb"]))
        assert abs(float(row["memory_error_kb"])) < 0.1
        assert abs(float(row["ops_error_percent"])) <= 1.2


def test_every_claim_holds(swept: table.Table) -> None:
    assert all(c.holds for analysis in analyses(swept) for c in analysis.claims)


def test_a_claim_can_fail(swept: table.Table) -> None:
    quick = tuple(
        row | ({"time_ms": row["time_ms"] / 4, "energy_nj": row["energy_nj"] / 4}
               if row["op"] == "depthwise" else {})
        for row in swept.rows
    )  # fmt: skip
    three, four, _ = analyses(table.Table(quick, swept.header))
    assert any("energy differs" in c.text and not c.holds for c in three.claims)
    assert sum(not c.holds for c in four.claims) >= 3


def test_other_hardware_is_not_held_to_the_published_range(swept: table.Table) -> None:
    other = tuple(row | {"board": "stm32h743"} for row in swept.rows)
    for analysis in analyses(table.Table(other, swept.header))[:2]:
        assert not any("differs by" in c.text or "published" in c.text for c in analysis.claims)
        assert "stm32h743" in analysis.render(style=PLAIN)


def test_a_missing_layer_is_an_error(swept: table.Table) -> None:
    broken = tuple(
        row | ({"status": "no_fit", "reason": "too large"} if row["op"] == "ave_pool" else {})
        for row in swept.rows
    )
    for number in (3, 4):
        with pytest.raises(CheckError, match="too large"):
            figures.NETWORK_FIGURES[number].analyse(table.Table(broken, swept.header))


def test_a_chip_without_known_currents_shows_run_times(swept: table.Table, tmp_path: Path) -> None:
    unknown = tuple(row | {"energy_nj": None, "mean_power_mw": None} for row in swept.rows)
    for number, analysis in enumerate(analyses(table.Table(unknown, swept.header))):
        picture = tmp_path / f"{number}.png"
        analysis.draw([picture])
        assert picture.stat().st_size > 10_000
        assert analysis.render(style=PLAIN)
        assert all(sheet.text() for sheet in analysis.sheets)
        assert all(claim.holds for claim in analysis.claims)


def test_text_and_files(drawn: SimpleNamespace) -> None:
    assert drawn.code == 0
    for number in (3, 4, 5):
        assert f"Figure {number}: " in drawn.text
        assert (drawn.out / f"fig{number}.png").read_bytes().startswith(b"\x89PNG")
        assert "<dc:date>" not in (drawn.out / f"fig{number}.svg").read_text(encoding="utf-8")
    assert "…" not in drawn.text


def test_columns_name_their_units(drawn: SimpleNamespace) -> None:
    no_unit = {"network", "op", "kind", "size", "marked", "first_stride", "second_stride"}
    counts = re.compile(r"layers|features|(published_)?ops|macs")
    unit = re.compile(r"_(ms|mw|mj|nj|mops_per_s|percent|bytes|kb)$")
    for name in ("fig3", "fig3_types", "fig4", "fig5"):
        for column in rows(drawn.out / f"{name}.csv")[0]:
            assert column in no_unit or counts.fullmatch(column) or unit.search(column), column


def test_second_run_measures_nothing(
    drawn: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p.read_bytes() for p in drawn.out.glob("fig[45]*")}
    outcomes = []
    real = sweep.run
    monkeypatch.setattr(
        sweep, "run", lambda *a, **k: outcomes.append(real(*a, **k)) or outcomes[-1]
    )
    assert cli.main(["figures", "4", "5", "--out", str(drawn.out), "--jobs", "1"]) == 0
    assert [each.measured for each in outcomes] == [0]
    assert before == {p.name: p.read_bytes() for p in drawn.out.glob("fig[45]*")}


def test_page_is_of_today(swept: table.Table) -> None:
    """If not: m7sim figures 3 4 5 --update-doc m7sim/report/FIGURES_NETWORKS.md"""
    text = MARKDOWN.read_text(encoding="utf-8")
    assert doc.put(text, analyses(swept)) == text
