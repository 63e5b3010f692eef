"""Optical flow between two frames: what the clip knows of it, or OpenCV's DIS (of the training side) for real video.

Flow from t to s at a pixel of t says where in s the same point lies: there is where to sample s. See warp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.colour import to_rgb
from edge_vss.data.dataset import Clip, MeasuredClip
from edge_vss.data.warp import FlowField, agreeing_flows
from edge_vss.errors import EdgeVssError

__all__ = ["DATA_FLOW", "FLOW_NAME", "FlowError", "dis_field", "dis_flow", "flow_between", "known_flow"]

FLOW_NAME = "opencv-dis-medium"
DATA_FLOW = "of the data set"
"""Name of flow that was not estimated: exact for generated video, stored elsewhere."""
_LUMA = np.array([77, 150, 29], np.uint16)  # BT.601, sums to 256


class FlowError(EdgeVssError):
    """OpenCV is not installed."""


def flow_between(clip: Clip, index: int, other: int) -> tuple[FlowField, str]:
    """Flow from one frame of a clip to another, and its name: the clip's own, or else DIS.

    Raises:
        FlowError: The clip knows none and OpenCV is absent.
    """
    known = known_flow(clip, index, other)
    if known is not None:
        return known, DATA_FLOW
    return dis_field(to_rgb(clip[index].frame), to_rgb(clip[other].frame)), FLOW_NAME


def known_flow(clip: Clip, index: int, other: int) -> FlowField | None:
    """Flow that the clip itself knows; ``None`` where it must be estimated."""
    return clip.flow(index, other) if isinstance(clip, MeasuredClip) else None


def dis_field(picture: NDArray[np.uint8], other: NDArray[np.uint8]) -> FlowField:
    """DIS flow to ``other``; visible is what the flow back confirms.

    Raises:
        FlowError: OpenCV is absent.
    """
    flow = dis_flow(picture, other)
    return FlowField(flow=flow, visible=agreeing_flows(flow, dis_flow(other, picture)))


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
