"""What every engine file has in common: opset, IR version, clean metadata, and a check that it is what it says."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from edge_vss.graph import DType, Tensor

__all__ = ["IR_VERSION", "OPSET", "dtype_of", "finish_model", "shape_of"]

OPSET = 19
"""The newest one that TensorRT 10.3, JetPack 6's version, reads in full, and the first with FP16 QuantizeLinear."""
IR_VERSION = 9
"""What opset 19 came with; older parsers refuse newer ones."""
DTYPES: dict[int, DType] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
}


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The extents of a value, 0 where one is not a number; None where the rank is unknown."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in value.type.tensor_type.shape.dim)


def dtype_of(value: onnx.ValueInfoProto) -> DType | None:
    """The element type of a value; None where it is unknown or none of ours."""
    return DTYPES.get(value.type.tensor_type.elem_type)


def finish_model(model: onnx.ModelProto, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bytes:
    """Check an engine against the tensors that it reads and writes, and serialise it.

    Metadata goes: exporters leave stack traces with the paths of the machine in it.

    Raises:
        ValueError: Another opset, or an input or output that differs from its tensor.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("", opsets.get("ai.onnx")) != OPSET:
        raise ValueError(f"the engine came out with operators {opsets}, want opset {OPSET}")
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "edge-vss", "", ""
    model.graph.doc_string = ""
    del model.metadata_props[:]
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    for role, values, tensors in (("input", model.graph.input, inputs), ("output", model.graph.output, outputs)):
        found = [(value.name, shape_of(value), dtype_of(value)) for value in values]
        wanted = [(tensor.name, tensor.shape, tensor.dtype) for tensor in tensors]
        if found != wanted:
            raise ValueError(f"{role}s of the engine are {found}, the graph says {wanted}")
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
