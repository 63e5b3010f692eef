"""TDNet: sub-networks that take turns."""

from __future__ import annotations

from dataclasses import replace

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
    config, turns = context.config, len(outputs[LOGITS]) // len(batch.labels)
    every_turn = replace(batch, labels=batch.labels.repeat(turns, 1, 1))
    parts = supervised(outputs, every_turn, context)
    labels = thinned(every_turn.labels, 2, context.rng)
    parts["sub"] = config.sub * hard_cross_entropy(matched(outputs["sub"], labels), labels, context.weights)
    if context.teacher is None:
        return parts
    if isinstance(context.teacher, GroupedTeacher):
        full, groups = context.teacher.grouped(batch.images)
        own = groups.transpose(0, 1).flatten(0, 1)
        parts["group"] = config.group * pixel_divergence(outputs["sub"].float(), own, config.temperature)
    else:
        full, _ = context.teacher(batch.images)
    full = full.repeat(turns, 1, 1, 1)
    parts["distil"] = config.distil * pixel_divergence(outputs[LOGITS].float(), full, config.temperature)
    return parts
