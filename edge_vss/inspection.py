"""What is inside a bundle, as plain values: what ``edge-vss inspect`` shows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from edge_vss.bundle import Manifest, load_bundle
from edge_vss.executor import ReferenceExecutor, StageFunction
from edge_vss.graph import Stage
from edge_vss.schedule import Adaptive, Clock, Cycle, Every, Never, Schedule

__all__ = ["clock_text", "describe_bundle"]

MAX_PERIOD_SHOWN = 4096


def describe_bundle(path: str | Path) -> dict[str, Any]:
    """Everything a person wants to know of a bundle; every file is checked on the way.

    Raises:
        BadInput: The bundle does not load, or a file is missing or changed.
    """
    bundle = load_bundle(path)
    bundle.check_files()
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "path": str(bundle.path),
        "schema": manifest.schema,
        "macs": manifest.graph.macs,
        "params": manifest.graph.params,
        "bytes": sum(record.bytes for record in manifest.files.values()),
        "input": msgspec.structs.asdict(manifest.input),
        "outputs": [
            {
                "name": output.name,
                "tensor": output.tensor,
                "kind": output.kind,
                "classes": [info.name for info in output.classes],
                "ignored": list(output.ignored),
                "upsampling": output.upsampling,
                "corners": output.corners,
            }
            for output in manifest.outputs
        ],
        "stages": [_stage(manifest, stage) for stage in manifest.graph.stages],
        "tensors": _tensors(manifest),
        "schedules": [_schedule(manifest, schedule) for schedule in manifest.schedules],
        "ladder": list(manifest.ladder),
        "variants": _variants(manifest),
        "files": [
            {"name": name, "bytes": record.bytes, "sha256": record.sha256} for name, record in manifest.files.items()
        ],
        "calibration": dict(manifest.calibration),
        "provenance": dict(manifest.provenance),
    }


def _stage(manifest: Manifest, stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "reads": [read.name for read in stage.inputs],
        "writes": list(stage.outputs),
        "macs": stage.macs,
        "share": stage.macs / manifest.graph.macs if manifest.graph.macs else 0.0,
        "params": stage.params,
    }


def _tensors(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "name": tensor.name,
            "shape": "x".join(map(str, tensor.shape)),
            "dtype": tensor.dtype,
            "lives": f"ring({tensor.depth})" if tensor.lives == "ring" else tensor.lives,
            "reset": tensor.reset if tensor.lives == "state" else "",
            "bytes": tensor.bytes * tensor.depth,
        }
        for tensor in manifest.graph.tensors
    ]


def clock_text(clock: Clock) -> str:
    """A clock in a few words."""
    if isinstance(clock, Every):
        text = f"every {clock.k}" + (f" from {clock.offset}" if clock.offset else "")
    elif isinstance(clock, Cycle):
        text = f"turn {clock.index} of {clock.count}"
    elif isinstance(clock, Adaptive):
        text = f"when {clock.signal.tensor} changes by {clock.threshold:.5f}, at most {clock.max_age} frames old"
        text += f", paced within {clock.pace.low:.2f}..{clock.pace.high:g} times that" if clock.pace else ""
        text += f", {clock.budget.fires} firings in {clock.budget.frames} frames" if clock.budget else ""
    else:
        text = "after a reset only" if isinstance(clock, Never) else "always"
    return f"{text}, while {clock.guard.ring} is {clock.guard.when}" if clock.guard else text


def _schedule(manifest: Manifest, schedule: Schedule) -> dict[str, Any]:
    clocked = {stage: clock_text(clock) for stage, clock in schedule.clocks.items()}
    return {
        "name": schedule.name,
        "clocks": [f"{stage}: {text}" for stage, text in clocked.items()] or ["every stage always"],
        "delays": [f"{edge.tensor} into {edge.stage}" for edge in schedule.delays],
        "macs_mean": _mean_macs(manifest, schedule),
    }


def _mean_macs(manifest: Manifest, schedule: Schedule) -> str:
    """Mean multiply-adds per frame where the clocks alone decide it, by playing the schedule without values."""
    graph = manifest.graph
    if any(isinstance(clock, Adaptive) for clock in schedule.clocks.values()):
        return "by content"
    executor = ReferenceExecutor(graph, schedule, {stage.name: _blank(len(stage.outputs)) for stage in graph.stages})
    clocks = schedule.clocks.values()
    period = math.lcm(1, *(c.k if isinstance(c, Every) else c.count for c in clocks if isinstance(c, Every | Cycle)))
    start, total = 32, 0  # rings are full and delays are over by then
    start += -start % period
    if period > MAX_PERIOD_SHOWN:
        return "?"
    for index in range(start + period):
        step = executor.step(None, sequence=index, pts_us=index)
        total += sum(graph.stage(name).macs for name in step.fired) if index >= start else 0
    return f"{total / period / 1e6:.0f} M"


def _blank(count: int) -> StageFunction:
    return lambda *inputs: (None,) * count


def _variants(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "name": variant.name,
            "backend": variant.backend,
            "precision": variant.precision,
            "goldens": sorted(variant.golden),
            "thresholds": [
                f"{schedule}/{stage} {threshold:.5f}"
                for schedule, stages in variant.thresholds.items()
                for stage, threshold in stages.items()
            ],
        }
        for variant in manifest.variants
    ]
