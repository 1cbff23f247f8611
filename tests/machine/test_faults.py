"""Firmware that goes wrong: what is said, where, and the exit code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim.errors import FirmwareError
from m7sim.machine import Machine

pytestmark = pytest.mark.toolchain

TEXT = (Path(__file__).parent / "programs" / "faults.c").read_text()


@pytest.fixture
def machine(start: Callable[..., Machine]) -> Machine:
    return start(TEXT, "-Wl,--undefined=keep")


def line_of(part: str) -> int:
    return next(i for i, line in enumerate(TEXT.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("load_unmapped", (), r"load_unmapped.*\.c:{load_unmapped}: load of 4 bytes at unmapped "
         r"address 0x30000000\. It is .* above the nearest region, SRAM2"),
        ("store_unmapped", (), r"store of 2 bytes at unmapped address 0x20050000.*SRAM2"),
        ("null_pointer", (None,), r"load of 4 bytes at unmapped address 0x00010000.*ITCM"),
        ("store_to_flash", (), r"store of 4 bytes at 0x08000100 in read-only FLASH"),
        ("sdram", (), r"0xc0000000 in SDRAM1, not switched on.*map_regions\('SDRAM1'\)"),
        ("wild_jump", (), r"from wild_jump.*: wild jump to 0x30000000, where nothing is mapped"),
        ("jump_to_peripheral", (), r"wild jump to 0x40000000, in APB1 .*, which is not executable"),
        ("even_address", (), r"even_address.*: jump to the even address 0x0800.* to Arm state"),
        ("undefined", (), r"undefined \(0x[0-9a-f]+\) at .*\.c:{__builtin_trap}: undefined "
         r"instruction udf #255"),
        ("undefined_wide", (), r"undefined_wide.*: undefined instruction e801 0000"),
        ("supervisor_call", (), r"supervisor_call.*supervisor call \(svc\).*not simulated"),
        ("breakpoint", (), r"breakpoint.*\.c:\d+: breakpoint instruction bkpt #1"),
        ("double_precision", (), r"double_precision.*double-precision instruction ee31 0b02.*"
         r"-mfpu=fpv5-sp-d16"),
        ("double_fused", (), r"double_fused.*double-precision instruction fe81 0b02"),
        ("bad_semihosting", (), r"bad_semihosting.*unknown semihosting operation 0x77"),
        ("bad_buffer", (), r"bad_buffer.*SYS_WRITE0 with a buffer outside memory.*0x30000000"),
        ("reset_request", (), r"asked for a system reset"),
        ("waits", (), r"waits: never returns: it waits for an interrupt at waits .*\.c:{wfi}"),
        ("leaves", (), r"leaves: ended the program with exit code 7 instead of returning"),
        ("exception_return", (), r"exception return outside an exception"),
        ("overflow", (), r"stack overflow|unmapped"),
    ],
)  # fmt: skip
def test_fault(
    machine: Machine, function: str, arguments: tuple[object, ...], message: str
) -> None:
    message = re.sub(r"\{([a-z_]+)\}", lambda m: str(line_of(m[1])), message)
    with pytest.raises(FirmwareError) as caught:
        machine.call(function, *arguments)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert caught.value.exit_code == 3


def test_machine_is_usable_after_a_fault(machine: Machine) -> None:
    for _ in range(2):
        with pytest.raises(FirmwareError):
            machine.call("undefined")
        assert machine.call("hints").value == 5


def test_hints_do_nothing(machine: Machine) -> None:
    assert machine.call("hints").value == 5


def test_doubles_move_on_a_single_precision_fpu(machine: Machine) -> None:
    import numpy as np

    out = np.zeros(1)
    assert machine.call("double_moves", -1.25, out).value == 6
    assert out[0] == -1.25


def test_stack_overflow_is_noticed_although_it_returns(start: Callable[..., Machine]) -> None:
    machine = start(TEXT, "-Wl,--undefined=keep", "-Wl,--defsym=__stack_size__=0x1000")
    with pytest.raises(FirmwareError, match=r"nearly_overflow: stack overflow: more than 4096"):
        machine.call("nearly_overflow")


def test_fault_after_a_run_from_reset(start: Callable[..., Machine]) -> None:
    machine = start("int main(void) { return *(volatile int *)0x1FFF8000; }")
    with pytest.raises(
        FirmwareError, match=r"main\+0x2 \(0x0800\w+\) at .*:1: load of 4 bytes at unm"
    ):
        machine.run_from_reset()
