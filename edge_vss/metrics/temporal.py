"""Temporal consistency: how well label maps of neighbouring frames agree once motion is undone.

After Liu et al., "Efficient Semantic Video Segmentation with Per-frame Inference" (2020): the intersection over union
of a label map with the next one warped back onto it, per class, pooled over all pairs of all clips, mean of the
classes. A constant label map scores 1, so this figure means nothing without mIoU beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.warp import backward_warp, photometric_mask
from edge_vss.metrics.confusion import ConfusionMatrix

__all__ = ["TemporalConsistency"]

IGNORE = 255


class TemporalConsistency:
    """Pools pairs of neighbouring label maps.

    Two forms are kept: ``value`` counts every pixel whose counterpart lies inside the next picture; ``masked`` also
    leaves out pixels whose colour does not survive the warp (occlusion, or flow that is wrong).
    """

    def __init__(self, num_classes: int) -> None:
        self._all, self._masked = ConfusionMatrix(num_classes), ConfusionMatrix(num_classes)

    def update(
        self,
        labels: NDArray[np.uint8],
        next_labels: NDArray[np.uint8],
        flow: NDArray[np.float32],
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count one pair of neighbouring frames.

        Args:
            labels: (H, W) label map of the earlier frame.
            next_labels: (H, W) label map of the later frame.
            flow: (H, W, 2) pixels (dx, dy): where a point of the earlier frame lies in the later one.
            mask: (H, W) True where the photometric test passed; see ``pair_mask``. Without one, ``masked`` counts
                what ``value`` does.
        """
        warped, valid = backward_warp(next_labels, flow, nearest=True)
        self._all.update(np.where(valid, labels, np.uint8(IGNORE)), warped)
        kept = valid if mask is None else valid & mask
        self._masked.update(np.where(kept, labels, np.uint8(IGNORE)), warped)

    @staticmethod
    def pair_mask(
        picture: NDArray[np.uint8], next_picture: NDArray[np.uint8], flow: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """(H, W) True where the later (H, W, 3) picture, warped back, looks like the earlier one."""
        warped, valid = backward_warp(next_picture, flow)
        return valid & photometric_mask(picture, warped)

    @property
    def value(self) -> float:
        """In [0, 1]; nan before the first pair."""
        return self._all.miou

    @property
    def masked(self) -> float:
        """In [0, 1]; nan before the first pair."""
        return self._masked.miou
