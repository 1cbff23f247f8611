"""Nothing is reported of code that is right: our kernels, the C library, unusual jumps."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from m7sim import toolchain
from m7sim.errors import InputError
from m7sim.ops import registry
from m7sim.ops.kernels import kernel_elf, kernel_includes, kernel_names, kernel_sources
from m7sim.session import Firmware, load

pytestmark = pytest.mark.toolchain

PROGRAMS = Path(__file__).parent / "programs"
BOARD = toolchain.firmware_dir() / "board"
HARD = ("-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")

# Sizes that leave rests of 1 to 3 elements in every loop that takes 2 or 4 at a time.
AWKWARD = ({"size": 5, "ch": 5}, {"size": 4, "ch": 6}, {"size": 3, "ch": 7},
           {"size": 5, "in_ch": 3, "out_ch": 6}, {"size": 3, "in_ch": 5, "out_ch": 3},
           {"size": 4, "in_ch": 4, "out_ch": 4}, {"in_len": 9, "out_len": 7},
           {"in_len": 6, "out_len": 5}, {"length": 11}, {"length": 1},
           {"size": 3, "ch": 3, "multiplier": 4})  # fmt: skip


@pytest.fixture(scope="module")
def kernels() -> Firmware:
    return load(kernel_elf(), board="stm32f746", time=False)


def workloads(op: registry.Op) -> Iterator[tuple[dict[str, int], registry.Workload]]:
    for sizes in AWKWARD:
        if set(sizes) <= {"size", *(p.name for p in op.parameters)}:
            try:
                yield sizes, op.workload(op.shape(**sizes))
            except InputError:
                continue  # the shorthand is of other parameters


@pytest.mark.parametrize("name", registry.OPS)
def test_kernels_do_nothing_wrong(kernels: Firmware, name: str) -> None:
    called = 0
    for sizes, work in workloads(registry.get(name)):
        for variant in work.variants:
            call = work.call(variant)
            result = kernels.call(call.function, *call.arguments, sanitize=True)
            assert not result.findings, (call.function, sizes, str(result.findings[0]))
            called += 1
    assert called


def test_all_kernels_are_called() -> None:
    each = (work for op in registry.OPS.values() for _, work in workloads(op))
    called = {work.call(variant).function for work in each for variant in work.variants}
    assert called == set(kernel_names())


def built(sources: list[Path], *flags: str, fpu: tuple[str, ...] = HARD) -> Path:
    """Compile a program that runs from reset."""
    return toolchain.build(
        [BOARD / "startup.c", BOARD / "syscalls.c", *sources],
        linker_script=BOARD / "stm32f746.ld",
        flags=("-g", "-ffunction-sections", *flags),
        machine_flags=("-mcpu=cortex-m7", "-mthumb", *fpu),
        link_flags=("-nostartfiles", "--specs=nosys.specs", "-Wl,--gc-sections"),
        include=kernel_includes(),
    )


def built_by_gxx(folder: Path, source: Path) -> Path:
    """Compile a C++ program: its start-up code is C."""
    gcc, elf = toolchain.find_compiler(), folder / "program.elf"
    machine = ["-mcpu=cortex-m7", "-mthumb", *HARD, "-O2", "-g", f"-I{kernel_includes()[0]}"]
    for name in ("startup", "syscalls"):
        command = [gcc, *machine, "-c", BOARD / f"{name}.c", "-o", folder / f"{name}.o"]
        subprocess.run(command, check=True, capture_output=True)
    objects = [folder / "startup.o", folder / "syscalls.o"]
    linking = ["-nostartfiles", "--specs=nosys.specs", f"-T{BOARD / 'stm32f746.ld'}", "-o", elf]
    command = [gcc.removesuffix("gcc") + "g++", *machine, *objects, source, *linking]
    subprocess.run(command, check=True, capture_output=True)
    return elf


def run(elf: Path) -> str:
    result = load(elf, board="stm32f746", time=False).run(sanitize=True)
    assert (result.stop_reason, result.exit_code) == ("exit", 0)
    assert [str(each) for each in result.findings] == []
    return result.console.decode()


@pytest.mark.parametrize(
    ("flag", "fpu"), [("-O0", HARD), ("-O2", HARD), ("-Os", ("-mfloat-abi=soft",))]
)
def test_the_c_library_does_nothing_wrong(flag: str, fpu: tuple[str, ...]) -> None:
    console = run(built([PROGRAMS / "library.c"], flag, fpu=fpu))
    assert "3.141593 3.141593e+100 2.71828 0.4487989505     -3.142 -1234567890123" in console


@pytest.mark.parametrize("flags", [("-O0",), ("-O3",), ("-Os", "-mlong-calls")], ids=" ".join)
def test_unusual_jumps_are_no_mistake(flags: tuple[str, ...]) -> None:
    sources = [PROGRAMS / "jumps.c", PROGRAMS / "helpers.S"]
    assert run(built(sources, *flags)) == "63\n25 9 11\n46\n"


def test_exceptions_are_no_mistake(tmp_path: Path) -> None:
    elf = built_by_gxx(tmp_path, PROGRAMS / "exceptions.cpp")
    assert run(elf) == "0010120123 426\n"


def test_benchmark_workloads_do_nothing_wrong() -> None:
    folder = toolchain.firmware_dir() / "bench"
    run(built([*kernel_sources(), folder / "workloads.c", folder / "main.c"], "-O3"))
