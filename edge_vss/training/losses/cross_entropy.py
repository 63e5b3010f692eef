"""Cross-entropy over pixels, with class weights and hard-pixel mining."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edge_vss.data.classes import IGNORE

__all__ = ["balanced_weights", "hard_cross_entropy"]


def balanced_weights(counts: Tensor, power: float) -> Tensor:
    """Class weights w_c = f_c^-power / Σ f_i^(1-power), so that the mean weight over pixels is 1.

    Args:
        counts: (C,) pixels per class; absent classes get the weight of one that fills 0.01 % of the pixels.
        power: 0 weighs all pixels alike, 1 all classes.

    Returns:
        (C,) float32.
    """
    frequency = (counts.double() / counts.sum().clamp(min=1)).clamp(min=1e-4)
    weights = frequency**-power
    return (weights / (weights * frequency).sum()).float()


def hard_cross_entropy(
    scores: Tensor, labels: Tensor, weights: Tensor | None = None, *, share: float = 1.0, smoothing: float = 0.0
) -> Tensor:
    """Mean of -w_y log softmax(scores)_y over the ``share`` of labelled pixels where it is largest.

    Shrivastava et al., *Training Region-based Object Detectors with Online Hard Example Mining*, 2016, for pixels.

    Args:
        scores: (N, C, H, W) float.
        labels: (N, H, W) int64; 255 = ignore.
        weights: (C,) class weights.
        share: in (0, 1]; 1 looks at every labelled pixel.
        smoothing: label smoothing, in [0, 1).

    Returns:
        A scalar; 0 where nothing is labelled.
    """
    losses = F.cross_entropy(
        scores, labels, weights, ignore_index=IGNORE, reduction="none", label_smoothing=smoothing
    ).flatten()
    labelled = (labels != IGNORE).sum()
    if share < 1.0:
        kept = max(1, int(share * int(labelled)))
        return losses.topk(min(kept, losses.numel())).values.sum() / kept
    return losses.sum() / labelled.clamp(min=1)
