"""One camera image with its time, as planes of bytes.

Capture, files and the generated street all hand out this type, and the native runtime takes it as it is: no
conversion happens between a decoder and the pixel kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["SUSPECT", "ColourMatrix", "ColourRange", "Frame", "PixelFormat"]

SUSPECT = {1: "frozen", 2: "black", 4: "green"}
"""Bit of ``evss_suspect`` -> why a picture may not show the scene."""
PixelFormat = Literal["rgb", "bgr", "grey", "nv12", "i420", "yuyv"]
ColourMatrix = Literal["bt601", "bt709"]
ColourRange = Literal["limited", "full"]


def plane_shapes(format: PixelFormat, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of the uint8 planes of one frame; odd sizes round chroma up."""
    half_height, half_width = (height + 1) // 2, (width + 1) // 2
    return {
        "rgb": ((height, width, 3),),
        "bgr": ((height, width, 3),),
        "grey": ((height, width),),
        "nv12": ((height, width), (half_height, half_width, 2)),
        "i420": ((height, width), (half_height, half_width), (half_height, half_width)),
        "yuyv": ((height, half_width * 2, 2),),
    }[format]


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One image with its time.

    Raises:
        ValueError: The planes do not have the shapes, the type or the contiguous rows that ``format`` asks for.
    """

    format: PixelFormat
    """Layout of ``planes``."""
    planes: tuple[NDArray[np.uint8], ...]
    """uint8; rows may be padded (any positive row stride), the bytes of one row are contiguous."""
    height: int
    """Pixels, > 0."""
    width: int
    """Pixels, > 0."""
    pts_us: int
    """Capture time in microseconds; strictly increasing within a stream."""
    sequence: int
    """Counts the frames of the stream from 0, dropped ones included."""
    matrix: ColourMatrix = "bt601"
    """YUV formats only."""
    range: ColourRange = "limited"
    """YUV formats only."""
    captured_ns: int = 0
    """CLOCK_MONOTONIC when the camera took the picture, or when it was due; 0 = not known."""
    suspect: tuple[str, ...] = ()
    """Why the picture may not show the scene, of ``SUSPECT``."""
    restart: bool = False
    """The stream begins anew with this frame: the state is reset, time and sequence may start again."""

    def __post_init__(self) -> None:
        if self.format not in get_args(PixelFormat):
            raise ValueError(f"unknown pixel format {self.format!r}; known: {', '.join(get_args(PixelFormat))}")
        want = plane_shapes(self.format, self.height, self.width)
        got = tuple(plane.shape for plane in self.planes)
        if got != want:
            raise ValueError(f"a {self.height}x{self.width} {self.format} frame has planes {want}, got {got}")
        for plane in self.planes:
            row = plane.strides[1:]
            packed = tuple(int(np.prod(plane.shape[axis + 1 :])) for axis in range(1, plane.ndim))
            if plane.dtype != np.uint8 or row != packed or plane.strides[0] < plane[0].nbytes:
                got_layout = f"{plane.dtype} with strides {plane.strides}"
                raise ValueError(f"{self.format} planes are uint8 with contiguous rows, got {got_layout}")
