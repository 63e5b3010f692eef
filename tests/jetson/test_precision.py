"""What the engine inspector of either TensorRT says of a plan is read alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_vss.jetson.precision import Layer, count_types, read_layers, refusal


def never() -> str:
    raise AssertionError("the plain text is asked for only where the JSON has no types")


def layer(name: str, kind: str, inputs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"Name": name, "LayerType": kind, "Inputs": inputs, "Outputs": [{"Format/Datatype": "FP32"}], **more}


def ten(text: str) -> dict[str, Any]:
    return {"Name": "t", "Dimensions": [1, 3, 8, 8], "Format/Datatype": text}


def eleven(text: str, key: str = "DataType") -> dict[str, Any]:
    return {"Name": "t", "Dimensions": [1, 3, 8, 8], "Format": "LINEAR", key: text}


@pytest.mark.parametrize(
    ("tensor", "want"),
    [
        (ten("Thirty-two wide channel vectorized row major Int8 format."), "INT8"),
        (ten("Row major linear FP16 format"), "FP16"),
        (ten("Channel major FP16 format where channel % 8 == 0"), "FP16"),
        (ten("Half"), "FP16"),
        (ten("Row major linear FP32"), "FP32"),
        (ten("Float"), "FP32"),
        (ten("Row major linear BFloat16 format"), "BF16"),
        (ten("Row major linear UInt8 format"), "other"),
        (ten("Int32"), "other"),
        (eleven("INT8"), "INT8"),
        (eleven("FP16", "Datatype"), "FP16"),
        (eleven("FP32"), "FP32"),
        ({"Name": "t"}, "FP32"),
    ],
)
def test_a_type_is_known_however_it_is_written(tensor: dict[str, Any], want: str) -> None:
    (found,) = read_layers(json.dumps({"Layers": [layer("conv", "CaskConvolution", [tensor])]}), never)
    assert found.type == want


def test_weights_count_where_there_are_any() -> None:
    entries = [
        layer("a", "CaskConvolution", [ten("Half")], Weights={"Type": "Int8", "Count": 9}),
        layer("b", "CaskPooling", [ten("Half")], Weights={"Type": "Int8", "Count": 0}),
    ]
    assert [found.type for found in read_layers(json.dumps({"Layers": entries}), never)] == ["INT8", "FP16"]


def test_copies_between_types_are_no_computing() -> None:
    entries = [layer("copy", "Reformat", [ten("Half")]), layer("conv", "CaskConvolution", [ten("Float")])]
    layers = read_layers(json.dumps({"Layers": entries, "Bindings": ["x"]}), never)
    assert count_types(layers) == {"FP32": 1}
    assert refusal("fp16", layers) == "asked for as FP16, came out FP32 throughout: conv FP32"


def test_plain_text_is_read_where_json_has_names_only() -> None:
    text = (
        "Layers:\n"
        "Name: conv1, LayerType: CaskConvolution, Inputs: [ { Name: a_fp32, Format/Datatype: Int8 } ], "
        "Outputs: [ { Name: b, Format/Datatype: Half } ]\n"
        "Layer(CudaPooling): pool, Tactic: 0x1, a (Half[1,3,8,8]) -> b (Float[1,3,4,4])\n"
        "\nBindings:\nimage Float\n"
    )
    layers = read_layers(json.dumps({"Layers": ["conv1", "pool"]}), lambda: text)
    assert layers == (Layer("conv1", "CaskConvolution", "INT8"), Layer("pool", "CudaPooling", "FP16"))


@pytest.mark.parametrize(
    ("asked", "types", "refused"),
    [
        ("int8", ["INT8", "FP32"], False),
        ("int8", ["FP16", "FP32"], False),
        ("int8", ["FP32", "other"], True),
        ("fp16", ["FP16"], False),
        ("fp16", ["FP32"], True),
        ("fp16", ["unknown"], True),
        ("fp16", [], True),
        ("fp16", ["other"], False),
        ("fp32", ["FP32"], False),
    ],
)
def test_a_stage_is_refused_when_nothing_in_it_is_narrow(asked: str, types: list[str], refused: bool) -> None:
    layers = [Layer(f"l{place}", "Conv", name) for place, name in enumerate(types)]
    assert bool(refusal(asked, layers)) == refused


def test_layers_on_a_dla_are_told_apart_from_fused_ones_on_the_gpu() -> None:
    name = "{ForeignNode[conv1...conv9]}"
    assert Layer(name, "DLA", "INT8").on_dla and not Layer(name, "Myelin", "INT8").on_dla


def test_a_long_list_of_layers_is_cut() -> None:
    text = refusal("int8", [Layer(f"l{place}", "Conv", "FP32") for place in range(40)])
    assert "l11 FP32 and 28 more" in text and "l12" not in text
