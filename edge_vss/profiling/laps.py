"""Frames for as long as a measurement takes: a source that is short begins again, with a reset at the seam."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from edge_vss.data.sources import FrameSource
from edge_vss.errors import BadInput
from edge_vss.frame import Frame
from edge_vss.playing import Played, play
from edge_vss.runtime import Pipeline

__all__ = ["Footage", "PlayedOn", "frame_bytes", "open_footage", "play_laps"]

HELD_BYTES = 256 << 20
"""Frames are decoded before the measurement where they fit into this."""
AHEAD = 4
"""Frames decoded ahead of the loop, where a source is too long to be held."""


@dataclass(frozen=True)
class PlayedOn:
    """A frame of one of the laps."""

    played: Played
    lap: int
    seam: bool
    """Among the first frames after a reset, which fire all that is needed."""


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

    def lap(self) -> Iterable[Frame]:
        """The frames once more, from the beginning."""
        if self.live:
            return self.source
        frames = self.held if self.held is not None else _ahead(self.source)
        return frames if self.pace == 1 else (replace(frame, pts_us=frame.pts_us * self.pace) for frame in frames)

    def slower(self, pace: int) -> Footage:
        """The same frames with longer intervals; a camera has none but its own."""
        return replace(self, pace=pace)

    def dropped(self) -> dict[str, int]:
        """Reason -> frames that a camera gave up on since it was opened; a file drops none."""
        return self.source.dropped()


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


def play_laps(
    pipeline: Pipeline, footage: Footage, *, realtime: bool, seam_frames: int, first_lap: int = 0
) -> Iterator[PlayedOn]:
    """Play the frames again and again, until nobody asks for more. This is the one place where frames are played.

    Capture times of a lap count from its first frame, so that the time to begin again is nobody's latency.

    Args:
        seam_frames: Frames of a lap that belong to its seam.
    """
    for lap in itertools.count(first_lap):
        pipeline.reset()
        laps = play(pipeline, footage.lap(), realtime=realtime, live=footage.live)
        for index, played in enumerate(laps):
            yield PlayedOn(played, lap, index < seam_frames)


def _ahead(source: FrameSource) -> Iterator[Frame]:
    """Frames of a source, decoded by a thread beside the loop."""
    waiting: queue.Queue[Frame | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: Frame | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def decode() -> None:
        try:
            for frame in source:
                if not put(replace(frame, planes=tuple(plane.copy() for plane in frame.planes))):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=decode, name="edge-vss-decode", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
