"""A float32 engine as a strongly typed float16 one, for TensorRT.

Types are written into the file: nothing is left for the builder to choose. What could overflow stays float32: every
node that reads or writes a tensor whose magnitude passed ``ISLAND_MAGNITUDE`` in calibration is an island between
casts. As all readers and the writer of such a tensor are islands, no cast ever meets a value near the limit of 65504.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_vss.errors import BadInput
from edge_vss.export.proto import dtype_of, finish_model
from edge_vss.graph import DType, Tensor

__all__ = ["ISLAND_MAGNITUDE", "HalfStage", "half_stage"]

ISLAND_MAGNITUDE = float(2**14)
"""A quarter of what float16 holds: other frames than those of the calibration may reach further."""
FLOAT32_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Places whose type is float32 by the operator's definition."""
TYPES = {"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT}


@dataclass(frozen=True)
class HalfStage:
    """A stage in float16."""

    engine: bytes
    """ONNX file."""
    islands: tuple[str, ...]
    """Names of the nodes that compute in float32, in graph order."""


def half_stage(
    engine: bytes,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    magnitudes: Mapping[str, float],
    crossing: Mapping[str, DType],
) -> HalfStage:
    """Write a stage in float16.

    Args:
        engine: float32 ONNX file; it may hold QuantizeLinear and DequantizeLinear.
        inputs: The graph's tensors that it reads, and ``outputs`` those that it writes, as trained.
        magnitudes: Tensor inside the stage -> largest absolute value seen; those that are not there count as harmless.
        crossing: Boundary tensor -> type in which it enters or leaves; others as trained.

    Raises:
        BadInput: A node holds a graph of its own.
    """
    model = onnx.load_from_string(engine)
    for node in model.graph.node:
        if any(item.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for item in node.attribute):
            raise BadInput(f"float16: node {node.name!r} ({node.op_type}) holds a graph of its own; use fp32 there")
    writer = _Writer(model, magnitudes, crossing)
    writer.write()
    names = [writer.nodes[place].name for place in writer.islands]
    writer.finish()

    def typed(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [
            Tensor(name=tensor.name, shape=tensor.shape, dtype=crossing.get(tensor.name, tensor.dtype))
            for tensor in tensors
        ]

    return HalfStage(finish_model(model, typed(inputs), typed(outputs)), tuple(names))


class _Writer:
    """Gives every float tensor the one type that its writer has, and casts for readers of the other."""

    def __init__(self, model: onnx.ModelProto, magnitudes: Mapping[str, float], crossing: Mapping[str, DType]) -> None:
        self._graph, self._crossing = model.graph, crossing
        _constants_to_initializers(model.graph)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        values = (*inferred.input, *inferred.value_info, *inferred.output)
        self._floats = {value.name for value in values if dtype_of(value) == "float32"}
        self._weights = {
            tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT
        }
        large = {name for name, magnitude in magnitudes.items() if magnitude > ISLAND_MAGNITUDE}
        large |= {
            name
            for name, tensor in self._weights.items()
            if np.abs(numpy_helper.to_array(tensor)).max(initial=0.0) > ISLAND_MAGNITUDE
        }
        self.nodes = list(model.graph.node)
        self.islands = [place for place, node in enumerate(self.nodes) if large & {*self._read(node), *node.output}]
        self._written: dict[str, str] = {}  # tensor -> type that it is written in
        self._ordered: list[onnx.NodeProto] = []
        self._made: set[str] = set()

    def _read(self, node: onnx.NodeProto) -> list[str]:
        fixed = FLOAT32_INPUTS.get(node.op_type, ())
        return [name for place, name in enumerate(node.input) if name and place not in fixed]

    def write(self) -> None:
        inputs, outputs = list(self._graph.input), list(self._graph.output)
        for value in inputs:
            if value.name in self._floats:
                self._written[value.name] = self._retyped(value)
        leaving = {value.name: self._retyped(value) for value in outputs if value.name in self._floats}
        for position, node in enumerate(self.nodes):
            kind = "float32" if position in self.islands else "float16"
            fixed = FLOAT32_INPUTS.get(node.op_type, ())
            for place, name in enumerate(node.input):
                if place not in fixed and (name in self._floats or name in self._weights):
                    node.input[place] = self._in_type(name, kind)
            self._ordered.append(node)
            self._results(node, kind, leaving)

    def _results(self, node: onnx.NodeProto, kind: str, leaving: Mapping[str, str]) -> None:
        for place, name in enumerate(node.output):
            if name not in self._floats:
                continue
            self._written[name] = kind
            if node.op_type == "Cast":
                next(item for item in node.attribute if item.name == "to").i = TYPES[kind]
            _retype_value(node, TYPES[kind])
            if leaving.get(name, kind) != kind:  # the boundary's type takes the boundary's name
                node.output[place] = f"{name}/{kind}"
                self._made.add(node.output[place])
                self._cast(node.output[place], name, leaving[name])
                self._written[name] = leaving[name]

    def _in_type(self, name: str, kind: str) -> str:
        if name in self._weights:
            return self._weight(name, kind)
        if self._written[name] == kind:
            return name
        other = f"{name}/{kind}"
        if other not in self._made:
            self._made.add(other)
            self._cast(name, other, kind)
        return other

    def _cast(self, name: str, to: str, kind: str) -> None:
        self._ordered.append(helper.make_node("Cast", [name], [to], f"{to}/cast", to=TYPES[kind]))

    def _weight(self, name: str, kind: str) -> str:
        if kind == "float32":
            return name
        other = f"{name}/float16"
        if other not in self._made:
            self._made.add(other)
            values = numpy_helper.to_array(self._weights[name]).astype(np.float16)
            self._graph.initializer.append(numpy_helper.from_array(values, other))
        return other

    def _retyped(self, value: onnx.ValueInfoProto) -> str:
        kind = self._crossing.get(value.name, "float32")
        value.type.tensor_type.elem_type = TYPES[kind]
        return kind

    def finish(self) -> None:
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in self._ordered]
        del self._graph.node[:]
        self._graph.node.extend(copies)
        del self._graph.value_info[:]
        drop_unread_weights(self._graph)


def drop_unread_weights(graph: onnx.GraphProto) -> None:
    """Remove initializers that no node reads and that are no output."""
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        values = [item.t for item in node.attribute if item.name == "value"]
        if node.op_type == "Constant" and values:
            values[0].name = node.output[0]
            graph.initializer.append(values[0])
            del graph.node[place]


def _retype_value(node: onnx.NodeProto, element: int) -> None:
    """ConstantOfShape and others that carry the type of their result as a tensor attribute."""
    for item in node.attribute:
        if item.name == "value" and item.t.data_type == TensorProto.FLOAT and element != TensorProto.FLOAT:
            item.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item.t).astype(np.float16)))
