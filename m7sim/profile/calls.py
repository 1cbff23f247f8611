"""Inclusive cost: a shadow call stack rebuilt from the stream of executed blocks.

The trace has no stack pointer, so calls and returns are recognised by control flow alone:

- a taken call instruction pushes a frame with the address after it as return address;
- an indirect branch that lands on the return address of any frame on the stack returns to that
  frame's caller, whatever lies above it (tail calls);
- a return to elsewhere goes back to the topmost frame of the function it lands in (``longjmp``);
- any other change of function is a tail call: the callee gets a frame with the same return
  address, and jumping back into a function of such a chain (``f`` to ``f.cold`` to ``f``) goes
  back to its frame, so chains stay as short as the number of functions in them.

An exception looks like a tail call into the handler and one back: nothing is lost, and the
handler's cycles count as the interrupted function's inclusive ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import Code
from m7sim.isa.instruction import Branch
from m7sim.jit import kernel
from m7sim.profile.functions import FunctionFinder, FunctionIndex

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

# A Cortex-M7 has at most some hundred KiB of stack and a frame takes 8 bytes or more of it.
MAX_FRAMES = 1 << 16
MAX_NODES = 1 << 14

_CALL, _INDIRECT_CALL = int(Branch.CALL), int(Branch.INDIRECT_CALL)
_RETURN, _INDIRECT = int(Branch.RETURN), int(Branch.INDIRECT)

# slots of the scalar state
_DEPTH, _PREVIOUS, _NOW, _NODES, _LOST, _N_STATE = range(6)
# columns of a frame
_FUNCTION, _NODE, _RETURN_ADDRESS, _TAIL, _N_FRAME = range(5)
# columns of a node of the calling context tree
_N_FUNCTION, _PARENT, _CHILD, _SIBLING, _N_NODE = range(5)


class BlockFacts(NamedTuple):
    """What the kernel knows of each block."""

    function: I32
    address: I64
    end: I64  # address after the last instruction
    exit_kind: NDArray[np.uint8]  # Branch of the last instruction
    may_fall: NDArray[np.uint8]  # 1: the last instruction is predicated
    entry: NDArray[np.uint8]  # 1: first block of its function


class Tracking(NamedTuple):
    """What the kernel changes."""

    state: I64
    frames: I64  # [frame, column]
    active: I32  # frames of the function on the stack
    since: I64  # cycle at which the outermost of them was entered
    inclusive: I64
    calls: I64
    nodes: I32  # [node, column]
    node_cycles: I64
    node_calls: I64


@kernel
def _child(t: Tracking, parent: int, function: int) -> int:
    """Find or make the node for ``function`` called from ``parent``."""
    if t.nodes[parent, _N_FUNCTION] == function:
        return parent  # direct recursion stays in one node
    node = t.nodes[parent, _CHILD]
    while node >= 0:
        if t.nodes[node, _N_FUNCTION] == function:
            return int(node)
        node = t.nodes[node, _SIBLING]
    fresh = t.state[_NODES]
    if fresh >= t.nodes.shape[0]:
        t.state[_LOST] += 1
        return parent
    t.state[_NODES] = fresh + 1
    t.nodes[fresh, _N_FUNCTION] = function
    t.nodes[fresh, _PARENT] = parent
    t.nodes[fresh, _CHILD] = -1
    t.nodes[fresh, _SIBLING] = t.nodes[parent, _CHILD]
    t.nodes[parent, _CHILD] = fresh
    return int(fresh)


@kernel
def _push(t: Tracking, function: int, return_address: int, tail: int) -> None:
    depth = t.state[_DEPTH]
    if depth >= t.frames.shape[0]:
        t.state[_LOST] += 1
        return
    node = _child(t, 0 if depth == 0 else t.frames[depth - 1, _NODE], function)
    t.frames[depth, _FUNCTION] = function
    t.frames[depth, _NODE] = node
    t.frames[depth, _RETURN_ADDRESS] = return_address
    t.frames[depth, _TAIL] = tail
    t.state[_DEPTH] = depth + 1
    if t.active[function] == 0:
        t.since[function] = t.state[_NOW]
    t.active[function] += 1


@kernel
def _pop_to(t: Tracking, depth: int) -> None:
    """Leave all frames from ``depth`` upwards."""
    for d in range(t.state[_DEPTH] - 1, depth - 1, -1):
        function = t.frames[d, _FUNCTION]
        t.active[function] -= 1
        if t.active[function] == 0:
            t.inclusive[function] += t.state[_NOW] - t.since[function]
    t.state[_DEPTH] = depth


@kernel
def _count(t: Tracking, function: int) -> None:
    t.calls[function] += 1
    t.node_calls[t.frames[t.state[_DEPTH] - 1, _NODE]] += 1


@kernel
def _change_function(t: Tracking, function: int, entry: int, unwind: bool) -> None:
    """Follow a jump into another function that is neither a call nor a return.

    With ``unwind``, it goes back to the topmost frame of that function wherever it is: the way of
    ``longjmp``, which returns to an address that no frame waits for.
    """
    top = t.state[_DEPTH] - 1
    d = top
    while d >= 0:
        if t.frames[d, _FUNCTION] == function:
            _pop_to(t, d + 1)
            break
        if t.frames[d, _TAIL] == 0 and not unwind:
            d = -1
        else:
            d -= 1
    if d < 0:
        _push(t, function, t.frames[top, _RETURN_ADDRESS], 1)
    if entry:
        _count(t, function)


@kernel
def _returned(t: Tracking, address: int) -> bool:
    """Leave the frames that a jump to ``address`` returns from, if it returns from any."""
    for d in range(t.state[_DEPTH] - 1, -1, -1):
        if t.frames[d, _RETURN_ADDRESS] == address:
            while t.frames[d, _TAIL] != 0:
                d -= 1
            _pop_to(t, d)
            return True
    return False


@kernel
def _track(t: Tracking, facts: BlockFacts, blocks: I32, block_cycles: I64) -> None:
    for i in range(blocks.shape[0]):
        block = blocks[i]
        function = facts.function[block]
        address = facts.address[block]
        previous = t.state[_PREVIOUS]
        if t.state[_DEPTH] == 0:
            _push(t, function, -1, 0)
            _count(t, function)
        elif previous >= 0:
            kind = facts.exit_kind[previous]
            end = facts.end[previous]
            fell = address == end and facts.may_fall[previous] != 0
            if kind in (_CALL, _INDIRECT_CALL) and not fell:
                _push(t, function, end, 0)
                _count(t, function)
            else:
                same = function == facts.function[previous]
                jumped = kind == _RETURN or (kind == _INDIRECT and not same)
                if jumped and not fell and _returned(t, address):
                    if t.state[_DEPTH] == 0:
                        _push(t, function, -1, 0)
                    same = t.frames[t.state[_DEPTH] - 1, _FUNCTION] == function
                else:
                    same = same or t.frames[t.state[_DEPTH] - 1, _FUNCTION] == function
                if not same:
                    unwind = kind == _RETURN and not fell and facts.entry[block] == 0
                    _change_function(t, function, facts.entry[block], unwind)
        t.state[_PREVIOUS] = block
        t.state[_NOW] += block_cycles[i]
        t.node_cycles[t.frames[t.state[_DEPTH] - 1, _NODE]] += block_cycles[i]


@dataclass(frozen=True)
class Calls:
    """Inclusive cost and calls of a run so far.

    ``inclusive_cycles`` and ``calls`` are indexed by function number (``functions``). A function
    that is on the stack several times is counted once. The tree has one node per calling context:
    ``node_function``, ``node_parent`` (-1 for the root, node 0, which is no function),
    ``node_cycles`` (self) and ``node_calls``. ``lost`` counts calls that found the stack or the
    tree full; their cycles are in the caller's frame or node.
    """

    functions: FunctionIndex
    inclusive_cycles: I64
    calls: I64
    node_function: I32
    node_parent: I32
    node_cycles: I64
    node_calls: I64
    lost: int


class CallTracker:
    """Follows calls through a stream of chunks; memory does not grow with the run.

    Parameters
    ----------
    code
        The code that the block ids refer to; it may grow between calls of `feed`.
    image
        Tells which function an address belongs to.
    """

    def __init__(self, code: Code, image: FunctionFinder) -> None:
        self.functions = FunctionIndex(image)
        self._code = code
        self._facts = BlockFacts(
            np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64),
            np.zeros(0, np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.uint8),
        )  # fmt: skip
        self._frames = np.zeros((MAX_FRAMES, _N_FRAME), np.int64)
        self.reset()

    def reset(self) -> None:
        """Forget everything tracked: the next block is the first of a run."""
        state = np.zeros(_N_STATE, np.int64)
        state[_PREVIOUS] = -1
        state[_NODES] = 1
        nodes = np.full((MAX_NODES, _N_NODE), -1, np.int32)
        n = len(self.functions)
        self._t = Tracking(
            state=state,
            frames=self._frames,
            active=np.zeros(n, np.int32),
            since=np.zeros(n, np.int64),
            inclusive=np.zeros(n, np.int64),
            calls=np.zeros(n, np.int64),
            nodes=nodes,
            node_cycles=np.zeros(MAX_NODES, np.int64),
            node_calls=np.zeros(MAX_NODES, np.int64),
        )

    def feed(self, blocks: I32, block_cycles: I64) -> None:
        """Follow one chunk.

        Parameters
        ----------
        blocks
            Ids of the executed blocks in order, int32[n].
        block_cycles
            Cycles that each of them took, int64[n].
        """
        self._grow()
        _track(self._t, self._facts, blocks, block_cycles)

    def result(self) -> Calls:
        """Return the state so far; frames still on the stack count up to now."""
        t = self._t
        n_nodes = int(t.state[_NODES])
        running = np.where(t.active > 0, t.state[_NOW] - t.since, 0)
        return Calls(
            functions=self.functions,
            inclusive_cycles=t.inclusive + running,
            calls=t.calls.copy(),
            node_function=t.nodes[:n_nodes, _N_FUNCTION].copy(),
            node_parent=t.nodes[:n_nodes, _PARENT].copy(),
            node_cycles=t.node_cycles[:n_nodes].copy(),
            node_calls=t.node_calls[:n_nodes].copy(),
            lost=int(t.state[_LOST]),
        )

    def _grow(self) -> None:
        """Take in the blocks and functions found since the last chunk."""
        known = len(self._facts.address)
        if known == len(self._code.blocks):
            return
        arrays = self._code.arrays()
        address = arrays.block_address[known:].astype(np.int64)
        last = arrays.block_first[known:] + arrays.block_count[known:] - 1
        function = self.functions.of(arrays.block_address[known:])
        starts = np.array(self.functions.addresses, np.int64)
        fresh = BlockFacts(
            function=function,
            address=address,
            end=address + arrays.block_bytes[known:],
            exit_kind=arrays.branch[last],
            may_fall=arrays.predicated[last],
            entry=(starts[function] == address).astype(np.uint8),
        )
        old = self._facts
        self._facts = BlockFacts(
            function=np.concatenate((old.function, fresh.function)),
            address=np.concatenate((old.address, fresh.address)),
            end=np.concatenate((old.end, fresh.end)),
            exit_kind=np.concatenate((old.exit_kind, fresh.exit_kind)),
            may_fall=np.concatenate((old.may_fall, fresh.may_fall)),
            entry=np.concatenate((old.entry, fresh.entry)),
        )
        more = len(self.functions) - len(self._t.active)
        if more:
            t = self._t
            self._t = t._replace(
                active=np.pad(t.active, (0, more)),
                since=np.pad(t.since, (0, more)),
                inclusive=np.pad(t.inclusive, (0, more)),
                calls=np.pad(t.calls, (0, more)),
            )
