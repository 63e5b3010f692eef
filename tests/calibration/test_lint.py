"""A lawful engine passes the lint, and every single violation is found where it was planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_vss.bundle import Storage
from edge_vss.calibration.lint import Finding, lint_engine
from edge_vss.calibration.lint_rules import FILE, RULES
from edge_vss.graph import Graph, Read, Stage, Tensor

SHAPES = {"image": (1, 3, 8, 8), "deep": (1, 8, 4, 4), "mid": (1, 8, 8, 8), "logits": (1, 4, 8, 8)}
GRAPH = Graph(
    image="image",
    tensors=tuple(Tensor(name=name, shape=shape) for name, shape in SHAPES.items()),
    stages=(
        Stage(name="body", inputs=(Read("image"),), outputs=("deep",)),
        Stage(name="head", inputs=(Read("image"), Read("deep")), outputs=("mid", "logits")),
    ),
    outputs=("logits",),
)


class Builder:
    """Float16 nodes with integers around them, in order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self._random = np.random.default_rng(4)

    def constant(self, name: str, value: Any, dtype: Any = np.float16) -> str:
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def add(self, operator: str, reads: list[str], result: str, name: str, **fields: Any) -> str:
        self.nodes.append(helper.make_node(operator, reads, [result], name, **fields))
        return result

    def pair(self, name: str, scale: float) -> str:
        """Quantised and back."""
        numbers = [self.constant(f"{name}/scale", scale), self.constant(f"{name}/zero", 0, np.int8)]
        self.add("QuantizeLinear", [name, *numbers], f"{name}/i", f"{name}/q")
        return self.add("DequantizeLinear", [f"{name}/i", *numbers], f"{name}/f", f"{name}/d")

    def weighted(self, source: str, name: str, shape: tuple[int, ...], operator: str = "Conv", axis: int = 0) -> str:
        count = shape[axis]
        reads = [
            self.constant(f"{name}/w", self._random.integers(-127, 128, shape), np.int8),
            self.constant(f"{name}/w/scale", np.full(count, 0.01)),
            self.constant(f"{name}/w/zero", np.zeros(count), np.int8),
        ]
        weight = self.add("DequantizeLinear", reads, f"{name}/w/f", f"{name}/w/d", axis=axis)
        bias = self.constant(f"{name}/b", np.zeros(count))
        return self.add(operator, [source, weight, bias], name, f"{name}/node", pads=[1] * 4)


@dataclass
class Case:
    """An engine of the stage ``head`` with what its bundle says; a violation changes one of the two."""

    model: onnx.ModelProto
    storages: dict[str, Storage] = field(
        default_factory=lambda: {
            "deep": Storage(dtype="int8", scale=0.5),
            "mid": Storage(dtype="int8", scale=0.25),
        }
    )

    def findings(self) -> list[Finding]:
        return lint_engine(self.model, GRAPH.stage("head"), GRAPH, self.storages)

    def node(self, name: str) -> onnx.NodeProto:
        return next(node for node in self.model.graph.node if node.name == name)

    def set(self, name: str, value: Any, dtype: Any = np.float16) -> None:
        found = next(tensor for tensor in self.model.graph.initializer if tensor.name == name)
        found.CopyFrom(numpy_helper.from_array(np.array(value, dtype), name))

    def constant(self, name: str, value: Any, dtype: Any = np.float16) -> str:
        self.model.graph.initializer.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def insert(self, before: str, operator: str, reads: list[str], name: str, **fields: Any) -> str:
        """A node that writes a tensor of its own name, in front of another."""
        place = [node.name for node in self.model.graph.node].index(before)
        self.model.graph.node.insert(place, helper.make_node(operator, reads, [name], name, **fields))
        return name

    def pair_before(self, reader: str, place: int, scale: float = 0.5) -> None:
        """Quantise what a node reads, as ``new/q`` and ``new/d``."""
        numbers = [self.constant("new/scale", scale), self.constant("new/zero", 0, np.int8)]
        integers = self.insert(reader, "QuantizeLinear", [self.node(reader).input[place], *numbers], "new/q")
        self.node(reader).input[place] = self.insert(reader, "DequantizeLinear", [integers, *numbers], "new/d")


def lawful() -> Case:
    """Two convolutions with a skip, joined with a map from below that crosses as int8, and a head."""
    b = Builder()
    b.add("Cast", ["image"], "x", "x/cast", to=TensorProto.FLOAT16)
    b.weighted(b.pair("x", 0.125), "c1", (8, 3, 3, 3))
    skip = b.pair(b.add("Relu", ["c1"], "a", "a/relu"), 0.25)
    b.weighted(skip, "c2", (8, 8, 3, 3))
    b.add("Add", ["c2", skip], "s", "s/add")
    b.add("Relu", ["s"], "r", "r/relu")
    mid = [b.constant("mid/scale", 0.25), b.constant("mid/zero", 0, np.int8)]
    b.add("QuantizeLinear", ["r", *mid], "mid", "mid/q")
    deep = [b.constant("deep/scale", 0.5), b.constant("deep/zero", 0, np.int8)]
    b.add("DequantizeLinear", ["deep", *deep], "deep/f", "deep/d")
    sizes = b.constant("up/sizes", [1, 8, 8, 8], np.int64)
    b.add("Resize", ["deep/f", "", "", sizes], "up", "up/resize", mode="linear")
    b.add("Concat", [b.pair("r", 0.5), b.pair("up", 0.5)], "j", "j/concat", axis=1)
    b.weighted(b.pair("j", 0.5), "scores", (16, 4, 3, 3), "ConvTranspose", axis=1)
    b.add("Cast", ["scores"], "logits", "logits/cast", to=TensorProto.FLOAT)
    kinds = {"image": TensorProto.FLOAT, "deep": TensorProto.INT8, "mid": TensorProto.INT8, "logits": TensorProto.FLOAT}
    values = [helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in SHAPES.items()]
    graph = helper.make_graph(b.nodes, "head", values[:2], values[2:], b.constants)
    return Case(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9))


def bias_on(dtype: Any) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        reads = [
            case.constant("new/b", np.zeros(8), dtype),
            case.constant("new/scale", np.full(8, 0.01)),
            case.constant("new/zero", np.zeros(8), dtype),
        ]
        case.node("c2/node").input[2] = case.insert("c2/node", "DequantizeLinear", reads, "new/d", axis=0)

    return change


def computed_scale(case: Case) -> None:
    one = case.constant("new/one", 1.0)
    case.node("x/q").input[1] = case.insert("x/q", "Mul", ["x/scale", one], "new/mul")


def one_weight_scale(case: Case) -> None:
    case.set("c1/w/scale", 0.01)
    case.set("c1/w/zero", 0, np.int8)


def weight_scales_along(node: str, axis: int, count: int) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        case.set(f"{node}/w/scale", np.full(count, 0.01))
        case.set(f"{node}/w/zero", np.zeros(count), np.int8)
        case.node(f"{node}/w/d").attribute[0].i = axis

    return change


def float_weight(case: Case) -> None:
    case.node("c2/node").input[1] = case.constant("new/w", np.ones((8, 8, 3, 3)))


def wide_skip(case: Case) -> None:
    case.node("s/add").input[1] = case.insert("s/add", "Cast", ["a/f"], "new/cast", to=TensorProto.FLOAT)


def wrong_side_of_the_sum(case: Case) -> None:
    case.pair_before("s/add", 0)
    case.node("s/add").input[1] = "a"


def argmax_of_integers(case: Case) -> None:
    case.pair_before("logits/cast", 0)
    case.node("logits/cast").input[0] = "scores"
    case.insert("logits/cast", "ArgMax", ["new/d"], "new/labels", axis=1)


def version(opset: int, ir: int) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        case.model.opset_import[0].version, case.model.ir_version = opset, ir

    return change


def resize(**fields: Any) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        node = case.node("up/resize")
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(name, value) for name, value in fields.items())

    return change


def stored(tensor: str, **fields: Any) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        case.storages[tensor] = msgspec.structs.replace(case.storages[tensor], **fields)

    return change


def raw_integers_outside(case: Case) -> None:
    case.node("mid/q").output[0] = "new/i"
    case.insert("deep/d", "Identity", ["new/i"], "mid")


def swapped_inputs(case: Case) -> None:
    case.model.graph.input.reverse()


def open_batch(case: Case) -> None:
    case.model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"


def transposed_bytes(case: Case) -> None:
    levels = case.insert("logits/cast", "Cast", ["scores"], "new/cast", to=TensorProto.UINT8)
    case.insert("logits/cast", "Transpose", [levels], "new/turned")


def counted_shape(case: Case) -> None:
    case.insert("logits/cast", "NonZero", ["scores"], "new/nonzero")


VIOLATIONS: dict[str, tuple[Callable[[Case], Any], str, str]] = {
    "zero point 3": (lambda case: case.set("x/zero", 3, np.int8), "symmetric-int8", "x/q"),
    "uint8": (lambda case: case.set("a/zero", 0, np.uint8), "symmetric-int8", "a/d"),
    "no zero point": (lambda case: case.node("x/q").input.pop(), "symmetric-int8", "x/q"),
    "weight zero point": (lambda case: case.set("c1/w/zero", [1] * 8, np.int8), "symmetric-int8", "c1/w/d"),
    "scale 0": (lambda case: case.set("j/scale", 0.0), "constant-scales", "j/q"),
    "infinite scale": (lambda case: case.set("j/scale", np.inf), "constant-scales", "j/d"),
    "a weight's scale is nan": (
        lambda case: case.set("c1/w/scale", [np.nan] * 8),
        "constant-scales",
        "c1/w/d",
    ),
    "computed scale": (computed_scale, "constant-scales", "x/q"),
    "activation per channel": (lambda case: case.set("x/scale", [0.1] * 3), "constant-scales", "x/q"),
    "one scale for a weight": (one_weight_scale, "weights-per-channel", "c1/w/d"),
    "Conv along axis 1": (weight_scales_along("c1", 1, 3), "weights-per-channel", "c1/w/d"),
    "ConvTranspose along axis 0": (weight_scales_along("scores", 0, 16), "weights-per-channel", "scores/w/d"),
    "only the activation": (float_weight, "weights-per-channel", "c2/node"),
    "int32 bias": (bias_on(np.int32), "float-bias", "new/d"),
    "int8 bias": (bias_on(np.int8), "float-bias", "new/d"),
    "ConvInteger": (
        lambda case: case.insert("logits/cast", "ConvInteger", ["x/i", "c1/w"], "new/conv"),
        "known-operators",
        "new/conv",
    ),
    "foreign operator": (
        lambda case: case.insert("logits/cast", "Gelu", ["scores"], "new/gelu", domain="com.microsoft"),
        "known-operators",
        "new/gelu",
    ),
    "between Conv and ReLU": (lambda case: case.pair_before("a/relu", 0), "whole-activations", "new/q"),
    "between Add and ReLU": (lambda case: case.pair_before("r/relu", 0), "whole-activations", "new/q"),
    "both sides of a sum": (lambda case: case.pair_before("s/add", 0), "skip-of-a-sum", "s/add"),
    "wrong side of a sum": (wrong_side_of_the_sum, "skip-of-a-sum", "s/add"),
    "two scales joined": (lambda case: case.set("up/scale", 0.25), "one-scale-per-concat", "j/concat"),
    "scores": (lambda case: case.pair_before("logits/cast", 0), "float-scores", "new/d"),
    "ArgMax": (argmax_of_integers, "float-scores", "new/d"),
    "opset 18": (version(18, 9), "versions", FILE),
    "opset 21": (version(21, 9), "versions", FILE),
    "IR version 10": (version(19, 10), "versions", FILE),
    "cubic": (resize(mode="cubic"), "plain-resize", "up/resize"),
    "antialias": (resize(mode="linear", antialias=1), "plain-resize", "up/resize"),
    "scale of what is read": (stored("deep", scale=0.25), "boundaries", "deep/d"),
    "scale of what is written": (stored("mid", scale=0.3), "boundaries", "mid/q"),
    "zero point of what is written": (stored("mid", zero_point=1), "boundaries", "mid/q"),
    "type of what is read": (stored("deep", dtype="float16"), "boundaries", "deep"),
    "integers from elsewhere": (raw_integers_outside, "boundaries", "mid"),
    "order of the inputs": (swapped_inputs, "boundaries", FILE),
    "Add of two types": (wide_skip, "one-type", "s/add"),
    "scale of another type": (lambda case: case.set("j/scale", 0.5, np.float32), "one-type", "j/q"),
    "bias of another type": (lambda case: case.set("c1/b", np.zeros(8), np.float32), "one-type", "c1/node"),
    "open batch": (open_batch, "static-shapes", "image"),
    "bytes that are moved": (transposed_bytes, "uint8-at-the-edge", "new/turned"),
    "counted shape": (counted_shape, "static-shapes", "new/nonzero"),
}
CONSEQUENCES = {
    "scale of another type": {"one-type"},
    "opset 18": {"one-type"},
    "open batch": {"boundaries"},
    "no zero point": {"one-type"},
    "foreign operator": {"one-type", "static-shapes"},
}
"""Other rules that the same violation breaks by its nature."""


def test_the_lawful_engine_is_an_engine() -> None:
    onnx.checker.check_model(lawful().model, full_check=True)


def test_a_lawful_engine_has_no_findings() -> None:
    assert lawful().findings() == []


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_found_where_it_was_planted(name: str) -> None:
    change, rule, node = VIOLATIONS[name]
    case = lawful()
    change(case)
    found = case.findings()
    assert (node, rule) in {(one.node, one.rule) for one in found}
    assert {one.rule for one in found} <= {rule, *CONSEQUENCES.get(name, ())}
    assert all(one.text and "\n" not in one.text for one in found)


def test_every_rule_has_a_violation() -> None:
    assert {rule for _, rule, _ in VIOLATIONS.values()} == set(RULES)
