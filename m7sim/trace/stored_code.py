"""The code of a trace as columns: the bytes and the plan of every block, with all they may say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import Code
from m7sim.trace.blocks import Blocks, BlockSource, decode_block
from m7sim.trace.plan import PlanArrays
from m7sim.trace.pure import ROR

MOST_VALUES_PER_BLOCK = 77  # 47 extra, 15 entry and 15 exit registers

Get = Callable[[str, Any], NDArray[Any]]


def code_columns(blocks: Blocks) -> dict[str, NDArray[Any]]:
    """Return the members of a trace file that hold its code."""
    sources = blocks.sources
    first, data = _joined([source.data for source in sources])
    it_first, it_conditions = _joined([bytes(source.it_conditions) for source in sources])
    return {
        "block_address": np.array([source.address for source in sources], np.uint32),
        "block_first": first,
        "block_data": data,
        "block_it_first": it_first,
        "block_it_conditions": it_conditions,
        **{f"plan_{name}": column for name, column in blocks.plan()._asdict().items()},
    }


def read_plan(get: Get) -> PlanArrays:
    """Read the plans and check that kernels can follow them.

    Parameters
    ----------
    get
        Returns a member, one-dimensional, of the type given.

    Raises
    ------
    ValueError
        If anything in them leads outside the columns.
    """
    types = {"site": np.int64, "constant": np.uint32, "operand_constant": np.uint32}
    plan = PlanArrays(
        **{name: get(f"plan_{name}", types.get(name, np.int32)) for name in PlanArrays._fields}
    )
    n, accesses, steps = plan.values.size, plan.constant.size, plan.step_operation.size
    _check_first(plan.access_first, n, accesses)
    _check_first(plan.step_first, n, steps)
    _check_first(plan.term_first, accesses, plan.term_value.size)
    _check_first(plan.operand_term_first, 2 * steps, plan.operand_term_value.size)
    sizes = (
        plan.site.size == accesses
        and plan.operand_constant.size == 2 * steps
        and plan.term_coefficient.size == plan.term_value.size
        and plan.operand_term_coefficient.size == plan.operand_term_value.size
    )
    if not sizes or not np.isin(plan.step_operation, range(ROR + 1)).all():
        raise ValueError("plan")
    if ((plan.values < 0) | (plan.values > MOST_VALUES_PER_BLOCK)).any():
        raise ValueError("plan")
    block = np.repeat(np.arange(n), np.diff(plan.access_first))
    step_block = np.repeat(np.arange(n), np.diff(plan.step_first))
    n_steps = np.diff(plan.step_first)
    before = plan.values[step_block] + np.arange(steps) - plan.step_first[step_block]
    _check_terms(plan.term_first, plan.term_value, (plan.values + n_steps)[block])
    _check_terms(plan.operand_term_first, plan.operand_term_value, np.repeat(before, 2))
    return plan


def read_code(get: Get, plan: PlanArrays) -> Code:
    """Decode the blocks from their bytes.

    Raises
    ------
    ValueError
        If the columns contradict each other or the plan.
    InputError
        If an instruction is not known.
    """
    code = Code()
    addresses = get("block_address", np.uint32).tolist()
    first, data = get("block_first", np.int64), get("block_data", np.uint8)
    it_first = get("block_it_first", np.int64)
    it_conditions = get("block_it_conditions", np.uint8)
    if len(addresses) != plan.values.size:
        raise ValueError("blocks")
    _check_first(first, len(addresses), data.size)
    _check_first(it_first, len(addresses), it_conditions.size)
    for i, address in enumerate(addresses):
        conditions = tuple(it_conditions[it_first[i] : it_first[i + 1]].tolist())
        source = BlockSource(address, data[first[i] : first[i + 1]].tobytes(), conditions)
        instructions = decode_block(source)
        accesses = sum(1 for instruction in instructions if instruction.memory)
        if accesses != plan.access_first[i + 1] - plan.access_first[i]:
            raise ValueError("plan")
        code.add_block(instructions)
    return code


def _joined(pieces: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    first = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum([len(piece) for piece in pieces], out=first[1:])
    return first, np.frombuffer(b"".join(pieces), np.uint8)


def _check_first(first: NDArray[Any], n: int, size: int) -> None:
    """Refuse first positions that do not cut a column of a size into n pieces."""
    if first.size != n + 1 or first[0] != 0 or first[-1] != size or (np.diff(first) < 0).any():
        raise ValueError("first")


def _check_terms(first: NDArray[Any], value: NDArray[Any], limit: NDArray[Any]) -> None:
    """Refuse forms with a term at or behind the limit of their form."""
    form = np.repeat(np.arange(first.size - 1), np.diff(first))
    if not ((value >= 0) & (value < limit[form])).all():
        raise ValueError("plan")
