"""Issue: when operands are ready, who may share a cycle, what a result makes ready."""

from __future__ import annotations

from m7sim.core.columns import Column
from m7sim.jit import inlined, kernel
from m7sim.timing.causes import PairLoss, StallCause
from m7sim.timing.state import (
    CAUSE_BITS,
    EARLY_ADD,
    EARLY_ANY,
    FP_CHAINED,
    FP_FUSED,
    FP_MAC,
    MAC_BARS,
    MAC_BARS_YOUNGER,
    NEVER,
    NO_WAIT,
    PREDICATED,
    WRITEBACK,
    WRITEBACK_ROW,
    Record,
)

_LATE = int(Column.LATE)
_EARLY = int(Column.EARLY)
_BESIDE = int(Column.BESIDE)
_ALWAYS = 14
_FP_MAC_HAZARD = int(StallCause.FP_MAC_HAZARD)

_BANK = int(PairLoss.BANK)
_FP_MAC_LOSS = int(PairLoss.FP_MAC)


@inlined
def operands_wait(m: Record, s: Record, r: Record) -> int:
    """Wait for all operands of ``r``."""
    wait = NO_WAIT
    for k in range(r["n_reads"]):
        reg = r["read_reg"][k]
        column = r["read_column"][k]
        until = (s["reg_cycle"][reg] << CAUSE_BITS) + m["latency"][s["reg_row"][reg], column]
        if s["reg_condition"][reg] != _ALWAYS and column != 0:
            until += _other_condition(m, s, r, reg, column) << CAUSE_BITS
        wait = max(wait, until)
    return wait


@kernel
def _other_condition(m: Record, s: Record, r: Record, reg: int, column: int) -> int:
    """Further cycles until a predicated result serves a reader under another predicate."""
    if s["reg_condition"][reg] == r["condition"]:
        return 0
    latency = m["latency"][s["reg_row"][reg], column] >> CAUSE_BITS
    beside = column == _BESIDE
    more = m["predicate_change_beside_cycles"] if beside else m["predicate_change_cycles"]
    further: int = max(min(more, m["predicate_change_limit_cycles"] - latency), 0)
    return further


@inlined
def runs_early(m: Record, s: Record, r: Record, cycle: int, younger: bool) -> bool:
    """Say whether an ALU operation that issues in ``cycle`` runs in the early ALU."""
    flags = r["flags"]
    if younger and (not flags & EARLY_ANY or m["early_blocked"][r["klass"], s["older_klass"]]):
        return False
    early = _EARLY if flags & EARLY_ANY else EARLY_ADD
    for k in range(r["n_reads"]):
        column = early if r["read_column"][k] == _LATE else r["read_column"][k]
        reg = r["read_reg"][k]
        latency = m["latency"][s["reg_row"][reg], column] >> CAUSE_BITS
        if s["reg_cycle"][reg] + latency > cycle:
            return False
    return True


@kernel
def fp_mac_wait(m: Record, s: Record, flags: int) -> int:
    """First cycle that the FP multiply-accumulates before ``r`` allow."""
    ready = NEVER
    if flags & MAC_BARS:
        ready = s["mac_cycle"] + m["fp_mac_block_cycles"] + 1
    if flags & FP_FUSED:
        ready = max(ready, s["chained_cycle"] + m["fma_after_mla_cycles"])
    return ready


@kernel
def note_fp_mac(s: Record, flags: int, cycle: int) -> None:
    """Remember a multiply-accumulate that issued in ``cycle``."""
    s["mac_before"] = s["mac_cycle"]
    s["mac_cycle"] = cycle
    if flags & FP_CHAINED:
        s["chained_cycle"] = cycle


@inlined
def pair_loss(m: Record, s: Record, r: Record, cycle: int, load_bank: int) -> int:
    """Why ``r`` cannot join the older instruction, which issued in ``cycle``; 0 when it can.

    Operands and arrival of the bytes are not looked at. ``load_bank`` is -1 for all but loads.
    """
    flags = r["flags"]
    loss: int = m["pair"][s["older_klass"], r["klass"]]
    if loss:
        return loss
    if flags & (FP_MAC | MAC_BARS_YOUNGER):
        # the accumulate before this pair: one that is itself the older does not count
        mac = s["mac_before"] if s["mac_cycle"] == cycle else s["mac_cycle"]
        if cycle <= mac + m["fp_mac_block_cycles"]:
            if flags & MAC_BARS_YOUNGER:
                return _FP_MAC_LOSS
            if s["older_flags"] & MAC_BARS_YOUNGER:
                return _FP_MAC_LOSS
    if load_bank >= 0 and s["load_bank"] == load_bank and not s["load_unaligned"]:
        return _BANK
    return 0


@inlined
def write_results(s: Record, r: Record, first_cycle: int, early: bool) -> None:
    """Make the registers that ``r`` writes ready from ``first_cycle`` on."""
    condition = r["condition"] if r["flags"] & PREDICATED else _ALWAYS
    row = r["early_row"] if early else r["latency_row"]
    for k in range(r["n_writes"]):
        reg = r["write_reg"][k]
        behind = r["write_behind"][k]
        s["reg_condition"][reg] = condition
        if behind == WRITEBACK:
            s["reg_cycle"][reg] = first_cycle
            s["reg_row"][reg] = WRITEBACK_ROW
        else:
            s["reg_cycle"][reg] = first_cycle + behind
            s["reg_row"][reg] = row
