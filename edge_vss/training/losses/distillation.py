"""What a student learns from a teacher besides the labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["feature_similarity", "pixel_divergence", "places_of"]


def pixel_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """T² · mean over pixels of KL(softmax(teacher / T) ‖ softmax(student / T)).

    Hinton et al., *Distilling the Knowledge in a Neural Network*, 2015, applied per pixel.

    Args:
        student: (N, C, H, W) scores.
        teacher: (N, C, h, w) scores, brought to the student's size.
        temperature: T > 0.
    """
    if teacher.shape[-2:] != student.shape[-2:]:
        teacher = F.interpolate(teacher, size=student.shape[-2:], mode="bilinear", align_corners=False)
    target = (teacher / temperature).log_softmax(dim=1)
    logs = (student / temperature).log_softmax(dim=1)
    divergence: Tensor = (target.exp() * (target - logs)).sum(dim=1).mean()
    return divergence * temperature**2


def feature_similarity(student: Tensor, teacher: Tensor, cells: int = 12) -> Tensor:
    """Mean squared difference of the two networks' cosine similarities between all pairs of places.

    Features are pooled to at most ``cells`` x ``cells`` places first. Channel counts may differ, as only similarities
    within one network are compared: Liu et al., *Structured Knowledge Distillation for Semantic Segmentation*, 2019,
    equation 2.

    Args:
        student: (N, C, H, W) features.
        teacher: (N, C', H', W') features.
    """

    def similarities(features: Tensor, like: Tensor) -> Tensor:
        places = places_of(features, like, cells)
        return torch.einsum("nci,ncj->nij", places, places)

    return F.mse_loss(similarities(student, teacher), similarities(teacher, student))


def places_of(features: Tensor, like: Tensor, cells: int) -> Tensor:
    """(N, C, places) unit vectors: features pooled to ``cells`` x ``cells``, or as many as they and ``like`` have."""
    rows, columns = (min(cells, own, other) for own, other in zip(features.shape[-2:], like.shape[-2:], strict=True))
    return F.normalize(F.adaptive_avg_pool2d(features.float(), (rows, columns)).flatten(2), dim=1)
