"""Instruction classes: encodings that share one behaviour, hence one row of a core table.

``CLASSES`` lists the names in index order; ``MEANING`` says which mnemonics each holds. What kinds
of register a class may write (``RESULTS``; a written-back base aside, which has one latency in all
classes) tells a core table which latencies it has to state.
"""

from __future__ import annotations

from typing import Final

# name, kinds of register written ("core", "fp", "flags", "-"), what it holds
_TABLE: Final = (
    # integer arithmetic and logic
    ("add", "core flags", "ADD, SUB, ADR; operand a register or an unshifted constant"),
    ("alu", "core flags", "AND, ORR, ORN, EOR, BIC, RSB, MVN; register or unshifted constant"),
    ("alu_shifted", "core flags", "the same, ADC and SBC with an inline-shifted register"),
    ("alu_shifted_constant", "core flags", "the same and MOV with a constant moved by a shift"),
    ("adc", "core flags", "ADC, SBC; register or unshifted constant"),
    ("mov", "core flags", "MOV of a register or an unshifted constant, MOVW"),
    ("movt", "core", "MOVT"),
    ("shift", "core flags", "LSL, LSR, ASR, ROR by a constant or a register"),
    ("rrx", "core flags", "RRX"),
    ("compare", "flags", "CMP, CMN, TST, TEQ; register or unshifted constant"),
    ("compare_shifted", "flags", "the same with an inline-shifted register"),
    ("compare_shifted_constant", "flags", "the same with a constant moved by a shift"),
    # bit fields and packed data
    ("bitfield_extract", "core", "UBFX, SBFX"),
    ("bitfield_insert", "core", "BFI, BFC"),
    ("extend", "core", "SXTB, SXTH, SXTB16, UXTB, UXTH, UXTB16"),
    ("extend_add", "core", "SXTAB, SXTAH, SXTAB16, UXTAB, UXTAH, UXTAB16"),
    ("pack", "core", "PKHBT, PKHTB"),
    ("reverse", "core", "REV, REV16, REVSH, RBIT"),
    ("clz", "core", "CLZ"),
    ("parallel_add", "core flags", "S/U/SH/UH forms of ADD8, ADD16, SUB8, SUB16, ASX, SAX"),
    ("select", "core", "SEL"),
    ("saturating_add", "core", "QADD, QSUB and the Q and UQ parallel forms"),
    ("saturating_double", "core", "QDADD, QDSUB"),
    ("saturate", "core", "SSAT, USAT, SSAT16, USAT16"),
    ("usad8", "core", "USAD8"),
    ("usada8", "core", "USADA8"),
    # multiply and divide
    ("mul", "core flags", "MUL, SMULxy, SMULWy, SMMUL(R), SMUAD(X), SMUSD(X)"),
    ("mla", "core", "MLA, MLS, SMLAxy, SMLAWy, SMMLA(R), SMMLS(R), SMLAD(X), SMLSD(X)"),
    ("mul_long", "core", "UMULL, SMULL"),
    ("mla_long", "core", "UMLAL, SMLAL, UMAAL, SMLALxy, SMLALD(X), SMLSLD(X)"),
    ("divide", "core", "SDIV, UDIV"),
    # loads and stores
    ("load_word", "core", "LDR, LDRT"),
    ("load_byte", "core", "LDRB, LDRH, LDRSB, LDRSH and their unprivileged forms"),
    ("load_double", "core", "LDRD"),
    ("load_multiple", "core", "LDM, POP without pc"),
    ("load_branch", "-", "LDR pc"),
    ("load_multiple_branch", "core", "LDM, POP with pc"),
    ("store_word", "-", "STR, STRT"),
    ("store_byte", "-", "STRB, STRH and their unprivileged forms"),
    ("store_double", "-", "STRD"),
    ("store_multiple", "-", "STM, PUSH"),
    ("preload", "-", "PLD, PLDW, PLI"),
    ("load_exclusive", "core", "LDREX, LDREXB, LDREXH"),
    ("store_exclusive", "core", "STREX, STREXB, STREXH"),
    ("clear_exclusive", "-", "CLREX"),
    # branches
    ("branch", "-", "B"),
    ("branch_conditional", "-", "B<c>, and B in an IT block"),
    ("compare_branch", "-", "CBZ, CBNZ"),
    ("call", "core", "BL"),
    ("branch_indirect", "-", "BX, MOV pc, ADD pc but for returns"),
    ("call_indirect", "core", "BLX"),
    ("return", "-", "BX lr, MOV pc, lr"),
    ("table_branch", "-", "TBB, TBH"),
    # the rest of the integer side
    ("it", "-", "IT and its longer forms"),
    ("nop", "-", "NOP"),
    ("hint", "-", "YIELD, WFE, WFI, SEV, DBG"),
    ("barrier", "-", "DMB, DSB, ISB"),
    ("special_register", "core flags", "MRS, MSR"),
    ("change_state", "-", "CPSIE, CPSID"),
    ("supervisor_call", "-", "SVC"),
    ("breakpoint", "-", "BKPT"),
    ("undefined", "-", "UDF; VLDM, VSTM of d16 and up, which FPv5 lacks"),
    ("coprocessor", "core flags", "MCR, MRC, MCRR, MRRC, CDP, LDC, STC of absent coprocessors"),
    # floating point, single precision
    ("fp_add", "fp", "VADD.F32, VSUB.F32"),
    ("fp_abs", "fp", "VABS.F32, VNEG.F32"),
    ("fp_round", "fp", "VRINT*.F32"),
    ("fp_minmax", "fp", "VMAXNM.F32, VMINNM.F32"),
    ("fp_convert", "fp", "VCVT* between single, half, integer and fixed point"),
    ("fp_select", "fp", "VSEL*.F32"),
    ("fp_compare", "flags", "VCMP.F32, VCMPE.F32"),
    ("fp_mul", "fp", "VMUL.F32, VNMUL.F32"),
    ("fp_mla", "fp", "VMLA.F32, VMLS.F32, VNMLA.F32, VNMLS.F32"),
    ("fp_fma", "fp", "VFMA.F32, VFMS.F32, VFNMA.F32, VFNMS.F32"),
    ("fp_div", "fp", "VDIV.F32"),
    ("fp_sqrt", "fp", "VSQRT.F32"),
    ("fp_move", "fp", "VMOV.F32 between FPU registers"),
    ("fp_move_constant", "fp", "VMOV.F32 of a constant"),
    ("fp_from_core", "fp", "VMOV from a core register to a single register or half of a double"),
    ("fp_to_core", "core", "VMOV from such a register to a core register"),
    ("fp_from_core_pair", "fp", "VMOV from two core registers"),
    ("fp_to_core_pair", "core", "VMOV to two core registers"),
    ("fp_flags", "flags", "VMRS APSR_nzcv, FPSCR"),
    ("fp_status_read", "core", "VMRS to a core register"),
    ("fp_status_write", "flags", "VMSR"),
    ("fp_load", "fp", "VLDR.32"),
    ("fp_load_double", "fp", "VLDR.64"),
    ("fp_load_multiple", "fp", "VLDM, VPOP"),
    ("fp_store", "-", "VSTR.32"),
    ("fp_store_double", "-", "VSTR.64"),
    ("fp_store_multiple", "-", "VSTM, VPUSH"),
    # floating point, double precision
    ("fp_add_d", "fp", "VADD.F64, VSUB.F64"),
    ("fp_abs_d", "fp", "VABS.F64, VNEG.F64"),
    ("fp_round_d", "fp", "VRINT*.F64"),
    ("fp_minmax_d", "fp", "VMAXNM.F64, VMINNM.F64"),
    ("fp_convert_d", "fp", "VCVT* from or to double precision"),
    ("fp_select_d", "fp", "VSEL*.F64"),
    ("fp_compare_d", "flags", "VCMP.F64, VCMPE.F64"),
    ("fp_mul_d", "fp", "VMUL.F64, VNMUL.F64"),
    ("fp_mla_d", "fp", "VMLA.F64, VMLS.F64, VNMLA.F64, VNMLS.F64"),
    ("fp_fma_d", "fp", "VFMA.F64, VFMS.F64, VFNMA.F64, VFNMS.F64"),
    ("fp_div_d", "fp", "VDIV.F64"),
    ("fp_sqrt_d", "fp", "VSQRT.F64"),
    ("fp_move_d", "fp", "VMOV.F64 between FPU registers"),
    ("fp_move_constant_d", "fp", "VMOV.F64 of a constant"),
)  # fmt: skip

CLASSES: Final[tuple[str, ...]] = tuple(name for name, _, _ in _TABLE)
CLASS_INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(CLASSES)}
MEANING: Final[dict[str, str]] = {name: meaning for name, _, meaning in _TABLE}
RESULTS: Final[dict[str, frozenset[str]]] = {
    name: frozenset(kinds.split()) - {"-"} for name, kinds, _ in _TABLE
}
