"""A graph on the simulated board, node by node, every output checked against the NumPy model.

Each kernel reads the memory that the one before it wrote. Constants lie where an application links
them, all at once; one scratch buffer serves all kernels; a tensor's memory is given back after its
last reader. Caches and branch predictor stay warm from node to node, as they do on a chip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from m7sim.board import Board
from m7sim.characterize.placement import ACTIVATIONS, DEFAULT, SCRATCH, WEIGHTS, Placement
from m7sim.characterize.placement import region_of as memory_of
from m7sim.errors import CheckError, InputError
from m7sim.machine.call import Buffer
from m7sim.machine.placement import AUTO
from m7sim.nets.graph import CONVERSIONS, QUANTIZE, VIEWS, Array, Graph, Node
from m7sim.nets.run import LayerRun, totalled
from m7sim.ops import calls
from m7sim.ops.calls import KernelCall
from m7sim.ops.kernels import FLAGS, OK, kernel_includes, kernel_names, kernel_sources
from m7sim.profile.result import Configuration
from m7sim.session import Firmware, load
from m7sim.toolchain import build, firmware_dir

INPUTS = ("in", "in2", "data")
"""Parameters of kernels that are activations read."""


@dataclass(frozen=True, kw_only=True)
class GraphRun:
    """One inference.

    Attributes
    ----------
    layers
        What each node that the board computes cost, in order of execution.
    host
        Nodes that were computed outside the board, without cost.
    outputs
        Contents of the graph's outputs.
    """

    network: Graph
    configuration: Configuration
    placement: str
    image: str
    layers: tuple[LayerRun, ...]
    host: tuple[str, ...]
    outputs: Mapping[str, Array] = field(repr=False)

    @property
    def total(self) -> LayerRun:
        """Sums over the layers."""
        return totalled(self.layers)

    @property
    def scores(self) -> Array:
        """The first output, as a vector."""
        return next(iter(self.outputs.values())).reshape(-1)

    @property
    def answer(self) -> str:
        """Name, or else number, of the largest score (the first of equals)."""
        best = int(np.argmax(self.scores))
        names = self.network.classes
        return names[best] if best < len(names) else f"number {best}"


def quantized(x: Array, scale: float, zero_point: int) -> Array:
    """Return float32 numbers as int8, as the interpreters' QUANTIZE does it."""
    steps = x.astype(np.float32) / np.float32(scale)
    rounded = np.sign(steps) * np.floor(np.abs(steps).astype(np.float64) + 0.5)
    limited = np.clip(np.nan_to_num(rounded, nan=0.0), -1e6, 1e6) + zero_point
    found: Array = np.clip(limited, -128, 127).astype(np.int8)
    return found


def dequantized(x: Array, scale: float, zero_point: int) -> Array:
    """Return int8 numbers as float32, as the interpreters' DEQUANTIZE does it."""
    found: Array = (np.float64(scale) * (x.astype(np.int64) - zero_point)).astype(np.float32)
    return found


def converted(graph: Graph, node: Node, x: Array) -> Array:
    """Compute a conversion node."""
    inner = graph.tensor((node.outputs if node.op == QUANTIZE else node.inputs)[0]).scale
    if inner is None:
        raise InputError(f"node {node.name}: a conversion without a scale", where=graph.origin)
    function = quantized if node.op == QUANTIZE else dequantized
    return function(x, inner.scale, inner.zero_point)


def forward(graph: Graph, inputs: Sequence[Array]) -> dict[str, Array]:
    """Compute every tensor by the NumPy model.

    Raises
    ------
    InputError
        If the graph has unsupported nodes or no weights, or the inputs do not fit it.
    """
    values = checked(graph, inputs)
    for node in graph.nodes:
        values[node.outputs[0]] = _computed(graph, node, [values[name] for name in node.inputs])
    return values


def checked(graph: Graph, inputs: Sequence[Array]) -> dict[str, Array]:
    """Return inputs by name, after checking that the graph can be run with them."""
    where = graph.origin or graph.name
    if graph.unsupported:
        listed = ", ".join(f"{name} ({n})" for name, n in graph.unsupported.items())
        raise InputError(f"cannot be run: {listed}", where=where, do="Use --estimate.")
    if not graph.complete:
        raise InputError("cannot be run: it has no weights", where=where)
    if len(inputs) != len(graph.inputs):
        raise InputError(f"{len(inputs)} inputs, needed {len(graph.inputs)}", where=where)
    found = {}
    for name, given in zip(graph.inputs, inputs, strict=True):
        tensor = graph.tensor(name)
        if given.size != tensor.elements or given.dtype != np.dtype(tensor.dtype):
            raise InputError(
                f"input {name} is {given.dtype}{given.shape}, needed {tensor.dtype}{tensor.shape}",
                where=where,
            )
        found[name] = np.ascontiguousarray(given).reshape(tensor.shape)
    return found


def _computed(graph: Graph, node: Node, read: list[Array]) -> Array:
    shape = graph.tensor(node.outputs[0]).shape
    if node.op in VIEWS:
        return read[0].reshape(shape)
    if node.op in CONVERSIONS:
        return converted(graph, node, read[0]).reshape(shape)
    assert node.work is not None  # `checked` has seen to it
    return node.work.forward(*read).reshape(shape)


def run(
    graph: Graph,
    inputs: Sequence[Array],
    *,
    image_name: str = "",
    board: str | Board = "stm32f746",
    core: str = "cortex_m7",
    clock_hz: int | None = None,
    supply_mv: int | None = None,
    voltage_scale: int | None = None,
    peripherals: str | None = None,
    placement: str = DEFAULT,
    cflags: tuple[str, ...] = (),
    on_layer: Callable[[int, int, str], None] | None = None,
) -> GraphRun:
    """Run one inference on the simulated board.

    Parameters
    ----------
    inputs
        One array per input of the graph, of its type; float32 for graphs that begin with a
        conversion.
    image_name
        Where they come from, for people.
    board, core, clock_hz, supply_mv, voltage_scale, peripherals
        As of `m7sim.session.load`.
    placement
        Where code, constants, activations and scratch lie, as for a characterization.
    cflags
        Compiler options of the kernels, behind the usual ones.
    on_layer
        Told before each node: its number from 0, how many there are, its name.

    Raises
    ------
    InputError
        If the graph cannot be run, or does not fit the board's memories.
    CheckError
        If a kernel refuses a shape.
    FirmwareError
        If a kernel goes wrong.
    """
    values = checked(graph, inputs)
    target = board if isinstance(board, Board) else Board.load(board)
    where = Placement.parse(placement)
    where.check(target)
    elf = build(
        [*sorted((firmware_dir() / "kernels" / "nets").glob("*.c")), *kernel_sources()],
        linker_script=where.linker_script(target),
        flags=(*FLAGS, *cflags),
        include=kernel_includes(),
        keep=[*kernel_names(), *_others(graph)],
    )
    firmware = load(
        elf, board=board, core=core, clock_hz=clock_hz, supply_mv=supply_mv,
        voltage_scale=voltage_scale, peripherals=peripherals,
    )  # fmt: skip
    try:
        running = _Running(graph, firmware, where)
        running.place(values)
        for index, node in enumerate(graph.nodes):
            if on_layer:
                on_layer(index, len(graph.nodes), node.name)
            running.step(index, node)
        outputs = {name: running.read(name) for name in graph.outputs}
        return GraphRun(
            network=graph,
            configuration=firmware.configuration(entry="each layer's kernel"),
            placement=where.name,
            image=image_name,
            layers=tuple(running.layers),
            host=tuple(node.name for node in graph.nodes if node.op in CONVERSIONS),
            outputs=outputs,
        )
    finally:
        firmware.close()


class _Running:
    """Buffers of a graph on a board, and its nodes as they run."""

    def __init__(self, graph: Graph, firmware: Firmware, placement: Placement) -> None:
        self.graph, self.firmware = graph, firmware
        self.regions = dict(placement.where)
        self.layers: list[LayerRun] = []
        self.buffers: dict[str, Buffer] = {}  # by the tensor that owns the memory
        self.floats: dict[str, Array] = {}  # of the conversions, outside the board
        self.prepared: dict[str, tuple[KernelCall, dict[str, Buffer]]] = {}
        self.last = _last_readers(graph)
        self.scratch: Buffer | None = None

    def place(self, inputs: Mapping[str, Array]) -> None:
        """Put constants, scratch and inputs into memory."""
        largest = 0
        for node in self.graph.nodes:
            if node.work is None:
                continue
            tensors = [self.graph.tensor(name) for name in node.inputs]
            call = node.work.prepare(*[np.zeros(t.shape, np.dtype(t.dtype)) for t in tensors])
            held = {}
            for name, array in _arrays(call).items():
                if name in calls.CONSTANTS:
                    held[name] = self._take(array, WEIGHTS, name, node.name)
                elif name in calls.SCRATCH:
                    largest = max(largest, array.nbytes)
            self.prepared[node.name] = (call, held)
        if largest:
            self.scratch = self._take(np.zeros(largest, np.int8), SCRATCH, "scratch", "scratch")
        for name, array in inputs.items():
            self._put(name, array)

    def step(self, index: int, node: Node) -> None:
        """Run a node, and give back what nobody needs any more."""
        out = node.outputs[0]
        if node.op in CONVERSIONS:
            self._put(out, _computed(self.graph, node, [self.read(node.inputs[0])]))
        elif node.op not in VIEWS:
            self._kernel(index, node)
        for name in (*node.inputs, *node.outputs):
            owner = self.graph.storage(name)
            if self.last[owner] <= index and owner in self.buffers:
                self.buffers.pop(owner).free()

    def read(self, name: str) -> Array:
        """Return the contents of a tensor."""
        owner = self.graph.storage(name)
        found = self.floats[owner] if owner in self.floats else self.buffers[owner].read()
        return found.reshape(self.graph.tensor(name).shape)

    def _put(self, name: str, array: Array) -> None:
        tensor = self.graph.tensor(name)
        shaped = array.reshape(tensor.shape)
        if tensor.dtype == "float32":
            self.floats[name] = shaped
        else:
            self.buffers[name] = self._take(shaped, ACTIVATIONS, name, name)

    def _kernel(self, index: int, node: Node) -> None:
        assert node.work is not None  # `checked` has seen to it
        call, held = self.prepared[node.name]
        read = [self.read(name) for name in node.inputs]
        expected = node.work.forward(*read)
        out = node.outputs[0]
        with ExitStack() as stack:
            given = dict(held)
            sources = iter(node.inputs)
            for name, array in _arrays(call).items():
                if name in INPUTS:
                    given[name] = self._input(index, node, next(sources), stack)
                elif name in calls.SCRATCH:
                    assert self.scratch is not None
                    given[name] = self.scratch
                elif name not in calls.CONSTANTS and array is not call.output:
                    given[name] = self._take(array, ACTIVATIONS, name, node.name)
                    stack.callback(given[name].free)
            for name, array in _arrays(call).items():
                if array is call.output and name not in given:
                    self.buffers[out] = given[name] = self._take(
                        np.zeros(self.graph.tensor(out).shape, array.dtype), ACTIVATIONS, out, out
                    )
            arguments = [given.get(name, value) for name, value in call.parameters.items()]
            result = self.firmware.call(call.function, *arguments, warm=bool(self.layers))
            if node.in_place:
                self._settle_in_place(index, node, given["data"])
        if call.returns_status and result.value != OK:
            raise CheckError(f"{call.function} refused the shape of {node.name}", where=node.name)
        found = self.read(out)
        energy = result.energy
        self.layers.append(
            LayerRun(
                name=node.name,
                type=node.type,
                kernel=call.function,
                macs=node.macs,
                ops=node.ops,
                instructions=result.instructions,
                cycles=result.cycles,
                issue_cycles=result.issue_cycles,
                ms=result.time_ms,
                stalls=result.stalls,
                matches=bool(np.array_equal(found.reshape(-1), expected.reshape(-1))),
                energy_nj=energy.energy_nj if energy else None,
                energy_low_nj=energy.low_nj if energy else None,
                energy_high_nj=energy.high_nj if energy else None,
                events=energy.counts if energy else {},
                weight_bytes=sum(buffer.size_bytes for buffer in held.values()),
                in_bytes=sum(array.nbytes for array in read),
                out_bytes=found.nbytes,
                scratch_bytes=node.scratch_bytes,
            )
        )

    def _input(self, index: int, node: Node, name: str, stack: ExitStack) -> Buffer:
        """Return the memory of an input: a copy, if a kernel would destroy what is still needed."""
        owner = self.graph.storage(name)
        buffer = self.buffers[owner]
        if node.destroys_input and self.last[owner] > index:
            copy = self._take(buffer.read(), ACTIVATIONS, name, node.name)
            if not node.in_place:
                stack.callback(copy.free)
            return copy
        return buffer

    def _settle_in_place(self, index: int, node: Node, data: Buffer) -> None:
        """Let the output own the memory that was the input's."""
        owner = self.graph.storage(node.inputs[0])
        if self.buffers[owner] is data:
            del self.buffers[owner]
        self.buffers[node.outputs[0]] = data

    def _take(self, array: Array, group: str, name: str, by: str) -> Buffer:
        memory = self.regions.get(name, self.regions.get(group, AUTO))
        region = memory_of(memory, self.firmware.board)
        try:
            return self.firmware.machine.alloc(array, region)
        except InputError as error:
            raise InputError(
                f"{by}: {name} of {array.nbytes} bytes does not fit: {error.what}",
                where=self.graph.origin or self.graph.name,
                do="Choose another --placement, or a board with more memory.",
            ) from error


def _others(graph: Graph) -> list[str]:
    """Return kernels outside the registry that a graph calls."""
    wanted = {node.work.function for node in graph.nodes if node.work is not None}
    return sorted(wanted - set(kernel_names()))


def _arrays(call: KernelCall) -> dict[str, Array]:
    return {name: a for name, a in call.parameters.items() if isinstance(a, np.ndarray)}


def _last_readers(graph: Graph) -> dict[str, int]:
    """Return the number of the last node that needs each tensor's memory."""
    last = dict.fromkeys(graph.tensors, -1)
    for index, node in enumerate(graph.nodes):
        for name in (*node.inputs, *node.outputs):
            last[graph.storage(name)] = max(last[graph.storage(name)], index)
    for name in graph.outputs:
        last[graph.storage(name)] = len(graph.nodes)
    return last
