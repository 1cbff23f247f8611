"""A network on the simulated board, layer by layer, every output checked against the NumPy model.

Weights and biases lie in flash, as an application links them; activations and scratch lie in RAM.
The caches and the branch predictor stay warm from layer to layer, as they do on a chip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from m7sim.errors import CheckError
from m7sim.nets.network import Network
from m7sim.ops.calls import prepare
from m7sim.ops.kernels import OK, kernel_elf
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
    energy_nj: float | None = None  # None: no current data for the chip
    energy_low_nj: float | None = None
    energy_high_nj: float | None = None
    events: dict[str, float] = field(default_factory=dict)  # `Energy.counts`
    weight_bytes: int = 0  # constants as the kernel takes them
    in_bytes: int = 0
    out_bytes: int = 0
    scratch_bytes: int = 0

    @property
    def mean_power_mw(self) -> float | None:
        return 1e-3 * self.energy_nj / self.ms if self.energy_nj and self.ms else None

    @property
    def pj_per_op(self) -> float | None:
        """Picojoules per operation."""
        return 1e3 * self.energy_nj / self.ops if self.energy_nj and self.ops else None

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
        return totalled(self.layers)


def totalled(layers: Sequence[LayerRun]) -> LayerRun:
    """Return sums over layers (the largest scratch buffer, as layers share it)."""
    stalls: dict[str, int] = {}
    events: dict[str, float] = {}
    for layer in layers:
        for event, n in layer.events.items():
            events[event] = events.get(event, 0.0) + n
        for cause, cycles in layer.stalls.items():
            stalls[cause] = stalls.get(cause, 0) + cycles
    return LayerRun(
        name="total",
        type="",
        kernel="",
        macs=sum(layer.macs for layer in layers),
        ops=sum(layer.ops for layer in layers),
        instructions=sum(layer.instructions for layer in layers),
        cycles=sum(layer.cycles for layer in layers),
        issue_cycles=sum(layer.issue_cycles for layer in layers),
        ms=sum(layer.ms for layer in layers),
        stalls=stalls,
        matches=all(layer.matches for layer in layers),
        energy_nj=_total([layer.energy_nj for layer in layers]),
        energy_low_nj=_total([layer.energy_low_nj for layer in layers]),
        energy_high_nj=_total([layer.energy_high_nj for layer in layers]),
        events=events,
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        in_bytes=sum(layer.in_bytes for layer in layers),
        out_bytes=sum(layer.out_bytes for layer in layers),
        scratch_bytes=max((layer.scratch_bytes for layer in layers), default=0),
    )


def _total(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def run(
    network: Network,
    image: Int8,
    *,
    image_name: str,
    board: str = "stm32f746",
    core: str = "cortex_m7",
    clock_hz: int | None = None,
    supply_mv: int | None = None,
    voltage_scale: int | None = None,
    peripherals: str | None = None,
    on_layer: Callable[[int, int, str], None] | None = None,
) -> NetworkRun:
    """Run one inference on the simulated board.

    Parameters
    ----------
    network, image
        The layers, and the int8 input of the first one.
    image_name
        Where the image comes from, for people.
    board, core, clock_hz, supply_mv, voltage_scale, peripherals
        As of `m7sim.session.load`.
    on_layer
        Told before each layer: its number from 0, how many there are, its name.

    Raises
    ------
    CheckError
        If a kernel refuses a shape.
    FirmwareError
        If a kernel goes wrong.
    """
    firmware = load(
        kernel_elf(), board=board, core=core, clock_hz=clock_hz, supply_mv=supply_mv,
        voltage_scale=voltage_scale, peripherals=peripherals,
    )  # fmt: skip
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
    place = dict.fromkeys(call.constant_names, "FLASH")
    result = firmware.call(call.function, *call.arguments, warm=warm, place=place)
    if call.returns_status and result.value != OK:
        raise CheckError(f"{call.function} refused the shape of {layer.name}", where=layer.name)
    energy = result.energy
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
        energy_nj=energy.energy_nj if energy else None,
        energy_low_nj=energy.low_nj if energy else None,
        energy_high_nj=energy.high_nj if energy else None,
        events=energy.counts if energy else {},
    )
    return call.output, run
