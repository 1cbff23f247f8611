"""The command line as a person meets it: messages, exit codes, no traceback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import m7sim
from m7sim import cli, toolchain

HERE = Path(__file__).parent
PACKAGE = Path(m7sim.__file__).parent


def m7(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "m7sim", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )


def inside(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: the same without the second that starting one takes."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main([*map(str, arguments)])
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
    told = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    # the first test of a new version compiles kernels, and says so
    told[1] = "".join(line for line in told[1].splitlines(True) if "compiling kernels" not in line)
    return subprocess.CompletedProcess(arguments, code, *told)


def refused(code: int, *arguments: str | Path) -> str:
    """Run a command that must fail; return its one message."""
    done = m7(*arguments)
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    message = [line for line in done.stderr.splitlines() if line.startswith("m7sim: ")]
    assert len(message) == 1, done.stderr
    return message[0]


@pytest.fixture(scope="module")
def firmware() -> Path:
    data = HERE / "data"
    return toolchain.build(
        [data / "session.c"],
        linker_script=data / "session.ld",
        flags=("-O2", "-g3", "-ffreestanding", "-fno-optimize-sibling-calls"),
        link_flags=("-nostdlib",),
    )


# --- help and usage ------------------------------------------------------------------------------


def test_help_names_commands_defaults_and_exit_codes() -> None:
    done = inside("--help")
    assert done.returncode == 0
    for word in ("run", "net", "core", "doctor", "exit codes", "130"):
        assert word in done.stdout
    assert "(default: stm32f746)" in inside("run", "--help").stdout


def test_version() -> None:
    assert m7("--version").stdout == f"m7sim {m7sim.__version__}\n"


def test_usage_error() -> None:
    done = m7("run")
    assert done.returncode == 2
    assert "usage: m7sim run" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_count() -> None:
    message = refused(2, "run", "--max-cycles", "lots", "x.elf")
    assert "'lots' is not a count" in message


# --- bad input files -----------------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    message = refused(2, "run", tmp_path / "nothing.elf")
    assert "nothing.elf" in message
    assert "no such file" in message.lower()


def test_folder_instead_of_file(tmp_path: Path) -> None:
    assert "directory" in refused(2, "run", tmp_path).lower()


@pytest.mark.toolchain
def test_folder_for_files_that_is_none(firmware: Path, tmp_path: Path) -> None:
    done = inside("run", "--files", tmp_path / "none", firmware)
    assert done.returncode == 2
    assert "no such folder" in done.stderr
    assert done.stdout == ""


@pytest.mark.toolchain
def test_firmware_without_debug_information(firmware: Path, tmp_path: Path) -> None:
    for option, name in (("-g", "fib"), ("-s", "[no symbol]")):
        bare = tmp_path / "bare.elf"
        subprocess.run(["arm-none-eabi-strip", option, "-o", bare, firmware], check=True)
        doc = json.loads(inside("run", "--json", bare).stdout)
        assert doc["functions"][0]["name"] == name
        assert doc["cycles"] == sum(line["cycles"] for line in doc["lines"])
        assert {line["file"] for line in doc["lines"]} == {""}


def test_text_instead_of_elf() -> None:
    assert "not an ELF" in refused(2, "run", Path(__file__))


@pytest.mark.toolchain
@pytest.mark.parametrize("size_bytes", [20, 60, 2000])
def test_truncated_elf(firmware: Path, tmp_path: Path, size_bytes: int) -> None:
    cut = tmp_path / "cut.elf"
    cut.write_bytes(firmware.read_bytes()[:size_bytes])
    message = refused(2, "run", cut)
    assert "cut.elf" in message
    assert "truncated" in message


@pytest.mark.toolchain
def test_arm_mode_binary(tmp_path: Path) -> None:
    source, elf = tmp_path / "arm.c", tmp_path / "arm.elf"
    source.write_text("int main(void) { return 1; }\n")
    subprocess.run(
        [toolchain.find_compiler(), "-marm", "-mcpu=cortex-a7", "-nostdlib", "-Wl,--entry=main",
         "-Ttext=0x08000000", source, "-o", elf],
        check=True,
    )  # fmt: skip
    message = refused(2, "run", elf)
    assert "Arm-mode" in message
    assert "-mthumb" in message


@pytest.mark.toolchain
def test_missing_symbol(firmware: Path) -> None:
    message = refused(2, "run", "--entry", "foreever", firmware)
    assert "no symbol 'foreever'" in message
    assert "forever" in message


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("option", "table", "key"),
    [("--board", "board/stm32f746.toml", "clock"), ("--core", "core/cortex_m7.toml", "units")],
)
def test_misspelt_key(firmware: Path, tmp_path: Path, option: str, table: str, key: str) -> None:
    text = (PACKAGE / table).read_text()
    misspelt = key[:-1] + "z"
    assert len(re.findall(rf"^\[?{key}\b", text, re.MULTILINE)) >= 1
    copy = tmp_path / "table.toml"
    copy.write_text(re.sub(rf"^(\[?){key}\b", rf"\1{misspelt}", text, count=1, flags=re.MULTILINE))
    message = refused(2, "run", option, copy, firmware)
    assert misspelt in message
    assert key in message  # the nearest valid name
    assert "table.toml" in message


@pytest.mark.toolchain
def test_unknown_board_and_core(firmware: Path) -> None:
    assert "stm32f746" in refused(2, "run", "--board", "stm32f74", firmware)
    assert "cortex_m7" in refused(2, "run", "--core", "cortex_m77", firmware)


# --- firmware that goes wrong --------------------------------------------------------------------


@pytest.mark.toolchain
def test_runs_wild(firmware: Path) -> None:
    message = refused(3, "run", "--entry", "wild", firmware)
    assert "deadbee" in message.lower()
    assert "wild" in message


@pytest.mark.toolchain
def test_unmapped_address(firmware: Path) -> None:
    message = refused(3, "run", "--entry", "unmapped", firmware)
    assert "0x30000000" in message
    assert "unmapped" in message
    assert "session.c:" in message


@pytest.mark.toolchain
@pytest.mark.parametrize("what", ["instructions", "cycles"])
def test_never_ends(firmware: Path, what: str) -> None:
    done = inside("run", "--entry", "forever", f"--max-{what}", "100k", firmware)
    assert done.returncode == 4
    assert f"--max-{what}" in done.stderr
    assert "forever" in done.stdout  # the report so far
    assert "Cycles by cause" in done.stdout


@pytest.mark.toolchain
def test_firmware_exit_code(firmware: Path) -> None:
    done = inside("run", "--entry", "failing", "--json", firmware)
    assert done.returncode == 3
    assert "exit code 7" in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 7


@pytest.mark.toolchain
def test_traceback_on_request(firmware: Path) -> None:
    done = inside("run", "--traceback", "--entry", "nosuch", firmware)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


# --- what a good run prints ----------------------------------------------------------------------


@pytest.mark.toolchain
def test_text_report(firmware: Path) -> None:
    done = inside("run", firmware)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    words = ["ELF", "stm32f746 at 216 MHz", "not modelled", "hello\n", "instructions", "IPC",
             "Cycles by cause", "Functions", "Hottest lines", "sum += a[i] * b[i];"]  # fmt: skip
    places = [done.stdout.index(word) for word in words]
    assert places[:-1] == sorted(places[:-1])
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.toolchain
def test_json_document(firmware: Path) -> None:
    done = inside("run", "--json", firmware)
    assert done.returncode == 0, done.stderr
    doc = json.loads(done.stdout)
    assert doc["schema_version"] == 2
    assert doc["snapshot"]["totals"]["cycles"] == doc["cycles"]
    assert doc["configuration"]["board"] == "stm32f746"
    assert doc["cycles"] == doc["issue_cycles"] + sum(doc["stalls"].values())
    assert doc["cycles"] == sum(f["self_cycles"] for f in doc["functions"])
    assert doc["cycles"] == sum(line["cycles"] for line in doc["lines"])
    assert doc["instructions"] == sum(f["instructions"] for f in doc["functions"])
    assert doc["time_ms"] == pytest.approx(doc["cycles"] / 216e3)
    assert doc["console"] == "hello\n"
    assert (doc["exit_code"], doc["stop_reason"]) == (0, "exit")
    calls = {f["name"]: f["calls"] for f in doc["functions"]}
    assert calls["fib"] == 177
    assert calls["dot"] == 1


@pytest.mark.toolchain
def test_output_file_and_clock(firmware: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    done = inside("run", "--json", "--clock", "100MHz", "-o", out, firmware)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    doc = json.loads(out.read_text())
    assert doc["configuration"]["clock_hz"] == 100_000_000
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.toolchain
def test_output_that_cannot_be_written(firmware: Path, tmp_path: Path) -> None:
    message = refused(2, "run", "-o", tmp_path / "no" / "report.txt", firmware)
    assert "cannot write" in message


@pytest.mark.toolchain
def test_reader_that_leaves(firmware: Path) -> None:
    command = f"{sys.executable} -m m7sim core | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.stderr == ""
    assert done.returncode in (0, 141)


@pytest.mark.toolchain
def test_trace_file_is_complete_or_absent(firmware: Path, tmp_path: Path) -> None:
    trace = tmp_path / "run.npz"
    assert inside("run", "--trace", trace, firmware).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]
    assert (
        inside("run", "--trace", tmp_path / "bad.npz", "--entry", "wild", firmware).returncode == 3
    )
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.toolchain
def test_ctrl_c_prints_what_was_reached(firmware: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "m7sim", "run", "--entry", "announced", str(firmware)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    while process.stdout.readline() != "ready\n":
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert first.startswith("ELF")
    assert process.returncode == 130
    assert "interrupted in forever" in err
    assert "Traceback" not in err
    assert "Cycles by cause" in out


# --- other commands ------------------------------------------------------------------------------


def test_core_table() -> None:
    text = inside("core").stdout
    assert "load_word" in text
    assert "mispredict_cycles" in text
    doc = json.loads(inside("core", "--json").stdout)
    assert all(row["source"] and row["confidence"] for row in doc["classes"])


@pytest.mark.toolchain
def test_core_check(firmware: Path, tmp_path: Path) -> None:
    doc = json.loads(inside("core", "--check", firmware, "--json").stdout)
    assert doc["unmodelled"] == []
    assert doc["instructions"] == sum(row["instructions"] for row in doc["rows"])

    source, elf = tmp_path / "odd.s", tmp_path / "odd.elf"
    source.write_text(
        ".syntax unified\n.thumb\n.thumb_func\n.global odd\n.type odd, %function\n"
        "odd:\n movs r0, #1\n .inst.w 0xffffffff\n bx lr\n"
    )
    subprocess.run(
        [toolchain.find_compiler(), "-mcpu=cortex-m7", "-mthumb", "-nostdlib", "-Wl,--entry=odd",
         "-Ttext=0x08000000", source, "-o", elf],
        check=True,
    )  # fmt: skip
    done = inside("core", "--check", elf)
    assert done.returncode == 1
    assert "0x08000002" in done.stdout
    assert "odd" in done.stdout


def test_doctor() -> None:
    done = inside("doctor", "--json")
    doc = json.loads(done.stdout)
    assert done.returncode == 0
    assert doc["ok"] is True
    assert len(doc["checks"]) > 10
    assert "corruption" in inside("doctor", "--force-memory-hooks").stdout
