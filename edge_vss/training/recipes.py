"""Recipes: what a step's outputs are asked to be. A new one is a function and an entry in ``RECIPES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_vss.errors import WrongUsage
from edge_vss.networks import network_config, network_kinds
from edge_vss.networks.staged import LOGITS
from edge_vss.training.config import LossConfig, TrainConfig
from edge_vss.training.frames import Batch
from edge_vss.training.grouped_teacher import GroupedTeacher
from edge_vss.training.losses import corpus_iou, feature_similarity, hard_cross_entropy, pixel_divergence, soft_jaccard
from edge_vss.training.teacher import Teacher

__all__ = [
    "DEFAULTS",
    "QUANTISATION_AWARE",
    "RECIPES",
    "LossContext",
    "check_recipe",
    "check_turns",
    "distill",
    "iou",
    "supervised",
    "tdnet",
]


@dataclass(frozen=True)
class LossContext:
    """What a recipe needs besides the outputs and the batch."""

    config: LossConfig
    weights: Tensor
    """(C,) class weights."""
    rng: np.random.Generator
    """Seeded by the step."""
    teacher: Teacher | None = None
    progress: float = 1.0
    """Share of the steps done, in [0, 1]."""


def thinned(labels: Tensor, stride: int, rng: np.random.Generator) -> Tensor:
    """Every ``stride``-th label, from a random corner, so that on average the grid does not lie off centre."""
    top, left = rng.integers(0, stride, 2)
    return labels[:, top::stride, left::stride]


def matched(scores: Tensor, labels: Tensor) -> Tensor:
    """Scores in float32, upsampled to the labels' size."""
    return F.interpolate(scores.float(), size=labels.shape[-2:], mode="bilinear", align_corners=False)


def supervised(outputs: Mapping[str, Tensor], batch: Batch, context: LossContext) -> dict[str, Tensor]:
    """Cross-entropy and soft IoU on the logits at half size, cross-entropy on auxiliary scores at an eighth."""
    config = context.config
    labels = thinned(batch.labels, 2, context.rng)
    logits = matched(outputs[LOGITS], labels)
    parts = {"ce": hard_cross_entropy(logits, labels, context.weights, share=config.ohem, smoothing=config.smoothing)}
    if config.jaccard:
        parts["jaccard"] = config.jaccard * soft_jaccard(logits, labels)
    coarse = thinned(batch.labels, 8, context.rng)
    for name, scores in outputs.items():
        if name.startswith("aux/"):
            parts[name] = config.aux * hard_cross_entropy(matched(scores, coarse), coarse, context.weights)
    return parts


def distill(outputs: Mapping[str, Tensor], batch: Batch, context: LossContext) -> dict[str, Tensor]:
    """``supervised`` plus the teacher: its softened scores per pixel, and which places it finds alike."""
    config = context.config
    assert context.teacher is not None, "check_recipe asks for one"
    logits, feature = context.teacher(batch.images)
    parts = supervised(outputs, batch, context)
    parts["distil"] = config.distil * pixel_divergence(outputs[LOGITS].float(), logits, config.temperature)
    if feature is not None and config.similarity:
        own = next((value for name, value in outputs.items() if name.startswith("feature/")), None)
        if own is not None:
            parts["similarity"] = config.similarity * feature_similarity(own, feature)
    return parts


def tdnet(outputs: Mapping[str, Tensor], batch: Batch, context: LossContext) -> dict[str, Tensor]:
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


def iou(outputs: Mapping[str, Tensor], batch: Batch, context: LossContext) -> dict[str, Tensor]:
    """``supervised`` for the first ``iou_after`` of the steps; then union over intersection in place of cross-entropy.

    The auxiliary scores keep theirs. A larger batch is a better stand-in for the corpus.
    """
    parts = supervised(outputs, batch, context)
    if context.progress >= context.config.iou_after:
        labels = thinned(batch.labels, 2, context.rng)
        del parts["ce"]
        parts["iou"] = corpus_iou(matched(outputs[LOGITS], labels), labels)
    return parts


Recipe = Callable[[Mapping[str, Tensor], Batch, LossContext], dict[str, Tensor]]
RECIPES: dict[str, Recipe] = {
    "supervised": supervised,
    "distill": distill,
    "qat": supervised,
    "tdnet": tdnet,
    "iou": iou,
}
"""Name on the command line → weighted parts of the loss, which the loop adds up."""
WITH_TEACHER = frozenset({"distill"})
MAY_HAVE_TEACHER = frozenset({"tdnet"})
IN_TURNS = frozenset({"tdnet"})
"""Recipes for networks whose sub-networks take turns, and no others."""
DEFAULTS: Mapping[str, TrainConfig] = {
    "iou": TrainConfig(loss=LossConfig(jaccard=0.0)),
    "qat": TrainConfig(epochs=10, rate=2e-4),
    "tdnet": TrainConfig(network="tdnet2", loss=LossConfig(ohem=0.25, jaccard=0.0, aux=0.1, temperature=1.0)),
}
"""What a configuration is where the file leaves something out; recipes that are not here take ``TrainConfig()``."""
QUANTISATION_AWARE = frozenset({"qat"})
"""Recipes under which the forward pass rounds; they start from a trained network."""


def check_recipe(name: str, teacher: str | None, init: str | None = None) -> Recipe:
    """The recipe of that name.

    Raises:
        WrongUsage: No such recipe, a teacher or initial weights that are missing, or a teacher that would go unused.
    """
    if name not in RECIPES:
        raise WrongUsage(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    if name in WITH_TEACHER and not teacher:
        raise WrongUsage(f"recipe {name} needs --teacher CKPT|MODEL.onnx")
    if name not in WITH_TEACHER | MAY_HAVE_TEACHER and teacher:
        known = ", ".join(sorted(WITH_TEACHER | MAY_HAVE_TEACHER))
        raise WrongUsage(f"recipe {name} uses no teacher; recipes that do: {known}")
    if name in QUANTISATION_AWARE and not init:
        raise WrongUsage(f"recipe {name} tunes a trained network: it needs --init CKPT")
    return RECIPES[name]


def check_turns(recipe: str, config: TrainConfig, turns: int) -> None:
    """Check that recipe and network suit each other.

    Raises:
        WrongUsage: A network of one kind under a recipe for the other, or fewer frames a step than sub-networks.
    """
    if (turns > 1) != (recipe in IN_TURNS):
        known = ", ".join(kind for kind in network_kinds() if network_config(kind, classes=2).turns > 1)
        raise WrongUsage(f"recipe {recipe} does not train network {config.network}; tdnet alone trains {known}")
    if config.batch < turns:
        raise WrongUsage(
            f"batch is {config.batch}, network {config.network} wants at least one frame for each of {turns}"
        )
