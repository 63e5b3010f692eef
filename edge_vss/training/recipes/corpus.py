"""The corpus' intersection over union as the loss."""

from __future__ import annotations

from edge_vss.networks.staged import LOGITS
from edge_vss.training.batches import Batch
from edge_vss.training.losses import corpus_iou
from edge_vss.training.recipes.base import LossContext, Outputs, Parts, matched, supervised, thinned

__all__ = ["iou"]


def iou(outputs: Outputs, batch: Batch, context: LossContext) -> Parts:
    """``supervised`` for the first ``iou_after`` of the steps; then union over intersection in place of cross-entropy.

    The auxiliary scores keep theirs. A larger batch is a better stand-in for the corpus.
    """
    parts = supervised(outputs, batch, context)
    if context.progress >= context.config.iou_after:
        labels = thinned(batch.labels, 2, context.rng)
        del parts["ce"]
        parts["iou"] = corpus_iou(matched(outputs[LOGITS], labels), labels)
    return parts
