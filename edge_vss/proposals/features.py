"""What a re-ranker knows of a proposal: its own score, and how well a second network agrees with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_vss.proposals.diverse import Proposals

__all__ = ["feature_names", "proposal_features"]

WHOLE = ("score", "rank", "agreement", "support", "soft_iou")
PER_CLASS = ("soft_iou", "present", "size")


def feature_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of ``proposal_features``.

    ``score``, minus the energy; ``rank``, log of the place in the list; ``agreement``, share of nodes where the second
    network's best class is the proposal's; ``support``, mean of its posterior there; ``soft_iou``, mean over the
    classes that the first proposal or the posterior holds. Per class: soft intersection over union of proposal and
    posterior, whether the proposal has the class, and on which share of the nodes.
    """
    return (*WHOLE, *(f"{kind}/{name}" for kind in PER_CLASS for name in classes))


def proposal_features(proposals: Proposals, posterior: NDArray[np.floating]) -> NDArray[np.float64]:
    """(M, F) features; those of a proposal do not depend on later ones.

    Args:
        posterior: (C, h, w) of the second network, on the proposals' grid; sums to 1 over classes.
    """
    count, (classes, nodes) = len(proposals.labels), (len(posterior), posterior[0].size)
    chance = posterior.reshape(classes, nodes).astype(np.float64)
    labels = proposals.labels.reshape(count, nodes)
    support = chance[labels, np.arange(nodes)]
    size, shared = np.zeros((count, classes)), np.zeros((count, classes))
    for place, (own, share) in enumerate(zip(labels, support)):
        size[place] = np.bincount(own, minlength=classes)
        shared[place] = np.bincount(own, share, minlength=classes)
    union = size + chance.sum(axis=1) - shared
    soft_iou = shared / np.maximum(union, 1.0)
    likely = union[0] >= 1.0
    whole = (
        proposals.scores,
        np.log1p(np.arange(count)),
        (labels == chance.argmax(axis=0)).mean(axis=1),
        support.mean(axis=1),
        soft_iou[:, likely].mean(axis=1),
    )
    return np.concatenate([np.stack(whole, axis=1), soft_iou, size > 0, size / nodes], axis=1)
