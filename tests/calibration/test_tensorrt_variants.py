"""Engine files for TensorRT: types, islands, where integers stand, and what they cost in accuracy."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_vss.bundle import Bundle, Storage, load_bundle, write_bundle
from edge_vss.bundle.golden import read_clip
from edge_vss.calibration.half import half_stage
from edge_vss.calibration.lint import lint_engine
from edge_vss.calibration.observed_source import observe_source
from edge_vss.calibration.qdq import ONNXRUNTIME, TENSORRT
from edge_vss.calibration.variants import VariantMaker
from edge_vss.data.sources import open_source
from edge_vss.deploy import deploy
from edge_vss.emulation import emulated
from edge_vss.graph import Tensor
from edge_vss.runtime import Pipeline

SOURCE = "street:[seed=3,look=camera,frames=12,size=96x128]"
KINDS = {"fp32": 0.9999, "fp16": 0.995, "int8": 0.96}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("tensorrt") / "small.bundle"
    deploy(
        "zoo:clockwork-street",
        out,
        height=96,
        width=128,
        calibration=SOURCE,
        precisions=tuple(KINDS),
        backends=("tensorrt",),
    )
    return load_bundle(out)


def engines(bundle: Bundle, precision: str) -> dict[str, onnx.ModelProto]:
    variant = next(one for one in bundle.manifest.variants if one.name == f"tensorrt-{precision}")
    return {stage: onnx.load_from_string(bundle.read(engine.file)) for stage, engine in variant.engines.items()}


@pytest.mark.parametrize("precision", KINDS)
def test_labels_stay_those_of_float32(bundle: Bundle, precision: str) -> None:
    variant = next(one for one in bundle.manifest.variants if one.name == f"tensorrt-{precision}")
    with (
        emulated(bundle, variant) as (path, operations),
        open_source(SOURCE) as frames,
        Pipeline(bundle.path, schedule="alternate", precision="fp32") as wide,
        Pipeline(path, schedule="alternate", operations=operations) as narrow,
    ):
        equal = [
            np.mean(wide.process(frame).labels["labels"] == narrow.process(frame).labels["labels"]) for frame in frames
        ]
    assert np.mean(equal) >= KINDS[precision]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_between_stages_travels_float16_and_outside_what_was_trained(bundle: Bundle, precision: str) -> None:
    variant = next(one for one in bundle.manifest.variants if one.name == f"tensorrt-{precision}")
    assert set(variant.tensors.values()) == {Storage(dtype="float16")}
    assert {"fine", "middle", "deep"} <= set(variant.tensors)
    for model in engines(bundle, precision).values():
        for value in (*model.graph.input, *model.graph.output):
            half = value.type.tensor_type.elem_type == TensorProto.FLOAT16
            assert half == (value.name in variant.tensors)
            if value.name in ("image", "logits"):
                assert value.type.tensor_type.elem_type == TensorProto.FLOAT


def test_every_convolution_computes_in_float16(bundle: Bundle) -> None:
    for model in engines(bundle, "fp16").values():
        types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
        assert convolutions and all(types[node.input[1]] == TensorProto.FLOAT16 for node in convolutions)


def test_integers_stand_where_kernels_begin_to_read(bundle: Bundle) -> None:
    pairs = 0
    for model in engines(bundle, "int8").values():
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        writers = {name: node for node in model.graph.node for name in node.output}
        for node in model.graph.node:
            if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
                continue
            pairs += 1
            scale, zero = (numpy_helper.to_array(weights[name]) for name in node.input[1:3])
            assert zero.dtype == np.int8 and not zero.any()
            assert scale.dtype == np.float16 and (scale > 0).all() and np.isfinite(scale).all()
            readers = [other for other in model.graph.node if node.output[0] in other.input]
            if node.op_type == "DequantizeLinear":
                assert {reader.op_type for reader in readers} <= {"Conv", "Add"}
        for node in model.graph.node:
            if node.op_type == "Conv":
                assert node.input[2] in weights  # the bias is a constant in float
            if node.op_type == "Add":
                sides = [writers[name].op_type for name in node.input if name in writers]
                assert sides.count("DequantizeLinear") <= 1
    assert pairs > 40


def chain(scale: float) -> bytes:
    """1x1 convolutions: the first one's outputs grow by ``scale``, the second takes it back, a third follows."""
    weights = [np.full((2, 2, 1, 1), value, np.float32) for value in (scale, 1 / scale, 0.5)]
    nodes = [
        helper.make_node("Conv", [name, f"w{place}"], [to], f"conv{place}")
        for place, (name, to) in enumerate(zip(("x", "a", "b"), ("a", "b", "y")))
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 2, 2]) for name in ("x", "y")]
    initializers = [numpy_helper.from_array(weight, f"w{place}") for place, weight in enumerate(weights)]
    graph = helper.make_graph(nodes, "chain", values[:1], values[1:], initializers)
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9
    ).SerializeToString()
    return data


def halved(scale: float, crossing: dict[str, str]):
    x, y = (Tensor(name=name, shape=(1, 2, 2, 2)) for name in "xy")
    magnitudes = {"x": 2.0, "a": 4.0 * scale, "b": 8.0, "y": 8.0}
    return half_stage(chain(scale), [x], [y], magnitudes, crossing)  # type: ignore[arg-type]


def test_a_planted_overflow_becomes_a_float32_island() -> None:
    assert halved(1.0, {}).islands == ()
    found = halved(30000.0, {})
    assert found.islands == ("conv0", "conv1")
    values = np.full((1, 2, 2, 2), 2.0, np.float32)
    session = onnxruntime.InferenceSession(found.engine, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": values})[0], 8.0, rtol=2e-3)
    types = {tensor.name: tensor.data_type for tensor in onnx.load_from_string(found.engine).graph.initializer}
    assert types == {"w0": TensorProto.FLOAT, "w1": TensorProto.FLOAT, "w2/float16": TensorProto.FLOAT16}


@pytest.mark.parametrize("crossing", [{}, {"x": "float16"}, {"y": "float16"}, {"x": "float16", "y": "float16"}])
@pytest.mark.parametrize("scale", [1.0, 30000.0])
def test_boundaries_have_the_types_that_were_agreed(crossing: dict[str, str], scale: float) -> None:
    model = onnx.load_from_string(halved(scale, crossing).engine)
    for value in (*model.graph.input, *model.graph.output):
        wanted = TensorProto.FLOAT16 if value.name in crossing else TensorProto.FLOAT
        assert value.type.tensor_type.elem_type == wanted


@pytest.mark.parametrize("limits", [(0.0, 6.0), (-1.0, 3.0), (-2.0, 0.0), (0.0, 0.0), (0.0, 1e-9)])
def test_scales_hold_the_range(limits: tuple[float, float]) -> None:
    symmetric, asymmetric = TENSORRT.storage(limits), ONNXRUNTIME.storage(limits)
    assert symmetric.dtype == "int8" and symmetric.zero_point == 0
    assert np.float16(symmetric.scale) == symmetric.scale > 0
    assert symmetric.scale * 127 >= max(abs(limit) for limit in limits)
    assert asymmetric.dtype == "uint8" and 0 <= asymmetric.zero_point <= 255 and asymmetric.scale > 0


def test_what_an_export_says(tmp_path: Path) -> None:
    found = deploy(
        "zoo:perframe-street",
        tmp_path / "b",
        height=96,
        width=128,
        calibration=SOURCE,
        precisions=("int8",),
        backends=("tensorrt",),
        int8_boundaries=True,
    )
    assert list(found.variants) == ["onnxruntime-fp32", "tensorrt-int8"]
    assert (found.variants["tensorrt-int8"].int8_macs_share or 0) >= 0.9
    assert found.observed_under == "full"


def test_boundaries_may_cross_as_int8(bundle: Bundle, tmp_path: Path) -> None:
    manifest = bundle.manifest
    engines = {stage: bundle.read(engine.file) for stage, engine in manifest.variants[0].engines.items()}
    maker = VariantMaker(
        graph=manifest.graph,
        schedules=manifest.schedules,
        engines=engines,
        spec=manifest.input,
        outputs=manifest.outputs,
        source=SOURCE,
        clip=read_clip(bundle),
        observed=observe_source(manifest.graph, manifest.schedules, engines, manifest.input, SOURCE),
        int8_boundaries=True,
    )
    made = maker.make("tensorrt", "int8")
    types = {name: storage.dtype for name, storage in made.variant.tensors.items()}
    assert types["fine"] == types["middle"] == types["deep"] == "int8" and "image" not in types
    files = {name: bundle.read(name) for name in manifest.files} | dict(made.files)
    variants = (*manifest.variants[:-1], made.variant)
    assert manifest.variants[-1].name == made.variant.name
    changed = write_bundle(tmp_path / "b", msgspec.structs.replace(manifest, variants=variants), files)
    for stage, engine in made.variant.engines.items():
        model = onnx.load_from_string(made.files[engine.file])
        assert not lint_engine(model, manifest.graph.stage(stage), manifest.graph, made.variant.tensors)
    with (
        emulated(changed, made.variant) as (path, operations),
        open_source(SOURCE) as frames,
        Pipeline(bundle.path, schedule="alternate", precision="fp32") as wide,
        Pipeline(path, schedule="alternate", operations=operations) as narrow,
    ):
        equal = [
            np.mean(wide.process(frame).labels["labels"] == narrow.process(frame).labels["labels"]) for frame in frames
        ]
    assert np.mean(equal) >= KINDS["int8"] - 0.02
