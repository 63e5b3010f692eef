"""TDNet through the exporter and on the native runtime: cold start, full ring, reset in mid-stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from edge_vss.bundle import Bundle, load_bundle
from edge_vss.bundle.golden import read_clip
from edge_vss.calibration.lint import lint_bundle
from edge_vss.calibration.observed_source import observe_source
from edge_vss.deploy import deploy
from edge_vss.errors import BadInput
from edge_vss.evaluation import EvalOptions, evaluate_bundle
from edge_vss.executor import ReferenceExecutor
from edge_vss.export import stage_parity, torch_functions
from edge_vss.frame import Frame
from edge_vss.pixels import label_map, preprocess
from edge_vss.reference_engines import bundle_functions
from edge_vss.runtime import Pipeline
from edge_vss.training import AugmentConfig, TrainOptions, load_checkpoint, train
from edge_vss.training.recipes import RECIPES
from edge_vss.verification import verify_bundle

SOURCE = "street:[size=64x96,frames=20,seed=3]"


def trained(folder: Path, kind: str) -> Path:
    """Trained for seconds, so that attention carries something."""
    config = msgspec.structs.replace(
        RECIPES["tdnet"].defaults,
        network=kind,
        height=64,
        width=96,
        crop_height=64,
        crop_width=96,
        epochs=6,
        batch=4,
        clip_rate=1.0,
        ema=0.5,
        validate_every=0,
        augment=AugmentConfig(scale=(1, 1.2)),
    )
    data = ["street:[seed=5,clips=2,frames=6,size=64x96]"]
    return train(TrainOptions(recipe="tdnet", data=data, out=folder, config=config)).checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two, whose attention looks near by; ``of_four`` has the published one."""
    return trained(tmp_path_factory.mktemp("tdnet2"), "tdnet2-near")


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """N = 2 in every precision."""
    out = tmp_path_factory.mktemp("bundles") / "tdnet2.bundle"
    deploy(
        checkpoint,
        out,
        calibration=SOURCE,
        precisions=("fp32", "fp16", "int8"),
        backends=("onnxruntime", "tensorrt"),
        pixels="none",
    )
    return load_bundle(out)


@pytest.fixture(scope="module")
def of_four(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    folder = tmp_path_factory.mktemp("tdnet4")
    path = trained(folder / "run", "tdnet4")
    deploy(path, folder / "tdnet4.bundle", calibration=SOURCE)
    return path, load_bundle(folder / "tdnet4.bundle")


def frames(bundle: Bundle) -> Iterator[Frame]:
    clip = read_clip(bundle)
    return (clip.frame(index) for index in range(len(clip.frames)))


def agrees_with_the_reference(path: Path, bundle: Bundle, schedule: str, reset_at: int) -> list[tuple[str, ...]]:
    """Plays a bundle natively beside the torch stages in the reference executor; returns what fired."""
    manifest = bundle.manifest
    found = next(one for one in manifest.schedules if one.name == schedule)
    executor = ReferenceExecutor(manifest.graph, found, torch_functions(load_checkpoint(path).network))
    equal = total = 0
    fired = []
    with Pipeline(bundle.path, schedule=schedule, precision="fp32", label_size="source") as pipeline:
        for place, frame in enumerate(frames(bundle)):
            if place == reset_at:
                executor.reset()
                pipeline.reset()
            result = pipeline.process(frame)
            step = executor.step(preprocess(frame, manifest.input), sequence=place, pts_us=frame.pts_us)
            assert result.fired == step.fired
            assert result.age_frames == {"labels": step.age_frames["logits"]}
            wanted = label_map(step.outputs["logits"], manifest.outputs[0], manifest.input, frame.height, frame.width)
            equal, total = equal + int((result.labels["labels"] == wanted).sum()), total + wanted.size
            fired.append(step.fired)
    assert equal / total > 0.999
    return fired


def test_every_stage_of_four_sub_networks_matches_pytorch(of_four: tuple[Path, Bundle]) -> None:
    path, bundle = of_four
    engines = bundle_functions(bundle, bundle.manifest.variants[0])
    image = np.random.default_rng(4).normal(size=(1, 3, 64, 96)).astype(np.float32)
    parities = stage_parity(bundle.manifest.graph, torch_functions(load_checkpoint(path).network), engines, image)
    assert len(parities) == 12
    for name, parity in parities.items():
        assert parity.relative < 1e-4, name


def test_two_play_natively_as_in_the_reference_from_a_cold_start_and_after_a_reset(
    checkpoint: Path, bundle: Bundle
) -> None:
    fired = agrees_with_the_reference(checkpoint, bundle, "cycle", reset_at=5)
    assert fired[0] == fired[5] == ("encode_0", "cold_0")
    assert fired[1] == fired[6] == ("encode_1", "propagate_1")
    assert fired[2] == ("encode_0", "propagate_0")


@pytest.mark.parametrize("schedule", ["cycle", "alone", "reuse"])
def test_four_play_natively_as_in_the_reference(of_four: tuple[Path, Bundle], schedule: str) -> None:
    fired = agrees_with_the_reference(*of_four, schedule, reset_at=6)
    wanted = {
        "cycle": [("encode_0", "cold_0"), ("encode_1", "cold_1"), ("encode_2", "cold_2"), ("encode_3", "propagate_3")],
        "alone": [(f"encode_{i}", f"cold_{i}") for i in range(4)],
        "reuse": [("encode_0", "cold_0"), (), (), ()],
    }
    assert fired[:4] == fired[6:10] == wanted[schedule]


def test_older_frames_change_what_is_seen(bundle: Bundle) -> None:
    """Otherwise the tests above would hold for heads that look at nothing but their own frame."""
    maps = {}
    for schedule in ("cycle", "alone"):
        with Pipeline(bundle.path, schedule=schedule, precision="fp32") as pipeline:
            maps[schedule] = [pipeline.process(frame).labels["labels"].copy() for frame in frames(bundle)]
    assert np.array_equal(maps["cycle"][0], maps["alone"][0])
    assert any(not np.array_equal(*pair) for pair in zip(maps["cycle"][1:], maps["alone"][1:], strict=True))


def test_goldens_of_every_variant_come_out(bundle: Bundle) -> None:
    checks = verify_bundle(bundle.path)
    assert {(check.variant, check.report.schedule) for check in checks} >= {
        ("onnxruntime-fp32", "cycle"),
        ("onnxruntime-int8", "cycle"),
        ("onnxruntime-int8", "alone"),
    }
    for check in checks:
        assert check.report.fired_equal and check.report.ages_equal
        # Trained for seconds, it hardly prefers one class to another: an integer that rounds the other way shows.
        assert check.report.passed if check.variant == "onnxruntime-fp32" else check.report.agreement > 0.9


def test_the_engines_for_tensorrt_are_lint_free_and_keep_attention_in_float(bundle: Bundle) -> None:
    report = lint_bundle(bundle)
    assert set(report.variants) == {"tensorrt-fp16", "tensorrt-fp32", "tensorrt-int8"}
    assert report.findings == ()
    for variant in bundle.manifest.variants:
        for stage in ("propagate_0", "propagate_1"):
            model = onnx.load_from_string(bundle.read(variant.engines[stage].file))
            writers = {name: node for node in model.graph.node for name in node.output}
            for node in (one for one in model.graph.node if one.op_type in ("MatMul", "Softmax")):
                for name in node.input:
                    assert name not in writers or writers[name].op_type != "DequantizeLinear"
            assert sum(node.op_type == "MatMul" for node in model.graph.node) == 2
        assert variant.tensors.get("past") is None or variant.tensors["past"].dtype == "float16"


def test_eval_scores_street_clips_at_a_flat_cost(bundle: Bundle) -> None:
    options = EvalOptions(schedules=("cycle",), consistency=False)
    (found,) = evaluate_bundle(bundle.path, "street:[seed=5,clips=2,frames=6,size=64x96]", options)
    assert found.macs_per_frame["mean"] == found.macs_per_frame["max"]
    assert 0.05 < found.miou <= 1
    assert found.update_rate["propagate_0"] + found.update_rate["propagate_1"] == pytest.approx(1.0)


def test_a_source_too_short_to_reach_every_stage_is_refused_in_one_line(bundle: Bundle) -> None:
    manifest = bundle.manifest
    engines = {stage: bundle.read(ref.file) for stage, ref in manifest.variants[0].engines.items()}
    with pytest.raises(BadInput, match="too short, stage 'propagate_0' never fires"):
        observe_source(
            manifest.graph, manifest.schedules, engines, manifest.input, "street:[size=64x96,frames=2,seed=3]"
        )


def test_the_ring_is_read_under_names_of_its_own_and_nothing_else_remembers(of_four: tuple[Path, Bundle]) -> None:
    bundle = of_four[1]
    model = onnx.load_from_string(bundle.read(bundle.manifest.variants[0].engines["propagate_2"].file))
    names = [value.name for value in model.graph.input]
    assert names == ["query_2", "value_2", "skip_2", "past[-1]", "past[-2]", "past[-3]"]
    kept = {tensor.name: (tensor.lives, tensor.depth) for tensor in bundle.manifest.graph.tensors}
    assert kept.pop("past") == ("ring", 3)
    assert set(kept.values()) == {("frame", 1)}
    assert bundle.manifest.ladder == ("cycle", "reuse")
