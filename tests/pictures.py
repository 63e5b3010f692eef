"""Writes the kinds of pictures that data sets come in and the program itself never writes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_palette_png(path: Path, labels: np.ndarray) -> None:
    """(H, W) uint8 as indices into a palette that is not grey."""
    height, width = labels.shape
    context = av.CodecContext.create("png", "w")
    context.height, context.width, context.pix_fmt = height, width, "pal8"
    context.time_base = Fraction(1, 25)
    picture = av.VideoFrame(width, height, "pal8")
    rows = np.zeros((height, picture.planes[0].line_size), np.uint8)
    rows[:, :width] = labels
    picture.planes[0].update(rows.tobytes())
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = np.arange(256)[::-1]
    palette[:, 3] = 255
    picture.planes[1].update(palette.tobytes())
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode()]))


def write_jpeg(path: Path, rgb: np.ndarray, pixel_format: str = "yuvj420p") -> None:
    """(H, W, 3) uint8 RGB."""
    context = av.CodecContext.create("mjpeg", "w")
    context.height, context.width, context.pix_fmt = rgb.shape[0], rgb.shape[1], pixel_format
    context.time_base = Fraction(1, 25)
    context.color_range = 2
    picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixel_format)
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode()]))
