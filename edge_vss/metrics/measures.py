"""All scores of a stream of label maps together, as ``eval`` reports them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.dataset import Sample
from edge_vss.errors import BadInput
from edge_vss.metrics.boundary import BAND_PX, BoundaryMatrix
from edge_vss.metrics.confusion import ConfusionMatrix
from edge_vss.metrics.panoptic import VideoPanopticQuality
from edge_vss.metrics.temporal import TemporalConsistency

__all__ = ["Measures"]


class Measures:
    """Every score of one stream of label maps.

    Args:
        num_classes: In [1, 255].
        boundary_px: Width of the band along borders, >= 1.
        vpq: Score video panoptic quality, and against every instance where there are ``things``.
        things: Classes with instance numbers in the truth.
    """

    def __init__(
        self, num_classes: int, *, boundary_px: int = BAND_PX, vpq: bool = False, things: frozenset[int] = frozenset()
    ) -> None:
        self.matrix = ConfusionMatrix(num_classes)
        self.boundary = BoundaryMatrix(num_classes, width_px=boundary_px)
        self.consistency = TemporalConsistency(num_classes)
        self.vpq = VideoPanopticQuality(num_classes) if vpq else None
        self.instances = VideoPanopticQuality(num_classes, things=things) if vpq and things else None

    def start_clip(self) -> None:
        """The next frame has none before it."""
        for quality in (self.vpq, self.instances):
            if quality is not None:
                quality.start_clip()

    def update(self, sample: Sample, labels: NDArray[np.uint8]) -> None:
        """Count a frame, if it has a truth."""
        truth = sample.labels
        if truth is None:
            return
        if truth.shape != labels.shape:
            raise BadInput(f"labels are {truth.shape}, the frame is {labels.shape}")
        self.matrix.update(truth, labels)
        self.boundary.update(truth, labels)
        if self.vpq is not None:
            self.vpq.update(truth, labels)
        if self.instances is not None:
            numbers = sample.instances if sample.instances is not None else np.zeros(truth.shape, np.uint16)
            self.instances.update(truth, labels, truth_instances=numbers)

    def scores(self, classes: Sequence[str]) -> dict[str, Any]:
        """The promised keys of ``eval --json`` that come from label maps."""
        windows = None if self.vpq is None else {str(n): value for n, value in self.vpq.per_window.items()}
        return {
            "miou": self.matrix.miou,
            "iou": dict(zip(classes, self.matrix.iou.tolist())),
            "pixel_accuracy": self.matrix.pixel_accuracy,
            "boundary_iou": self.boundary.miou,
            "boundary_px": self.boundary.width_px,
            "temporal_consistency": self.consistency.value,
            "temporal_consistency_masked": self.consistency.masked,
            "vpq": None if self.vpq is None else self.vpq.value,
            "vpq_windows": windows,
            "vpq_instances": None if self.instances is None else self.instances.value,
        }
