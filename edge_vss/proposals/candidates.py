"""Labelled frames as a re-ranker is trained and judged on: features and confusion counts of every proposal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import ClassInfo, InputSpec, OutputSpec
from edge_vss.errors import BadInput
from edge_vss.metrics import ConfusionMatrix
from edge_vss.pixels import label_map
from edge_vss.proposals.diverse import Proposals, propose
from edge_vss.proposals.features import proposal_features
from edge_vss.proposals.grid import CrfConfig, area_means, log_softmax

__all__ = ["Candidates", "LabelMap", "ScoredFrame", "grid_posterior", "lifted_scores", "look_at_all"]

MARGIN = 1.0
"""By how much a label that the network did not choose leads, in units of the scores."""
LabelMap = Callable[[NDArray[np.float32]], NDArray[np.uint8]]
"""(1, any number of channels, h, w) -> (H, W) channel that is best there, at the size of the frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredFrame:
    """What two networks say of a frame."""

    scores: NDArray[np.float32]
    """(C, h, w) of the network whose solutions are looked at, before the softmax; C >= 2."""
    second: NDArray[np.float32]
    """(C, h', w') of the network that re-ranks; may be the same."""
    picture: NDArray[np.generic]
    """(channels, H', W'), any size and unit; averaged down to the grid of ``scores``."""
    truth: NDArray[np.uint8] | None = None
    """(H, W) class ids, 255 = ignore."""
    label_map: LabelMap | None = None
    """How scores become labels of the frame's size; they are stretched to that of ``truth`` where not given."""
    proposals: Proposals | None = None
    """Solutions that are known already, as many as will be asked for, so that other re-rankers can share them."""

    def propose(self, count: int, config: CrfConfig) -> Proposals:
        """Its diverse solutions."""
        if self.proposals is not None:
            if len(self.proposals.labels) != count:
                raise ValueError(f"{len(self.proposals.labels)} solutions are known, {count} are asked for")
            return self.proposals
        height, width = self.scores.shape[1:]
        return propose(self.scores, area_means(self.picture, height, width), count, config)

    def features(self, proposals: Proposals) -> NDArray[np.float64]:
        """(M, F), see ``feature_names``."""
        return proposal_features(proposals, grid_posterior(self.second, *self.scores.shape[1:]))

    def grown(self, scores: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(channels, h, w) as a label map of the frame's size: the best channel everywhere."""
        if self.label_map is not None:
            return self.label_map(scores[None])
        if self.truth is None:
            raise ValueError("a frame without truth needs a label_map, which knows its size")
        names = tuple(ClassInfo(str(channel), (0, 0, 0)) for channel in range(len(scores)))
        output = OutputSpec(name="labels", tensor="scores", classes=names)
        height, width = scores.shape[1:]
        return label_map(scores[None], output, InputSpec(height=height, width=width), *self.truth.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """All frames together."""

    features: NDArray[np.float64]
    """(N, M, F)."""
    counts: NDArray[np.int64]
    """(N, M, C, C) confusion matrix of each proposal."""
    network: ConfusionMatrix
    """Of the network's own label maps."""
    search_s: NDArray[np.float64]
    """(N,) seconds that the search for solutions took."""

    def first(self, count: int) -> Candidates:
        """As after a search for ``count`` proposals; the seconds stay those of the longer one."""
        return Candidates(
            features=self.features[:, :count],
            counts=self.counts[:, :count],
            network=self.network,
            search_s=self.search_s,
        )


def look_at_all(frames: Iterable[ScoredFrame], count: int, config: CrfConfig) -> Candidates:
    """Search for ``count`` solutions of every frame, and judge each.

    Raises:
        BadInput: There is no frame.
        ValueError: One has no truth.
    """
    features, counts, search_s, network = [], [], [], None
    for frame in frames:
        if frame.truth is None:
            raise ValueError("candidates are judged on labelled frames")
        began_s = time.perf_counter()
        proposals = frame.propose(count, config)
        search_s.append(time.perf_counter() - began_s)
        features.append(frame.features(proposals))
        counts.append(_counts(frame, proposals, frame.truth))
        network = network or ConfusionMatrix(len(frame.scores))
        network.update(frame.truth, frame.grown(frame.scores))
    if network is None:
        raise BadInput("no frame has labels, so there is nothing to choose by")
    return Candidates(
        features=np.stack(features), counts=np.stack(counts), network=network, search_s=np.array(search_s)
    )


def _counts(frame: ScoredFrame, proposals: Proposals, truth: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(M, C, C); equal proposals are counted once."""
    found: dict[bytes, NDArray[np.int64]] = {}
    for labels in proposals.labels:
        key = labels.tobytes()
        if key not in found:
            matrix = ConfusionMatrix(len(frame.scores))
            matrix.update(truth, frame.grown(lifted_scores(frame.scores, labels)))
            found[key] = matrix.counts
    return np.stack([found[labels.tobytes()] for labels in proposals.labels])


def lifted_scores(scores: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(C, h, w) scores moved just enough for ``labels`` (h, w) to win at every node.

    They are untouched where the label won before, so there the grown label map is the network's own, to the pixel.
    """
    lifted: NDArray[np.float32] = scores.copy()
    rows, columns = np.nonzero(scores.argmax(axis=0) != labels)
    lifted[labels[rows, columns], rows, columns] = scores[:, rows, columns].max(axis=0) + np.float32(MARGIN)
    return lifted


def grid_posterior(scores: NDArray[np.float32], height: int, width: int) -> NDArray[np.float64]:
    """softmax(scores) on a (height, width) grid, averaged down to it where it has another."""
    chance = np.exp(log_softmax(scores))
    return chance if chance.shape[1:] == (height, width) else area_means(chance, height, width)
