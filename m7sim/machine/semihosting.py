"""Semihosting (``BKPT 0xAB``): console, files, clock, command line, exit.

After Arm's "Semihosting for AArch32 and AArch64", version 2.0. Time is modelled time, never the
host's: the same program prints the same whenever it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Protocol

from m7sim.errors import FirmwareError, InputError
from m7sim.machine.hostfiles import EINVAL, HostError, HostFiles

_FAILED = 0xFFFF_FFFF
_LONGEST_STRING_BYTES = 1 << 16
_APPLICATION_EXIT = 0x2_0026  # ADP_Stopped_ApplicationExit


class Operation(IntEnum):
    """Operation numbers, as in r0."""

    OPEN = 0x01
    CLOSE = 0x02
    WRITEC = 0x03
    WRITE0 = 0x04
    WRITE = 0x05
    READ = 0x06
    READC = 0x07
    ISERROR = 0x08
    ISTTY = 0x09
    SEEK = 0x0A
    FLEN = 0x0C
    TMPNAM = 0x0D
    REMOVE = 0x0E
    RENAME = 0x0F
    CLOCK = 0x10
    TIME = 0x11
    SYSTEM = 0x12
    ERRNO = 0x13
    GET_CMDLINE = 0x15
    HEAPINFO = 0x16
    EXIT = 0x18
    EXIT_EXTENDED = 0x20
    ELAPSED = 0x30
    TICKFREQ = 0x31


class Memory(Protocol):
    """What semihosting needs of the machine."""

    def read(self, address: int, size_bytes: int) -> bytes: ...
    def write(self, address: int, data: bytes) -> None: ...


class Exit(Exception):
    """The firmware asked to end."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class StreamConsole:
    """Console on binary streams; what goes to no stream is kept in ``output``."""

    def __init__(
        self,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
        stdin: IO[bytes] | None = None,
    ) -> None:
        self.stdout, self.stderr, self.stdin = stdout, stderr, stdin
        self.output = bytearray()

    def write(self, data: bytes, error: bool = False) -> None:
        stream = self.stderr if error and self.stderr is not None else self.stdout
        if stream is None:
            self.output += data
        else:
            stream.write(data)
            stream.flush()

    def read(self, size_bytes: int) -> bytes:
        """Return up to a line, as a terminal does."""
        return b"" if self.stdin is None else self.stdin.readline(size_bytes)


@dataclass
class Semihosting:
    """Serves the calls of one machine.

    Parameters
    ----------
    clock_hz, cycles
        Clock of the core, and a function that returns the modelled cycles so far.
    stack_top
        Returned by SYS_HEAPINFO; the heap is left to the firmware's own linker symbols.
    """

    memory: Memory
    files: HostFiles
    clock_hz: int
    cycles: Callable[[], int]
    arguments: str = ""
    stack_top: int = 0
    errno: int = 0

    def handle(self, number: int, argument: int) -> int:
        """Serve one call: r0 and r1 in, r0 out.

        Raises
        ------
        Exit
            When the firmware asks to end.
        FirmwareError
            For an unknown operation or a buffer outside memory.
        """
        try:
            operation = Operation(number)
        except ValueError:
            raise FirmwareError(f"unknown semihosting operation 0x{number:x}") from None
        serve = getattr(self, f"_{operation.name.lower()}")
        try:
            result: int = serve(argument)
        except HostError as error:
            self.errno = error.number
            return _FAILED
        except InputError as error:
            raise FirmwareError(
                f"semihosting SYS_{operation.name} with a buffer outside memory ({error})"
            ) from error
        return result & 0xFFFF_FFFF

    # Arguments -----------------------------------------------------------------------------

    def _words(self, address: int, count: int) -> list[int]:
        data = self.memory.read(address, 4 * count)
        return [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(count)]

    def _text(self, address: int, size_bytes: int) -> str:
        if size_bytes > _LONGEST_STRING_BYTES:
            raise HostError(EINVAL)
        return self.memory.read(address, size_bytes).decode("utf-8", "surrogateescape")

    # Console and files ---------------------------------------------------------------------

    def _open(self, argument: int) -> int:
        name, mode, length = self._words(argument, 3)
        return self.files.open(self._text(name, length), mode)

    def _close(self, argument: int) -> int:
        return self.files.close(self._words(argument, 1)[0])

    def _writec(self, argument: int) -> int:
        self.files.console.write(self.memory.read(argument, 1))
        return 0

    def _write0(self, argument: int) -> int:
        text = bytearray()
        while len(text) < _LONGEST_STRING_BYTES:
            byte = self.memory.read(argument + len(text), 1)
            if byte == b"\0":
                break
            text += byte
        self.files.console.write(bytes(text))
        return 0

    def _write(self, argument: int) -> int:
        handle, buffer, length = self._words(argument, 3)
        return self.files.write(handle, self.memory.read(buffer, length))

    def _read(self, argument: int) -> int:
        handle, buffer, length = self._words(argument, 3)
        if length:
            self.memory.read(buffer, length)  # the whole buffer must exist before input is taken
        data = self.files.read(handle, length)
        self.memory.write(buffer, data)
        return length - len(data)

    def _readc(self, _argument: int) -> int:
        data = self.files.console.read(1)
        return data[0] if data else _FAILED

    def _iserror(self, argument: int) -> int:
        return self._words(argument, 1)[0] >> 31

    def _istty(self, argument: int) -> int:
        return int(self.files.is_tty(self._words(argument, 1)[0]))

    def _seek(self, argument: int) -> int:
        handle, position = self._words(argument, 2)
        return self.files.seek(handle, position)

    def _flen(self, argument: int) -> int:
        return self.files.length(self._words(argument, 1)[0])

    def _tmpnam(self, argument: int) -> int:
        buffer, number, length = self._words(argument, 3)
        name = f"m7sim-{number & 0xFF:03d}.tmp\0".encode()
        if len(name) > length:
            raise HostError(EINVAL)
        self.memory.write(buffer, name)
        return 0

    def _remove(self, argument: int) -> int:
        name, length = self._words(argument, 2)
        return self.files.remove(self._text(name, length))

    def _rename(self, argument: int) -> int:
        old, old_length, new, new_length = self._words(argument, 4)
        return self.files.rename(self._text(old, old_length), self._text(new, new_length))

    def _system(self, _argument: int) -> int:
        raise HostError(EINVAL)  # no firmware runs commands on the host

    def _errno(self, _argument: int) -> int:
        return self.errno

    # Time ----------------------------------------------------------------------------------

    def _clock(self, _argument: int) -> int:
        return 100 * self.cycles() // self.clock_hz

    def _time(self, _argument: int) -> int:
        return self.cycles() // self.clock_hz  # the run begins at the epoch

    def _elapsed(self, argument: int) -> int:
        self.memory.write(argument, self.cycles().to_bytes(8, "little"))
        return 0

    def _tickfreq(self, _argument: int) -> int:
        return self.clock_hz

    # Program -------------------------------------------------------------------------------

    def _get_cmdline(self, argument: int) -> int:
        buffer, size_bytes = self._words(argument, 2)
        text = self.arguments.encode()
        if len(text) + 1 > size_bytes:
            raise HostError(EINVAL)
        self.memory.write(buffer, text + b"\0")
        self.memory.write(argument + 4, len(text).to_bytes(4, "little"))
        return 0

    def _heapinfo(self, argument: int) -> int:
        block = self._words(argument, 1)[0]
        values = (0, 0, self.stack_top, 0)  # heap base and limit, stack base and limit; 0: yours
        self.memory.write(block, b"".join(value.to_bytes(4, "little") for value in values))
        return 0

    def _exit(self, argument: int) -> int:
        raise Exit(0 if argument == _APPLICATION_EXIT else 1)

    def _exit_extended(self, argument: int) -> int:
        reason, code = self._words(argument, 2)
        if reason != _APPLICATION_EXIT:
            raise Exit(1)
        raise Exit(code - (1 << 32) if code >> 31 else code)
