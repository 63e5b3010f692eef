"""A structural support vector machine with slack scaled by loss, for picking one candidate out of a few.

    min over w of  reg / 2 |w|^2  +  1/N sum over i of max over m of  loss_im (1 - w . (psi_i* - psi_im))

Tsochantaridis et al., *Large Margin Methods for Structured and Interdependent Output Variables*, 2005, solved by block
coordinate Frank-Wolfe: Lacoste-Julien et al., *Block-Coordinate Frank-Wolfe Optimization for Structural SVMs*, 2013.
The blocks are visited in their order, so that equal data give equal weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_margin", "objective"]

Floats = NDArray[np.float64]


def _rows(features: Floats, losses: Floats) -> Floats:
    """(N, M, F) loss_im (psi_i* - psi_im), * the first candidate of the smallest loss."""
    best = features[np.arange(len(features)), losses.argmin(axis=1)]
    rows: Floats = losses[..., None] * (best[:, None] - features)
    return rows


def objective(weights: Floats, features: Floats, losses: Floats, reg: float) -> float:
    """What ``fit_margin`` makes small."""
    slack = (losses - _rows(features, losses) @ weights).max(axis=1)
    return float(reg / 2 * weights @ weights + slack.mean())


def fit_margin(features: Floats, losses: Floats, reg: float, *, gap: float = 1e-4, passes: int = 500) -> Floats:
    """Weights whose objective lies at most ``gap`` of itself above the smallest, or what ``passes`` over the data gave.

    Args:
        features: (N, M, F) of M candidates for each of N frames.
        losses: (N, M) >= 0, 0 for the best candidate of each frame.
        reg: > 0.

    Returns:
        (F,).
    """
    rows = _rows(features, losses)
    frames = len(rows)
    weights, shares, level = np.zeros(rows.shape[2]), np.zeros((frames, rows.shape[2])), np.zeros(frames)
    for _ in range(passes):
        for frame in range(frames):
            worst = int((losses[frame] - rows[frame] @ weights).argmax())
            goal, height = rows[frame, worst] / (reg * frames), losses[frame, worst] / frames
            step = shares[frame] - goal
            length = reg * (step @ step)
            if length <= 0:
                continue
            share = min(1.0, max(0.0, (reg * (step @ weights) - level[frame] + height) / length))
            weights -= share * step
            shares[frame] -= share * step
            level[frame] += share * (height - level[frame])
        weights = shares.sum(axis=0)  # rounding would add up
        primal = reg / 2 * weights @ weights + (losses - rows @ weights).max(axis=1).mean()
        dual = level.sum() - reg / 2 * weights @ weights
        if primal - dual <= gap * max(primal, 1e-12):
            break
    return weights
