"""An ELF on a board, to run or to call functions of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.energy import EnergyModel
from m7sim.errors import InputError, LimitError, M7Error
from m7sim.machine import Machine, Stop
from m7sim.profile.configure import configuration
from m7sim.profile.live import LIMITED_CHUNK_BLOCKS, Live
from m7sim.profile.result import CallResult, Configuration, RunResult
from m7sim.trace.writer import TraceWriter
from m7sim.units import format_count

if TYPE_CHECKING:
    from m7sim.sanitize import Checker, Rules

FROM_RESET = "reset handler"  # entry of a run that is no function


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; ``result`` is what was reached."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(result.message)
        self.result = result


class Firmware:
    """An ELF on a board; made by `load`.

    Attributes
    ----------
    image, board, core
        What was loaded.
    time : bool
        False: execute only, no cycles.
    energy : EnergyModel or None
        None: no current data; ``power`` says why.
    """

    def __init__(
        self,
        image: Image,
        board: Board,
        core: Core,
        *,
        files: Path | None,
        time: bool,
        energy: tuple[EnergyModel | None, str] = (None, ""),
    ) -> None:
        self.image, self.board, self.core = image, board, core
        self.files, self.time = files, time
        self.energy, self.power = energy
        self._live: Live | None = None

    @property
    def machine(self) -> Machine:
        """The machine of the last run, or a fresh one set up as start-up code would."""
        return self._ready().machine

    def read(self, place: str | int, size_bytes: int) -> bytes:
        """Return memory at a symbol or an address."""
        address = self.image.symbol(place).address if isinstance(place, str) else place
        return self.machine.read(address, size_bytes)

    def configuration(
        self, *, entry: str | None = None, arguments: str = "", warm: bool = False
    ) -> Configuration:
        """Return what a run or a call would simulate."""
        return configuration(
            self.image, self.board, self.core,
            entry=entry or FROM_RESET, arguments=arguments, warm=warm, timed=self.time,
            power=self.power,
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
        sanitize: bool | Rules = False,
        on_progress: Callable[[int], None] | None = None,
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
        sanitize
            Check every access, as of `call`.
        on_progress
            Told now and then how many instructions have been executed.

        Raises
        ------
        InputError
            If the entry does not exist or a limit cannot be applied.
        FirmwareError
            If the firmware faults.
        Interrupted
            On Ctrl-C; its ``result`` is what was reached.
        """
        self._check_limit(max_cycles)
        if entry is not None:
            self.image.symbol(entry)
        self._drop()
        core = self.core if self.time else None
        live = self._live = Live(
            self.image, self.board, core, files=self.files, arguments=arguments, stdout=stdout,
            stdin=stdin, energy=self.energy,
        )  # fmt: skip
        live.on_progress = on_progress
        plan = self.configuration(entry=entry, arguments=arguments)
        if trace is not None:
            live.writer = TraceWriter(live.capture, self.image, asdict(plan), trace)
        stop: Stop | None = None
        trace_bytes: int | None = None
        checker: Checker | None = None
        try:
            live.begin(
                warm=False, max_instructions=max_instructions, max_cycles=max_cycles,
                from_reset=entry is None,
            )  # fmt: skip
            with self._sanitized(live, sanitize, from_reset=entry is None) as checker:
                if entry is None:
                    stop = live.machine.run_from_reset()
                else:
                    stop = live.machine.run_from_entry(entry)
            if live.writer is not None:
                trace_bytes = live.writer.save()
        except KeyboardInterrupt:
            reached = replace(self._run_result(plan, live, stop), **_found(checker))
            raise Interrupted(reached) from None
        finally:
            if live.writer is not None:
                live.writer.close()
                live.writer = None
        result = self._run_result(plan, live, stop)
        return replace(result, trace_bytes=trace_bytes, **_found(checker))

    def call(
        self,
        name: str | int,
        *arguments: Any,
        warm: bool = False,
        max_instructions: int | None = None,
        max_cycles: int | None = None,
        trace: str | Path | None = None,
        sanitize: bool | Rules = False,
        **options: Any,
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
        max_instructions, max_cycles
            Limits, as of `run`.
        trace
            File to save the trace to; its caches and predictors must begin empty (not ``warm``).
        sanitize
            Check every access against what it may touch; ``findings`` of the result, or of the
            error, tell what went wrong. Arrays then have guards around them, so cycles may differ
            from those of other calls. `Rules` say what is allowed.
        **options
            As of `Machine.call`: ``place`` (region for the arrays), ``alignment_bytes``.

        Raises
        ------
        InputError
            If an argument does not fit the prototype.
        FirmwareError
            If the function faults, overflows the stack or ends the program.
        LimitError
            If a limit is reached before the function returns.
        """
        self._check_limit(max_cycles)
        label = name if isinstance(name, str) else f"0x{name:08x}"
        plan = self.configuration(entry=label, warm=warm)
        if trace is not None and warm:
            raise InputError(
                "a trace does not hold what caches knew before it", where=label, do="Leave warm out"
            )
        live = self._ready()
        live.begin(warm=warm, max_instructions=max_instructions, max_cycles=max_cycles)
        if trace is not None:
            live.writer = TraceWriter(live.capture, self.image, asdict(plan), trace)
        checker: Checker | None = None
        try:
            with self._sanitized(live, sanitize, from_reset=False) as checker:
                if checker is not None:
                    options.setdefault("guard_bytes", checker.rules.guard_bytes)
                done = live.machine.call(name, *arguments, **options)
            if live.writer is not None:
                live.writer.note({"buffers": [asdict(each) for each in done.buffers]})
                live.writer.save()
        finally:
            if live.writer is not None:
                live.writer.close()
                live.writer = None
        figures = self._figures(live)
        if done.stop.reason != "return":
            limit, message = self._reason(live, done.stop, figures)
            error = LimitError(message, where=label, do=f"Raise {limit} to get further")
            error.findings = checker.findings if checker is not None else ()
            raise error
        return CallResult(
            configuration=plan,
            **figures,
            value=done.value,
            stack_bytes=done.stack_bytes,
            buffers=done.buffers,
            **_found(checker),
        )

    def reset(self) -> None:
        """Forget the machine: the next call starts from freshly initialised memory."""
        self._drop()

    close = reset

    def _ready(self) -> Live:
        if self._live is None:
            core = self.core if self.time else None
            self._live = Live(self.image, self.board, core, files=self.files, energy=self.energy)
        return self._live

    def _drop(self) -> None:
        if self._live is not None:
            self._live.close()
            self._live = None

    @contextmanager
    def _sanitized(
        self, live: Live, sanitize: bool | Rules, *, from_reset: bool
    ) -> Iterator[Checker | None]:
        """Check what is executed meanwhile; an error gets the findings."""
        if sanitize is False:
            yield None
            return
        from m7sim.sanitize import Checker, Rules  # late: few need it

        rules = sanitize if isinstance(sanitize, Rules) else Rules()
        checker = Checker(live.machine, live.capture.code, rules, from_reset=from_reset)
        live.watch(checker)
        try:
            yield checker
        except M7Error as error:
            checker.explain(error)
            raise
        finally:
            live.watch(None)

    def _check_limit(self, max_cycles: int | None) -> None:
        if max_cycles is not None and not self.time:
            raise InputError("a limit on cycles needs timing", do="Leave time=False out")

    def _figures(self, live: Live) -> dict[str, Any]:
        if live.accounts is not None:
            live.settle()
            return live.accounts.figures()
        return {
            "instructions": live.capture.instructions, "cycles": 0, "issue_cycles": 0,
            "dual_issued": 0, "stalls": {}, "profile": None, "statistics": {}, "rows": (),
        }  # fmt: skip

    def _run_result(self, plan: Configuration, live: Live, stop: Stop | None) -> RunResult:
        figures = self._figures(live)
        reason, message = self._reason(live, stop, figures)
        exit_code = stop.exit_code if stop is not None and stop.reason == "exit" else None
        if stop is not None and stop.reason == "return":
            exit_code = 0
        return RunResult(
            configuration=plan, **figures, stop_reason=reason, message=message,
            exit_code=exit_code, console=bytes(live.console.kept),
        )  # fmt: skip

    def _reason(self, live: Live, stop: Stop | None, figures: dict[str, Any]) -> tuple[str, str]:
        if stop is None:
            return "interrupted", f"interrupted {self._place(live.machine.register('pc'))}"
        if stop.reason == "exit":
            return "exit", f"the firmware ended with exit code {stop.exit_code}"
        if stop.reason == "return":
            return "return", "the entry function returned"
        if stop.reason == "waiting":
            return "waiting", f"the firmware {stop.detail}, and none ever comes"
        where = self._place(stop.pc)
        if live.capture.stop_reason == "instructions":
            limit, count = live.max_instructions or 0, figures["instructions"]
            return "max_instructions", (
                f"limit of {format_count(limit)} instructions reached "
                f"after {format_count(count)} {where}"
            )
        if live.capture.stop_reason == "cycles":
            limit, count = live.max_cycles or 0, figures["cycles"]
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


def _found(checker: Checker | None) -> dict[str, Any]:
    """Return the fields of a result that come from the sanitizer."""
    if checker is None:
        return {}
    return {"findings": checker.findings, "usage": checker.usage}
