"""Video panoptic quality: how well segments are found and kept through time.

After Kim et al., "Video Panoptic Segmentation" (2020). A segment followed through a window of n labelled frames is a
tube. Tubes of the same class match where their intersection over union exceeds one half (so at most one matches), and
per class and window length

    VPQ = sum of IoU over matches / (matches + false positives / 2 + false negatives / 2)

over all windows of all clips. The value is the mean over the classes that occur, then over the window lengths. For
n = 1 that is the panoptic quality of single frames. A purely semantic model has one segment per class and frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["WINDOWS", "VideoPanopticQuality"]

WINDOWS = (1, 2, 3, 4)
"""Labelled frames of a window."""
_NUMBERS = 1 << 16
_TUBES = 1 << 24
"""Tube ids are class * 65536 + instance number; void is a class of its own."""


class VideoPanopticQuality:
    """Pools clips of label maps, with instance numbers where there are any.

    Args:
        num_classes: In [1, 255].
        things: Classes with instance numbers in the truth. Their pixels without a number are a crowd: neither missed
            nor wrong when found. Empty: every class is one segment per frame, whatever instances are given.
        ignore: True label of pixels that count for nothing.
        windows: Lengths in labelled frames.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        things: Collection[int] = (),
        ignore: int = 255,
        windows: Sequence[int] = WINDOWS,
    ) -> None:
        if not 1 <= num_classes <= 255 or not num_classes <= ignore <= 255:
            raise ValueError(f"num_classes must be in 1..255 and ignore beyond, got {num_classes} and {ignore}")
        if not windows or min(windows) < 1:
            raise ValueError(f"windows are lengths >= 1, got {tuple(windows)}")
        self.num_classes, self.ignore, self.windows = num_classes, ignore, tuple(windows)
        if any(not 0 <= thing < num_classes for thing in things):
            raise ValueError(f"things are classes 0-{num_classes - 1}, got {sorted(things)}")
        self._is_thing = np.isin(np.arange(256), list(things))
        self._frames: deque[tuple[NDArray[np.int64], NDArray[np.int64]]] = deque(maxlen=max(windows))
        shape = (len(self.windows), num_classes)
        self._iou = np.zeros(shape)
        self._matched, self._wrong, self._missed = (np.zeros(shape, np.int64) for _ in range(3))

    def start_clip(self) -> None:
        """The next frame is the first of a clip: no window reaches across."""
        self._frames.clear()

    def update(
        self,
        truth: NDArray[np.uint8],
        prediction: NDArray[np.uint8],
        *,
        truth_instances: NDArray[np.uint16] | None = None,
        instances: NDArray[np.uint16] | None = None,
    ) -> None:
        """Count the next labelled frame of a clip.

        Args:
            truth: (H, W) class ids, or the ignore label.
            prediction: (H, W) class ids.
            truth_instances: (H, W) numbers that objects of ``things`` keep through the clip, 0 = none; needed where
                there are ``things``.
            instances: The same for the prediction; a semantic model has none.

        Raises:
            ValueError: Shapes differ, or a label is neither a class nor (in ``truth``) the ignore label.
        """
        if truth_instances is None and self._is_thing.any():
            raise ValueError("the truth needs instance numbers where there are things")
        self._check(truth, prediction)
        # Void is numbered after the classes: tables stay small.
        known = np.where(truth == self.ignore, np.uint8(self.num_classes), truth)
        self._frames.append(_count(self._tubes(known, truth_instances), self._tubes(prediction, instances)))
        held = list(self._frames)
        for row, length in enumerate(self.windows):
            if len(held) >= length:
                self._score(row, *_pooled(held[-length:]))

    def _check(self, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        if truth.shape != prediction.shape:
            raise ValueError(f"label maps differ in size: truth {truth.shape}, prediction {prediction.shape}")
        for kind, labels in (("true", truth[truth != self.ignore]), ("predicted", prediction)):
            if labels.size and labels.max() >= self.num_classes:
                raise ValueError(f"{kind} label {labels.max()}, but there are {self.num_classes} classes")

    def _tubes(self, labels: NDArray[np.uint8], numbers: NDArray[np.uint16] | None) -> NDArray[np.int64]:
        tubes = labels.astype(np.int64) * _NUMBERS
        if numbers is not None:
            if numbers.shape != labels.shape:
                raise ValueError(f"instances are {numbers.shape}, their label map is {labels.shape}")
            tubes += np.where(self._is_thing.take(labels), numbers, 0)
        return tubes

    def _score(self, row: int, pairs: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """One window: pairs (true tube * 2^24 + predicted tube) with the pixels they share."""
        true, said = np.divmod(pairs, _TUBES)
        void = true // _NUMBERS == self.num_classes
        true_ids, true_at = np.unique(true, return_inverse=True)
        said_ids, said_at = np.unique(said, return_inverse=True)
        true_area = np.bincount(true_at, counts)
        said_area = np.bincount(said_at, counts)
        void_area = np.bincount(said_at, counts * void, minlength=len(said_ids))
        union = true_area[true_at] + said_area[said_at] - counts - void_area[said_at]
        iou = counts / np.maximum(union, 1)  # nothing is left of what lies on void alone
        crowd = self._crowd(true)
        match = (true // _NUMBERS == said // _NUMBERS) & (iou > 0.5) & ~crowd & ~void
        np.add.at(self._iou[row], true[match] // _NUMBERS, iou[match])
        np.add.at(self._matched[row], true[match] // _NUMBERS, 1)
        missed = np.setdiff1d(true_ids, true[match])
        missed = missed[~self._crowd(missed) & (missed // _NUMBERS != self.num_classes)]
        np.add.at(self._missed[row], missed // _NUMBERS, 1)
        # What lies mostly on void, or on a crowd of its class, is not wrong.
        excused = void | (crowd & (true // _NUMBERS == said // _NUMBERS))
        excused_area = np.bincount(said_at, counts * excused, minlength=len(said_ids))
        wrong = np.setdiff1d(said_ids[excused_area <= 0.5 * said_area], said[match])
        np.add.at(self._wrong[row], wrong // _NUMBERS, 1)

    def _crowd(self, tubes: NDArray[np.int64]) -> NDArray[np.bool_]:
        crowd: NDArray[np.bool_] = self._is_thing.take(tubes // _NUMBERS) & (tubes % _NUMBERS == 0)
        return crowd

    @property
    def per_class(self) -> NDArray[np.float64]:
        """(windows, classes) in [0, 1]; nan for a class that neither occurs nor is predicted."""
        total = self._matched + (self._wrong + self._missed) / 2
        quality: NDArray[np.float64] = np.divide(self._iou, total, out=np.full(total.shape, np.nan), where=total > 0)
        return quality

    @property
    def per_window(self) -> dict[int, float]:
        """Length -> mean over the classes that occur; nan where no clip was that long."""
        return {length: _mean(row) for length, row in zip(self.windows, self.per_class)}

    @property
    def value(self) -> float:
        """Mean over the window lengths that occur, in [0, 1]; nan before the first frame."""
        return _mean(np.array(list(self.per_window.values())))


def _count(true: NDArray[np.int64], said: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of tubes of one frame and the pixels they share."""
    true_ids, true_at = _numbered(true)
    said_ids, said_at = _numbered(said)
    table = np.bincount(true_at * len(said_ids) + said_at, minlength=len(true_ids) * len(said_ids))
    found = np.flatnonzero(table)
    return true_ids[found // len(said_ids)] * _TUBES + said_ids[found % len(said_ids)], table[found]


def _numbered(tubes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids that occur, and the place of each pixel's id among them; by a table, since sorting pixels is slow."""
    flat = tubes.ravel()
    present = np.zeros(int(flat.max()) + 1, bool)
    present[flat] = True
    ids = np.flatnonzero(present)
    place = np.zeros(len(present), np.int64)
    place[ids] = np.arange(len(ids))
    return ids, place.take(flat)


def _pooled(
    frames: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pairs, at = np.unique(np.concatenate([pairs for pairs, _ in frames]), return_inverse=True)
    return pairs, np.bincount(at, np.concatenate([counts for _, counts in frames])).astype(np.int64)


def _mean(values: NDArray[np.float64]) -> float:
    found = values[~np.isnan(values)]
    return float(found.mean()) if found.size else float("nan")
