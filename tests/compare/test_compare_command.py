"""``m7sim compare`` as a person and a CI job meet it."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from m7sim import cli

pytestmark = pytest.mark.toolchain

START = """\
#include <stdint.h>
#include <stddef.h>
extern uint32_t _stack[];
void Reset_Handler(void);
__attribute__((section(".isr_vector"), used))
void *const vectors[16] = {_stack, (void *)Reset_Handler};
static void leave(uint32_t code)
{
    const uint32_t block[2] = {0x20026, code};
    register uint32_t r0 __asm__("r0") = 0x20;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    for (;;) {}
}
"""

PROGRAM = """\
volatile uint32_t sink;
uint32_t lut[16] = {3, 1, 4, 1, 5, 9, 2, 6};
__attribute__((noinline)) uint32_t mix(const uint32_t *x, uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum = sum * 31 + x[i];
#ifdef SLOW
        sum ^= lut[sum & 15];
#endif
    }
    return sum;
}
uint32_t data[200];
void Reset_Handler(void)
{
    sink = mix(data, 200);
    leave(@CODE@);
}
"""


def m7(*arguments: object) -> tuple[int, str, str]:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main([str(a) for a in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    told = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    told[1] = "".join(x for x in told[1].splitlines(True) if "compiling kernels" not in x)
    return code, told[0], told[1]


def program(build, *flags: str, code: int = 0) -> Path:
    return build("mix.c", START + PROGRAM.replace("@CODE@", str(code)), *flags)


@pytest.fixture(scope="module")
def fast(build) -> Path:
    return program(build)


@pytest.fixture(scope="module")
def slow(build) -> Path:
    return program(build, "-DSLOW")


@pytest.fixture(scope="module")
def saved(fast: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "fast.json"
    assert m7("run", fast, "--json", "-o", path)[0] == 0
    return path


@pytest.fixture(scope="module")
def trace(slow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traced") / "slow.m7t"
    assert m7("run", slow, "--trace", path, "-o", path.with_suffix(".txt"))[0] == 0
    return path


def test_two_programs(fast: Path, slow: Path) -> None:
    code, out, err = m7("compare", fast, slow)
    assert (code, err) == (0, "")
    for word in ("before", "Why", "mix.c:", "sum ^= lut[sum & 15];", "Cycles by cause",
                 "Code before and after: mix, loop at mix.c"):  # fmt: skip
        assert word in out
    assert max(map(len, out.splitlines())) <= 100


def test_program_document_and_trace_give_the_same(
    fast: Path, slow: Path, saved: Path, trace: Path
) -> None:
    first = m7("compare", fast, slow)
    assert m7("compare", saved, slow) == first
    assert m7("compare", saved, trace) == first


def test_the_document_of_a_run_has_a_version_and_a_snapshot(saved: Path) -> None:
    doc = json.loads(saved.read_text())
    assert doc["schema_version"] == 2
    assert doc["snapshot"]["schema_version"] == 1
    assert doc["snapshot"]["totals"]["cycles"] == doc["cycles"]


def test_json(fast: Path, slow: Path) -> None:
    code, out, _ = m7("compare", fast, slow, "--json")
    assert code == 0
    doc = json.loads(out)
    assert doc["delta_cycles"] == sum(f["delta_cycles"] for f in doc["functions"])
    assert doc["functions"][0]["name"] == "mix"
    assert "sum ^= lut[sum & 15];" in doc["findings"][0]


def test_markdown_in_a_file_twice(fast: Path, slow: Path, tmp_path: Path) -> None:
    texts = []
    for n in range(2):
        path = tmp_path / f"{n}.md"
        assert m7("compare", fast, slow, "--markdown", "-o", path) == (0, "", "")
        texts.append(path.read_text())
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert lines.count("<details>") == lines.count("</details>") >= 1
    assert sum(line.startswith("```") for line in lines) % 2 == 0
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") - line.count("\\|") for line in table}) == 1


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (["cycles=1%"], 1),
        (["cycles=1000%"], 0),
        (["cycles=+100000", "instructions=+1"], 1),
        (["code_bytes=100000"], 0),
        (["cycles=off"], 0),
    ],
)
def test_fail_over(saved: Path, trace: Path, limits: list[str], expected: int) -> None:
    options = [word for limit in limits for word in ("--fail-over", limit)]
    code, out, err = m7("compare", saved, trace, *options)
    assert code == expected
    assert "Why" in out  # the explanation is there in any case
    assert ("allowed is" in err) == bool(expected)


def test_less_is_no_failure(saved: Path, trace: Path) -> None:
    assert m7("compare", trace, saved, "--fail-over", "cycles=0%")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fail-over", "cycels=1%"], "Did you mean cycles?"),
        (["--fail-over", "cycles=much"], "cannot be read"),
        (["--fail-over", "stack_bytes=1%"], "no stack_bytes"),
        (["--json", "--markdown"], "Choose one"),
    ],
)
def test_unusable_options(saved: Path, options: list[str], message: str) -> None:
    code, out, err = m7("compare", saved, saved, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither ELF nor trace nor JSON"),
        (b"hello", "neither ELF nor trace nor JSON"),
        (b"{", "no JSON"),
        (b"{}", "holds no snapshot"),
        (b'{"schema_version": 1, "cycles": 3}', "from schema_version 2 on"),
        (b'{"snapshot": {"schema_version": 7}}', "version 7"),
        (b'{"snapshot": 3}', "is no object"),
        (b'{"a": "\xff"}', "no JSON"),
        (b"\x7fELFnot", "where"),
        (b"PK\x03\x04not", "trace"),
    ],
)
def test_unusable_files(saved: Path, tmp_path: Path, content: bytes, message: str) -> None:
    bad = tmp_path / "where"
    bad.write_bytes(content)
    for pair in ((bad, saved), (saved, bad)):
        code, out, err = m7("compare", *pair)
        assert (code, out) == (2, "")
        assert message in err
        assert str(bad) in err
        assert err.count("\n") == 1


def test_missing_file(saved: Path, tmp_path: Path) -> None:
    code, _, err = m7("compare", saved, tmp_path / "nothing.elf")
    assert code == 2
    assert "No such file" in err


def test_truncated_document(saved: Path, tmp_path: Path) -> None:
    text = saved.read_text()
    for length in range(1, len(text) - 1, len(text) // 12):
        bad = tmp_path / "cut.json"
        bad.write_text(text[:length])
        code, out, _ = m7("compare", bad, saved)
        assert (code, out) == (2, "")


def test_firmware_that_fails_is_told_and_compared(build, fast: Path) -> None:
    code, out, err = m7("compare", fast, program(build, code=5))
    assert code == 3
    assert "exit code 5" in err
    assert "before" in out


def test_a_limit_is_told(fast: Path, slow: Path) -> None:
    code, out, err = m7("compare", fast, slow, "--max-instructions", "500")
    assert code == 4
    assert "limit of 500 instructions" in err
    assert "before" in out


def test_entry_and_board_apply_to_both(fast: Path, slow: Path) -> None:
    code, out, _ = m7("compare", fast, slow, "--board", "stm32h743", "--clock", "400MHz", "--entry",
                      "Reset_Handler")  # fmt: skip
    assert code == 0
    assert "Reset_Handler on stm32h743 at 400 MHz" in out
    assert "Simulated otherwise" not in out


def test_help_names_the_exit_codes() -> None:
    code, out, _ = m7("compare", "--help")
    assert code == 0
    for word in ("--fail-over", "exit codes", "B costs more", "--markdown"):
        assert word in out
