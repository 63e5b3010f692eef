"""What the outputs of a user's network are: scores, labels or one binary score, and how many classes they know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_vss.bundle import OutputSpec
from edge_vss.data.class_list import ALL, Classes
from edge_vss.errors import BadInput
from edge_vss.export.onnx_cut import plain_names
from edge_vss.reference_engines import open_session

__all__ = ["probe", "read_outputs"]

Array = NDArray[Any]
THROUGH = ("Cast", "Squeeze", "Unsqueeze", "Reshape", "Identity")
"""What may stand between an ArgMax and the output."""


def probe(model: onnx.ModelProto, names: Sequence[str], path: Path) -> dict[str, Array]:
    """The values of some tensors when the network sees a grey image.

    Raises:
        BadInput: ONNX Runtime does not load or run the network.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = open_session(watched.SerializeToString(), name=str(path))
    image = session.get_inputs()[0]
    try:
        values = session.run(list(names), {image.name: np.zeros(image.shape, np.float32)})
    except Exception as error:  # ONNX Runtime's own, private types
        raise BadInput(f"{path}: does not run on an image of {image.shape}: {str(error).splitlines()[0]}") from None
    return dict(zip(names, values))


def read_outputs(
    model: onnx.ModelProto, classes: Mapping[str, Classes], path: Path, names_file: Path
) -> tuple[OutputSpec, ...]:
    """Say what each output is, and change the model in place where a runtime wants it otherwise.

    Label maps lose a channel axis of 1; a sigmoid behind a binary score goes, since 0 is where it crosses one half.

    Raises:
        BadInput: An output is not a segmentation of the image, or has another number of classes than the list.
    """
    found = []
    originals = [value.name for value in model.graph.output]
    plain = plain_names(originals)
    for name in originals:
        _strip_sigmoid(model, name, probe(model, [name], path)[name].shape)
    values = probe(model, [value.name for value in model.graph.output], path)
    for name, tensor in zip(originals, [value.name for value in model.graph.output]):
        known = classes.get(name, classes.get(ALL))
        if known is None:
            raise BadInput(f"{names_file}: lists no classes for output {name!r}")
        value = values[tensor]
        kind, count = _kind(model, tensor, value, path)
        if count is not None and count != len(known):
            raise BadInput(
                f"{names_file}: {len(known)} classes, but output {name!r} of {path} has {count}"
                + (" (one score, on or off)" if kind == "binary" else "")
            )
        if kind == "labels":
            tensor = _plain_labels(model, tensor, value)
        found.append(OutputSpec(name=plain[name], tensor=tensor, kind=kind, classes=known))
    return tuple(found)


def _kind(model: onnx.ModelProto, name: str, value: Array, path: Path) -> tuple[Any, int | None]:
    """(kind, number of classes or None where it cannot be seen)."""
    shape = value.shape
    if value.dtype in (np.float32, np.float16) and len(shape) == 4 and shape[0] == 1 and min(shape) > 0:
        return ("binary", 2) if shape[1] == 1 else ("scores", shape[1])
    if value.dtype.kind in "iub" and shape[:1] == (1,) and (len(shape) == 3 or (len(shape) == 4 and shape[1] == 1)):
        return "labels", _argmax_channels(model, name, path)
    raise BadInput(
        f"{path}: output {name!r} is {value.dtype} {shape}, which is no segmentation; "
        "want scores (1, classes, h, w), labels (1, h, w) or (1, 1, h, w), or one binary score (1, 1, h, w)"
    )


def _argmax_channels(model: onnx.ModelProto, name: str, path: Path) -> int | None:
    """How many channels the ArgMax behind a label output chooses from, if there is one."""
    writers = {output: node for node in model.graph.node for output in node.output}
    node = writers.get(name)
    while node is not None and node.op_type in THROUGH:
        node = writers.get(node.input[0])
    if node is None or node.op_type != "ArgMax":
        return None
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    scores = node.input[0]
    return int(probe(model, [scores], path)[scores].shape[axis])


def _strip_sigmoid(model: onnx.ModelProto, name: str, shape: tuple[int, ...]) -> None:
    node = next((node for node in model.graph.node if name in node.output), None)
    if node is None or node.op_type != "Sigmoid" or len(shape) != 4 or shape[1] != 1:
        return
    place = [value.name for value in model.graph.output].index(name)
    model.graph.output[place].name = node.input[0]
    if not any(name in other.input for other in model.graph.node):
        model.graph.node.remove(node)


def _plain_labels(model: onnx.ModelProto, name: str, value: Array) -> str:
    """Add what makes a label output (1, h, w) of a type that runtimes know; its tensor's name then."""
    target = {"uint8": onnx.TensorProto.UINT8, "bool": onnx.TensorProto.UINT8, "int64": onnx.TensorProto.INT64}.get(
        value.dtype.name, onnx.TensorProto.INT32
    )
    nodes, tensor = [], name
    if value.dtype.name not in ("uint8", "int32", "int64"):
        nodes.append(onnx.helper.make_node("Cast", [tensor], [f"{name}_cast"], to=target))
        tensor = f"{name}_cast"
    if value.ndim == 4:
        shape = np.array([1, *value.shape[2:]], np.int64)
        model.graph.initializer.append(onnx.numpy_helper.from_array(shape, f"{name}_shape"))
        nodes.append(onnx.helper.make_node("Reshape", [tensor, f"{name}_shape"], [f"{name}_map"]))
        tensor = f"{name}_map"
    model.graph.node.extend(nodes)
    output = next(output for output in model.graph.output if output.name == name)
    output.name = tensor
    output.type.tensor_type.elem_type = target
    return tensor
