"""Writes videos and PNGs; a file appears under its name only when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edge_vss.data.colour import to_rgb
from edge_vss.errors import BadInput
from edge_vss.frame import Frame

__all__ = ["VideoWriter", "write_png"]

_FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".gif": "gif"}
HYBRID = (61, 7, 100)
"""Version of libavformat that knows hybrid files."""
PIECE_S = 1.0
"""Seconds of video that are written at a time."""
_H264 = ("libx264", "libopenh264", "mpeg4")
"""First one that this FFmpeg was built with."""


class VideoWriter:
    """H.264 in mp4 or mkv, or a GIF, by suffix.

    mp4 and mkv reach the disk second by second: a process that is killed leaves a file under the temporary name,
    ``.NAME.PID.part``, that plays up to its last two seconds. What was closed is an ordinary file.

    Odd sizes are padded by one row or column, which 4:2:0 asks for. The file is written under a temporary name in the
    same folder and takes its own on ``close``; leaving the ``with`` block by an exception removes it.

    Raises:
        BadInput: An unknown suffix or a place that cannot be written.
    """

    def __init__(self, path: Path | str, height: int, width: int, fps: float) -> None:
        self._path = Path(path)
        self._height, self._width = height, width
        if height < 1 or width < 1 or not fps > 0:
            raise ValueError(f"height, width and fps must be positive, got {height}x{width} at {fps}")
        format_ = _FORMATS.get(self._path.suffix.lower())
        if format_ is None:
            raise BadInput(f"{path}: cannot write {self._path.suffix or 'no suffix'!r}; known: {', '.join(_FORMATS)}")
        self._part = _temporary(self._path)
        self._container: OutputContainer | None = None
        try:
            self._part.touch()  # FFmpeg would open it with the first frame only
            self._container = av.open(str(self._part), "w", format=format_, options=_piecewise(format_))
            self._stream = self._add_stream(format_, fps)
        except (av.FFmpegError, OSError) as error:
            self.discard()
            raise BadInput(f"{path}: cannot be written ({_reason(error)})") from error
        self._count = 0

    def _add_stream(self, format_: str, fps: float) -> VideoStream:
        assert self._container is not None
        rate = Fraction(fps).limit_denominator(1001)
        name = "gif" if format_ == "gif" else next(codec for codec in _H264 if codec in av.codecs_available)
        # Without frames in the encoder's hands a piece is complete when its time is over.
        options = {"crf": "18", "preset": "veryfast", "tune": "zerolatency"} if name == "libx264" else {}
        stream = self._container.add_stream(name, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        even = 0 if format_ == "gif" else 1
        stream.height, stream.width = self._height + (self._height & even), self._width + (self._width & even)
        stream.pix_fmt = "rgb8" if format_ == "gif" else "yuv420p"
        if format_ != "gif":
            context = stream.codec_context
            context.gop_size = max(1, round(fps * PIECE_S))
            context.colorspace, context.color_range = (1, 1) if self._height >= 720 else (5, 1)
        return stream

    def write(self, image: NDArray[np.uint8] | Frame) -> None:
        """Append one frame: (H, W, 3) uint8 RGB, or a ``Frame`` of any format."""
        rgb = to_rgb(image) if isinstance(image, Frame) else image
        if rgb.shape != (self._height, self._width, 3) or rgb.dtype != np.uint8:
            raise ValueError(
                f"{self._path}: expects ({self._height}, {self._width}, 3) uint8 frames, got {rgb.shape} {rgb.dtype}"
            )
        if self._container is None:
            raise ValueError(f"{self._path}: is closed")
        missing = ((0, self._stream.height - self._height), (0, self._stream.width - self._width), (0, 0))
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(np.pad(rgb, missing, mode="edge")), format="rgb24")
        if self._stream.pix_fmt == "yuv420p":
            matrix = "itu709" if self._height >= 720 else "itu601"
            picture = picture.reformat(
                format="yuv420p", dst_colorspace=matrix, dst_color_range="MPEG", src_color_range="JPEG"
            )
        picture.pts = self._count
        picture.time_base = 1 / Fraction(self._stream.codec_context.framerate)
        self._count += 1
        try:
            self._container.mux(self._stream.encode(picture))
        except (av.FFmpegError, OSError) as error:
            self.discard()
            raise BadInput(f"{self._path}: cannot be written ({_reason(error)})") from error

    def close(self) -> None:
        """Finish the file and give it its name; calling it twice is fine."""
        if self._container is None:
            return
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
            self._container = None
            self._part.replace(self._path)
        except (av.FFmpegError, OSError) as error:
            self.discard()
            raise BadInput(f"{self._path}: cannot be written ({_reason(error)})") from error

    def discard(self) -> None:
        """Stop and remove what was written."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(av.FFmpegError, OSError):  # the file is thrown away in any case
                container.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def write_png(path: Path | str, array: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (H, W) as grey, (H, W, 3) as RGB, uint8 or uint16; every number is kept.

    Raises:
        BadInput: The place cannot be written.
    """
    layouts = {(2, "uint8"): "gray", (2, "uint16"): "gray16be", (3, "uint8"): "rgb24", (3, "uint16"): "rgb48be"}
    layout = layouts.get((array.ndim, array.dtype.name))
    if layout is None or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"a PNG holds (H, W) or (H, W, 3) uint8 or uint16, got {array.shape} {array.dtype}")
    context = VideoCodecContext.create("png", "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width, context.pix_fmt = array.shape[0], array.shape[1], layout
    context.time_base = Fraction(1, 25)
    picture = VideoFrame.from_ndarray(array.copy(), format=layout)
    data = b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode()])
    with _whole(Path(path)) as part:
        part.write_bytes(data)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary name that becomes ``path`` when the block ends well."""
    part = _temporary(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({_reason(error)})") from error
    finally:
        part.unlink(missing_ok=True)


def _piecewise(format_: str) -> dict[str, str]:
    """Options under which what was written so far can be played."""
    if format_ == "matroska":
        return {"cluster_time_limit": str(round(PIECE_S * 1000)), "flush_packets": "1"}
    if format_ == "mp4":
        # Fragments, which newer versions of FFmpeg turn into an ordinary file in the end.
        hybrid = av.library_versions["libavformat"] >= HYBRID
        flags = "hybrid_fragmented" if hybrid else "frag_keyframe+empty_moov+default_base_moof"
        return {"movflags": flags, "frag_duration": str(round(PIECE_S * 1e6)), "flush_packets": "1"}
    return {}


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]
