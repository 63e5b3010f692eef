"""The most probable solution, the re-ranked one and the best one of each frame, beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_vss.metrics import ConfusionMatrix
from edge_vss.proposals.candidates import Candidates, ScoredFrame, look_at_all
from edge_vss.proposals.corpus import chosen_matrix, oracle_choice
from edge_vss.proposals.grid import CrfConfig
from edge_vss.proposals.reranker import Reranker, fit_reranker

__all__ = ["Choices", "compare_choices", "judge"]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Confusion matrices of the same frames under each way to choose."""

    network: ConfusionMatrix
    """The network's own label maps."""
    first: ConfusionMatrix
    """The most probable solutions."""
    reranked: ConfusionMatrix
    oracle: ConfusionMatrix
    """The best choice that was found with the truth; not worse than the two before, nor than that of a shorter list."""
    reranker: Reranker


def judge(rerankers: Mapping[int, Reranker], test: Candidates) -> dict[int, Choices]:
    """Score every way to choose among the first M proposals.

    Args:
        rerankers: M -> what re-ranks them.
    """
    found: dict[int, Choices] = {}
    starts: list[NDArray[np.intp]] = []
    for count in sorted(rerankers):
        reranker, candidates = rerankers[count], test.first(count)
        picks = np.array([reranker.choose(features) for features in candidates.features])
        starts.append(oracle_choice(candidates.counts, [*starts, picks]))
        found[count] = Choices(
            network=test.network,
            first=chosen_matrix(candidates.counts, np.zeros(len(picks), np.intp)),
            reranked=chosen_matrix(candidates.counts, picks),
            oracle=chosen_matrix(candidates.counts, starts[-1]),
            reranker=reranker,
        )
    return found


def compare_choices(
    train: Iterable[ScoredFrame],
    test: Iterable[ScoredFrame],
    classes: Sequence[str],
    *,
    counts: Sequence[int] = (5, 10, 30),
    config: CrfConfig | None = None,
) -> dict[int, Choices]:
    """Train a re-ranker on ``train`` and score ``test`` under it, for each number of proposals.

    Solutions are searched for once, for the largest number; the first ones are those of a shorter search.

    Args:
        classes: Names, as many as there are scores.
        counts: Numbers of proposals.
    """
    config = config or CrfConfig()
    seen, unseen = (look_at_all(frames, max(counts), config) for frames in (train, test))
    rerankers = {
        count: fit_reranker(seen.first(count).features, seen.first(count).counts, classes, config) for count in counts
    }
    return judge(rerankers, unseen)
