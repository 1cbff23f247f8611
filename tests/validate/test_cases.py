"""Cases: what a file may say, what is told about one that is wrong, and what a comparison gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import m7sim
from m7sim import cli, toolchain
from m7sim.board import Board
from m7sim.errors import InputError, M7Error, TableError
from m7sim.profile.result import Result
from m7sim.report import validation
from m7sim.validate import bands, cases_mca, cases_run
from m7sim.validate.cases import Case, case_files, load_case
from m7sim.validate.cases_run import run_case, run_folder

SOURCE = """
    #include <stdint.h>
    #include "m7sim.h"
    int32_t total;
    int32_t table[16] = {1, 2, 3};
    void warm(void) { total = 7; }
    int32_t sum(const int32_t *x, int32_t n) { int32_t s = 0; while (n--) s += *x++; return s; }
    void scale(float *x, int32_t n, float by) { for (int i = 0; i < n; i++) x[i] = x[i] * by; }
    void grow(int32_t *x, int32_t n) {
        for (int32_t i = 0; i < n; i++) for (int32_t k = 0; k < x[i]; k++) total += k;
        for (int32_t i = 0; i < n; i++) x[i]++;
    }
    uint32_t straight(uint32_t a, uint32_t b) { return (a ^ b) + (a << 3) + (b & 0xff); }
    uint32_t crash(uint32_t a) { return *(volatile uint32_t *)0x90000000u + a; }
    __attribute__((noinline)) void part(void) { for (int i = 0; i < 50; i++) total += i * total; }
    int main(void) { for (int i = 0; i < 4; i++) part(); return 0; }
"""
CORE = Path(m7sim.__file__).parent / "core" / "cortex_m7.toml"
KEEP = ("warm", "sum", "scale", "grow", "straight", "crash", "part", "table")

pytestmark = pytest.mark.toolchain


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("program") / "cases.c"
    source.write_text(SOURCE)
    board = toolchain.firmware_dir() / "board"
    return toolchain.build(
        [board / "startup.c", board / "syscalls.c", source],
        flags=("-O2", "-g", "-ffunction-sections", "-fno-tree-vectorize"),
        include=[toolchain.firmware_dir() / "include"],
        keep=KEEP,
    )


class Folder:
    """Writes case files that differ from a good one in what is asked for."""

    def __init__(self, path: Path, elf: Path) -> None:
        self.path, self.elf = path, elf

    def write(
        self, stem: str, *, remove: str = "", measured: str = "cycles = 100", **keys: object
    ) -> Path:
        top = {
            "schema": 1, "elf": str(self.elf), "entry": "warm", "board": "stm32f746",
            "calibration": True, "source": "ours", **keys,
        }  # fmt: skip
        arguments = top.pop("arguments_text", "")
        lines = [f"{k} = {_toml(v)}" for k, v in top.items() if k != remove and v is not None]
        if remove != "measured":
            lines += ["[measured]", measured]
        file = self.path / f"{stem}.toml"
        file.write_text("\n".join(lines) + f"\n{arguments}\n", encoding="utf-8")
        return file


def _toml(value: object) -> str:
    return json.dumps(value)


@pytest.fixture
def folder(tmp_path: Path, elf: Path) -> Folder:
    return Folder(tmp_path, elf)


def argument(**keys: object) -> str:
    return "[[arguments]]\n" + "\n".join(f"{k} = {_toml(v)}" for k, v in keys.items()) + "\n"


# What a case gives -----------------------------------------------------------------------------


def test_a_case_gives_what_a_call_gives(folder: Folder, elf: Path) -> None:
    x = argument(dtype="int32", values=[4, 5, 6], place="DTCM") + argument(value=3)
    case = load_case(folder.write("sum", entry="sum", repeat=3, arguments_text=x))
    row = run_case(case).row
    firmware = m7sim.load(elf)
    buffer = firmware.machine.alloc(np.array([4, 5, 6], np.int32), "DTCM")
    for warm in (False, True, True):
        call = firmware.call("sum", buffer, 3, warm=warm)
    assert call.value == 15
    assert (row.modelled_cycles, row.instructions) == (call.cycles, call.instructions)
    assert row.error == pytest.approx(call.cycles / 100 - 1)
    assert row.instructions_error == pytest.approx(call.instructions / 100 - 1)
    cold = run_case(load_case(folder.write("cold", entry="sum", arguments_text=x))).row
    assert cold.modelled_cycles > row.modelled_cycles


def test_buffers_are_refilled_before_each_call(folder: Folder) -> None:
    """`grow` works in place: on its own output it would take longer each time."""
    x = argument(dtype="int32", fill=20, shape=8) + argument(value=8)
    counts = [
        run_case(
            load_case(folder.write(f"r{n}", entry="grow", repeat=n, arguments_text=x))
        ).row.instructions
        for n in (1, 2, 3)
    ]
    assert counts[0] == counts[1] == counts[2]


def test_seeded_buffers_are_the_same_every_time(folder: Folder) -> None:
    text = argument(dtype="int16", seed=5, shape=[3, 4], low=-3, high=7)
    one, two = (load_case(folder.write(n, arguments_text=text)).arguments[0].array for n in "ab")
    assert one is not None
    assert two is not None
    assert one.dtype == np.int16
    assert one.shape == (3, 4)
    assert one.min() >= -3
    assert one.max() <= 7
    assert np.array_equal(one, two)
    other = argument(dtype="int16", seed=6, shape=[3, 4], low=-3, high=7)
    third = load_case(folder.write("c", arguments_text=other)).arguments[0].array
    assert not np.array_equal(one, third)


def test_places_addresses_and_symbols(folder: Folder) -> None:
    head = [
        argument(dtype="int32", values=[1] * 64, place="FLASH"),
        argument(dtype="int32", values=[1] * 64, address=0x2001_0000),
        argument(symbol="table"),
    ]
    cycles = []
    for index, first in enumerate(head):
        n = 16 if index == 2 else 64
        file = folder.write(f"p{index}", entry="sum", arguments_text=first + argument(value=n))
        cycles.append(run_case(load_case(file)))
    assert cycles[0].stalls["dcache_flash"] > 0
    assert cycles[1].stalls["dcache_sram"] > 0
    assert cycles[2].row.modelled_cycles < cycles[1].row.modelled_cycles


def test_what_comes_before_warms_the_caches(folder: Folder) -> None:
    alone = run_case(load_case(folder.write("alone"))).row
    after = run_case(load_case(folder.write("after", before=["warm"]))).row
    assert after.modelled_cycles < alone.modelled_cycles
    assert after.instructions == alone.instructions


def test_time_becomes_cycles_at_the_clock_of_the_case(folder: Folder) -> None:
    file = folder.write(
        "ms", measured="ms = 0.5\nplus_minus_ms = 0.05", clock_hz=100_000_000, icache=False
    )
    row = run_case(load_case(file)).row
    assert (row.measured_cycles, row.plus_minus_cycles) == (50_000, 5_000)


def test_caches_can_be_switched(folder: Folder) -> None:
    on, off = (
        run_case(load_case(folder.write(n, entry="part", repeat=2, icache=v))).row.modelled_cycles
        for n, v in (("on", True), ("off", False))
    )
    assert off > on


def test_a_run_from_reset_and_a_function_in_it(folder: Folder) -> None:
    whole = run_case(load_case(folder.write("whole", entry=None, start="reset"))).row
    part = run_case(load_case(folder.write("part", entry=None, start="reset", measure="part"))).row
    assert 0 < part.modelled_cycles < whole.modelled_cycles / 4
    assert part.instructions is None
    assert part.instructions_error is None


def test_another_board_by_file_beside_the_case(folder: Folder) -> None:
    own = folder.path / "own.board.toml"
    source = Path(m7sim.__file__).parent / "board" / "stm32f746.toml"
    own.write_text(source.read_text().replace('name = "stm32f746"', 'name = "own"'))
    (folder.path / "own.core.toml").write_text(CORE.read_text())
    folder.write("board", board=own.name, core="own.core.toml")
    (result,) = run_folder(folder.path).results
    assert result.row.board == "own"


def test_straight_line_code_goes_to_llvm_mca(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []

    def estimate(instructions: tuple[str, ...]) -> int:
        seen.append(instructions)
        return 50

    monkeypatch.setattr("m7sim.validate.cases_run.estimate_cycles", estimate)
    text = argument(value=3) + argument(value=4)
    straight = run_case(load_case(folder.write("s", entry="straight", arguments_text=text))).row
    assert straight.llvm_mca_error == -0.5
    assert len(seen) == 1
    assert seen[0][-1].startswith("bx")
    loop = run_case(load_case(folder.write("l", entry="part"))).row
    assert loop.llvm_mca_error is None
    assert len(seen) == 1


@pytest.mark.skipif(cases_mca.find_mca() is None, reason="llvm-mca is not installed")
def test_llvm_mca_gives_a_figure_or_nothing() -> None:
    adds = ["add.w r0, r0, r1"] * 10
    assert cases_mca.estimate_cycles(adds) in range(10, 16)
    assert cases_mca.estimate_cycles([*adds, "no such instruction"]) is None


def test_without_llvm_mca_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases_mca, "find_mca", lambda: None)
    assert cases_mca.estimate_cycles(["nop"]) is None


# What is wrong with a case ---------------------------------------------------------------------

BAD_FILES: dict[str, tuple[dict[str, object], str]] = {
    "missing ELF": ({"elf": "nowhere.elf"}, "nowhere.elf does not exist"),
    "misspelt key": ({"calibartion": True}, "Did you mean calibration?"),
    "missing key": ({"remove": "board"}, "missing key 'board'"),
    "missing measurement": ({"remove": "measured"}, "missing key 'measured'"),
    "empty measurement": ({"measured": ""}, "missing measured value"),
    "two measurements": ({"measured": "cycles = 1\nms = 2"}, "both cycles and ms"),
    "measured zero": ({"measured": "cycles = 0"}, "must be above 0"),
    "measured text": ({"measured": 'cycles = "9"'}, "no number"),
    "misspelt measurement": ({"measured": "cycels = 9"}, "Did you mean cycles?"),
    "wrong type": ({"repeat": "4"}, "expected int"),
    "no repeat": ({"repeat": 0}, "at least 1"),
    "unknown class": ({"class": "multipl"}, "Did you mean multiply?"),
    "no source": ({"source": " "}, "missing source"),
    "other schema": ({"schema": 2}, "schema 2, expected 1"),
    "no start": ({"entry": None}, "one of entry and start"),
    "two starts": ({"start": "reset"}, "one of entry and start"),
    "odd start": ({"entry": None, "start": "boot"}, "'boot' is no start"),
    "arguments of a reset": ({"entry": None, "start": "reset", "repeat": 2}, "run from reset"),
    "command line of a call": ({"command_line": "x"}, "run from reset"),
    "dtype": ({"arguments_text": argument(dtype="int9", fill=0, shape=1)}, "unknown dtype"),
    "two contents": (
        {"arguments_text": argument(dtype="int8", fill=0, seed=1, shape=1)}, "one of fill",
    ),
    "no shape": ({"arguments_text": argument(dtype="int8", fill=0)}, "missing key 'shape'"),
    "value too large": (
        {"arguments_text": argument(dtype="int8", values=[300])}, "no such buffer",
    ),
    "kinds mixed": ({"arguments_text": argument(value=1, shape=2)}, "belongs to buffers"),
    "no kind": ({"arguments_text": argument(shape=2)}, "one of value, symbol and dtype"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_told_in_one_message(folder: Folder, name: str) -> None:
    keys, message = BAD_FILES[name]
    file = folder.write("bad", **keys)  # type: ignore[arg-type]
    with pytest.raises(M7Error) as caught:
        load_case(file)
    text = str(caught.value)
    assert message in text
    assert str(file) in text
    assert "\n" not in text


def test_not_toml(folder: Folder) -> None:
    file = folder.path / "x.toml"
    file.write_text("schema = ")
    with pytest.raises(TableError, match="not valid TOML"):
        load_case(file)


BAD_RUNS: dict[str, tuple[dict[str, object], str]] = {
    "unknown board": ({"board": "stm32f74"}, "Did you mean stm32f746?"),
    "unknown core": ({"core": "cortex_m8"}, "cortex_m7"),
    "unknown entry": ({"entry": "wram"}, "warm"),
    "entry without code": ({"entry": 0x2000_0000}, "no code at 0x20000000"),
    "address without memory": (
        {"entry": "sum", "arguments_text": argument(
            dtype="int8", fill=0, shape=4, address=0x9000_0000) + argument(value=1)},
        "no memory at 0x90000000",
    ),
    "address of registers": (
        {"entry": "sum", "arguments_text": argument(
            dtype="int8", fill=0, shape=4, address=0x4002_3800) + argument(value=1)},
        "no memory at 0x40023800",
    ),
    "buffer over the edge": (
        {"entry": "sum", "arguments_text": argument(
            dtype="int8", fill=0, shape=64, address=0x2000_FFF0) + argument(value=1)},
        "reach beyond",
    ),
    "unknown place": (
        {"entry": "sum", "arguments_text": argument(
            dtype="int32", fill=0, shape=4, place="DTMC") + argument(value=1)},
        "Did you mean DTCM?",
    ),
    "unknown symbol": ({"entry": "sum", "arguments_text": argument(symbol="tabel")}, "table"),
    "wrong arguments": ({"entry": "sum", "arguments_text": argument(value=1)}, "2 expected"),
    "unknown function before": ({"before": ["wrm"]}, "warm"),
    "not called": ({"entry": None, "start": "reset", "measure": "sum"}, "was not called"),
    "a run without an end": (
        {"entry": None, "start": "reset", "max_instructions": 500}, "limit of 500 instructions",
    ),
    "a fault": ({"entry": "crash", "arguments_text": argument(value=1)}, "0x90000000"),
}  # fmt: skip


def test_other_cases_run_beside_the_wrong_ones(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write("0 good", repeat=2)
    for name, (keys, _) in BAD_RUNS.items():
        folder.write(name, **keys)  # type: ignore[arg-type]
    folder.write("z twin", name="0 good")
    code = cli.main(["validate", str(folder.path), "--json"])
    assert code == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert [case["name"] for case in document["cases"]] == ["0 good"]
    failed = {Path(f["file"]).stem: f["message"] for f in document["failed"]}
    assert set(failed) == {*BAD_RUNS, "z twin"}
    for name, (_, message) in BAD_RUNS.items():
        assert message in failed[name], name
        assert str(folder.path / f"{name}.toml") in failed[name]
    assert "a second case named" in failed["z twin"]
    lines = [line for line in err.splitlines() if line.startswith("m7sim: ")]
    assert len(lines) == len(failed)


@pytest.mark.parametrize("content", [None, "empty"])
def test_a_folder_without_cases_is_an_input_error(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path if content else tmp_path / "none"
    with pytest.raises(InputError):
        case_files(path)
    assert cli.main(["validate", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_an_unknown_board_for_all_is_an_input_error(folder: Folder) -> None:
    folder.write("good")
    assert cli.main(["validate", str(folder.path), "--board", "nucleo"]) == 2


# The command -----------------------------------------------------------------------------------


def test_json_text_picture_and_bands(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for index, (name, calibration) in enumerate((("a", True), ("b", True), ("c", False))):
        measured = f"cycles = {100 + 40 * index}"
        folder.write(name, entry="part", repeat=2, calibration=calibration, measured=measured)
    picture, data = folder.path / "p.png", folder.path / "out" / "measured.toml"
    data.parent.mkdir()
    marks = f"# x\n\n{validation.TABLE_BEGIN}\nold\n{validation.TABLE_END}\nend\n"
    (data.parent / "FIDELITY.md").write_text(marks)
    options = ["--figure", str(picture), "--update-bands", str(data)]
    assert cli.main(["validate", str(folder.path), "--json", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    errors = [case["error"] for case in document["cases"]]
    assert document["mape"] == pytest.approx(np.mean(np.abs(errors)))
    assert document["median"] == pytest.approx(np.median(np.abs(errors)))
    assert document["worst"] == max(errors, key=abs)
    groups = document["groups"]
    assert groups["used in calibration"]["m7sim"]["cases"] == 2
    assert groups["kept out"]["m7sim"]["cases"] == 1
    assert groups["total"]["1 cycle per instruction"]["cases"] == 3
    for case in document["cases"]:
        assert case["error"] == pytest.approx(case["modelled_cycles"] / case["measured_cycles"] - 1)
        assert case["modelled_cycles"] == case["issue_cycles"] + sum(case["stalls"].values())
        assert case["class"] in bands.CODE_CLASSES
    assert picture.read_bytes()[:4] == b"\x89PNG"
    rows = bands.load(data)
    assert [row.error for row in rows] == pytest.approx(errors)
    text = (data.parent / "FIDELITY.md").read_text()
    assert text.startswith("# x\n")
    assert text.endswith("end\n")
    assert "old" not in text
    assert text == validation.put_table(marks, rows)


def test_the_text_has_a_row_for_each_case(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write("one", repeat=2)
    folder.write("two", entry="nothing")
    assert cli.main(["validate", str(folder.path)]) == 1
    out = capsys.readouterr().out
    assert "one" in out
    assert "not compared: two" in out
    assert "kept out" not in out
    assert max(map(len, out.splitlines())) <= 100


def test_no_bands_from_an_incomplete_folder(folder: Folder) -> None:
    folder.write("one")
    folder.write("two", entry="nothing")
    data = folder.path / "out.txt"
    assert cli.main(["validate", str(folder.path), "--update-bands", str(data)]) == 2
    assert not data.exists()


def test_same_run_serves_two_measurements(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    original = cases_run._run

    def counting(case: Case, chip: Board, core: str | Path) -> Result:
        runs.append(case.name)
        return original(case, chip, core)

    monkeypatch.setattr(cases_run, "_run", counting)
    folder.write("a", entry=None, start="reset")
    folder.write("b", entry=None, start="reset", measure="part")
    folder.write("c", entry="warm")
    assert len(run_folder(folder.path).results) == 3
    assert runs == ["a", "c"]
