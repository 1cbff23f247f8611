"""The predictor of site events: which instructions with a hook fire while a block executes.

It walks the blocks of a chunk. At each it predicts a site or none; as long as one fires, it goes on
and predicts what fires after that one. The addresses are values like any other: see
:mod:`m7sim.trace.predict`, with an event in the place of a block.
"""

from __future__ import annotations

import numpy as np

from m7sim.jit import kernel
from m7sim.trace.predict import DAMAGED, GAP, I32, I64, NEVER, READ, SOUND


@kernel
def encode_sites(
    blocks: I32, event_block: I32, event_site: I32, carry: I64, after_block: I32, after_site: I32,
    numbers: I64,
) -> int:  # fmt: skip
    """Tell where site events differ from the prediction.

    Parameters
    ----------
    blocks
        int32[n], of the chunk.
    event_block, event_site
        Position of the block (ascending) and number of the site of each event.
    carry
        int64[CARRY_WORDS], zero at first.
    after_block, after_site
        int32[ids], int32[sites], zero at first: 1 + the site that fired first in a block, and
        after a site in the same execution; 0: none.
    numbers
        int64[≥ 2 × (blocks + events)], written.

    Returns
    -------
    int
        How many numbers: for each wrong prediction the gap, then 1 + the site, or 0 for none. Or
        DAMAGED, if the events are not in order.
    """
    at, event = 0, 0
    gap = np.int64(carry[GAP])
    for n in range(blocks.size):
        block, site = np.int64(blocks[n]), np.int64(0)
        while True:
            predicted = after_block[block] if site == 0 else after_site[site - 1]
            fired = np.int64(0)
            if event < event_block.size and event_block[event] == n:
                fired = np.int64(event_site[event]) + 1
                event += 1
            if fired == predicted:
                gap += 1
            else:
                numbers[at], numbers[at + 1] = gap, fired
                at += 2
                gap = np.int64(0)
                if site == 0:
                    after_block[block] = fired
                else:
                    after_site[site - 1] = fired
            site = fired
            if site == 0:
                break
    carry[GAP] = gap
    return at if event == event_block.size else DAMAGED


@kernel
def decode_sites(
    blocks: I32, event_block: I32, event_site: I32, carry: I64, after_block: I32, after_site: I32,
    numbers: I64,
) -> int:  # fmt: skip
    """Fill the event columns from what `encode_sites` told; SOUND or DAMAGED.

    ``carry[GAP]`` is -1 at first. Sites are below ``after_site.size``; there are exactly as many
    events as there is room.
    """
    event = 0
    at, gap = np.int64(carry[READ]), np.int64(carry[GAP])
    for n in range(blocks.size):
        block, site = np.int64(blocks[n]), np.int64(0)
        while True:
            if gap < 0:
                gap = np.int64(NEVER)
                if at + 1 < numbers.size:
                    gap = np.int64(numbers[at])
                    at += 1
            if gap > 0:
                site = np.int64(after_block[block] if site == 0 else after_site[site - 1])
            else:
                fired = np.int64(numbers[at])
                at += 1
                if fired > after_site.size:
                    return DAMAGED
                if site == 0:
                    after_block[block] = fired
                else:
                    after_site[site - 1] = fired
                site = fired
            gap -= 1
            if site == 0:
                break
            if event == event_block.size:
                return DAMAGED
            event_block[event], event_site[event] = n, site - 1
            event += 1
    carry[READ], carry[GAP] = at, gap
    return SOUND if event == event_block.size else DAMAGED
