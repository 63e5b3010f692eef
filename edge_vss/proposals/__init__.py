"""Diverse solutions of a conditional random field over a network's scores, and the re-ranker that picks one of them.

numpy and SciPy; on the host, beside the frame loop.
"""

from edge_vss.proposals.candidates import Candidates, ScoredFrame, look_at_all
from edge_vss.proposals.comparison import Choices, compare_choices, judge
from edge_vss.proposals.diverse import Proposals, diverse_solutions, propose
from edge_vss.proposals.grid import CrfConfig, GridCrf, grid_crf
from edge_vss.proposals.reranker import Reranker, fit_reranker, load_reranker

__all__ = [
    "Candidates",
    "Choices",
    "CrfConfig",
    "GridCrf",
    "Proposals",
    "Reranker",
    "ScoredFrame",
    "compare_choices",
    "diverse_solutions",
    "fit_reranker",
    "grid_crf",
    "judge",
    "load_reranker",
    "look_at_all",
    "propose",
]
