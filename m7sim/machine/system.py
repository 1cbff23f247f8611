"""Registers of the core (SCB, SysTick, DWT, NVIC, MPU, ITM) and the ready bits of the chip.

Enough for start-up code, cycle counters and cache switches. Interrupts are never taken. Values
that are not listed read back what was written. Sources: Armv7-M ARM B3.2, Cortex-M7 TRM
(DDI0489) chapters 3 to 5 and 11; identification registers as printed there.
"""

from __future__ import annotations

from collections.abc import Callable

from m7sim.board import Board, Cache
from m7sim.machine.events import CACHES, MAINTENANCE, MPU, MemoryEvent

PPB_START, PPB_BYTES = 0xE000_0000, 0x10_0000

_STIMULUS_END = 0xE000_0080
_DWT_CTRL, _DWT_CYCCNT = 0xE000_1000, 0xE000_1004
_SYST_CSR, _SYST_RVR, _SYST_CVR, _SYST_CALIB = (0xE000_E010 + 4 * i for i in range(4))
_NVIC_ENABLE, _NVIC_CLEAR_ENABLE = range(0xE000_E100, 0xE000_E140), range(0xE000_E180, 0xE000_E1C0)
_NVIC_PEND, _NVIC_CLEAR_PEND = range(0xE000_E200, 0xE000_E240), range(0xE000_E280, 0xE000_E2C0)
_CPUID, _ICSR, _VTOR, _AIRCR = 0xE000_ED00, 0xE000_ED04, 0xE000_ED08, 0xE000_ED0C
_CCR = 0xE000_ED14
_CCSIDR, _CSSELR, _CPACR = 0xE000_ED80, 0xE000_ED84, 0xE000_ED88
_MPU_RNR, _MPU_RBAR, _MPU_RASR, _MPU_END = 0xE000_ED98, 0xE000_ED9C, 0xE000_EDA0, 0xE000_EDBC
_DEMCR = 0xE000_EDFC
_MVFR0, _MVFR1 = 0xE000_EF40, 0xE000_EF44
_MPU_TYPE, _MPU_CTRL = 0xE000_ED90, 0xE000_ED94

_CYCCNTENA, _TRCENA = 1, 1 << 24
_SYST_ENABLE, _COUNTFLAG, _SYST_MASK = 1, 1 << 16, 0xFF_FFFF
_ICACHE_ON, _DCACHE_ON = 1 << 17, 1 << 16
_UNALIGN_TRP = 1 << 3  # of CCR
_AIRCR_KEY, _AIRCR_KEY_READ, _SYSRESETREQ = 0x05FA, 0xFA05 << 16, 1 << 2
_MPU_VALID = 1 << 4

# Reset values; the last three groups identify features and depend on no chip.
_RESET = {
    _DWT_CTRL: 0x4000_0000, _CCR: 0x0004_0200, _AIRCR: _AIRCR_KEY_READ, _MPU_TYPE: 0x800,
    0xE000_EDF0: 0x0000_0001,  # DHCSR: a debugger is there, namely the semihosting host
    0xE000_ED40: 0x0000_0030, 0xE000_ED44: 0x0000_0200, 0xE000_ED48: 0x0010_0000,
    0xE000_ED50: 0x0010_0030, 0xE000_ED58: 0x0100_0000,
    0xE000_ED60: 0x0110_1110, 0xE000_ED64: 0x0211_2000, 0xE000_ED68: 0x2023_2231,
    0xE000_ED6C: 0x0111_1131, 0xE000_ED70: 0x0131_0132,
    0xE000_ED78: 0x0900_0003, 0xE000_ED7C: 0x8303_C003,
    0xE000_EF34: 0xC000_0000,  # FPCCR
    _MVFR0: 0x1011_0021, _MVFR1: 0x1100_0011, 0xE000_EF48: 0x0000_0040,  # FPv5-SP
}  # fmt: skip
_READ_ONLY = {_CPUID, _CCSIDR, _MPU_TYPE, _SYST_CALIB} | {
    address for address in _RESET if 0xE000_ED40 <= address < 0xE000_ED80
} | {_MVFR0, _MVFR1, 0xE000_EF48}  # fmt: skip
# Cache and branch predictor maintenance: the functional machine has no caches, only the timing.
_MAINTENANCE = range(0xE000_EF50, 0xE000_EF7C)


class SystemRegisters:
    """The private peripheral bus.

    Parameters
    ----------
    board
        Its caches and CPUID are what the identification registers tell.
    cycles
        Returns modelled cycles: the clock of CYCCNT and SysTick.
    console
        Receives what is written to the ITM's stimulus ports.
    on_reset_request
        Called when the firmware asks for a system reset.

    Attributes
    ----------
    on_memory_event
        Told what the firmware does to caches and MPU, when set.
    on_rule_change
        Called before what accesses may do changes, by `traps_unaligned` or by the MPU, when set.
    """

    def __init__(
        self,
        board: Board,
        cycles: Callable[[], int],
        console: Callable[[bytes], None],
        on_reset_request: Callable[[], None],
    ) -> None:
        self._board, self._cycles, self._console = board, cycles, console
        self._on_reset_request = on_reset_request
        self.on_memory_event: Callable[[MemoryEvent], None] | None = None
        self.on_rule_change: Callable[[], None] | None = None
        self.reset()

    def reset(self, vector_table: int = 0) -> None:
        """Return to reset values; VTOR is the table that the boot address selects."""
        self._words = dict(_RESET)
        self._words[_CPUID] = self._board.cpuid
        if self._board.double_precision:
            self._words[_MVFR0], self._words[_MVFR1] = 0x1011_0221, 0x1200_0011
        self._words[_VTOR] = vector_table
        self._cyccnt = self._cyccnt_since = 0
        self._systick = self._systick_since = 0
        self._mpu: dict[int, tuple[int, int]] = {}

    @property
    def caches_on(self) -> tuple[bool, bool]:
        """Whether the firmware has switched the instruction and the data cache on."""
        ccr = self._words[_CCR]
        return bool(ccr & _ICACHE_ON), bool(ccr & _DCACHE_ON)

    @property
    def traps_unaligned(self) -> bool:
        """Whether the firmware wants every unaligned access to fault (CCR.UNALIGN_TRP)."""
        return bool(self._words[_CCR] & _UNALIGN_TRP)

    @property
    def mpu_on(self) -> bool:
        return bool(self._words.get(_MPU_CTRL, 0) & 1)

    @property
    def vector_table(self) -> int:
        return self._words[_VTOR]

    # Bus -----------------------------------------------------------------------------------

    def read(self, address: int, size_bytes: int) -> int:
        word = self._read_word(address & ~3)
        return word >> 8 * (address & 3) & ((1 << 8 * size_bytes) - 1)

    def write(self, address: int, size_bytes: int, value: int) -> None:
        if address < _STIMULUS_END:
            self._console((value & ((1 << 8 * size_bytes) - 1)).to_bytes(size_bytes, "little"))
            return
        word = address & ~3
        if size_bytes < 4:
            shift = 8 * (address & 3)
            mask = ((1 << 8 * size_bytes) - 1) << shift
            value = self._words.get(word, 0) & ~mask | value << shift & mask
        self._write_word(word, value & 0xFFFF_FFFF)

    def _read_word(self, address: int) -> int:
        if address < _STIMULUS_END:
            return 1  # the port takes data
        if address == _DWT_CYCCNT:
            return self._read_cyccnt()
        if address == _SYST_CVR:
            return self._read_systick()
        if address == _SYST_CSR:
            return self._read_systick_control()
        if address == _CCSIDR:
            instruction = self._words.get(_CSSELR, 0) & 1
            return _ccsidr(self._board.icache if instruction else self._board.dcache)
        if _MPU_RBAR <= address < _MPU_END:
            base, attributes = self._mpu.get(self._words.get(_MPU_RNR, 0), (0, 0))
            return base if (address - _MPU_RBAR) % 8 == 0 else attributes
        if address in _NVIC_CLEAR_ENABLE or address in _NVIC_CLEAR_PEND:
            address -= 0x80
        return self._words.get(address, 0)

    def _write_word(self, address: int, value: int) -> None:
        if address in _READ_ONLY:
            return
        if address in _MAINTENANCE:
            self._tell(MAINTENANCE, (address, value))
            return
        if address == _DWT_CYCCNT:
            self._cyccnt, self._cyccnt_since = value, self._cycles()
        elif address in (_DWT_CTRL, _DEMCR):
            self._cyccnt, self._cyccnt_since = self._read_cyccnt(), self._cycles()
            keep = 0xF000_0000 if address == _DWT_CTRL else 0
            self._words[address] = value & ~keep | self._words.get(address, 0) & keep
        elif _SYST_CSR <= address <= _SYST_CVR:
            self._write_systick(address, value)
        elif address in _NVIC_ENABLE or address in _NVIC_PEND:
            self._words[address] = self._words.get(address, 0) | value
        elif address in _NVIC_CLEAR_ENABLE or address in _NVIC_CLEAR_PEND:
            self._words[address - 0x80] = self._words.get(address - 0x80, 0) & ~value
        elif address == _AIRCR:
            if value >> 16 == _AIRCR_KEY:
                self._words[_AIRCR] = value & 0x700 | _AIRCR_KEY_READ
                if value & _SYSRESETREQ:
                    self._on_reset_request()
        elif _MPU_RBAR <= address < _MPU_END:
            if self.mpu_on:
                self._warn()
            self._write_mpu(address, value)
            if self.mpu_on:
                self._tell_mpu()
        elif address == _CCR:
            before = self.caches_on
            if (value ^ self._words[_CCR]) & _UNALIGN_TRP:
                self._warn()
            self._words[_CCR] = value
            if self.caches_on != before:
                self._tell(CACHES, (int(self.caches_on[0]), int(self.caches_on[1])))
        elif address == _MPU_CTRL:
            self._warn()
            self._words[_MPU_CTRL] = value & 7
            self._tell_mpu()
        else:
            self._words[address] = value

    def _warn(self) -> None:
        if self.on_rule_change is not None:
            self.on_rule_change()

    def _tell(self, kind: str, values: tuple[int, ...]) -> None:
        if self.on_memory_event is not None:
            self.on_memory_event(MemoryEvent(kind, values))

    def _tell_mpu(self) -> None:
        words = [word for number in sorted(self._mpu) for word in self._mpu[number]]
        self._tell(MPU, (self._words.get(_MPU_CTRL, 0), *words))

    # DWT -----------------------------------------------------------------------------------

    def _read_cyccnt(self) -> int:
        on = self._words[_DWT_CTRL] & _CYCCNTENA and self._words.get(_DEMCR, 0) & _TRCENA
        ran = self._cycles() - self._cyccnt_since if on else 0
        return (self._cyccnt + ran) & 0xFFFF_FFFF

    # SysTick: counts down from RVR to 0 and around; its clock is the core's ------------------

    def _systick_ran(self) -> int:
        on = self._words.get(_SYST_CSR, 0) & _SYST_ENABLE
        return self._cycles() - self._systick_since if on else 0

    def _read_systick(self) -> int:
        reload = self._words.get(_SYST_RVR, 0)
        ran = self._systick_ran()
        if ran <= self._systick:
            return self._systick - ran
        return reload - (ran - self._systick - 1) % (reload + 1)

    def _read_systick_control(self) -> int:
        control = self._words.get(_SYST_CSR, 0)
        wrapped = self._systick > 0 and self._systick_ran() >= self._systick
        self._settle_systick()
        self._words[_SYST_CSR] = control & ~_COUNTFLAG
        return control | (_COUNTFLAG if wrapped else 0)

    def _settle_systick(self) -> None:
        """Make the value at this cycle the new start of counting."""
        self._systick = self._read_systick()
        self._systick_since = self._cycles()

    def _write_systick(self, address: int, value: int) -> None:
        self._settle_systick()
        if address == _SYST_CVR:  # any write clears the count and the flag
            self._systick = 0
            self._words[_SYST_CSR] = self._words.get(_SYST_CSR, 0) & ~_COUNTFLAG
        elif address == _SYST_RVR:
            self._words[_SYST_RVR] = value & _SYST_MASK
        else:
            self._words[_SYST_CSR] = value & 7

    # MPU: stored, not enforced ---------------------------------------------------------------

    def _write_mpu(self, address: int, value: int) -> None:
        number = self._words.get(_MPU_RNR, 0)
        base, attributes = self._mpu.get(number, (0, 0))
        if (address - _MPU_RBAR) % 8 == 0:
            if value & _MPU_VALID:
                number = value & 0xF
                self._words[_MPU_RNR] = number
                attributes = self._mpu.get(number, (0, 0))[1]
            self._mpu[number] = (value & ~0x1F | number, attributes)
        else:
            self._mpu[number] = (base, value)

    @property
    def mpu_regions(self) -> dict[int, tuple[int, int]]:
        """Region number -> (RBAR, RASR) as the firmware has set them."""
        return dict(self._mpu)


def _ccsidr(cache: Cache) -> int:
    """Return the size register: all policies, sets - 1, ways - 1, log2 of line words - 2."""
    line = (cache.line_bytes // 4).bit_length() - 1 - 2
    return 0xF << 28 | (cache.sets - 1) << 13 | (cache.ways - 1) << 3 | line


class ReadyRegisters:
    """Pages of chip registers with status bits that follow control bits; the rest is memory."""

    def __init__(self, board: Board) -> None:
        self._rules = board.ready_rules
        touched = {r.register for r in self._rules} | {r.ready_register for r in self._rules}
        self.pages = sorted({address & ~0xFFF for address in touched})
        self._touched = touched
        self.reset()

    def reset(self) -> None:
        self._memory = {page: bytearray(0x1000) for page in self.pages}
        for rule in self._rules:
            self._set(rule.register, self._get(rule.register) | rule.reset_value)

    def read(self, address: int, size_bytes: int) -> int:
        data = self._memory[address & ~0xFFF]
        offset = address & 0xFFF
        return int.from_bytes(data[offset : offset + size_bytes], "little")

    def write(self, address: int, size_bytes: int, value: int) -> None:
        data = self._memory[address & ~0xFFF]
        offset = address & 0xFFF
        value &= (1 << 8 * size_bytes) - 1
        data[offset : offset + size_bytes] = value.to_bytes(size_bytes, "little")
        if address & ~3 in self._touched:
            self._follow(address & ~3)

    def _follow(self, register: int) -> None:
        for rule in self._rules:
            if rule.set_mask and register in (rule.register, rule.ready_register):
                ready = self._get(rule.ready_register) & ~rule.ready_mask
                if self._get(rule.register) & rule.set_mask:
                    ready |= rule.ready_mask
                self._set(rule.ready_register, ready)

    def _get(self, register: int) -> int:
        return self.read(register, 4)

    def _set(self, register: int, value: int) -> None:
        offset = register & 0xFFF
        self._memory[register & ~0xFFF][offset : offset + 4] = value.to_bytes(4, "little")
