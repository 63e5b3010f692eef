"""Optical flow between two frames: exact where the clip knows it, OpenCV's DIS (of the training side) for real video.

Flow from t to s at a pixel of t says where in s the same point lies: there is where to sample s. See warp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.errors import EdgeVssError

__all__ = ["FLOW_NAME", "FlowError", "FlowField", "dis_flow"]

FLOW_NAME = "opencv-dis-medium"
_LUMA = np.array([77, 150, 29], np.uint16)  # BT.601, sums to 256


@dataclass(frozen=True, kw_only=True, eq=False)
class FlowField:
    """Flow from one frame to another of the same clip."""

    flow: NDArray[np.float32]
    """(H, W, 2) pixels (dx, dy), x to the right and y down; nan where the point's place is not known."""
    visible: NDArray[np.bool_]
    """(H, W) True where the other frame shows the point: inside the picture and not hidden."""


class FlowError(EdgeVssError):
    """OpenCV is not installed."""


def dis_flow(picture: NDArray[np.uint8], next_picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flow from one picture to the next.

    Args:
        picture: (H, W, 3) RGB or (H, W) grey.
        next_picture: Same shape.

    Returns:
        (H, W, 2) pixels (dx, dy): where each point of ``picture`` lies in ``next_picture``.

    Raises:
        FlowError: OpenCV is absent; the message says how to get it.
    """
    try:
        import cv2
    except ImportError:
        raise FlowError(
            "optical flow of real video needs OpenCV, which is not installed; pip install 'edge-vss[train]'"
        ) from None
    opencv: Any = cv2
    estimator = opencv.DISOpticalFlow_create(opencv.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow: NDArray[np.float32] = estimator.calc(_grey(picture), _grey(next_picture), None)
    return flow


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if picture.ndim == 2:
        return np.ascontiguousarray(picture)
    grey: NDArray[np.uint8] = ((picture * _LUMA).sum(axis=2, dtype=np.uint32) >> 8).astype(np.uint8)
    return grey
