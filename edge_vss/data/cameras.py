"""Cameras and the test picture as sources of frames, through the native runtime's capture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_vss.data.frame_source import FrameSource
from edge_vss.errors import BadInput
from edge_vss.frame import Frame

if TYPE_CHECKING:
    from edge_vss.runtime._native import LoopSource

__all__ = ["CAMERAS", "CameraOptions", "CameraSource", "is_camera"]

CAMERAS = ("/dev/video", "v4l2:", "csi:", "rtsp:", "rtsps:", "test:")
WAIT_MS = 100
"""Longest time in native code: Ctrl-C is heard in between."""


@dataclass(frozen=True, kw_only=True)
class CameraOptions:
    """How a camera is opened."""

    height: int = 0
    """Pixels before flipping; 0 with ``width`` 0 = 720x1280, or what a USB camera has instead."""
    width: int = 0
    fps: float = 0.0
    """0 = 30, or what a USB camera has instead."""
    flip_method: int = 0
    """0..7, as nvvidconv counts: 1 counterclockwise, 2 by 180 degrees, 3 clockwise."""
    sensor_mode: int = -1
    """csi alone; -1 = the driver chooses."""
    timeout_ms: int = 0
    """A camera without a frame for so long is reopened; 0 = 2000."""
    max_rebuilds: int = -1
    """Attempts in a row to reopen it before it is lost; -1 = 10."""
    pipeline: str | None = None
    """GStreamer's text with one appsink, in the place of what the URI stands for."""

    def __post_init__(self) -> None:
        if (self.height == 0) != (self.width == 0) or not (0 <= self.height <= 16384 and 0 <= self.width <= 16384):
            raise BadInput(f"a camera's size is 1..16384 pixels a side, got {self.height}x{self.width}")
        if not 0 <= self.fps <= 1000:
            raise BadInput(f"a camera's rate must be in 0..1000, got {self.fps}")
        if not 0 <= self.flip_method <= 7:
            raise BadInput(f"flip must be in 0..7, got {self.flip_method}")


def is_camera(uri: str) -> bool:
    """Whether capture opens it."""
    return uri.startswith(CAMERAS)


class CameraSource(FrameSource):
    """Frames as they come. An ``iter`` goes on from now; what nobody asked for in time is dropped and counted.

    Raises:
        BadInput: No such source, or an option that it does not have.
        DeviceError: The camera does not open, or this build or machine lacks GStreamer. While frames are taken: the
            camera is lost.
    """

    def __init__(self, uri: str, options: CameraOptions | None = None) -> None:
        from edge_vss.runtime.sources import NativeSource

        wanted = options or CameraOptions()
        self._native = NativeSource(uri, **{name: getattr(wanted, name) for name in CameraOptions.__dataclass_fields__})
        self._last_stats: dict[str, int] | None = None
        super().__init__(
            self._frames,
            name=uri,
            fps=self._native.fps or wanted.fps or 30.0,
            height=self._native.height,
            width=self._native.width,
            length=None,
        )
        self.live = self._native.live

    def _frames(self) -> Iterator[Frame]:
        while True:
            try:
                frame = self._native.next(WAIT_MS)
            except StopIteration:
                return
            if frame is not None:
                yield frame

    @property
    def native(self) -> LoopSource:
        """What the native loop reads from, without a frame passing through Python."""
        return self._native.native

    def stats(self) -> dict[str, int]:
        """Counts of ``evss_source_stats`` by name; after ``close`` the last ones."""
        return self._native.stats() if self._last_stats is None else dict(self._last_stats)

    def dropped(self) -> dict[str, int]:
        found = self.stats()
        reasons = {name.removeprefix("dropped_"): n for name, n in found.items() if name.startswith("dropped_")}
        return {reason: n for reason, n in reasons.items() if n}

    def close(self) -> None:
        super().close()
        if self._last_stats is None:
            self._last_stats = self._native.stats()
            self._native.close()
