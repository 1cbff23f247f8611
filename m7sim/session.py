"""The whole chain in two calls: load an ELF, then run it or call its functions.

Execution is recorded in bounded chunks, and each chunk is timed and attributed as soon as it is
full, so memory does not grow with the run and firmware that reads ``DWT->CYCCNT`` gets modelled
cycles. Timing a saved trace later (`replay`) goes through the same code and gives the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, cast

from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.errors import InputError
from m7sim.machine import Buffer, Machine, Stop
from m7sim.profile.accounts import Accounts
from m7sim.profile.configure import configuration
from m7sim.profile.result import CallResult, Configuration, RunResult
from m7sim.trace.capture import Capture
from m7sim.trace.chunk import Chunk
from m7sim.units import format_count

TraceWriter = Any

CHUNK_BLOCKS = 1 << 16
# With a limit on cycles, chunks are shorter: the limit is looked at once per chunk.
LIMITED_CHUNK_BLOCKS = 1 << 11
CONSOLE_BYTES = 1 << 24  # of the firmware's output that a result keeps


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; ``result`` is what was reached."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(result.message)
        self.result = result


class _Console:
    """Keeps what the firmware prints and passes it on."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self.stream = stream
        self.kept = bytearray()

    def write(self, data: bytes) -> int:
        self.kept += data[: max(0, CONSOLE_BYTES - len(self.kept))]
        if self.stream is not None:
            self.stream.write(data)
        return len(data)

    def flush(self) -> None:
        if self.stream is not None:
            self.stream.flush()


class Session:
    """One machine, what records it, and what times the record."""

    def __init__(
        self,
        firmware: Firmware,
        *,
        max_instructions: int | None = None,
        max_cycles: int | None = None,
        arguments: str = "",
        stdout: IO[bytes] | None = None,
        stdin: IO[bytes] | None = None,
    ) -> None:
        self.console = _Console(stdout)
        self.machine = Machine(
            firmware.image,
            firmware.board,
            files=firmware.files,
            arguments=arguments,
            stdout=cast(IO[bytes], self.console),
            stdin=stdin,
        )
        self.capture = Capture(
            self.machine.engine,
            self._read_constant,
            on_chunk=self._on_chunk,
            capacity_blocks=CHUNK_BLOCKS if max_cycles is None else LIMITED_CHUNK_BLOCKS,
            max_instructions=max_instructions,
        )
        self.accounts: Accounts | None = None
        if firmware.time:
            self.accounts = Accounts(
                firmware.image, firmware.board, firmware.core, self.capture.code
            )
        self.max_instructions, self.max_cycles = max_instructions, max_cycles
        self.writer: TraceWriter | None = None
        self.machine.cycle_source = self._cycles
        self.machine.attach(self.capture)
        self.capture.attach()

    def close(self) -> None:
        self.machine.detach(self.capture)
        self.capture.detach()
        self.machine.close()

    def _read_constant(self, address: int) -> int | None:
        """Return a word that the firmware cannot change."""
        region = self.machine.board.region_at(address)
        if region is None or region.writable or address + 4 > region.end:
            return None
        return int.from_bytes(self.machine.read(address, 4), "little")

    def _on_chunk(self, chunk: Chunk) -> None:
        if self.writer is not None:
            self.writer.add(chunk)
        if self.accounts is None:
            return
        self.accounts.feed(chunk, self.capture.plan())
        if self.max_cycles is not None and self.accounts.timer.cycles >= self.max_cycles:
            self.capture.stop("cycles")

    def _cycles(self) -> int:
        """Cycles up to the last finished block; without timing, instructions stand in."""
        if self.accounts is None:
            return self.capture.instructions
        self.capture.deliver_finished()
        return self.accounts.total_cycles


class Firmware:
    """An ELF on a board; made by `load`.

    Attributes
    ----------
    image, board, core
        What was loaded.
    time : bool
        False: execute only, no cycles.
    """

    def __init__(
        self, image: Image, board: Board, core: Core, *, files: Path | None, time: bool
    ) -> None:
        self.image, self.board, self.core = image, board, core
        self.files, self.time = files, time
        self._session: Session | None = None

    @property
    def machine(self) -> Machine:
        """The machine of the last run, or a fresh one set up as start-up code would."""
        return self._ready().machine

    def read(self, place: str | int, size_bytes: int) -> bytes:
        """Return memory at a symbol or an address."""
        address = self.image.symbol(place).address if isinstance(place, str) else place
        return self.machine.read(address, size_bytes)

    @contextmanager
    def constants(
        self, *arrays: NDArray[Any], region: str = "FLASH"
    ) -> Iterator[dict[int, Buffer]]:
        """Keep arrays in a memory for the time of some calls, as an application links them.

        Gives the buffers by ``id`` of the array; a buffer is passed where a pointer is wanted.

        Raises
        ------
        InputError
            If there is no such region or no room in it.
        """
        buffers: dict[int, Buffer] = {}
        try:
            for array in arrays:
                if id(array) not in buffers:
                    buffers[id(array)] = self.machine.alloc(array, region)
            yield buffers
        finally:
            for buffer in buffers.values():
                buffer.free()

    def configuration(
        self, *, entry: str | None = None, arguments: str = "", warm: bool = False
    ) -> Configuration:
        """Return what a run or a call would simulate."""
        return configuration(
            self.image, self.board, self.core,
            entry=entry or "reset handler", arguments=arguments, warm=warm, timed=self.time,
        )  # fmt: skip

    def run(
        self,
        entry: str | None = None,
        arguments: str = "",
        *,
        max_instructions: int | None = None,
        max_cycles: int | None = None,
        stdout: IO[bytes] | None = None,
        stdin: IO[bytes] | None = None,
        trace: str | Path | None = None,
    ) -> RunResult:
        """Run from reset, or run one function on a machine set up as start-up code would.

        Parameters
        ----------
        entry
            Function to start at; default is the reset handler of the vector table.
        arguments
            Command line that semihosting gives the firmware.
        max_instructions, max_cycles
            Limits; the run ends before the block that would exceed the first, and within
            ``LIMITED_CHUNK_BLOCKS`` blocks after the second.
        stdout, stdin
            Binary streams of the semihosting console; its output is in the result as well.
        trace
            File to save the trace to, for `replay`.

        Raises
        ------
        InputError
            If the entry does not exist or a limit cannot be applied.
        FirmwareError
            If the firmware faults.
        Interrupted
            On Ctrl-C; its ``result`` is what was reached.
        """
        if max_cycles is not None and not self.time:
            raise InputError("a limit on cycles needs timing", do="Leave time=False out")
        if entry is not None:
            self.image.symbol(entry)
        self._drop()
        session = self._session = Session(
            self,
            max_instructions=max_instructions,
            max_cycles=max_cycles,
            arguments=arguments,
            stdout=stdout,
            stdin=stdin,
        )
        plan = self.configuration(entry=entry, arguments=arguments)
        if trace is not None:
            session.writer = TraceWriter(session.capture, self.image, asdict(plan))
        stop: Stop | None = None
        try:
            if session.accounts is not None:
                session.accounts.begin(warm=False)
            if entry is None:
                stop = session.machine.run_from_reset()
            else:
                stop = session.machine.run_from_entry(entry)
        except KeyboardInterrupt:
            raise Interrupted(self._run_result(plan, session, stop)) from None
        if session.writer is not None and trace is not None:
            session.writer.save(Path(trace))
            session.writer = None
        return self._run_result(plan, session, stop)

    def call(
        self, name: str | int, *arguments: Any, warm: bool = False, **options: Any
    ) -> CallResult:
        """Call a function by the procedure call standard.

        Parameters
        ----------
        name
            Function, or the address of one.
        *arguments
            Numbers, NumPy arrays (passed as pointers, written back) and structs (dictionaries by
            field name), checked against the prototype in the debug information.
        warm
            Keep caches and predictors as the last run or call left them. Memory is kept anyway.
        **options
            As of `Machine.call`: ``place`` (region for the arrays), ``alignment_bytes``.

        Raises
        ------
        InputError
            If an argument does not fit the prototype.
        FirmwareError
            If the function faults, overflows the stack or ends the program.
        """
        session = self._ready()
        if session.accounts is not None:
            session.accounts.begin(warm=warm)
        before = session.capture.instructions
        done = session.machine.call(name, *arguments, **options)
        label = name if isinstance(name, str) else f"0x{name:08x}"
        figures = self._figures(session, session.capture.instructions - before)
        return CallResult(
            configuration=self.configuration(entry=label, warm=warm),
            **figures,
            value=done.value,
            stack_bytes=done.stack_bytes,
        )

    def reset(self) -> None:
        """Forget the machine: the next call starts from freshly initialised memory."""
        self._drop()

    close = reset

    def _ready(self) -> Session:
        if self._session is None:
            self._session = Session(self)
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _figures(self, session: Session, instructions: int) -> dict[str, Any]:
        if session.accounts is not None:
            return session.accounts.figures()
        return {
            "instructions": instructions, "cycles": 0, "issue_cycles": 0, "dual_issued": 0,
            "stalls": {}, "profile": None, "statistics": {}, "rows": (),
        }  # fmt: skip

    def _run_result(self, plan: Configuration, session: Session, stop: Stop | None) -> RunResult:
        figures = self._figures(session, session.capture.instructions)
        reason, message = self._reason(session, stop, figures)
        exit_code = stop.exit_code if stop is not None and stop.reason == "exit" else None
        if stop is not None and stop.reason == "return":
            exit_code = 0
        return RunResult(
            configuration=plan, **figures, stop_reason=reason, message=message,
            exit_code=exit_code, console=bytes(session.console.kept),
        )  # fmt: skip

    def _reason(
        self, session: Session, stop: Stop | None, figures: dict[str, Any]
    ) -> tuple[str, str]:
        if stop is None:
            return "interrupted", f"interrupted {self._place(session.machine.register('pc'))}"
        if stop.reason == "exit":
            return "exit", f"the firmware ended with exit code {stop.exit_code}"
        if stop.reason == "return":
            return "return", "the entry function returned"
        if stop.reason == "waiting":
            return "waiting", f"the firmware {stop.detail}, and none ever comes"
        where = self._place(stop.pc)
        if session.capture.stop_reason == "instructions":
            limit, count = session.max_instructions or 0, figures["instructions"]
            return "max_instructions", (
                f"limit of {format_count(limit)} instructions reached "
                f"after {format_count(count)} {where}"
            )
        if session.capture.stop_reason == "cycles":
            limit, count = session.max_cycles or 0, figures["cycles"]
            return "max_cycles", (
                f"limit of {format_count(limit)} cycles reached after {format_count(count)} "
                f"{where}; it is looked at every {LIMITED_CHUNK_BLOCKS} blocks"
            )
        return "stopped", f"stopped {where} {stop.detail}".rstrip()

    def _place(self, address: int) -> str:
        function = self.image.function_at(address)
        line = self.image.line_at(address)
        text = f"in {function.name}" if function else f"at 0x{address:08x}"
        return f"{text} at {Path(line.file).name}:{line.line}" if line else text


def load(
    elf: str | Path,
    board: str | Path | Board = "stm32f746",
    core: str | Path | Core = "cortex_m7",
    *,
    clock_hz: int | None = None,
    files: str | Path | None = None,
    time: bool = True,
) -> Firmware:
    """Load a bare-metal ELF onto a board.

    Parameters
    ----------
    elf
        Linked for the board's memory.
    board, core
        Names of tables that come with the package, TOML files, or loaded ones.
    clock_hz
        Core clock instead of the board's.
    files
        Folder below which the firmware may open files by semihosting; default none.
    time
        False: execute only, which is several times faster; results then have no cycles.

    Raises
    ------
    ElfError
        If the ELF is damaged or not for a Cortex-M.
    TableError
        If a table breaks its schema.
    InputError
        If a file or folder does not exist.
    """
    chip = board if isinstance(board, Board) else Board.load(board)
    table = core if isinstance(core, Core) else Core.load(core)
    if clock_hz is not None:
        chip = chip.override(clock_hz=clock_hz)
    folder = None if files is None else Path(files)
    return Firmware(Image.load(elf), chip, table, files=folder, time=time)
