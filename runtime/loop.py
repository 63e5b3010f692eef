"""The frame loop on native threads: frames in from a source, labelled frames out through a bounded queue."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from edge_vss.frame import SUSPECT, Frame
from edge_vss.runtime import _native
from edge_vss.runtime.pipeline import FLAGS, Pipeline, Result, native_frame, result_of

__all__ = ["SCENE_CUT", "Labelled", "Loop", "LoopSource", "LoopStats"]

SCENE_CUT = 0.25
"""Distance of two luma histograms that is a cut; see ``EVSS_SCENE_CUT``."""
KEPT = 100_000
"""Newest frames whose times are kept."""
WAITING = 2
"""Frames that may wait between a Python source and the loop."""
SLICE_MS = 100
"""Longest wait without a look at signals or at whether the loop was closed."""


@runtime_checkable
class LoopSource(Protocol):
    """A source whose frames never pass through Python, such as a camera."""

    @property
    def native(self) -> _native.LoopSource:
        """What the loop reads from."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A frame with its label maps. The arrays are views: valid until the next one is taken."""

    frame: Frame
    result: Result


@dataclass(frozen=True, kw_only=True)
class LoopStats:
    """What a loop has seen so far."""

    frames: int
    """Labelled."""
    dropped: dict[str, int]
    """Reason -> frames given up on; ``sink``: labelled, but not taken in time; ``refused``: could not be used;
    ``newer``: a camera's newer frame came first; ``damaged``: a buffer without a picture;
    ``camera``: the camera itself left them out."""
    scene_cuts: int
    fallbacks: int
    """How often an engine failed and another variant took over."""
    age_sum: int
    """Of the oldest label map per frame, in frames."""
    age_max: int
    seconds: float
    """From the first frame to the end of the newest."""
    waited_s: float
    """Of these, spent waiting for the times of frames."""
    flags: dict[str, int]
    fired: dict[str, int]
    """By stage."""
    source: dict[str, int]
    """What the source has counted."""


class Loop:
    """Labels the frames of a source on threads without the GIL; iterate to take what it labelled, in order.

    Frames of a Python source pass through a thread that feeds them, as copies. The pipeline is the loop's while it
    runs. A queue that is full makes the loop wait for files and, for cameras, drops what it labelled.

    Args:
        source: Frames in order, or a native source.
        queue: Labelled frames that may wait, 1..3; 0 = none is handed on, and ``records`` tell what there was.
        limit: End after this many; None = the source's own end.
        realtime: Hand a file's frames on when their time has come.
        kept: Newest frames whose times are kept.
        scene_cut: Histogram distance that resets the state; 0 = never.
        notify: Tell systemd READY, WATCHDOG and STOPPING, where NOTIFY_SOCKET is set.
        fall_back: Go on with the bundle's next variant after an engine failed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Iterable[Frame] | LoopSource,
        *,
        queue: int = 3,
        limit: int | None = None,
        realtime: bool = False,
        kept: int = KEPT,
        scene_cut: float = SCENE_CUT,
        notify: bool = False,
        fall_back: bool = True,
    ) -> None:
        self._stages = tuple(name for name, _ in pipeline.info.stages)
        self._closed = False
        self._feeder: Feeder | None = None
        if isinstance(source, LoopSource):
            self._source = source.native
        else:
            self._feeder = Feeder(source)
            self._source = self._feeder.source
        self._native = _native.Loop(
            pipeline.native, self._source, queue, limit or 0, realtime, kept, scene_cut, notify, fall_back
        )
        if self._feeder:
            self._feeder.start()

    def __iter__(self) -> Iterator[Labelled]:
        while True:
            taken = self._take()
            if taken is None:
                return
            slot, frame, result = taken
            try:
                yield Labelled(frame=frame, result=result)
            finally:
                if not self._closed:
                    self._native.release(slot)

    def _take(self) -> tuple[int, Frame, Result] | None:
        taken: Any = False
        while taken is False:
            taken = self._next(SLICE_MS)
        if taken is None:
            return None
        slot, frame, result = taken
        suspect = frame.pop("suspect")
        return (
            slot,
            Frame(suspect=tuple(name for bit, name in SUSPECT.items() if suspect & bit), **frame),
            result_of(result),
        )

    def _next(self, timeout_ms: int) -> Any:
        try:
            return self._native.next(timeout_ms)
        except Exception:
            if self._feeder and self._feeder.failure:
                raise self._feeder.failure from None  # the source's own words
            raise

    def wait(self, timeout_ms: int) -> bool:
        """Let a loop without a queue work for so long; False where it has ended.

        Raises:
            Exception: What ended it, where that was not the end of the source.
        """
        return self._next(timeout_ms) is False

    def stats(self) -> LoopStats:
        """What it has seen so far; from any thread."""
        found: dict[str, Any] = self._native.stats()
        source: dict[str, int] = self._source.stats()
        dropped = {
            "newer": source["dropped_newer"],
            "damaged": source["dropped_damaged"],
            "camera": source["dropped_camera"],
            "refused": found.pop("refused"),
            "sink": found.pop("dropped_sink"),
        }
        counts, fired, suspect = found.pop("flags"), found.pop("fired"), found.pop("suspect")
        flags = {name: counts[bit.bit_length() - 1] for bit, name in FLAGS.items()}
        flags |= {f"suspect_{name}": suspect[bit.bit_length() - 1] for bit, name in SUSPECT.items()}
        return LoopStats(
            dropped={reason: count for reason, count in dropped.items() if count},
            flags={name: count for name, count in flags.items() if count},
            fired=dict(zip(self._stages, fired)),
            source=source,
            **found,
        )

    def records(self, first: int = 0, count: int = KEPT) -> tuple[int, dict[str, NDArray[Any]]]:
        """Times of the frames from number ``first`` on, as far as they are kept.

        Returns:
            The number of the first one, and columns: ``sequence``, ``pts_us``, ``captured_ns``, ``done_ns``, ``fired``
            and ``flags`` (bits), ``age_frames``, ``age_ms``, ``latency_ms``, ``pre_ms``, ``engines_ms``, ``post_ms``,
            ``pre_begin_ms``, ``post_begin_ms``, ``waited_ms``, ``schedule`` (place among the bundle's, one more for a
            label map that was used again) and ``restart`` (n,); ``stage_ms``, ``stage_begin_ms`` and ``change``
            (below 0: none) (n, stages) float32.
        """
        frames = int(self._native.stats()["frames"])
        begin, columns = self._native.records(first, max(0, min(count, frames - first)))
        return begin, columns

    def stop(self) -> None:
        """End after the frame it is at; what is in the queue can still be taken. From any thread."""
        self._native.stop()

    def close(self) -> None:
        """Stop, and wait until no thread works on it any more; what can still be read are numbers and label maps.

        Closing twice is harmless.
        """
        self._closed = True
        self._native.end()
        if self._feeder:
            self._feeder.close()

    def __enter__(self) -> Loop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Feeder:
    """The thread that takes frames from a Python source and copies them to the loop."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.failure: Exception | None = None
        """What the source raised."""
        self._feed = _native.Feed(WAITING)
        self.source = self._feed.source()
        self._frames = frames
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-vss-feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ask the thread to end, and wait until it did."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            for frame in self._frames:
                if not self._push(frame):
                    return
        except Exception as error:
            self.failure = error
            self._feed.end(str(error) or type(error).__name__)
        finally:
            self._feed.end("")

    def _push(self, frame: Frame) -> bool:
        while not self._closed.is_set():
            taken = self._feed.push(*native_frame(frame), SLICE_MS)
            if taken is not False:
                return taken is True
        return False
