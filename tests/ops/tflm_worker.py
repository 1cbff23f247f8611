"""Runs single operators in TensorFlow Lite's reference interpreter for microcontrollers.

``tflm_worker.py IN.npz OUT.npz``: all cases of IN become one model, each an operator with inputs
and an output of its own, so that one interpreter (and one process) runs them all.
"""

from __future__ import annotations

import json
import os
import sys

import flatbuffers
import numpy as np
from tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as fb

ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 3}
INT8, INT32 = 9, 2


class Builder:
    def __init__(self) -> None:
        self.model = fb.ModelT()
        self.model.version = 3
        self.model.buffers = [fb.BufferT()]
        self.model.operatorCodes = []
        self.graph = fb.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, shape, kind, scales, zero_point=0, axis=0, data=None) -> int:
        tensor = fb.TensorT()
        tensor.name = f"t{len(self.graph.tensors)}"
        tensor.shape = [int(n) for n in shape]
        tensor.type = kind
        tensor.buffer = 0
        if data is not None:
            buffer = fb.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        tensor.quantization = fb.QuantizationParametersT()
        tensor.quantization.scale = [float(s) for s in scales]
        tensor.quantization.zeroPoint = [int(zero_point)] * len(scales)
        tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def code(self, builtin: int, version: int) -> int:
        for index, known in enumerate(self.model.operatorCodes):
            if known.builtinCode == builtin:
                return index
        code = fb.OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        code.deprecatedBuiltinCode = min(builtin, 127)
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def operator(self, builtin, inputs, output, options=None, kind=0, version=3) -> None:
        op = fb.OperatorT()
        op.opcodeIndex = self.code(builtin, version)
        op.inputs, op.outputs = inputs, [output]
        op.builtinOptions, op.builtinOptionsType = options, kind
        self.graph.operators.append(op)

    def bytes(self) -> bytes:
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def window(options, case) -> None:
    options.padding = 0 if case["padding"] == "SAME" else 1
    options.strideH, options.strideW = case["stride"]
    options.fusedActivationFunction = ACTIVATIONS[case["activation"]]


def add_case(builder: Builder, case: dict, arrays, index: int) -> None:
    op, in_scale, out_scale = case["op"], case["in_scale"], case["out_scale"]
    names = [f"x{index}"] + ([f"y{index}"] if op == "add" else [])
    inputs = []
    for name in names:
        scale = in_scale if name[0] == "x" else case["in2_scale"]
        zero = case["in_zero"] if name[0] == "x" else case["in2_zero"]
        inputs.append(builder.tensor(arrays[name].shape, INT8, [scale], zero))
    builder.graph.inputs += inputs
    out = builder.tensor(case["out_shape"], INT8, [out_scale], case["out_zero"])
    builder.graph.outputs.append(out)
    operators, options = fb.BuiltinOperator, fb.BuiltinOptions
    if op in ("conv", "depthwise", "fc"):
        axis = 3 if op == "depthwise" else 0
        scales = case["weight_scales"]
        weights, bias = arrays[f"w{index}"], arrays[f"b{index}"]
        inputs.append(builder.tensor(weights.shape, INT8, scales, 0, axis, weights))
        bias_scales = [float(np.float32(in_scale) * np.float32(s)) for s in scales]
        inputs.append(builder.tensor(bias.shape, INT32, bias_scales, 0, 0, bias))
    if op == "conv":
        chosen = fb.Conv2DOptionsT()
        chosen.dilationHFactor = chosen.dilationWFactor = 1
        window(chosen, case)
        builder.operator(operators.CONV_2D, inputs, out, chosen, options.Conv2DOptions)
    elif op == "depthwise":
        chosen = fb.DepthwiseConv2DOptionsT()
        chosen.dilationHFactor = chosen.dilationWFactor = 1
        chosen.depthMultiplier = case["multiplier"]
        window(chosen, case)
        builder.operator(
            operators.DEPTHWISE_CONV_2D, inputs, out, chosen, options.DepthwiseConv2DOptions
        )
    elif op == "fc":
        chosen = fb.FullyConnectedOptionsT()
        chosen.fusedActivationFunction = ACTIVATIONS[case["activation"]]
        builder.operator(
            operators.FULLY_CONNECTED, inputs, out, chosen, options.FullyConnectedOptions, 4
        )
    elif op in ("max_pool", "ave_pool"):
        chosen = fb.Pool2DOptionsT()
        chosen.filterHeight, chosen.filterWidth = case["kernel"]
        window(chosen, case)
        code = operators.MAX_POOL_2D if op == "max_pool" else operators.AVERAGE_POOL_2D
        builder.operator(code, inputs, out, chosen, options.Pool2DOptions, 2)
    elif op == "add":
        chosen = fb.AddOptionsT()
        chosen.fusedActivationFunction = ACTIVATIONS[case["activation"]]
        builder.operator(operators.ADD, inputs, out, chosen, options.AddOptions, 2)
    elif op == "softmax":
        chosen = fb.SoftmaxOptionsT()
        chosen.beta = 1.0
        builder.operator(operators.SOFTMAX, inputs, out, chosen, options.SoftmaxOptions, 2)
    else:
        code = {"relu": operators.RELU, "relu6": operators.RELU6}[op]
        builder.operator(code, inputs, out, version=2)


def main() -> None:
    arrays = np.load(sys.argv[1], allow_pickle=False)
    cases = json.loads(str(arrays["cases"]))
    builder = Builder()
    for index, case in enumerate(cases):
        add_case(builder, case, arrays, index)
    interpreter = runtime.Interpreter.from_bytes(builder.bytes(), arena_size=64 << 20)
    position = 0
    for index in range(len(cases)):
        for name in (f"x{index}", f"y{index}"):
            if name in arrays.files:
                interpreter.set_input(arrays[name], position)
                position += 1
    interpreter.invoke()
    outputs = {f"out{i}": interpreter.get_output(i) for i in range(len(cases))}
    np.savez(sys.argv[2], version=runtime.__name__, **outputs)
    sys.stdout.flush()
    os._exit(0)  # the interpreter may crash while Python takes it down


if __name__ == "__main__":
    main()
