"""Error bands: the class of a run, the band of a class, the data file and what reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from m7sim.errors import InputError, TableError
from m7sim.profile.result import Configuration, Result, RowUse
from m7sim.report import document, text, validation
from m7sim.timing.causes import StallCause
from m7sim.validate import bands
from m7sim.validate.bands import MeasuredCase, Mix

CONFIGURATION = Configuration(
    elf="fw.elf", elf_sha256="0" * 64, compiler="", entry="f", arguments="", board="stm32f746",
    clock_hz=216_000_000, core="cortex-m7", core_revision="r0p1", memories=(), caches=(),
    warm=False, timed=True, not_modelled=(),
)  # fmt: skip


def result(*, rows: dict[str, int], taken: int = 0, stalls: dict[str, int] | None = None) -> Result:
    instructions, stalls = sum(rows.values()), stalls or {}
    issue = instructions // 2
    return Result(
        configuration=CONFIGURATION,
        instructions=instructions,
        cycles=issue + sum(stalls.values()),
        issue_cycles=issue,
        dual_issued=instructions - issue,
        stalls=stalls,
        profile=None,
        statistics={"branches_taken": taken},
        rows=tuple(RowUse(name, "measured", "", n) for name, n in rows.items()),
    )


def case(name: str, code_class: str, modelled: float, **more: object) -> MeasuredCase:
    fields: dict[str, object] = {
        "board": "stm32f746", "calibration": False, "measured_cycles": 1000.0,
        "instructions": 1500, "source": "somewhere", **more,
    }  # fmt: skip
    return MeasuredCase(name=name, code_class=code_class, modelled_cycles=modelled, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "rows", "taken", "stalls"),
    [
        ("straight", {"alu": 1000}, 19, {}),
        ("branchy", {"alu": 1000}, 20, {}),
        ("multiply", {"alu": 950, "mla": 50}, 100, {}),
        ("branchy", {"alu": 951, "mla": 49}, 100, {}),
        ("float", {"alu": 500, "mla": 400, "fp_mul": 100}, 0, {}),
        ("memory", {"fp_mul": 1000}, 0, {"dcache_flash": 125}),
        ("float", {"fp_mul": 1000}, 0, {"dcache_flash": 124}),
        ("float", {"fp_mul": 1000}, 0, {"load_use": 500}),
    ],
)
def test_the_class_of_a_run(
    expected: str, rows: dict[str, int], taken: int, stalls: dict[str, int]
) -> None:
    assert bands.mix(result(rows=rows, taken=taken, stalls=stalls)).code_class == expected


def test_every_class_can_be_reached_and_an_empty_run_has_one() -> None:
    assert Mix(0, 0, 0, 0, 0, 0).code_class in bands.CODE_CLASSES
    assert set(bands._MEMORY_CAUSES) < {cause.name.lower() for cause in StallCause}


def test_the_rows_that_decide_are_classes_of_the_core() -> None:
    from m7sim.isa.classes import CLASSES

    assert set(bands._MULTIPLY_ROWS) < set(CLASSES)


def test_a_band_is_the_range_of_its_class() -> None:
    cases = [
        case("a", "branchy", 990),
        case("b", "branchy", 1040, board="stm32h743"),
        case("c", "straight", 2000),
        case("coarse", "branchy", 1300, plus_minus_cycles=51),
        case("fine", "branchy", 1050, plus_minus_cycles=50),
    ]
    band = bands.band_of("branchy", cases)
    assert band.boards == ("stm32f746", "stm32h743")
    assert band.summary is not None
    assert (band.summary.low, band.summary.high) == pytest.approx((-0.01, 0.05))
    assert band.summary.mape == pytest.approx(0.1 / 3)
    assert "-1.0 … +5.0 %" in band.text
    assert "3 cases" in band.text
    nothing = bands.band_of("float", cases)
    assert nothing.summary is None
    assert "not known" in nothing.text
    assert nothing.document()["mape"] is None


def test_an_unknown_class_is_told() -> None:
    with pytest.raises(InputError, match="no class of code 'mulitply'") as caught:
        bands.applying_to_class("mulitply")
    assert "multiply" in str(caught.value)


def test_summaries() -> None:
    s = bands.summarize([0.01, -0.05, 0.03])
    assert s is not None
    assert (s.mape, s.median, s.worst) == pytest.approx((0.03, 0.03, -0.05))
    assert (s.low, s.high, s.cases) == pytest.approx((-0.05, 0.03, 3))
    assert bands.summarize([]) is None


def test_the_data_file_keeps_every_field(tmp_path: Path) -> None:
    cases = (
        case("a", "branchy", 990.5, llvm_mca_cycles=1100, commit="0" * 7, recompiled=True),
        case("b", "float", 1, instructions=None, plus_minus_cycles=0.25, calibration=True,
             notes='quotes " and \\ and µ\n'),
    )  # fmt: skip
    path = tmp_path / "m.toml"
    path.write_text(bands.dump(cases, date="2020-02-02", core="c"), encoding="utf-8")
    assert bands.load(path) == cases


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 3", "schema 3, expected 1"),
        ("board =", "baord =", "Did you mean board?"),
        ('class = "branchy"', 'class = "branhcy"', "Did you mean branchy?"),
        ("schema = 1", "schema", "not valid TOML"),
    ],
)
def test_a_broken_data_file_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "m.toml"
    good = bands.dump([case("a", "branchy", 990)], date="2020-02-02", core="c")
    assert old in good
    path.write_text(good.replace(old, new, 1))
    with pytest.raises(TableError) as caught:
        bands.load(path)
    assert message in str(caught.value)
    with pytest.raises(InputError):
        bands.load(tmp_path / "none.toml")


def test_the_report_of_a_run_prints_the_band_that_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = (case("a", "multiply", 1070), case("b", "branchy", 900))
    monkeypatch.setattr(bands, "measured_cases", lambda: cases)
    run = result(rows={"alu": 500, "mla": 500})
    out = text.render(run)
    assert "error band" in out
    assert "class multiply: +7.0 … +7.0 %" in out
    assert document.document(run)["error_band"]["high"] == pytest.approx(0.07)
    untimed = replace(run, configuration=replace(CONFIGURATION, timed=False), cycles=0)
    assert "error band" not in text.render(untimed)
    assert document.document(untimed)["error_band"] is None


def test_the_picture_shows_every_case_once() -> None:
    cases = [
        case("a", "branchy", 990, calibration=True),
        case("b", "branchy", 1010),
        case("c", "memory", 1020),
    ]
    series = validation.series(cases)
    assert [(s.code_class, s.calibration) for s in series] == [
        ("memory", False), ("branchy", True), ("branchy", False),
    ]  # fmt: skip
    assert sorted(y for s in series for y in s.modelled) == [990, 1010, 1020]
    assert sorted(e for s in series for e in s.error_percent) == pytest.approx([-1, 1, 2])
    assert all(len(s.measured) == len(s.modelled) for s in series)
    assert set(validation._COLOURS) == set(bands.CODE_CLASSES)


def test_a_picture_needs_cases_and_a_known_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        validation.draw([], tmp_path / "p.png")
    with pytest.raises(InputError, match="cannot write the picture"):
        validation.draw([case("a", "branchy", 990)], tmp_path / "p.nothing")


def test_marks_are_needed_once() -> None:
    rows = [case("a", "branchy", 990)]
    both = f"{validation.TABLE_BEGIN}{validation.TABLE_END}"
    for wrong in ("", validation.TABLE_BEGIN, validation.TABLE_END, both + both):
        with pytest.raises(InputError):
            validation.put_table(wrong, rows)
    assert "| a | branchy |" in validation.put_table(both, rows)
