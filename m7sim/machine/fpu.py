"""Double precision, which the engine's Cortex-M7 lacks.

The engine stops at such an instruction; a native callback completes it and lets it go on behind.
The instruction is executed, with the registers it reads, by a second engine of the A profile,
whose FPU has the same instructions in the same encodings: results, rounding modes, NaNs and
cumulative flags are those of its software floating point. The commonest operations on ordinary
numbers are done by the host's FPU when that cannot be told apart.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m7sim.errors import InputError
from m7sim.isa import decode
from m7sim.isa.instruction import Instruction
from m7sim.isa.registers import FLAGS, S0
from m7sim.machine import fpu_host as host
from m7sim.machine import fpu_native as native
from m7sim.machine.engine import REGISTER_IDS, Engine, application_engine, c_function
from m7sim.machine.hostmemory import EXECUTE, READ

_CODE_START, _CODE_BYTES, _SLOT_BYTES = 0x1000, 1 << 16, 8
_SLOW = ctypes.CFUNCTYPE(ctypes.c_int32, *(ctypes.c_int64,) * 4)
_MOST_KEYS = _CODE_BYTES // _SLOT_BYTES
_D0 = [REGISTER_IDS[f"d{n}"] for n in range(16)]


class DoubleUnit:
    """Completes the double-precision instructions of an engine.

    Each distinct instruction gets a place in the second engine's code when it is first met.

    Raises
    ------
    RuntimeError
        If the engine refuses the hook.
    """

    def __init__(self, engine: Engine) -> None:
        self._code = _pages(_CODE_BYTES)
        self._fpu: Any = _open_fpu(self._code)
        self._state = np.zeros(native.STATE_WORDS, np.int64)
        self._keys = np.zeros(2 * _MOST_KEYS, np.int32)
        self._rows = np.zeros(2 * _MOST_KEYS, np.int32)
        self._table = np.zeros((_MOST_KEYS, native.ROW_WORDS), np.int32)
        self._used = 0
        self._values = np.zeros(native.N_VALUES, np.int64)
        self._pointers = self._values.ctypes.data + 8 * np.arange(native.N_VALUES, dtype=np.int64)
        self._fetched = np.zeros(2, np.int32)
        self._core_ids = np.array([REGISTER_IDS["pc"], REGISTER_IDS["epsr"]], np.int32)
        me = weakref.ref(self)  # the callback must not keep this alive

        def meet(key: int, *_: int) -> int:
            unit = me()
            return -1 if unit is None else unit._meet(key)

        self._slow = _SLOW(meet)
        for word, array in (
            (native.KEYS, self._keys), (native.ROWS, self._rows), (native.TABLE, self._table),
            (native.FETCHED, self._fetched), (native.VALUES, self._values),
            (native.POINTERS, self._pointers), (native.CORE_IDS, self._core_ids),
            (native.STARTED, engine.started),
        ):  # fmt: skip
            self._state[word] = array.ctypes.data
        for word, function in (
            (native.READ_BATCH, "uc_reg_read_batch"), (native.WRITE_BATCH, "uc_reg_write_batch"),
            (native.MEMORY_READ, "uc_mem_read"), (native.START, "uc_emu_start"),
        ):  # fmt: skip
            self._state[word] = c_function(function)
        self._state[native.SLOW] = ctypes.cast(self._slow, ctypes.c_void_p).value or 0
        self._state[native.ENGINE] = engine.handle
        self._state[native.FPU] = self._fpu._uch.value
        self._state[native.MASK] = self._keys.size - 1
        engine.double_unit = self
        engine.hook_add_native("invalid", native.on_invalid.address, self._state.ctypes.data)

    @property
    def executed(self) -> int:
        """Double-precision instructions executed so far."""
        return int(self._state[native.EXECUTED])

    @property
    def executed_by_host(self) -> int:
        """Those of `executed` that the host's FPU did."""
        return int(self._state[native.EXECUTED_BY_HOST])

    def _meet(self, key: int) -> int:
        """Make room for an instruction met for the first time; -1: not one of this unit."""
        data = (key & 0xFFFF_FFFF).to_bytes(4, "little")
        try:
            instruction = decode(data, 0)
        except InputError:
            return -1
        if not instruction.klass.endswith("_d") or self._used == _MOST_KEYS:
            return -1
        row = self._used
        self._used += 1
        first = row * _SLOT_BYTES
        self._code[first : first + 4] = np.frombuffer(data, np.uint8)
        self._table[row] = _row(instruction, _CODE_START + first)
        mask = self._keys.size - 1
        slot = (key >> 16 ^ key * 5) & mask
        while self._keys[slot]:
            slot = (slot + 1) & mask
        self._keys[slot], self._rows[slot] = key, row
        return row


_ARITHMETIC = {
    "vmov": host.COPY, "vneg": host.NEGATE, "vabs": host.ABSOLUTE, "vadd": host.ADD,
    "vsub": host.SUBTRACT, "vmul": host.MULTIPLY, "vnmul": host.NEGATED_MULTIPLY,
    "vdiv": host.DIVIDE, "vsqrt": host.SQUARE_ROOT, "vcmp": host.COMPARE, "vcmpe": host.COMPARE,
    "vfma": host.FMA, "vfms": host.FMS, "vfnma": host.FNMA, "vfnms": host.FNMS,
    "vmla": host.MLA, "vmls": host.MLS, "vnmla": host.NMLA, "vnmls": host.NMLS,
}  # fmt: skip
_CONVERSIONS = {
    "vcvt.f64.s32": host.FROM_S32, "vcvt.f64.u32": host.FROM_U32, "vcvt.s32.f64": host.TO_S32,
    "vcvt.u32.f64": host.TO_U32, "vcvt.f32.f64": host.TO_SINGLE, "vcvt.f64.f32": host.FROM_SINGLE,
}  # fmt: skip


def _row(instruction: Instruction, code: int) -> NDArray[np.int32]:
    read = [register for register, _ in instruction.reads]
    written = [register for register, _ in instruction.writes]
    # the destination goes in as well: a single register is half of what is copied
    sources = sorted({(r - S0) // 2 for r in read + written if S0 <= r < S0 + 32})
    results = sorted({(r - S0) // 2 for r in written if S0 <= r < S0 + 32})
    ids_in = [REGISTER_IDS["fpscr"], *(_D0[n] for n in sources)]
    if FLAGS in read:
        ids_in.append(REGISTER_IDS["apsr_nzcv"])
    ids_out = [*(_D0[n] for n in results), REGISTER_IDS["fpscr"]]
    row = np.zeros(native.ROW_WORDS, np.int32)
    row[native.CODE], row[native.N_IN], row[native.N_OUT] = code, len(ids_in), len(ids_out)
    row[native.IDS_IN : native.IDS_IN + len(ids_in)] = ids_in
    ids_back = [*ids_out, REGISTER_IDS["pc"], REGISTER_IDS["epsr"]]
    row[native.IDS_OUT : native.IDS_OUT + len(ids_back)] = ids_back

    def place(register: int) -> int:
        return 1 + sources.index((register - S0) // 2) + host.HIGH_HALF * (register & 1)

    words = instruction.text.split()
    if words[0] in _CONVERSIONS and len(words) == 3:  # a third operand: fixed point
        row[native.OPERATION] = _CONVERSIONS[words[0]]
        row[native.LEFT], row[native.LAST] = place(read[0]), place(written[0])
    elif words[0].removesuffix(".f64") in _ARITHMETIC and "fp_move_constant" not in (
        instruction.klass
    ):
        row[native.OPERATION] = _ARITHMETIC[words[0].removesuffix(".f64")]
        operands = [place(r) for r in read[::2]]
        if row[native.OPERATION] == host.COMPARE:
            operands += [native.ZERO] * (2 - len(operands))
        row[native.LEFT], row[native.RIGHT] = operands[0], operands[min(1, len(operands) - 1)]
        row[native.LAST] = operands[-1]
    return row


def _open_fpu(code: NDArray[np.uint8]) -> Any:
    """Return the second engine, with its FPU on and no memory but the code."""
    uc = application_engine()
    uc.mem_map_ptr(_CODE_START, code.size, READ | EXECUTE, code.ctypes.data)
    uc.reg_write(REGISTER_IDS["c1_c0_2"], 0xF << 20)  # CPACR: coprocessors 10 and 11
    uc.reg_write(REGISTER_IDS["fpexc"], 1 << 30)
    return uc


def _pages(size_bytes: int) -> NDArray[np.uint8]:
    """Return page-aligned memory: the engine maps whole pages."""
    spare = np.zeros(size_bytes + 4096, np.uint8)
    first = -spare.ctypes.data % 4096
    return spare[first : first + size_bytes]
