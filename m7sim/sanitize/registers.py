"""What functions do to registers they have to preserve, in words (AAPCS, sections 6.1 and 6.2).

Found by `m7sim.sanitize.frames`: r4 … r11 and s16 … s31 have to be at return what they were at
entry, sp too, and sp has to be a multiple of 8 wherever a function is called.
"""

from __future__ import annotations

from m7sim.isa.registers import NAMES
from m7sim.sanitize.check import Context
from m7sim.sanitize.codefacts import WATCHED
from m7sim.sanitize.finding import Finding
from m7sim.sanitize.frames import CLOBBERED, SP_ABOVE, SP_CHANGED, SP_MISALIGNED


def describe(
    context: Context, what: int, row: int, function: str, words: list[int], instruction: int
) -> Finding:
    """Return the finding about registers that the kernel has noted.

    Parameters
    ----------
    row
        Instruction that is to blame: the last one that wrote the register, or the call.
    function
        Name of the function that returned.
    words
        What is noted behind the function.
    """
    pc = context.code.instructions[row].address
    if what in (SP_MISALIGNED, SP_ABOVE):
        return _at_call(context, what, pc, words, instruction)
    column, before, after, return_row = words
    returns = context.code.instructions[return_row].address
    line = context.image.line_at(returns)
    where = f"0x{returns:08x}" + (f" (line {line.line})" if line is not None else "")
    if what == SP_CHANGED:
        moved = (after - before + (1 << 31)) % (1 << 32) - (1 << 31)
        text = (
            f"leaves sp {abs(moved)} bytes too {'high' if moved > 0 else 'low'}: 0x{before:08x} "
            f"when {function} was entered, 0x{after:08x} at its return at {where}"
        )
        return context.finding("stack_pointer", pc, text, object="sp", instruction=instruction)
    register = NAMES[WATCHED[column]]
    text = (
        f"changes {register}, which {function} must preserve: 0x{before:08x} at entry, "
        f"0x{after:08x} at return at {where}"
    )
    return context.finding("clobbered_register", pc, text, object=register, instruction=instruction)


def _at_call(context: Context, what: int, pc: int, words: list[int], instruction: int) -> Finding:
    _, first, second, _ = words
    if what == SP_MISALIGNED:
        text = f"calls a function with sp 0x{first:08x}, not a multiple of 8"
        return context.finding("misaligned_stack", pc, text, object="sp", instruction=instruction)
    text = (
        f"calls a function with sp 0x{second:08x}, {second - first} bytes above where it was at "
        "its own entry: the stack of its caller will be overwritten"
    )
    return context.finding("stack_pointer", pc, text, object="sp", instruction=instruction)


# What `describe` knows.
ABOUT_REGISTERS = (CLOBBERED, SP_CHANGED, SP_MISALIGNED, SP_ABOVE)
