"""Further variants of a bundle: narrower engines from ranges seen through the schedule, clocks and goldens anew."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import onnx

from edge_vss.bundle import EngineRef, InputSpec, OutputSpec, Storage, Variant
from edge_vss.bundle.golden import Clip, Memory, golden_file, record_golden
from edge_vss.calibration.clocks import fit_clocks, record_signals, signal_tensors
from edge_vss.calibration.half import ISLAND_MAGNITUDE, half_stage
from edge_vss.calibration.observed_source import RANGE_FRAMES, Observed
from edge_vss.calibration.qdq import ONNXRUNTIME, TENSORRT, Form, QuantisedStage, quantise_stage
from edge_vss.calibration.quantised_nodes import StageNodes
from edge_vss.calibration.ranges import Histogram, Range
from edge_vss.data.sources import open_source
from edge_vss.executor import StageFunction
from edge_vss.graph import Graph, Stage
from edge_vss.pixels import fit_geometry, preprocess
from edge_vss.reference_engines import engine_function, stored_functions
from edge_vss.schedule import Adaptive, Schedule

__all__ = ["KINDS", "Kept", "MadeVariant", "NarrowEngines", "VariantMaker"]

TOLERANCES = {
    ("onnxruntime", "int8"): 0.01,
    ("tensorrt", "fp16"): 0.005,
    ("tensorrt", "int8"): 0.02,
}
"""(back end, precision) -> share of golden pixels that may differ: an input level that rounds the other way moves
integers by a step, and another engine adds in another order."""
KINDS = frozenset(TOLERANCES)
"""What can be made."""
Kept = Mapping[str, Collection[str]]
"""Stage -> nodes that do not become 8-bit."""


@dataclass(frozen=True)
class NarrowEngines:
    """The engines of a variant, without clocks and goldens."""

    engines: Mapping[str, bytes]
    """Stage -> ONNX file."""
    stored: Mapping[str, Storage]
    """How boundary tensors cross, where not as trained."""
    shares: Mapping[str, float]
    """Stage -> share of its multiply-adds on integers, 0..1."""
    islands: Mapping[str, tuple[str, ...]]
    """Stage -> nodes that stay float32 in a float16 engine."""


@dataclass(frozen=True, kw_only=True)
class MadeVariant:
    """A variant and its files."""

    variant: Variant
    files: Mapping[str, bytes]
    macs_share: float = 0.0
    """Of all multiply-adds, how many are on integers, 0..1."""
    stage_shares: Mapping[str, float] = field(default_factory=dict)
    """Stage -> the same."""
    islands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stage -> nodes that stay float32 in a float16 engine."""


@dataclass(frozen=True, kw_only=True)
class VariantMaker:
    """Makes variants of one network.

    Args:
        engines: Stage -> float32 ONNX file.
        source: SOURCE of unlabelled frames, for the clocks.
        clip: The golden frames.
        clock_rate: As for ``fit_clocks``.
        method: One of ``edge_vss.calibration.ranges.METHODS``.
        int8_boundaries: Let tensors cross as int8 in TensorRT's INT8 variant too; a reformat on either side may cost
            more than the bytes save.
    """

    graph: Graph
    schedules: Sequence[Schedule]
    engines: Mapping[str, bytes]
    spec: InputSpec
    outputs: Sequence[OutputSpec]
    source: str
    clip: Clip
    observed: Observed
    clock_rate: float = 0.5
    method: str = "mse"
    int8_boundaries: bool = False

    def make(self, backend: str, precision: str, kept: Kept | None = None) -> MadeVariant:
        """One variant, one of ``KINDS``, with clocks and goldens.

        Raises:
            BadInput: A node cannot be written in the precision.
        """
        return self._finished(backend, precision, self.narrow(backend, precision, kept))

    def narrow(self, backend: str, precision: str, kept: Kept | None = None) -> NarrowEngines:
        """The engines alone.

        Args:
            kept: Stage -> nodes that do not become 8-bit.

        Raises:
            BadInput: A node cannot be written in the precision.
        """
        kept = kept or {}
        if backend == "onnxruntime":
            stored = self._integer_boundaries(kept, ONNXRUNTIME, self.free_boundaries)
            stages = {name: self._quantised(name, stored, ONNXRUNTIME, kept) for name in self.engines}
            engines = {name: stage.engine for name, stage in stages.items()}
            return NarrowEngines(engines, stored, {name: stage.macs_share for name, stage in stages.items()}, {})
        stored = self._half_boundaries()
        if precision == "int8" and self.int8_boundaries:
            stored |= self._integer_boundaries(kept, TENSORRT, list(stored))
        integers = {name: storage for name, storage in stored.items() if storage.dtype == "int8"}
        engines, shares, islands = {}, {}, {}
        for name, engine in self.engines.items():
            if precision == "int8":
                stage = self._quantised(name, integers, TENSORRT, kept)
                engine, shares[name] = stage.engine, stage.macs_share
            engines[name], islands[name] = self._halved(name, engine, stored)
        return NarrowEngines(engines, stored, shares, islands)

    def ranges(self, stage: str) -> dict[str, Range]:
        """Tensor inside a stage -> its range by ``method``."""
        seen = self.observed.seen[stage]
        return {name: histogram.range(self.method) for name, histogram in seen.items() if histogram.filled}

    def macs_share(self, shares: Mapping[str, float]) -> float:
        """Of all multiply-adds, how many are on integers, from the shares of the stages; 0..1."""
        macs = sum(stage.macs for stage in self.graph.stages)
        done = sum(stage.macs * shares.get(stage.name, 0.0) for stage in self.graph.stages)
        return done / macs if macs else 0.0

    def _integer_boundaries(self, kept: Kept, form: Form, tensors: Sequence[str]) -> dict[str, Storage]:
        """Of ``tensors``, those that cross from stage to stage as integers: a quantised node reads them first."""
        free, touched = self.free_boundaries, {}
        for name, engine in self.engines.items():
            nodes = StageNodes(onnx.load_from_string(engine), free, kept.get(name, ()), form.fewest_inputs)
            touched[name] = set(nodes.tensors())
        stored = {}
        for tensor in tensors:
            histograms = [
                self.observed.seen[reader][name] for reader, name in self._reads(tensor) if name in touched[reader]
            ]
            seen = Histogram()
            for histogram in histograms:
                seen.merge(histogram)
            if seen.filled:
                last = form.channels_last and tensor != self.graph.image and len(self.graph.tensor(tensor).shape) == 4
                storage = form.storage(seen.range(self.method))
                stored[tensor] = msgspec.structs.replace(storage, channels_last=last)
        return stored

    def _half_boundaries(self) -> dict[str, Storage]:
        """Tensors that cross as float16. The image comes from the pixel kernels, as float32."""
        found = {}
        for name in self.free_boundaries:
            magnitude = max((histogram.magnitude for histogram in self._seen_by_readers(name)), default=0.0)
            if name != self.graph.image and magnitude <= ISLAND_MAGNITUDE:
                found[name] = Storage(dtype="float16")
        return found

    @property
    def free_boundaries(self) -> list[str]:
        """Float tensors between stages that nobody outside of the engines looks at."""
        looked_at = {*self.graph.outputs, *signal_tensors(self.schedules)}
        return [
            tensor.name
            for tensor in self.graph.tensors
            if tensor.dtype == "float32" and tensor.reset != "zero" and tensor.name not in looked_at
        ]

    def _seen_by_readers(self, tensor: str) -> list[Histogram]:
        return [
            self.observed.seen[reader][name]
            for reader, name in self._reads(tensor)
            if name in self.observed.seen[reader]
        ]

    def _reads(self, tensor: str) -> list[tuple[str, str]]:
        """Who reads a tensor: the stage, and the name of its engine's input."""
        return [
            (stage.name, read.name) for stage in self.graph.stages for read in stage.inputs if read.tensor == tensor
        ]

    def _crossing(self, stage: Stage, stored: Mapping[str, Storage]) -> dict[str, Storage]:
        """Input or output of a stage's engine -> how it crosses, where it is not as trained."""
        names = {**{read.name: read.tensor for read in stage.inputs}, **{name: name for name in stage.outputs}}
        return {name: stored[tensor] for name, tensor in names.items() if tensor in stored}

    def _quantised(self, stage: str, stored: Mapping[str, Storage], form: Form, kept: Kept) -> QuantisedStage:
        found = self.graph.stage(stage)
        return quantise_stage(
            self.engines[stage],
            self.graph.engine_inputs(found),
            self.graph.engine_outputs(found),
            self.ranges(stage),
            self._crossing(found, stored),
            kept.get(stage, ()),
            form,
            leaving=self.free_boundaries,
        )

    def _halved(self, stage: str, engine: bytes, stored: Mapping[str, Storage]) -> tuple[bytes, tuple[str, ...]]:
        found = self.graph.stage(stage)
        magnitudes = {name: histogram.magnitude for name, histogram in self.observed.seen[stage].items()}
        magnitudes |= {f"{name}/dequantised": magnitude for name, magnitude in magnitudes.items()}
        half = half_stage(
            engine,
            self.graph.engine_inputs(found),
            self.graph.engine_outputs(found),
            magnitudes,
            {name: storage.dtype for name, storage in self._crossing(found, stored).items()},
        )
        return half.engine, half.islands

    def _finished(self, backend: str, precision: str, narrow: NarrowEngines) -> MadeVariant:
        """Clocks and goldens for new engines."""
        engines, stored = narrow.engines, narrow.stored
        name = f"{backend}-{precision}"
        emulated = backend != "onnxruntime"
        functions = stored_functions(
            self.graph,
            {stage: engine_function(engine, name=stage, emulated=emulated) for stage, engine in engines.items()},
            stored,
        )
        fitted = self._fit(functions)
        paths = {stage: f"engines/{stage}.{backend}.{precision}.onnx" for stage in engines}
        files = {paths[stage]: engine for stage, engine in engines.items()}
        goldens, memory = {}, Memory()
        for schedule in fitted:
            file = golden_file(schedule.name, name)
            golden, files[file] = record_golden(
                self.graph, schedule, functions, self.spec, self.outputs, self.clip, file, memory
            )
            goldens[schedule.name] = msgspec.structs.replace(golden, tolerance=TOLERANCES[backend, precision])
        variant = Variant(
            name=name,
            backend=backend,
            precision=precision,
            engines={stage: EngineRef(file=path) for stage, path in paths.items()},
            tensors=dict(stored),
            thresholds={found.name: thresholds for found in fitted if (thresholds := _thresholds(found))},
            golden=goldens,
        )
        return MadeVariant(
            variant=variant,
            files=files,
            macs_share=self.macs_share(narrow.shares),
            stage_shares=narrow.shares,
            islands={stage: nodes for stage, nodes in narrow.islands.items() if nodes},
        )

    def _fit(self, functions: Mapping[str, StageFunction]) -> list[Schedule]:
        """The schedules with thresholds for what the new engines give."""
        tensors = signal_tensors(self.schedules)
        if not tensors:
            return list(self.schedules)
        with open_source(self.source) as frames:
            valid = fit_geometry(frames.height, frames.width, self.spec).valid
            images = (preprocess(frame, self.spec) for frame in itertools.islice(frames, RANGE_FRAMES))
            signals = record_signals(self.graph, tensors, functions, images)
        return [
            fit_clocks(self.graph, schedule, signals, update_rate=self.clock_rate, valid=valid)[0]
            if signal_tensors([schedule])
            else schedule
            for schedule in self.schedules
        ]


def _thresholds(schedule: Schedule) -> dict[str, float]:
    return {stage: clock.threshold for stage, clock in schedule.clocks.items() if isinstance(clock, Adaptive)}
