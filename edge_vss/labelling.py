"""The frame loop of ``edge-vss run``: opens bundle, source and outputs; frames in, label maps out."""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_vss.bundle import load_bundle
from edge_vss.data.cameras import CameraOptions
from edge_vss.data.frame_source import FrameSource
from edge_vss.data.sources import open_source
from edge_vss.errors import BadInput
from edge_vss.frame import Frame
from edge_vss.interrupts import ended_by_signals
from edge_vss.run_stats import RunStats
from edge_vss.runtime import Labelled, Loop, LoopSource, Pipeline
from edge_vss.sinks import Sink, check_kind, open_sink
from edge_vss.variants import check_variant

__all__ = ["OpenRun", "check_outputs", "label_frames", "open_run"]

_LOG = logging.getLogger("edge_vss")


@dataclass(frozen=True)
class OpenRun:
    """What a run works with."""

    pipeline: Pipeline
    source: FrameSource
    sinks: list[Sink]
    targets: list[str]
    """What the sinks were opened from."""


@contextmanager
def open_run(
    bundle: str | Path,
    source: str,
    *,
    schedule: str | None = None,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    deadline_ms: float = 0.0,
    realtime_priority: int = 0,
    outputs: Sequence[str] = (),
    camera: CameraOptions | None = None,
) -> Iterator[OpenRun]:
    """Open bundle, source and outputs, and close what must be closed.

    Raises:
        BadInput: One of them does not load or cannot be written, or the bundle lacks the schedule or the variant.
        WrongUsage: No bundle has a backend or precision of that name.
        DeviceError: The backend or priority cannot be had here, or the source is a camera that does not open.
    """
    loaded = load_bundle(bundle)
    if schedule is not None:
        loaded.check_schedule(schedule)
    check_variant(loaded, backend, precision)
    check_outputs(bundle, source, outputs)
    colours = {output.name: [info.colour for info in output.classes] for output in loaded.manifest.outputs}
    with (
        open_source(source, camera=camera) as frames,
        Pipeline(
            bundle,
            schedule=schedule,
            backend=backend,
            precision=precision,
            threads=threads,
            deadline_ms=deadline_ms,
            realtime_priority=realtime_priority,
        ) as pipeline,
    ):
        sinks: list[Sink] = []
        try:
            for target in outputs:
                sinks.append(
                    open_sink(target, outputs=colours, height=frames.height, width=frames.width, fps=frames.fps)
                )
            yield OpenRun(pipeline, frames, sinks, list(outputs))
        except BaseException:
            for sink in sinks:
                sink.discard()
            raise


def check_outputs(bundle: str | Path, source: str, outputs: Sequence[str]) -> None:
    """Refuse outputs that would overwrite the source, the bundle or each other.

    Raises:
        BadInput: One line that names the output and what it would overwrite.
        WrongUsage: One of them can name no output.
    """
    played = Path(source.removeprefix("file://")).expanduser()
    pictures = played if played.is_dir() else played.parent if glob.has_magic(source) else None
    seen: set[Path] = set()
    for target in outputs:
        check_kind(target)
        path = Path(target)
        place = path.resolve()
        folder = place.parent if path.suffix else place
        if place in seen:
            raise BadInput(f"{target}: is given as an output twice")
        seen.add(place)
        if played.is_file() and place == played.resolve():
            raise BadInput(f"{target}: is the source itself; choose another output")
        if pictures and folder == pictures.resolve() and path.suffix.lower() in ("", ".png"):
            raise BadInput(f"{target}: would put label maps among the pictures of the source; choose another folder")
        if Path(bundle).resolve() in (place, *place.parents):
            raise BadInput(f"{target}: lies inside the bundle; choose another output")


def label_frames(
    pipeline: Pipeline,
    frames: Iterable[Frame] | LoopSource,
    sinks: Sequence[Sink],
    stats: RunStats,
    *,
    limit: int | None = None,
    realtime: bool = False,
    observe: Callable[[RunStats], None] = lambda stats: None,
) -> None:
    """Label frames on the native loop until there are no more, and put the outputs in their places.

    Sinks work on the calling thread, beside the loop.

    Args:
        stats: Filled in as frames are done.
        limit: Stop after this many frames.
        realtime: Wait until a frame is due by its capture time; a file never drops one.
        observe: Called after every frame.

    Raises:
        KeyboardInterrupt: Passed on after the outputs were finished with the frames that were done.
    """
    try:
        _loop(pipeline, frames, sinks, stats, limit, realtime, observe)
    except KeyboardInterrupt:
        if stats.frames:
            _close(sinks)
        raise
    except BaseException:
        for sink in sinks:
            sink.discard()
        raise
    _close(sinks)


def _loop(
    pipeline: Pipeline,
    frames: Iterable[Frame] | LoopSource,
    sinks: Sequence[Sink],
    stats: RunStats,
    limit: int | None,
    realtime: bool,
    observe: Callable[[RunStats], None],
) -> None:
    def take(labelled: Labelled) -> None:
        for sink in sinks:
            sink.write(labelled.frame, labelled.result)
        stats.add(labelled.result)
        stats.dropped = loop.stats().dropped
        stats.seconds = time.perf_counter() - start
        observe(stats)

    start = time.perf_counter()
    with (
        Loop(pipeline, frames, limit=limit, realtime=realtime, notify=True) as loop,
        ended_by_signals(loop.stop) as signals,
    ):
        try:
            for labelled in loop:
                take(labelled)
        finally:
            found = loop.stats()
            stats.settle(found, loop.records()[1])
            if found.fallbacks:
                _LOG.warning("an engine failed; %s took over", pipeline.info.variant)
        if signals:
            raise KeyboardInterrupt


def _close(sinks: Sequence[Sink]) -> None:
    """Finish every sink, also when one of them fails."""
    failed: Exception | None = None
    for sink in sinks:
        try:
            sink.close()
        except Exception as error:
            failed = failed or error
    if failed:
        raise failed
