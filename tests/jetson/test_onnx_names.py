"""Names are read from ONNX files as the ``onnx`` package reads them, and broken files are refused."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edge_vss.bundle import load_bundle
from edge_vss.jetson.onnx_names import onnx_names


def test_names_are_those_that_onnx_reads(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    for engine in bundle.manifest.variants[0].engines.values():
        data = bundle.read(engine.file)
        graph = onnx.load_from_string(data).graph
        assert onnx_names(data) == ([value.name for value in graph.input], [value.name for value in graph.output])


def test_weights_among_the_inputs_are_left_out() -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("z", "w", "a", "sum")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    nodes = [helper.make_node("Sum", ["z", "w", "a"], ["sum"])]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:3], values[3:], [weight]))
    assert onnx_names(model.SerializeToString()) == (["z", "a"], ["sum"])


@pytest.mark.parametrize("data", [b"", b"not a model at all", b"\x3a\xff\xff\xff\x7f", b"\x80" * 20, b"\x3a\x00"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="is not an ONNX model"):
        onnx_names(data)


def test_a_file_cut_short_anywhere_is_refused_or_read_alike(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    data = bundle.read(bundle.manifest.variants[0].engines["fuse"].file)
    whole = onnx_names(data)
    for length in range(0, len(data), max(1, len(data) // 97)):
        try:
            assert onnx_names(data[:length]) == whole
        except ValueError as error:
            assert "is not an ONNX model" in str(error)
