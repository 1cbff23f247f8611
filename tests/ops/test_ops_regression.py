"""What every kernel costs, against the committed baseline, and whether its accesses are clean.

A kernel got slower, and that is meant? ``pytest --m7-update tests/ops/test_ops_regression.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

from m7sim.ops import Shape, kernel_forms, registry
from m7sim.ops.kernels import FLAGS, kernel_includes, kernel_sources
from m7sim.regress.metrics import METRICS

pytestmark = pytest.mark.toolchain

# Costs belong to one compiler, that of Debian 12. Those of others are shown, and not judged.
MADE_WITH = "GCC: (15:12.2.rel1-1) 12.2.1 20221205"

SHAPES: dict[str, dict[str, int]] = {
    "conv": {"size": 6, "in_ch": 8, "out_ch": 6},
    "1x1": {"size": 5, "in_ch": 16, "out_ch": 6},
    "depthwise": {"size": 6, "ch": 13},
    "fc": {"in_len": 67, "out_len": 14},
    "max_pool": {"size": 7, "ch": 10},
    "ave_pool": {"size": 7, "ch": 10},
    "relu": {"size": 5, "ch": 9},
    "add": {"size": 5, "ch": 9},
    "softmax": {"length": 11},
}
FURTHER = {
    "conv-rgb": {"size": 5, "in_ch": 3, "out_ch": 5},
    "1x1-rgb": {"size": 5, "in_ch": 3, "out_ch": 6},
    "depthwise_s8-multi": {"size": 5, "ch": 3, "multiplier": 4},
}


def cases() -> list[Any]:
    """Every operation, and shapes that the kernels made for special ones want."""
    found = [(name, SHAPES[name.removesuffix("_s8").removesuffix("_q15")]) for name in registry.OPS]
    return [
        pytest.param(name, registry.OPS[name.partition("-")[0]].shape(**values), id=name)
        for name, values in [*found, *FURTHER.items()]
    ]


def variants(name: str, shape: Shape) -> tuple[str, ...]:
    """Return the kernels to check: of a special shape only the one that it is for."""
    usable = kernel_forms(shape)
    return usable[:1] if "-" in name else usable


@pytest.mark.m7(board="stm32f746", placement="flash+dtcm")
@pytest.mark.parametrize(("name", "shape"), cases())
def test_cost_and_accesses(m7, name: str, shape: Shape):
    firmware = m7.build(*kernel_sources(), flags=FLAGS, include=kernel_includes())
    work = registry.get(registry.name_of(shape)).workload(shape)
    for variant in variants(name, shape):
        call = work.call(variant)
        result = firmware.call(call.function, *call.arguments)
        work.check(call)
        same = result.configuration.compiler == MADE_WITH
        m7.check(result, variant, limits={} if same else dict.fromkeys(METRICS, "off"))
        # In a call of its own: with room around them, arrays lie elsewhere in the cache.
        again = work.call(variant)
        assert not firmware.call(again.function, *again.arguments, sanitize=True).findings


def test_every_kernel_is_checked():
    checked = {
        (name.partition("-")[0], variant)
        for name, shape in (case.values for case in cases())
        for variant in variants(name, shape)
    }
    assert checked == {(op.name, variant) for op in registry.OPS.values() for variant in op.kernels}
