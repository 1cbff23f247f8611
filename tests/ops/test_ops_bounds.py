"""No kernel reads or writes outside its arrays: beyond them is unmapped memory, which faults."""

from __future__ import annotations

import numpy as np
import pytest

from m7sim.errors import FirmwareError
from m7sim.ops import registry
from m7sim.ops.calls import KernelCall
from m7sim.ops.kernels import OK

pytestmark = pytest.mark.toolchain

DTCM_START, SRAM2_END = 0x2000_0000, 0x2005_0000  # unmapped below and above, on the STM32F746
# Sizes that leave something over of every group: of 16, of 4, of 2.
WHOLE = {"conv": {"in_ch": 4, "out_ch": 6}, "1x1": {"in_ch": 20, "out_ch": 6}}
ODD = {"conv": {"in_ch": 5, "out_ch": 7}, "1x1": {"in_ch": 23, "out_ch": 7}}
RGB = {"conv": {"in_ch": 3, "out_ch": 3}}


def shapes(op: registry.Op) -> list:
    kind = op.name.split("_")[0]
    match op.name.removesuffix("_s8").removesuffix("_q15"):
        case "conv" | "1x1":
            groups = [sizes[kind] for sizes in (WHOLE, ODD, RGB) if kind in sizes]
            return [op.shape(size=5, **sizes) for sizes in groups]
        case "fc":
            return [op.shape(in_len=n, out_len=m) for n, m in ((23, 7), (32, 8), (1, 1))]
        case "softmax":
            return [op.shape(length=7)]
        case "depthwise" | "max_pool" | "ave_pool":
            many = [op.shape(size=5, ch=3, multiplier=4)] if op.name == "depthwise_s8" else []
            return [op.shape(size=5, ch=ch) for ch in (4, 7, 1)] + many
        case _:
            return [op.shape(size=3, ch=ch) for ch in (4, 7, 1)]


def arrays(call: KernelCall) -> list[str]:
    return [name for name, value in call.parameters.items() if isinstance(value, np.ndarray)]


def at_edges(machine, work: registry.Workload, variant: str, name: str) -> None:
    """Make the call with one array at the very start, and at the very end, of mapped memory."""
    for at_end in (False, True):
        call = work.call(variant)
        array = call.parameters[name]
        size = array.nbytes
        address = SRAM2_END - size if at_end else DTCM_START
        kept = machine.read(address, size)
        machine.write(address, array.tobytes())
        arguments = {**call.parameters, name: address}
        result = machine.call(call.function, *arguments.values(), place="SRAM1")
        if call.returns_status:
            assert result.value == OK
        got = call.output
        if array is call.output:
            got = np.frombuffer(machine.read(address, size), array.dtype).reshape(array.shape)
        assert (got == work.expected).all(), (call.function, name)
        machine.write(address, kept)


@pytest.mark.parametrize("op", registry.OPS)
def test_arrays_at_the_edges_of_memory(machine, op):
    operation = registry.get(op)
    for shape in shapes(operation):
        work = operation.workload(shape)
        for variant in work.variants:
            for name in arrays(work.call(variant)):
                at_edges(machine, work, variant, name)


def test_an_access_outside_does_fault(machine):
    work = registry.get("fc").workload(registry.get("fc").shape(in_len=32, out_len=4))
    call = work.call("plain")
    arguments = {**call.parameters, "in": SRAM2_END - 16}
    with pytest.raises(FirmwareError):
        machine.call(call.function, *arguments.values())
