"""Scores a bundle on labelled data, on the native runtime: what ``edge-vss eval`` prints.

Several schedules run over the same decoded frames. A clip boundary resets the stream; images without an order reset
it on every frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import Bundle, Manifest, OutputSpec, load_bundle
from edge_vss.data.colour import to_rgb
from edge_vss.data.datasets import Clip, Dataset, Sample, open_dataset
from edge_vss.data.flow import DATA_FLOW, FLOW_NAME, FlowError, dis_flow, known_flow
from edge_vss.emulation import emulated
from edge_vss.errors import BadInput
from edge_vss.metrics import BAND_PX, Measures, TemporalConsistency
from edge_vss.run_stats import percentiles
from edge_vss.runtime import Pipeline
from edge_vss.variants import check_variant

__all__ = ["EvalOptions", "Evaluation", "evaluate_bundle", "matching_output"]

CHUNK_BYTES = 192 << 20
"""Decoded frames and flow held at a time, so that schedules run one after the other on warm engines."""
MIN_FLOW_FPS = 5.0
"""Neighbouring frames farther apart have no usable flow."""


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """How to score."""

    schedules: tuple[str, ...] = ()
    """Names; ``("all",)`` takes every one; empty = the bundle's first."""
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    """0 = one per core."""
    consistency: bool = True
    """Score temporal consistency where the data is video; it needs optical flow, which takes time."""
    vpq: bool = False
    """Score video panoptic quality too; it needs memory of four label maps' segments."""
    boundary_px: int = BAND_PX
    """Width of the band along borders, >= 1."""
    emulate: bool = False
    """Compute the engines as written on ONNX Runtime's CPU, whatever their back end; latencies then mean nothing."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one schedule scored; nan where there was nothing to score."""

    schedule: str
    backend: str
    precision: str
    miou: float
    iou: dict[str, float]
    """Class -> IoU; nan where it neither occurs nor is predicted."""
    pixel_accuracy: float
    boundary_iou: float
    """mIoU over the pixels at most ``boundary_px`` rows and columns from a border of the truth."""
    boundary_px: int
    temporal_consistency: float
    """Pooled over pairs, nearest warp, no photometric mask."""
    temporal_consistency_masked: float
    """The same where the picture survives the warp."""
    flow: str
    """Where the flow came from; empty = no consistency."""
    frames: int
    update_rate: dict[str, float]
    """Stage -> share of frames that fired it, the first frame after each reset not counted."""
    macs_per_frame: dict[str, float]
    """mean and max over the same frames."""
    latency_ms: dict[str, float]
    """mean, p50, p90, p99, max over all frames."""
    age_frames: dict[str, float]
    """mean and max age of the label map."""
    vpq: float | None = None
    """Video panoptic quality with one segment per class and frame, mean of the window lengths; ``None`` = not asked."""
    vpq_windows: dict[str, float] | None = None
    """Labelled frames of a window -> its value."""
    vpq_instances: float | None = None
    """The same against every instance of the data's things; ``None`` = not asked, or the data has none."""

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``eval --json`` promises; what was not asked for has none."""
        unasked = {field.name for field in fields(self) if field.default is None and getattr(self, field.name) is None}
        return {key: value for key, value in asdict(self).items() if key not in unasked}


@dataclass(frozen=True)
class Step:
    """One decoded frame, and the flow from the frame before it."""

    sample: Sample
    first: bool
    """The stream starts anew with this frame."""
    flow: NDArray[np.float32] | None
    mask: NDArray[np.bool_] | None
    flow_name: str


def evaluate_bundle(
    path: str | Path,
    data: str,
    options: EvalOptions,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Evaluation]:
    """Score a bundle under one or several schedules.

    Args:
        data: URI of a data set.

    Raises:
        BadInput: The bundle or the data does not load, a schedule is unknown, the classes differ, or no pixel of the
            data has a label.
        WrongUsage: No bundle has a backend or precision of that name.
    """
    bundle = load_bundle(path)
    manifest = bundle.manifest
    variant = check_variant(bundle, options.backend, options.precision)
    dataset = open_dataset(data)
    output = matching_output(manifest.outputs, dataset, path, data)
    schedules = _schedules(bundle, options.schedules)
    with ExitStack() as stack:
        scorers = []
        arguments: dict[str, Any] = {"backend": options.backend, "precision": options.precision}
        played: str | Path = path
        backend = ""
        if options.emulate:
            played, operations = stack.enter_context(emulated(bundle, variant, threads=options.threads))
            arguments, backend = {"operations": operations}, f"{variant.backend}, emulated"
        for schedule in schedules:
            pipeline = Pipeline(played, schedule=schedule, threads=options.threads, label_size="source", **arguments)
            measures = Measures(
                len(output.classes), boundary_px=options.boundary_px, vpq=options.vpq, things=dataset.things
            )
            scorers.append(_Scorer(stack.enter_context(pipeline), manifest, output, schedule, backend, measures))
        flow = _score(scorers, dataset, options.consistency, progress)
        if not scorers[0].labelled_px:
            raise BadInput(f"{data}: not one of its {dataset.num_frames} frames has a labelled pixel; nothing to score")
        return [scorer.result(flow) for scorer in scorers]


def matching_output(outputs: Sequence[OutputSpec], dataset: Dataset, path: str | Path, data: str) -> OutputSpec:
    """The output of ``path`` whose classes are the data's, by name and order.

    Raises:
        BadInput: None has them.
    """
    want = [info.name.casefold() for info in dataset.classes]
    for output in outputs:
        if [info.name.casefold() for info in output.classes] == want:
            return output
    output = outputs[0]
    if len(output.classes) != len(want):
        raise BadInput(f"{data} has {len(want)} classes, {path} gives {len(output.classes)}; they must be the same")
    theirs, ours = next(
        (there.name, here.name)
        for there, here in zip(dataset.classes, output.classes)
        if there.name.casefold() != here.name.casefold()
    )
    raise BadInput(f"{data} has class {theirs!r} where {path} has {ours!r}; classes must agree in name and order")


def _schedules(bundle: Bundle, wanted: Sequence[str]) -> list[str]:
    known = [schedule.name for schedule in bundle.manifest.schedules]
    if not wanted:
        return known[:1]
    for name in wanted:
        if name != "all":
            bundle.check_schedule(name)
    return known if "all" in wanted else list(dict.fromkeys(wanted))


def _score(
    scorers: Sequence[_Scorer], dataset: Dataset, consistency: bool, progress: Callable[[int, int], None]
) -> str:
    """Run every scorer over every frame; returns the name of the flow."""
    done, total, flow = 0, dataset.num_frames * len(scorers), ""
    for clip in dataset.clips:
        for chunk in _chunks(clip, consistency):
            flow = next((step.flow_name for step in chunk if step.flow is not None), flow)
            for scorer in scorers:
                for step in chunk:
                    scorer.add(step)
                    done += 1
                    progress(done, total)
    return flow


def _chunks(clip: Clip, consistency: bool) -> Iterator[list[Step]]:
    """A clip in pieces that fit into ``CHUNK_BYTES``."""
    before: NDArray[np.uint8] | None = None
    chunk: list[Step] = []
    moving = consistency and clip.fps is not None and clip.fps >= MIN_FLOW_FPS
    for index in range(len(clip)):
        sample = clip[index]
        flow = mask = picture = None
        name = ""
        if moving:
            picture = to_rgb(sample.frame)
            if before is not None and before.shape == picture.shape:
                try:
                    flow, name = _flow(clip, index, before, picture)
                    mask = TemporalConsistency.pair_mask(before, picture, flow)
                except FlowError:
                    moving = False
        chunk.append(Step(sample, clip.fps is None or index == 0, flow, mask, name))
        before = picture
        if len(chunk) * sample.frame.height * sample.frame.width * 14 > CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _flow(
    clip: Clip, index: int, before: NDArray[np.uint8], picture: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], str]:
    """Flow into frame ``index`` from the one before, and its name: the clip's own, or else an estimate."""
    known = known_flow(clip, index - 1, index)
    return (known.flow, DATA_FLOW) if known is not None else (dis_flow(before, picture), FLOW_NAME)


class _Scorer:
    """One schedule on its way through the data."""

    def __init__(
        self,
        pipeline: Pipeline,
        manifest: Manifest,
        output: OutputSpec,
        schedule: str,
        backend: str,
        measures: Measures,
    ) -> None:
        self._backend = backend or pipeline.info.backend
        self._pipeline, self._schedule, self._output = pipeline, schedule, output.name
        self._classes = [info.name for info in output.classes]
        self._measures = measures
        self._stage_macs = {stage.name: stage.macs for stage in manifest.graph.stages}
        self._fired: list[tuple[str, ...]] = []
        self._firsts: list[bool] = []
        self._latency_ms: list[float] = []
        self._ages: list[int] = []
        self._before: NDArray[np.uint8] | None = None

    def add(self, step: Step) -> None:
        """Label one frame and count it."""
        if step.first:
            self._pipeline.reset()
            self._measures.start_clip()
            self._before = None
        result = self._pipeline.process(step.sample.frame)
        labels = result.labels[self._output]
        self._measures.update(step.sample, labels)
        if step.flow is not None and self._before is not None:
            self._measures.consistency.update(self._before, labels, step.flow, step.mask)
        self._before = labels
        self._fired.append(result.fired)
        self._firsts.append(step.first)
        self._latency_ms.append(result.latency_ms)
        self._ages.append(result.age_frames[self._output])

    @property
    def labelled_px(self) -> int:
        """Pixels that were scored so far."""
        return int(self._measures.matrix.counts.sum())

    def result(self, flow: str) -> Evaluation:
        """The scores of everything that was added."""
        counted = [fired for fired, first in zip(self._fired, self._firsts) if not first] or self._fired
        macs = [sum(self._stage_macs[stage] for stage in fired) for fired in counted]
        info = self._pipeline.info
        return Evaluation(
            schedule=self._schedule,
            backend=self._backend,
            precision=info.precision,
            **self._measures.scores(self._classes),
            flow=flow,
            frames=len(self._fired),
            update_rate={
                stage: sum(stage in fired for fired in counted) / max(1, len(counted)) for stage in self._stage_macs
            },
            macs_per_frame={"mean": sum(macs) / max(1, len(macs)), "max": float(max(macs, default=0))},
            latency_ms=percentiles(self._latency_ms),
            age_frames={"mean": sum(self._ages) / max(1, len(self._ages)), "max": float(max(self._ages, default=0))},
        )
