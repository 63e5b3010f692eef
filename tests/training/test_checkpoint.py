"""Checkpoints come back as they went, and nothing that is wrong with one gets past the loader."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from edge_vss.data.classes import CAMVID_CLASSES
from edge_vss.errors import BadInput
from edge_vss.networks import NetworkConfig, StagedNetwork, build_network
from edge_vss.training import CheckpointInfo, InputInfo, load_checkpoint, save_checkpoint
from edge_vss.training.checkpoint import KEY, read_tensors, write_tensors
from edge_vss.zoo import zoo_names

SMALL = NetworkConfig(stem=(8, 8), fine=8, middle=8, deep=8, deep_dilations=(1,), decoder_blocks=0)
INFO = CheckpointInfo(
    network=SMALL,
    classes=CAMVID_CLASSES,
    input=InputInfo(height=64, width=96, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)),
    training={"seed": 3},
)


@pytest.fixture
def network() -> StagedNetwork:
    torch.manual_seed(0)
    return build_network(SMALL).eval()


@pytest.fixture
def path(network: StagedNetwork, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "good.safetensors", network.state_dict(), INFO)
    return tmp_path / "good.safetensors"


def changed(path: Path, **fields: object) -> Path:
    """The same checkpoint with other fields in its description."""
    tensors, metadata = read_tensors(path)
    described = {**json.loads(metadata[KEY]), **fields}
    write_tensors(path, tensors, {KEY: json.dumps(described)})
    return path


def test_weights_and_description_come_back(network: StagedNetwork, path: Path) -> None:
    checkpoint = load_checkpoint(path)
    assert checkpoint.info == INFO
    assert not checkpoint.network.training
    image = torch.randn(1, 3, 64, 96)
    assert torch.equal(checkpoint.network(image)["logits"], network(image)["logits"])


def test_half_precision_halves_the_file_and_loads_as_float32(network: StagedNetwork, path: Path) -> None:
    half = path.with_name("half.safetensors")
    save_checkpoint(half, network.state_dict(), INFO, dtype=torch.float16)
    assert half.stat().st_size < 0.7 * path.stat().st_size
    assert next(load_checkpoint(half).network.parameters()).dtype == torch.float32


def test_loading_leaves_the_random_generator_alone(path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_checkpoint(path)
    assert torch.equal(torch.rand(1), expected)


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(BadInput, match="cannot write here: disk full"):
        save_checkpoint(path, build_network(SMALL).state_dict(), INFO)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no checkpoint at"):
        load_checkpoint(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 200, -10])
def test_a_truncated_file_is_bad_input_in_one_line(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="is no checkpoint") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder; want a checkpoint"):
        load_checkpoint(tmp_path)


def test_weights_without_a_description_are_bad_input(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "bare.safetensors")
    with pytest.raises(BadInput, match="no description"):
        load_checkpoint(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": 99}, "version 99"),
        ({"classes": []}, "11 classes, the list 0"),
        ({"surprise": 1}, "surprise"),
        ({"network": {"kind": "transformer"}}, "unknown network 'transformer'"),
        ({"network": {**msgspec.to_builtins(SMALL), "fine": 16}}, "has shape"),
        ({"network": {**msgspec.to_builtins(SMALL), "deep_dilations": [1, 1]}}, "is missing"),
        ({"network": {**msgspec.to_builtins(SMALL), "deep_dilations": []}}, "belongs to no part"),
        ({"input": {**msgspec.to_builtins(INFO.input), "height": 60}}, "no multiple of 16"),
        ({"input": {**msgspec.to_builtins(INFO.input), "height": -16}}, "height"),
    ],
)
def test_a_description_that_does_not_fit_is_bad_input(path: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_checkpoint(changed(path, **fields))


def test_an_unknown_zoo_name_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="no checkpoint zoo:moon") as caught:
        load_checkpoint("zoo:moon")
    assert all(f"zoo:{name}" in str(caught.value) for name in zoo_names())


def test_weights_that_are_no_numbers_are_refused_by_name(network: StagedNetwork, path: Path) -> None:
    weights = network.state_dict()
    name = next(iter(weights))
    weights[name] = torch.full_like(weights[name], torch.nan)
    save_checkpoint(path, weights, INFO)
    with pytest.raises(BadInput, match=f"tensor {name} holds NaN"):
        load_checkpoint(path)
