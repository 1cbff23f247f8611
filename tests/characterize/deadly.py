"""Work for the engines that ends its own process; imported by workers, so it has a module."""

from __future__ import annotations

import os
from collections.abc import Sequence


def double(numbers: Sequence[int]) -> list[int]:
    """Double numbers; 13 kills."""
    if 13 in numbers:
        os._exit(9)
    return [2 * number for number in numbers]
