"""QuantizeLinear and DequantizeLinear around the nodes of a stage: the INT8 forms of an engine.

One set of observed ranges, two ways to write it down. ONNX Runtime on CPUs wants uint8 activations with a zero point,
weights int8 per output channel and int32 biases around everything that moves or joins them: the form that its VNNI and
dot-product kernels take (int8 activations are three times slower there). TensorRT wants int8 with zero point 0, no
quantised bias, and pairs only where a kernel begins to read: it moves them through pooling, resizing and joining.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_vss.bundle import Storage
from edge_vss.calibration.quantised_nodes import SCALE_KEEPING, WEIGHTED, StageNodes
from edge_vss.calibration.ranges import Range
from edge_vss.export.onnx_costs import Costs
from edge_vss.export.proto import finish_model
from edge_vss.graph import Tensor

__all__ = ["FORMS", "ONNXRUNTIME", "TENSORRT", "Form", "QuantisedStage", "quantise_stage"]

U8_LEVELS, I8_LEVELS = 255, 127
SMALLEST_SCALE = 2.0**-24
"""The smallest step of float16."""
ELEMENTS = {"uint8": onnx.TensorProto.UINT8, "int8": onnx.TensorProto.INT8}


@dataclass(frozen=True)
class Form:
    """How a back end wants integers written down."""

    symmetric: bool
    """int8 with zero point 0 and scales that float16 holds, or uint8 with a zero point."""
    quantised_bias: bool
    everywhere: bool
    """Whether all that touches a quantised tensor reads its integers, or only those who gain by it."""
    fewest_inputs: int
    """Convolutions of fewer input channels stay float."""
    channels_last: bool
    """Whether its integer kernels compute with the channels last; boundary tensors are then stored like that."""

    def storage(self, limits: Range) -> Storage:
        """Scale and zero point for a range that holds 0."""
        low, high = limits
        if self.symmetric:
            return Storage(dtype="int8", scale=float(_half_scales(np.array(max(-low, high) / I8_LEVELS))))
        scale = float(np.float32((high - low) / U8_LEVELS)) or 1.0
        return Storage(dtype="uint8", scale=scale, zero_point=int(np.clip(round(-low / scale), 0, U8_LEVELS)))

    def reads(self, nodes: StageNodes, stored: Collection[str]) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
        """Tensor -> who reads its integers: the node and the place of the input.

        Args:
            stored: Boundary tensors that cross as integers, whoever reads or writes them.
        """
        graph = nodes.model.graph
        whole = [value.name for value in (*graph.input, *graph.output) if value.name in stored]
        found = {} if self.everywhere else nodes.gaining_reads()
        for name in dict.fromkeys([*(nodes.tensors() if self.everywhere else []), *whole]):
            found[name] = [
                (reader, place)
                for reader in nodes.readers.get(name, [])
                for place, read in enumerate(reader.input)
                if read == name and (name in whole or reader.name not in nodes.kept)
            ]
        return found


# Dot products of bytes take four at a time: over the three channels of an image ONNX Runtime's integer convolution is
# two to three times slower than its float one.
ONNXRUNTIME = Form(symmetric=False, quantised_bias=True, everywhere=True, fewest_inputs=4, channels_last=True)
TENSORRT = Form(symmetric=True, quantised_bias=False, everywhere=False, fewest_inputs=1, channels_last=False)
FORMS = {"onnxruntime": ONNXRUNTIME, "tensorrt": TENSORRT}
"""By back end."""


@dataclass(frozen=True)
class QuantisedStage:
    """A stage in INT8."""

    engine: bytes
    """ONNX file."""
    macs_share: float
    """Of its multiply-adds, how many are on integers, 0..1."""


def _half_scales(scales: NDArray[np.floating]) -> NDArray[np.float32]:
    """The same as float16 holds them, at least as large, 1 where there is nothing but zeros."""
    exact = np.where(scales > 0, np.maximum(scales, SMALLEST_SCALE), 1.0)
    held = exact.astype(np.float16)
    held = np.where(held < exact, np.nextafter(held, np.float16(np.inf)), held)
    return held.astype(np.float32)


def quantise_stage(
    engine: bytes,
    inputs: list[Tensor],
    outputs: list[Tensor],
    ranges: Mapping[str, Range],
    stored: Mapping[str, Storage],
    kept: Collection[str] = (),
    form: Form = ONNXRUNTIME,
    leaving: Collection[str] = (),
) -> QuantisedStage:
    """A float32 stage with its able nodes on integers.

    Args:
        engine: ONNX file, batch norms folded.
        inputs: The graph's tensors that it reads, and ``outputs`` those that it writes, as trained.
        ranges: Tensor inside the stage -> range.
        stored: Boundary tensor -> how it crosses; others cross as float32.
        kept: Names of nodes that stay float32.
        form: The back end's.
        leaving: Outputs whose writers gain by integers although they leave as float.
    """
    model = onnx.load_from_string(engine)
    nodes = StageNodes(model, {*stored, *leaving}, kept, form.fewest_inputs)
    costs = Costs(model)
    all_macs, quantised_macs = costs.macs(model.graph.node), costs.macs(nodes.quantised.values())
    _Writer(nodes, ranges, stored, form).write()
    engine = finish_model(model, _as_stored(inputs, stored), _as_stored(outputs, stored))
    return QuantisedStage(engine, quantised_macs / all_macs if all_macs else 0.0)


def _as_stored(tensors: list[Tensor], stored: Mapping[str, Storage]) -> list[Tensor]:
    def replaced(tensor: Tensor) -> Tensor:
        if tensor.name not in stored:
            return tensor
        storage = stored[tensor.name]
        return Tensor(name=tensor.name, shape=storage.shape(tensor), dtype=storage.dtype)

    return [replaced(tensor) for tensor in tensors]


class _Writer:
    """Rewrites the graph of ``nodes`` in place."""

    def __init__(
        self, nodes: StageNodes, ranges: Mapping[str, Range], stored: Mapping[str, Storage], form: Form
    ) -> None:
        self._nodes, self._graph = nodes, nodes.model.graph
        self._stored, self._form = stored, form
        self._inputs = {value.name for value in self._graph.input}
        self._reads = form.reads(nodes, stored)
        self._storage = {name: stored.get(name) or form.storage(ranges[name]) for name in self._reads}
        if form.everywhere:
            for node in nodes.quantised.values():
                if node.op_type in SCALE_KEEPING and node.output[0] not in stored:
                    self._storage[node.output[0]] = self._storage[node.input[0]]

    def write(self) -> None:
        for node in self._nodes.quantised.values():
            if node.op_type in WEIGHTED:
                self._weights(node)
        pairs = {name: self._pair(name, storage) for name, storage in self._storage.items()}
        for name, reads in self._reads.items():
            for reader, place in reads:
                reader.input[place] = f"{name}/dequantised"
        ordered = [node for name in self._storage if name in self._inputs for node in pairs[name]]
        for node in self._graph.node:
            ordered.append(node)
            for output in node.output:
                source = output.removesuffix("/float")
                ordered += pairs.get(source, []) if source in self._storage else []
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
        del self._graph.node[:]
        self._graph.node.extend(copies)
        for value in (*self._graph.input, *self._graph.output):
            if value.name in self._stored and value.name in self._storage:
                value.type.tensor_type.elem_type = ELEMENTS[self._stored[value.name].dtype]
                if self._stored[value.name].channels_last:
                    extents = value.type.tensor_type.shape.dim
                    extents.append(extents.pop(1))
        del self._graph.value_info[:]
        self._drop_unread()

    def _pair(self, name: str, storage: Storage) -> list[onnx.NodeProto]:
        scale = self._constant(f"{name}/scale", np.array(storage.scale, np.float32))
        zero = self._constant(f"{name}/zero", np.array(storage.zero_point, storage.dtype))
        crosses, read = name in self._stored, name in self._stored and name in self._inputs
        integers = name if crosses and not storage.channels_last else f"{name}/quantised"
        found = []
        if not read:
            source = name
            if crosses:  # the integers take the boundary tensor's name
                source = f"{name}/float"
                self._rename_written(name, source)
            found.append(helper.make_node("QuantizeLinear", [source, scale, zero], [integers], f"{name}/q"))
        if crosses and storage.channels_last:
            ends, order = ([name, integers], (0, 3, 1, 2)) if read else ([integers, name], (0, 2, 3, 1))
            found.append(helper.make_node("Transpose", ends[:1], ends[1:], f"{name}/t", perm=order))
        found.append(
            helper.make_node("DequantizeLinear", [integers, scale, zero], [f"{name}/dequantised"], f"{name}/d")
        )
        return found

    def _rename_written(self, name: str, to: str) -> None:
        for node in self._graph.node:
            for place, output in enumerate(node.output):
                if output == name:
                    node.output[place] = to

    def _weights(self, node: onnx.NodeProto) -> None:
        weight = numpy_helper.to_array(self._nodes.weights[node.input[1]]).astype(np.float64)
        scales = np.abs(weight).reshape(len(weight), -1).max(1) / I8_LEVELS
        scales = _half_scales(scales) if self._form.symmetric else np.where(scales > 0, scales, 1.0).astype(np.float32)
        integers = np.clip(np.round(weight / scales.reshape(-1, *[1] * (weight.ndim - 1))), -I8_LEVELS, I8_LEVELS)
        base = node.name
        zeros = np.zeros(len(scales), np.int8)
        node.input[1] = self._dequantised(f"{base}/weight", integers.astype(np.int8), scales, zeros)
        if self._form.quantised_bias and len(node.input) > 2 and node.input[2]:
            bias = numpy_helper.to_array(self._nodes.weights[node.input[2]]).astype(np.float64)
            steps = (scales * np.float32(self._storage[node.input[0]].scale)).astype(np.float32)
            limit = 2**31 - 1
            integers = np.clip(np.round(bias / steps), -limit, limit).astype(np.int32)
            node.input[2] = self._dequantised(f"{base}/bias", integers, steps, zeros.astype(np.int32))

    def _dequantised(
        self, name: str, values: NDArray[np.generic], scales: NDArray[np.float32], zeros: NDArray[np.generic]
    ) -> str:
        reads = [
            self._constant(f"{name}/{part}", array)
            for part, array in (("values", values), ("scale", scales), ("zero", zeros))
        ]
        self._graph.node.insert(0, helper.make_node("DequantizeLinear", reads, [name], name, axis=0))
        return name

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def _drop_unread(self) -> None:
        read = {name for node in self._graph.node for name in node.input} | self._nodes.outputs
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        for place in reversed(range(len(self._graph.node))):
            node = self._graph.node[place]
            if node.op_type == "DequantizeLinear" and node.output[0] not in read:
                del self._graph.node[place]
        del self._graph.initializer[:]
        read = {name for node in self._graph.node for name in node.input} | self._nodes.outputs
        self._graph.initializer.extend(tensor for tensor in kept if tensor.name in read)
