"""What this package needs of the machine's engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from m7sim.trace.direct import Registers
from m7sim.trace.sites import HookOwner


class Engine(HookOwner, Registers, Protocol):
    """What capture needs of it."""

    fault_pc: int | None
    ask: Callable[[], None] | None

    @property
    def reg_read_batch_address(self) -> int: ...
    @property
    def core_register_ids(self) -> tuple[int, ...]: ...

    def flush_translations(self) -> None: ...
    def restart_block(self, address: int, size_bytes: int) -> None: ...
    def stop(self) -> None: ...
    @property
    def signalled(self) -> bool: ...
    def read(self, address: int, size_bytes: int) -> bytes: ...
    def read_epsr(self) -> int: ...
    def read_pc(self) -> int: ...
