"""From one block to the next: what the branch between them costs, and where the fetch goes on."""

from __future__ import annotations

from m7sim.isa.instruction import Branch
from m7sim.jit import kernel
from m7sim.timing.branch import KNOWN, TAKEN, WRONG, statically_taken
from m7sim.timing.causes import StallCause
from m7sim.timing.fetch import follow, restart
from m7sim.timing.ports import ask_branch
from m7sim.timing.state import PREDICATED, Record

_CONDITIONAL = int(Branch.CONDITIONAL)
_DIRECT = int(Branch.DIRECT)
_CALL = int(Branch.CALL)
_TABLE = int(Branch.TABLE)

_MISPREDICT = int(StallCause.MISPREDICT)
_TARGET = int(StallCause.BRANCH_TARGET)
_TABLE_BRANCH = int(StallCause.TABLE_BRANCH)


@kernel
def _penalty(m: Record, s: Record, r: Record, conditional: bool, known: bool, taken: bool) -> int:
    """Cycles that the refill after a wrongly predicted branch takes."""
    kind = r["branch"]
    if not known and taken:
        if not conditional and kind in (_DIRECT, _CALL):
            return int(m["decode_redirect_cycles"])
        if statically_taken(m, r):
            return int(m["decode_redirect_cycles"])
    if not conditional:
        return int(m["indirect_mispredict_cycles"])
    early = s["cycle"] - s["branch_operand"] >= m["early_flags_distance_cycles"]
    if not taken:
        if early:
            return int(m["fall_through_early_flags_cycles"])
        return int(m["fall_through_cycles"])
    if early:
        return int(m["mispredict_early_flags_cycles"])
    return int(m["mispredict_cycles"])


@kernel
def leave_block(
    m: Record, s: Record, u: Record, log: Record, r: Record, c: Record, row: int, target: int
) -> None:
    """Go from ``r``, the end of a block, to ``target``: resolve its branch, steer the fetch."""
    kind = r["branch"]
    if kind == 0:
        # the end of a page, or the host moved the program counter: then the stream begins anew
        if target != r["address"] + r["size_bytes"]:
            follow(s, target)
            s["older_klass"] = -1
        return
    outcome = ask_branch(m, u, log, r, row, target, s["cycle"])
    taken = (outcome & TAKEN) != 0
    known = (outcome & KNOWN) != 0
    if taken:
        c["taken"] += 1
    if not outcome & WRONG:
        if taken:
            follow(s, target)
            if not m["taken_branch_pairs_target"]:
                s["older_klass"] = -1
        return
    c["mispredicted"] += 1
    conditional = kind == _CONDITIONAL or (r["flags"] & PREDICATED) != 0
    cause = _MISPREDICT
    if not known and (not conditional or statically_taken(m, r)) and taken:
        cause = _TABLE_BRANCH if kind == _TABLE else _TARGET
    penalty = _penalty(m, s, r, conditional, known, taken)
    c["penalty"] += penalty
    restart(s, target, s["cycle"] + 1 + penalty, cause)
    s["older_klass"] = -1
