"""INT8 variants: what they cost in accuracy, what crosses between stages, and what is refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import onnx
import onnxruntime
import pytest

from edge_vss.bundle import Bundle, load_bundle
from edge_vss.calibration.observe import observe
from edge_vss.data.sources import open_source
from edge_vss.deploy import deploy
from edge_vss.errors import BadInput
from edge_vss.runtime import Pipeline
from edge_vss.verification import verify_bundle

SOURCE = "street:[seed=3,look=camera,frames=24,size=96x128]"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("int8") / "small.bundle"
    report = deploy("zoo:clockwork-street", out, height=96, width=128, calibration=SOURCE, precisions=("fp32", "int8"))
    share = report.variants["onnxruntime-int8"].int8_macs_share
    assert share is not None and share >= 0.9
    assert report.observed_under == "adaptive"
    return load_bundle(out)


def test_labels_stay_those_of_fp32(bundle: Bundle) -> None:
    with (
        open_source(SOURCE) as frames,
        Pipeline(bundle.path, schedule="full", precision="fp32") as wide,
        Pipeline(bundle.path, schedule="full", precision="int8") as narrow,
    ):
        equal = []
        for frame in frames:
            wanted, found = wide.process(frame).labels, narrow.process(frame).labels
            equal += [np.mean(wanted[name] == found[name]) for name in wanted]
    assert 0.97 <= np.mean(equal) < 1.0


def test_goldens_of_both_variants_hold_on_the_native_runtime(bundle: Bundle) -> None:
    checks = verify_bundle(bundle.path)
    assert {check.variant for check in checks} == {"onnxruntime-fp32", "onnxruntime-int8"}
    assert all(check.report.passed for check in checks)


def test_boundaries_are_handed_over_as_integers_without_a_round_trip(bundle: Bundle) -> None:
    variant = bundle.manifest.variants[1]
    assert {"fine", "middle", "deep"} <= set(variant.tensors)
    for stage in bundle.manifest.graph.stages:
        model = onnx.load_from_string(bundle.read(variant.engines[stage.name].file))
        for value in (*model.graph.input, *model.graph.output):
            stored = value.name in variant.tensors
            kind = value.type.tensor_type.elem_type
            assert (kind == onnx.TensorProto.UINT8) == (stored or value.name == "labels_middle")
        producers = {name: node for node in model.graph.node for name in node.output}
        for value in model.graph.output:
            if value.name in variant.tensors:
                last = producers[value.name]
                assert (last.op_type, variant.tensors[value.name].channels_last) == ("Transpose", True)
                assert producers[last.input[0]].op_type == "QuantizeLinear"


def test_onnxruntime_moves_no_channels_within_a_stage(bundle: Bundle, tmp_path: Path) -> None:
    """Its integer kernels have the channels last: boundary tensors that do not would be turned around at every sum."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    engine = bundle.read(bundle.manifest.variants[1].engines["deep"].file)
    onnxruntime.InferenceSession(engine, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert "QLinearConv" in kinds and "Transpose" not in kinds


def test_a_convolution_over_the_three_channels_of_an_image_stays_float(bundle: Bundle) -> None:
    variant = bundle.manifest.variants[1]
    model = onnx.load_from_string(bundle.read(variant.engines["fine"].file))
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    floats = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in weights]
    assert [weights[node.input[1]].dims[1] for node in floats] == [3]
    assert "image" not in variant.tensors


def test_clips_in_any_order_give_the_same_ranges(bundle: Bundle) -> None:
    manifest = bundle.manifest
    engines = {stage: bundle.read(engine.file) for stage, engine in manifest.variants[0].engines.items()}
    random = np.random.default_rng(0)
    clips = [[random.normal(size=(1, 3, 96, 128)).astype(np.float32) for _ in range(3)] for _ in range(3)]
    schedule = manifest.schedule("alternate")
    ranges = []
    for order in ((0, 1, 2), (2, 0, 1)):
        seen = observe(manifest.graph, schedule, engines, [clips[place] for place in order])
        ranges.append({(s, t): h.range("mse") for s, found in seen.items() for t, h in found.items() if h.filled})
    assert ranges[0] == ranges[1]


def test_a_black_source_is_refused_and_the_old_bundle_stays(bundle: Bundle, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "black.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "bgr0"
        for _ in range(12):
            picture = av.VideoFrame.from_ndarray(np.zeros((96, 128, 3), np.uint8), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    before = (bundle.path / "manifest.json").read_bytes()
    black = str(tmp_path / "black.mkv")
    with pytest.raises(BadInput, match="of one colour"):
        deploy(
            "zoo:clockwork-street", bundle.path, height=96, width=128, calibration=black, precisions=("fp32", "int8")
        )
    assert (bundle.path / "manifest.json").read_bytes() == before
