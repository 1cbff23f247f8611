"""Probes as one ELF: templates filled in, a table of entries, and the harness that times them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template

from m7sim import toolchain
from m7sim.cache import cache_dir
from m7sim.errors import InputError
from m7sim.validate.probes import Probe
from m7sim.validate.probes_options import CONSOLES

_DOUBLE_FPU = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16")
_FLAGS = ("-O2", "-g", "-ffunction-sections", "-fdata-sections", "-DM7_ARGUMENTS=0")

_HEAD = """\
/* Generated from the tables of facts; see README.md. */
    .syntax unified
    .cpu cortex-m7
    .fpu {fpu}
    .thumb
    .section .text.probes, "ax"
"""


def source(probes: Sequence[Probe], *, double: bool = False) -> str:
    """Return the assembly of all probes and the table that ``main.c`` reads.

    Raises
    ------
    InputError
        If there is no probe.
    """
    if not probes:
        raise InputError("there is no probe to build")
    text = [_HEAD.format(fpu="fpv5-d16" if double else "fpv5-sp-d16")]
    table = ["    .section .rodata.probes", "    .balign 4", "    .global probe_count"]
    table += ["probe_count:", f"    .word {len(probes)}", "    .global probe_table", "probe_table:"]
    names = ["    .section .rodata.probe_names"]
    # Setups first, next to the harness: all that a pass runs besides one body then lies within
    # 2 KB, and a body is shorter too, so both stay in two ways of the smallest I-cache (4 KB).
    setups: dict[str, str] = {"": "probe_no_setup"}
    for probe in probes:
        if probe.setup not in setups:
            name = setups[probe.setup] = f"probe_setup_{len(setups)}"
            text += ["    .balign 8", "    .thumb_func", f"{name}:", probe.setup, "    bx lr"]
    for index, probe in enumerate(probes):
        text.append(
            _template(probe.template).substitute(
                index=index, text=probe.text, data=probe.data, copies=probe.copies,
                fences=probe.fences, offset_bytes=probe.offset_bytes,
            )
        )  # fmt: skip
        setup = setups[probe.setup]
        names += [f"probe_{index}_name:", f'    .asciz "{probe.id}"']
        table.append(
            f"    .word probe_{index}_name, {setup}, probe_{index}_n, probe_{index}_2n, "
            f"{probe.copies}"
        )
    return "\n".join([*text, *names, *table, ""])


@cache
def _template(name: str) -> Template:
    path = toolchain.firmware_dir() / "probes" / f"{name}.S.in"
    try:
        return Template(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"no such template: {error.strerror}", where=str(path)) from error


def build(
    probes: Sequence[Probe], *, console: str = "semihosting", linker_script: Path | None = None
) -> Path:
    """Build the ELF that runs the probes and prints their cycles, or return the one made before.

    Parameters
    ----------
    probes
        In the order of their output.
    console
        Where it prints: ``semihosting`` or ``itm``.
    linker_script
        Default that of the STM32F746, which uses nothing that the STM32F767 and STM32H743 do not
        have at the same place.

    Raises
    ------
    InputError
        If there is no probe, or no such console.
    ToolError
        If the compiler is missing or refuses the text of a probe.
    """
    if console not in CONSOLES:
        raise InputError(f"no console {console!r}", do=f"Valid: {', '.join(CONSOLES)}")
    double = any("double_precision" in probe.applies for probe in probes)
    text = source(probes, double=double)
    digest = hashlib.sha256(text.encode()).hexdigest()[:20]
    generated = cache_dir() / "firmware" / f"probes-{digest}.S"
    if not generated.exists():
        generated.parent.mkdir(parents=True, exist_ok=True)
        partial = generated.with_suffix(f".{os.getpid()}")
        partial.write_text(text, encoding="utf-8")
        partial.replace(generated)
    firmware = toolchain.firmware_dir()
    here = firmware / "probes"
    return toolchain.build(
        [
            firmware / "board" / "startup.c",
            firmware / "board" / "syscalls.c",
            here / "main.c",
            here / "harness.S",
            generated,
        ],
        linker_script=linker_script,
        flags=(*_FLAGS, f"-DM7_PROBES_ITM={int(console == 'itm')}"),
        include=[firmware / "include"],
        machine_flags=_DOUBLE_FPU if double else toolchain.MACHINE_FLAGS,
    )
