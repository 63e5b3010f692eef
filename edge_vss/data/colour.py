"""Frames to RGB in plain numpy: the reference for matrix and range that faster code is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_vss.frame import ColourMatrix, ColourRange, Frame

__all__ = ["to_rgb", "yuv444_to_rgb"]

_RED_BLUE_WEIGHT: dict[ColourMatrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def to_rgb(frame: Frame) -> NDArray[np.uint8]:
    """(H, W, 3) uint8, yours to change. Chroma is repeated, not interpolated."""
    planes, height, width = frame.planes, frame.height, frame.width
    if frame.format == "rgb":
        return np.array(planes[0], copy=True, order="C")
    if frame.format == "bgr":
        return np.ascontiguousarray(planes[0][..., ::-1])
    if frame.format == "grey":
        return np.repeat(planes[0][..., None], 3, -1)
    if frame.format == "i420":
        y, u, v = planes[0], _double(planes[1], height, width), _double(planes[2], height, width)
    elif frame.format == "nv12":
        y, u, v = planes[0], _double(planes[1][..., 0], height, width), _double(planes[1][..., 1], height, width)
    else:  # yuyv: luma in the first byte of each pair, U and V by turns in the second
        packed = planes[0]
        y = packed[:, :width, 0]
        u, v = (packed[:, start::2, 1].repeat(2, 1)[:, :width] for start in (0, 1))
    return yuv444_to_rgb(y, u, v, matrix=frame.matrix, range=frame.range)


def _double(plane: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return plane.repeat(2, 0)[:height].repeat(2, 1)[:, :width]


def yuv444_to_rgb(
    y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8], *, matrix: ColourMatrix, range: ColourRange
) -> NDArray[np.uint8]:
    """Three (H, W) uint8 planes of equal size to (H, W, 3) uint8, rounded to nearest."""
    kr, kb = _RED_BLUE_WEIGHT[matrix]
    kg = 1 - kr - kb
    luma, chroma, black = (1.0, 1.0, 0.0) if range == "full" else (255 / 219, 255 / 224, 16.0)
    codes = np.arange(256, dtype=np.float32)
    grey = ((codes - black) * luma).astype(np.float32).take(y)
    centred = (codes - 128) * chroma
    to_red, to_blue = (centred * (2 * (1 - kr))).astype(np.float32), (centred * (2 * (1 - kb))).astype(np.float32)
    green_u, green_v = to_blue * np.float32(kb / kg), to_red * np.float32(kr / kg)
    rgb = np.stack([grey + to_red.take(v), grey - green_u.take(u) - green_v.take(v), grey + to_blue.take(u)], -1)
    rgb += np.float32(0.5)
    return np.clip(rgb, 0, 255, out=rgb).astype(np.uint8)
