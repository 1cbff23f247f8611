"""``m7sim memmap --best``, ``--curve`` and ``--sweep``: the best map, and variants of the board."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim.commands.common import write
from m7sim.commands.sweeping import folder
from m7sim.errors import InputError
from m7sim.units import count, seconds, size_bytes

if TYPE_CHECKING:
    from m7sim.memmap import Study
    from m7sim.memmap.best import Best
    from m7sim.memmap.candidates import Space
    from m7sim.report.memmap_best import Paste

PICTURES = (".png", ".svg", ".pdf")


def add_best(sub: argparse.ArgumentParser) -> None:
    """Add the options of the best map and of sweeps."""
    best = sub.add_argument_group("best map")
    best.add_argument("--best", action="store_true", help="find out which object should go where")
    best.add_argument(
        "--for", dest="goal", choices=("cycles", "energy"), default="cycles",
        help="what the best map has least of",
    )  # fmt: skip
    best.add_argument(
        "--reserve", action="append", default=[], metavar="REGION=BYTES",
        help="keep free, such as DTCM=8K; repeatable",
    )  # fmt: skip
    best.add_argument(
        "--pin", action="append", default=[], metavar="WHAT=WHERE",
        help="what --best must put there, as for --place (buffers of a DMA, say); repeatable",
    )  # fmt: skip
    best.add_argument(
        "--tcm", type=size_bytes, metavar="BYTES",
        help="limit on all objects in ITCM and DTCM together, such as 8K",
    )  # fmt: skip
    best.add_argument(
        "--to-sram", action="store_true",
        help="let code and constants in flash move to SRAM as well",
    )  # fmt: skip
    best.add_argument(
        "--retimings", type=count, metavar="N",
        help="how often the trace may be timed (default: 600, for a curve 1200)",
    )  # fmt: skip
    best.add_argument(
        "--write-ld", metavar="FILE", help="write the board's linker script with the best map"
    )
    best.add_argument(
        "--curve", metavar="FILE.png",
        help="draw cycles (or energy) of the best map against bytes of TCM; also FILE.csv",
    )  # fmt: skip
    sweep = sub.add_argument_group("sweeps")
    sweep.add_argument(
        "--sweep", choices=("dcache", "icache", "waitstates", "clock"),
        help="time the trace, under --place, on variants of the board",
    )  # fmt: skip
    sweep.add_argument("--out", default=".", metavar="DIR", help="where its picture and CSV go")
    sweep.add_argument(
        "--period", type=seconds, default=0.0, metavar="TIME",
        help="sweep of the clock: the work comes every 10ms, … (default: 1.1 times the longest)",
    )  # fmt: skip


def wanted(arguments: argparse.Namespace) -> bool:
    """Say whether one of these is asked for."""
    return bool(arguments.best or arguments.curve or arguments.sweep)


def check(arguments: argparse.Namespace) -> None:
    """Raise InputError for options that do not fit together, before anything is run."""
    if arguments.curve and Path(arguments.curve).suffix.lower() not in PICTURES:
        raise InputError(f"--curve {arguments.curve!r}", do=f"Give a file {', '.join(PICTURES)}")
    if arguments.write_ld and not arguments.best:
        raise InputError("--write-ld without --best", do="Add --best")
    only_best = [name for name in ("reserve", "pin", "tcm") if getattr(arguments, name)]
    if only_best and not (arguments.best or arguments.curve):
        raise InputError(f"--{only_best[0]} without --best or --curve", do="Add one of them")
    if arguments.sweep:
        folder(arguments.out)
    if arguments.sweep or arguments.curve:
        from m7sim.report.canvas import open_pyplot

        open_pyplot()
    if arguments.best or arguments.curve:
        from m7sim.memmap.assignment import open_solver

        open_solver()


def command(arguments: argparse.Namespace, study: Study, places: dict[str, str], board: Any) -> int:
    """Find the best map, draw the curve, time the variants: what is asked for.

    Parameters
    ----------
    places
        Of ``--place``: of the sweeps' map; the best map takes them as pins.
    board
        To time on.
    """
    from m7sim.report.layout import Style

    to_terminal = arguments.output == "-" and not arguments.json
    style = Style.of_stream(sys.stdout if to_terminal else None, top=arguments.top)
    documents: list[dict[str, Any]] = []
    texts: list[str] = []
    if arguments.best:
        _best(arguments, study, places, board, style, documents, texts)
    if arguments.curve:
        _curve(arguments, study, places, board, style, documents, texts)
    if arguments.sweep:
        _sweep(arguments, study, places, board, style, documents, texts)
    if arguments.json:
        from m7sim.report.document import to_json

        whole = documents[0] if len(documents) == 1 else {"parts": documents}
        write(arguments.output, to_json(whole))
    else:
        write(arguments.output, "\n".join(texts))
    return 0


def _space(
    arguments: argparse.Namespace, study: Study, places: dict[str, str], board: Any
) -> Space:
    from m7sim.memmap.assignment import least_excess
    from m7sim.memmap.best import check_space
    from m7sim.memmap.candidates import find_space
    from m7sim.memmap.places import parse_places, region_named
    from m7sim.memmap.sources import immovable

    reserve = {}
    for what, size in parse_places(arguments.reserve).items():
        reserve[region_named(what, board)] = size_bytes(size)
    pins = {**places, **parse_places(arguments.pin)}

    def find(every: bool) -> Space:
        return find_space(
            study.objects, study.check({}, board=board), board, pins=pins, reserve=reserve,
            stay=immovable(study.image, study.objects), to_sram=arguments.to_sram, every=every,
        )  # fmt: skip

    space = find(False)
    if least_excess(space):
        space = find(True)
    check_space(space.limit(arguments.tcm))
    return space


def _best(
    arguments: argparse.Namespace, study: Study, places: dict[str, str], board: Any, style: Any,
    documents: list[dict[str, Any]], texts: list[str],
) -> None:  # fmt: skip
    from m7sim.memmap.best import best_map
    from m7sim.memmap.judge import RETIMINGS
    from m7sim.report import memmap_best, progress

    space = _space(arguments, study, places, board)
    with progress.bar("looking for the best map") as show:
        best = best_map(
            study, board, space, goal=arguments.goal, tcm_bytes=arguments.tcm,
            retimings=arguments.retimings or RETIMINGS,
            on_progress=lambda done, limit: show(done, limit, ""),
        )  # fmt: skip
    paste = paste_of(study, best)
    if arguments.write_ld:
        write(arguments.write_ld, _script(study, best))
    if arguments.json:
        documents.append(memmap_best.document(best, paste, study.configuration))
    else:
        texts.append(memmap_best.render(best, paste, style=style))


def paste_of(study: Study, best: Best) -> Paste:
    """Return what to paste for a best map: attributes, and lines of the linker script."""
    from m7sim.memmap.attributes import attributes
    from m7sim.memmap.relink import lines_for
    from m7sim.memmap.sources import source_of
    from m7sim.report.memmap_best import Paste

    by_name = {each.name: each for each in study.objects}
    moves = [(m.candidate.name, m.candidate.kind, m.end) for m in best.moves]
    told = attributes(moves, best.board, lambda name: source_of(study.image, by_name[name]))
    objects, chosen = _chosen(study, best)
    try:
        lines = lines_for(objects, chosen)
    except InputError:  # no place for one of them in our scripts
        lines = {}
    own = {a.name for a in told if a.source}
    return Paste(told, {k: [x for x in v if not _beside(x, own)] for k, v in lines.items()})


def _beside(line: str, own: set[str]) -> bool:
    """Say whether a line names the file of a library for what is none, or the other way round."""
    library = line.startswith("*lib_a-")
    if library:
        return line[len("*lib_a-") :].partition(".o(")[0] in own
    return ".text." in line and line.split()[0].partition(".text.")[2].rstrip(")") not in own


def _chosen(study: Study, best: Best) -> tuple[Any, dict[int, str]]:
    objects = sorted(study.objects, key=lambda each: (each.address, each.name))
    moved = {m.candidate.name: m.end for m in best.moves}
    return objects, {k: moved[o.name] for k, o in enumerate(objects) if o.name in moved}


def _script(study: Study, best: Best) -> str:
    from m7sim import toolchain
    from m7sim.memmap.relink import script_for

    path = toolchain.firmware_dir() / "board" / f"{best.board.name}.ld"
    if not path.is_file():
        raise InputError(f"no linker script for {best.board.name}", where=str(path.parent))
    return script_for(path.read_text(encoding="utf-8"), *_chosen(study, best))


def _curve(
    arguments: argparse.Namespace, study: Study, places: dict[str, str], board: Any, style: Any,
    documents: list[dict[str, Any]], texts: list[str],
) -> None:  # fmt: skip
    from m7sim.memmap.best import CURVE_RETIMINGS, curve
    from m7sim.report import memmap_best, memmap_figures, progress

    space = _space(arguments, study, places, board)
    with progress.bar("looking for the best maps") as show:
        found = curve(
            study, board, space, goal=arguments.goal,
            retimings=arguments.retimings or CURVE_RETIMINGS,
            on_progress=lambda done, limit: show(done, limit, ""),
        )  # fmt: skip
    path = Path(arguments.curve)
    sheet = memmap_figures.curve_sheet(found)
    write(str(path.with_suffix(".csv")), sheet.text())
    memmap_figures.draw_curve(found, Path(study.image.path).name, [path])
    if arguments.json:
        documents.append({"schema": "m7sim.memmap.curve", "rows": list(sheet.rows)})
    else:
        text = memmap_best.render_curve(found, style=style)
        texts.append(f"{text}picture: {path}; data: {path.with_suffix('.csv')}\n")


def _sweep(
    arguments: argparse.Namespace, study: Study, places: dict[str, str], board: Any, style: Any,
    documents: list[dict[str, Any]], texts: list[str],
) -> None:  # fmt: skip
    from m7sim.memmap.sweep import sweep
    from m7sim.report import memmap_best, memmap_figures, progress

    with progress.bar("timing") as show:
        found = sweep(
            study, board, arguments.sweep, places=places, period_s=arguments.period,
            on_progress=lambda done, of: show(done, of, ""),
        )  # fmt: skip
    stem = Path(arguments.out) / f"{Path(study.image.path).stem}_{arguments.sweep}"
    sheet = memmap_figures.sheet_of(found)
    write(f"{stem}.csv", sheet.text())
    title = Path(study.image.path).name
    memmap_figures.draw_sweep(found, title, [Path(f"{stem}.png"), Path(f"{stem}.svg")])
    if arguments.json:
        documents.append(
            {"schema": "m7sim.memmap.sweep", "kind": found.kind, "rows": list(sheet.rows)}
        )
    else:
        text = memmap_best.render_sweep(found, style=style)
        texts.append(f"{text}picture: {stem}.svg, .png; data: {stem}.csv\n")
