"""Static instructions as the kernels read them: one line of numbers each."""

from __future__ import annotations

from typing import Final

import numpy as np

from m7sim.core import AfterMac, CoreTable, Early, FpMac, Issue
from m7sim.errors import UnmodelledError
from m7sim.isa.classes import CLASS_INDEX, CLASSES
from m7sim.isa.code import LOAD, STORE, Code, CodeArrays
from m7sim.isa.instruction import ALWAYS, Result
from m7sim.timing import state as st
from m7sim.timing.causes import StallCause
from m7sim.timing.state import I64, N_CLASSES, Records

_HOLD_CAUSE: Final = (
    ("divide", StallCause.DIVIDE),
    ("table_branch", StallCause.TABLE_BRANCH),
    ("fp_div", StallCause.FP_DIVIDE),
    ("fp_sqrt", StallCause.FP_DIVIDE),
    ("fp_", StallCause.FP_DOUBLE),
)


def require_modelled(core: CoreTable, code: Code, first: int = 0) -> None:
    """Check that every instruction from row ``first`` on has a class the table knows.

    Raises
    ------
    UnmodelledError
        Naming all that have none.
    """
    known = set(CLASSES[: len(core.issue)])
    missing = [i for i in code.instructions[first:] if i.klass not in known]
    if missing:
        named = "; ".join(f"{i.text} at {i.address:#x}" for i in missing[:20])
        more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        raise UnmodelledError(
            f"{len(missing)} instructions have no row in the core table: {named}{more}",
            do="Add their classes to the table; there is no default timing.",
        )


def _hold_causes() -> I64:
    causes = np.full(N_CLASSES, int(StallCause.BARRIER), np.int64)
    for k, klass in enumerate(CLASSES):
        for prefix, cause in _HOLD_CAUSE:
            if klass.startswith(prefix):
                causes[k] = cause
                break
    return causes


def _class_flags(core: CoreTable) -> I64:
    """Flag bits that follow from the class alone."""
    flags = np.zeros(len(core.issue), np.int64)
    for bit, where in (
        (st.ALONE, core.issue == Issue.ALONE),
        (st.EARLY, core.early != Early.NO),
        (st.EARLY_ANY, core.early == Early.ANY_SLOT),
        (st.FP_MAC, core.fp_mac != FpMac.NO),
        (st.FP_CHAINED, core.fp_mac == FpMac.MLA),
        (st.FP_FUSED, core.fp_mac == FpMac.FMA),
        (st.MAC_BARS, core.after_mac == AfterMac.BLOCKED),
        (st.MAC_BARS_YOUNGER, core.after_mac == AfterMac.NOT_YOUNGER),
        (st.MULTIPLE, core.transfers != 0),
    ):
        flags[where] |= bit
    # double-precision multiplies hold the pipe themselves: the hazards of section 9 g3 and g4
    # were measured on single precision
    double = [CLASS_INDEX["fp_mla_d"], CLASS_INDEX["fp_fma_d"]]
    flags[double] &= ~(st.FP_MAC | st.FP_CHAINED | st.FP_FUSED)
    return flags


def _operands(rows: Records, core: CoreTable, arr: CodeArrays) -> None:
    """Fill in the registers read and written."""
    n = len(rows)
    for first, count in ((arr.read_first, "n_reads"), (arr.write_first, "n_writes")):
        rows[count] = np.diff(first)
        if n and rows[count].max() > st.MAX_OPERANDS:
            raise ValueError(f"an instruction has more than {st.MAX_OPERANDS} operands")
    row = np.repeat(np.arange(n), rows["n_reads"])
    position = np.arange(len(row)) - arr.read_first[row]
    rows["read_reg"][row, position] = arr.read_reg
    rows["read_column"][row, position] = core.read_column[rows["klass"][row], arr.read_role]

    row = np.repeat(np.arange(n), rows["n_writes"])
    position = np.arange(len(row)) - arr.write_first[row]
    # position of each transfer among the transfers of its instruction
    transfer = arr.write_result == Result.TRANSFER
    before = np.concatenate(([0], np.cumsum(transfer)))
    order = before[:-1] - before[arr.write_first[row]]
    behind = np.where(transfer, order // core.parameters.transfer_words_per_cycle, 0)
    behind[arr.write_result == Result.WRITEBACK] = st.WRITEBACK
    rows["write_reg"][row, position] = arr.write_reg
    rows["write_behind"][row, position] = behind
    early = core.early[rows["klass"]] != Early.NO
    rows["latency_row"] = rows["klass"]
    rows["early_row"] = rows["klass"] + np.where(early, N_CLASSES, 0)


def build_rows(core: CoreTable, arr: CodeArrays) -> Records:
    """Compile decoded code into records of dtype ``ROW``."""
    rows = np.zeros(len(arr.address), st.ROW)
    klass = arr.klass.astype(np.int64)
    n_bytes = arr.mem_unit_bytes.astype(np.int64) * arr.mem_count
    moves = core.transfers[klass] != 0
    transfer_cycles = np.maximum(-(-n_bytes // (4 * core.parameters.transfer_words_per_cycle)), 1)
    cycles = np.where(moves, transfer_cycles, np.maximum(core.issue_cycles[klass], 1))
    flags = _class_flags(core)[klass]
    flags |= np.where(arr.mem_kind == LOAD, st.IS_LOAD, 0)
    flags |= np.where(arr.mem_kind == STORE, st.IS_STORE, 0)
    flags |= np.where(arr.predicated != 0, st.PREDICATED, 0)

    rows["address"] = arr.address
    rows["size_bytes"] = arr.size_bytes
    rows["last_word"] = (rows["address"] + rows["size_bytes"] - 1) >> 3
    rows["klass"] = klass
    rows["flags"] = flags
    rows["hold"] = cycles - 1
    rows["hold_cause"] = np.where(moves, int(StallCause.MULTI_TRANSFER), _hold_causes()[klass])
    rows["unit_bytes"] = np.where(arr.mem_kind != 0, arr.mem_unit_bytes, 0)
    rows["access_bytes"] = np.where(arr.mem_kind != 0, n_bytes, 0)
    rows["branch"] = arr.branch
    rows["target"] = arr.target
    rows["condition"] = np.where(arr.predicated != 0, arr.condition, ALWAYS)
    _operands(rows, core, arr)
    return rows


def build_blocks(arr: CodeArrays) -> Records:
    """Compile blocks into records of dtype ``BLOCK``."""
    blocks = np.zeros(len(arr.block_first), st.BLOCK)
    blocks["first"] = arr.block_first
    blocks["count"] = arr.block_count
    blocks["address"] = arr.block_address
    before = np.concatenate(([0], np.cumsum(arr.mem_kind != 0)))
    blocks["accesses"] = before[arr.block_first + arr.block_count] - before[arr.block_first]
    return blocks
