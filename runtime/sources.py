"""Cameras and videos through GStreamer: the Python face of ``evss_source`` and ``evss_video``.

The library that does it, ``libedge_vss_capture.so``, is opened with the first source or video, never on import.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.errors import BadInput
from edge_vss.frame import SUSPECT, Frame
from edge_vss.runtime import _native
from edge_vss.runtime.pipeline import FORMATS, MATRICES, RANGES

__all__ = ["NativeSource", "NativeVideo"]

_FORMATS = {value: name for name, value in FORMATS.items()}
_MATRICES = {value: name for name, value in MATRICES.items()}
_RANGES = {value: name for name, value in RANGES.items()}


class NativeSource:
    """Frames of a camera, a file or the test picture.

    Of a camera the newest frame wins: whoever is late finds the present, and what went by is counted. A camera that
    fails is reopened in the background.

    Args:
        uri: ``csi://0``, ``/dev/video0``, ``v4l2:///dev/video0``, ``rtsp://...``, ``file:///...`` or
            ``test:[size=HxW,fps=F,pattern=NAME]``.
        height: Of a camera, before flipping; 0 with ``width`` 0 = 720x1280, or what a USB camera has instead.
        fps: Of a camera; 0 = 30, or what a USB camera has instead.
        flip_method: 0..7, as nvvidconv counts: 1 counterclockwise, 2 by 180 degrees, 3 clockwise.
        sensor_mode: csi alone; -1 = the driver chooses.
        timeout_ms: A camera without a frame for so long is reopened; 0 = 2000.
        max_rebuilds: Attempts in a row to reopen a camera before it is lost; -1 = 10.
        pipeline: GStreamer's text with one appsink, in the place of what ``uri`` stands for.

    Raises:
        BadInput: No such source, an option it does not have, or a file without a video.
        DeviceError: The camera does not open, or this build or machine lacks GStreamer.
    """

    def __init__(
        self,
        uri: str,
        *,
        height: int = 0,
        width: int = 0,
        fps: float = 0.0,
        flip_method: int = 0,
        sensor_mode: int = -1,
        timeout_ms: int = 0,
        max_rebuilds: int = -1,
        pipeline: str | None = None,
    ) -> None:
        try:
            self._native = _native.sources.Source(
                uri,
                height=height,
                width=width,
                fps=fps,
                flip_method=flip_method,
                sensor_mode=sensor_mode,
                timeout_ms=timeout_ms,
                max_rebuilds=max_rebuilds,
                pipeline=pipeline,
            )
        except ValueError as error:
            raise BadInput(str(error)) from None
        facts = self._native.facts()
        self.live: bool = facts["live"]
        self.height: int = facts["height"]
        self.width: int = facts["width"]
        self.fps: float = facts["fps"]
        """Nominal; 0 = not known."""

    def next(self, timeout_ms: int) -> Frame | None:
        """The next frame, a copy that is yours; ``None`` where none came in time.

        Raises:
            StopIteration: A file has ended.
            DeviceError: The camera is lost: attempts to reopen it were used up.
        """
        found: Any = self._native.next(timeout_ms)
        if found is None:
            return None
        bits = found.pop("suspect")
        found["format"] = _FORMATS[found["format"]]
        found["matrix"], found["range"] = _MATRICES[found["matrix"]], _RANGES[found["range"]]
        return Frame(suspect=tuple(name for bit, name in SUSPECT.items() if bits & bit), **found)

    @property
    def native(self) -> _native.LoopSource:
        """What the native loop reads from, without a frame passing through Python."""
        return self._native.lent()

    def stats(self) -> dict[str, int]:
        """``delivered``; ``dropped_newer``, ``dropped_damaged``, ``dropped_camera``; ``timeouts``, ``errors``,
        ``rebuilds``; ``frozen``, ``black``, ``green`` among those delivered."""
        return dict(self._native.stats())

    def close(self) -> None:
        """End the camera's session and free what it holds; calling it twice is fine."""
        self._native.close()

    def __enter__(self) -> NativeSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NativeVideo:
    """A video file that plays up to its last two seconds whatever ends the process.

    Args:
        path: ``.mkv``, or ``.mp4`` (in fragments). Named ``.NAME.PID.part`` until ``close``, which replaces what was
            there.
        bitrate_kbps: 0 = by size and rate.

    Raises:
        BadInput: An unknown suffix or a place that cannot be written.
        DeviceError: GStreamer or an encoder is missing.
    """

    def __init__(self, path: str | Path, *, height: int, width: int, fps: float, bitrate_kbps: int = 0) -> None:
        try:
            self._native = _native.sources.Video(
                os.fspath(path), height=height, width=width, fps=fps, bitrate_kbps=bitrate_kbps
            )
        except ValueError as error:
            raise BadInput(str(error)) from None
        self.encoder: str = self._native.encoder()
        """GStreamer's element."""

    def write(self, rgb: NDArray[np.uint8], pts_us: int) -> None:
        """Append a (height, width, 3) uint8 picture; ``pts_us`` strictly increases."""
        try:
            self._native.write(rgb, pts_us)
        except ValueError as error:
            raise BadInput(str(error)) from None

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            self._native.close()
        except ValueError as error:
            raise BadInput(str(error)) from None

    def __enter__(self) -> NativeVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
