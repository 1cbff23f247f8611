"""``m7sim estimate`` as a person uses it."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from m7sim import cli
from m7sim.characterize import table
from m7sim.errors import InputError
from m7sim.estimate import Estimator, source
from m7sim.ops import registry

FC = ["estimate", "fc_s8", "in_len=640", "out_len=128"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    found = capsys.readouterr()
    return code, found.out, found.err


def copied(folder: Path, **changes: Any) -> Path:
    """The table of the package under another name, its header changed."""
    path = folder / f"mine{source.SUFFIX}"
    shutil.copy(source.SHIPPED, path)
    header = json.loads(table.header_path(source.SHIPPED).read_text(encoding="utf-8"))
    table.header_path(path).write_text(json.dumps(header | changes), encoding="utf-8")
    return path


def test_text_says_what_a_person_wants_to_know(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *FC)
    assert (code, err) == (0, "")
    for words in ("cycles", "± ", "ms at 216 MHz", "MOps/s", "cycles/MAC", "uJ", "mW",
                  "Measured shapes nearest to it", "1x1x640 1x1x128"):  # fmt: skip
        assert words in out
    assert max(map(len, out.splitlines())) <= 110
    assert "STALE" not in out


def test_json_has_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *FC, "--json")
    doc = json.loads(out)
    one = Estimator.load().estimate(registry.get("fc_s8").shape(in_len=640, out_len=128))
    assert code == 0
    assert doc["cycles"] == round(one.cycles)
    assert doc["energy_nj"] == pytest.approx(one.energy_nj)
    assert doc["time_ms"] == pytest.approx(one.cycles / 216e3)
    assert doc["macs"] == 640 * 128
    assert 0 < doc["cycles_error"] < 0.1
    assert len(doc["nearest"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fc_s8", "in_len=60000", "out_len=128"], "in_len is 60000, measured are 8 to 4096"),
        (["conv", "size=16", "in_ch=512"], "in_ch is 512, measured are 4 to 160"),
        (["convv", "size=16"], "no operation 'convv'. Did you mean conv?"),
        (["conv", "inch=16"], "conv has no parameter 'inch'"),
        (["conv", "size16"], "'size16' is no size. Write sizes like in_ch=32"),
        (["conv", "size=16", "size=8"], "size is given twice"),
        (["conv", "--board", "stm32h743"], "no verified points of board stm32h743"),
        (["conv", "--table", "none.parquet"], "no such table"),
        (["conv", "--table", "none.csv.gz"], "not an estimation table"),
        (["relu", "--check", "--placement", "tcm"], "no points of relu at tcm"),
        (["conv", "size=8", "--check"], "--check takes an operation, no sizes"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, "estimate", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_extrapolation_is_done_when_asked_for_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["estimate", "fc_s8", "in_len=8192", "out_len=64"]
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "--extrapolate" in err
    code, out, _ = run(capsys, *arguments, "--extrapolate")
    assert code == 0
    assert "Extrapolated: in_len is 8192, measured are 8 to 4096." in out


def test_check_prints_errors_by_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "estimate", "relu", "--check")
    assert code == 0
    assert "median" in out
    assert "total" in out
    assert "The worst of them" in out
    code, out, _ = run(capsys, "estimate", "relu", "--check", "--placement", "flash+dtcm", "--json")
    doc = json.loads(out)
    assert [each["op"] for each in doc["held_out"]] == ["relu"]
    assert doc["held_out"][0]["placement"] == "flash+dtcm"
    assert doc["all"]["median"] == doc["held_out"][0]["cycles"]["median"]


def test_without_an_operation_the_table_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "estimate")
    assert code == 0
    for op in registry.OPS:
        assert f"\n{op} " in out


def test_a_stale_table_says_what_changed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = copied(tmp_path, core="0" * 64, boards={"stm32f746": "0" * 64}, kernels="0" * 64)
    code, out, _ = run(capsys, *FC, "--table", str(path))
    assert code == 0
    assert "STALE TABLE: the board stm32f746, the core table cortex-m7, the kernels" in out
    assert "Make it again with: m7sim characterize --shapes estimate" in out
    path = copied(tmp_path, model="0" * 64)
    code, out, _ = run(capsys, *FC, "--table", str(path))
    assert "STALE" not in out
    assert "another version of m7sim's own sources" in out


def test_a_damaged_table_is_one_message(tmp_path: Path) -> None:
    path = copied(tmp_path)
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], b"", b"op,variant\n1,2\n", gzip.compress(b"a,b\n1,2\n")):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"not an estimation table"):
            Estimator.load(path)
    path = copied(tmp_path, schema_version=99)
    with pytest.raises(InputError, match=r"schema version 99"):
        Estimator.load(path)


@pytest.mark.toolchain
def test_a_table_of_a_sweep_serves_as_well(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = tmp_path / "mine.toml"
    grid.write_text(
        'schema = 1\n[[sweep]]\nop = "relu"\nsize = [3, 4, 6, 8, 11]\nch = [4, 7, 12, 16]\n'
    )
    placements = ["--placement", "flash+sram", "--placement", "tcm"]
    sweep = ["characterize", "--shapes", str(grid), *placements, "--out", "mine.csv"]
    assert run(capsys, *sweep)[0] == 0
    arguments = ["estimate", "relu", "size=7", "ch=8", "--table", "mine.csv", "--json"]
    slow, fast = (
        json.loads(run(capsys, *arguments, "--placement", name)[1])["cycles"]
        for name in ("flash+sram", "tcm")
    )
    assert fast < slow
    code, _, err = run(capsys, "estimate", "relu", "size=20", "ch=8", "--table", "mine.csv")
    assert code == 2
    assert "in_y is 20, measured are 3 to 11; in_x is 20" in err
    two = ["--clock", "100MHz", "--out", "other.csv"]
    assert run(capsys, *sweep[:3], *two)[0] == 0
    rows = [*table.read("mine.csv").rows, *table.read("other.csv").rows]
    table.write(Path("both.csv"), rows, table.read("mine.csv").header)
    code, _, err = run(capsys, "estimate", "relu", "size=7", "ch=8", "--table", "both.csv")
    assert code == 2
    assert "points of 2 settings, an estimate needs one" in err
    code, _, _ = run(
        capsys, "estimate", "relu", "size=7", "ch=8", "--table", "both.csv", "--clock", "100MHz"
    )
    assert code == 0
