"""The questions that the pipeline asks of predictors and memories, and the log of their answers.

All that a block's passage through the pipeline depends on, beyond the pipeline's own state, comes
through these functions: one integer each, relative to the cycle of the question. So a block that
enters in the same state and gets the same answers takes the same way (see `memo`).

An answer changes what lies behind it (a cache line moves in, a queue fills), so each question is
asked once. When a block has to be walked after its first questions were already asked, the log
holds their answers and repeats them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from m7sim.isa.code import NO_ACCESS
from m7sim.jit import inlined
from m7sim.timing.branch import branch_outcome
from m7sim.timing.fetchmemory import line_wait, word_wait
from m7sim.timing.lsu import data_hold, load_facts, put_store, store_facts
from m7sim.timing.state import I8, Record, fields

# kinds of question
BRANCH, LINE, WORD, LOAD, LOAD_DATA, STORE, STORE_DATA = range(7)

MAX_QUESTIONS: Final = 2048  # asked for one block; the engine's blocks are far shorter

LOG: Final = np.dtype(
    [
        *fields(
            "on",  # questions are written down
            "n",  # asked so far
            "known",  # answers known before
        ),
        ("kind", I8, MAX_QUESTIONS),
        ("cycle", I8, MAX_QUESTIONS),
        ("what", I8, MAX_QUESTIONS),  # row, or word of instructions
        ("access", I8, MAX_QUESTIONS),  # which address of the block
        ("answer", I8, MAX_QUESTIONS),
    ]
)

_NO_ACCESS = NO_ACCESS
_MOST = MAX_QUESTIONS


def new_log() -> np.void:
    """Make a log that is switched off."""
    log: np.void = np.zeros(1, LOG)[0]
    return log


@inlined
def _repeats(log: Record) -> bool:
    return bool(log["n"] < log["known"])


@inlined
def _repeat(log: Record) -> int:
    answer: int = log["answer"][log["n"]]
    log["n"] += 1
    return answer


@inlined
def _note(log: Record, kind: int, cycle: int, what: int, access: int, answer: int) -> None:
    n = log["n"]
    if n < _MOST:
        log["kind"][n] = kind
        log["cycle"][n] = cycle
        log["what"][n] = what
        log["access"][n] = access
        log["answer"][n] = answer
    log["n"] = n + 1


@inlined
def ask_branch(
    m: Record, u: Record, log: Record, r: Record, row: int, target: int, cycle: int
) -> int:
    """Ask how the branch ``r`` that went to ``target`` was predicted: bits of `branch`."""
    if _repeats(log):
        return _repeat(log)
    answer: int = branch_outcome(m, u, r, target)
    if log["on"]:
        _note(log, BRANCH, cycle, row, 0, answer)
    return answer


@inlined
def ask_line(m: Record, u: Record, log: Record, word: int, cycle: int) -> int:
    """Ask the I-cache for the line of a word: 0 when it is there, else cycles until the word is."""
    if _repeats(log):
        return _repeat(log)
    answer: int = line_wait(m, u, word, cycle)
    if log["on"]:
        _note(log, LINE, cycle, word, 0, answer)
    return answer


@inlined
def ask_word(m: Record, u: Record, log: Record, word: int, cycle: int) -> int:
    """Ask for a word that no I-cache covers: cycles until it is there."""
    if _repeats(log):
        return _repeat(log)
    answer: int = word_wait(m, u, word, cycle)
    if log["on"]:
        _note(log, WORD, cycle, word, 0, answer)
    return answer


@inlined
def ask_load(
    m: Record, u: Record, log: Record, r: Record, row: int, access: int, start: int, cycle: int
) -> int:
    """Ask about a load from ``start`` that could issue in ``cycle``: bits of `lsu`, 0: none."""
    if _repeats(log):
        return _repeat(log)
    answer = 0
    if start != _NO_ACCESS:
        answer = load_facts(m, u, start, r["unit_bytes"], r["access_bytes"], cycle)
    if log["on"]:
        _note(log, LOAD, cycle, row, access, answer)
    return answer


@inlined
def ask_load_data(
    m: Record, u: Record, log: Record, r: Record, row: int, access: int, start: int, cycle: int
) -> int:
    """Ask for the data of a load that issued: cycles it waits, above their cause."""
    if _repeats(log):
        return _repeat(log)
    answer: int = data_hold(m, u, start, r["access_bytes"], cycle)
    if log["on"]:
        _note(log, LOAD_DATA, cycle, row, access, answer)
    return answer


@inlined
def ask_store(
    m: Record, u: Record, log: Record, r: Record, row: int, access: int, start: int, cycle: int
) -> int:
    """Ask about a store to ``start`` that could issue in ``cycle``: bits of `lsu`, 0: none."""
    if _repeats(log):
        return _repeat(log)
    answer = 0
    if start != _NO_ACCESS:
        answer = store_facts(m, u, start, cycle)
    if log["on"]:
        _note(log, STORE, cycle, row, access, answer)
    return answer


@inlined
def ask_store_data(
    m: Record, u: Record, log: Record, r: Record, row: int, access: int, start: int, cycle: int
) -> int:
    """Queue the data of a store that issued: cycles for which it holds the pipeline."""
    if _repeats(log):
        return _repeat(log)
    answer: int = put_store(m, u, start, r["unit_bytes"], r["access_bytes"], cycle)
    if log["on"]:
        _note(log, STORE_DATA, cycle, row, access, answer)
    return answer
