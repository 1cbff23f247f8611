"""Timing memoised by block: a way through a block that was walked before is not walked again.

The pipeline's state between two blocks is one of few (`snapshot`); a block that is entered in the
same state and gets the same answers to its questions (`ports`) takes the same cycles, loses the
same ones to the same causes and leaves the same state. So each such *path* is walked once and then
only repeated: its questions are asked, as predictors, caches and queues must go on, each in the
same cycle relative to the first; as long as the answers are the recorded ones, nothing else
happens. At the first other answer the block is walked, with the answers known so far, and becomes
one more path.

A path is a list of nodes, one for each question, behind each other in memory and ended by one that
names the path; where paths part, a node's ``alternative`` is the next one with another answer.
When a table is full, all are emptied.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import NO_ACCESS
from m7sim.jit import inlined, kernel
from m7sim.timing.branch import branch_outcome
from m7sim.timing.fetchmemory import line_wait, word_wait
from m7sim.timing.lsu import data_hold, load_facts, put_store, store_facts
from m7sim.timing.memorecord import begin_path, empty, end_path
from m7sim.timing.memotables import END, I32, Books, Memo, intern, slot_of
from m7sim.timing.ports import BRANCH, LINE, LOAD, STORE, STORE_DATA, WORD
from m7sim.timing.snapshot import put_snapshot, take_snapshot
from m7sim.timing.state import I64, Record, Records
from m7sim.timing.walk import walk_block

# Code that keeps finding new paths is walked for a while: recording costs more than walking.
WINDOW_BLOCKS: Final = 4096
MOST_RECORDED: Final = 1024  # of a window
REST_BLOCKS: Final = 1 << 14
FOR_EVER: Final = 1 << 62

_WINDOW, _MOST_RECORDED, _REST = WINDOW_BLOCKS, MOST_RECORDED, REST_BLOCKS
_NO_ACCESS = NO_ACCESS
_END = END


@kernel
def run(
    m: Record, s: Record, u: Record, log: Record, rows: Records, books: Books,
    block_table: Records, blocks: I32, address: NDArray[np.uint32], block_cycles: I64, memo: Memo,
) -> None:  # fmt: skip
    """Time ``blocks`` and write the cycles of each to ``block_cycles``.

    The result is the one of walking every block, which it does when ``memo`` rests for ever.

    Parameters
    ----------
    m, s, u, log, rows
        As of `walk_block`.
    books, memo
        Where costs are written down; what repeated paths cost is in ``memo`` until `add_up`.
    block_table, blocks
        All blocks, and the ids of those executed, in order: int32[n].
    address, block_cycles
        Start addresses of their accesses, uint32[…]; int64[n], written.
    """
    c = memo.counts
    # taken out of the tuple once: that costs more than a look-up
    nodes, paths, keys, heads = memo.nodes, memo.paths, memo.keys, memo.heads
    answers = log["answer"]
    used = 0
    for n in range(blocks.shape[0]):
        id_ = blocks[n]
        block = block_table[id_]
        before = s["cycle"]
        if c["current"] < 0 and c["rest"] == 0:
            _enter(m, s, rows, books, block_table, memo)
        node, known, tail, others = -1, 0, -1, 0
        path = c["path"]
        if path >= 0 and paths[path]["next_block"] == id_:
            node = paths[path]["next_node"]
        elif c["current"] >= 0:
            slot = slot_of(keys, c["current"], id_)
            if keys[slot] != -1:
                node = int(heads[slot])
                if path >= 0:
                    paths[path]["next_block"], paths[path]["next_node"] = id_, node
        while node >= 0:
            q = nodes[node]
            if q["kind"] == _END:
                break
            answer = _ask(m, u, rows, q, before, block["address"], address, used)
            answers[known] = answer
            known += 1
            if answer != q["answer"]:
                tail, node, others = _other_answer(nodes, node, answer)
                if node < 0:
                    break
            node += 1
        if node >= 0:
            path = int(nodes[node]["what"])
            c["path"] = path
            c["current"] = paths[path]["state"]
            paths[path]["count"] += 1
            s["cycle"] = before + paths[path]["cycles"]
        else:
            recording = c["current"] >= 0
            charged = books.tally
            if recording:
                charged = books.scratch
                begin_path(m, s, log, memo, known)
            last = s["pending"]
            walk_block(m, s, u, log, rows, charged, block, address, used)
            if recording:
                end_path(m, s, log, rows, books, block_table, memo, id_, before, last, tail, others)
            else:
                books.executions[id_] += 1
                s["instructions"] += block["count"]
                c["walked"] += 1
                c["rest"] -= 1
        used += block["accesses"]
        block_cycles[n] = s["cycle"] - before
        c["window"] += 1
        if c["window"] >= _WINDOW:
            if c["window_recorded"] > _MOST_RECORDED:  # too little repeats
                c["rest"] = _REST
                settle(m, s, memo)
            c["window"] = c["window_recorded"] = 0


@inlined
def _ask(
    m: Record, u: Record, rows: Records, q: Record, before: int, target: int,
    address: NDArray[np.uint32], first_access: int,
) -> int:  # fmt: skip
    """Ask the question of a node of a block entered in the cycle ``before``."""
    kind = q["kind"]
    cycle = before + q["at"]
    what = q["what"]
    if kind == LINE:
        return line_wait(m, u, int(what), cycle)
    if kind == BRANCH:
        return branch_outcome(m, u, rows[what], target)
    if kind == WORD:
        return word_wait(m, u, int(what), cycle)
    start = int(np.int64(address[first_access + q["access"]]))
    r = rows[what]
    if start == _NO_ACCESS:
        return 0
    if kind == LOAD:
        return load_facts(m, u, start, r["unit_bytes"], r["access_bytes"], cycle)
    if kind == STORE:
        return store_facts(m, u, start, cycle)
    if kind == STORE_DATA:
        return put_store(m, u, start, r["unit_bytes"], r["access_bytes"], cycle)
    return data_hold(m, u, start, r["access_bytes"], cycle)


@kernel
def _other_answer(nodes: Records, node: int, answer: int) -> tuple[int, int, int]:
    """Find the alternative of a node with this answer.

    Returns the node before it (the last one when there is none), the node or -1, and how many
    were passed.
    """
    passed = 0
    while True:
        following = int(nodes[node]["alternative"])
        passed += 1
        if following < 0 or nodes[following]["answer"] == answer:
            return node, following, passed
        node = following


@kernel
def settle(m: Record, s: Record, memo: Memo) -> None:
    """Bring the state record up to date; the next block looks its state up again."""
    c = memo.counts
    if c["current"] >= 0:
        put_snapshot(m, s, memo.states[c["current"]])
    c["current"] = c["path"] = -1


@kernel
def _enter(
    m: Record, s: Record, rows: Records, books: Books, block_table: Records, memo: Memo
) -> None:
    """Look up the number of the state that the state record holds."""
    c = memo.counts
    if c["states"] >= memo.states.shape[0]:
        empty(s, books, block_table, memo)
    take_snapshot(m, s, rows, memo.snapshot)
    c["current"] = intern(memo, memo.snapshot)
    c["path"] = -1
