"""The cross compiler: find it, and turn C and assembly into an ELF that is kept.

An ELF is looked up by a hash of the compiler's version, the flags and the bytes of every source and
header, so an edit is never missed and an unchanged kernel never compiled twice.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from m7sim.cache import cache_dir
from m7sim.errors import InputError, ToolError

GCC = "arm-none-eabi-gcc"
INSTALL = "sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"

MACHINE_FLAGS = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")
DEFAULT_FLAGS = ("-O3", "-g3", "-ffunction-sections", "-fdata-sections")
LINK_FLAGS = ("-nostartfiles", "-Wl,--gc-sections", "--specs=nosys.specs")


@cache
def find_compiler() -> str:
    """Return the path of ``arm-none-eabi-gcc``.

    Raises
    ------
    ToolError
        If it is not on the path; the message names the command that installs it.
    """
    path = shutil.which(os.environ.get("M7SIM_CC", GCC))
    if path is None:
        raise ToolError(f"no {GCC} on the path", do=f"Install it with: {INSTALL}")
    return path


@cache
def compiler_version() -> str:
    """Return the first line of ``arm-none-eabi-gcc --version``."""
    done = subprocess.run(
        [find_compiler(), "--version"], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[0]


def firmware_dir() -> Path:
    """Return the folder with our firmware sources: of the checkout, or inside the wheel."""
    package = Path(__file__).parent
    for candidate in (package.parent / "firmware", package / "_firmware"):
        if (candidate / "board").is_dir():
            return candidate
    raise InputError("the firmware sources are not installed", where=str(package))


def build(
    sources: Sequence[Path],
    *,
    linker_script: Path | None = None,
    flags: Sequence[str] = DEFAULT_FLAGS,
    include: Sequence[Path] = (),
    link_flags: Sequence[str] = LINK_FLAGS,
    keep: Sequence[str] = (),
    machine_flags: Sequence[str] = MACHINE_FLAGS,
) -> Path:
    """Compile and link, or return the ELF made before from the same inputs.

    Parameters
    ----------
    sources
        C and assembly files.
    linker_script
        Given to the linker with ``-T``; default the script of ``firmware/board`` for the STM32F746.
    flags, machine_flags, link_flags
        Options of the compiler, of the target machine, of the link step.
    include
        Folders searched for headers; every header in them is part of the hash.
    keep
        Functions that the linker must keep although nothing calls them.

    Raises
    ------
    ToolError
        If the compiler is missing or fails; the message holds its first error lines.
    InputError
        If a source does not exist.
    """
    script = linker_script or firmware_dir() / "board" / "stm32f746.ld"
    command = [
        *machine_flags,
        *flags,
        *(f"-I{folder}" for folder in include),
        *link_flags,
        *(f"-Wl,--undefined={name}" for name in keep),
    ]
    digest = hashlib.sha256("\0".join([compiler_version(), *command]).encode())
    headers = [h for folder in include for h in sorted(folder.rglob("*.h"))]
    for path in [*sources, script, *headers]:
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise InputError(
                f"cannot read the source: {error.strerror}", where=str(path)
            ) from error
    elf = cache_dir() / "firmware" / f"{sources[-1].stem}-{digest.hexdigest()[:20]}.elf"
    if not elf.exists():
        elf.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=elf.parent) as folder:
            made = Path(folder) / "out.elf"
            inputs = [f"-T{script}", *map(str, sources), "-lm", "-o", str(made)]
            _run([find_compiler(), *command, *inputs], where=str(sources[-1]))
            made.replace(elf)  # two processes at once: the last one wins with the same bytes
    return elf


def _run(command: list[str], *, where: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [
            line for line in done.stderr.splitlines() if "error" in line or "undefined" in line
        ]
        what = "\n".join(lines[:10] or done.stderr.splitlines()[-10:])
        raise ToolError(f"{GCC} failed:\n{what}", where=where)
