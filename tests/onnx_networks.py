"""Small ONNX segmentation networks as other people's exporters write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["CLASSES", "ONE_SCORE", "NetworkFile"]

CLASSES = 5
ONE_SCORE = 1


class NetworkFile:
    """Builds an encoder-decoder with a skip: ``skip`` at 1/2, ``deep`` at 1/4, scores at 1/2.

    Args:
        size: Of the input; None leaves batch, height and width open, and the decoder asks for shapes as it runs.
        channels: Of the scores.
        tail: Operators behind the scores: any of ArgMax, Sigmoid, Transpose.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = (32, 48),
        *,
        channels: int = CLASSES,
        tail: Sequence[str] = (),
        keepdims: int = 0,
        opset: int = 13,
        second_output: bool = False,
    ) -> None:
        self._random = np.random.default_rng(1)
        self.weights: list[TensorProto] = []
        self.nodes = [
            self._conv("image", "/skip/conv", 3, 8, stride=2),
            helper.make_node("Relu", ["/skip/conv"], ["/skip/relu"]),
            self._conv("/skip/relu", "/deep/conv", 8, 16, stride=2),
            helper.make_node("Relu", ["/deep/conv"], ["/deep/relu"]),
            self._conv("/deep/relu", "/deep/out", 16, 8),
            *self._upsample("/deep/out", "/skip/relu", "/up"),
            helper.make_node("Add", ["/up", "/skip/relu"], ["/sum"]),
            self._conv("/sum", "/scores", 8, channels),
        ]
        self.result = "/scores"
        for operator in tail:
            self._append(operator, keepdims)
        outputs = [self.result] + (["/deep/out"] if second_output else [])
        extents: list[Any] = ["n", 3, "h", "w"] if size is None else [1, 3, *size]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, extents)],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            initializer=self.weights,
        )
        kind = TensorProto.INT64 if "ArgMax" in tail else TensorProto.FLOAT
        for output in graph.output:
            output.type.tensor_type.elem_type = kind if output.name == self.result else TensorProto.FLOAT
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        self.model.ir_version = 8

    def save(self, path: Path) -> Path:
        """Write the file."""
        onnx.save(self.model, path)
        return path

    def _weight(self, name: str, value: np.ndarray[Any, Any]) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def _conv(self, source: str, target: str, inputs: int, outputs: int, stride: int = 1) -> onnx.NodeProto:
        kernel = self._random.normal(size=(outputs, inputs, 3, 3)).astype(np.float32) / 5
        bias = self._random.normal(size=outputs).astype(np.float32) / 5
        names = [source, self._weight(f"{target}.w", kernel), self._weight(f"{target}.b", bias)]
        return helper.make_node("Conv", names, [target], kernel_shape=[3, 3], pads=[1] * 4, strides=[stride] * 2)

    def _upsample(self, source: str, like: str, target: str) -> list[onnx.NodeProto]:
        """Resize to the size that another tensor turns out to have."""
        self._weight("two", np.array([2], np.int64))
        self._weight("four", np.array([4], np.int64))
        self._weight("zero", np.array([0], np.int64))
        return [
            helper.make_node("Shape", [source], ["/own_shape"]),
            helper.make_node("Slice", ["/own_shape", "zero", "two"], ["/own_channels"]),
            helper.make_node("Shape", [like], ["/shape"]),
            helper.make_node("Slice", ["/shape", "two", "four"], ["/size"]),
            helper.make_node("Concat", ["/own_channels", "/size"], ["/sizes"], axis=0),
            helper.make_node(
                "Resize", [source, "", "", "/sizes"], [target], mode="linear",
                coordinate_transformation_mode="pytorch_half_pixel",
            ),
        ]  # fmt: skip

    def _append(self, operator: str, keepdims: int) -> None:
        known: dict[str, dict[str, Any]] = {
            "ArgMax": {"axis": 1, "keepdims": keepdims},
            "Transpose": {"perm": [0, 2, 3, 1]},
        }
        target = f"/{operator.lower()}"
        self.nodes.append(helper.make_node(operator, [self.result], [target], **known.get(operator, {})))
        self.result = target
