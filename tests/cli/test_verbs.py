"""Every verb does what its help says, and its JSON has the keys that scripts rely on."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from verbs import Cli

VERBS = (
    ("data", "generate"),
    ("data", "label"),
    ("train",),
    ("export",),
    ("calibrate",),
    ("build",),
    ("run",),
    ("eval",),
    ("rerank",),
    ("verify",),
    ("inspect",),
    ("doctor",),
)
STREET = "street:[size=64x96,seed=5]"


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself_with_an_example(cli: Cli, verb: tuple[str, ...]) -> None:
    done = cli(*verb, "--help")
    assert done.code == 0
    assert f"Example: edge-vss {' '.join(verb)}" in " ".join(done.out.split())
    assert "--json" in done.out


def test_version_is_printed(cli: Cli) -> None:
    from edge_vss import __version__

    assert cli("--version").out.strip() == f"edge-vss {__version__}"


def test_generated_video_can_be_evaluated(cli: Cli, tmp_path: Path, tiny_bundle: Path) -> None:
    done = cli("data", "generate", tmp_path / "street", "--clips", 2, "--frames", 3, "--size", "64x96", "--json", "-")
    assert done.code == 0, done.err
    assert done.json["frames"] == 6
    scored = cli("eval", tiny_bundle, "--data", f"folder:{tmp_path / 'street'}", "--json", "-")
    assert scored.code == 0, scored.err
    assert scored.json["frames"] == 6


def test_run_reports_what_scripts_rely_on(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    done = cli(
        "run", tiny_bundle, STREET, "--frames", 6, "--schedule", "alternate", "--as-fast-as-possible", "--json", target
    )
    assert done.code == 0, done.err
    found = json.loads(target.read_text())
    assert found["frames"] == 6 and found["schedule"] == "alternate" and found["dropped"] == {}
    assert set(found["latency_ms"]) >= {"mean", "p50", "p90", "p99", "max"}
    fired = {name: stage["fired"] for name, stage in found["stages"].items()}
    assert min(fired.values()) == 3 and max(fired.values()) == 6
    assert found["age_frames"]["max"] == 1
    assert {"fps", "flags", "backend", "precision"} <= set(found)
    assert "6 frames" in done.out


def test_run_writes_video_and_label_maps_at_once(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    from edge_vss.data.images import read_labels
    from edge_vss.data.sources import open_source

    video, folder = tmp_path / "out.mp4", tmp_path / "labels"
    done = cli(
        "run", tiny_bundle, STREET, "--frames", 4, "--as-fast-as-possible", "--output", video, "--output", folder
    )
    assert done.code == 0, done.err
    with open_source(str(video)) as source:
        assert sum(1 for _ in source) == 4
        assert (source.height, source.width) == (64, 96)
    assert sorted(path.name for path in folder.iterdir()) == [f"{i:06d}.png" for i in range(4)]
    labels = read_labels(folder / "000003.png")
    assert labels.shape == (64, 96) and labels.max() < 11
    assert not list(tmp_path.glob(".*")), "temporary files were left behind"


def test_run_names_label_maps_by_a_pattern(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    done = cli("run", tiny_bundle, STREET, "--frames", 2, "--as-fast-as-possible", "--output", tmp_path / "x-*.png")
    assert done.code == 0, done.err
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["x-000000.png", "x-000001.png"]


def test_run_plays_a_file_at_its_own_rate_unless_told_not_to(cli: Cli, tiny_bundle: Path) -> None:
    slow = cli("run", tiny_bundle, "street:[size=64x96,fps=10,frames=6]", "--json", "-").json
    fast = cli("run", tiny_bundle, "street:[size=64x96,fps=10,frames=6]", "--as-fast-as-possible", "--json", "-").json
    assert slow["frames"] == fast["frames"] == 6
    assert slow["fps"] < 13 < fast["fps"]


def test_json_on_stdout_stands_alone(cli: Cli, tiny_bundle: Path) -> None:
    done = cli("run", tiny_bundle, STREET, "--frames", 2, "--as-fast-as-possible", "--json", "-")
    assert done.json["frames"] == 2
    assert "2 frames" in done.err


def test_eval_scores_every_schedule_on_the_same_frames(cli: Cli, tiny_bundle: Path) -> None:
    done = cli(
        "eval", tiny_bundle, "--data", "street:[size=64x96,clips=2,frames=7]", "--schedule", "all", "--json", "-"
    )
    assert done.code == 0, done.err
    found = done.json["schedules"]
    assert {"full", "alternate", "pipeline-2", "adaptive", "reuse"} <= set(found)
    full, alternate, reuse = found["full"], found["alternate"], found["reuse"]
    assert full["frames"] == 14 and set(full["update_rate"].values()) == {1.0}
    assert min(alternate["update_rate"].values()) == 0.5  # 3 of the 6 frames after the first, in both clips
    assert set(reuse["update_rate"].values()) == {0.0} and reuse["macs_per_frame"]["max"] == 0
    assert alternate["macs_per_frame"]["mean"] < full["macs_per_frame"]["mean"] == full["macs_per_frame"]["max"]
    assert 0 <= full["miou"] <= 1 and 0 <= full["pixel_accuracy"] <= 1
    assert len(full["iou"]) == 11
    assert full["flow"] == "of the data set"  # generated video knows its own
    assert reuse["temporal_consistency"] > 0
    assert set(full["latency_ms"]) == {"mean", "p50", "p90", "p99", "max"}


def test_eval_of_one_schedule_has_its_keys_on_top(cli: Cli, tiny_bundle: Path) -> None:
    done = cli(
        "eval", tiny_bundle, "--data", "street:[size=64x96,clips=1,frames=2]", "--schedule", "full", "--json", "-"
    )
    promised = {"miou", "iou", "pixel_accuracy", "temporal_consistency", "temporal_consistency_masked", "frames"}
    assert promised | {"boundary_iou", "update_rate", "macs_per_frame", "latency_ms"} <= set(done.json)
    assert "vpq" not in done.json  # not asked for


def test_eval_scores_borders_and_panoptic_quality_as_the_metrics_do(
    cli: Cli, tiny_bundle: Path, tmp_path: Path
) -> None:
    from edge_vss.data.datasets import open_dataset
    from edge_vss.data.images import read_labels
    from edge_vss.metrics import BoundaryMatrix, VideoPanopticQuality

    data = "street:[size=64x96,clips=1,frames=5,seed=8]"
    cli("run", tiny_bundle, data, "--schedule", "full", "--as-fast-as-possible", "--output", tmp_path / "labels")
    more = ("--schedule", "full", "--vpq", "--boundary-px", 2)
    scored = cli("eval", tiny_bundle, "--data", data, *more, "--json", "-").json
    dataset = open_dataset(data)
    border = BoundaryMatrix(11, width_px=2)
    classes, instances = VideoPanopticQuality(11), VideoPanopticQuality(11, things=dataset.things)
    for index in range(5):
        sample, labels = dataset.clips[0][index], read_labels(tmp_path / "labels" / f"{index:06d}.png")
        assert sample.labels is not None
        border.update(sample.labels, labels)
        classes.update(sample.labels, labels)
        instances.update(sample.labels, labels, truth_instances=sample.instances)
    assert scored["boundary_px"] == 2 and scored["boundary_iou"] == pytest.approx(border.miou)
    assert scored["vpq"] == pytest.approx(classes.value)
    assert scored["vpq_windows"] == {str(n): pytest.approx(value) for n, value in classes.per_window.items()}
    assert scored["vpq_instances"] == pytest.approx(instances.value)
    assert scored["flow"] == "of the data set"
    assert "VPQ" in cli("eval", tiny_bundle, "--data", data, "--schedule", "full", "--vpq").out


def test_eval_agrees_with_a_confusion_matrix_over_the_labels_of_run(
    cli: Cli, tiny_bundle: Path, tmp_path: Path
) -> None:
    from edge_vss.data.datasets import open_dataset
    from edge_vss.data.images import read_labels

    data = "street:[size=64x96,clips=1,frames=5,seed=8]"
    cli("run", tiny_bundle, data, "--schedule", "alternate", "--as-fast-as-possible", "--output", tmp_path / "labels")
    scored = cli("eval", tiny_bundle, "--data", data, "--schedule", "alternate", "--json", "-").json
    clip = open_dataset(data).clips[0]
    hits, unions = np.zeros(11), np.zeros(11)
    for index in range(5):
        truth, labels = clip[index].labels, read_labels(tmp_path / "labels" / f"{index:06d}.png")
        assert truth is not None
        for c in range(11):
            there, said = truth == c, (labels == c) & (truth != 255)
            hits[c] += (there & said).sum()
            unions[c] += (there | said).sum()
    want = [h / u for h, u in zip(hits, unions) if u]
    assert scored["miou"] == pytest.approx(sum(want) / len(want))


def test_verify_replays_every_schedule(cli: Cli, tiny_bundle: Path) -> None:
    done = cli("verify", tiny_bundle, "--json", "-")
    assert done.code == 0, done.err
    found = done.json["schedules"]
    assert {"full", "alternate", "pipeline-2", "pipeline-3", "adaptive", "reuse"} <= set(found)
    assert all(one["fired_equal"] and one["agreement"] >= 0.999 and one["frames"] > 0 for one in found.values())


def test_verify_says_no_when_the_goldens_are_others(cli: Cli, bundle: Path) -> None:
    import io

    import msgspec

    from edge_vss.bundle import load_bundle, write_bundle

    loaded = load_bundle(bundle)
    files = {name: loaded.read(name) for name in loaded.manifest.files}
    golden = loaded.manifest.variants[0].golden["full"].labels
    with np.load(io.BytesIO(files[golden])) as archive:
        wrong = {name: (archive[name] + 1) % 11 for name in archive.files}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: maps.astype(np.uint8) for name, maps in wrong.items()})
    files[golden] = buffer.getvalue()
    write_bundle(bundle, msgspec.structs.replace(loaded.manifest, files={}), files)
    done = cli("verify", bundle)
    assert done.code == 5
    assert done.err.count("\n") == 1 and "full" in done.err


def test_inspect_shows_stages_and_schedules(cli: Cli, tiny_bundle: Path) -> None:
    done = cli("inspect", tiny_bundle, "--json", "-")
    assert done.code == 0, done.err
    found = done.json
    assert sum(stage["macs"] for stage in found["stages"]) == found["macs"]
    assert math.isclose(sum(stage["share"] for stage in found["stages"]), 1.0)
    assert {"full", "adaptive"} <= {schedule["name"] for schedule in found["schedules"]}
    assert {"tensors", "variants", "files", "calibration", "input", "outputs"} <= set(found)
    for stage in found["stages"]:
        assert stage["name"] in done.err


def test_calibrate_sets_the_rate_of_the_adaptive_clock(cli: Cli, bundle: Path) -> None:
    source = "street:[size=64x96,frames=24,seed=4]"
    done = cli("calibrate", bundle, source, "--clock-rate", 0.5, "--json", "-")
    assert done.code == 0, done.err
    assert done.json["thresholds"] and done.json["update_rate_expected"]
    assert cli("verify", bundle).code == 0, "the goldens follow the new thresholds"


def test_export_reports_what_scripts_rely_on(cli: Cli, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    done = cli("export", tiny_checkpoint, "-o", out, "--calibration", "street:[size=64x96,frames=12]", "--json", "-")
    assert done.code == 0, done.err
    found = done.json
    assert out.is_file() and found["bundle"] == str(out)
    assert all({"macs", "params", "files", "parity"} <= set(stage) for stage in found["stages"].values())
    assert "cost_of_cutting" in found


def test_a_network_of_the_users_own_is_exported_cut_and_labels_video(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="export needs the train extra")
    from onnx_networks import CLASSES, NetworkFile

    model, classes = tmp_path / "net.onnx", tmp_path / "classes.txt"
    NetworkFile(size=(64, 96)).save(model)
    classes.write_text("\n".join(f"class_{i}" for i in range(CLASSES)))
    out = tmp_path / "mine.bundle"
    source = "street:[size=64x96,frames=12]"
    done = cli(
        "export", "--onnx", model, "--cut", "/skip/relu", "--classes", classes,
        "--mean", "123.7,116.3,103.5", "--std", 58, "--calibration", source, "-o", out, "--json", "-",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert len(done.json["stages"]) == 2
    assert cli("verify", out).code == 0
    ran = cli("run", out, source, "--frames", 2, "--as-fast-as-possible", "--json", "-")
    assert ran.code == 0 and ran.json["frames"] == 2


def test_doctor_lists_checks_with_what_mends_them(cli: Cli) -> None:
    done = cli("doctor", "--json", "-")
    assert done.code == 0, done.err
    checks = {check["name"]: check for check in done.json["checks"]}
    assert all(set(check) == {"name", "ok", "found", "fix"} for check in checks.values())
    assert {"python", "numpy", "onnxruntime", "native library", "video", "training side", "power sensors"} <= set(
        checks
    )
    assert checks["native library"]["ok"], checks["native library"]


def test_doctor_sees_rival_builds_of_one_library(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_vss.jetson import doctor

    there = {"onnxruntime": "1.20.0", "onnxruntime-gpu": "1.19.0"}
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: there.get(name, real(name)))
    check = next(check for check in doctor.examine() if check.name == "onnxruntime")
    assert not check.ok and "pip uninstall -y onnxruntime onnxruntime-gpu" in check.fix
