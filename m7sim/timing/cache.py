"""L1 caches: set-associative, least recently used first out.

The replacement policy of the Cortex-M7 is not public; LRU is assumed, for instructions and data.
What a miss costs is the business of ``fetch`` and ``linefill``.
"""

from __future__ import annotations

from m7sim.jit import kernel
from m7sim.timing.state import Record

ABSENT = -1


@kernel
def find(cache: Record, line: int) -> int:
    """Look a line up, count, make it the newest of its set; return its entry or ``ABSENT``."""
    first = (line & cache["set_mask"]) * cache["ways"]
    cache["accesses"] += 1
    for entry in range(first, first + cache["ways"]):
        if cache["tag"][entry] == line:
            cache["clock"] += 1
            cache["used"][entry] = cache["clock"]
            return int(entry)
    cache["misses"] += 1
    return ABSENT


@kernel
def allocate(cache: Record, line: int, dirty: int) -> int:
    """Give a line an entry; return the line that has to be written back for it, or ``ABSENT``."""
    first = (line & cache["set_mask"]) * cache["ways"]
    victim = first
    for entry in range(first + 1, first + cache["ways"]):
        if cache["used"][entry] < cache["used"][victim]:
            victim = entry
    evicted: int = cache["tag"][victim] if cache["dirty"][victim] else ABSENT
    cache["write_backs"] += cache["dirty"][victim]
    cache["clock"] += 1
    cache["tag"][victim] = line
    cache["used"][victim] = cache["clock"]
    cache["dirty"][victim] = dirty
    return evicted


@kernel
def touch(cache: Record, line: int) -> bool:
    """As `find` when the line is there; else change nothing and say so."""
    first = (line & cache["set_mask"]) * cache["ways"]
    for entry in range(first, first + cache["ways"]):
        if cache["tag"][entry] == line:
            cache["accesses"] += 1
            cache["clock"] += 1
            cache["used"][entry] = cache["clock"]
            return True
    return False
