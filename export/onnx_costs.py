"""Multiply-adds and parameters of the nodes of an ONNX network."""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx

from edge_vss.export.proto import shape_of

__all__ = ["Costs"]

Shape = tuple[int, ...]


class Costs:
    """Counts what parts of one model cost.

    Convolutions, transposed convolutions and matrix products count one multiply-add per weight and output position;
    everything else is free. Where a shape is not known, the node counts nothing.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self._shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            shape = shape_of(value)
            if shape is not None and all(shape):
                self._shapes.setdefault(value.name, shape)
        self._weights = {
            tensor.name: math.prod(tensor.dims)
            for tensor in model.graph.initializer
            if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        }

    def macs(self, nodes: Iterable[onnx.NodeProto]) -> int:
        """Multiply-adds of one run of these nodes."""
        return sum(self._macs(node) for node in nodes)

    def params(self, nodes: Iterable[onnx.NodeProto]) -> int:
        """Trained parameters that these nodes read, each counted once."""
        used = {name for node in nodes for name in node.input}
        return sum(count for name, count in self._weights.items() if name in used)

    def _macs(self, node: onnx.NodeProto) -> int:
        shapes = [self._shapes.get(name) for name in (*node.input[:2], *node.output[:1])]
        if len(shapes) < 3 or any(shape is None for shape in shapes):
            return 0
        data, weight, output = (shape or () for shape in shapes)
        if node.op_type == "Conv":
            return math.prod(output) * math.prod(weight[1:])
        if node.op_type == "ConvTranspose":
            return math.prod(data) * math.prod(weight[1:])
        if node.op_type in ("Gemm", "MatMul") and data:
            transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            return math.prod(output) * data[0 if transposed else -1]
        return 0
