"""Firmware under test: what `m7.build` and `m7.load` give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from m7sim.errors import CheckError
from m7sim.profile.result import CallResult, Result, RunResult
from m7sim.regress.workshop import Places
from m7sim.session import Firmware

if TYPE_CHECKING:
    from m7sim.board import Board
    from m7sim.core import Core
    from m7sim.elf import Image
    from m7sim.machine import Machine

R = TypeVar("R", bound=Result)


class SanitizerFailed(CheckError):
    """Accesses that the sanitizer objects to; ``findings`` has all of them."""

    def __init__(self, what: str, findings: tuple[Any, ...]) -> None:
        super().__init__(what)
        self.findings = findings


class TestedFirmware:
    """An ELF on a board, as `m7sim.Firmware`, with the settings of the test.

    Everything that `Firmware` has can be used here as well.

    Attributes
    ----------
    elf : Path
    firmware : Firmware
    flags : str
        What it was compiled with; "" for an ELF that was given.
    placement : str
        As chosen for the test; "" is as linked.
    """

    __test__ = False  # not for pytest to collect

    def __init__(
        self,
        firmware: Firmware,
        *,
        flags: str = "",
        places: Places | None = None,
        sanitize: Any = False,
        on_result: Callable[[Result], None] = lambda result: None,
    ) -> None:
        self.firmware, self.flags = firmware, flags
        self.placement = places.name if places else ""
        self._places, self._sanitize, self._on_result = places, sanitize, on_result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.firmware, name)

    @property
    def elf(self) -> Path:
        return Path(self.firmware.image.path)

    @property
    def image(self) -> Image:
        return self.firmware.image

    @property
    def board(self) -> Board:
        return self.firmware.board

    @property
    def core(self) -> Core:
        return self.firmware.core

    @property
    def machine(self) -> Machine:
        return self.firmware.machine

    def call(self, name: str | int, *arguments: Any, **options: Any) -> CallResult:
        """Call a function; see `Firmware.call`.

        With a placement, arrays behind pointers to const go where it puts ``weights``, all others
        where it puts ``activations``; a parameter's own name goes before both, and ``place=`` of
        the call before the placement.

        Raises
        ------
        SanitizerFailed
            If the session sanitizes and there are findings. With ``sanitize=`` given here they are
            in the result only.
        """
        if self._places is not None and "place" not in options:
            options["place"] = self._regions(name)
        asked = "sanitize" in options
        if self._sanitize and not asked:
            options["sanitize"] = self._sanitize
        result = self.firmware.call(name, *arguments, **options)
        return self._seen(result, raising=not asked)

    def run(self, *arguments: Any, **options: Any) -> RunResult:
        """Run from reset or from an entry; see `Firmware.run` and, for findings, `call`."""
        asked = "sanitize" in options
        if self._sanitize and not asked:
            options["sanitize"] = self._sanitize
        return self._seen(self.firmware.run(*arguments, **options), raising=not asked)

    def _seen(self, result: R, *, raising: bool) -> R:
        self._on_result(result)
        findings = tuple(getattr(result, "findings", ()))
        if raising and findings:
            count = f"{len(findings)} finding{'s' * (len(findings) > 1)}"
            text = "\n".join(str(finding) for finding in findings)
            entry = result.configuration.entry
            raise SanitizerFailed(f"{count} of the sanitizer in {entry}:\n{text}", findings)
        return result

    def _regions(self, name: str | int) -> dict[str, str] | str:
        assert self._places is not None
        prototype = self.image.prototype(name)
        if prototype is None:
            return self._places.regions(self.board, {"": "activations"})[""]
        roles = {}
        for parameter in prototype.parameters:
            ctype = parameter.type
            if ctype.kind in ("pointer", "array") and parameter.name:
                roles[parameter.name] = "weights" if ctype.target_const else "activations"
        return self._places.regions(self.board, roles)
