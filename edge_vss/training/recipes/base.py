"""What every recipe is made of, and the two that look at single frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from edge_vss.networks.staged import LOGITS
from edge_vss.training.adversary import Adversary
from edge_vss.training.batches import Batch
from edge_vss.training.config import LossConfig
from edge_vss.training.losses import feature_similarity, hard_cross_entropy, pixel_divergence, soft_jaccard
from edge_vss.training.teacher import Teacher

__all__ = [
    "LossContext",
    "Outputs",
    "Parts",
    "auxiliary",
    "distill",
    "feature_of",
    "labelled",
    "matched",
    "supervised",
    "taught",
    "thinned",
]

Outputs = Mapping[str, Tensor]
"""What a network made of ``Batch.together()``, by name."""
Parts = dict[str, Tensor]
"""Weighted parts of a loss, which the loop adds up."""


@dataclass(frozen=True)
class LossContext:
    """What a recipe needs besides the outputs and the batch."""

    config: LossConfig
    weights: Tensor
    """(C,) class weights."""
    rng: np.random.Generator
    """Seeded by the step."""
    teacher: Teacher | None = None
    adversary: Adversary | None = None
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Levels of 255 in one unit of red, green and blue."""
    progress: float = 1.0
    """Share of the run's steps that is done."""


def thinned(labels: Tensor, stride: int, rng: np.random.Generator) -> Tensor:
    """Every ``stride``-th label, from a random corner, so that on average the grid does not lie off centre."""
    top, left = rng.integers(0, stride, 2)
    return labels[:, top::stride, left::stride]


def matched(scores: Tensor, labels: Tensor) -> Tensor:
    """Scores in float32, upsampled to the labels' size."""
    return F.interpolate(scores.float(), size=labels.shape[-2:], mode="bilinear", align_corners=False)


def supervised(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """Cross-entropy and soft IoU on the logits at half size, cross-entropy on auxiliary scores at an eighth."""
    config = context.config
    labels = thinned(batch.labels, 2, context.rng)
    logits = matched(outputs[LOGITS], labels)
    parts = {"ce": hard_cross_entropy(logits, labels, context.weights, share=config.ohem, smoothing=config.smoothing)}
    if config.jaccard:
        parts["jaccard"] = config.jaccard * soft_jaccard(logits, labels)
    return parts | auxiliary(outputs, thinned(batch.labels, 8, context.rng), context)


def auxiliary(outputs: Outputs, labels: Tensor, context: LossContext) -> Parts:
    """Cross-entropy on every auxiliary score."""
    return {
        name: context.config.aux * hard_cross_entropy(matched(scores, labels), labels, context.weights)
        for name, scores in outputs.items()
        if name.startswith("aux/")
    }


def distill(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """``supervised`` plus the teacher: its softened scores per pixel, and which places it finds alike."""
    assert context.teacher is not None, "check_recipe asks for one"
    logits, feature = context.teacher(batch.images)
    return supervised(outputs, batch, context) | taught(outputs, logits, feature, context.config)


def taught(outputs: Outputs, logits: Tensor, feature: Tensor | None, config: LossConfig) -> Parts:
    """What single frames learn from a teacher's scores and features of them."""
    parts = {"distil": config.distil * pixel_divergence(outputs[LOGITS].float(), logits, config.temperature)}
    own = feature_of(outputs)
    if feature is not None and own is not None and config.similarity:
        parts["similarity"] = config.similarity * feature_similarity(own, feature)
    return parts


def feature_of(outputs: Outputs) -> Tensor | None:
    """What distillation compares with the teacher's features."""
    return next((value for name, value in outputs.items() if name.startswith("feature/")), None)


def labelled(outputs: Outputs, batch: Batch) -> Outputs:
    """The outputs of the labelled frames alone."""
    return {name: value[: len(batch.images)] for name, value in outputs.items()}
