"""Training losses, one small function each."""

from edge_vss.training.losses.cross_entropy import balanced_weights, hard_cross_entropy
from edge_vss.training.losses.distillation import feature_similarity, pixel_divergence
from edge_vss.training.losses.jaccard import corpus_iou, soft_jaccard
from edge_vss.training.losses.temporal import flow_at, flow_difference, pair_similarity, sequence_similarity, trust

__all__ = [
    "balanced_weights",
    "corpus_iou",
    "feature_similarity",
    "flow_at",
    "flow_difference",
    "hard_cross_entropy",
    "pair_similarity",
    "pixel_divergence",
    "sequence_similarity",
    "soft_jaccard",
    "trust",
]
