"""``m7sim energy`` as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m7sim import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["energy", *arguments]) == 0
    return capsys.readouterr().out


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    report = run(capsys)
    assert max(map(len, report.splitlines())) <= 100
    for words in (
        "216 MHz, VOS1 with over-drive (1.32 V), supply 3.30 V, peripherals off",
        "beside the model",
        "Largest error of the 98 figures",
        "Charge by event",
        "MicroNets",
    ):
        assert words in report


def test_document(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(capsys, "--json", "--clock", "144MHz", "--supply", "1.8V"))
    assert document["operating_point"]["voltage_scale"] == 3
    assert document["operating_point"]["supply_mv"] == 1800
    assert len(document["datasheet"]) == 98
    assert all(abs(row["error"]) < 0.05 for row in document["datasheet"])
    itcm = document["configurations"]["itcm"]
    assert itcm["current_ma"] == pytest.approx(58, rel=0.05)
    assert itcm["power_mw"] == pytest.approx(1.8 * itcm["current_ma"])
    sleep = json.loads(run(capsys, "--json", "--peripherals", "on"))["configurations"]["sleep"]
    assert sleep["current_ma"] == pytest.approx(116, rel=0.05)
    assert sleep["power_mw"] == pytest.approx(3.3 * sleep["current_ma"])


def test_battery(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "--cycles", "21.6M", "--configuration", "itcm", "--period", "1s", "--battery", "230mAh",
        "--battery-voltage", "3V",
    )  # fmt: skip
    document = json.loads(run(capsys, *arguments, "--json"))
    duty = document["duty_cycle"]
    # 100 ms of ITCM and 900 ms of Sleep at 3.3 V, from the datasheet's 102 and 35 mA
    assert duty["average_mw"] == pytest.approx(3.3 * (0.1 * 102 + 0.9 * 35), rel=0.01)
    assert duty["battery_hours"] == pytest.approx(230 * 3 / duty["average_mw"])
    report = run(capsys, *arguments)
    assert "hours" in report
    assert "The same at other clocks" in report


def test_work_from_a_result(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    events = {"clock": 2e6, "awake": 2e6, "instruction": 2e6}
    result.write_text(json.dumps({"energy": {"events": events}}))
    document = json.loads(run(capsys, str(result), "--period", "1s", "--idle", "stop", "--json"))
    assert document["work"]["events"] == events
    assert document["duty_cycle"]["active_s"] == pytest.approx(2 / 216)
    assert len(document["clocks"]) == 7


def test_fit(capsys: pytest.CaptureFixture[str]) -> None:
    report = run(capsys, "--fit")
    assert "flash_line" in report
    assert "has not seen" in report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "stm32h743"], "no current data for stm32h743"),
        (["--clock", "217MHz"], "At most 216 MHz"),
        (["--battery", "230mAh"], "a battery without work"),
        (["--period", "1s"], "--period without work"),
        (["--cycles", "9", "no.json"], "Leave one of them out"),
        (["no.json", "--period", "1s"], "no.json: cannot be read"),
        (["--cycles", "9", "--period", "1s", "--idle", "slep"], "Did you mean sleep?"),
        (["--cycles", "9", "--configuration", "itmc"], "Did you mean itcm?"),
        (["--cycles", "300M", "--period", "1s"], "do not fit into a period"),
        (
            ["--cycles", "9", "--period", "1s", "--battery", "1mAh", "--efficiency", "2"],
            "efficiency",
        ),
        (["--update-doc", "no.md"], "no.md: cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["energy", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"energy": null}', '{"energy": {"events": {"clock": "x"}}}']
)
def test_documents_without_energy(
    content: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    assert cli.main(["energy", str(path), "--period", "1s"]) == 2
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("value", ["3.3", "3.3A", "-3V", "V", "0V"])
def test_voltages_need_a_unit(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["energy", f"--supply={value}"]) == 2
    assert f"{value!r} is not a voltage such as 3.3V" in capsys.readouterr().err
