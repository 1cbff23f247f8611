"""Measure one point: load, lay out, place, call, compare with the oracle, count.

Runs in a worker process. Nothing here raises for a point that fails: it becomes a result with a
status and a reason. A loaded ELF is kept for the next point of the same setup.
"""

from __future__ import annotations

import contextlib
import math
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from m7sim.cache import cache_dir
from m7sim.characterize.call import Call, Held, Ref, Value
from m7sim.characterize.placement import SCRATCH, WEIGHTS
from m7sim.characterize.point import WARM, Point, Setup, model_version
from m7sim.characterize.table import OK, STALL_COLUMNS, STATISTICS
from m7sim.errors import (
    FirmwareError,
    InputError,
    LimitError,
    M7Error,
    ToolError,
    UnmodelledError,
)
from m7sim.machine import values
from m7sim.machine.call import Buffer
from m7sim.ops import workloads
from m7sim.ops.reference import Activations
from m7sim.profile.result import CallResult
from m7sim.session import Firmware, load
from m7sim.timing.causes import StallCause

KEPT = 4  # loaded ELFs per process
DIGITS = 9  # of energies: sums of floats in another order differ in the last of 16
Result = dict[str, Any]

_lock = threading.Lock()  # a Dask worker may have threads; the kept ELFs are for one at a time
_loaded: OrderedDict[str, Firmware] = OrderedDict()


class _NoRoom(Exception):
    """An array does not fit the memory it should lie in."""


def measure(points: Sequence[Point]) -> list[tuple[str, Result]]:
    """Measure points, in order; return content hash and result of each.

    Raises
    ------
    InputError
        If this process runs another version of the package than the one that asks.
    """
    with _lock:
        found = []
        for point in points:
            if point.setup.model != model_version():
                # In one piece: of an error that crosses processes, no more than that comes over.
                raise InputError(
                    "a worker runs another version of m7sim, or of its engine; install the same "
                    "one on all machines and restart the workers"
                )
            found.append((point.content_hash, _guarded(point)))
        return found


def failure(status: str, reason: str) -> Result:
    """Return the result of a point that could not be measured."""
    return {"status": status, "reason": " ".join(reason.split()), "verified": False}


def _guarded(point: Point) -> Result:
    try:
        return _measure(point)
    except Exception as error:
        # Whatever state the machine was left in, the next point must not see it.
        for firmware in (f for key, f in _loaded.items() if key == point.setup.digest):
            with contextlib.suppress(Exception):
                firmware.reset()
        if isinstance(error, LimitError):
            return failure("limit", limit_reason(point.setup))
        return failure(_status(error), str(error) or type(error).__name__)


def limit_reason(setup: Setup) -> str:
    """Return the reason of a point that reached the limit; it is measured again under another."""
    return f"more than {setup.limit_instructions} instructions"


def _status(error: Exception) -> str:
    statuses: tuple[tuple[type[Exception], str], ...] = (
        (_NoRoom, "no_fit"),
        (FirmwareError, "fault"),
        (UnmodelledError, "unmodelled"),
        (ToolError, "compile_error"),
        (M7Error, "bad_input"),
        (MemoryError, "no_fit"),
    )
    return next((status for kind, status in statuses if isinstance(error, kind)), "error")


def _measure(point: Point) -> Result:
    setup, shape = point.setup, point.shape
    _check_size(point)
    work = workloads.make(shape, seed=point.seed)
    call = setup.library.call(work.layer, work.inputs, point.variant)
    firmware = _firmware(setup)
    arrays = _with_asked_scratch(firmware, call)
    regions = point.placement.regions(setup.board, call.groups)
    with contextlib.ExitStack() as stack:
        buffers = {}
        for name, held in arrays.items():
            buffers[name] = _place(firmware, held, regions[name], name)
            stack.callback(buffers[name].free)
        arguments = [_filled(argument, buffers) for argument in call.arguments]
        _check_types(firmware, call.function, arguments)
        for warm in (False, True) if point.start == WARM else (False,):
            for name, held in arrays.items():  # kernels may destroy their input
                buffers[name].write(held.array)
            result = firmware.call(
                call.function, *arguments, warm=warm, max_instructions=setup.limit_instructions
            )
        found = call.restore(buffers[call.output].read())
    measured = _figures(result, point)
    measured |= {
        "function": call.function,
        "regions": " ".join(f"{name}={region}" for name, region in regions.items()),
        "scratch_bytes": sum(a.array.nbytes for a in arrays.values() if a.group == SCRATCH),
        "weight_bytes": sum(a.array.nbytes for a in arrays.values() if a.group == WEIGHTS),
        "in_bytes": shape.in_bytes,
        "out_bytes": shape.out_bytes,
    }
    return _verdict(result.value, call, found, work.expected) | measured


def _check_size(point: Point) -> None:
    """Raise before data are made that no memory holds."""
    shape = point.shape
    needed = max(shape.in_bytes // shape.inputs, shape.weight_bytes, shape.out_bytes)
    regions = [r for r in point.setup.board.regions if r.mapped and not r.device]
    largest = max(regions, key=lambda region: region.size_bytes)
    if needed > largest.size_bytes:
        raise _NoRoom(
            f"an array of {needed} bytes; the largest memory, {largest.name}, has "
            f"{largest.size_bytes}"
        )


def _verdict(value: Any, call: Call, found: Activations, expected: Activations) -> Result:
    if call.returns is not None and value != call.returns:
        return failure("refused", f"{call.function} returned {value}, not {call.returns}")
    wrong = found != expected
    if np.any(wrong):
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = ", ".join(map(str, at))
        return failure(
            "wrong_result",
            f"{np.count_nonzero(wrong)} of {wrong.size} outputs differ, the first at [{where}]: "
            f"{int(found[at])} instead of {int(expected[at])}",
        )
    return {"status": OK, "reason": "", "verified": True}


def _figures(result: CallResult, point: Point) -> Result:
    shape, cycles = point.shape, result.cycles
    seconds = cycles / result.configuration.clock_hz
    stalls = {cause.name.lower() for cause in StallCause} & result.stalls.keys()
    line_bytes = (point.setup.board.icache.line_bytes, point.setup.board.dcache.line_bytes)
    counts = result.statistics
    return {
        "macs": shape.macs,
        "ops": shape.ops,
        "macs_per_output": shape.macs_per_output,
        "instructions": result.instructions,
        "cycles": cycles,
        "issue_cycles": result.issue_cycles,
        "dual_issued": result.dual_issued,
        "time_ms": result.time_ms,
        "ops_per_s": shape.ops / seconds if cycles else None,
        "cycles_per_mac": cycles / shape.macs if shape.macs else None,
        "cycles_per_op": cycles / shape.ops if shape.ops else None,
        **dict.fromkeys(STALL_COLUMNS, 0),
        **{f"stall_{name}_cycles": result.stalls[name] for name in sorted(stalls)},
        **{name: counts[name] for name in STATISTICS},
        "line_fill_bytes": counts["icache_misses"] * line_bytes[0]
        + counts["dcache_misses"] * line_bytes[1],
        "stack_bytes": result.stack_bytes,
        **_energy(result, shape.ops),
    }


def _energy(result: CallResult, ops: int) -> Result:
    """Return power and energy; None where the chip's currents are not known."""
    energy = result.energy
    if energy is None:
        return dict.fromkeys(("mean_power_mw", "energy_nj", "energy_per_op_nj"))
    total_nj = math.fsum(energy.parts_nj.values())
    power_mw = total_nj * 1e-6 / (result.time_ms * 1e-3) if result.cycles else 0.0
    return {
        "mean_power_mw": _rounded(power_mw),
        "energy_nj": _rounded(total_nj),
        "energy_per_op_nj": _rounded(total_nj / ops) if ops else None,
    }


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


# The machine ---------------------------------------------------------------------------------


def _firmware(setup: Setup) -> Firmware:
    key = setup.digest
    if key in _loaded:
        _loaded.move_to_end(key)
        return _loaded[key]
    firmware = load(_elf_file(setup), board=setup.board, core=setup.core)
    _loaded[key] = firmware
    while len(_loaded) > KEPT:
        _loaded.popitem(last=False)[1].close()
    return firmware


def _elf_file(setup: Setup) -> Path:
    """Return the ELF as a file of this machine, named by a hash."""
    path = cache_dir() / "firmware" / f"{setup.content_sha256}.elf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{path.name}.{threading.get_native_id()}")
        half.write_bytes(zlib.decompress(setup.elf))
        half.replace(path)
    return path


def _with_asked_scratch(firmware: Firmware, call: Call) -> Mapping[str, Held]:
    """Return the arrays with the scratch buffers whose size the library tells."""
    arrays = dict(call.arrays)
    for name, asked in call.asked.items():
        arguments = [_filled(argument, {}) for argument in asked.arguments]
        size_bytes = firmware.call(asked.function, *arguments, max_instructions=1_000_000).value
        if not isinstance(size_bytes, int) or size_bytes < 0:
            raise InputError(f"{asked.function} told a size of {size_bytes}", where=name)
        arrays[name] = Held(np.zeros(max(size_bytes, 1), dtype=np.int8), SCRATCH)
    return arrays


def _place(firmware: Firmware, held: Held, region: str, name: str) -> Buffer:
    try:
        return firmware.machine.alloc(held.array, region)
    except InputError as error:
        raise _NoRoom(f"{name}: {error.what}") from error


def _filled(value: Value, buffers: Mapping[str, Buffer]) -> Any:
    """Return an argument with buffers in place of their names."""
    if isinstance(value, Ref):
        return buffers[value.name]
    if isinstance(value, Mapping):
        return {name: _filled(each, buffers) for name, each in value.items()}
    return value


def _check_types(firmware: Firmware, function: str, arguments: Sequence[Any]) -> None:
    """Raise InputError if an array's element type is not what the prototype says."""
    prototype = firmware.machine.prototype(function)
    if prototype is None:
        return
    for parameter, given in zip(prototype.parameters, arguments, strict=False):
        _check_type(given, parameter.type, f"{function}: {parameter.name}")


def _check_type(given: Any, ctype: Any, where: str) -> None:
    if isinstance(given, Buffer):
        if ctype.kind != "pointer":
            raise InputError(f"an array is given for {ctype.name}", where=where)
        if ctype.target is not None and ctype.target.kind == "int":
            try:
                values.check_array(np.empty(0, dtype=given.dtype), ctype.target, where)
            except InputError as error:
                do = "Change its type in the manifest"
                raise InputError(error.what, where=where, do=do) from error
    elif isinstance(given, Mapping):
        struct = ctype.target if ctype.kind == "pointer" else ctype
        fields = {field.name: field.type for field in struct.fields} if struct is not None else {}
        for name, each in given.items():
            if name in fields:  # the call complains about the others, and names them
                _check_type(each, fields[name], f"{where}.{name}")
