"""Training losses, one small function each."""

from edge_vss.training.losses.cross_entropy import balanced_weights, hard_cross_entropy
from edge_vss.training.losses.distillation import feature_similarity, pixel_divergence
from edge_vss.training.losses.jaccard import corpus_iou, soft_jaccard

__all__ = [
    "balanced_weights",
    "corpus_iou",
    "feature_similarity",
    "hard_cross_entropy",
    "pixel_divergence",
    "soft_jaccard",
]
