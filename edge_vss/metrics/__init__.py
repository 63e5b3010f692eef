"""What label maps are scored with: one confusion matrix, its band along borders, consistency and quality through time.

numpy only.
"""

from edge_vss.metrics.boundary import BAND_PX, BoundaryMatrix, boundary_band
from edge_vss.metrics.confusion import ConfusionMatrix
from edge_vss.metrics.measures import Measures
from edge_vss.metrics.panoptic import VideoPanopticQuality
from edge_vss.metrics.temporal import TemporalConsistency

__all__ = [
    "BAND_PX",
    "BoundaryMatrix",
    "ConfusionMatrix",
    "Measures",
    "TemporalConsistency",
    "VideoPanopticQuality",
    "boundary_band",
]
