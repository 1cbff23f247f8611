"""Programs for the ELF tests, built once per session, and GNU tools to compare with."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
MACHINE = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")
SEMIHOSTED = (*MACHINE, "--specs=rdimon.specs")
LAYOUT = (*MACHINE, "-nostdlib", "-ffunction-sections", "-Wl,--gc-sections", "-Wl,-u,kept")

Build = Callable[..., Path]
Gnu = Callable[..., str]


@pytest.fixture(scope="session")
def gnu() -> Gnu:
    """Run a GNU tool (``nm``, ``objdump`` …) and return what it prints."""

    def run(tool: str, *arguments: str | Path, stdin: str = "") -> str:
        command = [f"arm-none-eabi-{tool}", *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory, gnu: Gnu) -> Build:
    """Compile and link; sources are names in ``programs`` or whole texts of C."""
    folder = tmp_path_factory.mktemp("elf")
    built: dict[tuple[str, ...], Path] = {}

    def compile_and_link(*sources_and_flags: str) -> Path:
        if sources_and_flags in built:
            return built[sources_and_flags]
        number = len(built)
        arguments: list[str] = []
        for index, one in enumerate(sources_and_flags):
            if (PROGRAMS / one[:99]).is_file():
                arguments.append(str(PROGRAMS / one))
            elif "\n" in one:
                source = folder / f"source_{number}_{index}.c"
                source.write_text(one)
                arguments.append(str(source))
            else:
                arguments.append(one)
        path = folder / f"program_{number}.elf"
        gnu("gcc", *arguments, "-o", path)
        built[sources_and_flags] = path
        return path

    return compile_and_link


VARIANTS = [(f"-gdwarf-{v}", level) for v in (4, 5) for level in ("-O0", "-O2")]


def _printing(build: Build, flags: tuple[str, str]) -> Path:
    return build("inlines.c", *SEMIHOSTED, *flags)


def _placed(build: Build, flags: tuple[str, str]) -> Path:
    layout = PROGRAMS / "layout.ld"
    return build("startup.S", "itcm.c", "other.c", *LAYOUT, *flags, f"-T{layout}")


def _name(flags: tuple[str, str]) -> str:
    return "".join(flags)[2:]


@pytest.fixture(params=VARIANTS, ids=_name)
def variant(request: pytest.FixtureRequest) -> tuple[str, str]:
    flags: tuple[str, str] = request.param
    return flags


@pytest.fixture
def printing(build: Build, variant: tuple[str, str]) -> Path:
    """A program with printf from newlib, nested inlining and literal pools."""
    return _printing(build, variant)


@pytest.fixture
def placed(build: Build, variant: tuple[str, str]) -> Path:
    """A program with vectors, code in ITCM at address 0, and discarded functions."""
    return _placed(build, variant)


@pytest.fixture(params=[_printing, _placed])
def elf(request: pytest.FixtureRequest, build: Build, variant: tuple[str, str]) -> Path:
    path: Path = request.param(build, variant)
    return path


@pytest.fixture(scope="session")
def instruction_addresses(gnu: Gnu) -> Callable[[Path], list[int]]:
    """Addresses that objdump disassembles, literal pools left out."""

    def addresses(path: Path) -> list[int]:
        found = []
        for line in gnu("objdump", "-d", path).splitlines():
            match = re.match(r"\s+([0-9a-f]+):\t[0-9a-f ]+\t(\S+)", line)
            if match and not match[2].startswith((".word", ".short", ".byte")):
                found.append(int(match[1], 16))
        assert found
        return found

    return addresses
