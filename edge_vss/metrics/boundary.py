"""Accuracy along the borders of the truth: a confusion matrix over a narrow band, as on a trimap.

After Kohli et al., "Robust Higher Order Potentials for Enforcing Label Consistency" (2009). Thin things and edges are
what cheap networks and stale tensors lose first, and what mIoU over all pixels hardly sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.metrics.confusion import ConfusionMatrix

__all__ = ["BAND_PX", "BoundaryMatrix", "boundary_band"]

BAND_PX = 3
"""Default width: what a person's border is uncertain by at 480x360."""


def boundary_band(labels: NDArray[np.uint8], width_px: int = BAND_PX) -> NDArray[np.bool_]:
    """Where a differently labelled pixel lies at most ``width_px`` rows and columns away.

    Args:
        labels: (H, W); the ignore label counts as a label of its own.
        width_px: >= 1.

    Returns:
        (H, W) True on both sides of every border, ``width_px`` deep.
    """
    if width_px < 1:
        raise ValueError(f"width_px must be >= 1, got {width_px}")
    # All labels of a window are the same where its smallest is its greatest.
    band: NDArray[np.bool_] = _extreme(labels, width_px, np.minimum) != _extreme(labels, width_px, np.maximum)
    return band


def _extreme(labels: NDArray[np.uint8], width_px: int, pick: Callable[..., Any]) -> NDArray[np.uint8]:
    """Smallest or greatest label of the square window around each pixel, cut at the rim."""
    for axis in (1, 0):
        edges = [(0, 0), (0, 0)]
        edges[axis] = (width_px, width_px)
        labels = np.pad(labels, edges, mode="edge")
        span, wanted = 1, 2 * width_px + 1
        while span < wanted:  # a window of n from two windows that overlap or meet
            step = min(span, wanted - span)
            first, second = (slice(0, -step), slice(step, None))
            labels = pick(labels[:, first], labels[:, second]) if axis else pick(labels[first], labels[second])
            span += step
    return labels


class BoundaryMatrix(ConfusionMatrix):
    """Counts pixels within the band of the truth only; see ``boundary_band``."""

    def __init__(self, num_classes: int, *, ignore: int = 255, width_px: int = BAND_PX) -> None:
        super().__init__(num_classes, ignore=ignore)
        if width_px < 1:
            raise ValueError(f"width_px must be >= 1, got {width_px}")
        self.width_px = width_px

    def update(self, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Count one pair of label maps of equal shape, (H, W), along the borders of ``truth``."""
        if truth.shape != prediction.shape:
            raise ValueError(f"label maps differ in size: truth {truth.shape}, prediction {prediction.shape}")
        band = boundary_band(truth, self.width_px)
        super().update(truth[band], prediction[band])
