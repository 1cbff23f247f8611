"""Limits, verdicts and baseline files, without pytest in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m7sim.errors import InputError
from m7sim.regress.baseline import Baseline, Entry
from m7sim.regress.book import Book
from m7sim.regress.check import Checked, Row, compare_totals, format_change, worst
from m7sim.regress.limits import HARD, OFF, Limit, format_limits, parse_limits
from m7sim.regress.metrics import METRICS
from m7sim.regress.options import settings_from, variants
from m7sim.regress.shelf import Shelf


@pytest.mark.parametrize(
    ("text", "before", "most"),
    [
        ("0%", 100, 100.0), ("1%", 100, 101.0), ("12.5%", 200, 225.0), ("+16", 100, 116.0),
        ("12_000", 100, 12000.0), ("1e3", 100, 1000.0), (7, 100, 7.0), ("off", 100, None),
        ("5%", None, None), ("+5", None, None), ("5", None, 5.0),
    ],
)  # fmt: skip
def test_what_a_limit_allows(text: str | int, before: int | None, most: float | None) -> None:
    assert Limit.parse(text, "here").most(before) == most


@pytest.mark.parametrize("text", ["", "%", "1%%", "-1", "-1%", "+1%", "1 2x", "nan", "inf", "on"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(InputError, match="here, cycles"):
        parse_limits({"cycles": text}, "here")


def test_limits_of_a_line() -> None:
    limits = parse_limits("cycles=1%, stack_bytes=+8\nenergy_nj=off", "here")
    assert format_limits(limits) == "cycles 1 %, stack_bytes +8, energy_nj off"
    assert format_limits(HARD) == "0 %"
    assert parse_limits("", "here") == {}


totals = st.dictionaries(st.sampled_from(sorted(METRICS)), st.integers(0, 10**9))


@settings(deadline=None)
@given(totals, totals)
def test_without_tolerance_a_check_fails_exactly_when_a_metric_grew(
    before: dict[str, int], after: dict[str, int]
) -> None:
    rows = compare_totals(before, after, hard=HARD, soft={})
    grew = any(after.get(m, 1 << 60) > v for m, v in before.items())  # gone is as bad as grown
    assert (worst(rows) == "failed") == grew
    strict = compare_totals(before, after, hard=HARD, soft={}, strict=True)
    differs = any(after.get(m) != v for m, v in before.items())
    assert (worst(strict) == "failed") == differs
    off = compare_totals(before, after, hard=dict.fromkeys(METRICS, OFF), soft={})
    assert worst(off) != "failed"


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (100, 101, "+1 (+1.0 %)"), (10**6, 10**6 + 1, "+1 (+<0.01 %)"), (1000, 998, "−2 (−0.20 %)"),
        (0, 5, "+5"), (5, 5, "="), (1.5, 1.0, "−0.5 (−33.3 %)"), (None, 3, ""),
    ],
)  # fmt: skip
def test_changes_in_words(before: float, after: float, text: str) -> None:
    assert format_change(Row("cycles", before, after, "", "ok")) == text


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
entries = st.builds(
    Entry,
    st.fixed_dictionaries({"board": names, "clock_hz": st.integers(1, 10**9), "m7sim": names}),
    totals,
    st.none() | st.fixed_dictionaries({"functions": st.lists(st.integers())}),
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(names, st.dictionaries(names, entries, min_size=1), max_size=4))
def test_a_baseline_reads_what_it_wrote(tests: dict[str, dict[str, Entry]]) -> None:
    text = Baseline(Path("b.json"), tests).text()
    read = Baseline.parse(text, Path("b.json"))
    assert read.tests == tests
    assert read.text() == text
    backwards = {t: dict(reversed(c.items())) for t, c in reversed(tests.items())}
    assert Baseline(Path("b.json"), backwards).text() == text


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["schema_version", "tests", "a", "totals"]), inner),
).map(lambda value: __import__("json").dumps(value)))  # fmt: skip
def test_a_damaged_file_is_one_error(text: str) -> None:
    said = ""
    try:
        Baseline.parse(text, Path("b.json"))
    except InputError as error:
        said = str(error)
    assert said.startswith("b.json: ") or ('"schema_version": 1' in text and not said)


def test_a_new_version_of_m7sim_alone_is_no_change(tmp_path: Path) -> None:
    baseline = Baseline(tmp_path / "b.json")
    about = {"board": "x", "m7sim": "1"}
    assert baseline.put("t", "c", Entry(about, {"cycles": 1}))
    assert not baseline.put("t", "c", Entry({**about, "m7sim": "2"}, {"cycles": 1}))
    assert baseline.put("t", "c", Entry({**about, "m7sim": "2"}, {"cycles": 2}))
    baseline.save()
    assert Baseline.load(baseline.path).tests == baseline.tests
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]  # no half-written file beside it
    baseline.drop("t", "c")
    baseline.save()
    assert not baseline.path.exists()


def test_a_baseline_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "m7_baselines").write_text("a file where the folder should be")
    book, shelf = Book(), Shelf("", tmp_path)
    module = str(tmp_path / "test_x.py")
    checked = Checked(module, "t", "c", {}, {"cycles": 1}, update=True)
    book.saw(module, "t", True, first=True)
    book.add(checked)
    with pytest.raises(InputError, match=r"m7_baselines"):
        book.write(shelf)


def test_only_the_last_run_of_a_test_counts(tmp_path: Path) -> None:
    book, shelf = Book(), Shelf("", tmp_path)
    module = str(tmp_path / "test_x.py")
    for cycles, passed in ((1, False), (2, True)):  # failed, then run again
        book.saw(module, "t", True, first=True)
        book.saw(module, "t", passed)
        book.add(Checked(module, "t", "c", {}, {"cycles": cycles}, update=True))
        book.saw(module, "t", True)
    assert len(book.write(shelf)) == 1
    entry = Baseline.load(tmp_path / "m7_baselines" / "test_x.json").entry("t", "c")
    assert entry is not None
    assert entry.totals == {"cycles": 2}


def test_variants_multiply_and_the_closest_marker_wins() -> None:
    near = ((), {"boards": ["a", "b"]})
    far = ((), {"board": "z", "flags": ["-O2", "-Os -g0"], "clock": "100MHz"})
    ways = variants([near, far])
    assert [way.id for way in ways] == ["O2-a", "O2-b", "Os-g0-a", "Os-g0-b"]
    chosen = ways[3].apply(settings_from({}))
    assert (chosen.board, chosen.flags) == ("b", ("-Os", "-g0"))
    assert chosen.clock_hz == 100_000_000
    assert [way.changes for way in variants([])] == [{}]
