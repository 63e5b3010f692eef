"""Fine-tuning a clockwork network under its schedule: the fuse stage meets states that really are old."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edge_vss.networks import StagedNetwork
from edge_vss.networks.staged import Perturb
from edge_vss.training.batches import Batch
from edge_vss.training.config import TrainConfig
from edge_vss.training.recipes.base import LossContext, Outputs, Parts, labelled, supervised
from edge_vss.training.stale import stale_states

__all__ = ["clockwork", "imagined_states", "old_states"]


def clockwork(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """``supervised``, on scores that were fused from this frame's skips and an older frame's deep stage.

    How old is drawn anew for every frame, from none to ``frames_before``; the published system is not trained so
    (Shelhamer et al., *Clockwork Convnets for Video Semantic Segmentation*, 2016, section 4: no retraining).
    """
    return supervised(labelled(outputs, batch), batch, context)


def old_states(network: StagedNetwork, batch: Batch, config: TrainConfig, rng: np.random.Generator) -> Perturb:
    """The labelled frames get the states of the frames that come with them, and those keep their own.

    The batch holds one frame before each labelled one, which may be that very frame again.
    """

    def older(state: Tensor) -> Tensor:
        _, before = state.chunk(2)
        return torch.cat([before, before])

    return dict.fromkeys(network.states, older)


def imagined_states(
    network: StagedNetwork, batch: Batch, config: TrainConfig, rng: np.random.Generator
) -> Perturb | None:
    """States as ego-motion would leave them, for training on single frames."""
    return stale_states(network, batch.num_images, config.stale, rng)
