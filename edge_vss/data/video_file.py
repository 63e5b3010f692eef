"""Reads video files through PyAV and hands over the decoder's own planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from edge_vss.data.images import MAX_SIDE_PX, plane_bytes, plane_rows
from edge_vss.errors import BadInput
from edge_vss.frame import ColourMatrix, ColourRange, Frame, PixelFormat

__all__ = ["VideoDamage", "VideoFacts", "frame_of", "probe_video", "video_frames"]

MISSING_S, MISSING_SHARE = 0.5, 0.02
"""A file that ends earlier than it states by less than both is taken for whole."""
_FULL = 2  # AVCOL_RANGE_JPEG
_BT709, _UNSAID = 1, (0, 2, 3)  # AVCOL_SPC_*; 0 is RGB, 2 unspecified, 3 reserved


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """What a file says about its video."""

    fps: float
    height: int
    width: int
    length: int | None
    """Number of frames as the container states it; ``None`` where it does not."""


@dataclass
class VideoDamage:
    """What is wrong with a file, as far as it was read; all 0 = nothing that shows."""

    undecodable_packets: int = 0
    """Left out."""
    damaged_frames: int = 0
    """Shown with what the decoder made of them."""
    missing_s: float = 0.0
    """Seconds between the last frame and the end that the file states."""

    def as_dict(self) -> dict[str, float]:
        """The fields that are not 0."""
        return {name: value for name, value in asdict(self).items() if value}

    def __str__(self) -> str:
        parts = (
            (self.undecodable_packets, f"packets that do not decode, left out: {self.undecodable_packets}"),
            (self.damaged_frames, f"damaged frames: {self.damaged_frames}"),
            (self.missing_s, f"ends {self.missing_s:.1f} s before the length that it states"),
        )
        return "; ".join(text for value, text in parts if value)


def probe_video(path: Path) -> VideoFacts:
    """Decode the first frame and read the header.

    Raises:
        BadInput: Not a video, no video stream, no frame that decodes.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        length = stream.frames or None
    first = next(video_frames(path))
    return VideoFacts(fps=float(rate) if rate else 25.0, height=first.height, width=first.width, length=length)


def video_frames(path: Path, damage: VideoDamage | None = None) -> Iterator[Frame]:
    """Frames of the first video stream; the time of the first one is 0. Packets that do not decode are left out.

    Args:
        damage: Counts what is found on the way.

    Raises:
        BadInput: As ``probe_video``.
    """
    sequence, last_us, start_us, decoded = 0, -1, None, False
    damage = damage or VideoDamage()
    with _open(path) as container:
        stated_s = _stated_s(container)
        rate = container.streams.video[0].average_rate
        step_us = 1e6 / float(rate) if rate else 40000.0
        for picture in _pictures(container, path):
            if picture is None:
                damage.undecodable_packets += 1
                sequence += decoded  # a damaged frame still counts
                continue
            if picture.pts is not None and picture.time_base is not None:
                stamp_us = round(picture.pts * picture.time_base * 1_000_000)
            else:
                stamp_us = (start_us or 0) + round(sequence * step_us)
            start_us = stamp_us if start_us is None else start_us
            damage.damaged_frames += picture.is_corrupt
            last_us = max(stamp_us - start_us, last_us + 1)
            yield frame_of(picture, pts_us=last_us, sequence=sequence)
            sequence, decoded = sequence + 1, True
    if not decoded:
        raise BadInput(f"{path}: holds no frame that can be decoded")
    missing_s = stated_s - (last_us + step_us) / 1e6
    if missing_s > max(MISSING_S, MISSING_SHARE * stated_s):
        damage.missing_s = round(missing_s, 3)


def _stated_s(container: InputContainer) -> float:
    """Seconds of video that the file states; 0 where it does not, or states only how long picture and sound last."""
    stream = container.streams.video[0]
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska: 00:00:04.000000000
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        pass
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else 0.0


def _open(path: Path) -> InputContainer:
    try:
        container = av.open(str(path))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise BadInput(f"{path}: cannot be read as a video ({reason})") from error
    if not container.streams.video:
        container.close()
        raise BadInput(f"{path}: has no video stream")
    context = container.streams.video[0].codec_context
    if max(context.height, context.width) > MAX_SIDE_PX:
        container.close()
        raise BadInput(f"{path}: {context.height}x{context.width} is larger than {MAX_SIDE_PX} pixels a side")
    container.streams.video[0].thread_type = "AUTO"
    return container


def _pictures(container: InputContainer, path: Path) -> Iterator[VideoFrame | None]:
    """Decoded pictures; ``None`` stands for a packet that could not be decoded."""
    packets = container.demux(video=0)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError):
            yield None  # cut short: what came before stays good
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            yield None


def frame_of(picture: VideoFrame, *, pts_us: int, sequence: int) -> Frame:
    """A decoded picture as a frame, without a copy where the format is one of ours."""
    name = picture.format.name
    full = name.startswith("yuvj") or int(picture.color_range) == _FULL
    range_: ColourRange = "full" if full else "limited"
    matrix = _matrix(picture)
    if name not in ("yuv420p", "yuvj420p", "nv12", "gray", "rgb24", "bgr24", "yuyv422"):
        picture = _converted(picture, full)
    format_, planes = _planes(picture)
    return Frame(
        format=format_,
        planes=planes,
        height=picture.height,
        width=picture.width,
        pts_us=pts_us,
        sequence=sequence,
        matrix=matrix,
        range=range_,
    )


def _planes(picture: VideoFrame) -> tuple[PixelFormat, tuple[NDArray[np.uint8], ...]]:
    """Views of a picture's planes in the shapes that ``Frame`` asks for."""
    name, height, width = picture.format.name, picture.height, picture.width
    if name in ("yuv420p", "yuvj420p"):
        return "i420", tuple(plane_bytes(picture, i) for i in range(3))
    if name == "gray":
        return "grey", (plane_bytes(picture, 0),)
    rows = [plane_rows(plane) for plane in picture.planes]
    half = (width + 1) // 2
    if name == "nv12":
        chroma = rows[1][: (height + 1) // 2, : half * 2].reshape(-1, half, 2)
        return "nv12", (rows[0][:height, :width], chroma)
    if name == "yuyv422":
        return "yuyv", (rows[0][:height, : half * 4].reshape(height, half * 2, 2),)
    packed = rows[0][:height, : width * 3].reshape(height, width, 3)
    return ("rgb" if name == "rgb24" else "bgr"), (packed,)


def _matrix(picture: VideoFrame) -> ColourMatrix:
    """As tagged; untagged pictures of more than 576 lines are taken for BT.709, as players and GStreamer do."""
    tagged = int(picture.colorspace)
    if tagged in _UNSAID:
        return "bt709" if picture.height > 576 else "bt601"
    return "bt709" if tagged == _BT709 else "bt601"


def _converted(picture: VideoFrame, full: bool) -> VideoFrame:
    """To 8-bit 4:2:0 with matrix and range kept, or to RGB where there is no YUV."""
    if picture.format.is_rgb or len(picture.format.components) in (1, 2) or picture.format.has_palette:
        return picture.reformat(format="rgb24")
    keep = 2 if full else 1
    return picture.reformat(
        format="yuv420p", src_colorspace="itu601", dst_colorspace="itu601", src_color_range=keep, dst_color_range=keep
    )
