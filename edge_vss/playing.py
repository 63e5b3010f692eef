"""Plays frames through a pipeline, each when it is due: the loop under ``profile``. That of ``run`` is native."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edge_vss.frame import Frame
from edge_vss.runtime import Pipeline, Result

__all__ = ["Played", "play"]


@dataclass(frozen=True, slots=True)
class Played:
    """One frame that was played. Times are those of ``time.monotonic``."""

    frame: Frame
    result: Result
    due_s: float | None
    """When the frame was to be captured; None where nothing waits for capture times."""
    waited_s: float
    """Spent waiting for that moment; 0 where the loop was late."""
    begin_s: float
    """When the pipeline took the frame."""
    end_s: float

    @property
    def latency_ms(self) -> float:
        """From the moment the frame was due, so that a loop that is late is charged for it; else from its start."""
        return (self.end_s - (self.begin_s if self.due_s is None else self.due_s)) * 1000


def play(pipeline: Pipeline, frames: Iterable[Frame], *, realtime: bool, live: bool = False) -> Iterator[Played]:
    """Label frames one after the other until there are no more.

    Args:
        realtime: Wait until a frame is due by its capture time, the first one being due at once; a file never drops
            a frame, so a slow loop falls behind.
        live: The frames are a camera's: they come when they come, and were due when the camera took them.
    """
    anchor_s: float | None = None
    for frame in frames:
        ready_s = time.monotonic()
        if anchor_s is None:
            anchor_s = ready_s - frame.pts_us / 1e6
        due_s, waited_s = None, 0.0
        if live:
            due_s = frame.captured_ns / 1e9 if frame.captured_ns else None
        elif realtime:
            due_s = anchor_s + frame.pts_us / 1e6
            waited_s = max(0.0, due_s - ready_s)
            time.sleep(waited_s)
        begin_s = time.monotonic()
        result = pipeline.process(frame)
        yield Played(frame, result, due_s, waited_s, begin_s, time.monotonic())
