"""One confusion matrix over a whole split: intersection over union and pixel accuracy come from its counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ConfusionMatrix"]


class ConfusionMatrix:
    """Counts (true class, predicted class) pairs over any number of label maps.

    Args:
        num_classes: In [1, 255].
        ignore: True label that is left out, whatever was predicted there; not a class.
    """

    def __init__(self, num_classes: int, *, ignore: int = 255) -> None:
        if not 1 <= num_classes <= 255:
            raise ValueError(f"num_classes must be in 1..255, got {num_classes}")
        if not num_classes <= ignore <= 255:
            raise ValueError(f"ignore must be in {num_classes}..255 (outside the classes), got {ignore}")
        self.num_classes, self.ignore = num_classes, ignore
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)
        """(num_classes, num_classes): row = true class, column = predicted class."""

    def update(self, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Count one pair of label maps of equal shape.

        Raises:
            ValueError: Shapes or types differ, or a label is neither a class nor (in ``truth``) the ignore label.
        """
        if truth.dtype != np.uint8 or prediction.dtype != np.uint8:
            raise ValueError(f"label maps are uint8, got truth {truth.dtype} and prediction {prediction.dtype}")
        if truth.shape != prediction.shape:
            raise ValueError(f"label maps differ in size: truth {truth.shape}, prediction {prediction.shape}")
        # Two bytes side by side are one 16-bit bin number, so counting needs no mask and no arithmetic.
        pairs = np.empty((truth.size, 2), np.uint8)
        pairs[:, 0], pairs[:, 1] = prediction.reshape(-1), truth.reshape(-1)
        table = np.bincount(pairs.reshape(-1).view("<u2"), minlength=1 << 16).reshape(256, 256)
        table[self.ignore] = 0
        size = self.num_classes
        counted = table[:size, :size]
        if table.sum() != counted.sum():
            self._refuse(table)
        self.counts += counted

    def _refuse(self, table: NDArray[Any]) -> None:
        size = self.num_classes
        for kind, totals in (("true", table.sum(axis=1)), ("predicted", table.sum(axis=0))):
            odd = np.flatnonzero(totals[size:]) + size
            if odd.size:
                raise ValueError(f"{kind} label {odd[0]} on {totals[odd[0]]} pixels, but there are {size} classes")

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix over the same classes."""
        if other.num_classes != self.num_classes:
            raise ValueError(f"cannot merge {other.num_classes} classes into {self.num_classes}")
        self.counts += other.counts

    @property
    def iou(self) -> NDArray[np.float64]:
        """(num_classes,) in [0, 1]; nan for a class that is neither there nor predicted."""
        hits = np.diagonal(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - np.diagonal(self.counts)
        iou: NDArray[np.float64] = np.divide(hits, union, out=np.full(self.num_classes, np.nan), where=union > 0)
        return iou

    @property
    def miou(self) -> float:
        """Mean of ``iou`` over the classes that occur; nan when nothing was counted."""
        found = self.iou[~np.isnan(self.iou)]
        return float(found.mean()) if found.size else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of counted pixels that are right; nan when nothing was counted."""
        total = int(self.counts.sum())
        return int(np.trace(self.counts)) / total if total else float("nan")
