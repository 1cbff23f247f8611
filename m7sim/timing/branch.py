"""Branch prediction: a cache of branch targets with direction counters, a return stack.

The algorithm and the sizes in silicon are not public (m7-core f8): everything here is a parameter
of the core table. A branch enters the BTAC when it is first taken. One that is there is predicted
before its bytes are looked at, so taking it costs no bubble. A direct branch that is not there is
recognised when it is decoded; it then costs the shorter redirection from there.
"""

from __future__ import annotations

from m7sim.isa.instruction import Branch
from m7sim.jit import kernel
from m7sim.timing.causes import StallCause
from m7sim.timing.fetch import follow, restart
from m7sim.timing.state import (
    PREDICATED,
    Record,
)

_CONDITIONAL = int(Branch.CONDITIONAL)
_DIRECT = int(Branch.DIRECT)
_CALL = int(Branch.CALL)
_INDIRECT_CALL = int(Branch.INDIRECT_CALL)
_RETURN = int(Branch.RETURN)
_TABLE = int(Branch.TABLE)

_MISPREDICT = int(StallCause.MISPREDICT)
_TARGET = int(StallCause.BRANCH_TARGET)
_TABLE_BRANCH = int(StallCause.TABLE_BRANCH)


@kernel
def _find(m: Record, s: Record, address: int) -> int:
    """Return the entry of the BTAC that knows this branch, or -1."""
    first = ((address >> 3) & m["btac_set_mask"]) * m["btac_ways"]
    for entry in range(first, first + m["btac_ways"]):
        if s["btac_tag"][entry] == address:
            return int(entry)
    return -1


@kernel
def _enter(m: Record, s: Record, address: int) -> int:
    """Give the branch the entry used longest ago; it was just taken, so weakly predict that."""
    first = ((address >> 3) & m["btac_set_mask"]) * m["btac_ways"]
    entry = first
    for other in range(first + 1, first + m["btac_ways"]):
        if s["btac_used"][other] < s["btac_used"][entry]:
            entry = other
    s["btac_tag"][entry] = address
    counters = entry << m["predictor_history_bits"]
    for pattern in range(1 << m["predictor_history_bits"]):
        s["counter"][counters + pattern] = 1 << (m["predictor_counter_bits"] - 1)
    return int(entry)


@kernel
def _learn(m: Record, s: Record, address: int, entry: int, taken: bool, target: int) -> None:
    """Update the BTAC with the outcome of a branch that it knows in ``entry`` (-1: not)."""
    if entry < 0:
        if not taken:
            return
        entry = _enter(m, s, address)
    else:
        step = 1 if taken else -1
        top = (1 << m["predictor_counter_bits"]) - 1
        k = (entry << m["predictor_history_bits"]) + s["history"]
        s["counter"][k] = min(max(s["counter"][k] + step, 0), top)
    s["btac_clock"] += 1
    s["btac_used"][entry] = s["btac_clock"]
    if taken:
        s["btac_target"][entry] = target


@kernel
def _follow_call(m: Record, s: Record, kind: int, return_address: int) -> None:
    """Keep the return stack when a call or return was taken."""
    entries = m["return_stack_entries"]
    if kind == _RETURN:
        if s["returns_valid"] > 0:
            s["returns_pushed"] -= 1
            s["returns_valid"] -= 1
    elif kind in (_CALL, _INDIRECT_CALL) and entries > 0:
        s["returns"][s["returns_pushed"] % entries] = return_address
        s["returns_pushed"] += 1
        s["returns_valid"] = min(s["returns_valid"] + 1, entries)


@kernel
def _predict(m: Record, s: Record, kind: int, entry: int, conditional: bool, fall: int) -> int:
    """Return the address at which the stream continues, as far as it is known in time."""
    if entry < 0:
        return fall
    if conditional:
        k = (entry << m["predictor_history_bits"]) + s["history"]
        if s["counter"][k] < 1 << (m["predictor_counter_bits"] - 1):
            return fall
    if kind == _RETURN and s["returns_valid"] > 0:
        return int(s["returns"][(s["returns_pushed"] - 1) % m["return_stack_entries"]])
    return int(s["btac_target"][entry])


@kernel
def _penalty(
    m: Record, s: Record, kind: int, conditional: bool, known: bool, taken: bool, backward: bool
) -> int:
    """Cycles that the refill after a wrongly predicted branch takes."""
    if not known and taken:
        if not conditional and kind in (_DIRECT, _CALL):
            return int(m["decode_redirect_cycles"])
        if kind == _CONDITIONAL and backward and m["predictor_static_backward"]:
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
def leave_block(m: Record, s: Record, r: Record, c: Record, target: int) -> None:
    """Go from ``r``, the end of a block, to ``target``: resolve its branch, steer the fetch."""
    address = r["address"]
    fall = address + r["size_bytes"]
    kind = r["branch"]
    taken = target != fall
    if kind == 0:
        # the end of a page, or the host moved the program counter: then the stream begins anew
        if taken:
            follow(s, target)
            s["older_klass"] = -1
        return
    conditional = kind == _CONDITIONAL or (r["flags"] & PREDICATED) != 0
    entry = _find(m, s, address)
    backward = r["target"] >= 0 and r["target"] <= address
    static = entry < 0 and kind == _CONDITIONAL and backward and m["predictor_static_backward"] > 0
    predicted = _predict(m, s, kind, entry, conditional, fall)
    _learn(m, s, address, entry, taken, target)
    if conditional and m["predictor_history_bits"] > 0:
        mask = (1 << m["predictor_history_bits"]) - 1
        s["history"] = ((s["history"] << 1) | int(taken)) & mask
    if taken:
        c["taken"] += 1
        _follow_call(m, s, kind, fall)
    if predicted == target and (taken or not static):
        if taken:
            follow(s, target)
            if not m["taken_branch_pairs_target"]:
                s["older_klass"] = -1
        return
    c["mispredicted"] += 1
    cause = _MISPREDICT
    if entry < 0 and (not conditional or static) and taken:
        cause = _TABLE_BRANCH if kind == _TABLE else _TARGET
    penalty = _penalty(m, s, kind, conditional, entry >= 0, taken, backward)
    c["penalty"] += penalty
    restart(s, target, s["cycle"] + 1 + penalty, cause)
    s["older_klass"] = -1
