"""Scores of a network on labelled frames, in torch: for choosing between checkpoints while training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edge_vss.metrics import ConfusionMatrix
from edge_vss.networks import StagedNetwork
from edge_vss.networks.staged import LOGITS
from edge_vss.training.augment import resized
from edge_vss.training.batches import normalised
from edge_vss.training.checkpoint import InputInfo
from edge_vss.training.config import TrainConfig
from edge_vss.training.frames import Example

__all__ = ["score", "scores_of"]


def score(
    network: StagedNetwork,
    frames: Sequence[Example],
    config: TrainConfig,
    classes: int,
) -> ConfusionMatrix:
    """One confusion matrix over all frames, at the labels' own size; the network sees them at its input size.

    Networks whose sub-networks take turns see the frames before each too; whose turn it is changes with each.
    """
    training = network.training
    network.eval()
    confusion = ConfusionMatrix(classes)
    for place, example in enumerate(frames):
        scores = scores_of(network, (*example.before, example.rgb), config, turn=place)
        confusion.update(example.labels, scores.argmax(dim=0).cpu().numpy().astype(np.uint8))
    network.train(training)
    return confusion


@torch.no_grad()
def scores_of(
    network: StagedNetwork, frames: Sequence[NDArray[np.uint8]], fed: TrainConfig | InputInfo, turn: int = 0
) -> Tensor:
    """(C, H, W) float32 scores of the last of ``frames``, at its own size.

    Args:
        network: In evaluation mode.
        frames: (H, W, 3) RGB, oldest first; those before the last are for networks whose sub-networks take turns.
        fed: What size and range frames are brought to.
        turn: Whose turn it is with the last one, from 0 on.
    """
    device = next(network.parameters()).device
    looked_at = frames if network.turns > 1 else frames[-1:]
    seen = [normalised(resized(rgb, fed.height, fed.width)[None], fed, device) for rgb in looked_at]
    if network.turns > 1:
        logits = network(seen[-1], torch.stack(seen[-network.turns : -1], dim=1))[LOGITS][[turn % network.turns]]
    else:
        logits = network(seen[-1])[LOGITS]
    full = F.interpolate(logits.float(), size=frames[-1].shape[:2], mode="bilinear", align_corners=False)
    return full[0]
