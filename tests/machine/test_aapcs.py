"""The standard's own examples and corner cases, without any compiler."""

from __future__ import annotations

from m7sim.machine.aapcs import Place, Shape, floating, layout, scalar

INT, LONG_LONG, FLOAT, DOUBLE = scalar(4), scalar(8), floating(4), floating(8)


def struct(size_bytes: int, alignment_bytes: int = 4) -> Shape:
    return Shape("aggregate", size_bytes, alignment_bytes)


def hfa(count: int, element_bytes: int = 4) -> Shape:
    return Shape("aggregate", count * element_bytes, element_bytes, element_bytes, count)


def test_four_words_in_registers_the_fifth_on_the_stack() -> None:
    plan = layout([INT] * 5, INT, hard_float=True)
    assert plan.arguments[3] == Place(core_first=3, core_count=1)
    assert plan.arguments[4] == Place(stack_offset=0, stack_bytes=4)
    assert plan.stack_bytes == 8
    assert plan.result == Place(core_count=1)


def test_doubleword_takes_an_even_pair_and_what_was_skipped_stays_empty() -> None:
    plan = layout([INT, LONG_LONG, INT], None, hard_float=True)
    assert plan.arguments[1] == Place(core_first=2, core_count=2)
    assert plan.arguments[2] == Place(stack_offset=0, stack_bytes=4)
    plan = layout([INT, INT, INT, LONG_LONG, INT], None, hard_float=True)
    assert plan.arguments[3] == Place(stack_offset=0, stack_bytes=8)
    assert plan.arguments[4] == Place(stack_offset=8, stack_bytes=4)
    plan = layout([INT] * 5 + [LONG_LONG], None, hard_float=False)
    assert plan.arguments[5] == Place(stack_offset=8, stack_bytes=8)


def test_aggregate_is_split_only_while_the_stack_is_empty() -> None:
    plan = layout([INT, INT, struct(16)], None, hard_float=True)
    assert plan.arguments[2] == Place(core_first=2, core_count=2, stack_bytes=8)
    plan = layout([INT, INT, INT, LONG_LONG, struct(8)], None, hard_float=True)
    assert plan.arguments[4] == Place(stack_offset=8, stack_bytes=8)


def test_floats_fill_the_gap_that_a_double_leaves() -> None:
    plan = layout([FLOAT, DOUBLE, FLOAT, FLOAT], FLOAT, hard_float=True)
    assert [p.vfp_first for p in plan.arguments] == [0, 2, 1, 4]
    assert plan.result == Place(vfp_count=1)


def test_no_back_filling_once_one_was_on_the_stack() -> None:
    plan = layout([FLOAT] * 15 + [DOUBLE, FLOAT], None, hard_float=True)
    assert plan.arguments[14] == Place(vfp_first=14, vfp_count=1)
    assert plan.arguments[15] == Place(stack_offset=0, stack_bytes=8)
    assert plan.arguments[16] == Place(stack_offset=8, stack_bytes=4)


def test_homogeneous_aggregates() -> None:
    plan = layout([hfa(3), hfa(2, 8), FLOAT], hfa(4, 8), hard_float=True)
    assert plan.arguments[0] == Place(vfp_first=0, vfp_count=3)
    assert plan.arguments[1] == Place(vfp_first=4, vfp_count=4)
    assert plan.arguments[2] == Place(vfp_first=3, vfp_count=1)
    assert plan.result == Place(vfp_count=8)
    soft = layout([hfa(3)], hfa(2), hard_float=False)  # r0: where the result goes
    assert soft.arguments[0] == Place(core_first=1, core_count=3)
    assert soft.result_in_memory


def test_floats_in_core_registers_when_soft_or_variadic() -> None:
    for kwargs in ({"hard_float": False}, {"hard_float": True, "variadic": True}):
        plan = layout([FLOAT, DOUBLE], DOUBLE, **kwargs)
        assert plan.arguments[0] == Place(core_first=0, core_count=1)
        assert plan.arguments[1] == Place(core_first=2, core_count=2)
        assert plan.result == Place(core_count=2)


def test_results() -> None:
    assert layout([], LONG_LONG, hard_float=True).result == Place(core_count=2)
    assert layout([], struct(4), hard_float=True).result == Place(core_count=1)
    big = layout([INT], struct(8), hard_float=True)
    assert big.result_in_memory
    assert big.arguments[0].core_first == 1
    assert layout([INT], None, hard_float=True).result == Place()
