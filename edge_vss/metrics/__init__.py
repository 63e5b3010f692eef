"""What label maps are scored with: one confusion matrix, and temporal consistency. numpy only."""

from edge_vss.metrics.confusion import ConfusionMatrix
from edge_vss.metrics.temporal import TemporalConsistency

__all__ = ["ConfusionMatrix", "TemporalConsistency"]
