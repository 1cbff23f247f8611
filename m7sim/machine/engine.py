"""The one place where Unicorn is met: memory, registers, native hooks, execution.

Nothing here knows about ELF files, calls or semihosting; see :mod:`m7sim.machine.machine`.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import unicorn
from unicorn import arm_const, unicorn_const
from unicorn.unicorn_py3.unicorn import UcError, uclib

from m7sim.errors import InputError
from m7sim.isa import decode
from m7sim.machine.hostmemory import MappedMemory
from m7sim.machine.watch import InterruptWatch

_unicorn: Any = unicorn  # its Python side has no types

_HOOKS: dict[str, int] = {
    "block": unicorn_const.UC_HOOK_BLOCK,
    "code": unicorn_const.UC_HOOK_CODE,
    "read": unicorn_const.UC_HOOK_MEM_READ,
    "write": unicorn_const.UC_HOOK_MEM_WRITE,
    "translation": unicorn_const.UC_HOOK_EDGE_GENERATED,
    "invalid": unicorn_const.UC_HOOK_INSN_INVALID,
}

StopKind = Literal["until", "exception", "memory", "instruction", "waiting", "stopped"]
AccessKind = Literal["read", "write", "fetch"]

_ACCESS: dict[int, tuple[AccessKind, bool]] = {  # kind, and whether something is mapped there
    unicorn_const.UC_MEM_READ_UNMAPPED: ("read", False),
    unicorn_const.UC_MEM_WRITE_UNMAPPED: ("write", False),
    unicorn_const.UC_MEM_FETCH_UNMAPPED: ("fetch", False),
    unicorn_const.UC_MEM_READ_PROT: ("read", True),
    unicorn_const.UC_MEM_WRITE_PROT: ("write", True),
    unicorn_const.UC_MEM_FETCH_PROT: ("fetch", True),
}

# Exception numbers of the engine's M-profile CPU.
SVC, PREFETCH_ABORT, BREAKPOINT, EXCEPTION_RETURN = 2, 3, 7, 8

THUMB_BIT = 1 << 24  # of XPSR
_CALLER = 0xCA11_0000  # marks of preserved registers; no byte is one that stacks are painted with
IT_BITS = 0x0600_FC00  # of XPSR: what is left of an IT block (Armv7-M ARM B1.4.2)

# WFE and YIELD make the engine report an invalid instruction, WFI makes it return, each with the pc
# behind the instruction. Architecturally all three may do nothing.
_WFI = (b"\x30\xbf", b"\xaf\xf3\x03\x80")
_YIELD = (b"\x10\xbf", b"\x20\xbf", b"\xaf\xf3\x01\x80", b"\xaf\xf3\x02\x80")


def _register_ids() -> dict[str, int]:
    names = [f"r{n}" for n in range(13)] + ["sp", "lr", "pc", "xpsr", "fpscr", "msp", "psp"]
    names += ["control", "primask", "basepri", "faultmask", "epsr", "apsr_nzcv"]
    names += [f"s{n}" for n in range(32)] + [f"d{n}" for n in range(16)] + ["c1_c0_2", "fpexc"]
    return {name: getattr(arm_const, f"UC_ARM_REG_{name.upper()}") for name in names}


REGISTER_IDS = _register_ids()


@dataclass(frozen=True, slots=True)
class EngineStop:
    """Why :meth:`Engine.run` came back.

    ``waiting`` is WFI. ``exception`` has its number; ``memory`` its access, address and size.
    """

    kind: StopKind
    pc: int
    exception: int = 0
    access: AccessKind = "read"
    address: int = 0
    size_bytes: int = 0
    mapped: bool = False  # something is there, but not for this kind of access


class Engine(MappedMemory):
    """A Cortex-M7 that executes what lies in its memory.

    Attributes
    ----------
    handle : int
        The ``uc_engine *`` for native code.
    reg_read_batch_address, emu_stop_address : int
        Addresses of the C functions ``uc_reg_read_batch`` and ``uc_emu_stop``.
    core_register_ids, float_register_ids : tuple[int, ...]
        The engine's numbers of r0 … r15 and of s0 … s31.
    """

    def __init__(self) -> None:
        mode = unicorn_const.UC_MODE_THUMB | unicorn_const.UC_MODE_MCLASS
        super().__init__(_unicorn.Uc(unicorn_const.UC_ARCH_ARM, mode), UcError)
        self._uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M7)
        self._uch: Any = self._uc._uch
        self.handle: int = self._uc._uch.value
        self.reg_read_batch_address = _address_of(uclib.uc_reg_read_batch)
        self.emu_stop_address = _address_of(uclib.uc_emu_stop)
        self.core_register_ids = tuple(
            REGISTER_IDS[name] for name in [f"r{n}" for n in range(13)] + ["sp", "lr", "pc"]
        )
        self.float_register_ids = tuple(REGISTER_IDS[f"s{n}"] for n in range(32))
        self._watch = InterruptWatch(_stopper(uclib, self._uch))
        self._exception: int | None = None
        self._fault: tuple[AccessKind, bool, int, int] | None = None
        self.fault_pc: int | None = None  # instruction whose access ended the last run
        self._error: BaseException | None = None
        self._restart: tuple[int, int] | None = None
        self._stopped = False
        self._thread = 0
        self.started = np.zeros(1, np.int64)  # where execution was last started
        self.double_unit: object = None  # what completes such instructions, if anything
        self.unexecuted_block: Callable[[], object] | None = None
        self.ask: Callable[[], None] | None = None  # a recorder's: return to Python soon
        self._core_registers: tuple[int, ...] = ()
        me = weakref.ref(self)  # Unicorn holds its callbacks: no cycle through them
        self._uc.hook_add(unicorn_const.UC_HOOK_INTR, _on_exception(me))
        self._uc.hook_add(unicorn_const.UC_HOOK_MEM_INVALID, _on_fault(me))
        self._initial = self._uc.context_save()

    # Registers -----------------------------------------------------------------------------

    def read_register(self, name: str) -> int:
        value: int = self._uc.reg_read(REGISTER_IDS[name])
        return value

    def write_register(self, name: str, value: int) -> None:
        self._uc.reg_write(REGISTER_IDS[name], value)

    def read_pc(self) -> int:
        return self.read_register("pc")

    def read_epsr(self) -> int:
        value: int = self._uc.reg_read(arm_const.UC_ARM_REG_EPSR)
        return value

    def reset_registers(self) -> None:
        self._uc.context_restore(self._initial)

    def mark_preserved(self) -> None:
        """Give the registers that functions preserve values that tell where they come from."""
        for number in range(4, 12):
            self.write_register(f"r{number}", _CALLER | number)
        for number in range(16, 32):
            self.write_register(f"s{number}", _CALLER | 0x50 << 8 | number)

    # Hooks for native code -----------------------------------------------------------------

    def hook_add_native(
        self, kind: str, function_address: int, user_data: int, begin: int = 1, end: int = 0
    ) -> int:
        """Have a C function called; addresses from ``begin`` to ``end`` inclusive, default all.

        Parameters
        ----------
        kind
            ``block``, ``code``, ``read``, ``write`` or ``translation``.
        function_address, user_data
            Addresses of the callback (with Unicorn's signature for the kind) and of its data.

        Returns
        -------
        int: number for :meth:`hook_del`.
        """
        hook = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            self._uch, ctypes.byref(hook), _HOOKS[kind],
            ctypes.c_void_p(function_address), ctypes.c_void_p(user_data),
            ctypes.c_uint64(begin), ctypes.c_uint64(end),
        )  # fmt: skip
        if status != unicorn_const.UC_ERR_OK:
            raise RuntimeError(f"uc_hook_add({kind}): {uclib.uc_strerror(status).decode()}")
        return hook.value

    def hook_del(self, hook: int) -> None:
        uclib.uc_hook_del(self._uch, hook)

    def flush_translations(self) -> None:
        """Forget all translated code: after hooks changed, or code was written from outside."""
        self._uc.ctl_flush_tb()

    # Execution -----------------------------------------------------------------------------

    def stop(self) -> None:
        """End :meth:`run`; from a block hook: before the block executes.

        From another thread, with a recorder: when that has called :meth:`restart_block`.
        """
        self._stopped = True
        if self.ask is not None and threading.get_ident() != self._thread:
            self.ask()
            return
        uclib.uc_emu_stop(self._uch)

    def fail(self, error: BaseException) -> None:
        """End :meth:`run` by an exception, from a callback."""
        self._error = self._error or error
        self.stop()

    def restart_block(self, address: int, size_bytes: int) -> None:
        """From a block hook: translate the block again and enter it again."""
        self._restart = (address, size_bytes)
        uclib.uc_emu_stop(self._uch)

    def run(self, pc: int, until: int) -> EngineStop:
        """Execute from ``pc`` (bit 0 ignored) until the pc is ``until`` or something happens.

        Signals are served: a ``KeyboardInterrupt`` leaves the pc at a block that did not execute.
        With a recorder (``ask``) they wait until it has called :meth:`restart_block`.
        """
        self._stopped = False
        self._thread = threading.get_ident()
        self._watch.take()
        while True:
            self._exception = self._fault = self._restart = self.fault_pc = None
            self.started[0] = pc
            with self._watch.armed(self.ask):
                status = uclib.uc_emu_start(self._uch, pc | 1, until, 0, 0)
            error, self._error = self._error, None
            interrupted = self._watch.take() and self.ask is None
            self._watch.serve()
            if error is not None:
                raise error
            at = self.read_pc()
            if self._restart is not None:
                first, size_bytes = self._restart
                self._uc.ctl_remove_cache(first, first + max(size_bytes, 2))
                if self._stopped:
                    return EngineStop("stopped", at)
            elif self._exception == PREFETCH_ABORT:  # the system map says execute never
                return EngineStop("memory", at, 0, "fetch", at, 2)
            elif self._exception is not None:
                return EngineStop("exception", at, exception=self._exception)
            elif self._fault is not None:
                access, mapped, address, size = self._fault
                if self.fault_pc is not None:
                    at = self.fault_pc
                    self._leave_it_block(at)
                return EngineStop("memory", at, 0, access, address, size, mapped)
            elif status != unicorn_const.UC_ERR_OK:
                if not self._follows(at, _YIELD) or (at == pc and not self._runs(at)):
                    return EngineStop("instruction", at)
            elif self._stopped:
                return EngineStop("stopped", at)
            elif at == until:
                return EngineStop("until", at)
            elif interrupted:
                if self.unexecuted_block is not None:
                    self.unexecuted_block()
            else:
                return EngineStop("waiting" if self._follows(at, _WFI) else "stopped", at)
            pc = at

    @property
    def signalled(self) -> bool:
        """Whether a signal or another thread waits for the run to come back."""
        return bool(self._watch.held) or self._stopped

    def _leave_it_block(self, pc: int) -> None:
        """After a fault: registers as they were, and nothing of an IT block for the next run.

        The engine runs on to the end of an IT block, and what it stored there stays.
        """
        for register, value in zip(self.core_register_ids[:15], self._core_registers, strict=True):
            self._uc.reg_write(register, value)
        self.write_register("xpsr", self.read_register("xpsr") & ~IT_BITS)
        self.write_register("pc", pc | 1)

    def _runs(self, pc: int) -> bool:
        """Whether the engine executes the instruction there: else it may have stopped for that."""
        try:
            klass = decode(self.read(pc, 4), pc).klass
        except InputError:
            return False
        return klass != "undefined" and (self.double_unit is not None or not klass.endswith("_d"))

    def _follows(self, pc: int, instructions: tuple[bytes, ...]) -> bool:
        try:
            before = self.read(pc - 4, 4)
        except InputError:
            return False
        return before.endswith(instructions)

    def close(self) -> None:
        """End the signal thread; memory is freed with the object."""
        self._watch.close()


def c_function(name: str) -> int:
    """Return the address of a function of the engine's C library."""
    return _address_of(getattr(uclib, name))


def application_engine() -> Any:
    """Return a bare Unicorn of the A profile: its FPU has double precision."""
    uc = _unicorn.Uc(unicorn_const.UC_ARCH_ARM, unicorn_const.UC_MODE_THUMB)
    uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_MAX)
    return uc


def _address_of(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _stopper(library: Any, handle: Any) -> Callable[[], None]:
    def stop() -> None:
        library.uc_emu_stop(handle)

    return stop


def _on_exception(me: weakref.ref[Engine]) -> Callable[..., None]:
    def callback(_uc: Any, number: int, _data: Any) -> None:
        if (engine := me()) is not None:
            engine._exception = number
            uclib.uc_emu_stop(engine._uch)

    return callback


def _on_fault(me: weakref.ref[Engine]) -> Callable[..., bool]:
    def callback(_uc: Any, kind: int, address: int, size: int, _value: int, _data: Any) -> bool:
        if (engine := me()) is not None:
            access, mapped = _ACCESS[kind]
            if engine._fault is not None:  # behind a fault in an IT block
                return False
            engine._fault = (access, mapped, address, size)
            if access != "fetch":  # only here is it exact: in IT blocks the engine runs on
                engine.fault_pc = engine.read_pc()
                ids = engine.core_register_ids[:15]
                engine._core_registers = tuple(engine._uc.reg_read(number) for number in ids)
        return False

    return callback
