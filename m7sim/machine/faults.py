"""What went wrong in the firmware, told by symbol, line and address."""

from __future__ import annotations

from m7sim.board import Board
from m7sim.elf import Image
from m7sim.errors import FirmwareError, InputError
from m7sim.machine.engine import SVC, THUMB_BIT, Engine, EngineStop
from m7sim.units import format_bytes

_ACCESS_WORD = {"read": "load", "write": "store", "fetch": "fetch"}
_EXCEPTIONS = {
    1: "undefined instruction", 4: "data abort", 8: "exception return outside an exception",
    17: "coprocessor (FPU) switched off", 18: "invalid execution state",
}  # fmt: skip


def place(image: Image, address: int) -> str:
    """Return ``function+0x12 (file.c:34)`` for an address, or the bare address."""
    address &= ~1
    text = f"0x{address:08x}"
    function = image.function_at(address)
    if function is not None:
        offset = address - function.address
        text = f"{function.name}+0x{offset:x} ({text})" if offset else f"{function.name} ({text})"
    line = image.line_at(address)
    return f"{text} at {line.file}:{line.line}" if line is not None else text


class Explainer:
    """Turns an engine's stop into an error for people."""

    def __init__(self, engine: Engine, image: Image, board: Board) -> None:
        self._engine, self._image, self._board = engine, image, board

    def error(self, stop: EngineStop, entry: int, last_block: int | None = None) -> FirmwareError:
        """Return the error for a stop that is a fault.

        Parameters
        ----------
        entry
            Where the execution began.
        last_block
            Address of the last block that began, if an observer knows it.
        """
        if not self._engine.read_register("xpsr") & THUMB_BIT:
            return self._arm_state(stop.pc, self._origin(entry, last_block))
        if stop.kind == "memory" and stop.access == "fetch":
            return self._wild_jump(stop, self._origin(entry, last_block))
        if stop.kind == "memory":
            return self._access(stop)
        if stop.kind == "exception":
            return self._exception(stop)
        return self._instruction(stop.pc)

    def _access(self, stop: EngineStop) -> FirmwareError:
        word = _ACCESS_WORD[stop.access]
        where = f"0x{stop.address:08x}"
        region = self._board.region_at(stop.address)
        if region is not None and not region.mapped:
            what = f"{word} of {stop.size_bytes} bytes at {where} in {region.name}, not switched on"
            do = f"Load the board with map_regions({region.name!r})"
        elif region is not None and stop.access == "write":
            what = f"store of {stop.size_bytes} bytes at {where} in read-only {region}"
            do = "Flash programming is not simulated"
        else:
            what = f"{word} of {stop.size_bytes} bytes at unmapped address {where}"
            do = self._distance(stop.address)
        return FirmwareError(what, where=place(self._image, stop.pc), do=do)

    def _distance(self, address: int) -> str:
        region = self._board.nearest_region(address)
        if address >= region.end:
            gap = f"{format_bytes(address - region.end + 1)} above"
        else:
            gap = f"{format_bytes(region.start - address)} below"
        hint = " A null pointer?" if address < 0x100 else ""
        return f"It is {gap} the nearest region, {region}.{hint}"

    def _wild_jump(self, stop: EngineStop, origin: str) -> FirmwareError:
        region = self._board.region_at(stop.address)
        kind = f"in {region}, which is not executable" if region else "where nothing is mapped"
        do = "" if region else self._distance(stop.address)
        return FirmwareError(f"wild jump to 0x{stop.address:08x}, {kind}", where=origin, do=do)

    def _origin(self, entry: int, last_block: int | None) -> str:
        """Say where a jump came from: the last block, else what the link register tells."""
        if last_block is not None:
            return "from " + place(self._image, last_block)
        link = self._engine.read_register("lr") & ~1
        if self._image.function_at(link - 2) is not None:
            return "last call from " + place(self._image, link - 2)
        return "after entering " + place(self._image, entry)

    def _arm_state(self, pc: int, origin: str) -> FirmwareError:
        return FirmwareError(
            f"jump to the even address 0x{pc:08x} switches to Arm state, which Cortex-M has not",
            where=origin,
            do="Function pointers must have bit 0 set: declare the target as a function "
            "(.thumb_func in assembly)",
        )

    def _exception(self, stop: EngineStop) -> FirmwareError:
        if stop.exception == SVC:
            pc, what = stop.pc - 2, "supervisor call (svc)"
            do = "Exceptions and interrupts are not simulated"
        else:
            pc = stop.pc
            what = _EXCEPTIONS.get(stop.exception, f"exception {stop.exception} of the engine")
            do = "Exceptions and interrupts are not simulated"
        return FirmwareError(what, where=place(self._image, pc), do=do)

    def _instruction(self, pc: int) -> FirmwareError:
        try:
            data = self._engine.read(pc, 4)
        except InputError:
            data = b""
        where = place(self._image, pc)
        first = int.from_bytes(data[:2], "little")
        second = int.from_bytes(data[2:4], "little")
        wide = first >> 11 in (0b11101, 0b11110, 0b11111)
        text = f"{first:04x} {second:04x}" if wide else f"{first:04x}"
        if wide and not self._board.double_precision and _is_double_precision(first, second):
            return FirmwareError(
                f"double-precision instruction {text}, which the FPU of {self._board.name} lacks",
                where=where,
                do="Compile with -mfpu=fpv5-sp-d16",
            )
        if first >> 8 == 0xDE:
            return FirmwareError(
                f"undefined instruction udf #{first & 0xFF} (an assertion, an abort, or a trap "
                "that the compiler put on a path that must not happen)",
                where=where,
            )
        return FirmwareError(
            f"undefined instruction {text}",
            where=where,
            do="Was data executed as code, or was the code built for another core?",
        )


def _is_double_precision(first: int, second: int) -> bool:
    """Whether a 32-bit encoding is a floating-point operation on double registers.

    Data processing is ``111x 1110 …`` with coprocessor 11, or ``1111 1110`` for the FPv5 ones
    (Armv7-M ARM, A7.5); coprocessor 10 is single precision.
    """
    return first & 0xEF00 == 0xEE00 and second >> 8 & 0xF == 0xB
