"""State tensors that look a few camera frames old, for training on single images."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_vss.networks import StagedNetwork
from edge_vss.networks.staged import Perturb

__all__ = ["stale_states"]

MOST_ZOOM = 0.08
MOST_SHIFT = 0.05


def stale_states(network: StagedNetwork, frames: int, share: float, rng: np.random.Generator) -> Perturb | None:
    """Shifts and zooms the state tensors of a ``share`` of the frames, as ego-motion would between old and new.

    The fuse stage then learns what it may take from a deep stage that rests, and what only from the fresh skips.

    Args:
        frames: Batch size.
        share: In [0, 1].

    Returns:
        What ``StagedNetwork.forward`` takes; None where the network has no states or nothing is shifted.
    """
    if not network.states or share <= 0:
        return None
    old = rng.random(frames) < share
    zoom = 1 + rng.uniform(-MOST_ZOOM, MOST_ZOOM, frames) * old
    shift = rng.uniform(-2 * MOST_SHIFT, 2 * MOST_SHIFT, (frames, 2)) * rng.random((frames, 1)) * old[:, None]
    theta = np.zeros((frames, 2, 3), np.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    theta[:, :, 2] = shift
    moved = functools.partial(_moved, theta=torch.from_numpy(theta))
    return dict.fromkeys(network.states, moved)


def _moved(state: Tensor, theta: Tensor) -> Tensor:
    grid = F.affine_grid(theta.to(state.device), list(state.shape), align_corners=False)
    moved = F.grid_sample(state.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.to(state.dtype).contiguous(memory_format=torch.channels_last)
