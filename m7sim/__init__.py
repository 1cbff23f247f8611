"""Cycles, stalls and causes for Cortex-M7 code, without a board.

``m7sim.load(elf)`` gives a `Firmware` to run or to call functions of; ``m7sim.replay(trace)`` times
a saved trace again, under the same or another core and board.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m7sim.session import Firmware, load, replay

__version__ = "0.1.0"
__all__ = ["Firmware", "load", "replay"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: the engine and the jit compiler cost most of a second to import.
    if name in __all__:
        from m7sim import session

        return getattr(session, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
