"""The INT8 variant of a bundle: ranges observed through its schedule, engines on integers, clocks and goldens anew."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from edge_vss.bundle import EngineRef, InputSpec, OutputSpec, Storage, Variant
from edge_vss.bundle.golden import Clip, Memory, golden_file, record_golden
from edge_vss.calibration.clocks import fit_clocks, record_signals, signal_tensors
from edge_vss.calibration.observe import Observations, observe
from edge_vss.calibration.qdq import QuantisedStage, quantise_stage, storage_of
from edge_vss.calibration.ranges import Histogram
from edge_vss.data.sources import open_source
from edge_vss.executor import StageFunction
from edge_vss.graph import Graph
from edge_vss.pixels import fit_geometry, preprocess
from edge_vss.reference_engines import engine_function, stored_functions
from edge_vss.schedule import Adaptive, Schedule

__all__ = ["RANGE_FRAMES", "Int8Variant", "int8_variant"]

RANGE_FRAMES = 100
"""How many frames of a source are observed."""
SLOWEST_FPS = 5.0
"""Below this, frames are taken for unordered images: no schedule would see such a stream."""
TOLERANCE = 0.01
"""Share of golden pixels that may differ: an input level that rounds the other way moves integers by a step."""


@dataclass(frozen=True)
class Int8Variant:
    """A variant and its files."""

    variant: Variant
    files: Mapping[str, bytes]
    macs_share: float
    """Of all multiply-adds, how many are on integers, 0..1."""
    stage_shares: Mapping[str, float]
    """Stage -> the same."""
    observed_under: str
    """The schedule through which ranges were observed."""


def int8_variant(
    graph: Graph,
    schedules: Sequence[Schedule],
    engines: Mapping[str, bytes],
    spec: InputSpec,
    outputs: Sequence[OutputSpec],
    source: str,
    clip: Clip,
    *,
    clock_rate: float = 0.5,
    method: str = "mse",
    progress: Callable[[int], None] | None = None,
) -> Int8Variant:
    """Quantise every stage for ONNX Runtime on CPUs.

    Args:
        engines: Stage -> float32 ONNX file.
        source: SOURCE of unlabelled frames.
        clip: The golden frames.
        clock_rate: As for ``fit_clocks``.
        method: One of ``edge_vss.calibration.ranges.METHODS``.

    Raises:
        BadInput: The source gives nothing to learn from.
    """
    with open_source(source) as frames:
        schedule = _observed_schedule(schedules, frames.fps)
        images = (preprocess(frame, spec) for frame in itertools.islice(frames, RANGE_FRAMES))
        seen = observe(graph, schedule, engines, [images], progress)
    stored = _boundaries(graph, schedules, seen, method)
    quantised = {stage: _quantised(graph, stage, engine, seen, stored, method) for stage, engine in engines.items()}
    functions = stored_functions(
        graph, {stage: engine_function(found.engine, name=stage) for stage, found in quantised.items()}, stored
    )
    fitted = _fit(graph, schedules, functions, spec, source, clock_rate)
    name = "onnxruntime-int8"
    files = {f"engines/{stage}.onnxruntime.int8.onnx": found.engine for stage, found in quantised.items()}
    goldens, memory = {}, Memory()
    for schedule_fitted in fitted:
        file = golden_file(schedule_fitted.name, name)
        golden, files[file] = record_golden(graph, schedule_fitted, functions, spec, outputs, clip, file, memory)
        goldens[schedule_fitted.name] = msgspec.structs.replace(golden, tolerance=TOLERANCE)
    variant = Variant(
        name=name,
        backend="onnxruntime",
        precision="int8",
        engines={stage: EngineRef(file=f"engines/{stage}.onnxruntime.int8.onnx") for stage in engines},
        tensors=stored,
        thresholds={found.name: thresholds for found in fitted if (thresholds := _thresholds(found))},
        golden=goldens,
    )
    shares = {stage: found.macs_share for stage, found in quantised.items()}
    macs = sum(stage.macs for stage in graph.stages)
    share = sum(stage.macs * shares[stage.name] for stage in graph.stages) / macs if macs else 0.0
    return Int8Variant(variant, files, share, shares, schedule.name)


def _observed_schedule(schedules: Sequence[Schedule], fps: float) -> Schedule:
    """What a stage will mostly be fed by: ``adaptive`` on video where there is one, else every stage every frame."""
    named = {schedule.name: schedule for schedule in schedules}
    return named.get("adaptive", schedules[0]) if fps >= SLOWEST_FPS else named.get("full", schedules[0])


def _boundaries(graph: Graph, schedules: Sequence[Schedule], seen: Observations, method: str) -> dict[str, Storage]:
    """Tensors that cross from stage to stage as integers: float ones that a quantised node reads first."""
    signals = set(signal_tensors(schedules))
    stored = {}
    for tensor in graph.tensors:
        readers = [
            seen[stage.name][tensor.name]
            for stage in graph.stages
            if any(read.tensor == tensor.name for read in stage.inputs) and tensor.name in seen[stage.name]
        ]
        written = Histogram()
        for histogram in readers:
            written.merge(histogram)
        fits = tensor.dtype == "float32" and tensor.reset != "zero" and tensor.name not in {*graph.outputs, *signals}
        if readers and fits:
            stored[tensor.name] = storage_of(written.range(method))
    return stored


def _quantised(
    graph: Graph, stage: str, engine: bytes, seen: Observations, stored: Mapping[str, Storage], method: str
) -> QuantisedStage:
    found = graph.stage(stage)
    return quantise_stage(
        engine,
        [graph.tensor(read.tensor) for read in found.inputs],
        [graph.tensor(name) for name in found.outputs],
        {name: histogram.range(method) for name, histogram in seen[stage].items() if histogram.filled},
        stored,
    )


def _fit(
    graph: Graph,
    schedules: Sequence[Schedule],
    functions: Mapping[str, StageFunction],
    spec: InputSpec,
    source: str,
    clock_rate: float,
) -> list[Schedule]:
    """The schedules with thresholds for what the integer engines give."""
    tensors = signal_tensors(schedules)
    if not tensors:
        return list(schedules)
    with open_source(source) as frames:
        valid = fit_geometry(frames.height, frames.width, spec).valid
        images = (preprocess(frame, spec) for frame in itertools.islice(frames, RANGE_FRAMES))
        signals = record_signals(graph, tensors, functions, images)
    return [
        fit_clocks(graph, schedule, signals, update_rate=clock_rate, valid=valid)[0]
        if signal_tensors([schedule])
        else schedule
        for schedule in schedules
    ]


def _thresholds(schedule: Schedule) -> dict[str, float]:
    return {stage: clock.threshold for stage, clock in schedule.clocks.items() if isinstance(clock, Adaptive)}
