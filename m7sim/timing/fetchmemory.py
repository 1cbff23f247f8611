"""Where instructions come from: the I-cache and its fills, ART, or a memory word by word."""

from __future__ import annotations

from m7sim.jit import kernel
from m7sim.timing.art import fetch_line
from m7sim.timing.cache import ABSENT, allocate, find
from m7sim.timing.linefill import transfer
from m7sim.timing.state import ACCELERATED, PAGE_SHIFT, Record


@kernel
def line_wait(m: Record, u: Record, word: int, cycle: int) -> int:
    """Look up the I-cache line of a word that is asked for in ``cycle``.

    Returns 0 when it is there or on its way, else the cycles until its fill brings that word,
    which comes first.
    """
    shift = u["icache"]["line_shift"] - 3
    line = word >> shift
    if find(u["icache"], line) != ABSENT:
        return 0
    allocate(u["icache"], line, 0)
    region = m["page_region"][(word << 3) >> PAGE_SHIFT]
    first: int = transfer(m, u, region, m["fill_cycles"][region], 1 << shift, cycle)
    return first - cycle


@kernel
def word_wait(m: Record, u: Record, word: int, cycle: int) -> int:
    """Cycles until a word from behind no I-cache is there that is asked for in ``cycle``."""
    region = m["page_region"][(word << 3) >> PAGE_SHIFT]
    ready: int
    if m["region_kind"][region] == ACCELERATED:
        ready = fetch_line(m, u, region, (word << 3) >> m["art_line_shift"], cycle)
    else:
        ready = transfer(m, u, region, m["read_cycles"][region], 1, cycle)
    return ready - cycle
