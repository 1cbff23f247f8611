from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim import toolchain

sys.path.insert(0, str(Path(__file__).parent))  # makes the helper module beside it importable

LINK = """\
MEMORY {
  flash (rx) : ORIGIN = 0x08000000, LENGTH = 1M
  ram (rwx) : ORIGIN = 0x20010000, LENGTH = 240K
}
ENTRY(Reset_Handler)
_stack = 0x20010000;
SECTIONS {
  .text : { KEEP(*(.isr_vector)) *(.text.first) *(.text* .rodata*) } > flash
  .data : { *(.data*) } > ram AT > flash
  .bss (NOLOAD) : { *(.bss* COMMON) } > ram
}
"""

Builder = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Compile a C text: ``build("kernel.c", text, "-O3", "-DEXTRA")`` gives the ELF."""
    made = iter(range(1000))

    def compile_text(name: str, text: str, *flags: str) -> Path:
        folder = tmp_path_factory.mktemp(f"source{next(made)}")
        script = folder / "link.ld"
        script.write_text(LINK)
        source = folder / name
        source.write_text(text)
        level = () if any(flag.startswith("-O") for flag in flags) else ("-O2",)
        return toolchain.build(
            [source],
            linker_script=script,
            flags=("-g3", "-ffreestanding", *level, *flags),
            link_flags=("-nostdlib",),
        )

    return compile_text
