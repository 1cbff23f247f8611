"""Caches: set-associative, least recently used first out.

The replacement policy of the Cortex-M7 is not public; LRU is assumed. A first-order model: a load
that misses waits for the whole latency of its memory, a store that misses costs nothing, filling
and writing back go on beside the pipeline.
"""

from __future__ import annotations

from m7sim.jit import kernel
from m7sim.timing.state import Record

HIT, MISS = 0, 1


@kernel
def lookup(cache: Record, address: int, allocate: int, write_back: int) -> int:
    """Look an address up and bring its line in when ``allocate``.

    Parameters
    ----------
    cache
        Record of dtype ``CACHE``, changed in place.
    address
        Byte address.
    allocate
        1: a miss fills the line.
    write_back
        1: the access is a store to a write-back region and makes the line dirty.
    """
    line = address >> cache["line_shift"]
    first = (line & cache["set_mask"]) * cache["ways"]
    cache["clock"] += 1
    cache["accesses"] += 1
    for entry in range(first, first + cache["ways"]):
        if cache["tag"][entry] == line:
            cache["used"][entry] = cache["clock"]
            cache["dirty"][entry] |= write_back
            return HIT
    cache["misses"] += 1
    if allocate:
        victim = first
        for entry in range(first + 1, first + cache["ways"]):
            if cache["used"][entry] < cache["used"][victim]:
                victim = entry
        cache["write_backs"] += cache["dirty"][victim]
        cache["tag"][victim] = line
        cache["used"][victim] = cache["clock"]
        cache["dirty"][victim] = write_back
    return MISS
