"""Recipes for frames of another look, of which no label is known."""

from __future__ import annotations

import torch
from torch import Tensor

from edge_vss.networks.staged import LOGITS
from edge_vss.training.batches import Batch
from edge_vss.training.recipes.base import LossContext, Outputs, Parts, labelled, supervised

__all__ = ["uda"]


def uda(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """``supervised`` on the source, and predictions on the target that a discriminator takes for the source's.

    It sees the class probabilities of a frame and the one before it, stacked (VAT): Guan et al., *Domain Adaptive
    Video Segmentation via Temporal Consistency Regularization*, 2021, equations 1 to 3. With ``adversary_frames`` = 1
    it sees single frames, as image domain adaptation has it (Vu et al., *ADVENT*, 2019).
    """
    assert context.adversary is not None and batch.before is not None and batch.target is not None
    config = context.config
    parts = supervised(labelled(outputs, batch), batch, context)
    chances = batch.apart(outputs[LOGITS].float()).softmax(dim=2)
    count = 1 + batch.before.shape[1]
    source, target = torch.cat([chances[1:count], chances[:1]]), chances[count:]

    def stacked(frames: Tensor) -> Tensor:
        return frames[-config.adversary_frames :].transpose(0, 1).flatten(1, 2)

    context.adversary.learn(stacked(source), stacked(target))
    parts["adversary"] = config.adversary * context.adversary.deceived(stacked(target))
    return parts
