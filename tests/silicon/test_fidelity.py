"""What FIDELITY.md and the error bands claim, checked against the data they are made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from m7sim.nets import cifar10, published, run
from m7sim.report import validation
from m7sim.validate import bands
from m7sim.validate.bands import MeasuredCase
from m7sim.validate.cases_run import run_folder

FIDELITY = bands.MEASURED.parent / "FIDELITY.md"

# Folder with case files of third-party code, as FIDELITY.md tells how to make one. Without it the
# last test does not exist: such code is not part of the project.
CASES = os.environ.get("M7SIM_CASES", "")


def of(source: str) -> list[MeasuredCase]:
    return [case for case in bands.measured_cases() if source in case.source]


def test_the_tables_are_those_of_the_data() -> None:
    text = FIDELITY.read_text(encoding="utf-8")
    assert text == validation.put_table(text, bands.measured_cases())


def test_every_case_names_source_and_commit() -> None:
    cases = bands.measured_cases()
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert case.commit, case.name
        assert case.source, case.name
        assert case.instructions is None or case.instructions > 0


@pytest.mark.parametrize("calibration", [True, False])
def test_aes_kernels(calibration: bool) -> None:
    cases = [case for case in of("cortexm-AES") if case.calibration is calibration]
    assert len(cases) >= 27
    summary = bands.summarize(case.error for case in cases)
    assert summary is not None
    assert summary.mape <= 0.01
    assert abs(summary.worst) <= 0.04


def test_a_third_of_the_aes_kernels_is_kept_out() -> None:
    cases = sorted(of("cortexm-AES"), key=lambda case: case.name)
    assert [case.calibration for case in cases] == [n % 3 != 2 for n in range(len(cases))]


def test_the_model_is_better_than_counting_instructions_in_every_group() -> None:
    for name, members in validation.groups(bands.measured_cases()).items():
        by = validation.estimates(members)
        naive = by.get("1 cycle per instruction")
        assert naive is None or by["m7sim"].mape < naive.mape, name


def test_bands_have_text_for_every_class() -> None:
    for code_class in bands.CODE_CLASSES:
        band = bands.applying_to_class(code_class)
        assert code_class in band.text
        assert band.document()["cases"] == (band.summary.cases if band.summary else 0)


def test_no_text_promises_too_much() -> None:
    assert "cycle-accurate" not in FIDELITY.read_text(encoding="utf-8").lower()


if CASES:

    @pytest.mark.slow
    def test_the_data_is_what_the_model_gives_today() -> None:
        done = run_folder(Path(CASES))
        assert done.complete, [failure.message for failure in done.failures]
        today = {row.name: row.modelled_cycles for row in done.rows}
        kept = {case.name: case.modelled_cycles for case in bands.measured_cases()}
        assert today == kept


@pytest.mark.toolchain
def test_the_side_by_side_table_is_that_of_the_data() -> None:
    text = FIDELITY.read_text(encoding="utf-8").split("## CIFAR-10 side by side")[1]
    table = [
        line.strip("| ").split(" | ") for line in text.split("\n##")[0].splitlines() if "|" in line
    ]
    ours = run.run(cifar10.seeded(), cifar10.seeded_image(), image_name="seeded")
    silicon = published.cifar10()
    ms = {layer.name: layer.ms for layer in ours.layers}
    our_rows = [sum(ms[name] for name in row.layers) for row in silicon.rows] + [ours.total.ms]
    cases = {case.name: case for case in bands.measured_cases()}
    rows = table[2:]
    names = ("l1_conv", "l2_pool", "l3_conv", "l4_pool", "l5_conv", "l6_pool", "l7_fc", "net")
    assert len(rows) == len(names)
    for row, name, our_ms in zip(rows, names, our_rows, strict=True):
        theirs = [
            cases[f"cifar10_O3_{kind}_{name}"].modelled_cycles / 216e3
            for kind in ("ram", "ram_pkh")
        ]
        for cell, value in zip(row[2:], (*theirs, our_ms), strict=True):
            assert cell == f"{value:.2f} ({100 * (value / float(row[1]) - 1):+.1f})"
