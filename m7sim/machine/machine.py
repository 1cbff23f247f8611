"""Image + board -> something that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.elf import Image, Prototype
from m7sim.errors import FirmwareError, InputError
from m7sim.machine import memory
from m7sim.machine.call import RETURN_ADDRESS, Buffer, Calling, CallResult, call_function
from m7sim.machine.engine import BREAKPOINT, Engine, EngineStop
from m7sim.machine.faults import Explainer, place
from m7sim.machine.hostfiles import HostFiles
from m7sim.machine.marshal import Places
from m7sim.machine.placement import AUTO, DEFAULT_ALIGNMENT_BYTES, Placement
from m7sim.machine.semihosting import Exit, Semihosting, StreamConsole
from m7sim.machine.system import ReadyRegisters, SystemRegisters

if TYPE_CHECKING:
    from m7sim.machine.fpu import DoubleUnit

_SEMIHOSTING = 0xAB

StopReason = Literal["exit", "return", "stopped", "waiting"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an execution ended.

    ``exit`` is semihosting's, with ``exit_code``; ``return`` is to the caller outside; ``stopped``
    was asked for by :meth:`Machine.stop` (with ``detail``) or by an observer; ``waiting`` is a
    ``wfi``: the interrupt that would end it never comes.
    """

    reason: StopReason
    exit_code: int = 0
    detail: str = ""
    pc: int = 0


class Observer(Protocol):
    """Told about executions; whoever records them implements this.

    A recorder may also have ``unexecuted_block()``: a signal has stopped the machine at a block
    that was reported and will be reported again; and ``last_block_address() -> int | None``, for
    the message about a wild jump.
    """

    def before_run(self) -> None: ...
    def before_host_call(self) -> None: ...
    def after_run(self) -> None: ...


class Machine:
    """A board with an image in its flash.

    Parameters
    ----------
    image, board
        The program and the chip.
    files
        Folder below which the firmware may open files by semihosting; None: no files.
    arguments
        Command line for semihosting.
    stdin, stdout, stderr
        Binary streams of the semihosting console; without ``stdout`` the text is kept in
        ``machine.console.output``.

    Attributes
    ----------
    engine : Engine
    cycle_source : Callable[[], int]
        Modelled cycles so far, for DWT->CYCCNT, SysTick and the semihosting clock; returns 0
        until a timing model sets it.
    """

    def __init__(
        self,
        image: Image,
        board: Board,
        *,
        files: Path | None = None,
        arguments: str = "",
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> None:
        if files is not None and not Path(files).is_dir():
            raise InputError("no such folder for semihosting files", where=str(files))
        self.image, self.board = image, board
        self.cycle_source: Callable[[], int] = int  # 0
        self.console = StreamConsole(stdout, stderr, stdin)
        self.engine = Engine()
        self.engine.unexecuted_block = lambda: self._ask("unexecuted_block")
        self.doubles = _double_unit(self.engine) if board.double_precision else None
        self.system = SystemRegisters(board, self._cycles, self.console.write, self._reset_request)
        self._ready = ReadyRegisters(board)
        self._files, self._arguments = files, arguments
        self._host_files = HostFiles(self.console)
        self._observers: list[Observer] = []
        self._explainer = Explainer(self.engine, image, board)
        self._detail = ""
        self.calling: Calling | None = None
        self.entry_pc = 0
        self._prototypes: dict[str | int, Prototype | None] = {}
        self.initialised = False
        self.generation = 0  # counts resets
        self.placement = Placement(board, image, self.stack_top)
        memory.map_board(self.engine, board, self.system, self._ready)
        self.reset()

    # Observers -----------------------------------------------------------------------------

    def attach(self, observer: Observer) -> None:
        self._observers.append(observer)

    def detach(self, observer: Observer) -> None:
        self._observers.remove(observer)

    # State ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Return to power-on: memory, registers and open files as if nothing had run.

        Raises
        ------
        InputError
            If a segment of the image lies outside the board's memory.
        """
        table = self.image.vector_table
        self.engine.reset_registers()
        self.system.reset(table or 0)
        self._ready.reset()
        memory.clear(self.engine, self.board)
        memory.load(self.engine, self.board, self.image)
        self.engine.write_register("sp", self.stack_top)
        self.initialised = False
        self.generation += 1
        self.placement.clear()
        self._host_files.close_all()
        self._host_files = HostFiles(self.console, self._files)
        self.semihosting = Semihosting(
            self, self._host_files, self.board.clock_hz, self._cycles, self._arguments,
            self.stack_top,
        )  # fmt: skip

    def initialise(self) -> None:
        """Set up data, RAM code and .bss without running start-up code; once after a reset."""
        if not self.initialised:
            memory.initialise(self.engine, self.board, self.image)
            self.initialised = True

    @property
    def stack_top(self) -> int:
        """Initial stack pointer: of the vector table, else the end of DTCM (or of any RAM)."""
        table = self.image.vector_table
        words = self.image.read(table, 4) if table is not None else None
        if words is not None:
            return int.from_bytes(words, "little") & ~3
        kinds = ("dtcm", "sram")
        rams = [r for kind in kinds for r in self.board.regions if r.kind == kind and r.mapped]
        if not rams:
            raise InputError("no RAM for a stack", where=self.board.name)
        return rams[0].end

    def read(self, address: int, size_bytes: int) -> bytes:
        """Return memory; InputError if some of it is not there."""
        return self.engine.read(address, size_bytes)

    def write(self, address: int, data: bytes) -> None:
        """Write memory, flash included; InputError if some of it is not there."""
        self.engine.write(address, data)

    def register(self, name: str) -> int:
        """Return a register by name, such as ``r0``, ``sp``, ``lr``, ``pc``, ``s0``."""
        return self.engine.read_register(name)

    def set_register(self, name: str, value: int) -> None:
        self.engine.write_register(name, value)

    def alloc(
        self,
        array: NDArray[Any],
        region: str = AUTO,
        *,
        alignment_bytes: int = DEFAULT_ALIGNMENT_BYTES,
    ) -> Buffer:
        """Copy an array into the board's memory, to stay there until freed or reset.

        The buffer can be passed to :meth:`call` for a pointer. Data that the firmware only reads
        may go to flash as well.

        Raises
        ------
        InputError
            If the region is unknown or lacks room.
        """
        array = np.ascontiguousarray(array)
        flash = region != AUTO and not self.board.region(region).writable
        span = self.placement.take(
            array.nbytes, place=region, alignment_bytes=alignment_bytes, writable=not flash,
            where="alloc",
        )  # fmt: skip
        self.initialise()
        self.write(span.start, array.tobytes())
        return Buffer(span.start, array.dtype, array.shape, self, span, self.generation)

    def prototype(self, function: str | int) -> Prototype | None:
        """Return how to call a function, or None without debug information; kept once found."""
        if function not in self._prototypes:
            self._prototypes[function] = self.image.prototype(function)
        return self._prototypes[function]

    # Execution -----------------------------------------------------------------------------

    def call(
        self,
        function: str | int,
        *arguments: Any,
        place: Places = AUTO,
        alignment_bytes: int = DEFAULT_ALIGNMENT_BYTES,
        guard_bytes: int = 0,
    ) -> CallResult:
        """Call a function by the procedure call standard and wait for its return.

        Arguments are checked against the prototype in the debug information: ints and floats by
        range; for pointers NumPy arrays (``const`` pointee: in only, otherwise written back),
        bytes, text, None, addresses, :class:`Buffer`; structs, by value or by pointer, as dicts or
        objects with its fields. Without debug information every argument is one 32-bit word or an
        array, and the result is r0 as a signed int.

        Parameters
        ----------
        function
            Name or address.
        place
            Region for the buffers of this call, for all or by parameter name or position;
            ``auto`` is DTCM while it fits, then the SRAMs. They are freed after the call.
        alignment_bytes
            Of every buffer.
        guard_bytes
            Room left free on both sides of every buffer.

        Raises
        ------
        ElfError
            If there is no such function.
        InputError
            If an argument does not fit its parameter, or a buffer the region.
        FirmwareError
            If the function faults, overflows the stack or ends the program.
        """
        return call_function(
            self, function, arguments, place=place, alignment_bytes=alignment_bytes,
            guard_bytes=guard_bytes,
        )  # fmt: skip

    def run_from_reset(self) -> Stop:
        """Reset, and run the vector table's reset handler.

        Raises
        ------
        InputError
            If the image has no vector table.
        FirmwareError
            If the firmware goes wrong.
        """
        table = self.image.vector_table
        words = self.image.read(table, 8) if table is not None else None
        if words is None:
            raise InputError(
                "no vector table, so no reset handler to start at",
                where=self.image.path,
                do="Name a function to start at (--entry), or link with firmware/board",
            )
        self.reset()
        self.initialised = True  # by the firmware's own start-up code
        handler = int.from_bytes(words[4:], "little")
        if not handler & 1:
            raise FirmwareError(
                f"the reset vector 0x{handler:08x} is even: Arm state, which Cortex-M has not",
                where=self.image.path,
                do="Declare the reset handler as a function (.thumb_func in assembly)",
            )
        self.engine.write_register("lr", RETURN_ADDRESS | 1)
        return self.execute(handler)

    def run_from_entry(self, symbol: str) -> Stop:
        """Reset, set up memory as start-up code would, and run a function until it returns."""
        address = self.image.symbol(symbol).address
        self.reset()
        self.initialise()
        self.engine.mark_preserved()
        self.engine.write_register("lr", RETURN_ADDRESS | 1)
        return self.execute(address)

    def execute(self, pc: int, until: int = RETURN_ADDRESS) -> Stop:
        """Run from ``pc`` with the registers as they are, until the pc is ``until`` or an end.

        Observers are told before and after, also when it ends by an error.

        Raises
        ------
        FirmwareError
            If the firmware faults.
        KeyboardInterrupt
            On Ctrl-C, within a fraction of a second.
        """
        self._detail = ""
        self.entry_pc = pc & ~1
        started: list[Observer] = []
        try:
            for observer in self._observers:
                started.append(observer)
                observer.before_run()
            return self._execute(pc & ~1, until & ~1)
        finally:
            for observer in reversed(started):
                observer.after_run()

    def stop(self, detail: str = "") -> None:
        """End :meth:`execute`, from a hook or from another thread."""
        self._detail = detail
        self.engine.stop()

    def _execute(self, pc: int, until: int) -> Stop:
        entry = pc
        while True:
            stop = self.engine.run(pc, until)
            if stop.kind == "until":
                return Stop("return", pc=stop.pc)
            if stop.kind == "stopped":
                return Stop("stopped", detail=self._detail, pc=stop.pc)
            if stop.kind == "waiting":
                detail = f"waits for an interrupt at {place(self.image, stop.pc - 2)}"
                return Stop("waiting", detail=detail, pc=stop.pc)
            if stop.kind != "exception" or stop.exception != BREAKPOINT:
                raise self._fault(stop, entry)
            number = self.engine.read(stop.pc, 1)[0]
            if number != _SEMIHOSTING:
                where = place(self.image, stop.pc)
                raise FirmwareError(f"breakpoint instruction bkpt #{number}", where=where)
            for observer in self._observers:
                observer.before_host_call()
            try:
                self._semihosting_call(stop.pc)
            except Exit as end:
                self.semihosting.files.close_all()
                return Stop("exit", exit_code=end.code, pc=stop.pc)
            pc = stop.pc + 2

    def _semihosting_call(self, pc: int) -> None:
        number, argument = self.engine.read_register("r0"), self.engine.read_register("r1")
        try:
            result = self.semihosting.handle(number, argument)
        except FirmwareError as error:
            error.where = error.where or place(self.image, pc)
            raise
        self.engine.write_register("r0", result)

    def _fault(self, stop: EngineStop, entry: int) -> FirmwareError:
        blocks = self._ask("last_block_address")
        error = self._explainer.error(stop, entry, blocks[-1] if blocks else None)
        error.stop = stop
        return error

    def _ask(self, method: str) -> list[Any]:
        """Return what those observers say that have a method."""
        tell = [getattr(observer, method, None) for observer in self._observers]
        return [each() for each in tell if each is not None]

    def _cycles(self) -> int:
        return self.cycle_source()

    def _reset_request(self) -> None:
        raise FirmwareError(
            "the firmware asked for a system reset (SCB->AIRCR)",
            where=f"in or near {place(self.image, self.engine.read_pc())}",
            do="Runs end there; resets after the first are not simulated",
        )

    def close(self) -> None:
        """Free what does not wait for the garbage collector: files and a thread."""
        self.semihosting.files.close_all()
        self.engine.close()


def _double_unit(engine: Engine) -> DoubleUnit:
    from m7sim.machine.fpu import DoubleUnit  # late: loads the jit compiler

    return DoubleUnit(engine)
