"""A network on the simulated board, layer by layer, every output checked against the NumPy model.

Weights and biases lie in flash, as an application links them; activations and scratch lie in RAM.
The caches and the branch predictor stay warm from layer to layer, as they do on a chip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from m7sim.errors import CheckError
from m7sim.nets.network import Network
from m7sim.ops.kernels import OK, kernel_elf, prepare
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Int8
from m7sim.profile.result import Configuration
from m7sim.session import Firmware, load


@dataclass(frozen=True, kw_only=True)
class LayerRun:
    """What one layer cost; ``matches`` says whether its output equals the NumPy model."""

    name: str
    type: str
    kernel: str
    macs: int
    ops: int
    instructions: int
    cycles: int
    issue_cycles: int
    ms: float
    stalls: dict[str, int]
    matches: bool

    @property
    def mops_per_s(self) -> float:
        """Millions of operations per second at the board's clock."""
        return self.ops / self.ms / 1e3 if self.ms else 0.0

    @property
    def cycles_per_mac(self) -> float | None:
        """Cycles per multiply-accumulate; None for layers without."""
        return self.cycles / self.macs if self.macs else None


@dataclass(frozen=True, kw_only=True)
class NetworkRun:
    """All layers of one inference, and what the network answered."""

    network: Network
    configuration: Configuration
    image: str
    layers: tuple[LayerRun, ...]
    scores: Int8 = field(repr=False)

    @property
    def answer(self) -> str:
        """Name of the class with the largest score."""
        return self.network.answer(self.scores)

    @property
    def total(self) -> LayerRun:
        """Sums over the layers."""
        stalls: dict[str, int] = {}
        for layer in self.layers:
            for cause, cycles in layer.stalls.items():
                stalls[cause] = stalls.get(cause, 0) + cycles
        return LayerRun(
            name="total",
            type="",
            kernel="",
            macs=sum(layer.macs for layer in self.layers),
            ops=sum(layer.ops for layer in self.layers),
            instructions=sum(layer.instructions for layer in self.layers),
            cycles=sum(layer.cycles for layer in self.layers),
            issue_cycles=sum(layer.issue_cycles for layer in self.layers),
            ms=sum(layer.ms for layer in self.layers),
            stalls=stalls,
            matches=all(layer.matches for layer in self.layers),
        )


def run(
    network: Network,
    image: Int8,
    *,
    image_name: str,
    board: str = "stm32f746",
    core: str = "cortex_m7",
    clock_hz: int | None = None,
    on_layer: Callable[[int, int, str], None] | None = None,
) -> NetworkRun:
    """Run one inference on the simulated board.

    Parameters
    ----------
    network, image
        The layers, and the int8 input of the first one.
    image_name
        Where the image comes from, for people.
    on_layer
        Told before each layer: its number from 0, how many there are, its name.

    Raises
    ------
    CheckError
        If a kernel refuses a shape.
    FirmwareError
        If a kernel goes wrong.
    """
    firmware = load(kernel_elf(), board=board, core=core, clock_hz=clock_hz)
    x, runs = image, []
    for index, layer in enumerate(network.layers):
        if on_layer:
            on_layer(index, len(network.layers), layer.name)
        x, layer_run = _run_layer(firmware, layer, x, warm=index > 0)
        runs.append(layer_run)
    return NetworkRun(
        network=network,
        configuration=firmware.configuration(entry="each layer's kernel"),
        image=image_name,
        layers=tuple(runs),
        scores=x.reshape(-1),
    )


def _run_layer(firmware: Firmware, layer: Layer, x: Int8, *, warm: bool) -> tuple[Int8, LayerRun]:
    expected = layer.forward(x)
    call = prepare(layer, x)
    place = {name: "FLASH" for name in ("weights", "bias") if layer.weights is not None}
    result = firmware.call(call.function, *call.arguments, warm=warm, place=place)
    if call.returns_status and result.value != OK:
        raise CheckError(f"{call.function} refused the shape of {layer.name}", where=layer.name)
    run = LayerRun(
        name=layer.name,
        type=layer.shape.op.value,
        kernel=call.function,
        macs=layer.shape.macs,
        ops=layer.shape.ops,
        instructions=result.instructions,
        cycles=result.cycles,
        issue_cycles=result.issue_cycles,
        ms=result.time_ms,
        stalls=result.stalls,
        matches=bool(np.array_equal(call.output, expected)),
    )
    return call.output, run
