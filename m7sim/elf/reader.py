"""The only module that imports pyelftools: an ELF file becomes plain data here.

pyelftools answers a damaged file with whatever exception happens to come up, so every call into it
stands inside :func:`guarded`, and the headers are checked before it sees them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from elftools.elf.elffile import ELFFile

from m7sim.elf.debug import DebugInfo
from m7sim.errors import ElfError

HEADER_BYTES = 52  # of the ELF header of a 32-bit file
EM_ARM = 40
PF_X, PF_W = 1, 2
SHF_ALLOC, SHF_EXECINSTR = 2, 4
_KIND_OF_FILE = {
    1: ("a relocatable object, not a program", "Link it first"),
    3: ("a position-independent or shared object", "Link it without -pie and -shared"),
    4: ("a core dump", "Give the program itself"),
}
_COMPLETE = "Build or copy the file again"


@dataclass(frozen=True, slots=True)
class Section:
    """One row of the section table; ``address`` is a VMA."""

    name: str
    kind: str  # "SHT_PROGBITS" …
    flags: int
    address: int
    size_bytes: int
    offset: int
    link: int

    @property
    def end(self) -> int:
        return self.address + self.size_bytes

    @property
    def executable(self) -> bool:
        wanted = SHF_ALLOC | SHF_EXECINSTR
        return self.flags & wanted == wanted and self.kind != "SHT_NOBITS" and self.size_bytes > 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A loadable segment: bytes at ``lma`` in the image, seen by the code at ``vma``."""

    vma: int
    lma: int
    data: bytes
    memory_bytes: int  # at least len(data); the rest is zeros
    executable: bool
    writable: bool


@contextmanager
def guarded(path: str, doing: str) -> Iterator[None]:
    """Turn anything pyelftools raises into an :class:`ElfError`."""
    try:
        yield
    except ElfError:
        raise
    except Exception as error:  # the library's own, construct's, KeyError, UnicodeDecodeError …
        what = f"damaged: {doing} cannot be read ({type(error).__name__}: {error})"
        raise ElfError(what, where=path, do=_COMPLETE) from error


class ElfFile:
    """Headers and raw contents of an ELF file that passed all checks of its kind.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ElfError
        If the file does not exist, is truncated, or is not a linked 32-bit little-endian Arm
        program.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.contents = _read(self.path)
        _check_header(self.path, self.contents)
        self._check_tables()
        with guarded(self.path, "the ELF header"):
            self._file = ELFFile(io.BytesIO(self.contents))
            self.entry = int(self._file.header["e_entry"])
            self.flags = int(self._file.header["e_flags"])
        self.segments = self._read_segments()
        self.sections = self._read_sections()

    @cached_property
    def debug(self) -> DebugInfo | None:
        """DWARF, or None without ``.debug_info``; nothing of it is parsed before."""
        if not any(s.name in (".debug_info", ".zdebug_info") for s in self.sections):
            return None
        with guarded(self.path, "the debug information"):
            return DebugInfo(
                self._file.get_dwarf_info(follow_links=False),
                lambda doing: guarded(self.path, doing),
            )

    def section(self, name: str) -> Section | None:
        return next((s for s in self.sections if s.name == name), None)

    def section_data(self, section: Section) -> bytes:
        if section.kind == "SHT_NOBITS":
            return bytes(section.size_bytes)
        return self.contents[section.offset : section.offset + section.size_bytes]

    def _check_tables(self) -> None:
        (program_offset, section_offset, _, _, program_bytes, programs, section_bytes, sections) = (
            struct.unpack_from("<IIIHHHHH", self.contents, 28)
        )
        for name, offset, entry_bytes, count, expected in (
            ("program header table", program_offset, program_bytes, programs, 32),
            ("section header table", section_offset, section_bytes, sections, 40),
        ):
            if count and entry_bytes != expected:
                what = f"damaged: entries of the {name} have {entry_bytes} bytes, not {expected}"
                raise ElfError(what, where=self.path, do=_COMPLETE)
            if count:
                self._check_inside(name, offset, count * entry_bytes)

    def _check_inside(self, name: str, offset: int, size_bytes: int) -> None:
        if offset + size_bytes > len(self.contents):
            what = (
                f"truncated: the {name} should end at byte {offset + size_bytes}, "
                f"the file has {len(self.contents)}"
            )
            raise ElfError(what, where=self.path, do=_COMPLETE)

    def _read_segments(self) -> tuple[Segment, ...]:
        segments = []
        with guarded(self.path, "the program header table"):
            headers = [s.header for s in self._file.iter_segments() if s["p_type"] == "PT_LOAD"]
        for header in headers:
            vma, lma = int(header["p_vaddr"]), int(header["p_paddr"])
            size_bytes, memory_bytes = int(header["p_filesz"]), int(header["p_memsz"])
            offset, flags = int(header["p_offset"]), int(header["p_flags"])
            name = f"segment at 0x{vma:08x}"
            self._check_inside(name, offset, size_bytes)
            if size_bytes > memory_bytes or max(vma, lma) + memory_bytes > 1 << 32:
                what = (
                    f"damaged: the {name} has impossible sizes ({size_bytes} B in {memory_bytes} B)"
                )
                raise ElfError(what, where=self.path, do=_COMPLETE)
            if memory_bytes:
                data = self.contents[offset : offset + size_bytes]
                segments.append(
                    Segment(vma, lma, data, memory_bytes, bool(flags & PF_X), bool(flags & PF_W))
                )
        if not any(s.data for s in segments):
            what = "nothing to load: no PT_LOAD segment with contents"
            raise ElfError(what, where=self.path, do="Link code into it")
        if not any(s.executable for s in segments):
            what = "no executable segment"
            raise ElfError(what, where=self.path, do="Link code into it; check the linker script")
        return tuple(segments)

    def _read_sections(self) -> tuple[Section, ...]:
        sections = []
        with guarded(self.path, "the section header table"):
            for section in self._file.iter_sections():
                header = section.header
                sections.append(
                    Section(
                        str(section.name),
                        str(header["sh_type"]),
                        int(header["sh_flags"]),
                        int(header["sh_addr"]),
                        int(header["sh_size"]),
                        int(header["sh_offset"]),
                        int(header["sh_link"]),
                    )
                )
        for row in sections:
            if row.kind not in ("SHT_NOBITS", "SHT_NULL"):
                self._check_inside(f"section {row.name}", row.offset, row.size_bytes)
        return tuple(sections)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ElfError("no such file", where=path, do="Give the path of a linked ELF") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        what = f"cannot be read: {reason}"
        raise ElfError(what, where=path, do="Give the path of a linked ELF") from error


def _check_header(path: str, contents: bytes) -> None:
    """Refuse all that is not a linked 32-bit little-endian Arm program."""
    m7 = "Build it for Cortex-M7: arm-none-eabi-gcc -mcpu=cortex-m7 -mthumb"
    if not contents:
        raise ElfError("the file is empty", where=path, do=_COMPLETE)
    if contents[:4] != b"\x7fELF"[: len(contents)]:
        raise ElfError("not an ELF file", where=path, do="Give the linked ELF, not .bin or .hex")
    if len(contents) < HEADER_BYTES:
        what = f"truncated: the ELF header has {HEADER_BYTES} bytes, the file {len(contents)}"
        raise ElfError(what, where=path, do=_COMPLETE)
    if contents[4] == 2:
        raise ElfError("a 64-bit ELF; Cortex-M7 is a 32-bit core", where=path, do=m7)
    if contents[5] == 2:
        raise ElfError("a big-endian ELF; m7sim runs little-endian code only", where=path, do=m7)
    if contents[4] != 1 or contents[5] != 1:
        raise ElfError("damaged: ELF class or byte order unknown", where=path, do=_COMPLETE)
    kind, machine = struct.unpack_from("<HH", contents, 16)
    if machine != EM_ARM:
        raise ElfError(f"not Arm code (ELF machine {machine}, Arm is {EM_ARM})", where=path, do=m7)
    if kind != 2:
        what, do = _KIND_OF_FILE.get(kind, (f"not an executable (ELF type {kind})", _COMPLETE))
        raise ElfError(what, where=path, do=do)
