"""Bundles of ``plain`` engines: the graphs of ``graphs.py`` as the native runtime loads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from graphs import chain_graph, chain_graph_schedules, ring_graph, two_headed_graph
from numpy.typing import NDArray

from edge_vss.bundle import (
    SCHEMA_VERSION,
    Bundle,
    ClassInfo,
    EngineRef,
    InputSpec,
    Manifest,
    OutputSpec,
    Storage,
    Variant,
    write_bundle,
)
from edge_vss.frame import Frame
from edge_vss.graph import Graph
from edge_vss.schedule import Schedule


def engine_files(graph: Graph, extra: Mapping[str, Mapping[str, Any]] = {}) -> dict[str, bytes]:
    """Engine file per stage, with the salts of ``graphs.plain_functions``."""
    files = {}
    for place, stage in enumerate(graph.stages):
        salts = [31 * place + k for k in range(len(stage.outputs))]
        content = {"operation": "mix", "salt": salts, **extra.get(stage.name, {})}
        files[f"engines/{stage.name}.plain.json"] = json.dumps(content).encode()
    return files


def outputs_of(graph: Graph) -> tuple[OutputSpec, ...]:
    """Output specs by the shape of each output tensor."""
    specs = []
    for name in graph.outputs:
        tensor = graph.tensor(name)
        kind: Any = "labels" if len(tensor.shape) == 3 else "binary" if tensor.shape[1] == 1 else "scores"
        count = {"labels": 11, "binary": 2, "scores": tensor.shape[1]}[kind]
        classes = tuple(ClassInfo(name=f"class_{i}", colour=(i, 20 * i, 255 - i)) for i in range(count))
        specs.append(OutputSpec(name=name, tensor=name, kind=kind, classes=classes))
    return tuple(specs)


def write_plain_bundle(
    path: Path,
    graph: Graph,
    schedules: Sequence[Schedule],
    *,
    backend: str = "plain",
    extra: Mapping[str, Mapping[str, Any]] = {},
    tensors: Mapping[str, Storage] = {},
    operations: Mapping[str, str] = {},
    fit: Any = "stretch",
    ladder: Sequence[str] = (),
) -> Bundle:
    """Write a bundle whose engines are plain arithmetic.

    Args:
        extra: Stage -> further fields of its engine file (``sleep_us``, ``fail_after``).
        operations: Stage -> host operation in the engine's place.
    """
    files = engine_files(graph, extra)
    _, _, height, width = graph.tensor(graph.image).shape
    engines = {
        stage.name: EngineRef(operation=operations[stage.name])
        if stage.name in operations
        else EngineRef(file=f"engines/{stage.name}.plain.json")
        for stage in graph.stages
    }
    manifest = Manifest(
        schema=SCHEMA_VERSION,
        name="plain",
        input=InputSpec(height=height, width=width, std=(1.0, 1.0, 1.0), fit=fit),
        graph=graph,
        outputs=outputs_of(graph),
        schedules=tuple(schedules),
        ladder=tuple(ladder),
        variants=(Variant(name="plain", backend=backend, precision="fp32", engines=engines, tensors=dict(tensors)),),
    )
    return write_bundle(path, manifest, files)


def all_cases() -> dict[str, tuple[Graph, Schedule]]:
    """Every small graph under every one of its schedules."""
    chain = chain_graph()
    cases = {f"chain-{schedule.name}": (chain, schedule) for schedule in chain_graph_schedules(chain)}
    cases["ring-3"] = ring_graph(3)
    cases["ring-2"] = ring_graph(2)
    cases["ring-5"] = ring_graph(5)
    cases["two-headed"] = two_headed_graph()
    return cases


def random_frames(height: int, width: int, count: int, seed: int = 0) -> list[Frame]:
    """RGB frames that change a little from one to the next; some sequence numbers are missing (dropped frames)."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 4, (height, width, 3)).astype(np.uint8)
    frames, sequence = [], 0
    for _ in range(count):
        picture = picture.copy()
        rows = rng.integers(0, height, 2)
        picture[rows] = rng.integers(0, 4, (2, width, 3))
        sequence += int(rng.integers(1, 3))
        frames.append(
            Frame(
                format="rgb", planes=(picture,), height=height, width=width, pts_us=sequence * 33_367, sequence=sequence
            )
        )
    return frames


def image_of(frame: Frame) -> NDArray[np.float32]:
    """What pre-processing gives for a frame of the network's size with mean 0 and std 1."""
    return frame.planes[0].transpose(2, 0, 1)[None].astype(np.float32)
