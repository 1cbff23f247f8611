"""The README shows what its commands print today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m7sim import cli, toolchain
from m7sim.ops.kernels import kernel_elf

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.toolchain


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_network_table_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["net", "cifar10"]) == 0
    printed = capsys.readouterr().out.splitlines()
    shown = [line for line in blocks("text")[0].splitlines() if line]
    assert len(shown) > 15
    assert [line for line in shown if line not in printed] == []


def test_estimate_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    command = re.findall(r"`m7sim (estimate conv .*)`", README)[0]
    assert cli.main(command.split()) == 0
    shown = blocks("text")[2]
    assert shown.count("\n") >= 5
    assert shown in capsys.readouterr().out


def test_failing_check_is_that_of_the_example() -> None:
    example = toolchain.firmware_dir() / "examples" / "ci" / "README.md"  # tested by running it
    printed = [line.strip() for line in example.read_text(encoding="utf-8").splitlines()]
    shown = [line.strip() for line in blocks("text")[1].splitlines()]
    assert len(shown) == 5
    assert [line for line in shown if line not in printed] == []


def test_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kernels.elf").write_bytes(kernel_elf().read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("[0 5 0 7] ")


def test_commands_named_exist() -> None:
    for command in re.findall(r"`m7sim (\w+)", README):
        with pytest.raises(SystemExit) as end:
            cli.main([command, "--help"])
        assert end.value.code == 0
