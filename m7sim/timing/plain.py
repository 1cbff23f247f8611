"""A kernel as plain Python: the same source, every kernel that it reaches called un-jitted."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from m7sim.jit import plain


def plain_twin(kernel: Any) -> Callable[..., None]:
    """Return a kernel with all the kernels it reaches replaced by the functions behind them."""
    twins: dict[Any, FunctionType] = {}

    def twin(function: Any) -> FunctionType:
        original = plain(function)
        if original not in twins:
            names = dict(original.__globals__)
            twins[original] = FunctionType(original.__code__, names, original.__name__)
            for name, value in original.__globals__.items():
                if plain(value) is not value:
                    names[name] = twin(value)
        return twins[original]

    return twin(kernel)
