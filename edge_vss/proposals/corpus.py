"""Choosing one proposal per frame where what counts is the mIoU of the whole corpus, from one confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_vss.metrics import ConfusionMatrix

__all__ = ["chosen_matrix", "corpus_losses", "oracle_choice"]

Counts = NDArray[np.int64]
"""(N, M, C, C): the confusion matrix of every frame's every proposal."""
SWEEPS = 50


def chosen_matrix(counts: Counts, choice: Sequence[int] | NDArray[np.integer]) -> ConfusionMatrix:
    """The corpus' confusion matrix under one proposal per frame."""
    matrix = ConfusionMatrix(counts.shape[-1])
    matrix.counts += counts[np.arange(len(counts)), np.asarray(choice)].sum(axis=0)
    return matrix


def corpus_losses(counts: Counts) -> NDArray[np.float64]:
    """(N, M) >= 0: mIoU that the corpus loses by taking a frame's proposal instead of its best one.

    All other frames have their first proposal; N times the difference, so that the size of the corpus does not matter.
    """
    gains = _swapped(counts, np.zeros(len(counts), np.intp))
    losses: NDArray[np.float64] = (gains.max(axis=1, keepdims=True) - gains) * len(counts)
    return losses


def oracle_choice(counts: Counts, starts: Sequence[NDArray[np.integer]] = ()) -> NDArray[np.intp]:
    """A choice that no change of one frame's proposal improves: what a re-ranker that knows the truth would take.

    The best of several ascents: from all first proposals, from each frame's best one, and from ``starts``. Given the
    choice of a shorter list among ``starts``, a longer one is never worse.
    """
    first = np.zeros(len(counts), np.intp)
    ascents = [_climb(counts, start) for start in (first, _swapped(counts, first).argmax(axis=1), *starts)]
    return max(ascents, key=lambda choice: chosen_matrix(counts, choice).miou)


def _climb(counts: Counts, start: NDArray[np.integer]) -> NDArray[np.intp]:
    choice: NDArray[np.intp] = np.asarray(start, np.intp).copy()
    total = counts[np.arange(len(counts)), choice].sum(axis=0)
    for _ in range(SWEEPS):
        moved = False
        for frame, own in enumerate(counts):
            values = _mious(total - own[choice[frame]] + own)
            best = int(values.argmax())
            if values[best] > values[choice[frame]] + 1e-12:
                total = total - own[choice[frame]] + own[best]
                choice[frame], moved = best, True
        if not moved:
            break
    return choice


def _swapped(counts: Counts, choice: NDArray[np.intp]) -> NDArray[np.float64]:
    """(N, M) mIoU of the corpus when one frame takes another proposal than ``choice``."""
    taken = counts[np.arange(len(counts)), choice]
    rest = taken.sum(axis=0) - taken
    return np.stack([_mious(others + own) for others, own in zip(rest, counts)])


def _mious(totals: Counts) -> NDArray[np.float64]:
    """mIoU of each of (M, C, C) counts, as ``ConfusionMatrix`` has it."""
    values = np.empty(len(totals))
    for place, total in enumerate(totals):
        matrix = ConfusionMatrix(total.shape[-1])
        matrix.counts += total
        values[place] = matrix.miou
    return values
