"""From a checkpoint to a bundle, and the replay of what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edge_vss.bundle import Bundle, load_bundle
from edge_vss.bundle.golden import read_clip
from edge_vss.bundle.replay import replay
from edge_vss.data.classes import CAMVID_CLASSES
from edge_vss.deploy import deploy
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.executor import ReferenceExecutor
from edge_vss.frame import Frame
from edge_vss.networks import NetworkConfig, build_network
from edge_vss.pixels import fit_geometry, label_map, preprocess
from edge_vss.reference_engines import bundle_functions
from edge_vss.schedule import Adaptive
from edge_vss.training import CheckpointInfo, InputInfo, save_checkpoint

STREET = "street:[size=64x96,frames=16,seed=3]"


@dataclass(frozen=True)
class Labelled:
    labels: dict[str, NDArray[np.uint8]]
    fired: tuple[str, ...]
    age_frames: dict[str, int]


@pytest.fixture(scope="module")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clockwork network that is quick to export."""
    config = NetworkConfig(classes=len(CAMVID_CLASSES), deep_dilations=(2,), decoder_blocks=1)
    numbers = InputInfo(height=64, width=96, mean=(120.0, 120.0, 120.0), std=(60.0, 60.0, 60.0))
    info = CheckpointInfo(network=config, classes=CAMVID_CLASSES, input=numbers)
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_checkpoint(path, build_network(config).state_dict(), info)
    return path


def player(bundle: Bundle, schedule: str) -> Callable[[Frame], Labelled]:
    """The bundle's own engines under the reference executor."""
    manifest, variant = bundle.manifest, bundle.manifest.variants[0]
    height, width = read_clip(bundle).frames.shape[1:3]
    executor = ReferenceExecutor(
        manifest.graph,
        manifest.schedule(schedule, variant),
        bundle_functions(bundle, variant),
        valid=fit_geometry(height, width, manifest.input).valid,
    )

    def process(frame: Frame) -> Labelled:
        step = executor.step(preprocess(frame, manifest.input), sequence=frame.sequence, pts_us=frame.pts_us)
        return Labelled(
            {o.name: label_map(step.outputs[o.tensor], o, manifest.input, height, width) for o in manifest.outputs},
            step.fired,
            {o.name: step.age_frames[o.tensor] for o in manifest.outputs},
        )

    return process


def test_bundle_holds_engines_schedules_and_goldens(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    bundle.check_files()
    manifest, (variant,) = bundle.manifest, bundle.manifest.variants
    assert set(variant.engines) == {"fine", "middle", "deep", "fuse"}
    assert {engine.file for engine in variant.engines.values()} <= set(manifest.files)
    assert set(variant.golden) == {schedule.name for schedule in manifest.schedules}
    assert manifest.ladder[0] == "full" and manifest.ladder[-1] == "reuse"
    assert [info.name for info in manifest.outputs[0].classes][:2] == ["Sky", "Building"]
    clock = manifest.schedule("adaptive").clocks["deep"]
    assert isinstance(clock, Adaptive) and clock.max_age == 6 and clock.threshold > 0


def test_engines_replay_the_goldens_of_the_network(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    for schedule in bundle.manifest.schedules:
        report = replay(bundle, bundle.manifest.variants[0], schedule.name, player(bundle, schedule.name))
        assert report.passed and report.difference == ""
        assert report.frames == 12 or report.near_threshold


def test_replay_sees_other_labels_firings_and_ages(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    variant = bundle.manifest.variants[0]

    def changed(**fields: Any) -> Callable[[Frame], Labelled]:
        process = player(bundle, "alternate")
        return lambda frame: replace(process(frame), **fields) if frame.sequence == 3 else process(frame)

    black = {"labels": np.full((64, 96), 10, np.uint8)}
    wrong_labels = replay(bundle, variant, "alternate", changed(labels=black))
    assert wrong_labels.agreement < 0.999 and wrong_labels.fired_equal and not wrong_labels.passed
    wrong_firing = replay(bundle, variant, "alternate", changed(fired=("fine", "middle", "deep", "fuse")))
    assert not wrong_firing.fired_equal and "frame 3" in wrong_firing.difference
    wrong_age = replay(bundle, variant, "alternate", changed(age_frames={"labels": 5}))
    assert not wrong_age.ages_equal and "frame 3" in wrong_age.difference


def test_a_firing_that_rounding_decides_ends_the_comparison(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    variant = bundle.manifest.variants[0]
    golden = variant.golden["adaptive"]
    clock = bundle.manifest.schedule("adaptive").clocks["deep"]
    assert isinstance(clock, Adaptive)
    changes = tuple({"deep": clock.threshold} if index == 5 else {"deep": 1.0} for index in range(12))
    near = msgspec.structs.replace(golden, changes=changes)
    variant = msgspec.structs.replace(variant, golden={"adaptive": near})
    process = player(bundle, "adaptive")

    def other(frame: Frame) -> Labelled:
        found = process(frame)
        flipped = tuple(
            stage for stage in ("fine", "middle", "deep", "fuse") if (stage in found.fired) != (stage == "deep")
        )
        return replace(found, fired=flipped) if frame.sequence == 5 else found

    report = replay(bundle, variant, "adaptive", other)
    assert (report.near_threshold, report.frames, report.fired_equal) == (((5, "deep"),), 5, True)


def test_report_has_the_keys_that_scripts_rely_on(small_checkpoint: Path, tmp_path: Path) -> None:
    seen: list[float] = []
    report = deploy(
        small_checkpoint,
        tmp_path / "a.zip",
        calibration=STREET,
        clock_rate=0.34,
        progress=lambda what, share: seen.append(share),
    )
    plain = msgspec.to_builtins(report)
    assert set(plain["stages"]["deep"]) == {"macs", "params", "files", "parity"}
    assert plain["stages"]["middle"]["parity"]["labels"] == 1.0
    assert plain["cost_of_cutting"] > 0 and plain["bundle"].endswith("a.zip")
    assert plain["update_rate_expected"]["adaptive"]["deep"] <= 0.34
    assert seen == sorted(seen) and seen[-1] == 1.0
    load_bundle(tmp_path / "a.zip").check_files()


def test_failures_leave_the_old_bundle_as_it_was(tiny_bundle: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    def digests() -> dict[str, str]:
        files = (path for path in tiny_bundle.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = digests()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(small_checkpoint.read_bytes()[:5000])
    for checkpoint, options in (
        (broken, {}),
        (small_checkpoint, {"calibration": str(tmp_path / "nothing.mp4")}),
        (small_checkpoint, {"calibration": "street:[size=64x96,frames=3]"}),
        (small_checkpoint, {"height": 65, "width": 96}),
        (small_checkpoint, {"clock_rate": 0.0}),
    ):
        with pytest.raises((BadInput, WrongUsage)) as caught:
            deploy(checkpoint, tiny_bundle, **options)
        assert "\n" not in str(caught.value)
    assert digests() == before


def test_outputs_that_cannot_be_written_are_refused_before_any_work(small_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").write_text("")
    for out in (tmp_path / "file" / "inside", tmp_path / "folder", tmp_path / "file"):
        with pytest.raises(BadInput):
            deploy(small_checkpoint, out, progress=lambda what, share: pytest.fail("work began"))


def test_pixels_next_to_the_network_come_on_request(small_checkpoint: Path, tmp_path: Path) -> None:
    deploy(small_checkpoint, tmp_path / "b", pixels=("nv12", 50, 70), calibration=STREET)
    bundle = load_bundle(tmp_path / "b")
    bundle.check_files()
    pre = onnx.load_from_string(bundle.read("pixels/pre.nv12.50x70.onnx"))
    assert [value.name for value in pre.graph.input] == ["luma", "chroma"]
    post = onnx.load_from_string(bundle.read("pixels/post.labels.50x70.onnx"))
    assert [dim.dim_value for dim in post.graph.output[0].type.tensor_type.shape.dim] == [1, 50, 70]
