"""An engine file as the lint looks at it: who writes and reads a tensor, constants, element types, shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from edge_vss.bundle import Storage
from edge_vss.export.onnx_file import node_reads
from edge_vss.graph import Graph, Stage, Tensor

__all__ = ["PAIR", "EngineView", "attribute", "name_of", "typed_places"]

TYPE_ONLY = frozenset({"Cast", "Identity"})
PAIR = frozenset({"QuantizeLinear", "DequantizeLinear"})
ELEMENTS = {
    f"tensor({name})": number
    for name, number in (
        ("float", TensorProto.FLOAT),
        ("float16", TensorProto.FLOAT16),
        ("uint8", TensorProto.UINT8),
        ("int8", TensorProto.INT8),
        ("int32", TensorProto.INT32),
        ("int64", TensorProto.INT64),
        ("bool", TensorProto.BOOL),
    )
}


def name_of(node: onnx.NodeProto) -> str:
    """What a person would call a node: its name, or the tensor that it writes."""
    return str(node.name or next(iter(node.output), node.op_type))


def attribute(node: onnx.NodeProto, name: str, otherwise: object = None) -> object:
    """The value of an attribute, text as ``str``."""
    for item in node.attribute:
        if item.name == name:
            value = onnx.helper.get_attribute_value(item)
            return value.decode() if isinstance(value, bytes) else value
    return otherwise


class EngineView:
    """One stage's engine and what the bundle says of it.

    Args:
        model: The engine.
        graph: Of the bundle; ``stage`` is one of its stages.
        storages: How the variant stores tensors, by name; others cross as trained.
    """

    def __init__(
        self, model: onnx.ModelProto, stage: Stage, graph: Graph, storages: Mapping[str, Storage] | None = None
    ) -> None:
        self.model, self.stage, self.graph = model, stage, graph
        self._storages = storages or {}
        self._tensors = {read.name: read.tensor for read in stage.inputs}
        self.nodes = list(model.graph.node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.writer = {name: node for node in self.nodes for name in node.output if name}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node_reads(node):
                self.readers.setdefault(name, []).append(node)
        self.inputs = {value.name: value for value in model.graph.input if value.name not in self.constants}
        self.outputs = {value.name: value for value in model.graph.output}
        inferred = _inferred(model)
        self.values = {value.name: value for value in (*inferred.input, *inferred.value_info, *inferred.output)}
        self.elements = self._propagated()

    def tensor(self, name: str) -> Tensor:
        """The graph's tensor behind an input or output of the engine."""
        return self.graph.tensor(self._tensors.get(name, name))

    def storage(self, name: str) -> Storage:
        """How the tensor behind an input or output crosses."""
        tensor = self.tensor(name)
        return self._storages.get(tensor.name) or Storage(dtype=tensor.dtype)

    def of(self, *operators: str) -> Iterator[onnx.NodeProto]:
        """Nodes of these operators, in graph order."""
        return (node for node in self.nodes if node.op_type in operators)

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """The value of an initialiser; None where it is none."""
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def scale(self, node: onnx.NodeProto) -> NDArray[np.float32] | None:
        """The constant scale of a QuantizeLinear or DequantizeLinear, as float32; None where it is not constant."""
        value = self.constant(node.input[1])
        return None if value is None else value.astype(np.float32)

    def source(self, name: str) -> onnx.NodeProto | None:
        """Who writes a tensor, casts looked through; None where it comes from outside or is constant."""
        node = self.writer.get(name)
        while node is not None and node.op_type in TYPE_ONLY:
            node = self.writer.get(node.input[0])
        return node

    def origin(self, name: str) -> onnx.NodeProto | None:
        """The same, pairs of QuantizeLinear and DequantizeLinear looked through as well."""
        node = self.writer.get(name)
        while node is not None and node.op_type in TYPE_ONLY | PAIR:
            node = self.writer.get(node.input[0])
        return node

    def consumers(self, name: str) -> list[onnx.NodeProto | None]:
        """Who computes with a tensor in the end, behind casts and pairs; None stands for somebody outside."""
        found: list[onnx.NodeProto | None] = [None] if name in self.outputs else []
        for reader in self.readers.get(name, []):
            found += self.consumers(reader.output[0]) if reader.op_type in TYPE_ONLY | PAIR else [reader]
        return found

    def _propagated(self) -> dict[str, int]:
        """Tensor -> element type: declared ones, and what each operator makes of what it reads."""
        known = {name: tensor.data_type for name, tensor in self.constants.items()}
        known |= {name: value.type.tensor_type.elem_type for name, value in self.inputs.items()}
        for node in self.nodes:
            written = {
                name: self.values[name].type.tensor_type.elem_type for name in node.output if name in self.values
            }
            bound: dict[str, int] = {}
            for kind, name in typed_places(self.model, node, "inputs"):
                bound.setdefault(kind, known.get(name, 0))
            bound = {kind: element for kind, element in bound.items() if element}
            for kind, name in typed_places(self.model, node, "outputs"):
                written[name] = bound.get(kind) or ELEMENTS.get(kind) or written.get(name, 0)
            if node.op_type == "Cast":
                to = attribute(node, "to")
                written[node.output[0]] = to if isinstance(to, int) else 0
            known |= {name: element for name, element in written.items() if element}
        return known


def typed_places(
    model: onnx.ModelProto, node: onnx.NodeProto, role: Literal["inputs", "outputs"]
) -> list[tuple[str, str]]:
    """(type variable or type, tensor) of a node's inputs or outputs, as the operator's definition calls them.

    Nothing for an operator that the file's opset lacks.
    """
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    try:
        schema = onnx.defs.get_schema(node.op_type, versions.get(node.domain or "ai.onnx", 0), node.domain)
    except onnx.defs.SchemaError:
        return []
    formals = schema.inputs if role == "inputs" else schema.outputs
    names = node.input if role == "inputs" else node.output
    last = len(formals) - 1  # a variadic one stands for all that follow
    return [(formals[min(place, last)].type_str, name) for place, name in enumerate(names) if name and last >= 0]


def _inferred(model: onnx.ModelProto) -> onnx.GraphProto:
    """The graph with types and shapes as far as they can be found."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # a graph that cannot be walked at all; the strict rule says why
        return model.graph
