"""What is simulated, in words: the part that every report opens with."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from m7sim import __version__
from m7sim.board import Board, Region
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.profile.certainty import guessed_parameters
from m7sim.profile.result import Configuration
from m7sim.units import format_bytes

NOT_MODELLED = (
    "interrupts and exceptions",
    "DMA and other masters on the buses",
    "refresh and open rows of external memory",
    "speculative reads on paths not taken",
)


def configuration(
    image: Image,
    board: Board,
    core: Core,
    *,
    entry: str,
    arguments: str,
    warm: bool,
    timed: bool,
    power: str = "",
) -> Configuration:
    """Describe what is simulated; ``power`` is the operating point, or why there is none."""
    caches = tuple(
        f"{name} {format_bytes(cache.size_bytes)} {cache.ways}-way, "
        f"{cache.line_bytes}-byte lines, {'on' if cache.enabled else 'off'}"
        for name, cache in (("I-cache", board.icache), ("D-cache", board.dcache))
    )
    return Configuration(
        elf=str(image.path),
        elf_sha256=image.sha256,
        compiler=image.attributes.compiler,
        entry=entry,
        arguments=arguments,
        board=board.name,
        clock_hz=board.clock_hz,
        core=core.name,
        core_revision=_revision(board),
        memories=tuple(
            _memory(region, board)
            for region in board.regions
            if region.mapped and not region.device and region.kind != "system"
        ),
        caches=caches,
        warm=warm,
        timed=timed,
        not_modelled=NOT_MODELLED,
        guessed_parameters=guessed_parameters(core),
        versions={"m7sim": __version__, "unicorn": _installed("unicorn")},
        power=power,
    )


@cache
def _installed(package: str) -> str:
    return version(package)


def _revision(board: Board) -> str:
    """Return rNpM from CPUID: variant in bits 23-20, revision in bits 3-0 (Armv7-M ARM B3.2.3)."""
    return f"r{board.cpuid >> 20 & 15}p{board.cpuid & 15}"


def _memory(region: Region, board: Board) -> str:
    text = f"{region.name} {format_bytes(region.size_bytes)}"
    if region.cacheable:
        return f"{text} (miss +{region.line_fill_cycles} cycles)"
    if region.kind == "flash_itcm" and board.art is not None and board.art.enabled:
        return f"{text} (ART, miss +{region.read_latency_cycles} cycles)"
    if region.read_latency_cycles:
        return f"{text} (uncached, +{region.read_latency_cycles} cycles)"
    return text
