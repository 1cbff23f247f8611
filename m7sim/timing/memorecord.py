"""How a path comes into the memo, and how what the paths cost is added up."""

from __future__ import annotations

from typing import Final

import numpy as np

from m7sim.jit import inlined, kernel
from m7sim.timing.causes import N_LOSSES
from m7sim.timing.memotables import END, Books, Memo, intern, slot_of
from m7sim.timing.ports import MAX_QUESTIONS
from m7sim.timing.snapshot import put_snapshot, take_snapshot
from m7sim.timing.state import I64, TALLY, Record, Records

MAX_ALTERNATIVES: Final = 64  # of one node; more are walked each time
MAX_ANSWER: Final = 1 << 30  # that a node has room for

_COLUMNS = TALLY.itemsize // 8
_MOST_QUESTIONS, _MOST_ALTERNATIVES, _MOST_ANSWER = MAX_QUESTIONS, MAX_ALTERNATIVES, MAX_ANSWER
_N_LOSSES = N_LOSSES
_END = END


@kernel
def begin_path(m: Record, s: Record, log: Record, memo: Memo, known: int) -> None:
    """Prepare to walk a block from the current state, with the first answers known already."""
    put_snapshot(m, s, memo.states[memo.counts["current"]])
    for loss in range(_N_LOSSES):
        memo.pair_loss[loss] = s["pair_loss"][loss]
    log["on"] = 1
    log["n"] = 0
    log["known"] = known


@kernel
def end_path(
    m: Record, s: Record, log: Record, rows: Records, books: Books, block_table: Records,
    memo: Memo, id_: int, before: int, last: int, tail: int, others: int,
) -> None:  # fmt: skip
    """Make a path of a block that was walked.

    It began in the cycle ``before``, behind the row ``last``. From the node ``tail`` its answers
    differ from those recorded, as they do from ``others`` alternatives of it.
    """
    c = memo.counts
    block = block_table[id_]
    state = c["current"]
    log["on"] = 0
    c["recorded"] += 1
    c["window_recorded"] += 1
    c["path"] = -1
    full = (
        c["states"] >= memo.states.shape[0]
        or c["paths"] >= memo.paths.shape[0]
        or c["nodes"] + log["n"] >= memo.nodes.shape[0]
        or c["parts"] + (block["count"] + 1) * _COLUMNS + _N_LOSSES > memo.parts.shape[0]
    )
    if full or others > _MOST_ALTERNATIVES or not _fits(log):
        _move(books.scratch_numbers, books.tally_numbers, last, block)
        books.executions[id_] += 1
        s["instructions"] += block["count"]
        log["known"] = 0
        c["current"] = -1
        if full:
            empty(s, books, block_table, memo)
        return
    take_snapshot(m, s, rows, memo.snapshot)
    c["current"] = intern(memo, memo.snapshot)
    path = c["paths"]
    c["paths"] = path + 1
    p = memo.paths[path]
    p["block"] = id_
    p["state"] = c["current"]
    p["cycles"] = s["cycle"] - before
    p["count"] = 1
    p["first_part"] = c["parts"]
    p["next_block"] = -1
    _take_parts(s, books.scratch_numbers, memo, last, block)
    p["parts"] = c["parts"] - p["first_part"]
    first = _add_nodes(log, memo, tail, before, path)
    if tail >= 0:
        memo.nodes[tail]["alternative"] = first
    else:
        slot = slot_of(memo.keys, state, id_)
        memo.keys[slot] = (np.int64(state) << np.int64(32)) | np.int64(id_)
        memo.heads[slot] = first
    log["known"] = 0
    c["path"] = path


@inlined
def _fits(log: Record) -> bool:
    """Say whether what was asked and answered has room in nodes."""
    if log["n"] > _MOST_QUESTIONS:
        return False
    largest = 0
    for k in range(log["n"]):
        largest = max(largest, abs(log["answer"][k]))
    return bool(largest <= _MOST_ANSWER)


@inlined
def _add_nodes(log: Record, memo: Memo, tail: int, before: int, path: int) -> int:
    """Add the nodes from the first answer that was not recorded yet; return the first of them."""
    c = memo.counts
    nodes = memo.nodes
    first = c["nodes"]
    node = first
    for k in range(max(log["known"] - 1, 0), log["n"]):
        q = nodes[node]
        if k < log["known"]:  # the log does not repeat what was asked, only the answer
            q["kind"] = nodes[tail]["kind"]
            q["at"] = nodes[tail]["at"]
            q["what"] = nodes[tail]["what"]
            q["access"] = nodes[tail]["access"]
        else:
            q["kind"] = log["kind"][k]
            q["at"] = log["cycle"][k] - before
            q["what"] = log["what"][k]
            q["access"] = log["access"][k]
        q["answer"] = log["answer"][k]
        q["alternative"] = -1
        node += 1
    nodes[node]["kind"] = _END
    nodes[node]["what"] = path
    c["nodes"] = node + 1
    return int(first)


@inlined
def _take_parts(s: Record, scratch: I64, memo: Memo, last: int, block: Record) -> None:
    """Move what the block cost from the scratch, and the pairs it lost, to the path's parts."""
    first = block["first"]
    end = first + block["count"]
    for row in range(first, end):
        _take_row(scratch, memo, row)
    if last >= 0 and (last < first or last >= end):
        _take_row(scratch, memo, last)
    for loss in range(_N_LOSSES):
        lost = s["pair_loss"][loss] - memo.pair_loss[loss]
        if lost:
            _add_part(memo, -1, loss, lost)
            s["pair_loss"][loss] = memo.pair_loss[loss]


@inlined
def _take_row(scratch: I64, memo: Memo, row: int) -> None:
    for column in range(_COLUMNS):
        if scratch[row, column]:
            _add_part(memo, row, column, scratch[row, column])
            scratch[row, column] = 0


@inlined
def _add_part(memo: Memo, row: int, column: int, amount: int) -> None:
    part = memo.parts[memo.counts["parts"]]
    memo.counts["parts"] += 1
    part["row"] = row
    part["column"] = column
    part["amount"] = amount


@kernel
def _move(scratch: I64, tally: I64, last: int, block: Record) -> None:
    """Add what the block cost to the tally right away."""
    for row in range(block["first"], block["first"] + block["count"]):
        _move_row(scratch, tally, row)
    if last >= 0:
        _move_row(scratch, tally, last)


@inlined
def _move_row(scratch: I64, tally: I64, row: int) -> None:
    for column in range(_COLUMNS):
        tally[row, column] += scratch[row, column]
        scratch[row, column] = 0


@kernel
def add_up(s: Record, books: Books, block_table: Records, memo: Memo) -> None:
    """Add what the paths cost since the last time, as often as they were taken."""
    for path in range(memo.counts["paths"]):
        p = memo.paths[path]
        count = p["count"]
        if count == 0:
            continue
        p["count"] = 0
        books.executions[p["block"]] += count
        s["instructions"] += count * block_table[p["block"]]["count"]
        for k in range(p["first_part"], p["first_part"] + p["parts"]):
            part = memo.parts[k]
            if part["row"] < 0:
                s["pair_loss"][part["column"]] += count * part["amount"]
            else:
                books.tally_numbers[part["row"], part["column"]] += count * part["amount"]


@kernel
def empty(s: Record, books: Books, block_table: Records, memo: Memo) -> None:
    """Add everything up and forget all states and paths; the state record must be up to date."""
    add_up(s, books, block_table, memo)
    c = memo.counts
    for slot in range(memo.state_slots.shape[0]):
        memo.state_slots[slot] = -1
    for slot in range(memo.keys.shape[0]):
        memo.keys[slot] = -1
    c["states"] = c["paths"] = c["nodes"] = c["parts"] = 0
    c["current"] = c["path"] = -1
    c["emptied"] += 1
