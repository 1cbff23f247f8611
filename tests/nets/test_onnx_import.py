"""ONNX files with QuantizeLinear and DequantizeLinear, against the package's own evaluator."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from m7sim import cli
from m7sim.errors import InputError
from m7sim.nets import execute, load, lower, onnx_import

STEP = 1  # of int8: ONNX rounds in floating point


class Made:
    """A QDQ model as a quantizer writes it, an operator at a time."""

    def __init__(self, sides: tuple[int, ...], *, zero: int = 3, unsigned: bool = False) -> None:
        self.rng = np.random.default_rng(5)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.unsigned, self.count = unsigned, 0
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(sides))
        self.x = self.quantized("x", 0.05, zero)

    def constant(self, data: Any) -> str:
        self.count += 1
        self.constants.append(numpy_helper.from_array(np.asarray(data), f"c{self.count}"))
        return f"c{self.count}"

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        self.count += 1
        self.nodes.append(helper.make_node(kind, inputs, [f"t{self.count}"], **attributes))
        return f"t{self.count}"

    def quantized(self, x: str, scale: float, zero: int) -> str:
        zeros = np.uint8(zero + 128) if self.unsigned else np.int8(zero)
        ends = [self.constant(np.float32(scale)), self.constant(zeros)]
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [x, *ends]), *ends])

    def weighted(self, kind: str, sides: tuple[int, ...], bias: bool = True, **more: Any) -> str:
        axis, count = (1, sides[1]) if more.pop("columns", False) else (0, sides[0])
        data = self.constant(self.rng.integers(-127, 128, sides, dtype=np.int8))
        scales = self.rng.uniform(0.002, 0.01, count).astype(np.float32)
        ends = [self.constant(scales), self.constant(np.zeros(count, np.int8))]
        inputs = [self.x, self.node("DequantizeLinear", [data, *ends], axis=axis)]
        if bias:
            steps = self.constant(scales * np.float32(0.05))
            whole = self.constant(self.rng.integers(-2000, 2000, count, dtype=np.int32))
            inputs.append(self.node("DequantizeLinear", [whole, steps], axis=0))
        return self.node(kind, inputs, **more)

    def model(self, out: str, sides: tuple[int, ...]) -> onnx.ModelProto:
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "made",
            [self.input],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(sides))],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])


def network(*, unsigned: bool = False) -> onnx.ModelProto:
    """Return convolution, depthwise, pooling, addition, flatten and a matrix product."""
    made = Made((1, 3, 9, 7), unsigned=unsigned)
    wide = {"pads": [1, 1, 1, 1]}
    x = made.weighted("Conv", (8, 3, 3, 3), strides=[2, 2], **wide)
    made.x = made.quantized(made.node("Relu", [x]), 0.05, -128)
    kept = made.x
    x = made.weighted("Conv", (8, 1, 3, 3), group=8, **wide)
    made.x = made.quantized(x, 0.05, 4)
    made.x = made.quantized(made.node("Add", [kept, made.x]), 0.05, -7)
    x = made.node("MaxPool", [made.x], kernel_shape=[2, 2], strides=[2, 2])
    made.x = made.quantized(x, 0.05, -7)
    made.x = made.quantized(made.node("Flatten", [made.x]), 0.05, -7)
    x = made.weighted("Gemm", (6, 8 * 2 * 2), transB=1)
    return made.model(made.quantized(x, 0.08, 1), (1, 6))


def lowered(model: onnx.ModelProto) -> Any:
    return lower.lower(onnx_import.parse(model.SerializeToString(), "m", "m.onnx"))


@pytest.mark.parametrize("unsigned", [False, True])
def test_answers_are_within_a_step_of_the_evaluator(unsigned: bool) -> None:
    model = network(unsigned=unsigned)
    onnx.checker.check_model(model)
    graph, evaluator = lowered(model), ReferenceEvaluator(model)
    assert [n.op for n in graph.nodes if n.runs] == [
        *("conv_s8", "depthwise_s8", "add_s8", "max_pool_s8", "1x1_s8"),
    ]
    rng = np.random.default_rng(3)
    for _ in range(20):
        x = rng.normal(0, 2, (1, 3, 9, 7)).astype(np.float32)
        wanted = evaluator.run(None, {"x": x})[0]
        found = execute.forward(graph, [np.ascontiguousarray(x.transpose(0, 2, 3, 1))])
        steps = (found[graph.outputs[0]] - wanted) / 0.08
        # Several layers may each be a step off; wrong order or padding would be tens.
        assert np.abs(steps).max() <= 3 * STEP


def test_image_with_channels_first_is_turned(tmp_path: Path) -> None:
    path, x = tmp_path / "m.onnx", np.random.default_rng(1).normal(0, 2, (2, 3, 9, 7))
    onnx.save(network(), path)
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    graph = load.load(path)
    given = load.sample(graph, f"{tmp_path / 'x.npy'}:1").inputs[0]
    assert np.array_equal(given[0], x[1].transpose(1, 2, 0).astype(np.float32))


@pytest.mark.toolchain
def test_command_runs_it(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(network(), path)
    assert cli.main(["net", str(path), "-o", str(tmp_path / "out")]) == 0
    assert "every layer's output equals" in " ".join((tmp_path / "out").read_text().split())


def test_unsupported_operators_are_listed() -> None:
    made = Made((1, 4, 6, 6))
    made.x = made.quantized(made.node("Sigmoid", [made.x]), 1 / 256, -128)
    out = made.quantized(made.node("Sigmoid", [made.x]), 1 / 256, -128)
    model = made.model(out, (1, 4, 6, 6))
    with pytest.raises(InputError, match=r"Sigmoid \(2\)"):
        lowered(model)


def test_damaged_files() -> None:
    data, rng = network().SerializeToString(), random.Random(1)
    outcomes = {True: 0, False: 0}
    for _ in range(400):
        made = bytearray(data[: rng.randrange(1, len(data))] if rng.random() < 0.3 else data)
        for _ in range(rng.randrange(1, 8)):
            made[rng.randrange(len(made))] = rng.randrange(256)
        try:
            raw = onnx_import.parse(bytes(made), "m", "m.onnx")
            lower.lower(raw, allow_unsupported=True)
            outcomes[True] += 1
        except InputError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 5


def test_data_in_another_file_is_refused() -> None:
    model = network()
    tensor = model.graph.initializer[2]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(InputError, match="another file"):
        lowered(model)
