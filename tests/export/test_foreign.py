"""ONNX files of a user's own: cutting, outputs of every kind, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx_networks import CLASSES, NetworkFile

from edge_vss.bundle import load_bundle
from edge_vss.bundle.golden import read_clip
from edge_vss.data.class_list import read_classes
from edge_vss.deploy import deploy_onnx
from edge_vss.errors import BadInput
from edge_vss.executor import ReferenceExecutor
from edge_vss.export import Exported, exported_model
from edge_vss.reference_engines import engine_function
from edge_vss.schedule import Adaptive, Schedule

STREET = "street:[size=64x96,frames=12,seed=3]"


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.txt"
    path.write_text("road 128 64 128\nside walk\nsky  # blue\ncar 0 0 142\nperson\n")
    return path


def names(tmp_path: Path, count: int) -> Path:
    path = tmp_path / f"names{count}.json"
    path.write_text(json.dumps([{"name": f"class {i}", "colour": [i, i, i]} for i in range(count)]))
    return path


def play(exported: Exported, image: NDArray[np.float32]) -> dict[str, Any]:
    """One frame through the engines under the schedule ``full``."""
    functions = {stage: engine_function(engine) for stage, engine in exported.engines.items()}
    executor = ReferenceExecutor(exported.graph, Schedule(name="full"), functions)
    return executor.step(image, sequence=0, pts_us=0).outputs


def original(path: Path, image: NDArray[np.float32]) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: list[NDArray[Any]] = session.run(None, {"image": image})
    return found


def an_image(height: int = 32, width: int = 48) -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(size=(1, 3, height, width)).astype(np.float32)


@pytest.mark.parametrize("cut", [[], ["/deep/relu"], ["/skip/relu", "/deep/out"], ["/deep/out", "/skip/conv", "/sum"]])
@pytest.mark.parametrize("size", [(32, 48), None])
def test_parts_together_compute_what_the_whole_file_does(
    cut: list[str], size: tuple[int, int] | None, tmp_path: Path, classes: Path
) -> None:
    path = NetworkFile(size).save(tmp_path / "net.onnx")
    exported = exported_model(path, classes=classes, cut=cut, height=32, width=48)
    assert len(exported.engines) == len(cut) + 1
    (found,) = play(exported, an_image()).values()
    np.testing.assert_allclose(found, original(path, an_image())[0], atol=1e-5)


def test_a_skip_that_crosses_the_cut_becomes_a_state_tensor(tmp_path: Path, classes: Path) -> None:
    path = NetworkFile(None).save(tmp_path / "net.onnx")
    exported = exported_model(path, classes=classes, cut=["/deep/relu"], height=32, width=48)
    states = {tensor.name: tensor.shape for tensor in exported.graph.tensors if tensor.lives == "state"}
    assert states == {"skip_relu": (1, 8, 16, 24), "deep_relu": (1, 16, 8, 12)}


def test_engines_of_every_opset_come_out_in_ours(tmp_path: Path, classes: Path) -> None:
    for opset in (13, 16, 19, 21):
        path = NetworkFile(opset=opset).save(tmp_path / f"{opset}.onnx")
        for engine in exported_model(path, classes=classes, cut=["/deep/out"]).engines.values():
            model = onnx.load_from_string(engine)
            assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (9, [("", 19)])


def test_multiply_adds_and_parameters_are_counted_by_hand(tmp_path: Path, classes: Path) -> None:
    path = NetworkFile().save(tmp_path / "net.onnx")
    exported = exported_model(path, classes=classes, cut=["/skip/relu"])
    first, second = exported.graph.stages
    assert first.macs == 16 * 24 * 8 * 27
    assert second.macs == 8 * 12 * (16 * 72 + 8 * 144) + 16 * 24 * CLASSES * 72
    assert first.params == 8 * 27 + 8


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_network_that_ends_in_argmax_gives_labels(keepdims: int, tmp_path: Path, classes: Path) -> None:
    path = NetworkFile(tail=["ArgMax"], keepdims=keepdims).save(tmp_path / "net.onnx")
    exported = exported_model(path, classes=classes)
    (output,) = exported.outputs
    assert output.kind == "labels"
    (found,) = play(exported, an_image()).values()
    assert np.array_equal(found.reshape(16, 24), original(path, an_image())[0].reshape(16, 24))


def test_a_binary_score_loses_its_sigmoid(tmp_path: Path) -> None:
    path = NetworkFile(channels=1, tail=["Sigmoid"]).save(tmp_path / "net.onnx")
    exported = exported_model(path, classes=names(tmp_path, 2))
    assert exported.outputs[0].kind == "binary"
    (found,) = play(exported, an_image()).values()
    assert np.array_equal(found > 0, original(path, an_image())[0] > 0.5)
    assert 0 < (found > 0).mean() < 1


def test_several_outputs_have_their_own_classes(tmp_path: Path) -> None:
    path = NetworkFile(second_output=True).save(tmp_path / "net.onnx")
    lists = tmp_path / "classes.json"
    lists.write_text(json.dumps({"/scores": list("abcde"), "/deep/out": list("abcdefgh")}))
    exported = exported_model(path, classes=lists)
    assert [(output.name, len(output.classes)) for output in exported.outputs] == [("scores", 5), ("deep_out", 8)]


def test_the_dearest_part_is_clocked_where_fresh_tensors_reach_the_output(tmp_path: Path, classes: Path) -> None:
    path = NetworkFile().save(tmp_path / "net.onnx")
    exported = exported_model(path, classes=classes, cut=["/skip/relu", "/deep/out"])
    schedules = {schedule.name: schedule for schedule in exported.schedules}
    assert list(schedules) == ["full", "alternate", "pipeline-2", "adaptive", "reuse"]
    assert set(schedules["alternate"].clocks) == {"part_2"}
    clock = schedules["adaptive"].clocks["part_2"]
    assert isinstance(clock, Adaptive)
    assert (clock.signal.tensor, clock.signal.kind) == ("skip_relu", "relative")


def test_bundle_of_a_cut_network_is_golden_by_the_uncut_one(tmp_path: Path, classes: Path) -> None:
    path = NetworkFile(None).save(tmp_path / "net.onnx")
    report = deploy_onnx(
        path,
        tmp_path / "out",
        classes=classes,
        cut=["/skip/relu", "/deep/out"],
        height=32,
        width=48,
        calibration=STREET,
    )
    bundle = load_bundle(tmp_path / "out")
    bundle.check_files()
    assert len(read_clip(bundle).frames) == 12
    assert set(bundle.manifest.variants[0].golden) == {"full", "alternate", "pipeline-2", "adaptive", "reuse"}
    assert all(stage.parity.relative < 1e-5 for stage in report.stages.values())
    assert report.cost_of_cutting is not None and report.cost_of_cutting > 0
    assert 0 < report.update_rate_expected["adaptive"]["part_2"] <= 0.5


def refusal(path: Path, classes: Path, **options: Any) -> str:
    with pytest.raises(BadInput) as caught:
        exported_model(path, classes=classes, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_cut_at_an_unknown_tensor_suggests_near_names(tmp_path: Path, classes: Path) -> None:
    path = NetworkFile().save(tmp_path / "net.onnx")
    assert "/deep/relu" in refusal(path, classes, cut=["/deep/rleu"])
    assert "output" in refusal(path, classes, cut=["/scores"])


def test_open_sizes_need_a_size_and_fixed_ones_keep_theirs(tmp_path: Path, classes: Path) -> None:
    open_size, fixed = NetworkFile(None).save(tmp_path / "a.onnx"), NetworkFile().save(tmp_path / "b.onnx")
    assert "--size" in refusal(open_size, classes)
    assert "32x48" in refusal(fixed, classes, height=64, width=96)
    assert "not within" in refusal(open_size, classes, height=1 << 20, width=1 << 20)


def test_class_lists_must_match_the_network(tmp_path: Path) -> None:
    path = NetworkFile().save(tmp_path / "net.onnx")
    assert "4 classes" in refusal(path, names(tmp_path, 4))
    assert "has 5" in refusal(NetworkFile(tail=["ArgMax"]).save(tmp_path / "labels.onnx"), names(tmp_path, 3))
    assert "has 2" in refusal(NetworkFile(channels=1).save(tmp_path / "one.onnx"), names(tmp_path, 3))
    assert "no such" in refusal(path, tmp_path / "nowhere.txt")


def test_files_that_are_no_segmentation_network_are_refused(tmp_path: Path, classes: Path) -> None:
    garbage, truncated, good = tmp_path / "a.onnx", tmp_path / "b.onnx", NetworkFile().save(tmp_path / "c.onnx")
    garbage.write_bytes(b"not onnx at all")
    truncated.write_bytes(good.read_bytes()[:-100])
    assert "not an ONNX file" in refusal(garbage, classes)
    refusal(truncated, classes)
    assert "no such file" in refusal(tmp_path / "nowhere.onnx", classes)
    transposed = NetworkFile(tail=["Transpose", "Sigmoid"]).save(tmp_path / "d.onnx")
    assert "classes" in refusal(transposed, classes)
    model = NetworkFile().model
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(model, tmp_path / "e.onnx")
    assert "float32" in refusal(tmp_path / "e.onnx", classes)


def test_weights_outside_the_files_folder_are_refused(tmp_path: Path, classes: Path) -> None:
    model = NetworkFile().model
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    (tmp_path / "secret").write_bytes(b"\0" * 1000)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    assert "outside" in refusal(folder / "net.onnx", classes)


def test_weights_beside_the_file_are_embedded(tmp_path: Path, classes: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(NetworkFile().model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    exported = exported_model(path, classes=classes, cut=["/deep/out"])
    (tmp_path / "net.data").rename(tmp_path / "gone")
    plain = NetworkFile().save(tmp_path / "plain.onnx")
    np.testing.assert_allclose(
        next(iter(play(exported, an_image()).values())), original(plain, an_image())[0], atol=1e-5
    )


def test_class_lists_are_read_as_text_and_as_json(tmp_path: Path, classes: Path) -> None:
    found = read_classes(classes)[""]
    assert [info.name for info in found] == ["road", "side walk", "sky", "car", "person"]
    assert (found[0].colour, found[3].colour) == ((128, 64, 128), (0, 0, 142))
    assert len({info.colour for info in found}) == 5
    bad = tmp_path / "bad.json"
    for text in ('[{"name": "a", "colour": [0, 0, 256]}]', "[1]", "[", "[]", '[{"colour": [1, 2, 3]}]', '["a", "a"]'):
        bad.write_text(text)
        with pytest.raises(BadInput):
            read_classes(bad)
