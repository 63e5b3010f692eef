"""Clock thresholds: how much change an adaptive stage tolerates before it fires again.

Set on unlabelled video for a wanted update rate: the network runs once per frame, up to the signal; what follows is
replay.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import Bundle, Manifest, Variant, load_bundle, write_bundle
from edge_vss.bundle.golden import read_clip, record_golden
from edge_vss.calibration.frame_check import FrameCheck
from edge_vss.calibration.thresholds import ClockFit, Signals, Valid, fit_threshold
from edge_vss.data.sources import open_source
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.executor import ReferenceExecutor, StageFunction
from edge_vss.frame import Frame
from edge_vss.graph import Graph
from edge_vss.pixels import fit_geometry, preprocess
from edge_vss.reference_engines import bundle_functions
from edge_vss.schedule import Adaptive, Budget, Pace, Schedule

__all__ = [
    "CLOCK_FRAMES",
    "ClockReport",
    "calibrate_clock",
    "check_rate",
    "fit_clocks",
    "max_age_for",
    "record_signals",
    "signal_tensors",
]

CLOCK_FRAMES = 200
"""How many frames of a source are looked at."""
MIN_FRAMES = 8
MIN_MAX_AGE = 6
MAX_SIGNAL_BYTES = 1 << 30
PACE_STEP = 0.35
PACE_REACH = 3.0


@dataclass(frozen=True)
class ClockReport:
    """What ``edge-vss calibrate --clock-rate`` prints."""

    thresholds: dict[str, float]
    """Stage -> threshold of its adaptive clock."""
    update_rates: dict[str, float]
    """Stage -> share of the calibration frames that fire it, the first not counted."""
    frames: int
    """How many there were."""

    @property
    def update_rate(self) -> float:
        """Of the stage that fires most often."""
        return max(self.update_rates.values())


def calibrate_clock(
    path: str | Path,
    source: str | Iterable[Frame],
    rate: float,
    schedule: str = "adaptive",
    *,
    frames: int = CLOCK_FRAMES,
    progress: Callable[[int, int], None] | None = None,
) -> ClockReport:
    """Set the adaptive clocks of a bundle's schedule on unlabelled video, for every variant.

    The manifest gets the new thresholds and the goldens of that schedule are recorded anew, through ONNX Runtime;
    engines stay as they are. The bundle is replaced whole, or not at all.

    Args:
        source: SOURCE, or frames that someone opened.
        rate: Wanted share of frames that fire each adaptive stage, in (0, 1].
        frames: How many frames of the source count, at most.
        progress: Called with frames done and frames in all.

    Raises:
        BadInput: The bundle or the source does not load, or the schedule has no adaptive clock.
        WrongUsage: The rate is none.
    """
    check_rate(rate)
    bundle = load_bundle(path)
    bundle.check_schedule(schedule)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    manifest = bundle.manifest
    if not signal_tensors([manifest.schedule(schedule)]):
        raise BadInput(f"{path}: schedule {schedule!r} has no adaptive clock to set")
    report = None
    given = None if isinstance(source, str) else list(itertools.islice(source, frames))
    for place, variant in enumerate(manifest.variants):
        total, done = frames * len(manifest.variants), frames * place
        say = (lambda count, done=done, total=total: progress(done + count, total)) if progress else None
        with nullcontext(given) if given is not None else open_source(str(source)) as opened:
            taken = itertools.islice(opened, frames)
            found, fits, count = _fit_variant(bundle, variant, manifest.schedule(schedule), taken, rate, say)
        manifest = _with_clocks(manifest, place, found)
        report = report or ClockReport(
            {fit.stage: fit.threshold for fit in fits}, {fit.stage: fit.update_rate for fit in fits}, count
        )
    assert report is not None
    record = _record(manifest, source, schedule, rate, report)
    manifest, goldens = _renew_goldens(bundle, record, schedule)
    write_bundle(path, manifest, {**files, **goldens})
    return report


def check_rate(rate: float) -> None:
    """Refuse a clock rate that is no share of frames in (0, 1]; WrongUsage says so."""
    if not 0.0 < rate <= 1.0:
        raise WrongUsage(f"the clock rate is a share of frames in (0, 1], got {rate}")


def _fit_variant(
    bundle: Bundle,
    variant: Variant,
    schedule: Schedule,
    frames: Iterable[Frame],
    rate: float,
    progress: Callable[[int], None] | None,
) -> tuple[Schedule, tuple[ClockFit, ...], int]:
    spec, graph = bundle.manifest.input, bundle.manifest.graph
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise BadInput("the calibration source gave no frame")
    images = (preprocess(frame, spec) for frame in itertools.chain([first], stream))
    functions = bundle_functions(bundle, variant)
    signals = record_signals(graph, signal_tensors([schedule]), functions, images, progress=progress)
    valid = fit_geometry(first.height, first.width, spec).valid
    found, fits = fit_clocks(graph, schedule, signals, update_rate=rate, valid=valid)
    return found, fits, len(next(iter(signals.values())))


def _with_clocks(manifest: Manifest, place: int, schedule: Schedule) -> Manifest:
    """The first variant's thresholds are the schedule's own, those of others overrule them."""
    thresholds = {stage: clock.threshold for stage, clock in schedule.clocks.items() if isinstance(clock, Adaptive)}
    variants = list(manifest.variants)
    own = {**variants[place].thresholds, schedule.name: thresholds}
    schedules = manifest.schedules
    if place == 0:
        own.pop(schedule.name)
        schedules = tuple(schedule if known.name == schedule.name else known for known in schedules)
    variants[place] = msgspec.structs.replace(variants[place], thresholds=own)
    return msgspec.structs.replace(manifest, schedules=schedules, variants=tuple(variants))


def _record(
    manifest: Manifest, source: str | Iterable[Frame], schedule: str, rate: float, report: ClockReport
) -> Manifest:
    record = {**manifest.calibration, "frames": report.frames, "clock_rate": rate}
    record["source"] = source if isinstance(source, str) else "frames of the caller"
    record |= {f"update_rate.{schedule}.{stage}": share for stage, share in report.update_rates.items()}
    return msgspec.structs.replace(manifest, calibration=record)


def _renew_goldens(bundle: Bundle, manifest: Manifest, schedule: str) -> tuple[Manifest, dict[str, bytes]]:
    """The goldens of one schedule under the manifest's clocks, for every variant that has any."""
    variants, files = [], {}
    for variant in manifest.variants:
        old = variant.golden.get(schedule)
        if old is not None:
            golden, files[old.labels] = record_golden(
                manifest.graph,
                manifest.schedule(schedule, variant),
                bundle_functions(bundle, variant),
                manifest.input,
                manifest.outputs,
                read_clip(bundle),
                old.labels,
            )
            golden = msgspec.structs.replace(golden, tolerance=old.tolerance)
            variant = msgspec.structs.replace(variant, golden={**variant.golden, schedule: golden})
        variants.append(variant)
    return msgspec.structs.replace(manifest, variants=tuple(variants)), files


def signal_tensors(schedules: Iterable[Schedule]) -> tuple[str, ...]:
    """Tensors that adaptive clocks look at, each once."""
    clocks = [clock for schedule in schedules for clock in schedule.clocks.values() if isinstance(clock, Adaptive)]
    return tuple(dict.fromkeys(clock.signal.tensor for clock in clocks))


def max_age_for(update_rate: float) -> int:
    """A bound that lets a stage rest twice its mean interval, and never less than 6 frames."""
    return max(MIN_MAX_AGE, math.ceil(2.0 / update_rate - 1e-9))


def budget_for(update_rate: float) -> Budget | None:
    """The firings in the shortest window that comes closest to ``update_rate`` from below; None where that is no limit.

    Short, so that firings are spread evenly where the video keeps the clock at its limit.
    """
    longest = min(64, max(16, math.ceil(1.0 / update_rate - 1e-9)))
    if update_rate > (longest - 1) / longest:
        return None
    found = [(min(frames - 1, int(update_rate * frames + 1e-9)), frames) for frames in range(2, longest + 1)]
    fires, frames = max(found, key=lambda pair: (pair[0] / pair[1], -pair[1]))
    return Budget(fires=max(1, fires), frames=frames if fires else longest)


def pace_for(update_rate: float) -> Pace | None:
    """A pace that balances at ``update_rate``; None where every frame fires.

    A factor of two takes some five frames. The threshold moves within a third and three times what was fitted: streets
    differ by a factor of two, and a camera at rest shall still save power.
    """
    if budget_for(update_rate) is None:
        return None
    return Pace(
        rise=math.exp(PACE_STEP * (1.0 - update_rate)),
        fall=math.exp(-PACE_STEP * update_rate),
        low=1.0 / PACE_REACH,
        high=PACE_REACH,
    )


def fit_clocks(
    graph: Graph, schedule: Schedule, signals: Signals, *, update_rate: float, valid: Valid = (0.0, 0.0, 1.0, 1.0)
) -> tuple[Schedule, tuple[ClockFit, ...]]:
    """Set every adaptive clock of a schedule: threshold, ``max_age``, budget and pace, one after the other.

    Args:
        signals: From ``record_signals``, on consecutive frames.
        update_rate: Wanted share of frames that fire each adaptive stage, in (0, 1].
        valid: As for ``ReferenceExecutor``.
    """
    check_rate(update_rate)
    fits = []
    for stage in graph.stages:
        clock = schedule.clocks.get(stage.name)
        if isinstance(clock, Adaptive):
            clock = msgspec.structs.replace(
                clock, max_age=max_age_for(update_rate), budget=budget_for(update_rate), pace=pace_for(update_rate)
            )
            schedule = msgspec.structs.replace(schedule, clocks={**schedule.clocks, stage.name: clock})
            fit = fit_threshold(graph, schedule, stage.name, signals, update_rate=update_rate, valid=valid)
            schedule = schedule.with_thresholds({stage.name: fit.threshold})
            fits.append(fit)
    if not fits:
        raise BadInput(f"schedule {schedule.name!r} has no adaptive clock to set")
    return schedule, tuple(fits)


def record_signals(
    graph: Graph,
    tensors: Collection[str],
    functions: Mapping[str, StageFunction],
    images: Iterable[NDArray[np.float32]],
    *,
    progress: Callable[[int], None] | None = None,
) -> Signals:
    """Signal tensors on every frame of a stream: the stages that they depend on, each on every frame.

    Args:
        images: The network's inputs, (1, 3, H, W) float32, in order.
        progress: Called with the number of frames done.

    Raises:
        BadInput: There are fewer than 8 frames, none shows more than one colour, or the signals take more than 1 GiB.
    """
    needed = _above(graph, tensors)
    executor = ReferenceExecutor(needed, Schedule(name="signals"), functions)
    values: dict[str, list[NDArray[Any]]] = {name: [] for name in tensors}
    size, check = 0, FrameCheck()
    for image in images:
        step = executor.step(image, sequence=check.count, pts_us=check.count)
        check.add(image)
        for name in tensors:
            values[name].append(step.outputs[name])
            size += step.outputs[name].nbytes
        if size > MAX_SIGNAL_BYTES:
            raise BadInput(f"the clock signals of {check.count} frames take more than 1 GiB; calibrate on fewer frames")
        if progress:
            progress(check.count)
    if check.count < MIN_FRAMES:
        raise BadInput(f"clock thresholds need at least {MIN_FRAMES} frames, the calibration source gave {check.count}")
    check.finish()
    return values


def _above(graph: Graph, tensors: Collection[str]) -> Graph:
    """The stages that ``tensors`` depend on, whichever version they read."""
    wanted, stages = set(tensors), set[str]()
    while new := {writer.name for tensor in wanted for writer in graph.writers(tensor)} - stages:
        stages |= new
        wanted |= {read.tensor for name in new for read in graph.stage(name).inputs}
    kept = tuple(stage for stage in graph.stages if stage.name in stages)
    known = wanted | {graph.image} | {name for stage in kept for name in stage.outputs}
    return Graph(
        image=graph.image,
        tensors=tuple(tensor for tensor in graph.tensors if tensor.name in known),
        stages=kept,
        outputs=tuple(tensors),
    )
