"""Call a C function: registers, stack, result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from m7sim.elf import CType
from m7sim.errors import FirmwareError, InputError
from m7sim.isa.registers import S0
from m7sim.machine import values
from m7sim.machine.aapcs import Layout, layout
from m7sim.machine.engine import THUMB_BIT
from m7sim.machine.marshal import Argument, CallBuffer, Marshaller, Places
from m7sim.machine.placement import Span
from m7sim.machine.shapes import shape_of

if TYPE_CHECKING:
    from m7sim.machine.machine import Machine, Stop

_PAINT = 0xA5
# Where functions return to. The engine stops before it fetches there, provided that execution is
# not forbidden: so in the code area of the system map (Armv7-M ARM, B3.1), where no M7 has memory.
RETURN_ADDRESS = 0x0FFF_FFF0

# Of a function without debug information: r0.
_WORD = CType("int", 4, "int", signed=True)


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call gave.

    ``value`` is None for void, and when the call did not return (``stop.reason`` is ``stopped``:
    a limit). ``stack_bytes`` counts from the stack pointer at entry downwards. ``buffers`` is the
    memory that the arguments had.
    """

    value: Any
    stack_bytes: int
    stop: Stop
    buffers: tuple[CallBuffer, ...] = ()


@dataclass(frozen=True, slots=True)
class Calling:
    """The call that a machine is executing: its function, its memory, its stack pointer.

    ``result_register`` is 0 for a number in r0, 16 for one in s0, and -1 for none or anything else.
    """

    name: str
    buffers: tuple[CallBuffer, ...]
    entry_sp: int
    result_register: int = -1


@dataclass(frozen=True)
class Buffer:
    """Memory that stays across calls until it is freed or the machine is reset."""

    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    _machine: Machine
    _span: Span
    _generation: int

    def __index__(self) -> int:
        self._check()
        return self.address

    @property
    def size_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    def read(self) -> NDArray[Any]:
        """Return a copy of the contents."""
        self._check()
        data = self._machine.read(self.address, self.size_bytes)
        return np.frombuffer(data, self.dtype).reshape(self.shape).copy()

    def write(self, array: NDArray[Any]) -> None:
        """Replace the contents; InputError for another dtype or shape."""
        self._check()
        if array.dtype != self.dtype or array.shape != self.shape:
            raise InputError(
                f"array {array.dtype}{array.shape} for a buffer {self.dtype}{self.shape}"
            )
        self._machine.write(self.address, array.tobytes())

    def free(self) -> None:
        self._check()
        self._machine.placement.give_back(self._span)

    def _check(self) -> None:
        if self._machine.generation != self._generation:
            raise InputError(
                "the buffer is from before the last reset",
                where=f"0x{self.address:08x}",
                do="Allocate it again",
            )


def call_function(
    machine: Machine,
    function: str | int,
    given: tuple[Any, ...],
    *,
    place: Places,
    alignment_bytes: int,
    guard_bytes: int = 0,
) -> CallResult:
    """Call a function; see :meth:`m7sim.machine.Machine.call`."""
    address, name = _resolve(machine, function)
    prototype = machine.prototype(function)
    machine.initialise()
    marshaller = Marshaller(
        machine, machine.image, machine.placement, places=place, alignment_bytes=alignment_bytes,
        guard_bytes=guard_bytes,
    )  # fmt: skip
    try:
        arguments = marshaller.arguments(name, prototype, given)
        result = prototype.result if prototype is not None else _WORD
        plan = layout(
            [argument.shape for argument in arguments],
            shape_of(result) if result is not None else None,
            hard_float=machine.image.attributes.hard_float,
            variadic=prototype is not None and prototype.variadic,
        )
        room = 0
        if plan.result_in_memory and result is not None:
            where = f"{name}: result"
            room = marshaller.result_room(result.size_bytes, where, result.name)
        entry_sp = _enter(machine, plan, arguments, room)
        stack = Span(machine.placement.red_zone.start, entry_sp)
        _paint(machine, stack)
        buffers = marshaller.buffers()
        number = prototype is not None and result is not None and result.kind != "struct"
        register = -1 if not number or plan.result_in_memory else S0 * bool(plan.result.vfp_count)
        machine.calling = Calling(name, buffers, entry_sp, register)
        stop = machine.execute(address)
        stack_bytes = _used(machine, stack, name)
        if stop.reason == "stopped":
            return CallResult(None, stack_bytes, stop, buffers)
        if stop.reason != "return":
            raise _not_returned(name, stop)
        value = _result(machine, plan, result, room)
        marshaller.finish()
        return CallResult(value, stack_bytes, stop, buffers)
    finally:
        machine.calling = None
        marshaller.release()


def _resolve(machine: Machine, function: str | int) -> tuple[int, str]:
    if isinstance(function, str):
        symbol = machine.image.symbol(function)
        if symbol.kind == "object":
            raise InputError(f"{function} is a variable", where=machine.image.path)
        return symbol.address & ~1, function
    found = machine.image.function_at(function & ~1)
    at_start = found is not None and found.address & ~1 == function & ~1
    return function & ~1, found.name if found is not None and at_start else f"0x{function:08x}"


def _enter(machine: Machine, plan: Layout, arguments: list[Argument], room: int) -> int:
    """Put arguments where they belong and return the stack pointer at entry."""
    engine = machine.engine
    fpscr = engine.read_register("fpscr")  # rounding mode and the like are the firmware's choice
    engine.reset_registers()
    engine.write_register("fpscr", fpscr)
    engine.mark_preserved()
    sp = (machine.placement.stack.end & ~7) - plan.stack_bytes
    if plan.result_in_memory:
        engine.write_register("r0", room)
    stack = bytearray(plan.stack_bytes)
    for argument, where in zip(arguments, plan.arguments, strict=True):
        shape = argument.shape
        data = argument.data.ljust(4 * shape.words, b"\0")
        if where.vfp_count:
            for i in range(where.vfp_count):
                word = int.from_bytes(data[4 * i : 4 * i + 4], "little")
                engine.write_register(f"s{where.vfp_first + i}", word)
            continue
        for i in range(where.core_count):
            word = int.from_bytes(data[4 * i : 4 * i + 4], "little")
            engine.write_register(f"r{where.core_first + i}", word)
        rest = data[4 * where.core_count :]
        stack[where.stack_offset : where.stack_offset + len(rest)] = rest
    machine.write(sp, bytes(stack))
    engine.write_register("sp", sp)
    engine.write_register("lr", RETURN_ADDRESS | 1)
    engine.write_register("xpsr", THUMB_BIT)
    return sp


def _result(machine: Machine, plan: Layout, result: CType | None, room: int) -> Any:
    if result is None or result.size_bytes == 0:
        return None
    engine = machine.engine
    if plan.result_in_memory:
        return values.unpack(result, machine.read(room, result.size_bytes))
    if plan.result.vfp_count:
        names = [f"s{i}" for i in range(plan.result.vfp_count)]
    else:
        names = [f"r{i}" for i in range(plan.result.core_count)]
    data = b"".join(engine.read_register(name).to_bytes(4, "little") for name in names)
    return values.unpack(result, data)


def _paint(machine: Machine, stack: Span) -> None:
    machine.engine.view(stack.start, stack.end - stack.start)[:] = _PAINT


def _used(machine: Machine, stack: Span, name: str) -> int:
    """Return the bytes down to the lowest one written.

    Raises
    ------
    FirmwareError
        If something was written below the stack's limit.
    """
    view = machine.engine.view(stack.start, stack.end - stack.start)
    written = np.flatnonzero(view != _PAINT)
    used = int(len(view) - written[0]) if len(written) else 0
    room = stack.end - machine.placement.stack.start
    # Without a red zone the last word tells, if not so surely.
    if used > room or (used == room and stack.start == machine.placement.stack.start):
        raise FirmwareError(
            f"stack overflow: more than {room} bytes used",
            where=name,
            do="Give it more room: the symbol __StackLimit marks the lowest address",
        )
    return used


def _not_returned(name: str, stop: Stop) -> FirmwareError:
    if stop.reason == "exit":
        what = f"ended the program with exit code {stop.exit_code} instead of returning"
    else:
        what = f"never returns: it {stop.detail}"
    return FirmwareError(what, where=name)
