"""Recipes that look along the flow to frames before the labelled one; what they train runs on single frames."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from edge_vss.networks.staged import LOGITS
from edge_vss.training.batches import Batch
from edge_vss.training.losses import (
    flow_at,
    flow_difference,
    hard_cross_entropy,
    pair_similarity,
    sequence_similarity,
    trust,
)
from edge_vss.training.recipes.base import (
    LossContext,
    Outputs,
    Parts,
    auxiliary,
    feature_of,
    labelled,
    matched,
    supervised,
    taught,
)

__all__ = ["etc", "weclick"]


def etc(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """``supervised`` plus agreement along the flow, and a teacher's similarities within and between frames.

    L = CE + λ (temporal + pixel KL + pairwise + pairwise-frame + multi-frame): Liu et al., *Efficient Semantic Video
    Segmentation with Per-frame Inference*, 2020, equation 6. The network that comes out runs frame by frame.
    """
    config = context.config
    parts = supervised(labelled(outputs, batch), batch, context)
    if config.temporal:
        pairs = list(along_the_flow(batch.apart(outputs[LOGITS].float()), batch, context))
        losses = [flow_difference(own, other, flow, weight) for own, other, flow, weight in pairs]
        parts["temporal"] = config.temporal * torch.stack(losses).mean()
    if context.teacher is None:
        return parts
    logits, feature = context.teacher(batch.together())
    parts |= taught(outputs, logits, feature, config)
    own = feature_of(outputs)
    if feature is None or own is None:
        return parts
    mine, theirs = batch.apart(own).unbind(), batch.apart(feature).unbind()
    if config.pair:
        # Frames are in the order of ``together``: the labelled one, then those before it, the oldest first.
        parts["pair"] = config.pair * pair_similarity((mine[0], mine[-1]), (theirs[0], theirs[-1]))
    if config.sequence:
        parts["sequence"] = config.sequence * sequence_similarity((*mine[1:], mine[0]), (*theirs[1:], theirs[0]))
    return parts


def weclick(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """Cross-entropy on clicks, the memory along the flow, and the teacher on single frames.

    Liu et al., *WeClick: Weakly-Supervised Video Semantic Segmentation with Click Annotations*, 2021, equations 3 to 6:
    predictions are drawn to those of the frames before, warped onto them, which no label has seen. The paper gives no
    weights. ``propagation``, which it does not have, is the other way round: the frames before are drawn to what the
    labelled one, which its clicks hold, is taken for.
    """
    config = context.config
    own = labelled(outputs, batch)
    # At full size: a thinned grid would miss most clicks.
    parts = {"ce": hard_cross_entropy(matched(own[LOGITS], batch.labels), batch.labels, context.weights)}
    parts |= auxiliary(own, batch.labels, context)
    if config.memory or config.propagation:
        pairs = list(along_the_flow(batch.apart(outputs[LOGITS].float()), batch, context))
    if config.memory:
        losses = [flow_difference(scores, other.detach(), flow, weight) for scores, other, flow, weight in pairs]
        parts["memory"] = config.memory * torch.stack(losses).mean()
    if config.propagation:
        losses = [flow_difference(scores.detach(), other, flow, weight) for scores, other, flow, weight in pairs]
        parts["propagation"] = config.propagation * torch.stack(losses).mean()
    if context.teacher is not None:
        logits, feature = context.teacher(batch.together())
        parts |= taught(outputs, logits, feature, config)
    return parts


def along_the_flow(
    scores: Tensor, batch: Batch, context: LossContext
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """(scores of the labelled frame, of one before it, flow between them, trust in it), for every frame before.

    Args:
        scores: (1 + k, N, C, h, w).
    """
    assert batch.before is not None and batch.flow is not None and batch.visible is not None
    std = batch.images.new_tensor(context.std)[:, None, None]
    height, width = scores.shape[-2:]
    for age in range(batch.before.shape[1]):
        flow, visible = batch.flow[:, age], batch.visible[:, age]
        if not context.config.flow:
            flow, visible = torch.zeros_like(flow), torch.ones_like(visible)
        weight = trust(batch.images * std, batch.before[:, age] * std, flow, visible, height, width)
        yield scores[0], scores[1 + age], flow_at(flow, visible, height, width)[0], weight
