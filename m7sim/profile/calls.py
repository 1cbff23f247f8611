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
Record = np.void
Records = NDArray[np.void]

# A Cortex-M7 has at most some hundred KiB of stack and a frame takes 8 bytes or more of it.
MAX_FRAMES = 1 << 16
MAX_NODES = 1 << 14

_CALL, _INDIRECT_CALL = int(Branch.CALL), int(Branch.INDIRECT_CALL)
_RETURN, _INDIRECT = int(Branch.RETURN), int(Branch.INDIRECT)

# columns of a frame
_FUNCTION, _NODE, _RETURN_ADDRESS, _TAIL, _N_FRAME = range(5)
# columns of a node of the calling context tree
_OF, _PARENT, _CHILD, _SIBLING, _CYCLES, _ENTERED, _N_NODE = range(7)

# What a function has cost; ``active``: its frames on the stack, ``since``: the cycle at which the
# outermost of them was entered.
FUNCTION = np.dtype([(name, np.int64) for name in ("active", "since", "inclusive", "calls")])


def _stack_dtype() -> np.dtype[np.void]:
    """Return the record of everything else: jitted kernels pass records without counting them."""
    return np.dtype(
        [
            *((name, np.int64) for name in ("depth", "previous", "now", "n_nodes", "lost")),
            ("frames", np.int64, (MAX_FRAMES, _N_FRAME)),
            ("nodes", np.int64, (MAX_NODES, _N_NODE)),
        ]
    )


class BlockFacts(NamedTuple):
    """What the kernel knows of each block."""

    function: I32
    address: I64
    end: I64  # address after the last instruction
    exit_kind: NDArray[np.uint8]  # Branch of the last instruction
    may_fall: NDArray[np.uint8]  # 1: the last instruction is predicated
    entry: NDArray[np.uint8]  # 1: first block of its function
    stays: NDArray[np.uint8]  # 1: a block of the same function after it changes no frame


class Known(NamedTuple):
    """The blocks and functions known at some time."""

    facts: BlockFacts
    functions: int


@kernel
def _child(s: Record, parent: int, function: int) -> int:
    """Find or make the node for ``function`` called from ``parent``."""
    nodes = s["nodes"]
    if nodes[parent, _OF] == function:
        return parent  # direct recursion stays in one node
    node = nodes[parent, _CHILD]
    while node >= 0:
        if nodes[node, _OF] == function:
            return int(node)
        node = nodes[node, _SIBLING]
    fresh = s["n_nodes"]
    if fresh >= nodes.shape[0]:
        s["lost"] += 1
        return parent
    s["n_nodes"] = fresh + 1
    nodes[fresh, _OF] = function
    nodes[fresh, _PARENT] = parent
    nodes[fresh, _CHILD] = -1
    nodes[fresh, _SIBLING] = nodes[parent, _CHILD]
    nodes[parent, _CHILD] = fresh
    return int(fresh)


@kernel
def _push(s: Record, cost: Record, function: int, return_address: int, tail: int) -> None:
    depth = s["depth"]
    frames = s["frames"]
    if depth >= frames.shape[0]:
        s["lost"] += 1
        return
    parent = 0 if depth == 0 else frames[depth - 1, _NODE]
    frames[depth, _FUNCTION] = function
    frames[depth, _NODE] = _child(s, parent, function)
    frames[depth, _RETURN_ADDRESS] = return_address
    frames[depth, _TAIL] = tail
    s["depth"] = depth + 1
    if cost["active"] == 0:
        cost["since"] = s["now"]
    cost["active"] += 1


@kernel
def _pop(s: Record, cost: Record) -> None:
    """Leave the frame on top."""
    s["depth"] -= 1
    cost["active"] -= 1
    if cost["active"] == 0:
        cost["inclusive"] += s["now"] - cost["since"]


@kernel
def _count(s: Record, cost: Record) -> None:
    cost["calls"] += 1
    s["nodes"][s["frames"][s["depth"] - 1, _NODE], _ENTERED] += 1


@kernel
def _frame_of(s: Record, function: int, unwind: bool) -> int:
    """Return the frame that a jump into ``function``, no call and no return, goes back to, or -1.

    That is a frame of the chain of tail calls on top. With ``unwind``, it is the topmost frame of
    that function wherever it is: the way of ``longjmp``, which returns to an address that no frame
    waits for.
    """
    frames = s["frames"]
    for d in range(s["depth"] - 1, -1, -1):
        if frames[d, _FUNCTION] == function:
            return d
        if frames[d, _TAIL] == 0 and not unwind:
            return -1
    return -1


@kernel
def _returned_from(s: Record, address: int) -> int:
    """Return the lowest frame that a jump to ``address`` returns from, or -1."""
    frames = s["frames"]
    for d in range(s["depth"] - 1, -1, -1):
        if frames[d, _RETURN_ADDRESS] == address:
            while frames[d, _TAIL] != 0:
                d -= 1
            return d
    return -1


@kernel
def _track(
    s: Record, functions: Records, facts: BlockFacts, blocks: I32, block_cycles: I64
) -> None:
    function_of, addresses, stays = facts.function, facts.address, facts.stays
    exit_kind, ends, may_fall, entry = facts.exit_kind, facts.end, facts.may_fall, facts.entry
    frames, nodes = s["frames"], s["nodes"]
    previous = s["previous"]
    node = 0  # context that the cycles from ``since`` on belong to
    now = since = s["now"]
    inside = -1  # function whose blocks may follow without a look; -1: look
    for i in range(blocks.shape[0]):
        block = blocks[i]
        function = function_of[block]
        if function != inside:
            nodes[node, _CYCLES] += now - since
            s["now"] = since = now
            cost = functions[function]
            address = addresses[block]
            kind, return_address, fell = 0, -1, False
            if previous >= 0:
                kind = exit_kind[previous]
                return_address = ends[previous]
                fell = address == return_address and may_fall[previous] != 0
            if previous < 0 or (kind in (_CALL, _INDIRECT_CALL) and not fell):
                _push(s, cost, function, return_address, 0)
                _count(s, cost)
            else:
                same = function == function_of[previous]
                if not fell and (kind == _RETURN or (kind == _INDIRECT and not same)):
                    d = _returned_from(s, address)
                    while s["depth"] > d >= 0:
                        _pop(s, functions[frames[s["depth"] - 1, _FUNCTION]])
                        same = False
                depth = s["depth"]
                if depth == 0:
                    _push(s, cost, function, -1, 0)
                elif not same and frames[depth - 1, _FUNCTION] != function:
                    return_address = frames[depth - 1, _RETURN_ADDRESS]
                    enters = entry[block] != 0
                    d = _frame_of(s, function, kind == _RETURN and not fell and not enters)
                    while s["depth"] > d + 1 > 0:
                        _pop(s, functions[frames[s["depth"] - 1, _FUNCTION]])
                    if d < 0:
                        _push(s, cost, function, return_address, 1)
                    if enters:
                        _count(s, cost)
            node = frames[s["depth"] - 1, _NODE]
        now += block_cycles[i]
        previous = block
        inside = function if stays[block] else -1
    nodes[node, _CYCLES] += now - since
    s["now"] = now
    s["previous"] = previous


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
            np.zeros(0, np.uint8),
        )  # fmt: skip
        self.reset()

    def reset(self) -> None:
        """Forget everything tracked: the next block is the first of a run."""
        self._stack = np.zeros(1, _stack_dtype())[0]
        self._stack["previous"] = -1
        self._stack["n_nodes"] = 1
        self._stack["nodes"][0] = (-1, -1, -1, -1, 0, 0)
        self._functions = np.zeros(len(self.functions), FUNCTION)

    def feed(self, blocks: I32, block_cycles: I64, known: Known | None = None) -> None:
        """Follow one chunk.

        Parameters
        ----------
        blocks
            Ids of the executed blocks in order, int32[n].
        block_cycles
            Cycles that each of them took, int64[n].
        known
            What `prepare` returned when these blocks were known; default: call it now.
        """
        facts, functions = self.prepare() if known is None else known
        if functions > len(self._functions):
            costs = np.zeros(functions, FUNCTION)
            costs[: len(self._functions)] = self._functions
            self._functions = costs
        _track(self._stack, self._functions, facts, blocks, block_cycles)

    def result(self) -> Calls:
        """Return the state so far; frames still on the stack count up to now."""
        stack, costs = self._stack, self._functions
        running = np.where(costs["active"] > 0, stack["now"] - costs["since"], 0)
        nodes = stack["nodes"][: int(stack["n_nodes"])]
        return Calls(
            functions=self.functions,
            inclusive_cycles=costs["inclusive"] + running,
            calls=costs["calls"].copy(),
            node_function=nodes[:, _OF].astype(np.int32),
            node_parent=nodes[:, _PARENT].astype(np.int32),
            node_cycles=nodes[:, _CYCLES].copy(),
            node_calls=nodes[:, _ENTERED].copy(),
            lost=int(stack["lost"]),
        )

    def prepare(self) -> Known:
        """Return what is static about all code known now; cheap when it has not grown.

        `feed` may then run in another thread while the code goes on growing in this one.
        """
        if len(self._facts.address) != len(self._code.blocks):
            self._grow()
        return Known(self._facts, len(self.functions))

    def _grow(self) -> None:
        """Take in the blocks and functions found since the last time."""
        known = len(self._facts.address)
        arrays = self._code.arrays()
        address = arrays.block_address[known:].astype(np.int64)
        last = arrays.block_first[known:] + arrays.block_count[known:] - 1
        function = self.functions.of(arrays.block_address[known:])
        starts = np.array(self.functions.addresses, np.int64)
        kind = arrays.branch[last]
        fresh = BlockFacts(
            function=function,
            address=address,
            end=address + arrays.block_bytes[known:],
            exit_kind=kind,
            may_fall=arrays.predicated[last],
            entry=(starts[function] == address).astype(np.uint8),
            stays=(~np.isin(kind, (_CALL, _INDIRECT_CALL, _RETURN))).astype(np.uint8),
        )
        old = self._facts
        self._facts = BlockFacts(
            function=np.concatenate((old.function, fresh.function)),
            address=np.concatenate((old.address, fresh.address)),
            end=np.concatenate((old.end, fresh.end)),
            exit_kind=np.concatenate((old.exit_kind, fresh.exit_kind)),
            may_fall=np.concatenate((old.may_fall, fresh.may_fall)),
            entry=np.concatenate((old.entry, fresh.entry)),
            stays=np.concatenate((old.stays, fresh.stays)),
        )
