from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m7sim.characterize.expressions import Expression
from m7sim.errors import TableError

NAMES = {"in_ch": 7, "out_ch": 12, "kernel": 3}
ATOMS = st.one_of(st.integers(0, 50).map(str), st.sampled_from(sorted(NAMES)))


def combine(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "//", "%", "&", "|", "<", "==", ">="])
    return st.tuples(parts, operators, parts).map(lambda t: f"({t[0]} {t[1]} {t[2]})")


@given(st.recursive(ATOMS, combine, max_leaves=8))
def test_equals_python(text: str) -> None:
    """Python itself is the oracle where it has a value of 64 bits."""
    try:
        expected = int(eval(text, {"__builtins__": {}}, dict(NAMES)))
    except ZeroDivisionError:
        with pytest.raises(TableError, match="zero"):
            Expression.parse(text, "here").value(NAMES)
        return
    if abs(expected) < 1 << 64:
        assert Expression.parse(text, "here").value(NAMES) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ceil_div(in_ch, 4)", 2),
        ("align(in_ch, 4)", 8),
        ("max(in_ch, out_ch) << 2", 48),
        ("1 if in_ch % 4 else 2", 1),
        ("not in_ch or out_ch == 12", 1),
        ("-in_ch + 10 >> 1", 1),
        (5, 5),
    ],
)
def test_value(text: str | int, value: int) -> None:
    assert Expression.parse(text, "here").value(NAMES) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "in_ch.real",
        "[1][0]",
        "2 ** 9",
        "(lambda: 1)()",
        "1.5",
        "'a'",
        "in_ch +",
        "max(*in_ch)",
        "1 / 2",
        "9" * 500,
        "(" * 200 + "1" + ")" * 200,
        "",
    ],
)
def test_nothing_else_is_evaluated(text: str) -> None:
    with pytest.raises(TableError, match="here"):
        Expression.parse(text, "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("in_hc * 2", "unknown name 'in_hc'.*Did you mean in_ch"),
        ("in_ch // 0", "zero"),
        ("1 << 99", "shift by 99"),
        ("(1 << 63) * 9", "64 bits"),
        ("max(1)", "max|iterable"),
    ],
)
def test_message(text: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        Expression.parse(text, "here").value(NAMES)
