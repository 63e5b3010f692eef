"""What TensorRT wants of an engine file, rule by rule.

A rule is a function that yields (node, what is wrong). Another one is added by writing it and naming it in ``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto

from edge_vss.calibration.engine_view import PAIR, EngineView, attribute, name_of, typed_places
from edge_vss.export.proto import IR_VERSION, OPSET, dtype_of, shape_of

__all__ = ["FILE", "RULES", "Rule"]

Found = Iterator[tuple[str, str]]
Rule = Callable[[EngineView], Found]

FILE = "(file)"
"""Stands for the node where the whole file is meant."""
OPSETS = (OPSET, 20)
CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1}
ACTIVATIONS = frozenset({"Relu", "LeakyRelu", "Clip"})
FUSED = frozenset({*CHANNEL_AXIS, "Add"})
"""What takes the activation behind it, or the sum behind it, into its own kernel."""
INTEGER_OPERATORS = frozenset({"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"})
MOVING = frozenset({"Resize", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Flatten", "Softmax", "Sigmoid"})
"""Between the scores and who decides by them: they move scores or keep their order."""


def symmetric_int8(engine: EngineView) -> Found:
    """Zero points are int8 and 0."""
    for node in engine.of("QuantizeLinear", "DequantizeLinear"):
        if engine.elements.get(node.input[0]) == TensorProto.INT32:
            continue  # a bias, which has a rule of its own
        if len(node.input) < 3 or not node.input[2]:
            if node.op_type == "QuantizeLinear" or engine.elements.get(node.input[0]) != TensorProto.INT8:
                yield name_of(node), "has no zero point, which means uint8"
            continue
        zero = engine.constant(node.input[2])
        if zero is None:
            yield name_of(node), f"zero point {node.input[2]!r} is not constant"
        elif zero.dtype != np.int8 or zero.any():
            odd = next(iter(zero[zero != 0].ravel()), 0)
            yield name_of(node), f"zero point is {zero.dtype} {odd}, want int8 0"


def constant_scales(engine: EngineView) -> Found:
    """Scales are initialisers, finite and above 0; those of activations are one number."""
    for node in engine.of("QuantizeLinear", "DequantizeLinear"):
        scale = engine.scale(node)
        if scale is None:
            yield name_of(node), f"scale {node.input[1]!r} is not an initialiser"
        elif not (np.isfinite(scale) & (scale > 0)).all():
            yield name_of(node), "a scale is not finite and above 0"
        elif scale.size != 1 and not _is_weight(engine, node):
            yield name_of(node), f"{scale.size} scales for an activation, want one"


def _is_weight(engine: EngineView, node: onnx.NodeProto) -> bool:
    """Whether a QuantizeLinear or DequantizeLinear works on a constant."""
    return _root(engine, node) in engine.constants


def _root(engine: EngineView, node: onnx.NodeProto) -> str:
    """The tensor at the upper end of the nodes above."""
    while (above := engine.writer.get(node.input[0])) is not None:
        node = above
    return str(node.input[0])


def weights_per_channel(engine: EngineView) -> Found:
    """Weights have a scale per output channel, and are on integers where the activation is."""
    for node in engine.of(*CHANNEL_AXIS):
        pair, activation = engine.source(node.input[1]), engine.source(node.input[0])
        integers = [found is not None and found.op_type == "DequantizeLinear" for found in (activation, pair)]
        if integers[0] != integers[1]:
            yield name_of(node), "weight and activation are not both on integers"
        if pair is None or not integers[1]:
            continue
        scale, axis, weight = engine.scale(pair), CHANNEL_AXIS[node.op_type], engine.constants.get(_root(engine, pair))
        if scale is None:
            continue  # another rule names it
        if weight is None:
            yield name_of(pair), f"the weight of {name_of(node)!r} is not constant"
        elif scale.shape != (weight.dims[axis],) or attribute(pair, "axis", 1) != axis:
            have = f"{scale.size} along axis {attribute(pair, 'axis', 1)}" if scale.ndim else "one scale"
            yield name_of(pair), f"{node.op_type} wants {weight.dims[axis]} scales along axis {axis}, there is {have}"


def float_bias(engine: EngineView) -> Found:
    """A bias is no integer."""
    biases = {name for node in engine.of(*CHANNEL_AXIS) for name in node.input[2:]}
    for node in engine.of("DequantizeLinear"):
        if engine.elements.get(node.input[0]) == TensorProto.INT32:
            yield name_of(node), "dequantises int32; a bias stays float"
        elif node.output[0] in biases:
            yield name_of(node), "dequantises a bias, which stays float"


def known_operators(engine: EngineView) -> Found:
    """Integers are written as QuantizeLinear and DequantizeLinear only, operators are ONNX's own."""
    for node in engine.nodes:
        if node.domain not in ("", "ai.onnx"):
            yield name_of(node), f"{node.op_type} is of {node.domain}, not of ONNX"
        elif node.op_type in INTEGER_OPERATORS or node.op_type.startswith("QLinear"):
            yield name_of(node), f"{node.op_type}: TensorRT reads QuantizeLinear and DequantizeLinear only"


def whole_activations(engine: EngineView) -> Found:
    """Nothing is quantised between a kernel and the activation that it takes in."""
    for node in engine.of(*ACTIVATIONS):
        after = engine.source(node.input[0])
        before = engine.origin(node.input[0])
        if after is not None and after.op_type == "DequantizeLinear" and before is not None and before.op_type in FUSED:
            quantise = engine.source(after.input[0])
            named = name_of(quantise if quantise is not None else after)
            yield named, f"stands between {before.op_type} {name_of(before)!r} and its {node.op_type}"


def skip_of_a_sum(engine: EngineView) -> Found:
    """Of a sum that a convolution takes in, the other input alone is quantised."""
    for node in engine.of("Add"):
        if len(set(node.input)) != 2:
            continue
        sources = [engine.source(name) for name in node.input]
        quantised = [source is not None and source.op_type == "DequantizeLinear" for source in sources]
        fused = [_ends_here(engine, name) for name in node.input]
        if all(quantised) and any(fused):
            yield name_of(node), "both inputs are quantised; the convolution's own stays in its accumulator"
        elif any(is_quantised and ends for is_quantised, ends in zip(quantised, fused)) and not all(fused):
            yield name_of(node), "the convolution's own branch is quantised instead of the skip"


def _ends_here(engine: EngineView, name: str) -> bool:
    """Whether a convolution's result goes into one sum and nowhere else."""
    origin = engine.origin(name)
    return origin is not None and origin.op_type in CHANNEL_AXIS and len(engine.consumers(origin.output[0])) == 1


def one_scale_per_concat(engine: EngineView) -> Found:
    """What is joined has one scale."""
    for node in engine.of("Concat"):
        pairs = [engine.source(name) for name in node.input]
        scales = [engine.scale(pair) for pair in pairs if pair is not None and pair.op_type == "DequantizeLinear"]
        known = {float(scale.ravel()[0]) for scale in scales if scale is not None and scale.size}
        if len(known) > 1:
            yield name_of(node), f"joins integers of the scales {', '.join(f'{scale:g}' for scale in sorted(known))}"


def float_scores(engine: EngineView) -> Found:
    """Nothing is quantised between the last layer and who decides by its scores."""
    ends = [name for name in engine.outputs if name in engine.graph.outputs]
    ends += [node.input[0] for node in engine.of("ArgMax")]
    seen = set()
    for end in ends:
        node = engine.source(end)
        while node is not None and node.op_type in MOVING:
            node = engine.source(node.input[0])
        if node is not None and node.op_type in ("QuantizeLinear", "DequantizeLinear") and name_of(node) not in seen:
            seen.add(name_of(node))
            yield name_of(node), f"the scores {end!r} are quantised"


def versions(engine: EngineView) -> Found:
    """Operators and file format are old enough for every TensorRT 10."""
    found = {entry.domain or "ai.onnx": entry.version for entry in engine.model.opset_import}
    if found.get("ai.onnx") not in OPSETS:
        yield FILE, f"opset {found.get('ai.onnx')}, want {' or '.join(map(str, OPSETS))}"
    if engine.model.ir_version > IR_VERSION:
        yield FILE, f"IR version {engine.model.ir_version}, want at most {IR_VERSION}"


def plain_resize(engine: EngineView) -> Found:
    """Resizing is nearest or linear, without antialiasing."""
    for node in engine.of("Resize"):
        mode = attribute(node, "mode", "nearest")
        if mode not in ("nearest", "linear"):
            yield name_of(node), f"mode {mode}, want nearest or linear"
        if attribute(node, "antialias", 0):
            yield name_of(node), "asks for antialiasing"


def boundaries(engine: EngineView) -> Found:
    """What enters and leaves is what the manifest says: names, shapes, types, scales."""
    for role, values, names in (
        ("input", engine.inputs, [read.name for read in engine.stage.inputs]),
        ("output", engine.outputs, list(engine.stage.outputs)),
    ):
        if list(values) != names:
            yield FILE, f"{role}s are {', '.join(values) or 'none'}, the graph says {', '.join(names) or 'none'}"
            continue
        for name in names:
            storage, tensor = engine.storage(name), engine.tensor(name)
            if dtype_of(values[name]) != storage.dtype:
                element = TensorProto.DataType.Name(values[name].type.tensor_type.elem_type).lower()
                yield name, f"{role} is {element}, the manifest stores it as {storage.dtype}"
            elif storage.dtype in ("int8", "uint8") and tensor.dtype != storage.dtype:
                yield from _boundary_scales(engine, role, name)
            if shape_of(values[name]) != tensor.shape:
                yield name, f"{role} has shape {shape_of(values[name])}, the manifest says {tensor.shape}"


def _boundary_scales(engine: EngineView, role: str, name: str) -> Found:
    """An integer tensor is written by QuantizeLinear and read by DequantizeLinear, with the manifest's scale."""
    want = "QuantizeLinear" if role == "output" else "DequantizeLinear"
    writer = engine.writer.get(name)
    ends = engine.readers.get(name, []) if role == "input" else [writer] if writer is not None else []
    storage = engine.storage(name)
    for node in ends:
        if node.op_type != want:
            yield name_of(node), f"{role} {name!r} crosses as {storage.dtype}, yet {node.op_type} is there, not {want}"
            continue
        constant = engine.constant(node.input[1])
        zero = engine.constant(node.input[2]) if len(node.input) > 2 else np.zeros((), np.int8)
        if constant is None or zero is None:
            continue  # another rule names it
        if constant.size != 1 or constant.ravel()[0] != np.array(storage.scale).astype(constant.dtype):
            yield (
                name_of(node),
                f"{role} {name!r} has scale {constant.ravel()[0]:g}, the manifest says {storage.scale:g}",
            )
        elif int(zero.ravel()[0]) != storage.zero_point:
            yield name_of(node), f"{role} {name!r} has zero point {zero.ravel()[0]}, the manifest {storage.zero_point}"


def one_type(engine: EngineView) -> Found:
    """Inputs that an operator wants of one type have one type, scales included: TensorRT casts nothing by itself."""
    good = True
    for node in engine.nodes:
        types: dict[str, dict[int, str]] = {}
        for kind, name in typed_places(engine.model, node, "inputs"):
            if engine.elements.get(name):
                types.setdefault(kind, {}).setdefault(engine.elements[name], name)
        for found in types.values():
            if len(found) > 1:
                good = False
                texts = (f"{name!r} is {TensorProto.DataType.Name(element).lower()}" for element, name in found.items())
                yield name_of(node), f"{node.op_type}: {', '.join(texts)}; want one type"
    if good:
        try:
            onnx.shape_inference.infer_shapes(engine.model, check_type=True, strict_mode=True, data_prop=True)
        except Exception as error:
            yield FILE, f"types and shapes do not fit: {' '.join(str(error).split())[:200]}"


def static_shapes(engine: EngineView) -> Found:
    """Every extent is a number."""
    for name, value in engine.inputs.items():
        if not all(shape_of(value) or (0,)):
            yield name, "input has no static shape"
    for node in engine.nodes:
        for name in filter(None, node.output):
            shape = shape_of(engine.values[name]) if name in engine.values else None
            if shape is None or not all(shape):
                yield name_of(node), f"{node.op_type}: {name!r} has no static shape"


def uint8_at_the_edge(engine: EngineView) -> Found:
    """uint8 is a type of inputs and outputs only, next to a Cast."""
    for node in engine.nodes:
        if node.op_type in PAIR:
            continue  # symmetric-int8 names those
        inner = [name for name in node.output if name not in engine.outputs or node.op_type != "Cast"]
        outer = [name for name in node.input if node.op_type != "Cast"]
        for name in (*outer, *inner):
            if engine.elements.get(name) == TensorProto.UINT8:
                yield name_of(node), f"{node.op_type} works on uint8 {name!r}; it wants a Cast there"


RULES: Mapping[str, Rule] = {
    "versions": versions,
    "known-operators": known_operators,
    "static-shapes": static_shapes,
    "one-type": one_type,
    "boundaries": boundaries,
    "symmetric-int8": symmetric_int8,
    "constant-scales": constant_scales,
    "weights-per-channel": weights_per_channel,
    "float-bias": float_bias,
    "whole-activations": whole_activations,
    "skip-of-a-sum": skip_of_a_sum,
    "one-scale-per-concat": one_scale_per_concat,
    "float-scores": float_scores,
    "plain-resize": plain_resize,
    "uint8-at-the-edge": uint8_at_the_edge,
}
"""Rule -> what finds its violations."""
