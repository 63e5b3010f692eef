"""Backward warping along optical flow, with the two masks that say where it can be trusted.

Flow from *t* to *s* at a pixel of *t* says where in *s* the same point lies, so warping *s* back onto *t* samples it
there. numpy only; training has the same on torch tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["backward_warp", "photometric_mask"]

PHOTOMETRIC_LIMIT = 20.0


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
    difference = np.abs(picture.astype(np.float32) - warped)
    if difference.ndim == 3:
        difference = difference.mean(axis=2)
    mask: NDArray[np.bool_] = difference <= limit
    return mask
