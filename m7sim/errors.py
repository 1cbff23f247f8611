"""The error tree.

Every error a person can cause says what is wrong, where, and what to do; the command line prints
it in one line and exits with the code of its class.

| exit code | meaning |
| --- | --- |
| 0 | done; the firmware, if any, ended with 0 |
| 1 | a comparison, a check or a validation failed |
| 2 | the command, a file or an argument is not usable |
| 3 | the firmware went wrong: it faulted, jumped wild, or ended with another code than 0 |
| 4 | a limit was reached (``--max-instructions``, ``--max-cycles``) |
| 130 | interrupted with Ctrl-C |
"""

from __future__ import annotations

from typing import Any


class M7Error(Exception):
    """Root of all errors with a message for people.

    Parameters
    ----------
    what
        What is wrong, with the offending name or value.
    where
        File, key, symbol, address or ``file:line`` that it concerns.
    do
        What the person can do about it.
    """

    exit_code = 2
    # What the sanitizer found before, if it was asked, and what it counted.
    findings: tuple[Any, ...] = ()
    usage: Any = None

    def __init__(self, what: str, *, where: str = "", do: str = "") -> None:
        self.what, self.where, self.do = what, where, do
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.do}" if self.do else text


class InputError(M7Error):
    """A file, a name or an argument that cannot be used."""


class ElfError(InputError):
    """An ELF file that is damaged, of the wrong kind, or lacks something asked for."""


class TableError(InputError):
    """A TOML table (core, board, case) that breaks its schema."""


class UnmodelledError(InputError):
    """Instructions without a row in the core table: unknown timing, hence no total."""


class ToolError(InputError):
    """An external tool (the cross compiler) is missing or failed."""


class CheckError(M7Error):
    """A check or comparison did not hold."""

    exit_code = 1


class FirmwareError(M7Error):
    """The simulated code went wrong: a fault, a wild jump, an access to nothing.

    ``stop`` is the engine's own account of a fault, if that is what it was.
    """

    exit_code = 3
    stop: Any = None


class LimitError(M7Error):
    """A limit on instructions or cycles was reached."""

    exit_code = 4
