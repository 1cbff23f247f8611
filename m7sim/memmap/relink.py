"""A program truly linked again with objects elsewhere: what the what-if is checked against.

The linker script is one of ``firmware/board`` in which the objects are listed where they shall go:
functions and variables by their input sections (``-ffunction-sections``, ``-fdata-sections``),
those of libraries by the file that holds them. What start-up code copies or zeroes follows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from m7sim import toolchain
from m7sim.board import Board
from m7sim.cache import cache_dir
from m7sim.elf import Image
from m7sim.errors import InputError
from m7sim.memmap.objects import MemoryObject, take_inventory
from m7sim.memmap.places import resolve_places

# By region of the script: the section that takes in what is initialised, and what is zeroed.
_TAKES: Final = {
    "ITCM": (".itcm", ".itcm"),
    "DTCM": (".data", ".bss"),
    "SRAM1": (".sram", ".sram_bss"),
    "SRAM2": ("", ".sram2_bss"),
    "FLASH": (".text", ""),
}
# Where a list goes: before these lines of a section.
_END_OF: Final = {
    ".itcm": "    . = ALIGN(4);\n    __itcm_end__ = .;\n",
    ".data": "    . = ALIGN(4);\n    __data_end__ = .;\n",
    ".sram": "    . = ALIGN(4);\n    __sram_end__ = .;\n",
    ".sram_bss": "    . = ALIGN(4);\n    __sram_bss_end__ = .;\n",
    ".sram2_bss": "    . = ALIGN(4);\n    __sram2_bss_end__ = .;\n",
    ".bss": "    . = ALIGN(8);\n    __bss_end__ = .;\n",
}
_CODE: Final = "  .text : ALIGN(8)\n"
# An input section goes to the first list that names it, so those of RAM come before .text, and
# .data last, which takes all that is left; the bytes they are copied from stay behind .rodata.
_LOADED: Final = (
    (".itcm", "__etext"),
    (".sram", "ALIGN(LOADADDR(.itcm) + SIZEOF(.itcm), 32)"),
    (".data", "ALIGN(LOADADDR(.sram) + SIZEOF(.sram), 8)"),
)
_FIRST: Final = "  .itcm ORIGIN(ITCM)"  # of the sections put before .text
_PREFIX: Final = {"code": ".text", "const": ".rodata", "data": ".data", "zero": ".bss"}
_WHOLE: Final = {".text": "*(.text .text.*)", ".rodata": "*(.rodata .rodata.*)"}


def relink(
    sources: Sequence[Path],
    places: Mapping[str, str],
    board: Board,
    *,
    linker_script: Path | None = None,
    **options: Any,
) -> Path:
    """Build a program with objects where ``places`` wants them.

    Parameters
    ----------
    sources, options
        As of `toolchain.build`; sections by function and by variable are needed, as is default.
    places
        As of `Study.retime`; arrays of a call are no part of a program.
    linker_script
        One in the form of ``firmware/board``; default that of the board.

    Raises
    ------
    InputError
        If an object is unknown, cannot be moved by this script, or did not follow it: it does not
        stand in a section of its own.
    ToolError
        If the compiler is missing, or the program does not link.
    """
    script = linker_script or toolchain.firmware_dir() / "board" / f"{board.name}.ld"
    image = Image.load(toolchain.build(sources, linker_script=script, **options))
    inventory = take_inventory(image, board)
    chosen = {
        k: region
        for k, region in resolve_places(places, inventory.objects, board).items()
        if region != inventory.objects[k].region
    }
    text = script_for(script.read_text(encoding="utf-8"), inventory.objects, chosen)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    made = cache_dir() / "firmware" / f"{script.stem}-moved-{digest}.ld"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        half = made.with_suffix(".tmp")
        half.write_text(text, encoding="utf-8")
        half.replace(made)
    elf = toolchain.build(sources, linker_script=made, **options)
    _check(Image.load(elf), inventory.objects, chosen, board)
    return elf


def script_for(script: str, objects: Sequence[MemoryObject], chosen: Mapping[int, str]) -> str:
    """Return a linker script with objects moved.

    Parameters
    ----------
    script
        Text in the form of ``firmware/board``.
    chosen
        Region by index of object.

    Raises
    ------
    InputError
        If the script has no place for an object in that region.
    """
    lists = lines_for(objects, chosen)
    text = _loaded_first(script)
    if any(_WHOLE[".text"] in lines for lines in lists.values()):
        stays = [o for o in objects if o.kind == "code" and o.section == ".text" and not o.movable]
        kept = "".join(f"    *(.text.{each.name})\n" for each in stays)
        text = text.replace(
            _FIRST, f"  .text_boot : ALIGN(8)\n  {{\n{kept}  }} > FLASH\n\n{_FIRST}"
        )
    for section, lines in lists.items():
        end = _END_OF[section]
        if text.count(end) != 1:
            raise InputError(f"the linker script has no {section} in the form of firmware/board")
        text = text.replace(end, "".join(f"    {line}\n" for line in lines) + end)
    for k, region in chosen.items():
        text = _with_stack_and_heap(text, objects[k], region)
    return text


def lines_for(objects: Sequence[MemoryObject], chosen: Mapping[int, str]) -> dict[str, list[str]]:
    """Return the input sections to list, by output section of the script.

    Raises
    ------
    InputError
        As `script_for`.
    """
    lists: dict[str, list[str]] = {}
    for name, members in _by_section(objects).items():
        regions = {chosen.get(k) for k in members}
        if len(regions) == 1 and None not in regions and name in _WHOLE:
            (region,) = regions
            _list(lists, objects[members[0]], str(region)).append(_WHOLE[name])
            continue
        for k in members:
            if k in chosen:
                target = _list(lists, objects[k], chosen[k])
                target += [line for line in _patterns(objects[k]) if line not in target]
    return lists


def _by_section(objects: Sequence[MemoryObject]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for k, each in enumerate(objects):
        if each.section and each.movable:
            found.setdefault(each.section, []).append(k)
    return found


def _list(lists: dict[str, list[str]], each: MemoryObject, region: str) -> list[str]:
    initialised, zeroed = _TAKES.get(region, ("", ""))
    section = zeroed if each.kind == "zero" else initialised
    if section not in _END_OF:
        raise InputError(
            f"these linker scripts have no place for {each.name} in {region}",
            do="Re-timing can tell what it would cost",
        )
    return lists.setdefault(section, [])


def _patterns(each: MemoryObject) -> list[str]:
    """Return what names the input section of an object: its own, or the library's file."""
    if each.name.endswith("(rest)"):
        raise InputError(f"{each.name} has no name for the linker", do="Move all of the section")
    prefix = _PREFIX[each.kind]
    name = each.name.partition("@")[0]
    own = f"{prefix}.{name}"
    if each.kind == "code":  # main is in .text.startup.main, rarely run functions in .text.unlikely
        own += f" .text.startup.{name} .text.unlikely.{name} .text.hot.{name}"
    return [f"*({own})", f"*lib_a-{name}.o({prefix} {prefix}.*)"]


def _loaded_first(script: str) -> str:
    """Put the sections that start-up copies before the code, loaded behind it as they were."""
    blocks = ""
    for section, load in _LOADED:
        head = rf"  {re.escape(section)}( [^\n{{:]*)?: ALIGN\((\d+)\)\n"
        pattern = rf"{head}  {{\n.*?\n  }} > (\w+) AT > FLASH\n"
        found = re.search(pattern, script, re.DOTALL)
        if found is None or _CODE not in script:
            raise InputError(f"the linker script has no {section} in the form of firmware/board")
        block = found.group(0)
        script = script.replace(block, "")
        head, rest = block.split("\n", 1)
        head = head.replace(f": ALIGN({found.group(2)})", f": AT({load}) ALIGN({found.group(2)})")
        blocks += f"{head}\n{rest}".replace(" AT > FLASH\n", "\n") + "\n"
    return script.replace(_CODE, blocks + _CODE)


def _with_stack_and_heap(text: str, each: MemoryObject, region: str) -> str:
    if each.kind == "stack":
        text = text.replace(
            "__StackTop = ORIGIN(DTCM) + LENGTH(DTCM);",
            f"__StackTop = ORIGIN({region}) + LENGTH({region});",
        ).replace("__HeapLimit = __StackLimit;", "__HeapLimit = ORIGIN(DTCM) + LENGTH(DTCM);")
        text = text.replace("ASSERT(__bss_end__ <= __StackLimit,", "ASSERT(1,")
    if each.kind == "heap":
        end = {"SRAM1": "__sram_bss_end__", "SRAM2": "__sram2_bss_end__"}.get(region)
        if end is None:
            raise InputError(f"these linker scripts have no place for the heap in {region}")
        for name in ("end", "__HeapBase"):
            text = text.replace(f"  {name} = __bss_end__;", f"  {name} = ALIGN({end}, 8);")
        text = re.sub(
            r"__HeapLimit = [^;]*;", f"__HeapLimit = ORIGIN({region}) + LENGTH({region});", text
        )
    return text


def _check(
    image: Image, before: Sequence[MemoryObject], chosen: Mapping[int, str], board: Board
) -> None:
    now = {each.name: each for each in take_inventory(image, board).objects}
    for k, region in chosen.items():
        name = before[k].name
        found = now.get(name)
        if found is not None and found.region != region:
            raise InputError(
                f"{name} did not follow the linker script: it lies in {found.region}",
                where=image.path,
                do="It needs a section of its own (-ffunction-sections -fdata-sections), or a "
                "library's file that is named after it",
            )


__all__ = ["lines_for", "relink", "script_for"]
