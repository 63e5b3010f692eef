"""Backward warping along optical flow, with the masks that say where it can be trusted.

Flow from *t* to *s* at a pixel of *t* says where in *s* the same point lies, so warping *s* back onto *t* samples it
there. numpy only; ``training.warp`` has the same on torch tensors, with gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FlowField", "agreeing_flows", "backward_warp", "photometric_mask", "photometric_weight"]

PHOTOMETRIC_LIMIT = 20.0


@dataclass(frozen=True, kw_only=True, eq=False)
class FlowField:
    """Flow from one frame to another of the same clip."""

    flow: NDArray[np.float32]
    """(H, W, 2) pixels (dx, dy), x to the right and y down; nan where the point's place is not known."""
    visible: NDArray[np.bool_]
    """(H, W) True where the other frame shows the point: inside the picture and not hidden."""


def backward_warp(
    image: NDArray[Any], flow: NDArray[np.floating[Any]], *, nearest: bool = False
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Sample ``image`` where ``flow`` points.

    Args:
        image: (H, W) or (H, W, C), any real type.
        flow: (H, W, 2) pixels (dx, dy), x to the right and y down; nan means unknown.
        nearest: Take the closest pixel (halves round up); the only choice for label maps. Otherwise bilinear.

    Returns:
        The warped image, in the type of ``image`` for ``nearest`` and float32 otherwise, zero where not valid; and
        (H, W) True where the sample lies inside the picture: no pixel outside it has any weight.
    """
    height, width = image.shape[:2]
    if flow.shape != (height, width, 2):
        raise ValueError(f"flow for a {height}x{width} image has shape {(height, width, 2)}, got {flow.shape}")
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    if nearest:
        x, y = np.floor(x + np.float32(0.5)), np.floor(y + np.float32(0.5))
    valid = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = np.where(valid, x, 0), np.where(valid, y, 0)
    if nearest:
        warped = image[y.astype(np.intp), x.astype(np.intp)]
    else:
        warped = _bilinear(image, x.astype(np.float32), y.astype(np.float32))
    warped[~valid] = 0
    return warped, valid


def _bilinear(image: NDArray[Any], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    if image.ndim == 3:
        across, down = across[..., None], down[..., None]
    source = image.astype(np.float32)
    upper = source[top, left] * (1 - across) + source[top, right] * across
    lower = source[bottom, left] * (1 - across) + source[bottom, right] * across
    result: NDArray[np.float32] = (upper * (1 - down) + lower * down).astype(np.float32)
    return result


def photometric_mask(
    picture: NDArray[np.uint8], warped: NDArray[Any], limit: float = PHOTOMETRIC_LIMIT
) -> NDArray[np.bool_]:
    """Where two pictures look alike.

    Args:
        picture: (H, W, 3) or (H, W), 0-255.
        warped: The other picture, warped onto it; same shape.
        limit: Largest mean absolute difference over the channels, in levels of 255.

    Returns:
        (H, W) True where the difference is at most ``limit``.
    """
    mask: NDArray[np.bool_] = _difference(picture, warped) <= limit
    return mask


def photometric_weight(
    picture: NDArray[np.uint8], warped: NDArray[Any], level: float = PHOTOMETRIC_LIMIT
) -> NDArray[np.float32]:
    """How much two pictures look alike, (H, W) in (0, 1]: exp(-d / ``level``), the soft form of ``photometric_mask``.

    d is the mean absolute difference over the channels in levels of 255; the arguments are those of the mask.
    """
    weight: NDArray[np.float32] = np.exp(_difference(picture, warped) / np.float32(-level))
    return weight


def _difference(picture: NDArray[np.uint8], warped: NDArray[Any]) -> NDArray[np.float32]:
    difference: NDArray[np.float32] = np.abs(picture.astype(np.float32) - warped.astype(np.float32))
    return difference.mean(axis=2) if difference.ndim == 3 else difference


def agreeing_flows(
    flow: NDArray[np.floating[Any]], back: NDArray[np.floating[Any]], share: float = 0.01, slack_px2: float = 0.5
) -> NDArray[np.bool_]:
    """Where a flow and the one back lead to and fro: |f + b|^2 < share (|f|^2 + |b|^2) + slack (Sundaram et al. 2010).

    Args:
        flow: (H, W, 2) from t to s.
        back: (H, W, 2) from s to t.

    Returns:
        (H, W) False where the flow leads out of the picture or the two disagree, as they do where a point is hidden.
    """
    there, valid = backward_warp(back, flow)
    gap = ((flow + there) ** 2).sum(axis=2)
    length = (flow**2).sum(axis=2) + (there**2).sum(axis=2)
    agree: NDArray[np.bool_] = valid & (gap < share * length + slack_px2)
    return agree
