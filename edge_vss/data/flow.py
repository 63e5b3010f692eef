"""Optical flow of real video, for scoring only: OpenCV's DIS, which comes with the training side.

Generated street video has exact flow of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.errors import EdgeVssError

__all__ = ["FLOW_NAME", "FlowError", "dis_flow"]

FLOW_NAME = "opencv-dis-medium"
_LUMA = np.array([77, 150, 29], np.uint16)  # BT.601, sums to 256


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
