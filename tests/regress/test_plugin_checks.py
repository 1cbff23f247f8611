"""``m7.check`` as a user meets it: baselines, limits, and what a failure says."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

pytestmark = pytest.mark.toolchain

METRICS = ["code_bytes", "cycles", "energy_nj", "instructions", "stack_bytes"]


def test_from_no_baseline_to_a_regression(project) -> None:
    text = project.run(code=1)
    assert "no baseline of this check in test_fir.json" in text
    assert "pytest --m7-update test_fir.py::test_fir" in text
    assert not project.baseline().exists()

    text = project.run("--m7-update")
    assert "baseline of test_fir fir: new, cycles" in text
    assert project.baseline().exists()
    assert "1 passed" in project.run()

    project.slow_down()
    text = project.run(code=1)
    assert "fir is over its limits: cycles +" in text
    assert "pytest --m7-update test_fir.py::test_fir" in text
    assert "site-packages" not in text
    assert "m7sim/regress" not in text  # the traceback is the test's line
    assert ">       m7.check(r)" in text
    why = text[text.index("m7.check: what changed") :]
    assert "fir.c:8" in why  # the line with the load
    assert "ldrh" in why or "ldrsh" in why

    assert "cycles +" in project.run("--m7-update")
    assert "1 passed" in project.run()


def test_a_baseline_is_the_same_bytes_again(project) -> None:
    project.update()
    first = project.baseline().read_text()
    project.update()
    assert project.baseline().read_text() == first
    data = json.loads(first)
    assert data["schema_version"] == 1
    entry = data["tests"]["test_fir"]["fir"]
    assert list(entry["totals"]) == METRICS
    assert entry["measured_on"]["board"] == "stm32f746"
    assert entry["measured_on"]["flags"] == "-O2"
    assert "GCC" in entry["measured_on"]["compiler"]
    assert str(project.path) not in first
    assert "/" + "home" not in first
    assert first.endswith("}\n")
    assert f'     "cycles": {entry["totals"]["cycles"]},\n' in first  # one line each


def test_an_improvement_passes_with_a_note_unless_strict(project) -> None:
    project.slow_down()
    project.update()
    project.edit(project_slow(), "sum += x[i + k] * h[k];")
    text = project.run()
    assert "better" in text
    assert "−" in text
    text = project.run("--m7-strict", code=1)
    assert "better than the baseline (strict)" in text
    project.ini("m7_strict = true")
    project.run(code=1)


def project_slow() -> str:
    return "sum += x[i + k] * h[k] + (((volatile int16_t *)y)[i] & 0);"


@pytest.mark.parametrize(
    ("ini", "option", "keyword", "passes"),
    [
        ("", "", "", False),
        ("m7_limits = cycles=200% instructions=200% code_bytes=+64 stack_bytes=+64 energy_nj=200%",
         "", "", True),
        ("m7_limits = cycles=200%", "", "", False),
        ("", "cycles=900% instructions=90000, code_bytes=off stack_bytes=off energy_nj=off", "",
         True),
        ("", "", "dict(cycles='900%', instructions=90000, code_bytes='+64', stack_bytes='off', "
         "energy_nj='off')", True),
        ("m7_limits = cycles=0%", "", "'cycles=900% instructions=off code_bytes=off "
         "stack_bytes=off energy_nj=off'", True),
        ("", "", "dict(cycles=10)", False),
    ],
)  # fmt: skip
def test_limits(project, ini: str, option: str, keyword: str, passes: bool) -> None:
    project.update()
    project.slow_down()
    project.ini(ini)
    if keyword:
        project.edit("m7.check(r)", f"m7.check(r, limits={keyword})", "test_fir.py")
    text = project.run(*([f"--m7-limits={option}"] if option else []), code=0 if passes else 1)
    assert ("within limits" in text) == passes or not passes


def test_soft_limits_point_out(project) -> None:
    project.update()
    project.slow_down()
    wide = "--m7-limits=cycles=900% instructions=900% code_bytes=+99 stack_bytes=+99 energy_nj=900%"
    text = project.run(wide, "--m7-soft-limits", "cycles=1% instructions=+1000000")
    rows = {line.split()[0]: line for line in text.splitlines() if "over the soft" in line}
    assert list(rows) == ["test_fir"]
    assert " cycles " in rows["test_fir"]


@pytest.mark.parametrize(
    ("ini", "says"),
    [
        ("m7_limits = cycels=1%", "no metric 'cycels'. Did you mean cycles?"),
        ("m7_limits = cycles=1percent", "limit '1percent' cannot be read"),
        ("m7_limits = cycles", "'cycles' is no limit"),
        ("m7_limit = cycles=1%", "no key 'm7_limit'. Did you mean m7_limits?"),
        ("m7_clock = fast", "m7_clock: 'fast' is not a clock such as 216MHz"),
        ("m7_board = stm32f999", "stm32f999"),
    ],
)
def test_a_bad_configuration_is_one_message(project, ini: str, says: str) -> None:
    project.ini(ini)
    text = project.run(code=4)
    assert says in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text


def test_several_checks_in_a_test(project) -> None:
    project.edit("m7.check(r)", "m7.check(r)\n    m7.check(r)", "test_fir.py")
    assert "this test has checked 'fir' already" in project.run("--m7-update", code=1)
    assert not project.baseline().exists()  # a failed test writes nothing
    project.edit("m7.check(r)\n    m7.check(r)", 'm7.check(r)\n    m7.check(r, "2nd")',
                 "test_fir.py")  # fmt: skip
    project.update()
    assert list(json.loads(project.baseline().read_text())["tests"]["test_fir"]) == ["2nd", "fir"]


def test_check_wants_a_result(project) -> None:
    project.edit("m7.check(r)", "m7.check(y)", "test_fir.py")
    text = project.run(code=1)
    assert "m7.check wants what fw.call or fw.run returned, not ndarray" in text


BUDGET = """
import pytest
@pytest.mark.m7_budget({})
def test_twice(m7):
    r = m7.build("fir.c").call("twice", 21)
    assert r.value == 42
    m7.check(r, baseline=False)
"""


def test_budgets(project) -> None:
    project.test(BUDGET.format("cycles=1000, stack_bytes=0"))
    project.run()
    project.test(BUDGET.format("cycles=2"))
    text = project.run(code=1)
    assert "over the budget of 2" in text
    project.test(BUDGET.format("cycels=2"))
    assert "no metric 'cycels'. Did you mean cycles?" in project.run(code=2)
    project.test(BUDGET.format("cycles='few'"))
    assert "cycles='few' is no number" in project.run(code=2)
    project.test(BUDGET.format("cycles=9999").replace("m7.check(r, baseline=False)", ""))
    assert "the test has m7_budget, but never calls m7.check" in project.run(code=1)
    project.test("import pytest\n@pytest.mark.m7_budget(cycles=1)\ndef test_it(): pass\n")
    assert "no fixture m7" in project.run(code=2)


def test_a_budget_holds_even_while_updating(project) -> None:
    project.test(BUDGET.format("cycles=2").replace(", baseline=False", ""))
    project.run("--m7-update", code=1)
    assert not project.baseline().exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"schema_version": 1, "tests"', "the baseline is damaged"),
        ('{"schema_version": 1}', "the baseline is damaged: no 'tests'"),
        ('{"schema_version": 99, "tests": {}}', "version 99"),
        ("[]", "this is no baseline of m7sim"),
        ("{\n<<<<<<< HEAD\n}", "merge conflicts"),
        ('{"schema_version": 1, "tests": {"test_fir": {"fir": {"measured_on": {}, "totals": '
         '{"cycles": "many"}}}}}', "cycles is no number"),
        ('{"schema_version": 1, "tests": {"test_fir": {"fir": {"measured_on": {}, "totals": '
         '{"seconds": 1}}}}}', "unknown metric 'seconds'"),
    ],
)  # fmt: skip
def test_a_damaged_baseline(project, text: str, says: str) -> None:
    project.source("m7_baselines/test_fir.json", text)
    printed = project.run(code=1)
    assert says in printed
    assert "test_fir.json" in printed
    assert "--m7-update" in printed or "Update m7sim" in printed
    project.run("--m7-update", code=1)
    assert project.baseline().read_text() == text  # left for the person to look at


def test_a_damaged_snapshot_still_lets_the_check_fail(project) -> None:
    project.update()
    data = json.loads(project.baseline().read_text())
    entry = data["tests"]["test_fir"]["fir"]
    entry["snapshot"] = {"nonsense": 1}
    entry["totals"]["cycles"] -= 1
    project.baseline().write_text(json.dumps(data))
    text = project.run(code=1)
    assert "cycles +1" in text
    assert "snapshot in the baseline" in text


def test_a_baseline_of_another_board_or_compiler(project) -> None:
    project.update()
    text = project.run("--m7-board=stm32h743", code=1)
    assert "the baseline was made on stm32f746" in text
    assert "this is stm32h743" in text
    data = json.loads(project.baseline().read_text())
    data["tests"]["test_fir"]["fir"]["measured_on"]["compiler"] = "GCC: 9.9.9"
    project.baseline().write_text(json.dumps(data))
    text = project.run()  # the same numbers: no failure, but it is said
    assert "note: baseline made with GCC: 9.9.9, this is GCC:" in text
    project.slow_down()
    assert "baseline made with GCC: 9.9.9" in project.run(code=1)


def test_compare_reports_only(project) -> None:
    assert "no baseline" in project.run("--m7-compare")
    project.update("--m7-baseline=before")
    mirrored = project.path / "before" / "test_fir.json"
    assert mirrored.exists()
    assert not project.baseline().exists()
    project.slow_down()
    text = project.run("--m7-compare", "--m7-baseline=before")
    assert "1 passed" in text
    assert "fir.c:8" in text  # explained, though nothing failed
    project.run("--m7-baseline=before", code=1)
    project.run(f"--m7-baseline={mirrored}", code=1)
    assert "no such folder or file" in project.run("--m7-baseline=elsewhere", code=4)
    both = project.run("--m7-compare", "--m7-update", code=4)
    assert "--m7-compare reports only" in both


def test_compare_with_a_commit(project, pytester: pytest.Pytester) -> None:
    project.update()
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    pytester.run(*git, "init", "-q")
    pytester.run(*git, "add", "m7_baselines")
    pytester.run(*git, "commit", "-q", "-m", "one")
    project.slow_down()
    project.update()
    project.run()
    text = project.run("--m7-compare", "--m7-baseline=git:HEAD")
    assert "cycles" in text
    assert "+" in text
    project.run("--m7-baseline=git:HEAD", code=1)
    assert "git knows no commit 'nowhere'" in project.run("--m7-baseline=git:nowhere", code=1)
    assert "cannot be written" in project.run("--m7-update", "--m7-baseline=git:HEAD", code=4)


def test_prune(project) -> None:
    more = "\ndef test_old(m7):\n    m7.check(m7.build('fir.c').call('twice', 1))\n"
    text = (project.path / "test_fir.py").read_text()
    project.test(text + more)
    project.update()
    assert '"test_old"' in project.baseline().read_text()
    project.test(text)
    project.update()
    assert '"test_old"' in project.baseline().read_text()  # a run of a part must not drop others
    assert "-k" in project.run("--m7-prune", "-k", "fir", code=4)
    assert "test_fir.py::test_fir" in project.run("--m7-prune", "test_fir.py::test_fir", code=4)
    told = project.run("--m7-prune")
    assert "baseline of test_old twice: dropped" in told
    data = json.loads(project.baseline().read_text())
    assert list(data["tests"]) == ["test_fir"]
    project.slow_down()
    assert "nothing pruned" in project.run("--m7-prune", code=1)


def test_junit_and_markdown(project) -> None:
    project.update()
    project.slow_down()
    project.run("--junit-xml=j.xml", "--m7-markdown=m.md", code=1)
    case = ElementTree.parse(project.path / "j.xml").getroot().find(".//testcase")
    assert case is not None
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert sorted(properties) == [f"m7.fir.{metric}" for metric in METRICS]
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("fir is over its limits: cycles +")
    assert "fir.c:8" in (failure.text or "")
    markdown = (project.path / "m.md").read_text()
    assert markdown.startswith("### ")
    assert "| `test_fir fir` | cycles |" in markdown
    assert "<details>" in markdown
    assert "fir.c:8" in markdown
    assert "stm32f746 at 216 MHz" in markdown


def test_many_unchanged_checks_are_counted(project) -> None:
    project.test("""
        import pytest
        @pytest.mark.parametrize("i", range(40))
        def test_twice(m7, i):
            m7.check(m7.build("fir.c").call("twice", i))
    """)
    project.update()
    text = project.run()
    assert "40 more cost what their baselines say; -v lists them" in text
    assert "test_twice[7] twice" in project.run("-v")
