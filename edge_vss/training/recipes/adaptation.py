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

    It sees the class probabilities of a frame and of those before it, stacked: the video adversarial training (VAT) of
    Shin et al., *Unsupervised Domain Adaptation for Video Semantic Segmentation*, 2021. With ``adversary_frames`` = 1
    it sees single frames, as in Tsai et al., *Learning to Adapt Structured Output Space for Semantic Segmentation*,
    2018. The part ``discriminator`` is what it lost on this step before it learnt; no gradient comes from it.
    """
    assert context.adversary is not None and batch.before is not None and batch.target is not None
    config = context.config
    parts = supervised(labelled(outputs, batch), batch, context)
    chances = batch.apart(outputs[LOGITS].float()).softmax(dim=2)
    count = 1 + batch.before.shape[1]
    source, target = torch.cat([chances[1:count], chances[:1]]), chances[count:]

    def stacked(frames: Tensor) -> Tensor:
        return frames[-config.adversary_frames :].transpose(0, 1).flatten(1, 2)

    parts["discriminator"] = context.adversary.learn(stacked(source), stacked(target))
    parts["adversary"] = config.adversary * context.adversary.deceived(stacked(target))
    return parts
