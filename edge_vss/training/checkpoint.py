"""Checkpoints: safetensors with everything needed to rebuild, feed and read the network as JSON in the metadata."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from edge_vss.data.classes import ClassInfo
from edge_vss.errors import BadInput
from edge_vss.networks import NetworkConfig, StagedNetwork, build_network
from edge_vss.zoo import zoo_checkpoint

__all__ = [
    "Checkpoint",
    "CheckpointInfo",
    "InputInfo",
    "load_checkpoint",
    "read_metadata",
    "read_tensors",
    "save_checkpoint",
    "write_tensors",
]

KEY, DIGEST = "edge_vss", "sha256"
VERSION = 1
ZOO = "zoo:"


class InputInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the network was trained to be fed: frames stretched to one size, RGB, ``(value - mean) / std``."""

    height: int
    """Rows, a multiple of the network's stride."""
    width: int
    """Columns, a multiple of the network's stride."""
    mean: tuple[float, float, float]
    """Red, green, blue; 0-255 units."""
    std: tuple[float, float, float]
    """Red, green, blue; 0-255 units."""


class CheckpointInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a checkpoint but its weights."""

    network: NetworkConfig
    classes: tuple[ClassInfo, ...]
    """As many as the network has scores, in their order."""
    input: InputInfo
    training: dict[str, Any] = {}
    """Provenance: recipe, data, seed, configuration, results."""
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ValueError(f"version {self.version} of the checkpoint format is unknown, this is {VERSION}")
        if len(self.classes) != self.network.classes:
            raise ValueError(f"the network has {self.network.classes} classes, the list {len(self.classes)}")
        for name, size in (("height", self.input.height), ("width", self.input.width)):
            if not 0 < size <= 16384:
                raise ValueError(f"input {name} lies in [1, 16384], got {size}")


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, ready to run."""

    info: CheckpointInfo
    network: StagedNetwork
    """float32, in evaluation mode."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file so that a reader sees the old file or the whole new one, whenever the power fails.

    Raises:
        BadInput: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    packed = {name: tensor.contiguous() for name, tensor in tensors.items()}
    # As a tensor: entries of the metadata are written in an order that changes, and equal runs leave equal files.
    content = safetensors.torch.save({**packed, DIGEST: _digest(packed, metadata)}, dict(metadata))
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadInput(f"{path}: cannot write here: {error.strerror or error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        BadInput: It is missing or damaged.
    """
    with _opened(path) as file:
        names = file.keys()
        tensors, metadata = {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    digest = tensors.pop(DIGEST, None)  # not in files of old
    if digest is not None and not torch.equal(digest, _digest(tensors, metadata)):
        raise BadInput(f"{path} is damaged: what it holds is not what was written")
    return tensors, metadata


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Tensor:
    """(32,) uint8, SHA-256 of names, shapes and values, whatever order a file has them in."""
    found = hashlib.sha256()
    for name in sorted(metadata):
        found.update(f"{name} {metadata[name]}\n".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return torch.tensor(list(found.digest()), dtype=torch.uint8)


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file, whose tensors stay on the disk; raises as ``read_tensors``."""
    with _opened(path) as file:
        return dict(file.metadata() or {})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if path.is_dir():
        raise BadInput(f"{path} is a folder; want a checkpoint, a file that edge-vss train wrote, or zoo:NAME")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise BadInput(f"no checkpoint at {path}") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise BadInput(f"{path} is no checkpoint: it does not read as safetensors ({error})") from error


def save_checkpoint(
    path: Path, weights: Mapping[str, Tensor], info: CheckpointInfo, *, dtype: torch.dtype = torch.float32
) -> None:
    """Writes ``weights``, a network's state dict, with its ``info``.

    Args:
        dtype: Of the floating-point tensors in the file; float16 halves it.
    """
    stored = {
        name: tensor.detach().to("cpu", dtype) if tensor.is_floating_point() else tensor.detach().cpu()
        for name, tensor in weights.items()
    }
    write_tensors(path, stored, {KEY: msgspec.json.encode(info).decode()})


def load_checkpoint(source: str | Path) -> Checkpoint:
    """Rebuilds a network.

    Args:
        source: A file, or ``zoo:NAME``.

    Raises:
        BadInput: No such file or name, a damaged file, an unknown version, weights that do not fit the network.
    """
    named = str(source)
    path = zoo_checkpoint(named.removeprefix(ZOO)) if named.startswith(ZOO) else Path(source)
    tensors, metadata = read_tensors(path)
    if KEY not in metadata:
        raise BadInput(f"{path} holds weights but no description; only checkpoints written by edge-vss load")
    try:
        info = msgspec.json.decode(metadata[KEY], type=CheckpointInfo)
        with torch.random.fork_rng(devices=()):
            network = build_network(info.network)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadInput(f"{path}: {error}") from error
    expected = network.state_dict()
    for name, want in expected.items():
        if name not in tensors:
            raise BadInput(f"{path}: tensor {name} is missing")
        if tensors[name].shape != want.shape:
            raise BadInput(f"{path}: tensor {name} has shape {tuple(tensors[name].shape)}, want {tuple(want.shape)}")
        if not tensors[name].isfinite().all():
            raise BadInput(f"{path}: tensor {name} holds NaN or infinity; the training that made it failed")
    if unknown := next((name for name in tensors if name not in expected), None):
        raise BadInput(f"{path}: tensor {unknown} belongs to no part of a {info.network.kind} network")
    network.load_state_dict(tensors)
    if info.input.height % network.stride or info.input.width % network.stride:
        raise BadInput(f"{path}: input {info.input.height}x{info.input.width} is no multiple of {network.stride}")
    return Checkpoint(info=info, network=network.eval())
