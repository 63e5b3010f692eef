"""Reads still images through PyAV without losing a bit: label PNGs as stored, JPEGs as the planes they hold."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from edge_vss.data.colour import yuv444_to_rgb
from edge_vss.errors import BadInput
from edge_vss.frame import Frame

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_SIDE_PX",
    "plane_bytes",
    "plane_rows",
    "read_image",
    "read_index_image",
    "read_labels",
    "read_luma",
    "read_numbers_or_rgb",
    "read_rgb",
    "read_rgb16",
]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm")
_GREY16 = ("gray16be", "gray16le")
MAX_SIDE_PX = 16384
"""A wider or higher picture is refused before it is decoded."""


def read_image(path: Path, *, pts_us: int = 0, sequence: int = 0) -> Frame:
    """A picture as a frame: 4:2:0 JPEGs as i420 planes (BT.601, full range), all else as rgb."""
    picture = _decode(path)
    name, height, width = picture.format.name, picture.height, picture.width
    if name in ("yuvj420p", "yuv420p"):
        planes = tuple(plane_bytes(picture, i) for i in range(3))
        return Frame(
            format="i420",
            planes=planes,
            height=height,
            width=width,
            pts_us=pts_us,
            sequence=sequence,
            matrix="bt601",
            range="full",
        )
    return Frame(format="rgb", planes=(_rgb(picture),), height=height, width=width, pts_us=pts_us, sequence=sequence)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8, as stored for PNGs."""
    return _rgb(_decode(path))


def read_rgb16(path: Path) -> NDArray[np.uint16]:
    """(H, W, 3) uint16 as stored in a 16-bit RGB PNG."""
    picture = _decode(path)
    if picture.format.name != "rgb48be":
        raise BadInput(f"{path}: expected a PNG with three channels of 16 bits, got {picture.format.name}")
    rows = plane_rows(picture.planes[0])[: picture.height, : picture.width * 6]
    stored = np.ascontiguousarray(rows).view(">u2").astype(np.uint16)
    return stored.reshape(picture.height, picture.width, 3)


def read_numbers_or_rgb(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """As stored in a PNG: (H, W) numbers where it is grey or has a palette, else (H, W, 3) colours."""
    picture = _decode(path)
    return _numbers(picture, path) if picture.format.name in ("gray", "pal8", *_GREY16) else _rgb(picture)


def read_luma(path: Path) -> NDArray[np.uint8]:
    """(H, W) brightness: the first plane of a JPEG, 0-255."""
    picture = _decode(path)
    if not picture.format.name.startswith(("gray", "yuv")):
        raise BadInput(f"{path}: expected a grey JPEG, got {picture.format.name}")
    return np.ascontiguousarray(plane_bytes(picture, 0))


def read_labels(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8 as stored in an 8-bit grey or palette PNG."""
    stored = read_index_image(path)
    if stored.dtype != np.uint8:
        raise BadInput(f"{path}: labels are 8-bit grey or palette PNGs, this one has 16 bits")
    return stored.astype(np.uint8, copy=False)


def read_index_image(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) numbers as stored: uint8 from grey or palette, uint16 from 16-bit grey."""
    return _numbers(_decode(path), path)


def _numbers(picture: VideoFrame, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    name = picture.format.name
    if name in ("gray", "pal8") and path.suffix.lower() not in (".jpg", ".jpeg"):
        return np.ascontiguousarray(plane_bytes(picture, 0))
    if name in _GREY16:
        rows = plane_rows(picture.planes[0])[: picture.height, : picture.width * 2]
        stored = np.ascontiguousarray(rows).view(">u2" if name == "gray16be" else "<u2")
        return stored.astype(np.uint16)
    raise BadInput(f"{path}: expected a grey or palette PNG that holds numbers, got {name}")


def plane_rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """All bytes of a plane, (rows, bytes per row with padding) uint8, no copy."""
    return np.frombuffer(cast(memoryview, plane), np.uint8).reshape(-1, plane.line_size)


def plane_bytes(picture: VideoFrame, index: int) -> NDArray[np.uint8]:
    """One 8-bit plane, (rows, columns) uint8; rows are padded, no copy."""
    plane = picture.planes[index]
    return plane_rows(plane)[: plane.height, : plane.width]


def _decode(path: Path) -> VideoFrame:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise BadInput(f"{path}: not a picture")
            context = container.streams.video[0].codec_context
            if max(context.height, context.width) > MAX_SIDE_PX:
                raise BadInput(f"{path}: {context.height}x{context.width} is larger than {MAX_SIDE_PX} pixels a side")
            picture: VideoFrame | None = next(container.decode(video=0), None)
            if picture is not None and not picture.is_corrupt:
                return picture
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: cannot be read as a picture ({_reason(error)})") from error
    raise BadInput(f"{path}: cannot be read as a picture (cut short or damaged)")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]


def _rgb(picture: VideoFrame) -> NDArray[np.uint8]:
    if picture.format.name == "rgb24":
        rows = plane_rows(picture.planes[0])[: picture.height, : picture.width * 3]
        return np.ascontiguousarray(rows).reshape(picture.height, picture.width, 3)
    if picture.format.name == "gray":
        return np.repeat(plane_bytes(picture, 0)[..., None], 3, -1)
    if picture.format.name == "yuvj444p":  # JPEG without subsampling: BT.601, full range
        return yuv444_to_rgb(*(plane_bytes(picture, i) for i in range(3)), matrix="bt601", range="full")
    return np.ascontiguousarray(picture.to_ndarray(format="rgb24"))
