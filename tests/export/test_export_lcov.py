"""LCOV tracefiles: their grammar, sums, and what of a program is in them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from m7sim import toolchain
from m7sim.cli import main
from m7sim.errors import InputError
from m7sim.export.lcov import Coverage, own_sites

pytestmark = pytest.mark.toolchain

TABLE = """\
volatile int input[8] = {0, 1, 2, 3, 4, 5, 6, 7};
volatile int output;

__attribute__((noinline)) int pick(int x)
{
    switch (x) {
    case 0: return input[0] + 7;
    case 1: return input[3] * 3;
    case 2: output = 5; return input[1] ^ 6;
    case 3: return input[2] - 5;
    case 4: output = 3; return 12;
    case 5: return input[6] / 3;
    default: return input[4];
    }
}

int main(void)
{
    static const unsigned char cases[] = {0, 1, 1, 2, 2, 2, 4, 9, 77, 5, 5};
    for (unsigned k = 0; k < sizeof cases; k++)
        output = pick(cases[k]);
    return 0;
}
"""

INLINED = """\
#include <stdint.h>
volatile int32_t input[8] = {3, -1, 4, 1, -5, 9, 2, 6};
volatile int32_t output;

template <typename T> __attribute__((always_inline)) static inline T twice(T x)
{
    output = x;
    return x + x;
}

static void overloaded(int32_t x) { output = x; }
static void overloaded(int16_t x) { output = -x; }

extern "C" __attribute__((noinline)) void never(void)
{
    output = twice<int32_t>(1);
}

extern "C" int main(void)
{
    for (int k = 0; k < input[0]; k++)
        output = twice<int32_t>(input[k]);
    for (int k = 0; k < input[2]; k++)
        output = twice<int16_t>((int16_t)input[k]) + twice<int16_t>((int16_t)input[k + 1]);
    overloaded((int32_t)input[1]);
    overloaded((int16_t)input[1]);
    if (input[3] == 77)
        never();
    return 0;
}
"""

CALLED = """\
int classify(int x, const int *limits)
{
    if (x < limits[0])
        return -1;
    if (x > limits[1])
        return 1;
    return 0;
}
__attribute__((used)) int main(void)
{
    static const int limits[2] = {0, 10};
    return classify(5, limits);
}
"""

GRAMMAR = (
    r"TN:\w*",
    r"SF:/.+",
    r"(FN:[1-9]\d*,[^,]+|FN:[1-9]\d*,\S+)",
    r"FNDA:\d+,.+",
    r"FNF:\d+",
    r"FNH:\d+",
    r"BRDA:[1-9]\d*,\d+,\d+,(-|\d+)",
    r"BRF:\d+",
    r"BRH:\d+",
    r"DA:[1-9]\d*,\d+",
    r"LF:\d+",
    r"LH:\d+",
    r"end_of_record",
)  # in this order, as geninfo(1) describes it
SEVERAL = {2, 3, 6, 9}


def parse(text: str) -> list[dict[str, list[str]]]:
    """Check a tracefile strictly; return its records as lists of values by kind."""
    assert text.endswith("\n")
    records: list[dict[str, list[str]]] = []
    place = len(GRAMMAR)
    for line in text.splitlines():
        if place == len(GRAMMAR):
            records.append({})
            place = 0
        while not re.fullmatch(GRAMMAR[place], line):
            assert place in SEVERAL, f"{line!r} stands where {GRAMMAR[place]} should"
            place += 1
        kind, _, value = line.partition(":")
        records[-1].setdefault(kind, []).append(value)
        place += place not in SEVERAL
    assert place == len(GRAMMAR)
    for record in records:
        check_sums(record)
    return records


def check_sums(record: dict[str, list[str]]) -> None:
    names = [value.split(",", 1)[1] for value in record.get("FN", [])]
    entered = [value.split(",", 1) for value in record.get("FNDA", [])]
    assert len(set(names)) == len(names)
    assert sorted(names) == sorted(name for _, name in entered)
    lines = [tuple(map(int, value.split(","))) for value in record.get("DA", [])]
    assert [line for line, _ in lines] == sorted({line for line, _ in lines})
    ways = [value.split(",") for value in record.get("BRDA", [])]
    assert len({tuple(way[:3]) for way in ways}) == len(ways)
    for _, of_branch in Counter((line, block) for line, block, *_ in ways).items():
        assert of_branch > 1
    assert record["FNF"] == [str(len(names))]
    assert record["FNH"] == [str(sum(count != "0" for count, _ in entered))]
    assert record["BRF"] == [str(len(ways))]
    assert record["BRH"] == [str(sum(way[3] not in ("-", "0") for way in ways))]
    assert record["LF"] == [str(len(lines))]
    assert record["LH"] == [str(sum(ran > 0 for _, ran in lines))]


def outcomes(coverage: Coverage, source: Path, line: int) -> list[tuple[int | None, ...]]:
    return list(coverage.files[str(source)].branches[line].values())


@pytest.mark.parametrize("flags", ["-O0", "-Os", "-O2"])
def test_table_branches_have_one_outcome_per_target(firmware_of, tmp_path, flags):
    result = firmware_of(TABLE, flags, "-g", "-fno-tree-switch-conversion").run("main")
    coverage = Coverage.of(result, roots=[tmp_path])
    parse(coverage.to_lcov())
    branches = outcomes(coverage, tmp_path / "prog.c", 6)
    assert sorted(map(len, branches)) == [2, 6]
    (beyond,) = [way for way in branches if len(way) == 2]
    (table,) = [way for way in branches if len(way) == 6]
    assert sorted(beyond) == [2, 9]
    assert sorted(table) == [0, 1, 1, 2, 2, 3]


def test_inlined_copies_and_templates_add_up(firmware_of, tmp_path):
    firmware = firmware_of(INLINED, "-O2", "-g", "-fno-unroll-loops", name="prog.cpp")
    counts = Coverage.of(firmware.run("main"), roots=[tmp_path]).files[str(tmp_path / "prog.cpp")]
    assert counts.lines[7] == 3 + 4 + 4
    entered = {name: count for name, (_, count) in counts.functions.items()}
    assert entered["never"] == 0
    assert entered["main"] == 1
    twice = {name: n for name, n in entered.items() if name.startswith("twice")}
    assert twice == {"twice<long int>": 3, "twice<short int>": 8}
    assert {name: n for name, n in entered.items() if name.startswith("overloaded")} == {
        "overloaded:11": 1,
        "overloaded:12": 1,
    }
    assert counts.lines[16] == 0


def test_statements_whose_code_is_elsewhere_are_listed(firmware_of, tmp_path):
    text = (toolchain.firmware_dir() / "examples" / "ci" / "fir_q15.c").read_text()
    (tmp_path / "fir_q15.h").write_text("#include <stdint.h>\n")
    firmware = firmware_of(text + "int main(void) { return 0; }\n", "-O2", "-g", "-Wl,-ufir_q15")
    y, x, taps = (np.ones(n, np.int16) for n in (9, 12, 4))
    result = firmware.call("fir_q15", y, x, taps, 9, 4)
    lines = Coverage.of(result, roots=[tmp_path]).files[str(tmp_path / "prog.c")].lines
    products = [n for n, line in enumerate(text.splitlines(), 1) if "= __smlad(h, " in line]
    assert [lines[n] for n in products] == [4] * 4, "all their code is that of __smlad"
    stores = [n for n, line in enumerate(text.splitlines(), 1) if "rounded(sum" in line]
    assert [lines[n] for n in stores] == [2, 2, 2, 2, 1]


def test_calls_merge_to_what_one_run_would_say(firmware_of, tmp_path):
    firmware = firmware_of(CALLED, "-O0", "-g")
    limits = np.array([0, 10], np.int32)

    def of(value: int) -> Coverage:
        return Coverage.of(firmware.call("classify", value, limits), roots=[tmp_path])

    source = tmp_path / "prog.c"
    low, high = of(-4), of(30)
    assert low.files[str(source)].lines[4] == 1
    assert outcomes(low, source, 5) == [(None, None)]
    assert low.files[str(source)].lines[12] == 0, "never run, but there"
    both = low + high
    assert both.files[str(source)].lines[3] == 2
    assert both.files[str(source)].lines[7] == 0
    assert both.files[str(source)].functions["classify"] == (1, 2)
    assert sorted(outcomes(both, source, 5)[0]) == [0, 1]
    three = Coverage.merge([low, high, of(5)])
    assert three.totals.lines_hit == low.totals.lines_hit + 3
    assert three.totals.branches == three.totals.branches_hit == 4
    assert low.files[str(source)].lines[3] == 1, "the parts stay as they were"
    assert (high + low).to_lcov() == both.to_lcov()


def test_two_programs_of_one_source(firmware_of, tmp_path):
    parts = [
        Coverage.of(firmware_of(TABLE, flag, "-g").run("main"), roots=[tmp_path])
        for flag in ("-O0", "-Os")
    ]
    both = Coverage.merge(parts)
    parse(both.to_lcov())
    lines = [part.files[str(tmp_path / "prog.c")].lines for part in (*parts, both)]
    assert lines[2][21] == lines[0][21] + lines[1][21] == 22
    assert both.totals.branches == parts[0].totals.branches + parts[1].totals.branches


def test_a_tracefile_reads_back(firmware_of, tmp_path):
    coverage = Coverage.of(
        firmware_of(INLINED, "-O0", "-g", name="p.cpp").run("main"), roots=[tmp_path]
    )
    coverage.write(tmp_path / "one.info", "smoke")
    (record,) = parse((tmp_path / "one.info").read_text())
    assert record["TN"] == ["smoke"]
    assert record["SF"] == [str(tmp_path / "p.cpp")]
    again = Coverage.from_file(tmp_path / "one.info")
    assert again.to_lcov() == coverage.to_lcov()
    assert again.totals == coverage.totals
    assert (again + again).files[str(tmp_path / "p.cpp")].lines[29] == 2
    sent = json.loads(json.dumps(coverage.to_dict()))
    assert Coverage.from_dict(sent).to_lcov() == coverage.to_lcov()
    assert Coverage.from_dict(sent).to_dict() == coverage.to_dict()
    with pytest.raises(InputError, match="schema version 99"):
        Coverage.from_dict({**sent, "schema_version": 99})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("TN:\nSF:/a.c\nDA:1,2\n", "no end"),
        ("DA:1,2\nend_of_record\n", ":1: "),
        ("SF:/a.c\nDA:1,x\nend_of_record\n", ":2: "),
        ("SF:/a.c\nBRDA:1,2,3\nend_of_record\n", ":2: "),
        ("SF:/a.c\nhello\nend_of_record\n", ":2: "),
        (None, "cannot read"),
    ],
)
def test_a_damaged_tracefile_is_refused(tmp_path, text, where):
    path = tmp_path / "a.info"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=where):
        Coverage.from_file(path)


def test_records_of_other_tools_are_understood(tmp_path):
    path = tmp_path / "a.info"
    path.write_text(
        "TN:x\nSF:/a.c\nVER:1\nFN:3,9,f\nFN:12,g<a, 3>\nFNDA:2,f\nFNDA:0,g<a, 3>\n"
        "BRDA:4,e0,0,-\nBRDA:4,e0,1,-\nDA:4,7,ab==\nend_of_record\n"
    )
    counts = Coverage.from_file(path).files["/a.c"]
    assert counts.functions == {"f": (3, 2), "g<a, 3>": (12, 0)}
    assert counts.lines == {4: 7}
    assert counts.branches == {4: {("", 0): (None, None)}}


def test_sources_are_the_projects_own(firmware_of, tmp_path, monkeypatch):
    firmware = firmware_of(CALLED, "-O0", "-g")
    result = firmware.run("main")
    source, startup = str(tmp_path / "prog.c"), "*/board/startup.c"
    monkeypatch.chdir(tmp_path)
    default = Coverage.of(result)
    assert set(default.files) == {source}
    assert any(name.endswith("startup.c") for name in default.left_out)
    assert set(Coverage.of(result, include=["prog.c"]).files) == {source}
    assert set(Coverage.of(result, include=["prog.*", startup]).files) > {source}
    assert not Coverage.of(result, exclude=["*.c"]).files
    assert not Coverage.of(result, include=["*"], exclude=["*.[chS]"]).files
    (tmp_path / "elsewhere").mkdir()
    assert not Coverage.of(result, roots=["elsewhere"]).files
    link = tmp_path / "elsewhere" / "link"
    link.symlink_to(tmp_path)
    assert set(Coverage.of(result, roots=[link]).files) == {source}
    with pytest.raises(InputError, match=r"no source.*lcov-include.*prog\.c"):
        own_sites(firmware.image, roots=["elsewhere"], required=True)
    with pytest.raises(InputError, match="no source"):
        Coverage.of(result, exclude=["*"]).write("never.info")
    assert not Path("never.info").exists()


def test_installed_packages_are_not_the_projects_own(firmware_of, tmp_path):
    (tmp_path / "site-packages").mkdir()
    result = firmware_of(CALLED, "-O0", "-g", name="site-packages/prog.c").run("main")
    assert not Coverage.of(result, roots=[tmp_path]).files
    assert Coverage.of(result, roots=[tmp_path], include=["site-packages/*"]).files


def test_what_cannot_be_covered_says_why(firmware_of, tmp_path):
    timeless = firmware_of(CALLED, "-O0", "-g", time=False).run("main")
    with pytest.raises(InputError, match="needs a timed run"):
        Coverage.of(timeless, roots=[tmp_path])
    nameless = firmware_of(CALLED, "-O0").run("main")
    with pytest.raises(InputError, match=r"no source.*-g"):
        Coverage.of(nameless, roots=[tmp_path]).write(tmp_path / "a.info")
    fine = Coverage.of(firmware_of(CALLED, "-O0", "-g").run("main"), roots=[tmp_path])
    with pytest.raises(InputError, match="cannot write"):
        fine.write(tmp_path / "no" / "folder.info")


def test_predicated_returns_are_branches(firmware_of, tmp_path):
    text = (
        "volatile int output;\n"
        "__attribute__((naked, noinline)) int sign(int x)\n{\n"
        '    __asm("cmp r0, #0\\n it lt\\n bxlt lr\\n movs r0, #1\\n bx lr");\n}\n'
        "int main(void)\n{\n    output = sign(-3) + sign(4) + sign(5);\n    return 0;\n}\n"
    )
    result = firmware_of(text, "-O1", "-g").run("main")
    counts = Coverage.of(result, roots=[tmp_path]).files[str(tmp_path / "prog.c")]
    assert list(counts.branches) == [4]
    assert list(counts.branches[4].values()) == [(1, 2)]


def test_the_command_writes_what_replay_writes(firmware_of, tmp_path, monkeypatch, capsys):
    elf = firmware_of(TABLE, "-O1", "-g").image.path
    monkeypatch.chdir(tmp_path)
    run = ["run", elf, "--entry", "main"]
    assert main([*run, "--lcov", "a.info", "--trace", "a.npz"]) == 0
    assert "a.info: ran 1" in capsys.readouterr().err
    assert main(["replay", "a.npz", "--lcov", "b.info"]) == 0
    assert (tmp_path / "a.info").read_bytes() == (tmp_path / "b.info").read_bytes()
    (record,) = parse((tmp_path / "a.info").read_text())
    assert record["SF"] == [str(tmp_path / "prog.c")]
    assert main([*run, "--lcov", "c.info", "--lcov-include", "*/startup.c"]) == 0
    capsys.readouterr()
    for wrong in (
        ["--lcov", "d.info", "--no-time"],
        ["--lcov", "d.info", "--lcov-exclude", "*"],
        ["--lcov-include", "*.c"],
    ):
        assert main([*run, *wrong]) == 2
        out, err = capsys.readouterr()
        assert not out, "refused before anything runs"
        assert err.startswith("m7sim: ")
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "d.info").exists()


def test_time_and_coverage_of_one_result_agree(firmware_of, tmp_path):
    result = firmware_of(TABLE, "-O2", "-g").run("main")
    source = str(tmp_path / "prog.c")
    counts = Coverage.of(result, roots=[tmp_path]).files[source]
    timed = {line.line for line in result.profile.lines if line.file == source}
    assert timed <= {line for line, ran in counts.lines.items() if ran}
