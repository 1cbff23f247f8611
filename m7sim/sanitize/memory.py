"""The check of all accesses: bounds, const, code, the stack, and what nothing has written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.registers import S0, SP
from m7sim.sanitize import shadow as sh
from m7sim.sanitize import state as st
from m7sim.sanitize.access import follow
from m7sim.sanitize.check import Batch, Context
from m7sim.sanitize.events import Describer
from m7sim.sanitize.finding import Finding
from m7sim.sanitize.layout import Kind
from m7sim.sanitize.tables import CodeTable

# Registers that no caller gives a value to: r4 … r11 and s16 … s31 belong to the caller (AAPCS32
# 6.1); after a reset none has one (Armv7-M ARM, B1.5.5), sp aside.
_CALLERS: Final = sum(1 << r for r in (*range(4, 12), *range(S0 + 16, S0 + 32)))
_ALL: Final = sum(1 << r for r in (*range(13), 14, *range(S0, S0 + 32)))


@dataclass(frozen=True)
class Usage:
    """What a checked run or call did, in numbers.

    ``stack_bytes`` is the distance from the stack pointer at entry to its lowest value, whether
    that was written to or not; ``stack_room_bytes`` how far it may go.
    """

    instructions: int = 0
    accesses: int = 0
    stack_bytes: int = 0
    stack_room_bytes: int = 0


class MemoryCheck:
    """See `m7sim.sanitize.access` for how it works, `m7sim.sanitize.check` for the interface."""

    registers = (SP,)

    def __init__(self) -> None:
        self.usage = Usage()
        self.returned = False  # set before `end`: whether a call came back
        self._code: object = None

    def begin(self, context: Context) -> None:
        self._context = context
        self._shadow = sh.make_shadow(context.board, context.layout)
        self._state = state = st.make_state()
        if self._code is not context.code:
            self._code, self._table = context.code, CodeTable(context.code, context.image)
        self._walk: NDArray[np.int64] = np.zeros((0, st.WALK_WORDS), np.int64)
        main = -1
        if context.from_reset and context.image.has_symbol("main"):
            main = context.image.symbol("main").address
        stack = context.layout.stack
        state["sp"] = state["lowest_sp"] = context.entry_sp
        state["stack_low"], state["stack_top"] = stack.start, stack.end
        state["main"], state["started"] = main, main < 0
        state["undefined"] = _ALL if context.from_reset else _CALLERS
        state["pages"] = self._shadow.pages.ctypes.data
        state["cells"] = self._shadow.cells.ctypes.data
        state["flags"] = self._shadow.flags.ctypes.data
        state["reach"] = self._shadow.reach.ctypes.data
        if stack.start <= context.entry_sp <= stack.end:
            below = context.entry_sp - stack.start
            sh.set_value(self._shadow, stack.start, below, known=False)

    def feed(self, batch: Batch) -> None:
        static, state = self._table.static(), self._state
        missing = len(static.rows) - len(self._walk)
        if missing:
            more = np.zeros((missing, st.WALK_WORDS), np.int64)
            self._walk = np.concatenate((self._walk, more))
        state["walk"] = self._walk.ctypes.data
        state["data"], state["copy_to"] = static.data.ctypes.data, static.copy_to.ctypes.data
        follow(
            state, static.rows, static.blocks, batch.chunk.blocks, batch.addresses,
            batch.chunk.values, batch.value_first, batch.registers.index(SP),
        )  # fmt: skip

    def host_call(self) -> None:
        self._state["undefined"] &= ~1  # the result is in r0

    def host_wrote(self, address: int, size_bytes: int) -> None:
        sh.set_value(self._shadow, address, size_bytes, known=True)

    def end(self) -> list[Finding]:
        state, context = self._state, self._context
        self.usage = Usage(
            int(state["instructions"]),
            int(state["accesses"]),
            context.entry_sp - int(state["lowest_sp"]),
            context.entry_sp - context.layout.stack.start,
        )
        describer = Describer(context)
        events = state["events"][: int(state["n_events"])]
        findings = _one_overflow([describer.finding(event) for event in events.tolist()])
        if self.returned:
            result = self._result(describer)
            findings += [result] if result is not None else []
            findings += self._outputs()
        return findings

    def _result(self, describer: Describer) -> Finding | None:
        """Tell about a result that has no value."""
        call = self._context.call
        if call is None or call.result_register < 0:
            return None
        register = call.result_register
        if not int(self._state["undefined"]) >> register & 1:
            return None
        row, address, size_bytes = self._state["origin"][register].tolist()
        event = [0] * st.N_EVENT
        event[st.ROW], event[st.REASON], event[st.USE] = row, st.UNDEFINED, -1
        event[st.ADDRESS], event[st.SIZE], event[st.COUNT] = address, size_bytes, 1
        event[st.INSTRUCTION] = -1
        event[st.CALLER :] = [-1] * 2 * st.N_CALLERS
        return describer.finding(event, returned=True) if row >= 0 else None

    def _outputs(self) -> list[Finding]:
        """Tell about bytes of outputs that were not written."""
        context = self._context
        found: list[Finding] = []
        for each in context.layout.objects:
            wanted = each.kind == Kind.ARRAY and each.undefined and each.position >= 0
            if not (wanted and context.rules.complete_outputs):
                continue
            missing = sh.without_value(self._shadow, each.start, each.size_bytes)
            if not missing.size:
                continue
            first = int(missing[0])
            found.append(
                context.finding(
                    "unwritten_output",
                    context.entry_pc,
                    f"leaves {missing.size} bytes of {each} unwritten, the first at offset {first}",
                    address=each.start + first,
                    size_bytes=int(missing.size),
                    object=each.name,
                    offset_bytes=first,
                )
            )
        return found


def _one_overflow(found: list[Finding | None]) -> list[Finding]:
    """Return findings with those about the stack's limit as one: after the first, all is lost."""
    overflows = [each for each in found if each and each.kind == "stack_overflow"]
    others = [each for each in found if each and each.kind != "stack_overflow"]
    if not overflows:
        return others
    first = min(overflows, key=lambda each: each.instruction)
    return [*others, replace(first, count=sum(each.count for each in overflows))]
