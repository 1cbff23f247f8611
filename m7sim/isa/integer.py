"""Arithmetic, logic, bit fields, packed data, multiply and divide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from m7sim.isa.capstone_reader import Operand
from m7sim.isa.draft import Draft, combine, linear
from m7sim.isa.instruction import Branch, Result, Role
from m7sim.isa.registers import FLAGS, GE, LR, PC

Handler = Callable[[Draft], None]


def shifted_constant(draft: Draft) -> bool:
    """Tell whether the constant is 8 bits moved by a rotation (not plain, 12-bit or a pattern)."""
    bits = draft.reading.bits
    if draft.reading.size_bytes == 2 or bits >> 27 != 0b11110 or bits >> 25 & 1 or bits >> 15 & 1:
        return False
    return bool(bits >> 26 & 1 or bits >> 14 & 1)  # i:imm3:a of 0b01000 and up


def flexible_class(draft: Draft, second: Operand, plain: str) -> str:
    """Return the class that a flexible second operand makes of ``plain``."""
    prefix = "compare" if plain == "compare" else "alu"
    if second.kind == "constant":
        return f"{prefix}_shifted_constant" if shifted_constant(draft) else plain
    return f"{prefix}_shifted" if second.shift else plain


def read_operands(draft: Draft, first: Operand | None, second: Operand) -> None:
    """Note the reads of a first and a flexible second operand."""
    if first is not None:
        draft.read(first, Role.BESIDE_SHIFTED if second.shift else Role.OPERAND)
    if second.kind == "register":
        draft.read(second, Role.SHIFTED if second.shift else Role.OPERAND)
    if second.shift == "rrx":
        draft.read(FLAGS, Role.FLAGS)


def three_operands(draft: Draft) -> tuple[Operand, Operand, Operand]:
    """Return destination, first and second operand; short forms repeat the destination."""
    ops = draft.operands
    destination = draft.register(0)
    if len(ops) == 2:
        return destination, destination, ops[1]
    return destination, draft.register(1), ops[2]


def arithmetic(draft: Draft) -> None:
    """ADD, SUB, RSB, ADC, SBC, AND, ORR, ORN, EOR, BIC."""
    name = draft.reading.name
    destination, first, second = three_operands(draft)
    plain = {"add": "add", "sub": "add", "adc": "adc", "sbc": "adc"}.get(name, "alu")
    draft.klass = flexible_class(draft, second, plain)
    read_operands(draft, first, second)
    if name in ("adc", "sbc"):
        draft.read(FLAGS, Role.FLAGS)
    draft.write(destination)
    if draft.reading.sets_flags:
        draft.write_flags()
    a, b = draft.value(first), draft.value(second)
    if first.register == PC and second.kind == "constant":
        a = linear(draft.pc & ~3)
    if a is not None and b is not None and name in ("add", "sub", "rsb"):
        signs = {"add": (1, 1), "sub": (1, -1), "rsb": (-1, 1)}[name]
        draft.values[destination.register] = combine((a, signs[0]), (b, signs[1]))
    if destination.register == PC and name == "add" and draft.reading.size_bytes == 2:
        draft.klass, draft.branch, draft.values = "branch_indirect", Branch.INDIRECT, {}
        draft.reads = [(register, Role.TARGET) for register, _ in draft.reads]


def move(draft: Draft) -> None:
    """MOV, MOVW, MVN; MOV with a shift is spelt as the shift."""
    destination, source = draft.register(0), draft.operands[1]
    if destination.register == PC and draft.reading.size_bytes == 2:
        returns = source.register == LR
        draft.klass = "return" if returns else "branch_indirect"
        draft.branch = Branch.RETURN if returns else Branch.INDIRECT
        draft.read(source, Role.TARGET)
        return
    inverted = draft.reading.name == "mvn"
    draft.klass = flexible_class(draft, source, "alu" if inverted else "mov")
    read_operands(draft, None, source)
    draft.write(destination)
    if draft.reading.sets_flags:
        draft.write_flags()
    value = draft.value(source)
    if value is not None:
        draft.values[destination.register] = (
            combine((value, -1), constant=-1) if inverted else value
        )


def move_top(draft: Draft) -> None:
    draft.klass = "movt"
    draft.read(draft.register(0), Role.OPERAND)
    draft.write(draft.register(0))
    draft.movt = draft.operands[1].constant & 0xFFFF


def address(draft: Draft) -> None:
    """ADR; capstone gives the signed offset from the aligned pc."""
    draft.klass = "add"
    draft.write(draft.register(0))
    draft.values[draft.register(0).register] = linear((draft.pc & ~3) + draft.operands[1].constant)


def shift(draft: Draft) -> None:
    """LSL, LSR, ASR, ROR by constant or register, RRX."""
    name = draft.reading.name
    draft.klass = "rrx" if name == "rrx" else "shift"
    if name == "rrx":
        destination = draft.register(0)
        draft.read(draft.register(1), Role.OPERAND)
        draft.read(FLAGS, Role.FLAGS)
    else:
        destination, source, amount = three_operands(draft)
        draft.read(source, Role.OPERAND)
        if amount.kind == "register":
            draft.read(amount, Role.OPERAND)
        elif name == "lsl" and source.register != PC:
            value = linear(0, (source.register, 1 << amount.constant))
            draft.values[destination.register] = value
    draft.write(destination)
    if draft.reading.sets_flags:
        draft.write_flags()


def compare(draft: Draft) -> None:
    draft.klass = flexible_class(draft, draft.operands[1], "compare")
    read_operands(draft, draft.register(0), draft.operands[1])
    draft.write_flags()


def insert(draft: Draft) -> None:
    """BFI, BFC: the rest of the destination is kept."""
    draft.klass = "bitfield_insert"
    draft.read(draft.register(0), Role.OPERAND)
    if draft.reading.name == "bfi":
        draft.read(draft.register(1), Role.EXTRACT)
    draft.write(draft.register(0))


def _twice_encoded(klass: str, role: Role) -> Handler:
    """Make the handler of wide forms that encode their source twice, which has to agree."""
    handler = _plain(klass, role)

    def checked(draft: Draft) -> None:
        bits = draft.reading.bits
        if draft.reading.size_bytes == 4 and bits >> 16 & 15 != bits & 15:
            raise draft.refuse("encodes two different sources, which is unpredictable")
        handler(draft)

    return checked


def pack(draft: Draft) -> None:
    """PKHBT, PKHTB; the latter needs both sources early."""
    draft.klass = "pack"
    top = draft.reading.name == "pkhtb"
    draft.read(draft.register(1), Role.EXTRACT if top else Role.OPERAND)
    draft.read(draft.register(2), Role.EXTRACT)
    draft.write(draft.register(0))


def saturate(draft: Draft) -> None:
    draft.klass = "saturate"
    draft.read(draft.register(2), Role.EXTRACT)
    draft.write(draft.register(0))


def multiply_long(draft: Draft) -> None:
    """Results in the first two operands; accumulating forms read them as well."""
    accumulates = draft.reading.name not in ("umull", "smull")
    draft.klass = "mla_long" if accumulates else "mul_long"
    for index in (2, 3):
        draft.read(draft.register(index), Role.MULTIPLICAND)
    for index in (0, 1):
        if accumulates:
            draft.read(draft.register(index), Role.ACCUMULATOR)
    for index in (0, 1):
        draft.write(draft.register(index))


def _plain(klass: str, *roles: Role) -> Handler:
    """Make the handler of: one destination, then one source per role."""

    def handler(draft: Draft) -> None:
        draft.klass = klass
        for index, role in enumerate(roles, 1):
            draft.read(draft.register(index), role)
        draft.write(draft.register(0))
        if draft.reading.sets_flags:
            draft.write_flags()

    return handler


def _parallel(draft: Draft) -> None:
    """Signed and unsigned forms set the GE bits, halving ones do not."""
    _plain("parallel_add", Role.OPERAND, Role.OPERAND)(draft)
    if draft.reading.name[1] != "h":
        draft.write(GE, Result.FLAGS)


def _select(draft: Draft) -> None:
    _plain("select", Role.OPERAND, Role.OPERAND)(draft)
    draft.read(GE, Role.FLAGS)


_M, _A, _O, _E = Role.MULTIPLICAND, Role.ACCUMULATOR, Role.OPERAND, Role.EXTRACT
_PARALLEL: Final = ("add8", "add16", "sub8", "sub16", "asx", "sax")
_HALVES: Final = ("bb", "bt", "tb", "tt")


def _names(stem: str, *ends: str) -> tuple[str, ...]:
    return tuple(stem + end for end in ends)


_GROUPS: Final[tuple[tuple[tuple[str, ...], Handler], ...]] = (
    (("add", "sub", "rsb", "adc", "sbc", "and", "orr", "orn", "eor", "bic"), arithmetic),
    (("mov", "mvn"), move),
    (("movt",), move_top),
    (("adr",), address),
    (("lsl", "lsr", "asr", "ror", "rrx"), shift),
    (("cmp", "cmn", "tst", "teq"), compare),
    (("ubfx", "sbfx"), _plain("bitfield_extract", _E)),
    (("bfi", "bfc"), insert),
    (("sxtb", "sxth", "sxtb16", "uxtb", "uxth", "uxtb16"), _plain("extend", _O)),
    (
        ("sxtab", "sxtah", "sxtab16", "uxtab", "uxtah", "uxtab16"),
        _plain("extend_add", _O, _E),
    ),
    (("pkhbt", "pkhtb"), pack),
    (("rev", "rev16", "revsh", "rbit"), _twice_encoded("reverse", _E)),
    (("clz",), _twice_encoded("clz", _O)),
    (tuple(p + end for p in ("s", "u", "sh", "uh") for end in _PARALLEL), _parallel),
    (("sel",), _select),
    (
        ("qadd", "qsub", *(p + end for p in ("q", "uq") for end in _PARALLEL)),
        _plain("saturating_add", _O, _O),
    ),
    (("qdadd", "qdsub"), _plain("saturating_double", _E, _E)),
    (("ssat", "usat", "ssat16", "usat16"), saturate),
    (("usad8",), _plain("usad8", _O, _O)),
    (("usada8",), _plain("usada8", _O, _O, _A)),
    (
        ("mul", "smmul", "smmulr", "smuad", "smuadx", "smusd", "smusdx", "smulwb", "smulwt",
         *_names("smul", *_HALVES)),
        _plain("mul", _M, _M),
    ),
    (
        ("mla", "mls", "smmla", "smmlar", "smmls", "smmlsr", "smlad", "smladx", "smlsd", "smlsdx",
         "smlawb", "smlawt", *_names("smla", *_HALVES)),
        _plain("mla", _M, _M, _A),
    ),
    (
        ("umull", "smull", "umlal", "smlal", "umaal", "smlald", "smlaldx", "smlsld", "smlsldx",
         *_names("smlal", *_HALVES)),
        multiply_long,
    ),
    (("sdiv", "udiv"), _plain("divide", _O, _O)),
)  # fmt: skip

HANDLERS: Final = {name: handler for names, handler in _GROUPS for name in names}
