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
from edge_vss.training.config import TrainConfig
from edge_vss.training.frames import Example

__all__ = ["score"]


@torch.no_grad()
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
    device = next(network.parameters()).device
    confusion = ConfusionMatrix(classes)

    def seen(rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Tensor:
        view, _ = resized(rgb, labels, config.height, config.width)
        return normalised(view[None], config, device)

    for place, example in enumerate(frames):
        labels = example.labels
        image = seen(example.rgb, labels)
        if network.turns > 1:
            earlier = torch.stack([seen(older, labels) for older in example.before], dim=1)
            logits = network(image, earlier, place)[LOGITS].float()
        else:
            logits = network(image)[LOGITS].float()
        full = F.interpolate(logits, size=labels.shape, mode="bilinear", align_corners=False)
        confusion.update(labels, full.argmax(dim=1)[0].cpu().numpy().astype(np.uint8))
    network.train(training)
    return confusion
