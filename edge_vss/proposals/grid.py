"""A conditional random field on the grid of a network's scores: what a label costs at a node, and a border between two.

Energies are whole numbers, ``UNIT`` to the nat, so that a graph cut is exact and no rounding lets an energy rise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNIT", "CrfConfig", "GridCrf", "area_means", "grid_crf", "log_softmax"]

UNIT = 1024
"""Energy of one nat."""
LARGEST_NATS = 20.0
"""What a label costs at most: a network that rules one out may be wrong."""
OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""(rows, columns) to the neighbours that come after a node; each has its opposite."""
FAINTEST = 1e-6
"""Smallest mean squared difference of neighbours that counts as contrast."""


@dataclass(frozen=True, kw_only=True)
class CrfConfig:
    """How much neighbours agree, and how different solutions are."""

    smoothness: float = 1.0
    """What a border between two neighbours costs where the picture shows none, nats, >= 0."""
    contrast: float = 0.8
    """Share of it that the strongest edges of the picture take away, in [0, 1]."""
    neighbours: int = 8
    """4, or 8 with the diagonals, whose borders cost 1 / sqrt(2)."""
    diversity: float = 0.2
    """Nats by which each solution makes its label dearer, at every node, for those that follow; >= 0."""

    def __post_init__(self) -> None:
        if not (0 <= self.smoothness <= 100 and 0 <= self.diversity <= 100):
            raise ValueError(f"smoothness and diversity lie in [0, 100], got {self.smoothness} and {self.diversity}")
        if not 0 <= self.contrast <= 1:
            raise ValueError(f"contrast is a share in [0, 1], got {self.contrast}")
        if self.neighbours not in (4, 8):
            raise ValueError(f"neighbours is 4 or 8, got {self.neighbours}")


@dataclass(frozen=True, eq=False)
class GridCrf:
    """E(y) = sum over nodes of costs[y_i, i] + sum over neighbours with y_i != y_j of w_ij. Nodes go row by row."""

    height: int
    width: int
    costs: NDArray[np.int32]
    """(C, height * width), units."""
    beside: NDArray[np.int32]
    """(height * width, 4 or 8) neighbours of each node; itself, with weight 0, where the grid ends."""
    weights: NDArray[np.int32]
    """The same shape: what a border to that neighbour costs, units, even and >= 0; a pair stands at both its ends."""

    def energy(self, labels: NDArray[np.integer]) -> int:
        """Of (height * width,) labels, units."""
        unary = self.costs[labels, np.arange(labels.size)].sum(dtype=np.int64)
        borders = (self.weights * (labels[:, None] != labels[self.beside])).sum(dtype=np.int64)
        return int(unary + borders // 2)

    def with_costs(self, costs: NDArray[np.int32]) -> GridCrf:
        """The same grid with other costs of labels."""
        return GridCrf(self.height, self.width, costs, self.beside, self.weights)


def grid_crf(scores: NDArray[np.float32], guide: NDArray[np.floating], config: CrfConfig) -> GridCrf:
    """Costs -log softmax(scores), borders that are cheap where ``guide`` changes.

    w_ij = smoothness * (1 - contrast + contrast * exp(-|g_i - g_j|^2 / (2 m))) / |i - j|, m the mean of |g_i - g_j|^2
    over all neighbours: Boykov & Jolly, *Interactive Graph Cuts for Optimal Boundary & Region Segmentation*, 2001, with
    the scale of Rother et al., *GrabCut*, 2004.

    Args:
        scores: (C, H, W), before the softmax; C >= 2.
        guide: (channels, H, W), the picture at that size; its unit does not matter.
    """
    count, height, width = scores.shape
    if count < 2 or guide.shape[1:] != (height, width):
        raise ValueError(f"want (C >= 2, H, W) scores and a guide of their size, got {scores.shape} and {guide.shape}")
    costs = np.minimum(-log_softmax(scores), LARGEST_NATS) * UNIT
    beside, weights = _borders(np.asarray(guide, np.float64), config)
    return GridCrf(height, width, np.rint(costs).astype(np.int32).reshape(count, -1), beside, weights)


def log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Over the first axis, in float64."""
    shifted = scores.astype(np.float64) - scores.max(axis=0)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=0))
    return logs


def _borders(guide: NDArray[np.float64], config: CrfConfig) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Neighbours and weights of every node."""
    height, width = guide.shape[1:]
    offsets = OFFSETS[: config.neighbours // 2]
    ids = np.arange(height * width, dtype=np.int32).reshape(height, width)
    beside = np.repeat(ids.reshape(-1, 1), config.neighbours, axis=1)
    weights = np.zeros(beside.shape, np.int32)
    pairs = [_pairs(offset, height, width) for offset in offsets]
    steps = [
        ((guide[:, before[0], before[1]] - guide[:, after[0], after[1]]) ** 2).sum(axis=0) for before, after in pairs
    ]
    mean = max(FAINTEST, sum(step.sum() for step in steps) / max(1, sum(step.size for step in steps)))
    for place, (offset, (before, after), step) in enumerate(zip(offsets, pairs, steps)):
        kept = 1 - config.contrast + config.contrast * np.exp(-step / (2 * mean))
        weight = 2 * np.rint(config.smoothness * kept / np.hypot(*offset) * UNIT / 2).astype(np.int32).reshape(-1)
        first, second = ids[before].reshape(-1), ids[after].reshape(-1)
        beside[first, 2 * place], weights[first, 2 * place] = second, weight
        beside[second, 2 * place + 1], weights[second, 2 * place + 1] = first, weight
    return beside, weights


def _pairs(offset: tuple[int, int], height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the first and the second node of every pair at that offset lie."""
    down, right = offset
    columns = slice(max(0, -right), width - max(0, right)), slice(max(0, right), width - max(0, -right))
    return (slice(0, height - down), columns[0]), (slice(down, height), columns[1])


def area_means(picture: NDArray[np.generic], height: int, width: int) -> NDArray[np.float64]:
    """(channels, H, W) averaged over the height * width equal rectangles that it falls into, which may cut pixels."""
    values = picture.astype(np.float64)
    for axis, size in ((1, height), (2, width)):
        edges = np.linspace(0, values.shape[axis], size + 1)
        sums = np.concatenate([np.zeros_like(values.take([0], axis)), values.cumsum(axis)], axis)
        low = np.minimum(np.floor(edges).astype(np.int64), values.shape[axis] - 1)
        share = (edges - low).reshape([-1 if place == axis else 1 for place in range(3)])
        at = sums.take(low, axis) * (1 - share) + sums.take(low + 1, axis) * share
        values = np.diff(at, axis=axis) * (size / values.shape[axis])
    return values
