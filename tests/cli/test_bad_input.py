"""Bad input: one line on stderr, the right exit code, no traceback, earlier outputs intact."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from verbs import Cli, assert_one_line, change_manifest

STREET = "street:[size=64x96]"


def missing_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()


def truncated_manifest(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_bytes()
    (bundle / "manifest.json").write_bytes(text[: len(text) // 2])


def changed_engine(bundle: Path) -> None:
    engine = next((bundle / "engines").iterdir())
    data = bytearray(engine.read_bytes())
    data[len(data) // 2] ^= 1
    engine.write_bytes(bytes(data))


def truncated_engine(bundle: Path) -> None:
    engine = next((bundle / "engines").iterdir())
    engine.write_bytes(engine.read_bytes()[:-1])


def missing_engine(bundle: Path) -> None:
    next((bundle / "engines").iterdir()).unlink()


def future_version(bundle: Path) -> None:
    change_manifest(bundle, lambda manifest: manifest.update(schema=99))


def escaping_path(bundle: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["files"]["../outside.onnx"] = {"bytes": 1, "sha256": "0" * 64}

    change_manifest(bundle, change)


def absurd_shape(bundle: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["graph"]["tensors"][1]["shape"] = [1, 1 << 40, 1 << 40, 4]

    change_manifest(bundle, change)


def huge_input(bundle: Path) -> None:
    change_manifest(bundle, lambda manifest: manifest["input"].update(height=1 << 30))


def linked_engine(bundle: Path) -> None:
    engine = next((bundle / "engines").iterdir())
    outside = bundle.parent / "outside.onnx"
    engine.rename(outside)
    engine.symlink_to(outside)


DAMAGES = [
    missing_manifest,
    truncated_manifest,
    changed_engine,
    truncated_engine,
    missing_engine,
    future_version,
    escaping_path,
    absurd_shape,
    huge_input,
    linked_engine,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("verb", ["run", "verify", "inspect", "eval"])
def test_a_damaged_bundle_is_refused_in_one_line(
    cli: Cli, bundle: Path, verb: str, damage: Callable[[Path], None]
) -> None:
    damage(bundle)
    more = {"run": [STREET, "--frames", 1], "eval": ["--data", "street:[size=64x96,clips=1,frames=1]"]}.get(verb, [])
    assert_one_line(cli(verb, bundle, *more), 3, bundle.name)


@pytest.mark.parametrize("kind", ["camvid", "cityscapes", "folder", "nyud", "viper", "voc", "vps", "youtube"])
def test_a_data_set_of_another_layout_is_one_line(cli: Cli, tiny_bundle: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "holiday.txt").write_text("not a data set")
    assert_one_line(cli("eval", tiny_bundle, "--data", f"{kind}:{tmp_path}"), 3, tmp_path.name)
    assert_one_line(cli("eval", tiny_bundle, "--data", f"{kind}:{tmp_path / 'none'}"), 3, "no folder")


def test_a_missing_bundle_says_how_to_make_one(cli: Cli, tmp_path: Path) -> None:
    assert_one_line(cli("run", tmp_path / "none.bundle", STREET), 3, "no such bundle", "edge-vss export")


def test_a_checkpoint_in_a_bundles_place_says_how_to_make_one_of_it(cli: Cli, tiny_checkpoint: Path) -> None:
    done = cli("eval", tiny_checkpoint, "--data", STREET)
    assert_one_line(done, 3, "is a checkpoint, no bundle", f"edge-vss export {tiny_checkpoint}")


def test_a_future_version_is_named(cli: Cli, bundle: Path) -> None:
    future_version(bundle)
    assert_one_line(cli("inspect", bundle), 3, "99")


def test_absurd_manifests_give_lines_of_sane_length(cli: Cli, bundle: Path) -> None:
    from edge_vss.errors import BadInput
    from edge_vss.runtime.pipeline import check_bundle

    def long_name(manifest: dict[str, Any]) -> None:
        manifest["graph"]["stages"][0]["inputs"][0]["tensor"] = "n" * 100_000

    def many_engines(manifest: dict[str, Any]) -> None:
        manifest["graph"]["stages"][0]["inputs"][0]["tensor"] = manifest["graph"]["image"]
        for index in range(5000):
            manifest["variants"][0]["engines"][f"stage_{index}"] = {"file": "x"}

    for damage in (long_name, many_engines):
        change_manifest(bundle, damage)
        done = cli("inspect", bundle)
        assert_one_line(done, 3, bundle.name)
        assert len(done.err) < 700
        with pytest.raises(BadInput) as caught:
            check_bundle(bundle)
        assert len(str(caught.value)) < 700 + len(str(bundle))


@pytest.mark.parametrize("source", ["none.mp4", "nothing-*.png", "street:[look=odd]", "street:[size=3]"])
def test_a_source_that_does_not_open_is_bad_input(cli: Cli, tiny_bundle: Path, source: str) -> None:
    assert_one_line(cli("run", tiny_bundle, source, "--frames", 1), 3)


def test_a_camera_without_capture_is_a_device_failure(cli: Cli, tiny_bundle: Path) -> None:
    assert_one_line(cli("run", tiny_bundle, "/dev/video0", "--frames", 1), 4, "/dev/video0")


def test_a_corrupt_video_leaves_earlier_outputs_intact(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    good, bad, out = tmp_path / "good.mp4", tmp_path / "bad.mp4", tmp_path / "out.mp4"
    assert cli("run", tiny_bundle, STREET, "--frames", 8, "--as-fast-as-possible", "--output", good).code == 0
    data = good.read_bytes()
    bad.write_bytes(b"\0" * 64 + data[64:])
    out.write_bytes(b"earlier")
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "earlier.png").write_bytes(b"earlier")
    done = cli("run", tiny_bundle, bad, "--output", out, "--output", labels)
    assert_one_line(done, 3, "bad.mp4")
    assert out.read_bytes() == b"earlier" and [path.name for path in labels.iterdir()] == ["earlier.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.mp4", "good.mp4", "labels", "out.mp4"]


def test_a_source_that_fails_on_the_way_leaves_earlier_outputs_intact(
    cli: Cli, tiny_bundle: Path, tmp_path: Path
) -> None:
    pictures, labels = tmp_path / "pictures", tmp_path / "labels"
    assert cli("data", "generate", tmp_path / "street", "--clips", 1, "--frames", 3, "--size", "64x96").code == 0
    pictures.mkdir()
    for index, path in enumerate(sorted((tmp_path / "street").rglob("images/*.png"))):
        (pictures / path.name).write_bytes(path.read_bytes() if index < 2 else path.read_bytes()[:100])
    labels.mkdir()
    (labels / "earlier.png").write_bytes(b"earlier")
    assert_one_line(cli("run", tiny_bundle, pictures, "--as-fast-as-possible", "--output", labels), 3, "png")
    assert [path.name for path in labels.iterdir()] == ["earlier.png"]


def test_a_video_that_breaks_off_is_labelled_so_far_with_a_warning(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    video, out = tmp_path / "in.mkv", tmp_path / "out.mp4"
    assert cli("run", tiny_bundle, STREET, "--frames", 60, "--as-fast-as-possible", "--output", video).code == 0
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    done = cli("run", tiny_bundle, video, "--as-fast-as-possible", "--output", out, "--json", tmp_path / "run.json")
    assert done.code == 0 and out.is_file()
    assert done.err.startswith("edge-vss: warning: ") and done.err.count("\n") == 1 and "in.mkv" in done.err
    found = json.loads((tmp_path / "run.json").read_text())
    assert 0 < found["frames"] < 60 and found["damage"]["missing_s"] > 0.5


@pytest.mark.parametrize("target", ["/proc/x.bundle", "/dev/full", "/dev/full/x.zip", "/proc/none/x.bundle"])
def test_a_bundle_that_cannot_be_written_is_refused_before_the_work(cli: Cli, target: str) -> None:
    pytest.importorskip("torch", reason="export needs the train extra")
    # The checkpoint does not exist either: the place is looked at first.
    assert_one_line(cli("export", "zoo:none", "-o", target), 3, target)


@pytest.mark.parametrize("verb", ["run", "data", "train"])
def test_a_device_in_the_place_of_a_folder_is_called_no_folder(cli: Cli, tiny_bundle: Path, verb: str) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    arguments = {
        "run": ["run", tiny_bundle, STREET, "--frames", 1, "--output", "/dev/full"],
        "data": ["data", "generate", "/dev/full"],
        "train": ["train", "supervised", "--data", STREET, "--out", "/dev/full"],
    }[verb]
    assert_one_line(cli(*arguments), 3, "/dev/full: is not a folder")


def test_data_without_a_labelled_pixel_is_not_scored(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    import numpy as np

    from edge_vss.data.video import write_png

    street = tmp_path / "street"
    assert cli("data", "generate", street, "--clips", 1, "--frames", 2, "--size", "64x96").code == 0
    for label in street.rglob("labels/*.png"):
        write_png(label, np.full((64, 96), 255, np.uint8))
    target = tmp_path / "eval.json"
    assert_one_line(cli("eval", tiny_bundle, "--data", f"folder:{street}", "--json", target), 3, "labelled pixel")
    assert not target.exists()


@pytest.mark.parametrize("target", ["/proc/x.mp4", "/proc/labels", "out.xyz", "names.png"])
def test_an_output_that_cannot_be_written_is_refused_before_the_first_frame(
    cli: Cli, tiny_bundle: Path, target: str
) -> None:
    assert_one_line(cli("run", tiny_bundle, STREET, "--frames", 1, "--output", target), 3, target)


def test_json_that_cannot_be_written_is_bad_input(cli: Cli, tiny_bundle: Path) -> None:
    assert_one_line(cli("inspect", tiny_bundle, "--json", "/proc/none/x.json"), 3, "x.json")


def test_labels_of_another_size_are_refused(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    import numpy as np

    from edge_vss.data.video import write_png

    assert cli("data", "generate", tmp_path / "street", "--clips", 1, "--frames", 1, "--size", "64x96").code == 0
    (label,) = (tmp_path / "street").rglob("labels/*.png")
    write_png(label, np.zeros((32, 96), np.uint8))
    assert_one_line(cli("eval", tiny_bundle, "--data", f"folder:{tmp_path / 'street'}"), 3, label.name)


def test_classes_that_do_not_match_are_refused(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    street = tmp_path / "street"
    assert cli("data", "generate", street, "--clips", 1, "--frames", 1, "--size", "64x96").code == 0
    classes = json.loads((street / "classes.json").read_text())
    entries = classes["classes"] if isinstance(classes, dict) else classes
    entries.append({"name": "Tram", "colour": [1, 2, 3]})
    (street / "classes.json").write_text(json.dumps(classes))
    assert_one_line(cli("eval", tiny_bundle, "--data", f"folder:{street}"), 3, "12 classes", "11")
    entries.pop()
    entries[0]["name"] = "Heaven"
    (street / "classes.json").write_text(json.dumps(classes))
    assert_one_line(cli("eval", tiny_bundle, "--data", f"folder:{street}"), 3, "Heaven")
    entries[1]["name"] = "Heaven"
    (street / "classes.json").write_text(json.dumps(classes))
    assert_one_line(cli("eval", tiny_bundle, "--data", f"folder:{street}"), 3, "'Heaven' more than once")


@pytest.mark.parametrize("data", ["camvid:/none", "voc:/none", "folder:/none", "nonsense"])
def test_data_that_does_not_open_is_bad_input(cli: Cli, tiny_bundle: Path, data: str) -> None:
    assert_one_line(cli("eval", tiny_bundle, "--data", data), 3)


def test_a_checkpoint_that_is_none_is_bad_input(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="export needs the train extra")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a checkpoint")
    assert_one_line(cli("export", broken, "-o", tmp_path / "x.bundle"), 3, "broken.safetensors")
    assert_one_line(cli("export", "zoo:none", "-o", tmp_path / "x.bundle"), 3, "zoo:none")
    assert not (tmp_path / "x.bundle").exists()


def test_an_unexpected_failure_is_one_line_and_a_traceback_on_request(
    cli: Cli, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edge_vss.inspection

    def fail(path: Path) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(edge_vss.inspection, "describe_bundle", fail)
    monkeypatch.delenv("EDGE_VSS_TRACEBACK", raising=False)
    done = cli("inspect", tiny_bundle)
    assert done.code == 1 and done.err.count("\n") == 1 and "ZeroDivisionError" in done.err
    monkeypatch.setenv("EDGE_VSS_TRACEBACK", "1")
    assert "Traceback" in cli("inspect", tiny_bundle).err


def test_an_interrupted_run_keeps_its_video_and_exits_with_130(tiny_bundle: Path, tmp_path: Path) -> None:
    from edge_vss.data.sources import open_source

    out = tmp_path / "out.mp4"
    code = "import sys; from edge_vss.cli import main; sys.exit(main())"
    labels = tmp_path / "labels"
    outputs = ["--output", str(out), "--output", str(labels)]
    command = [sys.executable, "-c", code, "run", str(tiny_bundle), STREET, *outputs]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    deadline = time.monotonic() + 60
    while not list(labels.glob(".labels.*/000002.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "edge-vss: interrupted\n"
    with open_source(str(out)) as source:
        assert sum(1 for _ in source) >= 2
    assert (labels / "000001.png").is_file()
