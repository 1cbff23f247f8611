"""Options that write what a run covered, for ``run`` and ``replay``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from m7sim.errors import InputError

if TYPE_CHECKING:
    from m7sim.elf import Image
    from m7sim.profile.result import Result


def add_coverage(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--lcov",
        metavar="FILE",
        help="also save which source lines and branches ran, as an LCOV tracefile",
    )
    for option, what in (
        ("include", "sources to count in it (default: those below the current folder)"),
        ("exclude", "sources to leave out of it"),
    ):
        sub.add_argument(
            f"--lcov-{option}",
            action="append",
            metavar="GLOB",
            help=f"{what}; may be repeated",
        )


def check_coverage(
    arguments: argparse.Namespace, image: Image | None = None, *, timed: bool = True
) -> None:
    """Refuse what cannot be covered, before anything runs."""
    if arguments.lcov is None:
        if arguments.lcov_include or arguments.lcov_exclude:
            raise InputError("--lcov-include and --lcov-exclude need --lcov FILE")
    elif not timed:
        raise InputError("--lcov needs timing: only that counts instructions", do="Drop --no-time")
    elif image is not None:
        from m7sim.export.lcov import own_sites

        own_sites(image, required=True, **_patterns(arguments))


def write_coverage(arguments: argparse.Namespace, result: Result) -> None:
    """Write the tracefile, if one is wanted, and say what is in it."""
    if arguments.lcov is None:
        return
    from m7sim.export.lcov import Coverage

    coverage = Coverage.of(result, **_patterns(arguments))
    coverage.write(arguments.lcov)
    print(f"{arguments.lcov}: ran {coverage.totals}", file=sys.stderr)


def _patterns(arguments: argparse.Namespace) -> dict[str, list[str]]:
    include, exclude = arguments.lcov_include, arguments.lcov_exclude
    return {"include": include or [], "exclude": exclude or []}
