"""The compiled table against the facts it was made from, row by row (ids as in the fact sheet)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from m7sim.core import AfterMac, Column, Core, CoreTable, Early, FpMac, Issue
from m7sim.core.columns import COLUMNS_OF_KIND
from m7sim.core.table import NOT_READ
from m7sim.isa.classes import CLASS_INDEX, CLASSES, RESULTS
from m7sim.isa.instruction import Role
from m7sim.isa.registers import FLAGS, NAMES, S0

INSTRUCTIONS = Path(__file__).parents[1] / "isa" / "instructions.txt"


@pytest.fixture(scope="module")
def core() -> Core:
    return Core.load()


@pytest.fixture(scope="module")
def table(core: Core) -> CoreTable:
    return core.table()


def reason(core: Core, table: CoreTable, older: str, younger: str) -> str:
    return core.reasons[table.pair[CLASS_INDEX[older], CLASS_INDEX[younger]]]


PAIRS = [
    # older, younger, reason, fact
    ("add", "alu", "allowed", "s3 plain ALU pairs"),
    ("nop", "nop", "allowed", "a8 a NOP takes a slot"),
    ("alu_shifted", "alu_shifted", "unit_inline_shift", "s3 two inline shifts"),
    ("alu_shifted", "alu_shifted_constant", "unit_inline_shift", "s3 shifted constant"),
    ("compare_shifted", "alu_shifted", "unit_inline_shift", "s3 compare with inline shift"),
    ("alu_shifted", "add", "allowed", "s3 inline shift and plain ALU"),
    ("shift", "alu_shifted", "shift_before_inline_shift", "s3 shift before inline shift"),
    ("shift", "alu_shifted_constant", "shift_before_inline_shift", "s3 the same, constant"),
    ("alu_shifted", "shift", "allowed", "s3 reverse order yes"),
    ("shift", "shift", "allowed", "s3 two plain shifts"),
    ("add", "extend", "older_slot_only", "s3 DSP only older"),
    ("add", "bitfield_extract", "older_slot_only", "s3 bit field only older"),
    ("extend", "extend", "older_slot_only", "s3 two DSP"),
    ("extend", "add", "allowed", "s3 DSP older"),
    ("bitfield_insert", "alu_shifted", "unit_inline_shift", "s3 bit field + inline shift"),
    ("reverse", "alu_shifted", "unit_inline_shift", "s3 RBIT/REV + inline shift"),
    ("extend_add", "alu_shifted", "unit_inline_shift", "s3 xTA + inline shift"),
    ("pack", "alu_shifted_constant", "unit_inline_shift", "s3 PKH + shifted constant"),
    ("extend", "alu_shifted", "allowed", "s11 row 8 knob off"),
    ("alu_shifted", "branch", "allowed", "s11 row 18 knob off"),
    ("mul", "mla", "unit_mac", "s3 MUL + MAC"),
    ("mla", "store_word", "mac_beside_store", "s11 row 4"),
    ("store_byte", "mla_long", "mac_beside_store", "s11 row 4, reverse"),
    ("mul", "fp_store", "mac_beside_store", "s11 row 4, FP store"),
    ("add", "mul", "allowed", "s11 row 5 MAC younger"),
    ("mul", "add", "allowed", "s11 row 5 MAC older"),
    ("extend", "mla", "allowed", "s6 MAC pairs with DSP"),
    ("mla", "alu_shifted", "allowed", "s6 MAC pairs with inline shift"),
    ("mla", "load_word", "allowed", "s3 MAC + load"),
    ("load_word", "add", "allowed", "s3 load + ALU"),
    ("load_word", "load_byte", "allowed", "s3 load + load, bank decides"),
    ("load_word", "store_word", "allowed", "s3 load + store"),
    ("store_word", "store_word", "unit_store", "s3 store + store"),
    ("load_double", "add", "alone", "c7 LDRD alone"),
    ("add", "store_multiple", "alone", "c7 STM alone"),
    ("fp_load_double", "add", "alone", "c7 VLDR.D alone"),
    ("add", "fp_store_multiple", "alone", "c7 VSTM alone"),
    ("divide", "add", "alone", "s3 divide alone"),
    ("add", "divide", "alone", "s3 divide alone, younger"),
    ("fp_add", "fp_mul", "unit_fp", "g1 FP + FP"),
    ("fp_mul", "load_word", "allowed", "g1 FP + load"),
    ("add", "fp_add", "allowed", "g1 FP younger"),
    ("fp_move_constant", "fp_move_constant", "unit_fp", "g8 two VMOV constants"),
    ("fp_from_core_pair", "add", "alone", "g8 two-register VMOV alone"),
    ("fp_flags", "branch_conditional", "alone", "g8 VMRS alone"),
    ("fp_div", "add", "allowed", "g6 VDIV pairs with one integer op"),
    ("add", "clz", "older_slot_only", "s3 CLZ older"),
    ("add", "fp_select", "older_slot_only", "s3 VSEL older"),
    ("add", "load_exclusive", "older_slot_only", "c21 LDREX older"),
    ("add", "store_exclusive", "alone", "c21 STREX alone"),
    ("special_register", "add", "alone", "s3 MRS alone"),
    ("barrier", "add", "alone", "s3 barriers alone"),
    ("add", "hint", "alone", "s3 hints alone"),
    ("it", "add", "allowed", "f11 IT takes a slot only"),
    ("add", "table_branch", "alone", "f13 TBB alone"),
    ("add", "branch_conditional", "allowed", "f2 SUBS + BNE"),
    ("branch_conditional", "add", "allowed", "f4 not-taken branch pairs"),
    ("branch", "branch_conditional", "unit_branch", "a4 one branch unit"),
    ("return", "call", "unit_branch", "a4 one branch unit"),
    ("fp_add_d", "fp_load", "unit_fp_port", "a4 a DP op takes both ports"),
    ("fp_add", "fp_load", "allowed", "a4 two FP ports"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("older", "younger", "expected"),
    [pytest.param(*p[:3], id=f"{p[3]}: {p[0]}+{p[1]}") for p in PAIRS],
)
def test_pairs(core: Core, table: CoreTable, older: str, younger: str, expected: str) -> None:
    assert reason(core, table, older, younger) == expected


def test_knobs_bar_what_some_sources_bar(core: Core) -> None:
    stricter = core.with_parameters(extend_uses_inline_shift=1, inline_shift_blocks_branch=1)
    table = stricter.table()
    assert reason(core, table, "extend", "alu_shifted") == "extend_beside_inline_shift"
    assert reason(core, table, "alu_shifted", "branch") == "inline_shift_beside_branch"
    assert reason(core, table, "extend", "branch") == "inline_shift_beside_branch"


INTEGER = ["late", "early", "base", "index", "multiplicand", "accumulator", "store"]
LATENCIES = {
    # producer: figures in the order of INTEGER (section 4 of the facts)
    "alu": (1, 2, 2, 2, 1, 0, 0),
    "alu_shifted": (1, 2, 2, 2, 1, 0, 0),
    "reverse": (0, 2, 2, 2, 1, 0, 0),
    "bitfield_extract": (1, 2, 2, 2, 1, 0, 0),
    "bitfield_insert": (1, 2, 2, 2, 1, 0, 0),
    "extend": (1, 2, 2, 2, 1, 0, 0),
    "extend_add": (1, 2, 2, 2, 1, 0, 0),
    "pack": (1, 2, 2, 2, 1, 0, 0),
    "parallel_add": (1, 2, 2, 2, 1, 0, 0),
    "select": (1, 2, 2, 2, 1, 0, 0),
    "clz": (1, 2, 2, 2, 1, 0, 0),
    "saturating_add": (2, 3, 3, 3, 2, 1, 1),
    "saturate": (2, 3, 3, 3, 2, 1, 1),
    "usada8": (2, 3, 3, 3, 2, 1, 1),
    "mul": (2, 3, 4, 4, 2, 1, 0),
    "mla": (2, 3, 4, 4, 2, 1, 0),
    "mla_long": (2, 3, 4, 4, 2, 1, 0),
    "load_word": (1, 2, 2, 3, 2, 1, 0),
    "load_double": (1, 2, 2, 3, 2, 1, 0),
    "load_byte": (2, 3, 3, 3, 2, 1, 0),
}


@pytest.mark.parametrize("producer", LATENCIES, ids=lambda name: f"s4 {name}")
def test_latency_matrix(table: CoreTable, producer: str) -> None:
    columns = [Column[name.upper()] for name in INTEGER]
    figures = table.latency[CLASS_INDEX[producer], columns]
    assert tuple(figures.tolist()) == LATENCIES[producer]


@pytest.mark.parametrize("producer", ["add", "mov", "shift"], ids=lambda name: f"a10 {name}")
def test_early_results_share_the_cycle_with_late_consumers(table: CoreTable, producer: str) -> None:
    row = table.latency_early[CLASS_INDEX[producer]]
    columns = [Column.LATE, Column.EARLY, Column.BASE, Column.INDEX, Column.STORE]
    assert row[columns].tolist() == [0, 1, 1, 1, 0]
    assert row[Column.FLAGS] == 1  # a13
    columns = [Column.LATE, Column.EARLY, Column.BASE]
    assert table.writeback_latency[columns].tolist() == [0, 1, 1]


FP = (
    "fp_operand", "fp_multiply", "fma_accumulator", "mla_accumulator", "fma_multiplicand",
    "fp_store",
)  # fmt: skip
FP_LATENCIES = {
    # section 9 of the facts; to a VADD after a MAC: LLVM's latency
    "fp_fma": (5, 5, 3, 2, 5, 3),
    "fp_mla": (6, 6, 4, 3, 6, 4),
    "fp_add": (3, 3, 3, 2, 3, 1),
    "fp_mul": (3, 3, 3, 2, 3, 1),
    "fp_load": (1, 1, 3, 2, 1, 0),
}


@pytest.mark.parametrize("producer", FP_LATENCIES, ids=lambda name: f"s9 {name}")
def test_fp_latencies(table: CoreTable, producer: str) -> None:
    figures = table.latency[CLASS_INDEX[producer], [Column[name.upper()] for name in FP]]
    assert tuple(figures.tolist()) == FP_LATENCIES[producer]


@pytest.mark.parametrize(
    ("producer", "column", "cycles"),
    [
        pytest.param("compare", Column.FLAGS, 1, id="s4 plain CMP"),
        pytest.param("compare_shifted", Column.FLAGS, 2, id="s4 CMP with shifted operand"),
        pytest.param("load_word", Column.BESIDE, 2, id="s4 word load beside an inline shift"),
        pytest.param("load_byte", Column.BESIDE, 2, id="s13 byte load beside an inline shift"),
        pytest.param("alu", Column.BESIDE, 1, id="s4 ALU beside an inline shift"),
        pytest.param("divide", Column.LATE, 7, id="s7 divide"),
        pytest.param("special_register", Column.LATE, 3, id="s3 MRS"),
        pytest.param("call", Column.LATE, 2, id="f7 branch result"),
        pytest.param("fp_div", Column.FP_OPERAND, 16, id="g6 VDIV"),
        pytest.param("fp_sqrt", Column.FP_OPERAND, 14, id="s11 row 13 VSQRT"),
        pytest.param("fp_to_core", Column.LATE, 1, id="g7 S->R to the late ALU"),
        pytest.param("fp_to_core", Column.ACCUMULATOR, 0, id="g7 S->R to an accumulator"),
        pytest.param("fp_add", Column.FROM_FP, 3, id="g7 after an FP ALU op"),
        pytest.param("fp_load", Column.FROM_FP, 2, id="g7 after VLDR"),
        pytest.param("fp_fma", Column.FROM_FP, 5, id="g7 after VFMA"),
        pytest.param("fp_from_core", Column.FP_OPERAND, 3, id="g7 R->S result"),
        pytest.param("alu", Column.TO_FP, 1, id="g7 R->S input"),
        pytest.param("fp_move", Column.FP_OPERAND, 3, id="g7 S->S"),
        pytest.param("fp_compare", Column.FLAGS, 0, id="g9 VCMP"),
        pytest.param("fp_convert", Column.FP_OPERAND, 3, id="g10 VCVT"),
        pytest.param("fp_load_multiple", Column.FMA_ACCUMULATOR, 3, id="g11 VLDM to VFMA"),
        pytest.param("fp_mul_d", Column.FP_OPERAND, 7, id="s9 VMUL.D"),
        pytest.param("fp_div_d", Column.FP_OPERAND, 30, id="s9 VDIV.D"),
    ],
)
def test_single_latencies(table: CoreTable, producer: str, column: Column, cycles: int) -> None:
    assert table.latency[CLASS_INDEX[producer], column] == cycles


@pytest.mark.parametrize(
    ("klass", "role", "column"),
    [
        pytest.param("alu_shifted", Role.SHIFTED, Column.EARLY, id="s4 inline shift"),
        pytest.param("bitfield_extract", Role.EXTRACT, Column.EARLY, id="s4 UBFX source"),
        pytest.param("bitfield_insert", Role.EXTRACT, Column.EARLY, id="s11 row 17 BFI source"),
        pytest.param("saturate", Role.EXTRACT, Column.EARLY, id="s4 SSAT source"),
        pytest.param("extend", Role.OPERAND, Column.LATE, id="s4 plain SXT source"),
        pytest.param("usada8", Role.ACCUMULATOR, Column.ACCUMULATOR, id="s4 USADA8"),
        pytest.param("store_word", Role.STORE_DATA, Column.STORE, id="c12 store data"),
        pytest.param("preload", Role.BASE, Column.BASE, id="c19 PLD address"),
        pytest.param("branch_conditional", Role.FLAGS, Column.NONE, id="f2 SUBS + BNE 1 cycle"),
        pytest.param("adc", Role.FLAGS, Column.FLAGS, id="a14 no pairing through carry"),
        pytest.param("fp_fma", Role.FP_ACCUMULATOR, Column.FMA_ACCUMULATOR, id="s9 VFMA"),
        pytest.param("fp_mla", Role.FP_ACCUMULATOR, Column.MLA_ACCUMULATOR, id="s9 VMLA"),
        pytest.param("fp_mla", Role.FP_MULTIPLICAND, Column.MLA_MULTIPLICAND, id="s9 VMLA mul"),
        pytest.param("fp_store", Role.FP_STORE_DATA, Column.FP_STORE, id="s9 VSTR data"),
    ],
)
def test_read_columns(table: CoreTable, klass: str, role: Role, column: Column) -> None:
    assert table.read_column[CLASS_INDEX[klass], role] == column


def classes_where(values: np.ndarray, code: int) -> set[str]:
    return {name for name in CLASSES if values[CLASS_INDEX[name]] == code}


def test_early_rules(table: CoreTable) -> None:
    """a10, a11: which classes may run early, from which slot, and beside what not."""
    assert classes_where(table.early, Early.OLDER_SLOT) == {"add", "mov"}
    assert classes_where(table.early, Early.ANY_SLOT) == {"shift"}
    blocked = table.early_blocked[CLASS_INDEX["shift"]]
    assert blocked[CLASS_INDEX["alu_shifted"]]
    assert blocked[CLASS_INDEX["bitfield_extract"]]
    assert not blocked[CLASS_INDEX["add"]]
    assert not table.early_blocked[CLASS_INDEX["add"]].any()
    late = table.early == Early.NO
    assert np.array_equal(table.latency[late], table.latency_early[late])


def test_issue_rules_are_in_the_pair_matrix(core: Core, table: CoreTable) -> None:
    alone = core.reasons.index("alone")
    for name in classes_where(table.issue, Issue.ALONE):
        assert (table.pair[CLASS_INDEX[name]] == alone).all()
        assert (table.pair[:, CLASS_INDEX[name]] == alone).all()
    for name in classes_where(table.issue, Issue.OLDER):
        assert (table.pair[:, CLASS_INDEX[name]] != 0).all()
        assert (table.pair[CLASS_INDEX[name]] == 0).any()


def test_occupancy(table: CoreTable) -> None:
    cycles = {name: int(table.issue_cycles[CLASS_INDEX[name]]) for name in CLASSES}
    assert {name: n for name, n in cycles.items() if n != 1} == {
        "divide": 7,  # section 7
        "table_branch": 2,  # f13
        "fp_div": 16, "fp_sqrt": 14,  # g6
        "fp_add_d": 2, "fp_mul_d": 5, "fp_mla_d": 8, "fp_fma_d": 9,  # section 9
        "fp_div_d": 30, "fp_sqrt_d": 30,
    }  # fmt: skip
    assert classes_where(table.transfers, 1) == {  # c7
        "load_double", "load_multiple", "load_multiple_branch", "store_double", "store_multiple",
        "fp_load_double", "fp_load_multiple", "fp_store_double", "fp_store_multiple",
    }  # fmt: skip


def test_after_an_fp_multiply_accumulate(table: CoreTable) -> None:
    """g3, g4 of the facts."""
    assert classes_where(table.fp_mac, FpMac.FMA) == {"fp_fma"}
    assert classes_where(table.fp_mac, FpMac.MLA) == {"fp_mla"}
    blocked = classes_where(table.after_mac, AfterMac.BLOCKED)
    assert {"fp_add", "fp_load_multiple", "fp_store_multiple", "fp_load_double",
            "fp_store_double", "fp_move_constant"} <= blocked  # fmt: skip
    younger = classes_where(table.after_mac, AfterMac.NOT_YOUNGER)
    assert {"fp_load", "fp_store", "fp_move", "fp_from_core", "fp_to_core"} <= younger
    free = classes_where(table.after_mac, AfterMac.FREE)
    assert {"fp_mul", "fp_fma", "fp_mla", "add", "load_word"} <= free
    assert table.parameters.fp_mac_block_cycles == 3
    assert table.parameters.fma_after_mla_cycles == 2


PARAMETERS = {
    "f5": {"mispredict_cycles": 8, "mispredict_early_flags_cycles": 6,
           "fall_through_cycles": 5, "fall_through_early_flags_cycles": 3,
           "early_flags_distance_cycles": 3},
    "a6": {"fetch_bytes_per_cycle": 8, "fetch_queue_entries": 4},
    "c2": {"bank_address_bit": 2},
    "c7": {"transfer_words_per_cycle": 2},
    "c8": {"store_multiple_misaligned_cycles": 1},
    "c9": {"multiple_slack_bytes": 4, "multiple_slack_window_cycles": 7},
    "c10": {"unaligned_load_older_cycles": 3, "unaligned_load_younger_cycles": 4},
    "c11": {"unaligned_store_buffer_entries": 5, "unaligned_store_cycles": 4},
    "c15": {"store_to_load_cycles": 4},
    "c17": {"store_buffer_entries": 4, "store_buffer_entry_bytes": 8},
    "f16": {"interrupt_entry_cycles": 12},
}  # fmt: skip


@pytest.mark.parametrize("row", PARAMETERS)
def test_parameters(table: CoreTable, row: str) -> None:
    for name, value in PARAMETERS[row].items():
        assert getattr(table.parameters, name) == value


def test_every_read_meets_a_stated_latency(table: CoreTable) -> None:
    """No reader looks into a column in which results of such registers have no figure."""
    kinds = {"core": set(COLUMNS_OF_KIND["core"]), "fp": set(COLUMNS_OF_KIND["fp"]),
             "flags": {Column.FLAGS}}  # fmt: skip
    checked = 0
    for line in INSTRUCTIONS.read_text().splitlines():
        if line.startswith("#"):
            continue
        klass, reads = (part.strip() for part in line.split("|")[1:3])
        for read in reads.split():
            name, _, role = read.partition(":")
            register = NAMES.index(name)
            kind = "flags" if register >= FLAGS else "fp" if register >= S0 else "core"
            column = Column(table.read_column[CLASS_INDEX[klass], Role[role.upper()]])
            assert column in kinds[kind] | {Column.NONE}, line
            checked += 1
    assert checked > 200
    for name in CLASSES:
        stated = {c for c in Column if table.latency[CLASS_INDEX[name], c] != NOT_READ}
        for kind in RESULTS[name]:
            assert kinds[kind] <= stated, name


def test_arrays_are_as_documented(table: CoreTable) -> None:
    n = len(CLASSES)
    assert table.pair.shape == table.early_blocked.shape == (n, n)
    assert table.latency.shape == table.latency_early.shape == (n, len(Column))
    assert table.read_column.shape == (n, len(Role))
    assert {a.dtype for a in (table.latency, table.latency_early)} == {np.dtype(np.int8)}
    assert (table.latency[:, Column.NONE] == 0).all()
