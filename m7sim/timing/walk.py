"""The walk: every executed instruction, one after the other, through fetch, issue and memory.

This is the definition of the model. For each instruction: its bytes arrive, its operands get
ready, units and queues get free; it joins the one before it in the younger slot if it can, else
it issues in the first cycle after that in which nothing holds it back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import NO_ACCESS
from m7sim.jit import inlined, kernel
from m7sim.timing.access import bank_of, load_hold, refund, store_hold
from m7sim.timing.causes import PairLoss, StallCause
from m7sim.timing.fetch import bring_words, follow
from m7sim.timing.issue import (
    fp_mac_wait,
    note_fp_mac,
    operands_wait,
    pair_loss,
    runs_early,
    write_results,
)
from m7sim.timing.leave import leave_block
from m7sim.timing.lsu import CROOKED, WAIT_SHIFT
from m7sim.timing.ports import ask_load, ask_store
from m7sim.timing.state import (
    ALONE,
    CAUSE_BITS,
    CAUSE_MASK,
    EARLY,
    FP_FUSED,
    FP_MAC,
    IS_LOAD,
    IS_STORE,
    MAC_BARS,
    NEVER,
    Record,
    Records,
)

_NO_ACCESS = NO_ACCESS
# low bits of waits
_STORE_TO_LOAD = CAUSE_MASK - int(StallCause.STORE_TO_LOAD)
_STORE_QUEUE = CAUSE_MASK - int(StallCause.STORE_QUEUE)
_FP_MAC_HAZARD = CAUSE_MASK - int(StallCause.FP_MAC_HAZARD)

_FIRST_OPERAND_CAUSE = int(StallCause.LOAD_USE)
_FIRST_UNIT_CAUSE = int(StallCause.FP_MAC_HAZARD)

_LOSS_OPERAND = int(PairLoss.OPERAND)
_LOSS_FETCH = int(PairLoss.FETCH)
_LOSS_HAZARD = int(PairLoss.HAZARD)


@inlined
def walk_block(
    m: Record, s: Record, u: Record, log: Record, rows: Records, tally: Records, block: Record,
    address: NDArray[np.uint32], first_access: int,
) -> None:  # fmt: skip
    """Walk from the end of the block before through one block.

    Parameters
    ----------
    m, s, u, log
        Model, pipeline, what lies beyond it, and the log of what the one asked of the other.
    rows, tally
        Static instructions and what each cost; ``tally`` is added to.
    block
        The block, a record of ``BLOCK``.
    address, first_access
        Start address of each access of each row that has one, uint32[…], NO_ACCESS where a
        predicated access did not happen; and where those of this block begin.
    """
    last = s["pending"]
    if last >= 0:
        leave_block(m, s, u, log, rows[last], tally[last], last, block["address"])
    else:
        follow(s, block["address"])
    first = block["first"]
    end = first + block["count"]
    access = 0
    for row in range(first, end):
        start = _NO_ACCESS
        if rows[row]["unit_bytes"]:
            start = int(np.int64(address[first_access + access]))
            access += 1
        step(m, s, u, log, rows[row], tally[row], row, access - 1, start)
        if s["refund"]:
            older = row - 1 if row > first else last
            refund(s, rows[older], rows[row], tally[older])
    s["pending"] = end - 1


@inlined
def step(
    m: Record, s: Record, u: Record, log: Record, r: Record, c: Record, row: int, access: int,
    start: int,
) -> None:  # fmt: skip
    """Walk one instruction; it accesses memory from ``start`` upwards, or not: NO_ACCESS."""
    flags = r["flags"]
    wait = _wait(m, s, u, log, r)
    load_bank = -1
    loaded = 0
    stored = 0
    if flags & IS_LOAD:
        cycle = max(wait >> CAUSE_BITS, s["cycle"])
        loaded = ask_load(m, u, log, r, row, access, start, cycle)
        if loaded >> WAIT_SHIFT:
            wait = ((cycle + (loaded >> WAIT_SHIFT)) << CAUSE_BITS) + _STORE_TO_LOAD
        if loaded and not loaded & CROOKED:
            load_bank = bank_of(loaded)
    if flags & IS_STORE:
        cycle = max(wait >> CAUSE_BITS, s["pair_cycle"])
        stored = ask_store(m, u, log, r, row, access, start, cycle)
        if stored >> WAIT_SHIFT:
            wait = ((cycle + (stored >> WAIT_SHIFT)) << CAUSE_BITS) + _STORE_QUEUE
    younger = _issue(m, s, r, c, wait, load_bank)
    if not younger:
        s["load_bank"] = -1
        s["load_unaligned"] = 0
    hold = 0
    if loaded:
        hold = load_hold(m, s, u, log, r, c, row, access, start, loaded, younger)
    if stored:
        hold += store_hold(m, s, u, log, r, c, row, access, start, stored)
    _finish(m, s, r, c, younger, hold)


@kernel
def _charge(s: Record, c: Record, first: int, until: int, cause: int) -> None:
    """Charge the cycles from ``first`` up to ``until`` to one instruction.

    Waiting for bytes has stages that follow each other: the redirection of the stream first.
    """
    if cause < _FIRST_OPERAND_CAUSE:
        restarted = min(s["restart"], until)
        if restarted > first:
            c["stalls"][s["restart_cause"]] += restarted - first
            first = restarted
    c["stalls"][cause] += until - first


@inlined
def _wait(m: Record, s: Record, u: Record, log: Record, r: Record) -> int:
    """Wait of ``r`` for its bytes, its operands and the FPU."""
    if r["last_word"] != s["word"]:
        bring_words(m, s, u, log, r["last_word"], s["cycle"])
    wait: int = max(s["arrival_wait"], operands_wait(m, s, r))
    if r["flags"] & (MAC_BARS | FP_FUSED):
        free = fp_mac_wait(m, s, r["flags"])
        wait = max(wait, (free << CAUSE_BITS) + _FP_MAC_HAZARD)
    return wait


@kernel
def _loss_of_wait(cause: int) -> int:
    """Reason for not pairing that a wait for ``cause`` is."""
    if cause < _FIRST_OPERAND_CAUSE:
        return _LOSS_FETCH
    if cause < _FIRST_UNIT_CAUSE:
        return _LOSS_OPERAND
    return _LOSS_HAZARD


@inlined
def _issue(m: Record, s: Record, r: Record, c: Record, wait: int, load_bank: int) -> bool:
    """Issue ``r``; say whether it is the younger of a pair. ``s["cycle"]`` is its cycle."""
    cycle = s["cycle"]
    ready = wait >> CAUSE_BITS
    if s["older_klass"] >= 0:
        pair_cycle = s["pair_cycle"]
        loss = pair_loss(m, s, r, pair_cycle, load_bank)
        if loss == 0 and ready > pair_cycle:
            loss = _loss_of_wait(CAUSE_MASK - (wait & CAUSE_MASK))
        s["pair_loss"][loss] += 1
        if loss == 0:
            return True
    if ready > cycle + 1:
        _charge(s, c, cycle + 1, ready, CAUSE_MASK - (wait & CAUSE_MASK))
        cycle = ready
    else:
        cycle += 1
    c["issued"] += 1
    s["cycle"] = cycle
    s["pair_cycle"] = cycle
    return False


@inlined
def _finish(m: Record, s: Record, r: Record, c: Record, younger: bool, hold: int) -> None:
    """Let ``r`` hold the pipeline, write its results and leave the slot to the next one."""
    flags = r["flags"]
    cycle = s["cycle"]
    if r["branch"]:
        made = NEVER
        for k in range(r["n_reads"]):
            made = max(made, s["reg_cycle"][r["read_reg"][k]])
        s["branch_operand"] = made
    early = False
    if flags & EARLY:
        early = runs_early(m, s, r, s["pair_cycle"], younger)
    if r["hold"]:
        c["stalls"][r["hold_cause"]] += r["hold"]
        hold += r["hold"]
    done = cycle + hold
    # latencies of instructions that hold the pipeline count from their first cycle
    write_results(s, r, done - r["hold"], early)
    if flags & FP_MAC:
        note_fp_mac(s, flags, done)
    s["cycle"] = done
    if younger or flags & ALONE:
        s["older_klass"] = -1
    else:
        s["older_klass"] = r["klass"]
        s["older_flags"] = flags
