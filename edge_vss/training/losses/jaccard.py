"""Differentiable intersections over unions, from one pair of soft sums over the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from edge_vss.data.classes import IGNORE

__all__ = ["corpus_iou", "soft_jaccard"]

LEAST_CHANCE = 1e-8
"""Of a class at a pixel, so that one that is found nowhere divides by more than nothing."""


def soft_sums(chance: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """I_c = Σ p_c y_c, U_c = Σ (p_c + y_c - p_c y_c) and whether y has the class, over all labelled pixels.

    Args:
        chance: (N, C, H, W) p, class probabilities.
        labels: (N, H, W) int64, y one-hot; 255 = ignore.

    Returns:
        Three (C,) tensors of the type of ``chance``; the last one is 0 or 1.
    """
    classes = chance.shape[1]
    labelled = labels != IGNORE
    truth = labels.where(labelled, 0)
    right = chance.gather(1, truth[:, None])[:, 0] * labelled
    intersection = chance.new_zeros(classes).index_add(0, truth.flatten(), right.flatten())
    pixels = torch.bincount(truth[labelled], minlength=classes)
    union = torch.einsum("nchw,nhw->c", chance, labelled.to(chance.dtype)) + pixels - intersection
    return intersection, union, (pixels > 0).to(chance.dtype)


def soft_jaccard(scores: Tensor, labels: Tensor) -> Tensor:
    """1 - mean over the classes present of I_c / U_c, with the sums of ``soft_sums``, over the batch.

    p is the softmax; sums run over all labelled pixels of the batch, as the metric sums over the corpus.
    Rahman & Wang, *Optimizing Intersection-Over-Union in Deep Neural Networks*, 2016.

    Args:
        scores: (N, C, H, W) float.
        labels: (N, H, W) int64; 255 = ignore.

    Returns:
        A scalar in [0, 1]; 0 where nothing is labelled.
    """
    intersection, union, present = soft_sums(scores.softmax(dim=1), labels)
    ratio = intersection / union.clamp(min=1e-6)
    return ((1 - ratio) * present).sum() / present.sum().clamp(min=1)


def corpus_iou(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over the classes present of U_c / I_c, with the sums of ``soft_sums``: the batch stands for the corpus.

    p is the softmax, at least 1e-8. Unlike in 1 - I / U, a class that is nearly lost has the largest gradient:
    ∂L/∂p_c = -U_c / I_c² on its own pixels and 1 / I_c on all others, over the number of classes present. It wants a
    network that finds every class to begin with. Cogswell et al., *Combining the Best of Graphical Models and ConvNets
    for Semantic Segmentation*, 2014.

    Args:
        scores: (N, C, H, W) float.
        labels: (N, H, W) int64; 255 = ignore.

    Returns:
        A scalar, 1 for a perfect prediction and without bound for a poor one; 0 where nothing is labelled.
    """
    intersection, union, present = soft_sums(scores.softmax(dim=1).clamp(min=LEAST_CHANCE), labels)
    ratio = union / intersection.where(present > 0, 1)
    return (ratio * present).sum() / present.sum().clamp(min=1)
