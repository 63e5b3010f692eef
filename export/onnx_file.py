"""A user's ONNX file: loaded safely, its input fixed to one size, constants folded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.inliner
import onnxslim

from edge_vss.errors import BadInput
from edge_vss.export.proto import OPSET, dtype_of, shape_of

__all__ = ["fix_size", "folded", "load_model", "node_reads", "only_input", "slimmed", "to_opset"]

FOLD_ONLY = ["graph_fusion", "dead_node_elimination", "subexpression_elimination", "weight_tying"]
MAX_SIDE = 16384
OLDEST_OPSET = 9


def load_model(path: Path) -> onnx.ModelProto:
    """Read a model with all its weights.

    Raises:
        BadInput: Missing, not ONNX, or its weights lie outside the folder that it is in.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot read it: {error.strerror or error}") from None
    except Exception:
        raise BadInput(f"{path}: is not an ONNX file") from None
    if not model.graph.node:
        raise BadInput(f"{path}: is not an ONNX file with a network in it")
    _check_external(model, path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:
        raise BadInput(f"{path}: its external weights do not load: {_first_line(error)}") from None
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _drop_weight_inputs(model)
    return model


def _check_external(model: onnx.ModelProto, path: Path) -> None:
    folder = path.parent.resolve()
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                file = (folder / entry.value).resolve()
                if folder not in file.parents:
                    raise BadInput(f"{path}: weights of {tensor.name!r} lie outside its folder ({entry.value})")
                if not file.is_file():
                    raise BadInput(f"{path}: its weights are missing: {file}")


def _drop_weight_inputs(model: onnx.ModelProto) -> None:
    """Old files list every weight as an input too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)


def only_input(model: onnx.ModelProto, path: Path) -> onnx.ValueInfoProto:
    """The one image input of a network; BadInput says what a network must look like where there is none."""
    inputs: list[onnx.ValueInfoProto] = list(model.graph.input)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise BadInput(f"{path}: want one input, the image, got {len(inputs)} ({names})")
    shape = shape_of(inputs[0])
    if dtype_of(inputs[0]) != "float32" or shape is None or len(shape) != 4 or shape[1] not in (0, 3):
        raise BadInput(
            f"{path}: input {inputs[0].name!r} must be float32 of shape (1, 3, H, W), got {_describe(inputs[0])}"
        )
    if shape[0] not in (0, 1):
        raise BadInput(f"{path}: input {inputs[0].name!r} has a fixed batch of {shape[0]}, want 1 or a symbolic one")
    return inputs[0]


def _describe(value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    extents = ", ".join(str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims)
    return f"{dtype_of(value) or 'another type'} ({extents})"


def fix_size(model: onnx.ModelProto, path: Path, height: int | None, width: int | None) -> tuple[int, int]:
    """Give the input batch 1 and one size, in place.

    Args:
        height: Pixels, with ``width``; None where the file must say.

    Raises:
        BadInput: Neither the file nor the caller says a size, or they disagree.
    """
    value = only_input(model, path)
    shape = shape_of(value) or ()
    fixed, asked = (shape[2], shape[3]), (height or 0, width or 0)
    for have, want in zip(fixed, asked):
        if have and want and have != want:
            raise BadInput(f"{path}: its input is fixed to {fixed[0]}x{fixed[1]}, not {height}x{width}")
    size = (fixed[0] or asked[0], fixed[1] or asked[1])
    if not all(size):
        raise BadInput(f"{path}: its input has no fixed size ({_describe(value)}); give one with --size HxW")
    if max(size) > MAX_SIDE or min(size) < 1:
        raise BadInput(f"input size {size[0]}x{size[1]} is not within 1..{MAX_SIDE}")
    for dim, extent in zip(value.type.tensor_type.shape.dim, (1, 3, *size)):
        dim.Clear()
        dim.dim_value = extent
    del model.graph.value_info[:]  # inferred for another size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return size


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with everything computed that does not depend on the image; tensors keep their names."""
    return _slim(model, skip_optimizations=FOLD_ONLY)


def slimmed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network without what can be folded, fused or left out; inputs and outputs keep their names."""
    return _slim(model)


def _slim(model: onnx.ModelProto, **options: object) -> onnx.ModelProto:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = onnxslim.slim(_copy(model), **options)
        onnx.checker.check_model(found)
    except (Exception, SystemExit):  # it helps where it can; what it cannot take stays as it is
        return model
    names = [[value.name for value in values] for values in (found.graph.input, found.graph.output)]
    kept = names == [[value.name for value in values] for values in (model.graph.input, model.graph.output)]
    return found if kept else model


def to_opset(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The same network in the operators of opset 19.

    Raises:
        BadInput: It has operators that opset 19 lacks, or others than ONNX's own.
    """
    foreign = sorted({node.domain for node in _all_nodes(model.graph)} - {"", "ai.onnx"})
    if foreign:
        raise BadInput(f"{path}: has operators of {', '.join(foreign)}; only ONNX's own run everywhere")
    version = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if version < OLDEST_OPSET:
        raise BadInput(f"{path}: its operators are of opset {version}, want {OLDEST_OPSET} or newer; export it again")
    if version != OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:
            raise BadInput(
                f"{path}: does not convert from opset {version} to {OPSET} ({_first_line(error)}); "
                f"export it with opset {OPSET}"
            ) from None
    del model.opset_import[:]
    model.opset_import.extend([onnx.helper.make_opsetid("", OPSET)])
    return model


def node_reads(node: onnx.NodeProto) -> list[str]:
    """Tensors that a node reads, those that its inner graphs take from outside among them."""
    reads = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {value.name for value in (*graph.input, *graph.initializer)}
            own |= {name for inner in graph.node for name in inner.output}
            taken = [name for inner in graph.node for name in node_reads(inner)]
            taken += [value.name for value in graph.output]
            reads += [name for name in taken if name not in own]
    return reads


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _all_nodes(inner)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
