"""Frames for as long as a measurement takes: a source that is short begins again, with a reset at the seam."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.sources import FrameSource
from edge_vss.errors import BadInput, EdgeVssError
from edge_vss.frame import Frame
from edge_vss.profiling.recorder import Rows, rows_of
from edge_vss.runtime import Loop, LoopStats, Pipeline

__all__ = ["Footage", "Laps", "frame_bytes", "open_footage"]

HELD_BYTES = 256 << 20
"""Frames are decoded before the measurement where they fit into this."""
LOOK_EVERY_MS, KEPT_FRAMES = 50, 1 << 14
"""How often the loop is looked at, and how many frames it may label in between."""


@dataclass(frozen=True)
class Footage:
    """What a measurement plays."""

    source: FrameSource
    held: Sequence[Frame] | None
    """All frames in memory; None: too long, decoded beside the loop, or a camera's."""
    live: bool = False
    """A camera: frames come by a clock of their own."""

    pace: int = 1
    """Times that the source's own intervals are drawn out."""

    @property
    def held_bytes(self) -> int:
        """Memory of the held frames."""
        return sum(frame_bytes(frame) for frame in self.held or ())

    def laps(self) -> Iterator[Frame]:
        """The frames again and again, each lap with a restart."""
        for lap in itertools.count():
            frames = self.source if self.held is None else self.held
            index = -1
            for index, frame in enumerate(frames):
                restart = lap > 0 and index == 0
                if restart or self.pace > 1 or frame.captured_ns:
                    # What a file says of its camera is long past; here a frame is captured when it is due.
                    yield replace(frame, pts_us=frame.pts_us * self.pace, restart=restart, captured_ns=0)
                else:
                    yield frame
            if index < 0:
                raise BadInput("the source has no frame any more")

    def slower(self, pace: int) -> Footage:
        """The same frames with longer intervals; a camera has none but its own."""
        return replace(self, pace=pace)


def frame_bytes(frame: Frame) -> int:
    """Bytes of the planes."""
    return sum(plane.nbytes for plane in frame.planes)


def open_footage(source: FrameSource, wanted: int) -> Footage:
    """Decode a source that fits into memory, or, of an endless one, as many frames as are wanted or fit.

    Args:
        wanted: Frames that the whole measurement needs.

    Raises:
        BadInput: The source has no frame.
    """
    if source.live:
        return Footage(source, None, live=True)
    held: list[Frame] = []
    total = 0
    for frame in source:
        # Decoders may use their buffers again.
        held.append(replace(frame, planes=tuple(plane.copy() for plane in frame.planes)))
        total += frame_bytes(frame)
        if total >= HELD_BYTES:
            if source.length is None:
                break
            return Footage(source, None)
        if source.length is None and len(held) >= wanted:
            break
    if not held:
        raise BadInput("the source has no frame; nothing to measure")
    return Footage(source, held)


class Laps:
    """Plays footage on the native loop, again and again until it is closed: the loop of ``run``, without its outputs.

    Iterate to get the frames that were labelled meanwhile, as rows. Capture times of a lap count from its first frame,
    so that the time to begin again is nobody's latency.

    Args:
        realtime: Frames come when they are due; else the next one comes when the last one is done.
        seam_frames: Frames of a lap that belong to its seam.
        limit: Frames to label in all.
    """

    def __init__(
        self, pipeline: Pipeline, footage: Footage, *, realtime: bool, seam_frames: int, limit: int | None = None
    ) -> None:
        pipeline.reset()
        frames: Iterable[Frame] = footage.source if footage.live else footage.laps()
        self._loop = Loop(
            pipeline, frames, queue=0, limit=limit, realtime=realtime and not footage.live, kept=KEPT_FRAMES
        )
        self._seam_frames = seam_frames
        self._seen = 0
        self._lap, self._place = 0, 0

    def __iter__(self) -> Iterator[Rows]:
        goes_on = True
        while goes_on:
            goes_on = self._loop.wait(LOOK_EVERY_MS)
            first, columns = self._loop.records(self._seen)
            count = columns["sequence"].size
            if first > self._seen:
                raise EdgeVssError(f"{first - self._seen} frames went by before they were looked at")
            self._seen += count
            if count:
                lap, seam = self._where(columns["restart"] != 0)
                yield rows_of(columns, lap=lap, seam=seam)

    def _where(self, restart: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Lap of each frame that follows, and whether it belongs to the lap's seam."""
        counts = np.arange(restart.size)
        lap = self._lap + np.cumsum(restart)
        begun = np.maximum.accumulate(np.where(restart, counts, -1 - self._place - counts.size))
        place = np.where(begun >= 0, counts - begun, self._place + counts)
        self._lap, self._place = int(lap[-1]), int(place[-1]) + 1
        return lap, place < self._seam_frames

    def stats(self) -> LoopStats:
        """What the loop has counted so far."""
        return self._loop.stats()

    def close(self) -> None:
        """End the loop and what decodes for it."""
        self._loop.close()

    def __enter__(self) -> Laps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
