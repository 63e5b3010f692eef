"""TDNet: sub-networks that take turns."""

from __future__ import annotations

import torch

from edge_vss.networks.staged import LOGITS
from edge_vss.training.batches import Batch
from edge_vss.training.grouped_teacher import GroupedTeacher
from edge_vss.training.losses import hard_cross_entropy, pixel_divergence
from edge_vss.training.recipes.base import LossContext, Outputs, Parts, matched, supervised, thinned

__all__ = ["tdnet"]


def tdnet(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """``supervised`` for the scores with what older frames gave, cross-entropy for those without, and the teacher.

    L = CE(out) + ½ CE(out_sub) + 0.1 CE(aux) + KL(teacher ‖ out) + ½ KL(teacher_i ‖ out_sub), CE(out) over its hardest
    pixels, teacher_i the share of the teacher that answers to the sub-network whose turn it is: Hu et al., *Temporally
    Distributed Networks for Fast Video Semantic Segmentation*, 2020, equation 7, with the weights of its code.
    """
    config = context.config
    parts = supervised(outputs, batch, context)
    labels = thinned(batch.labels, 2, context.rng)
    parts["sub"] = config.sub * hard_cross_entropy(matched(outputs["sub"], labels), labels, context.weights)
    if context.teacher is None:
        return parts
    if isinstance(context.teacher, GroupedTeacher):
        full, groups = context.teacher.grouped(batch.images)
        own = groups[torch.arange(len(groups), device=groups.device), outputs["turn"]]
        parts["group"] = config.group * pixel_divergence(outputs["sub"].float(), own, config.temperature)
    else:
        full, _ = context.teacher(batch.images)
    parts["distil"] = config.distil * pixel_divergence(outputs[LOGITS].float(), full, config.temperature)
    return parts
