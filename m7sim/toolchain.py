"""The cross compiler: find it, and turn C and assembly into an ELF that is kept.

An ELF is looked up by a hash of the compiler's version, the flags, and the names and bytes of every
source and of every header that the compiler says they include. So an edit is never missed, an
unchanged kernel never compiled twice, and debug information always points to the sources given.
"""

from __future__ import annotations

import hashlib
import json
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
def find_compiler(name: str = "") -> str:
    """Return the path of a cross compiler; default ``arm-none-eabi-gcc``, or ``M7SIM_CC``.

    Raises
    ------
    ToolError
        If it is not on the path; the message names the command that installs it.
    """
    wanted = name or os.environ.get("M7SIM_CC", GCC)
    path = shutil.which(wanted)
    if path is None:
        raise ToolError(f"no {wanted} on the path", do=f"Install it with: {INSTALL}")
    return path


@cache
def compiler_version(name: str = "") -> str:
    """Return the first line of what a compiler says to ``--version``."""
    done = subprocess.run(
        [find_compiler(name), "--version"], capture_output=True, text=True, check=True
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
    compiler: str = "",
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
        Folders searched for headers.
    keep
        Functions that the linker must keep although nothing calls them.
    compiler
        Name or path of another one than `find_compiler` takes.

    Raises
    ------
    ToolError
        If the compiler is missing or fails; the message holds its first error lines.
    InputError
        If a source does not exist.
    """
    script = (linker_script or firmware_dir() / "board" / "stm32f746.ld").absolute()
    sources = [path.absolute() for path in sources]
    for path in (*sources, script):
        _bytes_of(path)  # a missing one is no matter for the compiler to complain about
    compiling = [*machine_flags, *flags, *(f"-I{folder.absolute()}" for folder in include)]
    linking = [*link_flags, *(f"-Wl,--undefined={name}" for name in keep)]
    folder = cache_dir() / "firmware"
    folder.mkdir(parents=True, exist_ok=True)
    gcc = find_compiler(compiler)
    command = [gcc, *compiling, *linking]
    # The folder is written into debug information: it matters only where options are relative.
    working = Path.cwd() if any(_relative(option) for option in command[1:]) else Path("/")
    key = hashlib.sha256(
        "\0".join([compiler_version(compiler) + compiler, str(working), *command[1:]]).encode()
    )
    for path in (script, *sources):
        key.update(b"\0" + str(path).encode())
    known = folder / f"{sources[-1].stem}-{key.hexdigest()[:20]}.inputs.json"
    elf = _elf_of(key.hexdigest(), known, sources[-1].stem)
    if elf is not None and elf.exists():
        return elf
    headers = _headers([gcc, *compiling], sources, working)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        half = Path(temporary) / "inputs.json"
        half.write_text(json.dumps([str(path) for path in (script, *sources, *headers)]))
        half.replace(known)
        elf = _elf_of(key.hexdigest(), known, sources[-1].stem)
        if elf is None:
            raise InputError("a source vanished while it was compiled", where=str(sources[-1]))
        if not elf.exists():
            made = Path(temporary) / "out.elf"
            inputs = [f"-T{script}", *map(str, sources), "-lm", "-o", str(made)]
            _run([*command, *inputs], where=str(sources[-1]), folder=working)
            made.replace(elf)  # two processes at once: the last one wins with the same bytes
    return elf


def _elf_of(key: str, known: Path, stem: str) -> Path | None:
    """Return where the ELF of the inputs as they are now is or belongs; None if they changed."""
    try:
        inputs = json.loads(known.read_bytes())
        digest = hashlib.sha256(key.encode())
        for name in inputs:
            digest.update(hashlib.sha256(Path(name).read_bytes()).digest())
    except (OSError, ValueError, TypeError):
        return None
    return known.parent / f"{stem}-{digest.hexdigest()[:20]}.elf"


def _headers(command: list[str], sources: Sequence[Path], working: Path) -> list[Path]:
    """Return the headers that sources include, those of the compiler left out."""
    done = _run([*command, "-MM", *map(str, sources)], where=str(sources[-1]), folder=working)
    text = done.replace("\\\n", " ").replace("\\ ", "\0")
    names = [word.replace("\0", " ") for word in text.split() if not word.endswith(":")]
    found = {working / name for name in names}
    return sorted(found - set(sources))


def _relative(option: str) -> bool:
    """Whether an option may name a file or folder relative to where the compiler runs."""
    name = option[2:] if option.startswith(("-I", "-L", "-B", "-T")) else option
    if option.startswith("-") and name is option:
        return "/" in option and "=/" not in option and ",/" not in option
    return not Path(name).is_absolute()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the source: {error.strerror}", where=str(path)) from error


def _run(command: list[str], *, where: str, folder: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode != 0:
        lines = [
            line for line in done.stderr.splitlines() if "error" in line or "undefined" in line
        ]
        what = "\n".join(lines[:10] or done.stderr.splitlines()[-10:])
        raise ToolError(f"{GCC} failed:\n{what}", where=where)
    return done.stdout
