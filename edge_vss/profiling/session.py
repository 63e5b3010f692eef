"""A measurement from its idle baseline to its report: idle, load, first frame, warm-up, frames, prices."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_vss.bundle import Manifest, load_bundle
from edge_vss.data.cameras import CameraOptions
from edge_vss.data.sources import open_source
from edge_vss.jetson.board import Board, read_board
from edge_vss.jetson.power import PowerSampler, PowerTrace, find_power
from edge_vss.profiling.laps import Footage, Laps, open_footage
from edge_vss.profiling.monitor import Monitor, Watched, memory_high_water_mib
from edge_vss.profiling.pricing import clocks_digest, engine_digests, measure_prices, seam_frames_of
from edge_vss.profiling.recorder import MAX_FRAMES, Recorder, Rows
from edge_vss.profiling.rules import MLPERF_S
from edge_vss.profiling.warm_up import STRETCH_FRAMES, STRETCH_S, Settling, WarmUp
from edge_vss.runtime import Pipeline, PipelineInfo
from edge_vss.variants import check_variant

__all__ = ["Measurement", "ProfileOptions", "measure"]

FASTEST_FPS = 1000.0
"""Frames a second that the recorder has room for; of more, the newest are kept."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """How to measure."""

    schedule: str | None = None
    """None = the bundle's first."""
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    """0 = one per core."""
    duration_s: float = 60.0
    idle_s: float = 10.0
    warm_up_s: float = 60.0
    """Longest warm-up; it ends when times and temperatures have settled."""
    realtime: bool = True
    """Frames come at their capture times; else the next one comes when the last one is done."""
    deadline_ms: float = 0.0
    """Cheaper schedules of the ladder are taken to keep within this; 0 = none."""
    realtime_priority: int = 0
    """SCHED_RR of the threads that label; 0 = as other programs."""
    camera: CameraOptions = field(default_factory=CameraOptions)
    frames: int | None = None
    """Stop after this many counted frames, however short the time."""
    mlperf: bool = False
    """At least 600 s, frame after frame."""
    root: Path = field(default=Path("/"))
    """Where the machine's files lie; another for a simulated board."""
    max_frames: int = MAX_FRAMES

    @property
    def wanted_s(self) -> float:
        """Seconds to measure."""
        return max(MLPERF_S, self.duration_s) if self.mlperf else self.duration_s

    @property
    def paced(self) -> bool:
        """Whether frames come at their capture times; MLPerf's single stream is one frame after the other."""
        return self.realtime and not self.mlperf


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Everything that was seen; ``build_report`` makes figures of it."""

    options: ProfileOptions
    bundle: str
    source: str
    info: PipelineInfo
    board: Board
    rows: Rows
    """Of a recorder: kept frames of the measurement, seams included."""
    frames: int
    """Measured, forgotten ones and seams included."""
    flags: dict[str, int]
    idle_span_s: tuple[float, float]
    span_s: tuple[float, float]
    """Begin and end of the measurement."""
    warm_up: WarmUp
    watched: Watched
    power: PowerTrace | None
    load_ms: float
    first_frame_ms: float
    memory_mib: float | None
    held_frames: int
    """0: decoded beside the loop, or a camera's."""
    live: bool
    held_mib: float
    source_fps: float
    macs: dict[str, int]
    damage: dict[str, float]
    dropped: dict[str, int]
    """Reason -> frames given up on during the measurement."""
    fallbacks: int
    """Engines that failed, so that another variant took over, the warm-up included."""
    schedules: tuple[str, ...]
    """Of the bundle, in its order."""
    engines: dict[str, str]
    clocks: str
    """Stage -> sha256 of its engine."""
    prices: dict[str, Any]
    interrupted: bool


def measure(bundle: str | Path, source: str, options: ProfileOptions, progress: Progress) -> Measurement:
    """Measure a bundle on a source.

    Raises:
        BadInput: One of them does not load, or the bundle lacks the schedule or the variant.
        WrongUsage: No bundle has a backend or precision of that name.
        DeviceError: The backend cannot run here, or the source is a camera that does not open.
    """
    loaded = load_bundle(bundle)
    if options.schedule is not None:
        loaded.check_schedule(options.schedule)
    check_variant(loaded, options.backend, options.precision)
    manifest, sensors = loaded.manifest, find_power(options.root)

    def open_pipeline(schedule: str | None, threads: int, deadline_ms: float = 0.0) -> Pipeline:
        return Pipeline(
            bundle,
            schedule=schedule,
            backend=options.backend,
            precision=options.precision,
            threads=threads,
            deadline_ms=deadline_ms,
            realtime_priority=options.realtime_priority,
        )

    with ExitStack() as stack:
        frames = stack.enter_context(open_source(source, camera=options.camera))
        monitor = stack.enter_context(Monitor(options.root))
        sampler = stack.enter_context(PowerSampler(sensors)) if sensors else None
        idle_span_s = _idle(options.idle_s, progress)
        monitor.sample()
        progress("decoding", 0.0)
        footage = open_footage(frames, round((options.wanted_s + options.warm_up_s) * frames.fps) + 1)
        begun_s = time.monotonic()
        pipeline = stack.enter_context(open_pipeline(options.schedule, options.threads, options.deadline_ms))
        load_ms = (time.monotonic() - begun_s) * 1000
        played = (pipeline.info.schedule, *(manifest.ladder if options.deadline_ms else ()))
        seam_frames = max(seam_frames_of(manifest, manifest.schedule(name)) for name in played)
        run = _Run(pipeline, footage, options, monitor, seam_frames, progress)
        run.play()
        if sampler:
            sampler.sample()  # so that samples reach to the end of the measurement
        seen = monitor.watched(), sampler.trace() if sampler else None, memory_high_water_mib()
        prices: dict[str, Any] = {"alone": {}, "beside": None, "firings": {}}
        if not run.interrupted and not options.deadline_ms:  # what a deadline mixes is no schedule to price by
            try:
                prices = measure_prices(
                    manifest,
                    pipeline.info.threads,
                    footage,
                    open_pipeline,
                    realtime=options.paced,
                    progress=lambda doing: progress(doing, 0.97),
                )
            except KeyboardInterrupt:
                run.interrupted = True  # the measurement is kept, without prices
        return run.measurement(manifest, source, read_board(options.root), idle_span_s, load_ms, seen, prices)


def _idle(seconds: float, progress: Progress) -> tuple[float, float]:
    """Wait while the samplers look at the machine doing nothing."""
    start_s = time.monotonic()
    while (left_s := start_s + seconds - time.monotonic()) > 0:
        progress("idle baseline", 0.0)
        time.sleep(min(left_s, 0.5))
    return start_s, time.monotonic()


class _Run:
    """Warm-up and measurement: one stream of frames, of which the second part counts."""

    def __init__(
        self,
        pipeline: Pipeline,
        footage: Footage,
        options: ProfileOptions,
        monitor: Monitor,
        seam_frames: int,
        progress: Progress,
    ) -> None:
        self._pipeline, self._footage, self._options, self._monitor = pipeline, footage, options, monitor
        self._seam_frames, self._progress = seam_frames, progress
        kept = min(options.max_frames, int((options.wanted_s + options.warm_up_s) * FASTEST_FPS) + 1024)
        self.recorder = Recorder(len(pipeline.info.stages), kept)
        self.warm_up = WarmUp(0.0, 0, False)
        self.first_frame_ms = 0.0
        self.span_s = (0.0, 0.0)
        self.dropped: dict[str, int] = {}
        self.fallbacks = 0
        self.interrupted = False
        self._warming, self._counted = True, 0
        self._settling, self._stretch, self._stretch_s, self._started_s = Settling(), 0, 0.0, 0.0

    def play(self) -> None:
        """Play until enough was measured, or someone interrupts: then what there is is kept."""
        self._started_s = time.monotonic()
        before: dict[str, int] = {}
        with Laps(self._pipeline, self._footage, realtime=self._options.paced, seam_frames=self._seam_frames) as laps:
            try:
                for rows in laps:
                    if not self._warming:
                        if self._count(rows):
                            break
                    elif self._warm(rows):
                        before = laps.stats().dropped
            except KeyboardInterrupt:
                if self._warming or not self._counted:
                    raise
                self.interrupted = True
            found = laps.stats()
            self.fallbacks = found.fallbacks
            self.dropped = {why: n for why, m in found.dropped.items() if (n := m - before.get(why, 0))}
        self._monitor.sample()

    def _warm(self, rows: Rows) -> bool:
        """Frames of the warm-up; True where they were the last ones."""
        recorder = self.recorder
        if not recorder.added:
            self.first_frame_ms = float(rows["end_s"][0] - rows["begin_s"][0]) * 1000
            self._stretch_s = float(rows["end_s"][0])
        recorder.extend(rows)
        end_s, count = float(rows["end_s"][-1]), recorder.added - self._stretch
        self._progress("warm-up", 0.0)
        if end_s - self._stretch_s < STRETCH_S or count < STRETCH_FRAMES:
            return False
        newest = recorder.rows()[-count:]
        self._stretch, self._stretch_s = recorder.added, end_s
        settled = self._settling.add(newest[~newest["seam"]], self._temperatures())
        if not settled and end_s - self._started_s < self._options.warm_up_s:
            return False
        self.warm_up = WarmUp(end_s - self._started_s, recorder.added, settled)
        recorder.clear()
        self._monitor.sample()
        self._warming, self.span_s = False, (end_s, end_s)
        return True

    def _count(self, rows: Rows) -> bool:
        """Frames of the measurement; True where it has enough. What came after those that were wanted is left out."""
        options = self._options
        counted = self._counted + np.cumsum(~rows["seam"])
        enough = rows["end_s"] - self.span_s[0] >= options.wanted_s
        if options.frames is not None:
            enough |= counted >= options.frames
        last = int(enough.argmax()) if enough.any() else rows.size - 1
        self.recorder.extend(rows[: last + 1])
        self._counted, self.span_s = int(counted[last]), (self.span_s[0], float(rows["end_s"][last]))
        self._progress("measuring", min(0.95, 0.95 * (self.span_s[1] - self.span_s[0]) / options.wanted_s))
        return bool(enough.any())

    def _temperatures(self) -> dict[str, float]:
        states = self._monitor.watched().states
        return states[-1].temperatures_c if states else {}

    def measurement(
        self,
        manifest: Manifest,
        source: str,
        board: Board,
        idle_span_s: tuple[float, float],
        load_ms: float,
        seen: tuple[Watched, PowerTrace | None, float | None],
        prices: dict[str, Any],
    ) -> Measurement:
        """All that was seen, in one value."""
        watched, power, memory_mib = seen
        return Measurement(
            options=self._options,
            bundle=manifest.name,
            source=source,
            info=self._pipeline.info,
            board=board,
            rows=self.recorder.rows(),
            frames=self.recorder.added,
            flags=self.recorder.flags,
            idle_span_s=idle_span_s,
            span_s=self.span_s,
            warm_up=self.warm_up,
            watched=watched,
            power=power,
            load_ms=load_ms,
            first_frame_ms=self.first_frame_ms,
            memory_mib=memory_mib,
            held_frames=len(self._footage.held or ()),
            held_mib=self._footage.held_bytes / 2**20,
            live=self._footage.live,
            source_fps=self._footage.source.fps,
            macs={stage.name: stage.macs for stage in manifest.graph.stages},
            damage=self._footage.source.damage.as_dict(),
            dropped=self.dropped,
            fallbacks=self.fallbacks,
            schedules=tuple(schedule.name for schedule in manifest.schedules),
            engines=engine_digests(manifest, self._pipeline.info.variant),
            clocks=clocks_digest(manifest),
            prices=prices,
            interrupted=self.interrupted,
        )
