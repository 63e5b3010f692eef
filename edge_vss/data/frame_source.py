"""Frames of equal size in order: what every SOURCE is opened as."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType

from edge_vss.data.video_file import VideoDamage
from edge_vss.errors import BadInput
from edge_vss.frame import Frame

__all__ = ["FrameSource"]

_LOG = logging.getLogger("edge_vss")


class FrameSource:
    """Frames of equal size in order; every ``iter`` starts from the beginning.

    ``pts_us`` starts near 0 and strictly increases, also over the seams of a loop; ``sequence`` counts from 0.
    """

    def __init__(
        self,
        start: Callable[[], Iterator[Frame]],
        *,
        name: str = "",
        fps: float,
        height: int,
        width: int,
        length: int | None,
        loop: bool = False,
        damage: VideoDamage | None = None,
    ) -> None:
        self.fps = fps
        """Nominal frames per second."""
        self.height, self.width = height, width
        self.length = None if loop else length
        """Number of frames; ``None`` = endless or not known."""
        self.live = False
        """A camera: frames come by a clock of their own, and the newest one wins."""
        self.damage = damage or VideoDamage()
        """What was wrong with the file so far; logged as a warning on ``close``."""
        self._start, self._loop, self._name = start, loop, name
        self._told = False
        self._running: list[Iterator[Frame]] = []

    def __iter__(self) -> Iterator[Frame]:
        frames = self._laps()
        self._running.append(frames)
        return frames

    def _laps(self) -> Iterator[Frame]:
        pts_us, sequence = 0, 0
        while True:
            last: Frame | None = None
            for frame in self._start():
                self._check(frame)
                last = (
                    frame
                    if not sequence
                    else replace(frame, pts_us=frame.pts_us + pts_us, sequence=frame.sequence + sequence)
                )
                yield last
            if not self._loop or last is None:
                return
            pts_us, sequence = last.pts_us + max(1, round(1e6 / self.fps)), last.sequence + 1

    def _check(self, frame: Frame) -> None:
        if (frame.height, frame.width) != (self.height, self.width):
            first, other = f"{self.height}x{self.width}", f"{frame.height}x{frame.width}"
            raise BadInput(f"frame {frame.sequence} is {other}, the first one {first}; a source has frames of one size")

    def dropped(self) -> dict[str, int]:
        """Reason -> frames given up on so far, the reasons that occurred; a file drops none."""
        return {}

    def close(self) -> None:
        """End all iterations and free what they hold; calling it twice is fine."""
        for frames in self._running:
            frames.close()  # type: ignore[attr-defined]  # generators have it
        self._running.clear()
        if self.damage.as_dict() and not self._told:
            _LOG.warning("%s: %s", self._name, self.damage)
            self._told = True

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
