"""What the compiler wrote about its target: ``.ARM.attributes`` and ``.comment``."""

from __future__ import annotations

from dataclasses import dataclass, field

from m7sim.elf.lineprogram import uleb128
from m7sim.elf.reader import ElfFile

# Numbers from "Addenda to, and Errata in, the ABI for the Arm Architecture", section 3 (build
# attributes).
_TEXT_TAGS = (4, 5, 67)
_CPU_NAME, _CPU_ARCH, _PROFILE, _FP_ARCH, _FP_USE, _VFP_ARGS = 5, 6, 7, 10, 27, 28
_ARCHITECTURES = {
    10: "v7", 11: "v6-M", 12: "v6S-M", 13: "v7E-M", 14: "v8-A", 16: "v8-M.base", 17: "v8-M.main",
    21: "v8.1-M.main",
}  # fmt: skip
_FP_ARCHITECTURES = {
    0: "none", 1: "VFPv1", 2: "VFPv2", 3: "VFPv3", 4: "VFPv3-D16", 5: "VFPv4", 6: "VFPv4-D16",
    7: "FP for Armv8", 8: "FPv5-D16",
}  # fmt: skip
EF_ARM_ABI_FLOAT_HARD = 0x400


@dataclass(frozen=True)
class Attributes:
    """Build attributes of an image; empty strings where the file does not say.

    ``hard_float`` says whether float arguments travel in FPU registers.
    """

    compiler: str = ""
    cpu_name: str = ""
    architecture: str = ""
    profile: str = ""
    fp_architecture: str = ""
    fp_single_only: bool = False
    hard_float: bool = False
    tags: dict[int, int | str] = field(default_factory=dict)


def read_attributes(elf: ElfFile) -> Attributes:
    """Return the build attributes; what cannot be read is left out, for nothing depends on it."""
    comment = elf.section(".comment")
    compiler = ""
    if comment is not None:
        texts = elf.section_data(comment).decode("utf-8", "replace").split("\0")
        compiler = "; ".join(dict.fromkeys(t for t in texts if t))
    section = elf.section(".ARM.attributes")
    tags: dict[int, int | str] = {}
    if section is not None:
        try:
            tags = _file_tags(elf.section_data(section))
        except (IndexError, ValueError):
            tags = {}
    profile = tags.get(_PROFILE, 0)
    return Attributes(
        compiler=compiler,
        cpu_name=str(tags.get(_CPU_NAME, "")),
        architecture=_ARCHITECTURES.get(_number(tags, _CPU_ARCH), ""),
        profile=chr(profile) if isinstance(profile, int) and profile else "",
        fp_architecture=_FP_ARCHITECTURES.get(_number(tags, _FP_ARCH), "") if tags else "",
        fp_single_only=_number(tags, _FP_USE) == 1,
        hard_float=_number(tags, _VFP_ARGS) == 1 or bool(elf.flags & EF_ARM_ABI_FLOAT_HARD),
        tags=tags,
    )


def _number(tags: dict[int, int | str], tag: int) -> int:
    value = tags.get(tag, 0)
    return value if isinstance(value, int) else 0


def _file_tags(data: bytes) -> dict[int, int | str]:
    """Parse the file-wide tags of the vendor ``aeabi``; IndexError or ValueError if damaged."""
    tags: dict[int, int | str] = {}
    if data[:1] != b"A":
        return tags
    place = 1
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "little")
        vendor_end = data.index(b"\0", place + 4)
        if data[place + 4 : vendor_end] == b"aeabi" and data[vendor_end + 1] == 1:
            size = int.from_bytes(data[vendor_end + 2 : vendor_end + 6], "little")
            _parse_tags(data[vendor_end + 6 : vendor_end + 1 + size], tags)
        place += max(length, 4)
    return tags


def _parse_tags(data: bytes, tags: dict[int, int | str]) -> None:
    place = 0
    while place < len(data):
        tag, place = uleb128(data, place)
        # Tags from 32 on: odd ones are texts, even ones numbers; 32 itself is both.
        number = tag not in _TEXT_TAGS and (tag <= 32 or tag % 2 == 0)
        if number:
            tags[tag], place = uleb128(data, place)
        if not number or tag == 32:
            end = data.index(b"\0", place)
            if not number:
                tags[tag] = data[place:end].decode("utf-8", "replace")
            place = end + 1
