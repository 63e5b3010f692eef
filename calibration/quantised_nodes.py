"""Which nodes of a stage can work on 8-bit integers, and which tensors that makes 8-bit."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx

from edge_vss.export.onnx_file import node_reads

__all__ = ["StageNodes"]

WEIGHTED = frozenset({"Conv"})
COMBINING = frozenset({"Add", "Concat"})
SCALE_KEEPING = frozenset({"Resize", "MaxPool"})
"""They move values without computing new ones, so that input and output share scale and zero point."""


class StageNodes:
    """One stage's nodes, seen from the tensors between them.

    Args:
        model: A float32 stage with folded batch norms.
        stored: Boundary outputs of the stage that leave it as integers.
        kept: Names of nodes that stay float32.
        fewest_inputs: Convolutions of fewer input channels stay float32 too.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        stored: Collection[str] = (),
        kept: Collection[str] = (),
        fewest_inputs: int = 1,
    ) -> None:
        self.model, self.kept, self._fewest_inputs = model, frozenset(kept), fewest_inputs
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.outputs = {value.name for value in model.graph.output}
        self._written_at = {name: place for place, node in enumerate(model.graph.node) for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node_reads(node):
                self.readers.setdefault(name, []).append(node)
        self.quantised: Mapping[str, onnx.NodeProto] = {
            node.name: node
            for node in model.graph.node
            if node.name not in kept and self._able(node) and self._pays(node, stored)
        }

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """Tensors that a node computes with: its inputs without weights, bias and sizes."""
        count = 1 if node.op_type in WEIGHTED | SCALE_KEEPING else len(node.input)
        return list(node.input[:count])

    def result(self, node: onnx.NodeProto) -> str:
        """The node's output, or that of the ReLU that alone reads it and becomes part of it."""
        name: str = node.output[0]
        readers = self.readers.get(name, [])
        fused = len(readers) == 1 and readers[0].op_type == "Relu" and name not in self.outputs
        result: str = readers[0].output[0] if fused and node.op_type in WEIGHTED | {"Add"} else name
        return result

    def tensors(self) -> list[str]:
        """Tensors that quantised nodes read or write, in graph order."""
        found = []
        for node in self.quantised.values():
            found += [*self.activations(node), self.result(node)]
        return list(dict.fromkeys(found))

    def gaining_reads(self) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
        """Tensor -> reads, as (node, place), at which a kernel that fuses on its own wants integers.

        Weighted nodes want them. Of a sum, the convolution that ends last goes on in its own accumulator; the other
        input, the skip, is added from memory and had better be 8-bit.
        """
        found: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        for node in self.quantised.values():
            places = [0] if node.op_type in WEIGHTED else []
            if node.op_type == "Add" and len(set(node.input)) == 2:
                fused = [place for place, name in enumerate(node.input) if self._ends_in_accumulator(name)]
                last = max(fused, key=lambda place: self._written_at[node.input[place]], default=None)
                places = [] if last is None else [1 - last]
            for place in places:
                found.setdefault(node.input[place], []).append((node, place))
        return found

    def _ends_in_accumulator(self, name: str) -> bool:
        """Whether a quantised weighted node writes this, and nobody but one sum reads it."""
        written = any(node.output[0] == name for node in self.quantised.values() if node.op_type in WEIGHTED)
        return written and len(self.readers.get(name, [])) == 1 and name not in self.outputs

    def _able(self, node: onnx.NodeProto) -> bool:
        if node.op_type in WEIGHTED:
            known = node.input[1] in self.weights and all(name in self.weights for name in node.input[2:] if name)
            return known and self.weights[node.input[1]].dims[1] >= self._fewest_inputs
        if node.op_type == "Resize":
            modes = {item.s for item in node.attribute if item.name == "mode"}
            return modes <= {b"linear", b"nearest"}
        known = node.op_type in COMBINING | SCALE_KEEPING and len(node.output) == 1
        return known and not any(name in self.weights for name in self.activations(node))

    def _pays(self, node: onnx.NodeProto, stored: Collection[str]) -> bool:
        """Whether somebody computes on with its result. Heads, whose scores are compared or returned, stay float."""
        result = self.result(node)
        able = WEIGHTED | COMBINING | SCALE_KEEPING
        return result in stored or any(reader.op_type in able for reader in self.readers.get(result, []))
