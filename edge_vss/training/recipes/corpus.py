"""The corpus' intersection over union as the loss."""

from __future__ import annotations

import torch

from edge_vss.networks.staged import LOGITS
from edge_vss.training.batches import Batch
from edge_vss.training.losses import corpus_iou
from edge_vss.training.recipes.base import LossContext, Outputs, Parts, matched, supervised, thinned

__all__ = ["iou"]


def iou(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """``supervised`` for the first ``iou_after`` of the steps; then union over intersection in place of cross-entropy.

    The auxiliary scores keep theirs. A larger batch is a better stand-in for the corpus; ``iou_frames`` makes it
    smaller, to see what that is worth.
    """
    parts = supervised(outputs, batch, context)
    if context.progress >= context.config.iou_after:
        labels = thinned(batch.labels, 2, context.rng)
        scores = matched(outputs[LOGITS], labels)
        del parts["ce"]
        count = context.config.iou_frames or len(labels)
        pieces = zip(torch.split(scores, count), torch.split(labels, count), strict=True)
        parts["iou"] = torch.stack([corpus_iou(*piece) for piece in pieces]).mean()
    return parts
