"""Observed ranges, kept under a hash of all that they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import InputSpec
from edge_vss.cache import cache_folder
from edge_vss.calibration.observe import Observations
from edge_vss.calibration.ranges import Histogram
from edge_vss.frame import Frame
from edge_vss.graph import Graph
from edge_vss.schedule import Schedule

__all__ = ["load_observations", "observation_key", "store_observations"]

FORMAT = b"edge-vss ranges 1"
VARIABLE = "EDGE_VSS_RANGES"


def observation_key(
    graph: Graph, schedule: Schedule, engines: Mapping[str, bytes], spec: InputSpec, frames: Iterable[Frame]
) -> str:
    """SHA-256, in hexadecimal, of network, schedule, input and every frame's planes and time."""
    digest = hashlib.sha256(FORMAT)
    for part in (graph, schedule, spec):
        digest.update(msgspec.json.encode(part))
    for stage, engine in sorted(engines.items()):
        digest.update(stage.encode() + hashlib.sha256(engine).digest())
    for frame in frames:
        facts = (frame.format, frame.height, frame.width, frame.matrix, frame.range, frame.pts_us)
        digest.update(msgspec.json.encode(facts))
        for plane in frame.planes:
            digest.update(np.ascontiguousarray(plane).data)
    return digest.hexdigest()


def _path(key: str) -> Path:
    return cache_folder("ranges", VARIABLE) / f"{key}.npz"


def load_observations(key: str) -> Observations | None:
    """What was stored under a key; None where nothing readable is."""
    try:
        with np.load(_path(key), allow_pickle=False) as arrays:
            found: Observations = {}
            for name in arrays["names"].tolist():
                stage, _, tensor = name.partition("\n")
                held = {part: arrays[f"{stage}\n{tensor}\n{part}"] for part in ("limits", "places", "counts")}
                found.setdefault(stage, {})[tensor] = Histogram.restored(**held)
            return found
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def store_observations(key: str, seen: Observations) -> None:
    """Keep observations; where the folder cannot be written, they will be computed again."""
    arrays: dict[str, NDArray[Any]] = {}
    names = []
    for stage, tensors in seen.items():
        for tensor, histogram in tensors.items():
            names.append(f"{stage}\n{tensor}")
            for part, values in histogram.parts().items():
                arrays[f"{stage}\n{tensor}\n{part}"] = values
    arrays["names"] = np.array(names)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    path = _path(key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{key}.{os.getpid()}.part")
        try:
            temporary.write_bytes(content.getvalue())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
