"""``m7.build`` and ``m7.load``: sources, compilers, boards, placements, and what can go wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from m7sim import toolchain

pytestmark = pytest.mark.toolchain

TWICE = """
def test_twice(m7):
    fw = {}
    assert fw.call("twice", 21).value == 42
"""


def test_options_of_build(project) -> None:
    project.source("src/inc/scale.h", "#define SCALE 3\n")
    project.source("src/k.c", '#include "scale.h"\nint thrice(int x) { return SCALE * x + ADD; }\n'
                   "int unused(void) { return 1; }\n")  # fmt: skip
    project.source("tests/test_k.py", """
def test_k(m7):
    fw = m7.build("../src/k.c", "more.S", flags="-Os -DADD=1", include="../src/inc")
    assert fw.call("thrice", 4).value == 13
    assert fw.call("seven").value == 7
    assert fw.image.has_symbol("unused")
    assert fw.flags == "-Os -DADD=1"
    kept = m7.build("../src/k.c", flags=["-DADD=2"], include=["../src/inc"], keep="thrice")
    assert kept.call("thrice", 4).value == 14
    assert not kept.image.has_symbol("unused")
    assert m7.load(kept.elf).call("thrice", 0).value == 2
""")  # fmt: skip
    project.source(
        "tests/more.S",
        """
.syntax unified
.thumb
.global seven
.type seven, %function
seven: movs r0, #7
  bx lr
.size seven, .-seven
""",
    )
    project.run("tests")


def test_a_program_with_main(project) -> None:
    project.source("m.c", '#include <stdio.h>\nint main(void) { puts("hi"); return 0; }\n')
    project.test("""
        def test_main(m7):
            r = m7.build("m.c", startup=True).run()
            assert (r.console, r.exit_code) == (b"hi\\n", 0)
            m7.check(r)
    """)
    project.update()
    checks = json.loads(project.baseline().read_text())["tests"]["test_main"]
    assert list(checks) == ["reset handler"]
    # A run has no entry from which to count the stack.
    assert "stack_bytes" not in checks["reset handler"]["totals"]
    project.run()


def test_an_edited_header_is_compiled_again(project) -> None:
    project.source("v.h", "#define V 1\n")
    project.source("v.c", '#include "v.h"\nint v(void) { return V; }\n')
    project.test("def test_v(m7):\n    assert m7.build('v.c').call('v').value == 1\n")
    project.run()
    project.source("v.h", "#define V 2\n")
    assert "assert 2 == 1" in project.run(code=1)


def test_an_edit_elsewhere_in_the_file_changes_no_cost(project) -> None:
    project.test("def test_twice(m7):\n    m7.check(m7.build('fir.c').call('twice', 1))\n")
    project.update()
    project.slow_down()  # fir stands before twice in memory
    text = project.run()
    assert "better" not in text
    assert "+" not in text.partition("== m7sim ==")[2]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("int broken(void) { return undeclared; }\n", "'undeclared' undeclared"),
        ("int missing(void);\nint broken(void) { return missing(); }\n",
         "undefined reference to `missing'"),
    ],
)  # fmt: skip
def test_a_compiler_error_is_the_compilers_lines(project, source: str, says: str) -> None:
    project.source("bad.c", source)
    project.test("def test_bad(m7):\n    m7.build('bad.c')\n")
    text = project.run(code=1)
    assert "bad.c" in text
    assert says in text
    assert "toolchain.py" not in text
    assert "subprocess" not in text


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("m7.build('none.c')", "none.c: cannot read the source"),
        ("m7.build()", "m7.build needs at least one source"),
        ("m7.load('none.elf')", "none.elf"),
        ("m7.build('fir.c', board='stm32f999')", "stm32f999"),
        ("m7.build('fir.c').call('fri', 1)", "no symbol 'fri'. "),
        ("m7.build('fir.c').call('twice')", "0 arguments given, 1 expected"),
    ],
)
def test_mistakes_are_one_message(project, call: str, says: str) -> None:
    project.test(f"def test_it(m7):\n    {call}\n")
    text = project.run(code=1)
    assert says in text
    assert "m7sim/regress" not in text
    assert "m7sim/session" not in text


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("M7SIM_CC", "no-such-gcc")
    toolchain.find_compiler.cache_clear()
    yield
    toolchain.find_compiler.cache_clear()


def test_without_a_compiler(project, monkeypatch: pytest.MonkeyPatch, request) -> None:
    elf = toolchain.build([project.path / "fir.c"], keep=["twice"])
    request.getfixturevalue("without_compiler")
    project.test(TWICE.format("m7.build('fir.c')"))
    text = project.run("-rs")
    assert "1 skipped" in text
    assert "no no-such-gcc on the path. Install it with: sudo apt-get install" in text
    assert "test_fir.py:" in text
    for given in ("--m7-require-compiler",):
        assert "Install it with" in project.run(given, code=1)
    project.ini("m7_require_compiler = true")
    project.run(code=1)
    project.ini()
    monkeypatch.setenv("CI", "true")
    project.run(code=1)
    project.test(TWICE.format(f"m7.load({str(elf)!r})"))
    project.run()


def test_a_marker_of_a_module_leaves_other_tests_alone(project) -> None:
    project.test("""
        import pytest
        pytestmark = pytest.mark.m7(boards=["stm32f746", "stm32h743"])

        def test_twice(m7):
            assert m7.build("fir.c").call("twice", 2).value == 4

        def test_nothing(): pass
    """)
    assert "3 passed" in project.run()
    project.test("""
        import pytest

        @pytest.mark.m7(boards=["stm32f746", "stm32h743"])
        def test_nothing(): pass
    """)
    assert "no fixture m7" in project.run(code=2)


def test_the_marker_multiplies_a_test(project) -> None:
    project.test("""
        import pytest
        seen = set()

        @pytest.mark.m7(boards=["stm32f746", "stm32h743"], flags=["-Os", "-O3 -funroll-loops"])
        @pytest.mark.parametrize("x", [1, 2])
        def test_twice(m7, x):
            r = m7.build("fir.c").call("twice", x)
            seen.add((r.configuration.board, m7.flags))
            assert m7.board == r.configuration.board
            m7.check(r)

        @pytest.mark.m7(board="stm32h743", clock="100MHz")
        def test_one(m7):
            r = m7.build("fir.c").call("twice", 1)
            assert r.configuration.clock_hz == 100_000_000
            assert len(seen) == 4
    """)
    text = project.run("--m7-update", "-v")
    assert "test_twice[stm32h743-O3-funroll-loops-2]" in text or "test_twice[2-stm32h743" in text
    assert "test_one " in text
    assert "9 passed" in text
    project.run()


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ("bords=['x']", "the marker m7 has no 'bords'. Did you mean boards?"),
        ("boards=[]", "boards is empty"),
        ("clock='fast'", "'fast' is not a clock"),
        ("'stm32f746'", "takes keywords only"),
    ],
)
def test_a_wrong_marker(project, keywords: str, says: str) -> None:
    project.test(f"import pytest\n@pytest.mark.m7({keywords})\ndef test_it(m7): pass\n")
    text = project.run(code=2)
    assert says in text


def test_placements(project) -> None:
    project.test("""
        import numpy as np, pytest
        cycles = {}

        @pytest.mark.m7(placements=["flash+sram", "tcm", "dtcm,h=flash"])
        def test_fir(m7):
            fw = m7.build("fir.c")
            x, h, y = (np.ones(n, np.int16) for n in (39, 8, 32))
            r = fw.call("fir", x, h, y, 32, 8)
            cycles[m7.placement] = r.cycles
            places = {b.name: fw.board.region_at(b.address).name for b in r.buffers}
            want = {"flash+sram": "FLASH FLASH SRAM1", "tcm": "DTCM DTCM DTCM",
                    "dtcm,h=flash": "DTCM FLASH DTCM"}[m7.placement].split()
            assert [places[n].split("_")[0] for n in "xhy"] == want
            code = fw.board.region_at(fw.image.symbol("fir").address).name
            assert (code == "ITCM") == (m7.placement == "tcm")
            assert fw.call("fir", x, h, y, 1, 1, place="DTCM").cycles
            m7.check(r)

        def test_faster():
            assert cycles["tcm"] < cycles["flash+sram"]
    """)
    project.run("--m7-update")
    project.run()
    assert "no placement 'tmc'" in project.run("--m7-placement=tmc", code=4)


def test_another_compiler(project) -> None:
    real = toolchain.find_compiler()
    wrapper = project.source("bin/my-gcc", f'#!/bin/sh\nexec {real} -DTWICE=2 "$@"\n')
    wrapper.chmod(0o755)
    project.source("fir.c", "#ifndef TWICE\n#error which compiler\n#endif\n"
                   "int twice(int x) { return TWICE * x; }\n")  # fmt: skip
    project.test(f"""
        import pytest
        @pytest.mark.m7(compiler={str(wrapper)!r})
        def test_twice(m7):
            assert m7.build("fir.c").call("twice", 4).value == 8
    """)
    project.run()
    project.test(TWICE.format("m7.build('fir.c')"))
    assert "which compiler" in project.run(code=1)
    project.run("--m7-compiler", str(wrapper))


def test_the_sanitizer_fails_a_test(project) -> None:
    project.source("s.c", "int sum(const int *x, int n) {\n int s = 0;\n"
                   " for (int i = 0; i <= n; i++)\n  s += x[i];\n return s;\n}\n")  # fmt: skip
    body = """
        import numpy as np
        def test_sum(m7):
            fw = m7.build("s.c"{})
            assert fw.call("sum", np.ones(4, np.int32), {}{}).instructions
    """
    project.test(body.format("", 4, ""))
    project.run()
    text = project.run("--m7-sanitize", code=1)
    assert "1 finding of the sanitizer in sum" in text
    assert "s.c:4" in text
    assert "'x'" in text
    project.ini("m7_sanitize = true")
    project.run(code=1)
    project.test(body.format(", sanitize=False", 4, ""))
    project.run()
    project.ini()
    project.test(body.format(", sanitize=True", 4, ""))
    project.run(code=1)
    project.test(body.format(", sanitize=True", 3, ""))
    project.run()
    # asked for in the call: the test looks at the findings itself
    project.test(body.format("", 4, ", sanitize=True").replace(".instructions", ".findings"))
    project.run()


def test_a_baseline_without_room_around_arrays_is_told(project) -> None:
    project.update()
    project.slow_down()
    assert "arrays side by side" not in project.run("--m7-compare")
    text = project.run("--m7-compare", "--m7-sanitize")
    assert "arrays side by side (not sanitized), this is room around arrays (sanitized)" in text


def test_coverage(project) -> None:
    project.test("""
        import numpy as np
        def test_fir(m7):
            x, h, y = (np.ones(n, np.int16) for n in (39, 8, 32))
            m7.build("fir.c").call("fir", x, h, y, 32, 8)
        def test_twice(m7):
            m7.build("fir.c").call("twice", 1)
    """)
    project.run("--m7-coverage=only.info", "-k", "not twice")
    both = project.run("--m7-coverage=both.info")
    assert "both.info: ran " in both
    only, all_ = ((project.path / f"{n}.info").read_text() for n in ("only", "both"))
    line = 1 + (project.path / "fir.c").read_text().splitlines().index(
        "int twice(int x) { return 2 * x; }"
    )
    assert f"SF:{project.path}/fir.c" in all_
    assert f"DA:{line},0" in only
    assert f"DA:{line},0" not in all_


def test_a_plain_run_loads_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    pytester.makeconftest("""
        import sys
        def pytest_unconfigure():
            heavy = {"numpy", "numba", "unicorn", "capstone", "rich", "m7sim.board"}
            print("loaded:", sorted(heavy & set(sys.modules)))
    """)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest"],
        cwd=pytester.path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "loaded: []" in done.stdout
    assert "m7sim" not in done.stdout.partition("plugins:")[2].partition("\n")[2]


def test_the_header_says_what_is_simulated(project) -> None:
    line = "m7: core cortex_m7 r0p1, board stm32f746 at 216 MHz, placement as linked, limits 0 %"
    project.test(TWICE.format("m7.build('fir.c')"))
    text = project.run()
    assert line in text.partition("test_fir.py")[0]
    text = project.run("--m7-clock=100MHz", "--m7-limits=cycles=2%")
    assert "stm32f746 at 100 MHz" in text
    assert "cycles 2 %, instructions stack_bytes code_bytes energy_nj 0 %" in text
    assert text.count("m7: core") == 1


def test_boards_file_beside_the_configuration(project) -> None:
    table = Path(toolchain.__file__).parent / "board" / "stm32f746.toml"
    project.source("mine.toml", table.read_text(encoding="utf-8"))
    project.ini("m7_board = mine.toml")
    project.source("sub/test_b.py", TWICE.format("m7.build('../fir.c')"))
    project.run("sub")
