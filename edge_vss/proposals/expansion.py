"""Minimises a grid's energy by expansion moves, each an exact graph cut.

Boykov, Veksler & Zabih, *Fast Approximate Energy Minimization via Graph Cuts*, 2001. The cut itself is SciPy's maximum
flow. Before it, nodes whose choice no neighbour can change are settled, which leaves the borders of regions: that loses
nothing and saves nearly all of the work.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from edge_vss.proposals.grid import GridCrf

__all__ = ["expand", "minimise"]

FREE, KEEP, TAKE = 0, 1, 2
"""What is known of a node in a move: nothing, that it keeps its label, that it takes the new one."""
Labels = NDArray[np.intp]


def minimise(crf: GridCrf, start: Labels | None = None) -> Labels:
    """Labels whose energy no expansion of any label lowers; with two labels, the lowest energy there is.

    Args:
        start: (nodes,) labels to begin from; the cheapest ones without regard to borders where not given.

    Returns:
        (nodes,), energy at most that of ``start``; ``start`` itself where no move lowers it.
    """
    count = len(crf.costs)
    if count == 2:
        lowest = expand(crf, np.zeros(crf.costs.shape[1], np.intp), 1)
        return start.copy() if start is not None and crf.energy(start) <= crf.energy(lowest) else lowest
    labels: Labels = crf.costs.argmin(axis=0) if start is None else start.copy()
    settled, label = 0, 0
    while settled < count:
        moved = expand(crf, labels, label)
        settled = settled + 1 if np.array_equal(moved, labels) else 1
        labels, label = moved, (label + 1) % count
    return labels


def expand(crf: GridCrf, labels: Labels, label: int) -> Labels:
    """The lowest energy that is reached by giving ``label`` to any set of nodes; of equals, the smallest set."""
    nodes = np.arange(labels.size)
    gain = crf.costs[label].astype(np.int64) - crf.costs[labels, nodes]
    state = np.where(labels == label, TAKE, KEEP).astype(np.int8)
    free = np.flatnonzero((labels != label) & (gain < crf.weights.sum(axis=1)))
    state[free] = FREE
    while free.size:
        lowest, highest = _bounds(crf, labels, state, gain, free)
        state[free[lowest >= 0]], state[free[highest < 0]] = KEEP, TAKE
        left = free[state[free] == FREE]
        if left.size == free.size:
            break
        free = left
    if free.size:
        state[free] = _cut(crf, labels, state, gain, free)
    moved: Labels = np.where(state == TAKE, label, labels)
    return moved


def _bounds(
    crf: GridCrf, labels: Labels, state: NDArray[np.int8], gain: NDArray[np.int64], free: Labels
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How much the energy changes at least and at most when one of ``free`` takes the label, whatever others do."""
    beside, weight = crf.beside[free], crf.weights[free]
    parted = weight * (labels[beside] == labels[free][:, None])
    known = state[beside]
    lowest = gain[free] + np.where(known == KEEP, parted, -weight).sum(axis=1)
    highest = gain[free] + np.where(known == TAKE, -weight, parted).sum(axis=1)
    return lowest, highest


def _cut(
    crf: GridCrf, labels: Labels, state: NDArray[np.int8], gain: NDArray[np.int64], free: Labels
) -> NDArray[np.int8]:
    """KEEP or TAKE for each of ``free``, of which no two fates are known.

    A node on the source's side keeps. With a and b the labels of two free neighbours and w their border, the four
    energies [a != b] w, w, w, 0 are split evenly: -w/2 [a != b] for each that takes, w - w/2 [a != b] where they part.
    """
    beside, weight = crf.beside[free], crf.weights[free]
    same = labels[beside] == labels[free][:, None]
    known = state[beside]
    alone = np.where(known == KEEP, weight * same, np.where(known == TAKE, -weight, -weight // 2 * ~same))
    unary = gain[free] + alone.sum(axis=1)
    place = np.full(labels.size, -1)
    place[free] = np.arange(free.size)
    row, slot = np.nonzero((known == FREE) & (weight > 0))
    source, sink = free.size, free.size + 1
    dear, cheap = np.flatnonzero(unary > 0), np.flatnonzero(unary < 0)
    rows = np.concatenate([row, np.full(dear.size, source), cheap])
    columns = np.concatenate([place[beside[row, slot]], dear, np.full(cheap.size, sink)])
    between = (weight - weight // 2 * ~same)[row, slot]
    capacity = np.concatenate([between, unary[dear], -unary[cheap]]).astype(np.int32)
    graph = csr_array((capacity, (rows.astype(np.int32), columns.astype(np.int32))), shape=(sink + 1, sink + 1))
    left = graph - maximum_flow(graph, source, sink).flow
    left.eliminate_zeros()
    taking = breadth_first_order(left.T.tocsr(), sink, return_predecessors=False)
    found = np.full(sink + 1, KEEP, np.int8)
    found[taking] = TAKE
    return found[: free.size]
