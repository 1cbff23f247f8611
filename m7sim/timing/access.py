"""What loads and stores do to the pipeline when they have issued."""

from __future__ import annotations

from m7sim.jit import inlined, kernel
from m7sim.timing.causes import StallCause
from m7sim.timing.lsu import BANK_MASK, BANK_SHIFT, CROOKED, OUTSIDE
from m7sim.timing.ports import ask_load_data, ask_store_data
from m7sim.timing.state import CAUSE_BITS, CAUSE_MASK, MULTIPLE, Record

_UNALIGNED = int(StallCause.UNALIGNED)
_STORE_BUFFER = int(StallCause.STORE_BUFFER)
_ALIGNMENT = int(StallCause.TRANSFER_ALIGNMENT)


@inlined
def bank_of(facts: int) -> int:
    """Bank that an access reads first."""
    return (facts >> BANK_SHIFT) & BANK_MASK


@kernel
def _unaligned_hold(m: Record, s: Record, bank: int, younger: bool) -> int:
    """Further cycles of an unaligned load."""
    if not younger:
        return int(m["unaligned_load_older_cycles"])
    hold: int = m["unaligned_load_younger_cycles"]
    if s["load_unaligned"]:
        hold -= m["unaligned_load_older_cycles"]  # the older has held for that long already
    elif s["load_bank"] == bank:
        hold -= m["unaligned_load_paired_saving_cycles"]
    return hold


@kernel
def load_hold(
    m: Record, s: Record, u: Record, log: Record, r: Record, c: Record, row: int, access: int,
    start: int, facts: int, younger: bool,
) -> int:  # fmt: skip
    """Further cycles for which a load that issued holds the pipeline; charged to it."""
    hold = 0
    bank = bank_of(facts)
    crooked = (facts & CROOKED) != 0
    if crooked:
        hold = _unaligned_hold(m, s, bank, younger)
        c["stalls"][_UNALIGNED] += hold
    elif younger and s["load_unaligned"] and s["load_bank"] == bank:
        s["refund"] = m["unaligned_load_paired_saving_cycles"]
    if not younger:
        s["load_bank"] = bank
        s["load_unaligned"] = crooked
    if facts & OUTSIDE:
        data = ask_load_data(m, u, log, r, row, access, start, s["cycle"])
        c["stalls"][data & CAUSE_MASK] += data >> CAUSE_BITS
        hold += data >> CAUSE_BITS
    return int(hold)


@kernel
def store_hold(
    m: Record, s: Record, u: Record, log: Record, r: Record, c: Record, row: int, access: int,
    start: int, facts: int,
) -> int:  # fmt: skip
    """Further cycles for which a store that issued holds the pipeline; charged to it."""
    hold = 0
    if r["flags"] & MULTIPLE and facts & CROOKED and (r["access_bytes"] & 7) == 0:
        hold = m["store_multiple_misaligned_cycles"]
        c["stalls"][_ALIGNMENT] += hold
    buffer = ask_store_data(m, u, log, r, row, access, start, s["cycle"])
    if buffer:
        c["stalls"][_STORE_BUFFER] += buffer
    return int(hold + buffer)


@kernel
def refund(s: Record, older: Record, younger: Record, c: Record) -> None:
    """Take back what the unaligned load ``older`` saves because of the aligned one beside it."""
    cycles = s["refund"]
    s["refund"] = 0
    s["cycle"] -= cycles
    c["stalls"][_UNALIGNED] -= cycles
    for k in range(older["n_writes"]):
        s["reg_cycle"][older["write_reg"][k]] -= cycles
    for k in range(younger["n_writes"]):
        s["reg_cycle"][younger["write_reg"][k]] -= cycles
