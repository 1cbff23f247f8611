"""What firmware does to the memory system that changes how long accesses take."""

from __future__ import annotations

from typing import Final, NamedTuple

CACHES: Final = "caches"
MPU: Final = "mpu"
MAINTENANCE: Final = "maintenance"
# Registers of it that do not concern the D-cache: ICIALLU, ICIMVAU, BPIALL.
ICACHE_MAINTENANCE: Final = (0xE000_EF50, 0xE000_EF58, 0xE000_EF78)


class MemoryEvent(NamedTuple):
    """One write to a register of the core.

    Attributes
    ----------
    kind
        ``caches``: I-cache on, D-cache on. ``mpu``: MPU_CTRL, then MPU_RBAR and MPU_RASR of each
        region in ascending order. ``maintenance``: address of the register, value written.
    values
        Whole numbers, by kind.
    """

    kind: str
    values: tuple[int, ...]
