"""A differentiable intersection over union."""

from __future__ import annotations

import torch
from torch import Tensor

from edge_vss.data.classes import IGNORE

__all__ = ["soft_jaccard"]


def soft_jaccard(scores: Tensor, labels: Tensor) -> Tensor:
    """1 - mean over the classes present of I_c / U_c, I_c = Σ p_c y_c, U_c = Σ (p_c + y_c - p_c y_c), over the batch.

    p is the softmax, y one-hot; sums run over all labelled pixels of the batch, as the metric sums over the corpus.
    Rahman & Wang, *Optimizing Intersection-Over-Union in Deep Neural Networks*, 2016.

    Args:
        scores: (N, C, H, W) float.
        labels: (N, H, W) int64; 255 = ignore.

    Returns:
        A scalar in [0, 1]; 0 where nothing is labelled.
    """
    classes = scores.shape[1]
    labelled = labels != IGNORE
    truth = labels.where(labelled, 0)
    chance = scores.softmax(dim=1)
    right = chance.gather(1, truth[:, None])[:, 0] * labelled
    intersection = scores.new_zeros(classes).index_add(0, truth.flatten(), right.flatten())
    pixels = torch.bincount(truth[labelled], minlength=classes)
    union = torch.einsum("nchw,nhw->c", chance, labelled.to(chance.dtype)) + pixels - intersection
    present = (pixels > 0).to(scores.dtype)
    ratio = intersection / union.clamp(min=1e-6)
    return ((1 - ratio) * present).sum() / present.sum().clamp(min=1)
