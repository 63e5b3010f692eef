"""Good and bad manifests, shown to the Python reader and to the native one: both must take or refuse the same."""

from __future__ import annotations

import copy
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graphs import chain_graph, chain_graph_schedules, ring_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.plain_bundles import write_plain_bundle

from edge_vss.bundle import load_bundle, read_manifest
from edge_vss.errors import BadInput
from edge_vss.runtime import Pipeline, check_bundle

Json = dict[str, Any]


def chain_manifest(folder: Path) -> Json:
    graph = chain_graph()
    bundle = write_plain_bundle(folder, graph, chain_graph_schedules(graph))
    return json.loads((bundle.path / "manifest.json").read_text())  # type: ignore[no-any-return]


def stage(manifest: Json, name: str) -> Json:
    return next(s for s in manifest["graph"]["stages"] if s["name"] == name)


def tensor(manifest: Json, name: str) -> Json:
    return next(t for t in manifest["graph"]["tensors"] if t["name"] == name)


def schedule(manifest: Json, name: str) -> Json:
    return next(s for s in manifest["schedules"] if s["name"] == name)


def put(path: str, value: Any) -> Callable[[Json], None]:
    """Set a field by a dotted path; numbers index lists."""

    def change(manifest: Json) -> None:
        *parents, last = path.split(".")
        target: Any = manifest
        for key in parents:
            target = target[int(key)] if isinstance(target, list) else target[key]
        if isinstance(target, list):
            target[int(last)] = value
        else:
            target[last] = value

    return change


def drop(path: str) -> Callable[[Json], None]:
    def change(manifest: Json) -> None:
        *parents, last = path.split(".")
        target: Any = manifest
        for key in parents:
            target = target[int(key)] if isinstance(target, list) else target[key]
        del target[last]

    return change


def rename_engine(path: str) -> Callable[[Json], None]:
    def change(manifest: Json) -> None:
        manifest["files"][path] = manifest["files"].pop("engines/s1.plain.json")
        manifest["variants"][0]["engines"]["s1"]["file"] = path

    return change


BAD: dict[str, Callable[[Json], None]] = {
    "a future version": put("schema", 2),
    "a version of another type": put("schema", "1"),
    "no graph": drop("graph"),
    "an unknown field": put("surprise", 1),
    "an unknown field deep inside": lambda m: tensor(m, "fine").update(colour="red"),
    "a tensor of absurd size": lambda m: tensor(m, "fine").update(shape=[1, 1 << 20, 1 << 20, 1 << 20]),
    "a tensor with a negative extent": lambda m: tensor(m, "fine").update(shape=[1, -4, 4, 6]),
    "a tensor without extents": lambda m: tensor(m, "fine").update(shape=[]),
    "a tensor of an unknown type": lambda m: tensor(m, "fine").update(dtype="complex64"),
    "a tensor twice": lambda m: m["graph"]["tensors"].append(copy.deepcopy(tensor(m, "fine"))),
    "a ring of absurd depth": lambda m: tensor(m, "fine").update(lives="ring", depth=1000),
    "a frame that resets to zero": lambda m: tensor(m, "logits").update(reset="zero"),
    "a stage that reads what is not there": lambda m: stage(m, "s2").update(inputs=[{"tensor": "ghost"}]),
    "a stage that reads the future": lambda m: stage(m, "s2").update(inputs=[{"tensor": "fine", "version": 1}]),
    "a stage that reads too far back": lambda m: stage(m, "s2").update(inputs=[{"tensor": "fine", "version": -2}]),
    "a stage that writes the image": lambda m: stage(m, "s2").update(outputs=["image"]),
    "a stage that writes nothing": lambda m: stage(m, "s2").update(outputs=[]),
    "a cycle": lambda m: stage(m, "s1").update(inputs=[{"tensor": "deep"}]),
    "negative costs": lambda m: stage(m, "s1").update(macs=-1),
    "no stages": put("graph.stages", []),
    "no outputs": put("graph.outputs", []),
    "an odd stage name": lambda m: stage(m, "s1").update(name="../s1"),
    "an input of absurd size": put("input.height", 1 << 20),
    "an input that is not the image": put("input.width", 64),
    "a standard deviation of zero": put("input.std", [1.0, 0.0, 1.0]),
    "two means": put("input.mean", [1.0, 0.0]),
    "an unknown fit": put("input.fit", "squeeze"),
    "padding out of range": put("input.pad", 300.0),
    "a class too few": lambda m: m["outputs"][0]["classes"].pop(),
    "a colour out of range": put("outputs.0.classes.0.colour", [0, 0, 256]),
    "two classes of one name": lambda m: m["outputs"][0]["classes"][1].update(
        name=m["outputs"][0]["classes"][0]["name"]
    ),
    "an ignored channel that is not there": put("outputs.0.ignored", [5]),
    "an output that is no output": put("outputs.0.tensor", "deep"),
    "labels that are scores": put("outputs.0.kind", "labels"),
    "no schedules": put("schedules", []),
    "a clock for no stage": lambda m: schedule(m, "alternate")["clocks"].update(s9={"kind": "every", "k": 2}),
    "a clock of an unknown kind": lambda m: schedule(m, "alternate")["clocks"].update(s3={"kind": "random"}),
    "a period of zero": lambda m: schedule(m, "alternate")["clocks"].update(s3={"kind": "every", "k": 0}),
    "an offset past the period": lambda m: schedule(m, "alternate")["clocks"].update(
        s3={"kind": "every", "k": 2, "offset": 2}
    ),
    "a threshold above one": lambda m: schedule(m, "adaptive")["clocks"]["s3"].update(threshold=1.5),
    "an age limit of zero": lambda m: schedule(m, "adaptive")["clocks"]["s3"].update(max_age=0),
    "a budget that is no limit": lambda m: schedule(m, "adaptive-held")["clocks"]["s3"]["budget"].update(fires=5),
    "a budget of no firings": lambda m: schedule(m, "adaptive-held")["clocks"]["s3"]["budget"].update(fires=0),
    "a budget over too many frames": lambda m: schedule(m, "adaptive-held")["clocks"]["s3"]["budget"].update(frames=65),
    "a pace that never rises": lambda m: schedule(m, "adaptive-paced")["clocks"]["s3"]["pace"].update(rise=1.0),
    "a pace that never falls": lambda m: schedule(m, "adaptive-paced")["clocks"]["s3"]["pace"].update(fall=1.0),
    "a pace without a floor": lambda m: schedule(m, "adaptive-paced")["clocks"]["s3"]["pace"].update(low=0.0),
    "a pace with a low ceiling": lambda m: schedule(m, "adaptive-paced")["clocks"]["s3"]["pace"].update(high=0.9),
    "a pace of unknown parts": lambda m: schedule(m, "adaptive-paced")["clocks"]["s3"]["pace"].update(step=0.1),
    "a signal that is no label tensor": lambda m: schedule(m, "adaptive")["clocks"]["s3"]["signal"].update(
        tensor="middle"
    ),
    "a signal computed from its stage": lambda m: schedule(m, "adaptive-relative")["clocks"]["s3"]["signal"].update(
        tensor="deep"
    ),
    "a guard on what is no ring": lambda m: schedule(m, "alternate")["clocks"]["s3"].update(
        guard={"ring": "fine", "when": "full"}
    ),
    "a delay on an edge that is not there": lambda m: schedule(m, "pipeline-2")["delays"].append(
        {"stage": "s1", "tensor": "deep"}
    ),
    "a ladder to nowhere": put("ladder", ["ghost"]),
    "a ladder with a rung twice": put("ladder", ["full", "full", "reuse"]),
    "a ladder that does not end in rest": put("ladder", ["full", "alternate"]),
    "no variants": put("variants", []),
    "a variant without an engine": lambda m: m["variants"][0]["engines"].pop("s3"),
    "an engine that is not among the files": put("variants.0.engines.s1.file", "engines/ghost.onnx"),
    "an engine that is file and operation": put("variants.0.engines.s1.operation", "argmax"),
    "a storage scale of zero": put("variants.0.tensors", {"fine": {"dtype": "uint8", "scale": 0.0}}),
    "channels last of an output": put("variants.0.tensors", {"logits": {"dtype": "float32", "channels_last": True}}),
    "channels last of the image": put("variants.0.tensors", {"image": {"dtype": "uint8", "channels_last": True}}),
    "channels last of a signal": put("variants.0.tensors", {"signal": {"dtype": "uint8", "channels_last": True}}),
    "channels last that are neither true nor false": put(
        "variants.0.tensors", {"deep": {"dtype": "uint8", "channels_last": 1}}
    ),
    "a threshold for no clock": put("variants.0.thresholds", {"full": {"s3": 0.5}}),
    "a path out of the bundle": rename_engine("../engines/s1.plain.json"),
    "an absolute path": rename_engine("/etc/passwd"),
    "a hidden path": rename_engine(".git/config"),
    "a path with a dot segment": rename_engine("engines/./s1.json"),
    "a negative file size": put("files.engines/s1\0plain\0json", 0),
    "a digest of another length": lambda m: m["files"]["engines/s1.plain.json"].update(sha256="abc"),
    "goldens that are not there": put("golden_frames", "golden/ghost.npz"),
}
BAD["a negative file size"] = lambda m: m["files"]["engines/s1.plain.json"].update(bytes=-1)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    chain_manifest(tmp_path / "bundle")
    return tmp_path / "bundle"


def refused_by_both(path: Path) -> tuple[str, str]:
    with pytest.raises(BadInput) as python:
        load_bundle(path).check_files()
    with pytest.raises(BadInput) as native:
        check_bundle(path)
    for error in (python.value, native.value):
        assert "\n" not in str(error) and len(str(error)) < 400
    return str(python.value), str(native.value)


def test_both_readers_take_a_good_bundle(bundle: Path) -> None:
    load_bundle(bundle).check_files()
    check_bundle(bundle)


@pytest.mark.parametrize("case", BAD)
def test_both_readers_refuse(bundle: Path, case: str) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    BAD[case](manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    refused_by_both(bundle)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema": 1}', "[" * 100_000, '{"schema": 1e400}', "\xff\xfe"]
)
def test_both_readers_refuse_what_is_no_manifest(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_bytes(text.encode("latin-1"))
    refused_by_both(bundle)


def test_two_writers_of_one_tensor_in_one_frame_are_refused_by_both(tmp_path: Path) -> None:
    graph, cycle = ring_graph(3)
    write_plain_bundle(tmp_path / "bundle", graph, [cycle])
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    del manifest["schedules"][0]["clocks"]["cold_1"]["guard"]
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(manifest))
    for message in refused_by_both(tmp_path / "bundle"):
        assert "logits" in message


def test_a_ring_read_before_it_is_full_is_refused_by_both(tmp_path: Path) -> None:
    graph, cycle = ring_graph(3)
    write_plain_bundle(tmp_path / "bundle", graph, [cycle])
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    for i in range(3):
        del manifest["schedules"][0]["clocks"][f"propagate_{i}"]["guard"]
        manifest["schedules"][0]["clocks"][f"cold_{i}"] = {"kind": "never"}
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(manifest))
    for message in refused_by_both(tmp_path / "bundle"):
        assert "key" in message


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "remove", "link"])
def test_both_readers_notice_a_changed_engine(bundle: Path, damage: str) -> None:
    engine = bundle / "engines" / "s2.plain.json"
    data = engine.read_bytes()
    engine.unlink()
    if damage == "flip":
        engine.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif damage == "cut":
        engine.write_bytes(data[:-1])
    elif damage == "grow":
        engine.write_bytes(data + b" ")
    elif damage == "link":
        outside = bundle.parent / "outside.json"
        outside.write_bytes(data)
        engine.symlink_to(outside)
    for message in refused_by_both(bundle):
        assert "s2.plain.json" in message
    with pytest.raises(BadInput):
        Pipeline(bundle)


@pytest.mark.timeout(20)
def test_both_readers_refuse_named_pipes_and_wait_for_none(bundle: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    (bundle / "manifest.json").unlink()
    os.mkfifo(bundle / "manifest.json")
    for path, why in ((tmp_path / "pipe.zip", "neither a folder nor"), (bundle, r"manifest\.json is not a file")):
        with pytest.raises(BadInput, match=why):
            load_bundle(path)
        with pytest.raises(BadInput, match=why):
            check_bundle(path)


def test_a_bundle_may_be_an_uncompressed_zip(tmp_path: Path) -> None:
    graph, cycle = ring_graph(2)
    write_plain_bundle(tmp_path / "bundle.zip", graph, [cycle])
    load_bundle(tmp_path / "bundle.zip").check_files()
    check_bundle(tmp_path / "bundle.zip")
    Pipeline(tmp_path / "bundle.zip").close()


def test_both_readers_refuse_a_compressed_zip_and_other_files(bundle: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in bundle.rglob("*.json"):
            archive.write(file, file.relative_to(bundle))
    for message in refused_by_both(packed):
        assert "compressed" in message
    refused_by_both(tmp_path / "nothing-here")
    (tmp_path / "text").write_text("hello")
    refused_by_both(tmp_path / "text")
    (tmp_path / "cut.zip").write_bytes(packed.read_bytes()[:-30])
    refused_by_both(tmp_path / "cut.zip")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_mutation_of_a_manifest_gets_past_one_reader_alone(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Replace one random value by another; the readers must agree, whatever the value is."""
    folder = tmp_path_factory.getbasetemp() / "mutated"
    if not folder.exists():
        chain_manifest(folder)
        shutil.copy(folder / "manifest.json", folder / "original.json")
    manifest = json.loads((folder / "original.json").read_text())
    target: Any = manifest
    while True:
        keys = list(range(len(target))) if isinstance(target, list) else list(target)
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(target[key], (dict, list)) and target[key]) or data.draw(st.integers(0, 9)) == 0:
            break
        target = target[key]
    values = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 300),
        st.floats(-2, 2),
        st.sampled_from(["s1", "deep", "ring", ""]),
        st.just([]),
        st.just({}),
    )
    target[key] = data.draw(values)
    text = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(text)
    verdicts = []
    for check in (lambda: read_manifest(text), lambda: check_bundle(folder)):
        try:
            check()
            verdicts.append("taken")
        except BadInput as error:
            verdicts.append("refused")
            message = str(error)
    # The native reader also checks the files themselves, so it alone may refuse a changed size or digest.
    if "was changed after" not in (message if "refused" in verdicts else ""):
        assert verdicts[0] == verdicts[1], message
