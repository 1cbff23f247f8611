"""Branch prediction: a cache of branch targets with direction counters, a return stack.

The algorithm and the sizes in silicon are not public (m7-core f8): everything here is a parameter
of the core table. A branch enters the BTAC when it is first taken. One that is there is predicted
before its bytes are looked at, so taking it costs no bubble. A direct branch that is not there is
recognised when it is decoded; it then costs the shorter redirection from there.
"""

from __future__ import annotations

from m7sim.isa.instruction import Branch
from m7sim.jit import kernel
from m7sim.timing.state import (
    PREDICATED,
    Record,
)

_CONDITIONAL = int(Branch.CONDITIONAL)
_CALL = int(Branch.CALL)
_INDIRECT_CALL = int(Branch.INDIRECT_CALL)
_RETURN = int(Branch.RETURN)

# bits of an outcome
TAKEN, WRONG, KNOWN = 1, 2, 4


@kernel
def _find(m: Record, u: Record, address: int) -> int:
    """Return the entry of the BTAC that knows this branch, or -1."""
    first = ((address >> 3) & m["btac_set_mask"]) * m["btac_ways"]
    for entry in range(first, first + m["btac_ways"]):
        if u["btac_tag"][entry] == address:
            return int(entry)
    return -1


@kernel
def _enter(m: Record, u: Record, address: int) -> int:
    """Give the branch the entry used longest ago; it was just taken, so weakly predict that."""
    first = ((address >> 3) & m["btac_set_mask"]) * m["btac_ways"]
    entry = first
    for other in range(first + 1, first + m["btac_ways"]):
        if u["btac_used"][other] < u["btac_used"][entry]:
            entry = other
    u["btac_tag"][entry] = address
    counters = entry << m["predictor_history_bits"]
    for pattern in range(1 << m["predictor_history_bits"]):
        u["counter"][counters + pattern] = 1 << (m["predictor_counter_bits"] - 1)
    return int(entry)


@kernel
def _learn(m: Record, u: Record, address: int, entry: int, taken: bool, target: int) -> None:
    """Update the BTAC with the outcome of a branch that it knows in ``entry`` (-1: not)."""
    if entry < 0:
        if not taken:
            return
        entry = _enter(m, u, address)
    else:
        step = 1 if taken else -1
        top = (1 << m["predictor_counter_bits"]) - 1
        k = (entry << m["predictor_history_bits"]) + u["history"]
        u["counter"][k] = min(max(u["counter"][k] + step, 0), top)
    u["btac_clock"] += 1
    u["btac_used"][entry] = u["btac_clock"]
    if taken:
        u["btac_target"][entry] = target


@kernel
def _follow_call(m: Record, u: Record, kind: int, return_address: int) -> None:
    """Keep the return stack when a call or return was taken."""
    entries = m["return_stack_entries"]
    if kind == _RETURN:
        if u["returns_valid"] > 0:
            u["returns_pushed"] -= 1
            u["returns_valid"] -= 1
    elif kind in (_CALL, _INDIRECT_CALL) and entries > 0:
        u["returns"][u["returns_pushed"] % entries] = return_address
        u["returns_pushed"] += 1
        u["returns_valid"] = min(u["returns_valid"] + 1, entries)


@kernel
def _predict(m: Record, u: Record, kind: int, entry: int, conditional: bool, fall: int) -> int:
    """Return the address at which the stream continues, as far as it is known in time."""
    if entry < 0:
        return fall
    if conditional:
        k = (entry << m["predictor_history_bits"]) + u["history"]
        if u["counter"][k] < 1 << (m["predictor_counter_bits"] - 1):
            return fall
    if kind == _RETURN and u["returns_valid"] > 0:
        return int(u["returns"][(u["returns_pushed"] - 1) % m["return_stack_entries"]])
    return int(u["btac_target"][entry])


@kernel
def branch_outcome(m: Record, u: Record, r: Record, target: int) -> int:
    """Resolve the branch ``r`` that went to ``target``, and learn from it.

    Returns bits: ``TAKEN``, ``WRONG`` (the stream had gone elsewhere), ``KNOWN`` (to the BTAC).
    """
    address = r["address"]
    fall = address + r["size_bytes"]
    kind = r["branch"]
    taken = target != fall
    conditional = kind == _CONDITIONAL or (r["flags"] & PREDICATED) != 0
    entry = _find(m, u, address)
    static = entry < 0 and statically_taken(m, r)
    predicted = _predict(m, u, kind, entry, conditional, fall)
    _learn(m, u, address, entry, taken, target)
    if conditional and m["predictor_history_bits"] > 0:
        mask = (1 << m["predictor_history_bits"]) - 1
        u["history"] = ((u["history"] << 1) | int(taken)) & mask
    outcome = 0
    if taken:
        outcome = TAKEN
        _follow_call(m, u, kind, fall)
    if predicted != target or (static and not taken):
        outcome |= WRONG
    if entry >= 0:
        outcome |= KNOWN
    return outcome


@kernel
def statically_taken(m: Record, r: Record) -> bool:
    """Say whether a branch that the BTAC does not know is predicted to be taken."""
    backward = 0 <= r["target"] <= r["address"]
    return bool(r["branch"] == _CONDITIONAL and backward and m["predictor_static_backward"] > 0)
