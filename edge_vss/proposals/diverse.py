"""Several good labellings of one frame that differ from each other, instead of the best one alone.

Batra et al., *Diverse M-Best Solutions in Markov Random Fields*, 2012, with Hamming diversity: every solution makes its
labels dearer, node by node, for all that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_vss.proposals.expansion import minimise
from edge_vss.proposals.grid import UNIT, CrfConfig, GridCrf, grid_crf

__all__ = ["Proposals", "diverse_solutions", "propose"]


@dataclass(frozen=True, eq=False)
class Proposals:
    """Solutions of one frame in the order in which they were found; the first is the most probable one."""

    labels: NDArray[np.uint8]
    """(M, h, w) score channels, on the grid of the scores."""
    scores: NDArray[np.float64]
    """(M,) minus the energy without diversity, nats per node."""

    def first(self, count: int) -> Proposals:
        """The first ``count`` of them: what a shorter search would have found."""
        return Proposals(self.labels[:count], self.scores[:count])


def diverse_solutions(crf: GridCrf, count: int, diversity: float) -> Proposals:
    """``count`` solutions; those of a shorter search are the first ones of a longer one.

    Each search begins from the solution before it, most of which the next one keeps.

    Args:
        diversity: Nats added to the cost of a label, at a node, by each solution that has it there; 0 gives the most
            probable solution again and again.
    """
    if count < 1:
        raise ValueError(f"count is at least 1, got {count}")
    nodes, price = np.arange(crf.height * crf.width), round(diversity * UNIT)
    costs = crf.costs.copy()
    found = [minimise(crf)]
    for _ in range(count - 1):
        costs[found[-1], nodes] += price
        found.append(minimise(crf.with_costs(costs), found[-1]))
    labels = np.array(found, np.uint8).reshape(count, crf.height, crf.width)
    return Proposals(labels, np.array([-crf.energy(one) for one in found]) / (UNIT * nodes.size))


def propose(
    scores: NDArray[np.float32], guide: NDArray[np.floating], count: int, config: CrfConfig | None = None
) -> Proposals:
    """Solutions from a network's scores.

    Args:
        scores: (C, h, w), before the softmax; C >= 2.
        guide: (channels, h, w), the picture at that size.
    """
    config = config or CrfConfig()
    return diverse_solutions(grid_crf(scores, guide, config), count, config.diversity)
