"""Events of the access kernel, told as findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from m7sim.isa.registers import NAMES
from m7sim.sanitize import state as st
from m7sim.sanitize.check import Context
from m7sim.sanitize.finding import Finding
from m7sim.sanitize.layout import Kind, Object
from m7sim.sanitize.rules import is_library_source, library_functions


class Where(NamedTuple):
    """Where an instruction is, for people: its own line, or that of a call that leads to it."""

    function: str
    file: str
    line: int
    lead: str  # "" or "calls memcpy, which "
    functions: tuple[str, ...]  # the symbols of the functions on the way


class Describer:
    """Makes findings of one run or call."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._image, self._layout = context.image, context.layout
        self._library = library_functions() if context.rules.library else frozenset()

    def finding(self, event: list[int], *, returned: bool = False) -> Finding | None:
        """Return what an event tells; None if that is allowed.

        ``returned``: the value without value is the result of the call.
        """
        row = self._context.code.instructions[event[st.ROW]]
        where = self.where(row.address, event[st.CALLER : st.FRAME])
        address, size_bytes = event[st.ADDRESS], event[st.SIZE]
        store = bool(row.memory and row.memory.store)
        verb = "writes" if store else "reads"
        access = f"{verb} {_bytes(size_bytes)} at 0x{address:08x}"
        reason = event[st.REASON]
        owner: Object | None = None
        if reason == st.BOUNDS:
            kind, what, owner = self._bounds(event, store)
            what = f"{access}, {what}"
        elif reason == st.WALK:
            owner = self._layout.objects[event[st.OWNER]]
            kind = f"out_of_bounds_{verb[:-1]}"
            what = f"{access}, {beside(address, size_bytes, owner)}, having walked through it"
        elif reason == st.OVERFLOW:
            stack, kind = self._layout.stack, "stack_overflow"
            what = (
                f"{access}, {_bytes(stack.start - address)} below the stack's limit "
                f"0x{stack.start:08x}: the stack has {stack.end - stack.start} bytes"
            )
        elif reason == st.BELOW_SP:
            gap = event[st.USE] - address
            kind, what = "below_sp", f"{access}, {_bytes(gap)} below the stack pointer"
        elif reason == st.REGISTER:
            register = NAMES[event[st.OWNER]]
            kind, what = "uninitialised_read", f"needs {register}, which nothing has set"
            owner = Object(Kind.NOTHING, f"register {register}", 0, 0)
        else:
            kind, owner = "uninitialised_read", self._local(event) or self._owner(address)
            what = f"{access}{_inside(address, owner)}, which nothing has written"
            what += self._used(event[st.USE], where, returned)
        if self._allowed(kind, where, address, owner):
            return None
        finding = Finding(
            kind, where.lead + what, row.address, where.function, where.file, where.line, address,
            size_bytes, owner.name if owner else "stack", address - owner.start if owner else 0,
            event[st.COUNT], event[st.INSTRUCTION],
        )  # fmt: skip
        return None if self._context.rules.accepts(finding, *where.functions) else finding

    # Where ---------------------------------------------------------------------------------

    def where(self, pc: int, callers: list[int]) -> Where:
        """Return the line of an instruction, or of the innermost call of the compiler's libraries.

        These may have line numbers as well, of sources that nobody looks at.
        """
        places = [pc, *(caller - 2 for caller in callers if caller >= 0)]
        functions = [self._image.function_at(place) for place in places]
        names = [
            f.name if f is not None else f"0x{place:08x}"
            for f, place in zip(functions, places, strict=True)
        ]
        lines = [self._image.line_at(place) for place in places]
        own = [n for n, line in enumerate(lines) if line and not is_library_source(line.file)]
        known = own or [n for n, line in enumerate(lines) if line]
        if not known:
            return Where(names[0], "", 0, "", tuple(names))
        at = known[0]
        line = lines[at]
        assert line is not None
        inlined = self._image.inline_chain(places[at])
        lead = f"calls {names[at - 1]}, " if at else ""
        lead += "which " if at == 1 else f"where {names[0]} " if at else ""
        name = inlined[0].function if inlined else names[at]
        return Where(name, line.file, line.line, lead, tuple(names[: at + 1]))

    def _used(self, row: int, where: Where, returned: bool) -> str:
        if returned:
            return ", and returns it"
        if row < 0:
            return ""
        instruction = self._context.code.instructions[row]
        line = self._image.line_at(instruction.address)
        if line is None or (line.file, line.line) == (where.file, where.line):
            return ""
        return f", for use at {Path(line.file).name}:{line.line}"

    # What ----------------------------------------------------------------------------------

    def _owner(self, address: int) -> Object | None:
        found = None
        for each in self._layout.objects:  # the last one owns
            if each.start <= address < each.end:
                found = each
        return found

    def _local(self, event: list[int]) -> Object | None:
        """Return the local variable that an address on the stack belongs to."""
        address, code = event[st.ADDRESS], self._context.code
        stack = self._layout.stack
        if not stack.start <= address < stack.end:
            return None
        here = code.instructions[event[st.USE] if event[st.USE] >= 0 else event[st.ROW]].address
        callers = [caller for caller in event[st.CALLER : st.FRAME] if caller >= 0]
        tops = [sp for sp in event[st.FRAME :] if sp >= 0]
        if len(tops) < st.N_CALLERS:
            tops.append(self._context.entry_sp)
        places = [here, *(caller - 2 for caller in callers)]
        for place, top in zip(places, tops, strict=False):
            if address >= top:  # in the frame of a function further out
                continue
            for local in self._image.locals_at(place):
                start = top + local.offset_bytes
                if start <= address < start + local.size_bytes:
                    return Object(Kind.LOCAL, local.name, start, start + local.size_bytes)
            return None
        return None

    def _bounds(self, event: list[int], store: bool) -> tuple[str, str, Object | None]:
        address, size_bytes = event[st.ADDRESS], event[st.SIZE]
        owner = self._layout.objects[event[st.OWNER]]
        whole = owner.start <= address and address + size_bytes <= owner.end
        verb = "write" if store else "read"
        if store and not owner.writable and owner.kind == Kind.ARRAY and whole:
            return "const_write", f"in {owner}, which is const", owner
        if store and not owner.writable and whole and owner.kind not in (
            Kind.GUARD, Kind.PADDING, Kind.NOTHING, Kind.APRON
        ):  # fmt: skip
            return "code_write", self._read_only(address, owner), owner
        nearest = self._layout.nearest(address, size_bytes)
        if nearest is None:
            region = self._context.board.region_at(address)
            what = f"in {region.name}, where nothing lies" if region else "where no memory is"
            return f"wild_{verb}", what, None
        return f"out_of_bounds_{verb}", beside(address, size_bytes, nearest), nearest

    def _read_only(self, address: int, owner: Object) -> str:
        function = self._image.function_at(address) if owner.kind == Kind.CODE else None
        if function is not None:
            return f"in the code of {function.name}"
        return f"{_inside(address, owner).lstrip()}, which is read-only"

    def _allowed(self, kind: str, where: Where, address: int, owner: Object | None) -> bool:
        """Tell whether it is a library function that reads whole aligned words of a string."""
        if where.functions[0] not in self._library:
            return False
        if kind == "uninitialised_read":
            return True
        return kind == "out_of_bounds_read" and owner is not None and (
            owner.start & ~7 <= address < (owner.end + 7) & ~7
        )  # fmt: skip


def beside(address: int, size_bytes: int, owner: Object) -> str:
    """Say where an access lies that touches bytes outside of an object."""
    end = address + size_bytes
    if address >= owner.end:
        gap = address - owner.end
        return f"{_bytes(gap)} past the end of {owner}" if gap else f"just past the end of {owner}"
    if end <= owner.start:
        return f"{_bytes(owner.start - address)} before the start of {owner}"
    if end > owner.end:
        return f"{end - owner.end} of them past the end of {owner}"
    return f"{owner.start - address} of them before the start of {owner}"


def _inside(address: int, owner: Object | None) -> str:
    if owner is None:
        return ""
    if owner.kind == Kind.STACK:  # not known to be a variable
        return " on the stack"
    return f" in {owner}" + (f" at offset {address - owner.start}" if owner.start < address else "")


def _bytes(count: int) -> str:
    return f"{count} byte" if count == 1 else f"{count} bytes"


def from_fault(context: Context, error: Any) -> Finding | None:
    """Return what an engine's fault tells, if it is one."""
    stop = getattr(error, "stop", None)
    if stop is None:
        return None
    describer = Describer(context)
    where = describer.where(stop.pc, [])
    kind, what, name, offset = "fault", error.what, "", 0
    if stop.kind == "memory" and stop.access == "fetch":
        kind = "wild_jump"
    elif stop.kind == "memory":
        store = stop.access == "write"
        event = [0] * st.N_EVENT
        event[st.ADDRESS], event[st.SIZE] = stop.address, stop.size_bytes
        owner = describer._owner(stop.address)
        event[st.OWNER] = context.layout.objects.index(owner) if owner else 0
        kind, told, nearest = describer._bounds(event, store)
        verb = "writes" if store else "reads"
        what = f"{verb} {_bytes(stop.size_bytes)} at 0x{stop.address:08x}, {told}: it faults"
        if nearest is not None:
            name, offset = nearest.name, stop.address - nearest.start
    address = stop.address if stop.kind == "memory" else 0
    size_bytes = stop.size_bytes if stop.kind == "memory" else 0
    finding = Finding(
        kind, where.lead + what, stop.pc, where.function, where.file, where.line, address,
        size_bytes, name, offset,
    )  # fmt: skip
    return None if context.rules.accepts(finding, *where.functions) else finding
