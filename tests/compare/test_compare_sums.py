"""Whatever is compared: every level of the comparison sums to the one above, to the last cycle."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_snapshots import snapshots, total

from m7sim.compare import Snapshot, compare
from m7sim.compare.findings import findings
from m7sim.compare.snapshot import Cost
from m7sim.errors import InputError
from m7sim.report.comparison import headline, render_markdown, render_text
from m7sim.report.comparison_document import document
from m7sim.report.layout import Style

many = settings(max_examples=60, deadline=None, derandomize=True)


def same(one: Cost, other: Cost) -> bool:
    causes = {*one.stalls, *other.stalls}
    return one.issue_cycles == other.issue_cycles and all(
        one.stalls.get(cause, 0) == other.stalls.get(cause, 0) for cause in causes
    )


@many
@given(snapshots(), snapshots())
def test_every_level_sums_to_the_one_above(before: Snapshot, after: Snapshot) -> None:
    done = compare(before, after)
    assert sum(f.change.delta_cycles for f in done.functions) == done.delta_cycles
    for side in ("before", "after"):
        whole = getattr(done, side).totals
        parts = total([getattr(f.change, side) for f in done.functions])
        assert same(parts, Cost(whole.issue_cycles, whole.stalls))
    for f in done.functions:
        assert sum(f.change.causes.values()) == f.change.delta_cycles
        for side in ("before", "after"):
            assert same(total([getattr(x.change, side) for x in f.loops]), getattr(f.change, side))
        for loop in f.loops:
            assert sum(loop.change.causes.values()) == loop.change.delta_cycles
            for side in ("before", "after"):
                lines = [getattr(x.change, side) for x in loop.lines]
                assert same(total(lines), getattr(loop.change, side))
            for line in loop.lines:
                assert sum(line.change.causes.values()) == line.change.delta_cycles


@many
@given(snapshots(), snapshots())
def test_every_instruction_is_in_one_row_in_order(before: Snapshot, after: Snapshot) -> None:
    for f in compare(before, after).functions:
        for side, record in (("before", f.before), ("after", f.after)):
            rows = [getattr(row, side) for row in f.rows if getattr(row, side) is not None]
            if f.rows:  # else a side is not listed
                assert rows == list(record.detail.instructions if record else ())
        for row in f.rows:
            if row.before is not None and row.after is not None:
                assert row.before.text.split()[0] == row.after.text.split()[0]


@many
@given(snapshots(), snapshots())
def test_turned_round_it_is_the_negative(before: Snapshot, after: Snapshot) -> None:
    assert compare(after, before).delta_cycles == -compare(before, after).delta_cycles


@many
@given(snapshots())
def test_nothing_differs_from_itself(one: Snapshot) -> None:
    done = compare(one, Snapshot.from_dict(json.loads(json.dumps(one.to_dict()))))
    assert done.delta_cycles == 0
    assert done.equal
    assert findings(done) == ()
    assert headline(done).startswith("No difference")


@settings(many, max_examples=15)
@given(snapshots(), snapshots())
def test_views_are_the_same_every_time_and_fit(before: Snapshot, after: Snapshot) -> None:
    done, again = (compare(before, after) for _ in range(2))
    assert render_markdown(done) == render_markdown(again)
    for width in (80, 100):
        text = render_text(done, Style(width=width))
        assert max(map(len, text.splitlines())) <= width
        assert text == render_text(again, Style(width=width))
    assert "nan" not in text
    doc = json.loads(json.dumps(document(done), allow_nan=False))
    assert sum(f["delta_cycles"] for f in doc["functions"]) == doc["delta_cycles"]


@many
@given(snapshots())
def test_saved_and_read_it_is_the_same(one: Snapshot) -> None:
    saved = json.dumps(one.to_dict(), allow_nan=False)
    again = Snapshot.from_dict(json.loads(saved))
    assert again == one
    assert json.dumps(again.to_dict()) == saved


# --- damage ---------------------------------------------------------------------------------------


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a document."""
    found = [path] if path else []
    items: list[tuple[Any, Any]] = []
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    for key, value in items:
        found += places(value, (*path, key))
    return found


DAMAGE = [None, True, -3, 1.5, "text", [], {}, [1], {"a": 1}, 1 << 70, float("nan")]


@settings(many, max_examples=150)
@given(snapshots(), st.data())
def test_damage_is_refused_with_its_place(one: Snapshot, data: st.DataObject) -> None:
    """Every value replaced by one of another kind, or missing, is an error that says where."""
    doc = copy.deepcopy(one.to_dict())
    path = data.draw(st.sampled_from(places(doc)))
    inner: Any = doc
    for key in path[:-1]:
        inner = inner[key]
    old = inner[path[-1]]
    if data.draw(st.booleans()):
        del inner[path[-1]]
    else:
        inner[path[-1]] = data.draw(st.sampled_from(DAMAGE))
        if inner[path[-1]] == old:
            return
    told = ""
    try:
        compare(one, Snapshot.from_dict(doc, where="base.json"))
    except InputError as error:  # no error: another value of the same kind, nothing depends on it
        told = str(error)
    assert not told or told.startswith("base.json")


@pytest.mark.parametrize("data", [None, [], "x", 3, {}, {"schema_version": 99}])
def test_no_snapshot_at_all(data: Any) -> None:
    with pytest.raises(InputError, match=r"^there: "):
        Snapshot.from_dict(data, where="there")


def test_later_version_is_told() -> None:
    with pytest.raises(InputError, match="version 2; this m7sim reads version 1"):
        Snapshot.from_dict({"schema_version": 2})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["totals"].update(cycles=d["totals"]["cycles"] + 1), "issue cycles plus"),
        (lambda d: d["functions"][0].update(issue_cycles=999), "of .* cycles"),
        (lambda d: d["functions"][0]["instructions"][0].__setitem__(3, 999), "instructions of f"),
        (lambda d: d["functions"][0]["instructions"][0].__setitem__(4, 9), "9 is not among"),
        (lambda d: d["functions"][0]["loops"][0].__setitem__(1, 0), "0 is not among the 0"),
        (lambda d: d["functions"][0]["instructions"][0][6].update(bad=1), "stall cause 'bad'"),
    ],
)
def test_sums_and_indices_are_checked(change: Any, message: str) -> None:
    doc: dict[str, Any] = {
        "schema_version": 1,
        "configuration": {},
        "totals": {"cycles": 7, "instructions": 4, "issue_cycles": 4, "dual_issued": 0,
                   "stalls": {"load_use": 3}, "energy_nj": None, "stack_bytes": 0,
                   "code_bytes": 8},
        "sources": {},
        "compilers": [""],
        "functions": [
            {"name": "f", "file": "k.c", "address": 0, "size_bytes": 8, "compiler": 0, "calls": 1,
             "instructions_executed": 4, "issue_cycles": 4, "stalls": {"load_use": 3},
             "lines": [["k.c", 1, "x", ""]], "loops": [[0, -1, 4, 1]],
             "instructions": [[0, "adds r0, #1", 4, 4, 0, 0, {"load_use": 3}]]}
        ],
    }  # fmt: skip
    assert Snapshot.from_dict(copy.deepcopy(doc)).totals.cycles == 7
    change(doc)
    with pytest.raises(InputError, match=message):
        Snapshot.from_dict(doc)
